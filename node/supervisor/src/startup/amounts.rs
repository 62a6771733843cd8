//! Amounts in options, with their defaults (satoshis, or satoshis per 1000 virtual bytes).

use crate::error::{NodeError, init};
use bulkhead_config::{ArgsManager, parse_money};

/// The amount of an option, or a default.
pub(crate) fn amount(args: &ArgsManager, name: &str, default: i64) -> Result<i64, NodeError> {
    match args.get(name) {
        None => Ok(default),
        Some(text) => parse_money(&text).ok_or_else(|| init(format!("Invalid amount for {name}=<amount>: '{text}'"))),
    }
}

/// The three fee rates that several processes read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayFees {
    pub minimum: i64,
    pub incremental: i64,
    pub dust: i64,
}

/// `-minrelaytxfee`, `-incrementalrelayfee`, `-dustrelayfee`.
pub(crate) fn relay_fees(args: &ArgsManager) -> Result<RelayFees, NodeError> {
    let incremental = amount(args, "-incrementalrelayfee", 100)?;
    // The incremental fee alone lifts the minimum too.
    let minimum = amount(args, "-minrelaytxfee", 100.max(incremental))?;
    Ok(RelayFees { minimum, incremental, dust: amount(args, "-dustrelayfee", 3000)? })
}
