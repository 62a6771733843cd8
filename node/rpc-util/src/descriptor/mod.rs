//! Output descriptors as calls take and show them; the language itself is `bulkhead-descriptor`.

mod infer;
mod multisig;
mod parsed;
mod range;

pub use bulkhead_descriptor::{Solution, checksum, split_multipath, with_checksum};
pub use infer::infer_descriptor;
pub use multisig::multisig_script;
pub use parsed::Descriptor;
pub use range::parse_range;
