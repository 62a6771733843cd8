//! How blocks are assembled.

use bitcoin::ScriptBuf;
use bulkhead_consensus::{MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT};
use bulkhead_mempool::FeeRate;

/// Header, count and the smallest coinbase take this much.
const MIN_RESERVED_WEIGHT: i64 = 2000;

/// What to put into a block.
#[derive(Debug, Clone)]
pub struct TemplateOptions {
    /// Who gets the reward.
    pub coinbase_script: ScriptBuf,
    /// Whether to take transactions of the mempool.
    pub use_mempool: bool,
    /// Weight kept for header, count and coinbase.
    pub reserved_weight: i64,
    /// Largest weight.
    pub max_weight: i64,
    /// Signature operations kept for the coinbase.
    pub coinbase_sigops: i64,
    /// Chunks below this rate stay out.
    pub min_fee_rate: FeeRate,
    /// Block version, if it is not to be computed (regtest only).
    pub version: Option<i32>,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self {
            // Core's dummy: OP_TRUE.
            coinbase_script: ScriptBuf::from_bytes(vec![0x51]),
            use_mempool: true,
            reserved_weight: 8000,
            max_weight: 4_000_000,
            coinbase_sigops: 400,
            min_fee_rate: FeeRate(1),
            version: None,
        }
    }
}

/// Checks options that a client gave (Core: `CheckMiningOptions`).
///
/// # Errors
/// Core's text.
pub fn check_options(options: &TemplateOptions) -> Result<(), String> {
    let (reserved, max, sigops) = (options.reserved_weight, options.max_weight, options.coinbase_sigops);
    if reserved < MIN_RESERVED_WEIGHT {
        let text = "is lower than minimum safety value of";
        return Err(format!("block_reserved_weight ({reserved}) {text} ({MIN_RESERVED_WEIGHT})"));
    }
    let most = MAX_BLOCK_WEIGHT as i64; // four millions
    for (name, value) in [("block_reserved_weight", reserved), ("block_max_weight", max)] {
        if value > most {
            return Err(format!("{name} ({value}) exceeds consensus maximum block weight ({most})"));
        }
    }
    if reserved > max {
        return Err(format!("block_reserved_weight ({reserved}) exceeds block_max_weight ({max})"));
    }
    let most = MAX_BLOCK_SIGOPS_COST as i64; // eighty thousand
    if sigops > most {
        let name = "coinbase_output_max_additional_sigops";
        return Err(format!("{name} ({sigops}) exceeds consensus maximum block sigops cost ({most})"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn options_out_of_bounds_are_named() {
        check_options(&TemplateOptions::default()).unwrap();
        let with =
            |reserved_weight, coinbase_sigops| TemplateOptions { reserved_weight, coinbase_sigops, ..TemplateOptions::default() };
        let text = "block_reserved_weight (1999) is lower than minimum safety value of (2000)";
        assert_eq!(check_options(&with(1999, 0)).unwrap_err(), text);
        let text = "block_reserved_weight (4000001) exceeds consensus maximum block weight (4000000)";
        assert_eq!(check_options(&with(4_000_001, 0)).unwrap_err(), text);
        let text = "coinbase_output_max_additional_sigops (80001) exceeds consensus maximum block sigops cost (80000)";
        assert_eq!(check_options(&with(8000, 80_001)).unwrap_err(), text);
        let small = TemplateOptions { max_weight: 7000, ..with(8000, 0) };
        assert_eq!(check_options(&small).unwrap_err(), "block_reserved_weight (8000) exceeds block_max_weight (7000)");
    }
}
