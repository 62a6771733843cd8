//! The mempool in this process: coins, scripts and clock for `bulkhead-mempool`, and its place next to the chain.

mod accept;
mod coins;
mod listener;
mod package;
mod persist;

pub use accept::{AcceptOptions, Accepted, limit};
pub use coins::{MEMPOOL_HEIGHT, PackageCoins, find_coin};
pub use listener::{EventSink, Pool};
pub use package::{PackageOutcome, check_package_form, submit_package, test_package};
pub use persist::{MempoolFile, Saved};
