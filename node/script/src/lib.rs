//! Verification of scripts by two engines: libbitcoinkernel, Core's own interpreter, which judges blocks by default, and an
//! interpreter in Rust that knows every policy rule and names the error. See [`interpret`] and [`SpendCheck`].

mod cache;
mod checker;
mod conditions;
mod encoding;
mod error;
mod eval;
mod flags;
mod instruction;
mod interpreter;
mod number;
pub mod sighash;
mod taproot;
mod verify;
mod witness;

pub use cache::ScriptCache;
pub use error::ScriptError;
pub use flags::{Flags, block_flags};
pub use interpreter::interpret;
pub use sighash::{Hashes, TxData};
pub use verify::{Engine, SpendCheck, VerifyError, verify_input, verify_transaction};
