//! Blocks, headers, the set of unspent outputs.

use super::Kind::{Arr, Bool, Hex, Named, Num, Obj, Range, Str};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::{Chain, Net};
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "dumptxoutset",
        "blockchain",
        Chain,
        "Writes the set of unspent outputs to a file that loadtxoutset can read on another node.",
        &[
            a("path", Str, Required, "The file"),
            a("type", Str, Default("\"\""), "The type"),
            a("options", Named, Optional, "").inner(&[
                a("rollback", Num, Optional, "Height or hash of the block to go back to")
                    .unchecked()
                    .typed("", "string or numeric"),
                a("in_memory", Bool, Default("false"), "Keep temporary data in memory"),
            ]),
        ],
    ),
    m("getbestblockhash", "blockchain", Chain, "Returns the hash of the newest block of the active chain.", &[]),
    m(
        "getblock",
        "blockchain",
        Chain,
        "Returns one block.\nverbosity 0 gives its serialization in hex, 1 an object with the ids of its transactions, 2 with the decoded transactions, 3 also with the outputs that they spend.",
        &[
            a("blockhash", Hex, Required, "The block hash"),
            a("verbosity|verbose", Num, Default("1"), "How much detail").unchecked(),
        ],
    ),
    m("getblockchaininfo", "blockchain", Chain, "Returns the state of the active chain and of its validation.", &[]),
    m("getblockcount", "blockchain", Chain, "Returns the height of the active chain; the genesis block has height 0.", &[]),
    m(
        "getblockfilter",
        "blockchain",
        Chain,
        "Returns the BIP 157 filter of one block.",
        &[a("blockhash", Hex, Required, "The block hash"), a("filtertype", Str, Default("\"basic\""), "The type of filter")],
    ),
    m(
        "getblockfrompeer",
        "blockchain",
        Net,
        "Asks one peer for the block with this hash.\nThe header must be known already. Returns at once; the block arrives later, if the peer has it.",
        &[a("blockhash", Hex, Required, "The block hash"), a("peer_id", Num, Required, "The id of the peer")],
    ),
    m(
        "getblockhash",
        "blockchain",
        Chain,
        "Returns the hash of the block at this height of the active chain.",
        &[a("height", Num, Required, "The height")],
    ),
    m(
        "getblockheader",
        "blockchain",
        Chain,
        "Returns one block header, in hex or as an object.",
        &[a("blockhash", Hex, Required, "The block hash"), a("verbose", Bool, Default("true"), "Return an object")],
    ),
    m(
        "getblockstats",
        "blockchain",
        Chain,
        "Returns statistics of one block. Amounts are in satoshi.",
        &[
            a("hash_or_height", Num, Required, "Block hash or height").unchecked().typed("", "string or numeric"),
            a("stats", Arr, Hint("all values"), "Only these figures")
                .oneline("stats")
                .inner(&[a("height", Str, Optional, "The height"), a("time", Str, Optional, "")]),
        ],
    ),
    m(
        "getchainstates",
        "blockchain",
        Chain,
        "Returns what is known of each chainstate (more than one while a snapshot is being checked).",
        &[],
    ),
    m(
        "getchaintips",
        "blockchain",
        Chain,
        "Returns every tip of the block tree: the active one and those of stale branches.",
        &[],
    ),
    m(
        "getchaintxstats",
        "blockchain",
        Chain,
        "Returns number and rate of transactions over a window of blocks.",
        &[a("nblocks", Num, Hint("one month"), "The number of blocks"), a("blockhash", Hex, Hint("chain tip"), "The block hash")],
    ),
    m(
        "getdeploymentinfo",
        "blockchain",
        Chain,
        "Returns the state of the consensus changes at one block.",
        &[a("blockhash", Hex, Default("\"hash of current chain tip\""), "The block hash")],
    ),
    m(
        "getdescriptoractivity",
        "blockchain",
        Chain,
        "Returns which outputs of the given descriptors were made and spent in the given blocks.",
        &[
            a("blockhashes", Arr, Required, "The block hashes").inner(&[a("blockhash", Hex, Optional, "The block hash")]),
            a("scanobjects", Arr, Required, "Descriptors to look for").oneline("[scanobjects,...]").inner(&[
                a("descriptor", Str, Optional, "An output descriptor"),
                a("", Obj, Optional, "").inner(&[
                    a("desc", Str, Required, "An output descriptor"),
                    a("range", Range, Default("1000"), "End of the range, or [begin,end]"),
                ]),
            ]),
            a("include_mempool", Bool, Default("true"), "Also look at the mempool"),
        ],
    ),
    m("getdifficulty", "blockchain", Chain, "Returns the proof-of-work difficulty as a multiple of the minimum.", &[]),
    m(
        "gettxout",
        "blockchain",
        Chain,
        "Returns one unspent output, or null when it is spent or unknown.",
        &[
            a("txid", Str, Required, "The transaction id"),
            a("n", Num, Required, "Index of the output"),
            a("include_mempool", Bool, Default("true"), "Also look at the mempool"),
        ],
    ),
    m(
        "gettxoutproof",
        "blockchain",
        Chain,
        "Returns a hex-encoded proof that transactions were included in a block.",
        &[
            a("txids", Arr, Required, "The transaction ids").inner(&[a("txid", Hex, Optional, "The transaction id")]),
            a("blockhash", Hex, Optional, "The block hash"),
        ],
    ),
    m(
        "gettxoutsetinfo",
        "blockchain",
        Chain,
        "Returns statistics of the set of unspent outputs. This can take a while without an index.",
        &[
            a("hash_type", Str, Default("\"hash_serialized_3\""), "\"hash_serialized_3\", \"muhash\" or \"none\""),
            a("hash_or_height", Num, Hint("the current best block"), "Block hash or height")
                .unchecked()
                .typed("", "string or numeric"),
            a("use_index", Bool, Default("true"), "Use the index when there is one"),
        ],
    ),
    m(
        "invalidateblock",
        "hidden",
        Chain,
        "Marks a block as invalid, for good, as if it broke a consensus rule.",
        &[a("blockhash", Hex, Required, "The block hash")],
    ),
    m(
        "loadtxoutset",
        "blockchain",
        Chain,
        "Loads a set of unspent outputs that dumptxoutset wrote, and validates the chain behind it in the background.",
        &[a("path", Str, Required, "The file")],
    ),
    m(
        "preciousblock",
        "blockchain",
        Chain,
        "Treats a block as if it had arrived before others with the same work. Forgotten at restart.",
        &[a("blockhash", Hex, Required, "The block hash")],
    ),
    m(
        "pruneblockchain",
        "blockchain",
        Chain,
        "Deletes block files up to a height or time. Needs -prune.",
        &[a("height", Num, Required, "The height")],
    ),
    m(
        "reconsiderblock",
        "hidden",
        Chain,
        "Takes back invalidateblock for a block, its ancestors and its descendants.",
        &[a("blockhash", Hex, Required, "The block hash")],
    ),
    m(
        "scanblocks",
        "blockchain",
        Chain,
        "Returns the blocks whose filters match the given descriptors. Needs -blockfilterindex.",
        &[
            a("action", Str, Required, "\"start\", \"abort\" or \"status\""),
            a("scanobjects", Arr, Optional, "Descriptors to look for").oneline("[scanobjects,...]").inner(&[
                a("descriptor", Str, Optional, "An output descriptor"),
                a("", Obj, Optional, "").inner(&[
                    a("desc", Str, Required, "An output descriptor"),
                    a("range", Range, Default("1000"), "End of the range, or [begin,end]"),
                ]),
            ]),
            a("start_height", Num, Default("0"), "Height to start at"),
            a("stop_height", Num, Hint("chain tip"), "Height to stop at"),
            a("filtertype", Str, Default("\"basic\""), "The type of filter"),
            a("options", Named, Optional, "").oneline("options").inner(&[a(
                "filter_false_positives",
                Bool,
                Default("false"),
                "Check matches against the blocks themselves",
            )]),
        ],
    ),
    m(
        "scantxoutset",
        "blockchain",
        Chain,
        "Searches the set of unspent outputs for the given descriptors.",
        &[
            a("action", Str, Required, "\"start\", \"abort\" or \"status\""),
            a("scanobjects", Arr, Optional, "Descriptors to look for").oneline("[scanobjects,...]").inner(&[
                a("descriptor", Str, Optional, "An output descriptor"),
                a("", Obj, Optional, "").inner(&[
                    a("desc", Str, Required, "An output descriptor"),
                    a("range", Range, Default("1000"), "End of the range, or [begin,end]"),
                ]),
            ]),
        ],
    ),
    m(
        "syncwithvalidationinterfacequeue",
        "hidden",
        Chain,
        "Waits until all notifications about earlier validation were delivered. For tests.",
        &[],
    ),
    m(
        "verifychain",
        "blockchain",
        Chain,
        "Checks the newest blocks on disk again.",
        &[
            a("checklevel", Num, Hint("3, range=0-4"), "How thorough the check is"),
            a("nblocks", Num, Hint("6, 0=all"), "The number of blocks"),
        ],
    ),
    m(
        "verifytxoutproof",
        "blockchain",
        Chain,
        "Checks a proof made by gettxoutproof and returns the transaction ids that it commits to.",
        &[a("proof", Hex, Required, "The proof in hex")],
    ),
    m(
        "waitforblock",
        "blockchain",
        Chain,
        "Waits until a given block is the tip, and returns the tip.",
        &[
            a("blockhash", Hex, Required, "The block hash"),
            a("timeout", Num, Default("0"), "Milliseconds or seconds until it gives up; 0: never"),
        ],
    ),
    m(
        "waitforblockheight",
        "blockchain",
        Chain,
        "Waits until the chain has at least a given height, and returns the tip.",
        &[
            a("height", Num, Required, "The height"),
            a("timeout", Num, Default("0"), "Milliseconds or seconds until it gives up; 0: never"),
        ],
    ),
    m(
        "waitfornewblock",
        "blockchain",
        Chain,
        "Waits until the tip changes, and returns it.",
        &[
            a("timeout", Num, Default("0"), "Milliseconds or seconds until it gives up; 0: never"),
            a("current_tip", Hex, Optional, "Tip to compare with"),
        ],
    ),
];
