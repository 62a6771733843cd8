//! What each child is told: its own options, typed, and nothing else.

mod chain;
mod net;
mod notify;
mod rpc;
mod wallet;

pub(crate) use chain::{chain, load_block_files};
pub(crate) use net::{net, upload_target};
pub(crate) use notify::{any_command, notify};
pub(crate) use rpc::rpc;
pub(crate) use wallet::{keystore, wallet};

use std::path::Path;

/// A path as text. Configurations are UTF-8; other paths are refused by the option parser already.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
