//! The mempool in this process: coins, scripts and clock for `bulkhead-mempool`, and its place next to the chain.

mod accept;
mod check;
mod coins;
mod listener;
mod package;
pub mod persist;
mod scripts;

pub use accept::{AcceptOptions, Accepted, limit};
pub use check::{Fault, check};
pub use coins::{MEMPOOL_HEIGHT, PackageCoins, find_coin};
pub use listener::{EventSink, Pool};
pub use package::{
    MAX_PACKAGE_COUNT, PackageError, PackageOutcome, PackageResult, is_child_with_parents_tree, submit_package, test_package,
};
