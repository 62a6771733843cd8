//! Output descriptors (BIP380 to BIP386) as text.

mod checksum;
mod infer;

pub use checksum::{checksum, split_checksum, with_checksum};
pub use infer::infer_descriptor;
