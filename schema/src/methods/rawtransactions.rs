//! Raw transactions.

use super::Kind::{Amount, Arr, Bool, Hex, Num, Obj, Str, UserKeys};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::{Chain, Net, Rpc};
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "abortprivatebroadcast",
        "rawtransactions",
        Net,
        "Gives up broadcasting a transaction privately and forgets it. Only with -privatebroadcast.",
        &[a("id", Hex, Required, "Its txid or wtxid; all transactions with this txid are meant")],
    ),
    m(
        "combinerawtransaction",
        "rawtransactions",
        Rpc,
        "Merges partially signed copies of a transaction into one.",
        &[a("txs", Arr, Required, "PSBTs").inner(&[a("hexstring", Hex, Optional, "The data in hex")])],
    ),
    m(
        "createrawtransaction",
        "rawtransactions",
        Chain,
        "Makes an unsigned transaction from inputs and outputs. It is neither stored nor sent.",
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
        ],
    ),
    m(
        "decoderawtransaction",
        "rawtransactions",
        Chain,
        "Returns an object that describes a raw transaction.",
        &[
            a("hexstring", Hex, Required, "The data in hex"),
            a("iswitness", Bool, Hint("tried out"), "Whether the data is in witness serialization (default: tried out)"),
        ],
    ),
    m(
        "decodescript",
        "rawtransactions",
        Chain,
        "Returns an object that describes a script.",
        &[a("hexstring", Hex, Required, "The data in hex")],
    ),
    m(
        "getprivatebroadcastinfo",
        "rawtransactions",
        Net,
        "Returns the transactions that are being broadcast privately. Only with -privatebroadcast.",
        &[],
    ),
    m(
        "getrawtransaction",
        "rawtransactions",
        Chain,
        "Returns one transaction: from the mempool, from a named block, or from the transaction index.",
        &[
            a("txid", Hex, Required, "The transaction id"),
            a("verbosity|verbose", Num, Default("0"), "How much detail").unchecked(),
            a("blockhash", Hex, Optional, "The block hash"),
        ],
    ),
    m(
        "sendrawtransaction",
        "rawtransactions",
        Chain,
        "Puts a raw transaction into the mempool and relays it to peers.",
        &[
            a("hexstring", Hex, Required, "The data in hex"),
            a("maxfeerate", Amount, Default("\"0.10\""), "Refuse fee rates above this, in BTC/kvB"),
            a("maxburnamount", Amount, Default("\"0.00\""), "Largest accepted value in BTC of provably unspendable outputs"),
        ],
    ),
    m(
        "signrawtransactionwithkey",
        "rawtransactions",
        Rpc,
        "Signs the inputs of a raw transaction with the private keys given here.\nThe keys are used in a process of their own that ends after the call.",
        &[
            a("hexstring", Str, Required, "The data in hex"),
            a("privkeys", Arr, Required, "The private keys").inner(&[a("privatekey", Hex, Optional, "The private key")]),
            a("prevtxs", Arr, Optional, "Outputs that the transaction spends").inner(&[a("", Obj, Optional, "").inner(&[
                a("txid", Hex, Required, "The transaction id"),
                a("vout", Num, Required, "Index of the output"),
                a("scriptPubKey", Hex, Required, "The output script"),
                a("redeemScript", Hex, Optional, "The redeem script"),
                a("witnessScript", Hex, Optional, "The witness script"),
                a("amount", Amount, Optional, "The amount in BTC"),
            ])]),
            a("sighashtype", Str, Default("\"DEFAULT for Taproot, ALL otherwise\""), "The signature hash type"),
        ],
    ),
    m(
        "submitpackage",
        "rawtransactions",
        Chain,
        "Puts a package of raw transactions into the mempool and relays them.",
        &[
            a("package", Arr, Required, "Raw transactions, parents first").inner(&[a(
                "rawtx",
                Hex,
                Optional,
                "The transaction in hex",
            )]),
            a("maxfeerate", Amount, Default("\"0.10\""), "Refuse fee rates above this, in BTC/kvB"),
            a("maxburnamount", Amount, Default("\"0.00\""), "Largest accepted value in BTC of provably unspendable outputs"),
        ],
    ),
];
