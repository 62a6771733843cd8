//! Partially signed transactions.

use super::Kind::{Amount, Arr, Bool, Hex, Num, Obj, Range, Str, UserKeys};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::{Chain, Rpc};
use super::{Method, a, m};

/// What an argument is that chooses the format.
pub(super) const PSBT_VERSION: &str = "Version of the PSBT: 2 or 0";

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "analyzepsbt",
        "rawtransactions",
        Chain,
        "Returns the state of a PSBT and who has to act on it next.",
        &[a("psbt", Str, Required, "The PSBT in base64")],
    ),
    m(
        "combinepsbt",
        "rawtransactions",
        Chain,
        "Merges PSBTs of the same transaction into one.",
        &[a("txs", Arr, Required, "PSBTs").inner(&[a("psbt", Str, Optional, "The PSBT in base64")])],
    ),
    m(
        "converttopsbt",
        "rawtransactions",
        Chain,
        "Turns a raw transaction into a PSBT and drops its signatures when that is allowed.",
        &[
            a("hexstring", Hex, Required, "The data in hex"),
            a("permitsigdata", Bool, Default("false"), "Drop signatures that the transaction has"),
            a("iswitness", Bool, Hint("tried out"), "Whether the data is in witness serialization (default: tried out)"),
            a("psbt_version", Num, Default("2"), PSBT_VERSION),
        ],
    ),
    m(
        "createpsbt",
        "rawtransactions",
        Chain,
        "Makes a PSBT from inputs and outputs. Adds no signature and knows no UTXO.",
        &[
            a("inputs", Arr, Required, "The inputs").inner(&[a("", Obj, Optional, "").inner(&[
                a("txid", Hex, Required, "The transaction id"),
                a("vout", Num, Required, "Index of the output"),
                a("sequence", Num, Hint("by replaceable and locktime"), "The sequence number"),
            ])]),
            a("outputs", Arr, Required, "The outputs").unchecked().inner(&[
                a("", UserKeys, Optional, "").inner(&[a("address", Amount, Required, "The address")]),
                a("", Obj, Optional, "").inner(&[a("data", Hex, Required, "Data in hex")]),
            ]),
            a("locktime", Num, Default("0"), "Lock time of the transaction"),
            a("replaceable", Bool, Default("true"), "Signal replaceability (BIP 125)"),
            a("version", Num, Default("2"), "Version of the transaction"),
            a("psbt_version", Num, Default("2"), PSBT_VERSION),
        ],
    ),
    m(
        "decodepsbt",
        "rawtransactions",
        Chain,
        "Returns an object that describes a PSBT.",
        &[a("psbt", Str, Required, "The PSBT in base64")],
    ),
    m(
        "descriptorprocesspsbt",
        "rawtransactions",
        Rpc,
        "Updates a PSBT with descriptors, and signs it with the private keys that they hold.",
        &[
            a("psbt", Str, Required, "The PSBT in base64"),
            a("descriptors", Arr, Required, "Output descriptors").inner(&[
                a("", Str, Optional, ""),
                a("", Obj, Optional, "").inner(&[
                    a("desc", Str, Required, "An output descriptor"),
                    a("range", Range, Default("1000"), "End of the range, or [begin,end]"),
                ]),
            ]),
            a("sighashtype", Str, Default("\"DEFAULT for Taproot, ALL otherwise\""), "The signature hash type"),
            a("bip32derivs", Bool, Default("true"), "Include BIP 32 derivation paths"),
            a("finalize", Bool, Default("true"), "Also finalize inputs that can be finalized"),
        ],
    ),
    m(
        "finalizepsbt",
        "rawtransactions",
        Chain,
        "Finalizes the inputs of a PSBT and, when all are complete, extracts the transaction.",
        &[
            a("psbt", Str, Required, "The PSBT in base64"),
            a("extract", Bool, Default("true"), "Return the transaction when complete"),
        ],
    ),
    m(
        "joinpsbts",
        "rawtransactions",
        Chain,
        "Joins PSBTs of version 0 and of different transactions into one with all their inputs and outputs.",
        &[a("txs", Arr, Required, "PSBTs").inner(&[a("psbt", Str, Required, "The PSBT in base64")])],
    ),
    m(
        "utxoupdatepsbt",
        "rawtransactions",
        Chain,
        "Adds to a PSBT what is known of its inputs and outputs from descriptors, the UTXO set, the transaction index or the mempool.",
        &[
            a("psbt", Str, Required, "The PSBT in base64"),
            a("descriptors", Arr, Optional, "Output descriptors").inner(&[
                a("", Str, Optional, ""),
                a("", Obj, Optional, "").inner(&[
                    a("desc", Str, Required, "An output descriptor"),
                    a("range", Range, Default("1000"), "End of the range, or [begin,end]"),
                ]),
            ]),
        ],
    ),
];
