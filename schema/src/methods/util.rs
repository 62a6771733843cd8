//! Helpers without state, and fee estimates.

use super::Kind::{Arr, Hex, Num, Range, Str};
use super::Need::{Default, Optional, Required};
use super::Owner::{Chain, Rpc};
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "createmultisig",
        "util",
        Chain,
        "Makes a multi-signature address from public keys.",
        &[
            a("nrequired", Num, Required, "How many signatures are needed"),
            a("keys", Arr, Required, "The keys").inner(&[a("key", Hex, Optional, "A key")]),
            a("address_type", Str, Default("\"legacy\""), "\"legacy\", \"p2sh-segwit\", \"bech32\" or \"bech32m\""),
        ],
    ),
    m(
        "deriveaddresses",
        "util",
        Chain,
        "Returns the addresses of an output descriptor.",
        &[
            a("descriptor", Str, Required, "An output descriptor"),
            a("range", Range, Optional, "End of the range, or [begin,end]"),
        ],
    ),
    m(
        "estimaterawfee",
        "hidden",
        Chain,
        "Returns the fee estimator's raw data for a confirmation target. Its form may change.",
        &[
            a("conf_target", Num, Required, "Confirmation target in blocks"),
            a("threshold", Num, Default("0.95"), "Share of transactions that have to be confirmed"),
        ],
    ),
    m(
        "estimatesmartfee",
        "util",
        Chain,
        "Estimates the fee rate that a transaction needs to be confirmed within a number of blocks.",
        &[
            a("conf_target", Num, Required, "Confirmation target in blocks"),
            a("estimate_mode", Str, Default("\"economical\""), "\"unset\", \"economical\" or \"conservative\""),
        ],
    ),
    m(
        "getdescriptorinfo",
        "util",
        Chain,
        "Analyses a descriptor and computes its checksum.",
        &[a("descriptor", Str, Required, "An output descriptor")],
    ),
    m(
        "getindexinfo",
        "util",
        Chain,
        "Returns the state of the optional indexes.",
        &[a("index_name", Str, Optional, "Only this index")],
    ),
    m(
        "signmessagewithprivkey",
        "util",
        Rpc,
        "Signs a message with a private key given here.\nThe key is used in a process of its own that ends after the call.",
        &[a("privkey", Str, Required, "The private key"), a("message", Str, Required, "The message")],
    ),
    m(
        "validateaddress",
        "util",
        Chain,
        "Return information about the given bitcoin address.",
        &[a("address", Str, Required, "The address")],
    ),
    m(
        "verifymessage",
        "util",
        Chain,
        "Checks a signature made by signmessage.",
        &[
            a("address", Str, Required, "The address"),
            a("signature", Str, Required, "The signature in base64"),
            a("message", Str, Required, "The message"),
        ],
    ),
];
