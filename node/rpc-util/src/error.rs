//! The error object of a JSON-RPC answer and the codes clients depend on.

use serde_json::{Value, json};

/// Malformed request object (HTTP 400).
pub const INVALID_REQUEST: i32 = -32600;
/// No such method (HTTP 404).
pub const METHOD_NOT_FOUND: i32 = -32601;
/// Parameters of a wrong shape.
pub const INVALID_PARAMS: i32 = -32602;
/// A fault of the node itself.
pub const INTERNAL_ERROR: i32 = -32603;
/// The request is not JSON.
pub const PARSE_ERROR: i32 = -32700;

/// Unclassified failure; also carries help texts.
pub const MISC_ERROR: i32 = -1;
/// The server is in safe mode (reserved, never sent).
pub const FORBIDDEN_BY_SAFE_MODE: i32 = -2;
/// A value of an unexpected JSON type.
pub const TYPE_ERROR: i32 = -3;
/// Unclassified wallet failure.
pub const WALLET_ERROR: i32 = -4;
/// Unknown or malformed address, key, hash or transaction.
pub const INVALID_ADDRESS_OR_KEY: i32 = -5;
/// Not enough funds.
pub const WALLET_INSUFFICIENT_FUNDS: i32 = -6;
/// Out of memory.
pub const OUT_OF_MEMORY: i32 = -7;
/// A value that is missing, repeated or out of its range.
pub const INVALID_PARAMETER: i32 = -8;
/// No peers.
pub const CLIENT_NOT_CONNECTED: i32 = -9;
/// Initial block download is in progress.
pub const CLIENT_IN_INITIAL_DOWNLOAD: i32 = -10;
/// Bad label.
pub const WALLET_INVALID_LABEL_NAME: i32 = -11;
/// No keys left to hand out.
pub const WALLET_KEYPOOL_RAN_OUT: i32 = -12;
/// The wallet is locked.
pub const WALLET_UNLOCK_NEEDED: i32 = -13;
/// Wrong passphrase.
pub const WALLET_PASSPHRASE_INCORRECT: i32 = -14;
/// The call does not fit the wallet's encryption state.
pub const WALLET_WRONG_ENC_STATE: i32 = -15;
/// Encryption failed.
pub const WALLET_ENCRYPTION_FAILED: i32 = -16;
/// Already unlocked.
pub const WALLET_ALREADY_UNLOCKED: i32 = -17;
/// No such wallet.
pub const WALLET_NOT_FOUND: i32 = -18;
/// Several wallets are loaded and none was named.
pub const WALLET_NOT_SPECIFIED: i32 = -19;
/// Database failure.
pub const DATABASE_ERROR: i32 = -20;
/// Bytes that do not decode.
pub const DESERIALIZATION_ERROR: i32 = -22;
/// The node is in the list already.
pub const CLIENT_NODE_ALREADY_ADDED: i32 = -23;
/// The node was never added.
pub const CLIENT_NODE_NOT_ADDED: i32 = -24;
/// A transaction or block failed in general.
pub const VERIFY_ERROR: i32 = -25;
/// A transaction or block was refused by the rules.
pub const VERIFY_REJECTED: i32 = -26;
/// The transaction's outputs are in the coin set already.
pub const VERIFY_ALREADY_IN_UTXO_SET: i32 = -27;
/// The node is starting.
pub const IN_WARMUP: i32 = -28;
/// No such connected peer.
pub const CLIENT_NODE_NOT_CONNECTED: i32 = -29;
/// Bad address or subnet.
pub const CLIENT_INVALID_IP_OR_SUBNET: i32 = -30;
/// P2P is off.
pub const CLIENT_P2P_DISABLED: i32 = -31;
/// The method was retired.
pub const METHOD_DEPRECATED: i32 = -32;
/// There is no mempool.
pub const CLIENT_MEMPOOL_DISABLED: i32 = -33;
/// No free connection slot.
pub const CLIENT_NODE_CAPACITY_REACHED: i32 = -34;
/// That wallet is loaded already.
pub const WALLET_ALREADY_LOADED: i32 = -35;
/// A wallet of that name exists.
pub const WALLET_ALREADY_EXISTS: i32 = -36;
/// A bounded resource is full.
pub const LIMIT_EXCEEDED: i32 = -37;

/// What a method answers instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of the codes of this module.
    pub code: i32,
    /// Text for the user; tests compare it.
    pub message: String,
}

impl RpcError {
    /// An error of any code.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `-1`: unclassified failure.
    pub fn misc(message: impl Into<String>) -> Self {
        Self::new(MISC_ERROR, message)
    }

    /// `-3`: wrong JSON type.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::new(TYPE_ERROR, message)
    }

    /// `-5`: unknown or malformed address, key or hash.
    pub fn address_or_key(message: impl Into<String>) -> Self {
        Self::new(INVALID_ADDRESS_OR_KEY, message)
    }

    /// `-8`: bad parameter.
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMETER, message)
    }

    /// `-22`: bytes that do not decode.
    pub fn deserialization(message: impl Into<String>) -> Self {
        Self::new(DESERIALIZATION_ERROR, message)
    }

    /// `-32603`: a fault of the node.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, message)
    }

    /// The `error` member of an answer.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code, "message": self.message})
    }
}

/// What most of this crate returns.
pub type RpcResult<T = Value> = Result<T, RpcError>;
