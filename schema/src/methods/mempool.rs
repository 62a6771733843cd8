//! The mempool.

use super::Kind::{Amount, Arr, Bool, Hex, Named, Num, Obj, Str};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::Chain;
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "getmempoolancestors",
        "blockchain",
        Chain,
        "Returns the unconfirmed ancestors of a transaction of the mempool.",
        &[a("txid", Hex, Required, "The transaction id"), a("verbose", Bool, Default("false"), "Return an object")],
    ),
    m(
        "getmempoolcluster",
        "blockchain",
        Chain,
        "Returns the cluster of the mempool that a transaction belongs to.",
        &[a("txid", Hex, Required, "The transaction id")],
    ),
    m(
        "getmempooldescendants",
        "blockchain",
        Chain,
        "Returns the unconfirmed descendants of a transaction of the mempool.",
        &[a("txid", Hex, Required, "The transaction id"), a("verbose", Bool, Default("false"), "Return an object")],
    ),
    m(
        "getmempoolentry",
        "blockchain",
        Chain,
        "Returns what the mempool knows of one transaction.",
        &[a("txid", Hex, Required, "The transaction id")],
    ),
    m("getmempoolfeeratediagram", "hidden", Chain, "Returns the fee rate diagram of the whole mempool.", &[]),
    m("getmempoolinfo", "blockchain", Chain, "Returns size, limits and fee floors of the mempool.", &[]),
    m(
        "getrawmempool",
        "blockchain",
        Chain,
        "Returns the ids of all transactions of the mempool, or an object with the details of each.",
        &[
            a("verbose", Bool, Default("false"), "Return an object"),
            a("mempool_sequence", Bool, Default("false"), "Also return the sequence number of the mempool"),
        ],
    ),
    m(
        "gettxspendingprevout",
        "blockchain",
        Chain,
        "Returns which transaction spends each of the given outputs.",
        &[
            a("outputs", Arr, Required, "The outputs").inner(&[a("", Obj, Optional, "")
                .inner(&[a("txid", Hex, Required, "The transaction id"), a("vout", Num, Required, "Index of the output")])]),
            a("options", Named, Optional, "").inner(&[
                a("mempool_only", Bool, Hint("true without -txospenderindex"), "Only look at the mempool"),
                a("return_spending_tx", Bool, Hint("false"), "Also return the spending transactions"),
            ]),
        ],
    ),
    m(
        "importmempool",
        "blockchain",
        Chain,
        "Reads transactions from a mempool.dat file into the mempool.",
        &[
            a("filepath", Str, Required, "The file"),
            a("options", Named, Optional, "").oneline("options").inner(&[
                a("use_current_time", Bool, Default("true"), "Take the present time as time of arrival"),
                a("apply_fee_delta_priority", Bool, Default("false"), "Also take over fee adjustments"),
                a("apply_unbroadcast_set", Bool, Default("false"), "Also take over which transactions still need broadcasting"),
            ]),
        ],
    ),
    m("savemempool", "blockchain", Chain, "Writes the mempool to its file.", &[]),
    m(
        "testmempoolaccept",
        "rawtransactions",
        Chain,
        "Says whether the mempool would accept raw transactions, without adding them.",
        &[
            a("rawtxs", Arr, Required, "Raw transactions in hex").inner(&[a("rawtx", Hex, Optional, "The transaction in hex")]),
            a("maxfeerate", Amount, Default("\"0.10\""), "Refuse fee rates above this, in BTC/kvB"),
        ],
    ),
];
