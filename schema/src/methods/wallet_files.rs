//! Wallets: files, keys and descriptors.

use super::Kind::{Arr, Bool, Hex, Named, Num, Obj, Range, Str};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::Wallet;
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m("abortrescan", "wallet", Wallet, "Stops the rescan that is running.", &[]),
    m(
        "addhdkey",
        "wallet",
        Wallet,
        "Adds an HD key to the wallet, for use with createwalletdescriptor.",
        &[a("hdkey", Str, Hint("a new one"), "The HD key")],
    ),
    m(
        "backupwallet",
        "wallet",
        Wallet,
        "Copies the wallet file to a path.",
        &[a("destination", Str, Required, "Path of the file to write")],
    ),
    m(
        "createwallet",
        "wallet",
        Wallet,
        "Creates and loads a new wallet.",
        &[
            a("wallet_name", Str, Required, "The name of the wallet"),
            a("disable_private_keys", Bool, Default("false"), "Create a watch-only wallet"),
            a("blank", Bool, Default("false"), "Create a wallet without keys"),
            a("passphrase", Str, Optional, "The passphrase"),
            a("avoid_reuse", Bool, Default("false"), "Avoid outputs of addresses that were used before"),
            a("descriptors", Bool, Default("true"), "Output descriptors"),
            a("load_on_startup", Bool, Optional, "Load at each start: true, false, or null to leave it as it is"),
            a("external_signer", Bool, Default("false"), "Keys are on an external device"),
        ],
    ),
    m(
        "createwalletdescriptor",
        "wallet",
        Wallet,
        "Adds descriptors of another address type to the wallet, made from its HD key.",
        &[
            a("type", Str, Required, "The type"),
            a("options", Named, Optional, "").inner(&[
                a("internal", Bool, Hint("both kinds"), "For change"),
                a("hdkey", Str, Hint("the key of the active descriptors"), "The HD key"),
            ]),
        ],
    ),
    m(
        "encryptwallet",
        "wallet",
        Wallet,
        "Encrypts the private keys of the wallet with a passphrase. From then on signing needs walletpassphrase.",
        &[a("passphrase", Str, Required, "The passphrase")],
    ),
    m(
        "exportwatchonlywallet",
        "wallet",
        Wallet,
        "Writes a copy of the wallet without private keys to a file.",
        &[a("destination", Str, Required, "Path of the file to write")],
    ),
    m(
        "gethdkeys",
        "wallet",
        Wallet,
        "Returns the HD keys of the wallet and the descriptors that use them.",
        &[a("options", Named, Optional, "").inner(&[
            a("active_only", Bool, Default("false"), "Only keys of active descriptors"),
            a("private", Bool, Default("false"), "Include private keys"),
        ])],
    ),
    m("getwalletinfo", "wallet", Wallet, "Returns the state of the wallet.", &[]),
    m(
        "importdescriptors",
        "wallet",
        Wallet,
        "Imports descriptors and searches the chain for their transactions from their time on.",
        &[a("requests", Arr, Required, "What to import").oneline("requests").inner(&[a("", Obj, Optional, "").inner(&[
            a("desc", Str, Required, "An output descriptor"),
            a("active", Bool, Default("false"), "Use this descriptor for new addresses of its type"),
            a("range", Range, Optional, "End of the range, or [begin,end]"),
            a("next_index", Num, Optional, "Next index to use"),
            a("timestamp", Num, Required, "Time in seconds since 1970").typed("timestamp | \"now\"", "integer / string"),
            a("internal", Bool, Default("false"), "For change"),
            a("label", Str, Default("\"\""), "The label"),
        ])])],
    ),
    m(
        "importprunedfunds",
        "wallet",
        Wallet,
        "Imports a transaction without a rescan, given a proof of its inclusion.",
        &[a("rawtransaction", Hex, Required, "The transaction in hex"), a("txoutproof", Hex, Required, "The proof in hex")],
    ),
    m(
        "keypoolrefill",
        "wallet",
        Wallet,
        "Derives keys ahead until the key pool has a given size.",
        &[a("newsize", Num, Hint("1000, or as set by -keypool"), "The size of the pool")],
    ),
    m(
        "listdescriptors",
        "wallet",
        Wallet,
        "Returns the descriptors of the wallet.",
        &[a("private", Bool, Default("false"), "Include private keys")],
    ),
    m("listwalletdir", "wallet", Wallet, "Returns the wallets in the wallet directory.", &[]),
    m("listwallets", "wallet", Wallet, "Returns the loaded wallets.", &[]),
    m(
        "loadwallet",
        "wallet",
        Wallet,
        "Loads a wallet from its file or directory.",
        &[
            a("filename", Str, Required, "The file"),
            a("load_on_startup", Bool, Optional, "Load at each start: true, false, or null to leave it as it is"),
        ],
    ),
    m(
        "migratewallet",
        "wallet",
        Wallet,
        "Turns a legacy wallet into a descriptor wallet.",
        &[
            a("wallet_name", Str, Hint("the wallet of the endpoint"), "The name of the wallet"),
            a("passphrase", Str, Optional, "The passphrase"),
            a("load_wallet", Bool, Default("true"), "Load the wallet afterwards"),
        ],
    ),
    m(
        "removeprunedfunds",
        "wallet",
        Wallet,
        "Removes a transaction from the wallet; the counterpart of importprunedfunds.",
        &[a("txid", Hex, Required, "The transaction id")],
    ),
    m(
        "rescanblockchain",
        "wallet",
        Wallet,
        "Searches the chain for transactions of the wallet.",
        &[a("start_height", Num, Default("0"), "Height to start at"), a("stop_height", Num, Optional, "Height to stop at")],
    ),
    m(
        "restorewallet",
        "wallet",
        Wallet,
        "Restores a wallet from a backup and loads it.",
        &[
            a("wallet_name", Str, Required, "The name of the wallet"),
            a("backup_file", Str, Required, "The backup to read"),
            a("load_on_startup", Bool, Optional, "Load at each start: true, false, or null to leave it as it is"),
        ],
    ),
    m(
        "setwalletflag",
        "wallet",
        Wallet,
        "Sets or clears a flag of the wallet.",
        &[a("flag", Str, Required, "The name of the flag"), a("value", Bool, Default("true"), "The value")],
    ),
    m(
        "unloadwallet",
        "wallet",
        Wallet,
        "Unloads a wallet.",
        &[
            a("wallet_name", Str, Hint("the wallet of the endpoint"), "The name of the wallet"),
            a("load_on_startup", Bool, Optional, "Load at each start: true, false, or null to leave it as it is"),
        ],
    ),
    m("walletlock", "wallet", Wallet, "Removes the decryption key from memory; signing needs walletpassphrase again.", &[]),
    m(
        "walletpassphrase",
        "wallet",
        Wallet,
        "Unlocks the wallet for a number of seconds.",
        &[
            a("passphrase", Str, Required, "The passphrase"),
            a("timeout", Num, Required, "Milliseconds or seconds until it gives up; 0: never"),
        ],
    ),
    m(
        "walletpassphrasechange",
        "wallet",
        Wallet,
        "Changes the passphrase of the wallet.",
        &[a("oldpassphrase", Str, Required, "The present passphrase"), a("newpassphrase", Str, Required, "The new passphrase")],
    ),
];
