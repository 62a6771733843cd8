//! How much one message and one connection of each edge may cost.
//!
//! Cap'n Proto's own defaults (64 MiB, nesting 64) are never used. Every number below has its reason beside it;
//! change a number together with its reason.

/// What the receiving side does when `max_in_flight` calls of one connection are unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtBound {
    /// Stop reading from the connection until a call was answered: the sender feels it as back-pressure.
    Wait,
    /// Answer the surplus call with an error and go on.
    Refuse,
    /// Close the connection.
    Disconnect,
}

/// The bounds of one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Name of the edge: client side, dash, serving side.
    pub name: &'static str,
    /// Cap'n Proto's traversal limit per message, in 8-byte words.
    pub traversal_words: usize,
    /// Deepest nesting of pointers in one message.
    pub nesting: i32,
    /// Largest single message in bytes, checked from its segment table before anything is allocated.
    pub max_message_bytes: usize,
    /// Calls of one connection that may be unanswered at once.
    pub max_in_flight: usize,
    /// What happens to the call beyond `max_in_flight`.
    pub at_bound: AtBound,
    /// Why the numbers are what they are.
    pub reason: &'static str,
}

const MIB: usize = 1024 * 1024;

/// A serialized block is at most 4,000,000 bytes (BIP141 weight).
pub const MAX_BLOCK_BYTES: usize = 4_000_000;
/// Core's `MAX_SIZE`: the largest HTTP body and so the largest RPC request (src/serialize.h).
pub const MAX_RPC_REQUEST_BYTES: usize = 0x0200_0000;

/// Most capabilities that one message may bring. Honest ones bring two at most (`Context` of Core's interfaces has two); the library
/// makes an object for each, and a list without a body announces millions of them in a message of 100 bytes.
pub const MAX_CAPABILITIES: u32 = 16;
/// Longest way from an answer to a capability in it, in steps. Honest ones take one: the field of the answer.
pub const MAX_STEPS: u32 = 16;

const fn limits(
    name: &'static str,
    mebibytes: usize,
    nesting: i32,
    max_in_flight: usize,
    at_bound: AtBound,
    reason: &'static str,
) -> EdgeLimits {
    EdgeLimits {
        name,
        // A reader may look at every byte twice, not more: pointers that alias the same bytes are an attack.
        traversal_words: mebibytes * MIB / 8 * 2,
        nesting,
        max_message_bytes: mebibytes * MIB,
        max_in_flight,
        at_bound,
        reason,
    }
}

/// Every edge that speaks Cap'n Proto.
pub const EDGES: &[EdgeLimits] = &[
    limits("control", 1, 8, 16, AtBound::Wait, "datagrams of at most 64 KiB; configuration lists nest struct, list, struct"),
    limits(
        "rpc-chain",
        256,
        16,
        128,
        AtBound::Wait,
        "a request is an HTTP body of at most 32 MiB; getrawmempool true on a full pool and getblock 3 answer with up to 200 MiB; in flight is bounded by -rpcworkqueue before",
    ),
    limits(
        "rpc-net",
        64,
        12,
        128,
        AtBound::Wait,
        "requests up to an HTTP body of 32 MiB; getrawaddrman lists 80,000 addresses of some 300 bytes",
    ),
    limits(
        "rpc-wallet",
        256,
        12,
        128,
        AtBound::Wait,
        "importdescriptors requests up to 32 MiB; listtransactions of a wallet with a million transactions",
    ),
    limits(
        "net-chain",
        16,
        16,
        256,
        AtBound::Wait,
        "one P2P message is at most 4 MB; getblocks answers carry up to 4 of them; 128 peers with two calls each",
    ),
    limits("wallet-chain", 64, 16, 64, AtBound::Wait, "block batches of a rescan: at most 8 blocks of 4 MB"),
    limits(
        "wallet-keystore",
        1,
        8,
        1,
        AtBound::Disconnect,
        "flat structs, one request at a time; records are stored in batches below 1 MiB",
    ),
    limits("gui-rpc", 1, 8, 8, AtBound::Refuse, "figures for one window"),
    limits("gui-wallet", 1, 8, 8, AtBound::Refuse, "figures for one window"),
    limits(
        "outside-rpc",
        64,
        16,
        64,
        AtBound::Refuse,
        "Core's sockets for miners and bitcoin-cli: blocks of 4 MB and RPC answers; a client that does not wait for answers gets errors",
    ),
];

/// The limits of the edge with this name.
#[must_use]
pub fn edge(name: &str) -> Option<&'static EdgeLimits> {
    EDGES.iter().find(|limits| limits.name == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_edge_is_named_once_and_bounded() {
        for (index, limits) in EDGES.iter().enumerate() {
            assert!(EDGES[..index].iter().all(|other| other.name != limits.name), "{} twice", limits.name);
            assert!(limits.nesting <= 16 && limits.nesting > 0);
            assert!(limits.max_message_bytes <= 256 * MIB);
            assert!(limits.max_in_flight > 0 && !limits.reason.is_empty());
        }
    }

    #[test]
    fn edges_that_carry_blocks_fit_a_block() {
        for name in ["rpc-chain", "net-chain", "wallet-chain", "outside-rpc"] {
            assert!(edge(name).unwrap().max_message_bytes > MAX_BLOCK_BYTES);
        }
        for name in ["rpc-chain", "rpc-net", "rpc-wallet", "outside-rpc"] {
            assert!(edge(name).unwrap().max_message_bytes > MAX_RPC_REQUEST_BYTES);
        }
    }

    #[test]
    fn the_key_store_reads_little() {
        let limits = edge("wallet-keystore").unwrap();
        assert_eq!((limits.max_message_bytes, limits.nesting), (MIB, 8));
    }
}
