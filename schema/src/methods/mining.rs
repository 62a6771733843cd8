//! Mining.

use super::Kind::{Arr, Bool, Hex, Num, Obj, Str};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::Chain;
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "generateblock",
        "hidden",
        Chain,
        "Mines one block with exactly the given transactions.",
        &[
            a("output", Str, Required, "An output"),
            a("transactions", Arr, Required, "Transactions in hex, or their ids").inner(&[a(
                "rawtx/txid",
                Hex,
                Optional,
                "The transaction in hex, or its id",
            )]),
            a("submit", Bool, Default("true"), "Submit the block; false only returns it"),
        ],
    ),
    m(
        "generatetoaddress",
        "hidden",
        Chain,
        "Mines blocks and pays their rewards to an address.",
        &[
            a("nblocks", Num, Required, "The number of blocks"),
            a("address", Str, Required, "The address"),
            a("maxtries", Num, Default("1000000"), "How many nonces to try"),
        ],
    ),
    m(
        "generatetodescriptor",
        "hidden",
        Chain,
        "Mines blocks and pays their rewards to a descriptor.",
        &[
            a("num_blocks", Num, Required, "The number of blocks"),
            a("descriptor", Str, Required, "An output descriptor"),
            a("maxtries", Num, Default("1000000"), "How many nonces to try"),
        ],
    ),
    m(
        "getblocktemplate",
        "mining",
        Chain,
        "Returns what a miner needs to build the next block (BIP 22, BIP 23, BIP 9, BIP 145).",
        &[a("template_request", Obj, Required, "").inner(&[
            a("mode", Str, Optional, "The mode"),
            a("capabilities", Arr, Optional, "Client-side features").inner(&[a("str", Str, Optional, "")]),
            a("rules", Arr, Required, "Consensus changes that the client knows")
                .inner(&[a("segwit", Str, Required, "A rule"), a("str", Str, Optional, "")]),
            a("longpollid", Str, Optional, "Answer only when this template is no longer current"),
            a("data", Hex, Optional, "Data in hex"),
        ])],
    ),
    m("getmininginfo", "mining", Chain, "Returns figures about mining.", &[]),
    m(
        "getnetworkhashps",
        "mining",
        Chain,
        "Returns the estimated hashes per second of the network over a number of blocks.",
        &[a("nblocks", Num, Default("120"), "The number of blocks"), a("height", Num, Default("-1"), "The height")],
    ),
    m("getprioritisedtransactions", "mining", Chain, "Returns the fee adjustments that prioritisetransaction made.", &[]),
    m(
        "prioritisetransaction",
        "mining",
        Chain,
        "Makes the mempool and the block builder treat a transaction as if it paid more or less fee.",
        &[
            a("txid", Hex, Required, "The transaction id"),
            a("dummy", Num, Optional, "Kept for compatibility"),
            a("fee_delta", Num, Required, "Satoshis to add to, or take from, the fee"),
        ],
    ),
    m(
        "submitblock",
        "mining",
        Chain,
        "Gives the node a block. Returns null when it was accepted, else the reason (BIP 22).",
        &[a("hexdata", Hex, Required, "The data in hex"), a("dummy", Str, Hint("ignored"), "Kept for compatibility")],
    ),
    m(
        "submitheader",
        "mining",
        Chain,
        "Gives the node a block header as a candidate tip. Fails when the header is invalid.",
        &[a("hexdata", Hex, Required, "The data in hex")],
    ),
];
