//! Refusals: an RPC code of Core and a text for the user.

use bulkhead_keystore_edge::KeystoreError;

/// `RPC_MISC_ERROR`
pub const MISC: i32 = -1;
/// `RPC_WALLET_ERROR`
pub const WALLET: i32 = -4;
/// `RPC_INVALID_ADDRESS_OR_KEY`
pub const INVALID_ADDRESS_OR_KEY: i32 = -5;
/// `RPC_INVALID_PARAMETER`
pub const INVALID_PARAMETER: i32 = -8;
/// `RPC_WALLET_UNLOCK_NEEDED`
pub const UNLOCK_NEEDED: i32 = -13;
/// `RPC_WALLET_PASSPHRASE_INCORRECT`
pub const PASSPHRASE_INCORRECT: i32 = -14;
/// `RPC_WALLET_WRONG_ENC_STATE`
pub const WRONG_ENC_STATE: i32 = -15;
/// `RPC_WALLET_ENCRYPTION_FAILED`
pub const ENCRYPTION_FAILED: i32 = -16;
/// `RPC_WALLET_NOT_FOUND`
pub const NOT_FOUND: i32 = -18;
/// `RPC_DESERIALIZATION_ERROR`
pub const DESERIALIZATION: i32 = -22;
/// `RPC_WALLET_ALREADY_EXISTS`
pub const ALREADY_EXISTS: i32 = -36;

/// A refusal without a spending rule.
#[must_use]
pub fn refuse(code: i32, message: impl Into<String>) -> KeystoreError {
    KeystoreError { code, message: message.into(), policy: String::new() }
}

/// The wallet is locked.
#[must_use]
pub fn locked() -> KeystoreError {
    refuse(UNLOCK_NEEDED, "Error: Please enter the wallet passphrase with walletpassphrase first.")
}
