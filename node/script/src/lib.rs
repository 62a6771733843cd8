//! Script verification through libbitcoinkernel, Core's own interpreter.
//!
//! The kernel reports no error name, only that a script failed; it offers the consensus flags and no policy flags.

mod flags;
mod verify;

pub use flags::{Flags, block_flags};
pub use verify::{ScriptError, SpendCheck, verify_input, verify_transaction};
