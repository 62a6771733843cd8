//! Wallets: spending.

use super::{Method, m, a};
use super::Owner::{Wallet};
use super::Kind::{Amount, Arr, Bool, Hex, Named, Num, Obj, Str, UserKeys};
use super::Need::{Default, Hint, Optional, Required};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m("bumpfee", "wallet", Wallet, "Replaces an unconfirmed transaction of the wallet by one that pays a higher fee.", &[
        a("txid", Hex, Required, "The transaction id"),
        a("options", Named, Optional, "").oneline("options").inner(&[
            a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
            a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
            a("replaceable", Bool, Default("true"), "Signal replaceability (BIP 125)"),
            a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
            a("outputs", Arr, Default("[]"), "The outputs").unchecked().inner(&[
                a("", UserKeys, Optional, "").inner(&[
                    a("address", Amount, Required, "The address"),
                ]),
                a("", Obj, Optional, "").inner(&[
                    a("data", Hex, Required, "Data in hex"),
                ]),
            ]),
            a("original_change_index", Num, Hint("found by the wallet"), "Index of the output to take the fee from"),
        ]),
    ]),
    m("fundrawtransaction", "rawtransactions", Wallet, "Adds inputs of the wallet to a transaction until it pays for its outputs and its fee.\nIt adds no signatures; at most one change output.", &[
        a("hexstring", Hex, Required, "The data in hex"),
        a("options", Named, Optional, "").unchecked().oneline("options").inner(&[
            a("add_inputs", Bool, Default("true"), "Add inputs when the given ones do not suffice"),
            a("include_unsafe", Bool, Default("false"), "Also use outputs that may be replaced"),
            a("minconf", Num, Default("0"), "At least this many confirmations"),
            a("maxconf", Num, Optional, "At most this many confirmations"),
            a("changeAddress", Str, Hint("automatic"), "Where the change goes"),
            a("changePosition", Num, Hint("random"), "Index of the change output"),
            a("change_type", Str, Hint("set by -changetype"), "Address type of the change"),
            a("includeWatching", Bool, Default("false"), "No longer used"),
            a("lockUnspents", Bool, Default("false"), "Lock the chosen outputs"),
            a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
            a("feeRate", Amount, Hint("the wallet's estimate"), "Fee rate in BTC/kvB"),
            a("subtractFeeFromOutputs", Arr, Default("[]"), "Outputs that pay the fee").inner(&[
                a("vout_index", Num, Optional, "Index of an output"),
            ]),
            a("input_weights", Arr, Optional, "Inputs and their weights").inner(&[
                a("", Obj, Optional, "").inner(&[
                    a("txid", Hex, Required, "The transaction id"),
                    a("vout", Num, Required, "Index of the output"),
                    a("weight", Num, Required, "The weight"),
                ]),
            ]),
            a("max_tx_weight", Num, Default("400000"), "Largest accepted weight of the transaction"),
            a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
            a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
            a("replaceable", Bool, Hint("wallet default"), "Signal replaceability (BIP 125)"),
            a("solving_data", Obj, Optional, "Keys and scripts for estimating sizes of inputs").inner(&[
                a("pubkeys", Arr, Default("[]"), "Public keys").inner(&[
                    a("pubkey", Hex, Optional, "A public key"),
                ]),
                a("scripts", Arr, Default("[]"), "Scripts").inner(&[
                    a("script", Hex, Optional, "The script"),
                ]),
                a("descriptors", Arr, Default("[]"), "Output descriptors").inner(&[
                    a("descriptor", Str, Optional, "An output descriptor"),
                ]),
            ]),
        ]),
        a("iswitness", Bool, Hint("tried out"), "Whether the data is in witness serialization (default: tried out)"),
    ]),
    m("psbtbumpfee", "wallet", Wallet, "Makes a PSBT that replaces an unconfirmed transaction of the wallet by one that pays a higher fee.", &[
        a("txid", Hex, Required, "The transaction id"),
        a("options", Named, Optional, "").oneline("options").inner(&[
            a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
            a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
            a("replaceable", Bool, Default("true"), "Signal replaceability (BIP 125)"),
            a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
            a("outputs", Arr, Default("[]"), "The outputs").unchecked().inner(&[
                a("", UserKeys, Optional, "").inner(&[
                    a("address", Amount, Required, "The address"),
                ]),
                a("", Obj, Optional, "").inner(&[
                    a("data", Hex, Required, "Data in hex"),
                ]),
            ]),
            a("original_change_index", Num, Hint("found by the wallet"), "Index of the output to take the fee from"),
            a("psbt_version", Num, Default("2"), "Version of the PSBT"),
        ]),
    ]),
    m("send", "wallet", Wallet, "Makes, signs and sends a transaction, or returns a PSBT when signatures are missing.", &[
        a("outputs", Arr, Required, "The outputs").unchecked().inner(&[
            a("", UserKeys, Optional, "").inner(&[
                a("address", Amount, Required, "The address"),
            ]),
            a("", Obj, Optional, "").inner(&[
                a("data", Hex, Required, "Data in hex"),
            ]),
        ]),
        a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
        a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
        a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
        a("options", Named, Optional, "").oneline("options").inner(&[
            a("add_inputs", Bool, Hint("true when no inputs are given"), "Add inputs when the given ones do not suffice"),
            a("include_unsafe", Bool, Default("false"), "Also use outputs that may be replaced"),
            a("minconf", Num, Default("0"), "At least this many confirmations"),
            a("maxconf", Num, Optional, "At most this many confirmations"),
            a("add_to_wallet", Bool, Default("true"), "Send the transaction; false only returns it"),
            a("change_address", Str, Hint("automatic"), "Where the change goes"),
            a("change_position", Num, Hint("random"), "Index of the change output"),
            a("change_type", Str, Hint("set by -changetype"), "Address type of the change"),
            a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
            a("include_watching", Bool, Default("\"false\""), "No longer used"),
            a("inputs", Arr, Default("[]"), "The inputs").inner(&[
                a("", Obj, Optional, "").inner(&[
                    a("txid", Hex, Required, "The transaction id"),
                    a("vout", Num, Required, "Index of the output"),
                    a("sequence", Num, Hint("by replaceable and locktime"), "The sequence number"),
                    a("weight", Num, Hint("computed"), "The weight"),
                ]),
            ]),
            a("locktime", Num, Hint("near the tip, against fee sniping"), "Lock time of the transaction"),
            a("lock_unspents", Bool, Default("false"), "Lock the chosen outputs"),
            a("psbt", Bool, Hint("automatic"), "The PSBT in base64"),
            a("subtract_fee_from_outputs", Arr, Default("[]"), "Outputs that pay the fee").inner(&[
                a("vout_index", Num, Optional, "Index of an output"),
            ]),
            a("max_tx_weight", Num, Default("400000"), "Largest accepted weight of the transaction"),
            a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
            a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
            a("replaceable", Bool, Hint("wallet default"), "Signal replaceability (BIP 125)"),
            a("solving_data", Obj, Optional, "Keys and scripts for estimating sizes of inputs").inner(&[
                a("pubkeys", Arr, Default("[]"), "Public keys").inner(&[
                    a("pubkey", Hex, Optional, "A public key"),
                ]),
                a("scripts", Arr, Default("[]"), "Scripts").inner(&[
                    a("script", Hex, Optional, "The script"),
                ]),
                a("descriptors", Arr, Default("[]"), "Output descriptors").inner(&[
                    a("descriptor", Str, Optional, "An output descriptor"),
                ]),
            ]),
        ]),
        a("version", Num, Default("2"), "Version of the transaction"),
    ]),
    m("sendall", "wallet", Wallet, "Spends all outputs of the wallet, or the given ones, to one or more recipients, without change.", &[
        a("recipients", Arr, Required, "Addresses, some with an amount").inner(&[
            a("address", Str, Required, "The address"),
            a("", UserKeys, Optional, "").inner(&[
                a("address", Amount, Required, "The address"),
            ]),
        ]),
        a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
        a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
        a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
        a("options", Named, Optional, "").oneline("options").inner(&[
            a("add_to_wallet", Bool, Default("true"), "Send the transaction; false only returns it"),
            a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
            a("include_watching", Bool, Default("false"), "No longer used"),
            a("inputs", Arr, Default("[]"), "The inputs").inner(&[
                a("", Obj, Optional, "").inner(&[
                    a("txid", Hex, Required, "The transaction id"),
                    a("vout", Num, Required, "Index of the output"),
                    a("sequence", Num, Hint("by replaceable and locktime"), "The sequence number"),
                ]),
            ]),
            a("locktime", Num, Hint("near the tip, against fee sniping"), "Lock time of the transaction"),
            a("lock_unspents", Bool, Default("false"), "Lock the chosen outputs"),
            a("psbt", Bool, Hint("automatic"), "The PSBT in base64"),
            a("send_max", Bool, Default("false"), "Leave behind outputs that cost more than they bring"),
            a("minconf", Num, Default("0"), "At least this many confirmations"),
            a("maxconf", Num, Optional, "At most this many confirmations"),
            a("version", Num, Default("2"), "Version of the transaction"),
            a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
            a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
            a("replaceable", Bool, Hint("wallet default"), "Signal replaceability (BIP 125)"),
            a("solving_data", Obj, Optional, "Keys and scripts for estimating sizes of inputs").inner(&[
                a("pubkeys", Arr, Default("[]"), "Public keys").inner(&[
                    a("pubkey", Hex, Optional, "A public key"),
                ]),
                a("scripts", Arr, Default("[]"), "Scripts").inner(&[
                    a("script", Hex, Optional, "The script"),
                ]),
                a("descriptors", Arr, Default("[]"), "Output descriptors").inner(&[
                    a("descriptor", Str, Optional, "An output descriptor"),
                ]),
            ]),
        ]),
    ]),
    m("sendmany", "wallet", Wallet, "Sends to several addresses in one transaction.", &[
        a("dummy", Str, Default("\"\\\"\\\"\""), "Kept for compatibility").oneline("\"\""),
        a("amounts", UserKeys, Required, "Recipients and amounts in BTC").inner(&[
            a("address", Amount, Required, "The address"),
        ]),
        a("minconf", Num, Optional, "At least this many confirmations"),
        a("comment", Str, Optional, "A note that is kept in the wallet"),
        a("subtractfeefrom", Arr, Optional, "Recipients that pay the fee").inner(&[
            a("address", Str, Optional, "The address"),
        ]),
        a("replaceable", Bool, Hint("wallet default"), "Signal replaceability (BIP 125)"),
        a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
        a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
        a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
        a("verbose", Bool, Default("false"), "Return an object"),
    ]),
    m("sendtoaddress", "wallet", Wallet, "Sends an amount to an address.", &[
        a("address", Str, Required, "The address"),
        a("amount", Amount, Required, "The amount in BTC"),
        a("comment", Str, Optional, "A note that is kept in the wallet"),
        a("comment_to", Str, Optional, "A note about the recipient that is kept in the wallet"),
        a("subtractfeefromamount", Bool, Default("false"), "Take the fee from the amount"),
        a("replaceable", Bool, Hint("wallet default"), "Signal replaceability (BIP 125)"),
        a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
        a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
        a("avoid_reuse", Bool, Default("true"), "Avoid outputs of addresses that were used before"),
        a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
        a("verbose", Bool, Default("false"), "Return an object"),
    ]),
    m("signrawtransactionwithwallet", "wallet", Wallet, "Signs the inputs of a raw transaction with keys of the wallet.", &[
        a("hexstring", Str, Required, "The data in hex"),
        a("prevtxs", Arr, Optional, "Outputs that the transaction spends").inner(&[
            a("", Obj, Optional, "").inner(&[
                a("txid", Hex, Required, "The transaction id"),
                a("vout", Num, Required, "Index of the output"),
                a("scriptPubKey", Hex, Required, "The output script"),
                a("redeemScript", Hex, Optional, "The redeem script"),
                a("witnessScript", Hex, Optional, "The witness script"),
                a("amount", Amount, Optional, "The amount in BTC"),
            ]),
        ]),
        a("sighashtype", Str, Default("\"DEFAULT for Taproot, ALL otherwise\""), "The signature hash type"),
    ]),
    m("simulaterawtransaction", "wallet", Wallet, "Returns by how much transactions would change the balance of the wallet.", &[
        a("rawtxs", Arr, Optional, "Raw transactions in hex").inner(&[
            a("rawtx", Hex, Optional, "The transaction in hex"),
        ]),
        a("options", Named, Optional, "").inner(&[
            a("include_watchonly", Bool, Default("false"), "No longer used"),
        ]),
    ]),
    m("walletcreatefundedpsbt", "wallet", Wallet, "Makes a PSBT from inputs and outputs and adds inputs of the wallet until it is funded.", &[
        a("inputs", Arr, Optional, "The inputs").inner(&[
            a("", Obj, Optional, "").inner(&[
                a("txid", Hex, Required, "The transaction id"),
                a("vout", Num, Required, "Index of the output"),
                a("sequence", Num, Hint("by replaceable and locktime"), "The sequence number"),
                a("weight", Num, Hint("computed"), "The weight"),
            ]),
        ]),
        a("outputs", Arr, Required, "The outputs").unchecked().inner(&[
            a("", UserKeys, Optional, "").inner(&[
                a("address", Amount, Required, "The address"),
            ]),
            a("", Obj, Optional, "").inner(&[
                a("data", Hex, Required, "Data in hex"),
            ]),
        ]),
        a("locktime", Num, Default("0"), "Lock time of the transaction"),
        a("options", Named, Optional, "").oneline("options").inner(&[
            a("add_inputs", Bool, Hint("true when no inputs are given"), "Add inputs when the given ones do not suffice"),
            a("include_unsafe", Bool, Default("false"), "Also use outputs that may be replaced"),
            a("minconf", Num, Default("0"), "At least this many confirmations"),
            a("maxconf", Num, Optional, "At most this many confirmations"),
            a("changeAddress", Str, Hint("automatic"), "Where the change goes"),
            a("changePosition", Num, Hint("random"), "Index of the change output"),
            a("change_type", Str, Hint("set by -changetype"), "Address type of the change"),
            a("includeWatching", Bool, Default("false"), "No longer used"),
            a("lockUnspents", Bool, Default("false"), "Lock the chosen outputs"),
            a("fee_rate", Amount, Hint("the wallet's estimate"), "Fee rate in sat/vB"),
            a("feeRate", Amount, Hint("the wallet's estimate"), "Fee rate in BTC/kvB"),
            a("subtractFeeFromOutputs", Arr, Default("[]"), "Outputs that pay the fee").inner(&[
                a("vout_index", Num, Optional, "Index of an output"),
            ]),
            a("max_tx_weight", Num, Default("400000"), "Largest accepted weight of the transaction"),
            a("conf_target", Num, Hint("wallet -txconfirmtarget"), "Confirmation target in blocks"),
            a("estimate_mode", Str, Default("\"unset\""), "\"unset\", \"economical\" or \"conservative\""),
            a("replaceable", Bool, Hint("wallet default"), "Signal replaceability (BIP 125)"),
            a("solving_data", Obj, Optional, "Keys and scripts for estimating sizes of inputs").inner(&[
                a("pubkeys", Arr, Default("[]"), "Public keys").inner(&[
                    a("pubkey", Hex, Optional, "A public key"),
                ]),
                a("scripts", Arr, Default("[]"), "Scripts").inner(&[
                    a("script", Hex, Optional, "The script"),
                ]),
                a("descriptors", Arr, Default("[]"), "Output descriptors").inner(&[
                    a("descriptor", Str, Optional, "An output descriptor"),
                ]),
            ]),
        ]),
        a("bip32derivs", Bool, Default("true"), "Include BIP 32 derivation paths"),
        a("version", Num, Default("2"), "Version of the transaction"),
        a("psbt_version", Num, Default("2"), "Version of the PSBT"),
    ]),
    m("walletprocesspsbt", "wallet", Wallet, "Adds what the wallet knows to a PSBT, and signs the inputs that it can sign.", &[
        a("psbt", Str, Required, "The PSBT in base64"),
        a("sign", Bool, Default("true"), "Also sign"),
        a("sighashtype", Str, Default("\"DEFAULT for Taproot, ALL otherwise\""), "The signature hash type"),
        a("bip32derivs", Bool, Default("true"), "Include BIP 32 derivation paths"),
        a("finalize", Bool, Default("true"), "Also finalize inputs that can be finalized"),
    ]),
];
