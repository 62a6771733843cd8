//! What every process that answers RPC calls shares: error codes, parameter checks, and the JSON of amounts, scripts,
//! addresses, transactions and headers exactly as Bitcoin Core writes it.
//!
//! No I/O, no clock, no state.

pub mod address;
pub mod amount;
pub mod asm;
pub mod bech32;
pub mod codec;
pub mod descriptor;
pub mod error;
pub mod opcode;
pub mod params;
pub mod prevouts;
pub mod psbt;
pub mod signing;
pub mod solver;
pub mod txjson;

pub use address::{decode_address, encode_address, network_from_name, network_name};
pub use amount::{COIN, MAX_MONEY, amount_from_json, amount_to_json, double_to_json, fee_rate_from_json, format_amount};
pub use asm::script_asm;
pub use codec::{decode_hex_tx, parse_block_hash, parse_hex, parse_txid, tx_to_hex};
pub use descriptor::{infer_descriptor, with_checksum};
pub use error::{RpcError, RpcResult};
pub use params::{ArgKind, ArgSpec, Params};
pub use solver::{Destination, ScriptType, solve};
pub use txjson::{HeaderContext, Prevout, TxContext, header_to_json, script_to_json, tx_to_json};
