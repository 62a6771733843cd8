//! Wallets: addresses, balances, history.

use super::Kind::{Amount, Arr, Bool, Hex, Named, Num, Obj, Str};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::Wallet;
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "abandontransaction",
        "wallet",
        Wallet,
        "Marks an unconfirmed transaction of the wallet, and those that spend it, as abandoned, so that their inputs can be spent again.",
        &[a("txid", Hex, Required, "The transaction id")],
    ),
    m("enumeratesigners", "signer", Wallet, "Returns the devices that the command of -signer finds.", &[]),
    m(
        "getaddressesbylabel",
        "wallet",
        Wallet,
        "Returns the addresses that carry a label.",
        &[a("label", Str, Required, "The label")],
    ),
    m(
        "getaddressinfo",
        "wallet",
        Wallet,
        "Returns what the wallet knows of an address.",
        &[a("address", Str, Required, "The address")],
    ),
    m(
        "getbalance",
        "wallet",
        Wallet,
        "Returns the spendable balance of the wallet.",
        &[
            a("dummy", Str, Optional, "Kept for compatibility"),
            a("minconf", Num, Default("0"), "At least this many confirmations"),
            a("include_watchonly", Bool, Default("false"), "No longer used"),
            a("avoid_reuse", Bool, Default("true"), "Avoid outputs of addresses that were used before"),
        ],
    ),
    m("getbalances", "wallet", Wallet, "Returns the balances of the wallet in BTC.", &[]),
    m(
        "getnewaddress",
        "wallet",
        Wallet,
        "Returns a new address for receiving payments.",
        &[
            a("label", Str, Default("\"\""), "The label"),
            a("address_type", Str, Hint("set by -addresstype"), "\"legacy\", \"p2sh-segwit\", \"bech32\" or \"bech32m\""),
        ],
    ),
    m(
        "getrawchangeaddress",
        "wallet",
        Wallet,
        "Returns a new address for change, for use with raw transactions.",
        &[a("address_type", Str, Hint("set by -changetype"), "\"legacy\", \"p2sh-segwit\", \"bech32\" or \"bech32m\"")],
    ),
    m(
        "getreceivedbyaddress",
        "wallet",
        Wallet,
        "Returns the amount that an address has received.",
        &[
            a("address", Str, Required, "The address"),
            a("minconf", Num, Default("1"), "At least this many confirmations"),
            a("include_immature_coinbase", Bool, Default("false"), "Count immature coinbase outputs"),
        ],
    ),
    m(
        "getreceivedbylabel",
        "wallet",
        Wallet,
        "Returns the amount that the addresses of a label have received.",
        &[
            a("label", Str, Required, "The label"),
            a("minconf", Num, Default("1"), "At least this many confirmations"),
            a("include_immature_coinbase", Bool, Default("false"), "Count immature coinbase outputs"),
        ],
    ),
    m(
        "gettransaction",
        "wallet",
        Wallet,
        "Returns details of a transaction of the wallet.",
        &[
            a("txid", Str, Required, "The transaction id"),
            a("include_watchonly", Bool, Default("false"), "No longer used"),
            a("verbose", Bool, Default("false"), "Return an object"),
        ],
    ),
    m("listaddressgroupings", "wallet", Wallet, "Returns groups of addresses whose common ownership has become public.", &[]),
    m(
        "listlabels",
        "wallet",
        Wallet,
        "Returns the labels, all or those of one purpose.",
        &[a("purpose", Str, Optional, "\"send\" or \"receive\"")],
    ),
    m("listlockunspent", "wallet", Wallet, "Returns the outputs that lockunspent keeps from being spent.", &[]),
    m(
        "listreceivedbyaddress",
        "wallet",
        Wallet,
        "Returns the amounts received, by address.",
        &[
            a("minconf", Num, Default("1"), "At least this many confirmations"),
            a("include_empty", Bool, Default("false"), "Also list addresses that received nothing"),
            a("include_watchonly", Bool, Default("false"), "No longer used"),
            a("address_filter", Str, Optional, "Only entries of this address"),
            a("include_immature_coinbase", Bool, Default("false"), "Count immature coinbase outputs"),
        ],
    ),
    m(
        "listreceivedbylabel",
        "wallet",
        Wallet,
        "Returns the amounts received, by label.",
        &[
            a("minconf", Num, Default("1"), "At least this many confirmations"),
            a("include_empty", Bool, Default("false"), "Also list addresses that received nothing"),
            a("include_watchonly", Bool, Default("false"), "No longer used"),
            a("include_immature_coinbase", Bool, Default("false"), "Count immature coinbase outputs"),
        ],
    ),
    m(
        "listsinceblock",
        "wallet",
        Wallet,
        "Returns the transactions of the wallet since a block, or all.",
        &[
            a("blockhash", Str, Optional, "The block hash"),
            a("target_confirmations", Num, Default("1"), "Look back this many confirmations"),
            a("include_watchonly", Bool, Default("false"), "No longer used"),
            a("include_removed", Bool, Default("true"), "Also list transactions that a reorganisation removed"),
            a("include_change", Bool, Default("false"), "Also list change outputs"),
            a("label", Str, Optional, "The label"),
        ],
    ),
    m(
        "listtransactions",
        "wallet",
        Wallet,
        "Returns the newest transactions of the wallet.",
        &[
            a("label", Str, Optional, "The label"),
            a("count", Num, Default("10"), "How many"),
            a("skip", Num, Default("0"), "How many to skip"),
            a("include_watchonly", Bool, Default("false"), "No longer used"),
        ],
    ),
    m(
        "listunspent",
        "wallet",
        Wallet,
        "Returns the unspent outputs of the wallet.",
        &[
            a("minconf", Num, Default("1"), "At least this many confirmations"),
            a("maxconf", Num, Default("9999999"), "At most this many confirmations"),
            a("addresses", Arr, Default("[]"), "The addresses").inner(&[a("address", Str, Optional, "The address")]),
            a("include_unsafe", Bool, Default("true"), "Also use outputs that may be replaced"),
            a("query_options", Named, Optional, "").oneline("query_options").inner(&[
                a("minimumAmount", Amount, Default("\"0.00\""), "Smallest value of each output in BTC"),
                a("maximumAmount", Amount, Hint("unlimited"), "Largest value of each output in BTC"),
                a("maximumCount", Num, Hint("unlimited"), "Largest number of outputs"),
                a("minimumSumAmount", Amount, Hint("unlimited"), "Smallest sum of all outputs in BTC"),
                a("include_immature_coinbase", Bool, Default("false"), "Count immature coinbase outputs"),
            ]),
        ],
    ),
    m(
        "lockunspent",
        "wallet",
        Wallet,
        "Keeps outputs from being selected for spending, or frees them.",
        &[
            a("unlock", Bool, Required, "Free the outputs instead of locking them"),
            a("transactions", Arr, Default("[]"), "Transactions in hex, or their ids").inner(&[a("", Obj, Optional, "")
                .inner(&[a("txid", Hex, Required, "The transaction id"), a("vout", Num, Required, "Index of the output")])]),
            a("persistent", Bool, Default("false"), "Keep the lock after a restart"),
        ],
    ),
    m(
        "setlabel",
        "wallet",
        Wallet,
        "Sets the label of an address.",
        &[a("address", Str, Required, "The address"), a("label", Str, Required, "The label")],
    ),
    m(
        "signmessage",
        "wallet",
        Wallet,
        "Signs a message with the private key of an address of the wallet.",
        &[a("address", Str, Required, "The address"), a("message", Str, Required, "The message")],
    ),
    m(
        "walletdisplayaddress",
        "wallet",
        Wallet,
        "Shows an address on an external signer, for comparison.",
        &[a("address", Str, Required, "The address")],
    ),
];
