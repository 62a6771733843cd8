//! Fee rates (Core: `wallet/fees.cpp`). Rates are satoshi per 1000 virtual bytes.

use super::CoinControl;

/// Fee for a size; rounds up, and is at least 1 satoshi when rate and size are not 0.
pub fn fee(rate: i64, vbytes: i64) -> i64 {
    let product = i128::from(rate) * i128::from(vbytes);
    let fee = if product >= 0 { (product + 999) / 1000 } else { product / 1000 };
    i64::try_from(fee).unwrap_or(i64::MAX)
}

/// Wallet options about fees.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeeOptions {
    /// `-fallbackfee`; 0: off.
    pub fallback: i64,
    /// `-mintxfee`.
    pub min_tx: i64,
    /// `-discardfee`.
    pub discard: i64,
    /// `-consolidatefeerate`.
    pub consolidate: i64,
    /// `-maxtxfee`, satoshi.
    pub max_tx_fee: i64,
    /// `-maxapsfee`, satoshi; -1: off.
    pub max_aps_fee: i64,
    /// `-txconfirmtarget`, blocks.
    pub confirm_target: u32,
    /// `-walletrbf`.
    pub rbf: bool,
}

/// What chain said about fees.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChainFees {
    /// Estimate for the wanted target, if there is one.
    pub estimate: Option<i64>,
    /// Target that the estimate is for.
    pub returned_target: u32,
    /// Estimate for the longest target, if there is one.
    pub longest_estimate: Option<i64>,
    /// Mempool minimum.
    pub mempool_min: i64,
    /// `-minrelaytxfee`.
    pub relay_min: i64,
    /// `-incrementalrelayfee`.
    pub incremental: i64,
    /// `-dustrelayfee`.
    pub dust: i64,
}

/// Why the rate is what it is (Core: `FeeReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeeReason {
    /// The user set it.
    None,
    /// Estimate.
    Estimate,
    /// `-fallbackfee`.
    Fallback,
    /// Mempool minimum.
    MempoolMin,
    /// `-mintxfee` or `-minrelaytxfee`.
    Required,
}

impl FeeReason {
    /// Text in verbose answers.
    pub fn text(self) -> &'static str {
        match self {
            FeeReason::None => "None",
            FeeReason::Estimate => "Conservative Double Target longer horizon",
            FeeReason::Fallback => "Fallback fee",
            FeeReason::MempoolMin => "Mempool Min Fee",
            FeeReason::Required => "Minimum Required Fee",
        }
    }
}

/// The smallest rate that we would ever use.
pub fn required_rate(options: &FeeOptions, chain: &ChainFees) -> i64 {
    options.min_tx.max(chain.relay_min)
}

/// The target and the mode that an estimate is wanted for.
pub fn estimate_question(options: &FeeOptions, control: &CoinControl) -> (u32, bool) {
    let target = control.confirm_target.unwrap_or(options.confirm_target);
    let conservative = control.conservative.unwrap_or(!control.rbf.unwrap_or(options.rbf));
    (target, conservative)
}

/// The rate to pay; 0 when there is neither an estimate nor a fallback.
pub fn minimum_rate(options: &FeeOptions, control: &CoinControl, chain: &ChainFees) -> (i64, FeeReason) {
    let (mut rate, mut reason);
    if let Some(set) = control.fee_rate {
        if control.override_fee_rate {
            return (set, FeeReason::None);
        }
        (rate, reason) = (set, FeeReason::None);
    } else {
        match chain.estimate {
            Some(estimate) if estimate > 0 => (rate, reason) = (estimate, FeeReason::Estimate),
            _ => {
                (rate, reason) = (options.fallback, FeeReason::Fallback);
                if rate == 0 {
                    return (0, reason);
                }
            }
        }
        if rate < chain.mempool_min {
            (rate, reason) = (chain.mempool_min, FeeReason::MempoolMin);
        }
    }
    let required = required_rate(options, chain);
    if required > rate {
        (rate, reason) = (required, FeeReason::Required);
    }
    (rate, reason)
}

/// Below this rate a coin is not worth keeping.
pub fn discard_rate(options: &FeeOptions, chain: &ChainFees) -> i64 {
    let rate = match chain.longest_estimate {
        Some(estimate) if estimate > 0 => estimate.min(options.discard),
        _ => options.discard,
    };
    rate.max(chain.dust)
}

/// A rate in satoshi per vbyte as messages show it.
pub fn format_sat_vb(rate: i64) -> String {
    format!("{}.{:03} sat/vB", rate / 1000, (rate % 1000).abs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_rate_follows_the_precedence_of_core() {
        let options =
            FeeOptions { fallback: 20_000, min_tx: 1000, discard: 10_000, confirm_target: 6, rbf: true, ..FeeOptions::default() };
        let chain = ChainFees { mempool_min: 1000, relay_min: 1000, dust: 3000, ..ChainFees::default() };
        let control = CoinControl::default();
        assert_eq!(minimum_rate(&options, &control, &chain), (20_000, FeeReason::Fallback));
        let off = FeeOptions { fallback: 0, ..options };
        assert_eq!(minimum_rate(&off, &control, &chain), (0, FeeReason::Fallback));
        let estimated = ChainFees { estimate: Some(500), ..chain };
        assert_eq!(minimum_rate(&options, &control, &estimated), (1000, FeeReason::MempoolMin));
        let low = CoinControl { fee_rate: Some(10), ..CoinControl::default() };
        assert_eq!(minimum_rate(&options, &low, &chain), (1000, FeeReason::Required));
        assert_eq!(discard_rate(&options, &chain), 10_000);
        assert_eq!(estimate_question(&options, &control), (6, false));
        assert_eq!(format_sat_vb(1234), "1.234 sat/vB");
        assert_eq!(fee(1000, 141), 141);
        assert_eq!(fee(1, 1), 1);
    }
}
