//! Output descriptors (BIP380 to BIP386): parsing, canonical text, scripts, and inference from scripts.
//!
//! The grammar is Core's with its error texts; miniscript inside `wsh()` and `tr()` is left to the `miniscript` crate.
//! Not supported: `musig()` and `unused()`.

mod checksum;
mod infer;
mod key;
mod miniscript_part;
mod node;
mod parse;
mod range;

pub use checksum::{checksum, split_checksum, with_checksum};
pub use infer::infer_descriptor;
pub use key::{Key, Place};
pub use node::{Expanded, multisig_script};
pub use parse::Descriptor;
pub use range::parse_range;
