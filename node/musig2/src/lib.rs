//! MuSig2 (BIP327) as wallets use it: aggregate keys with derivation (BIP328), the fields of a PSBT (BIP373), and the steps
//! of a signature: nonces, partial signatures, the aggregate.
//!
//! The arithmetic is libsecp256k1's musig module, through a version of the `secp256k1` crate that has it; keys pass between
//! that version and the one of the `bitcoin` crate as bytes. No I/O and no clock; randomness comes from the caller.

mod aggregate;
mod fields;
mod session;

pub use aggregate::{CHAIN_CODE, aggregate, synthetic_xpub};
pub use fields::{Contribution, forget, nonces, partial_signatures, participants, put_participants};
pub use session::{Secret, SecretNonce, Spend, Target, aggregate_input, aggregate_signatures};
