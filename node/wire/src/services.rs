//! Service bits and their names (Core: `protocol.h`).

/// Serves the whole chain.
pub const NETWORK: u64 = 1;
/// Answers bloom filter requests (BIP 111).
pub const BLOOM: u64 = 1 << 2;
/// Serves witnesses (BIP 144).
pub const WITNESS: u64 = 1 << 3;
/// Serves compact block filters (BIP 157).
pub const COMPACT_FILTERS: u64 = 1 << 6;
/// Serves the last 288 blocks (BIP 159).
pub const NETWORK_LIMITED: u64 = 1 << 10;
/// Speaks the encrypted transport (BIP 324).
pub const P2P_V2: u64 = 1 << 11;

/// Names of the bits that are set, lowest first, as RPCs show them.
#[must_use]
pub fn names(services: u64) -> Vec<String> {
    (0..64)
        .filter(|bit| services & (1 << bit) != 0)
        .map(|bit| match 1u64 << bit {
            NETWORK => "NETWORK".to_owned(),
            BLOOM => "BLOOM".to_owned(),
            WITNESS => "WITNESS".to_owned(),
            COMPACT_FILTERS => "COMPACT_FILTERS".to_owned(),
            NETWORK_LIMITED => "NETWORK_LIMITED".to_owned(),
            P2P_V2 => "P2P_V2".to_owned(),
            _ => format!("UNKNOWN[2^{bit}]"),
        })
        .collect()
}
