//! Fee rates.

use std::cmp::Ordering;

/// Fee for a size, compared as a fraction without rounding. The size is in virtual bytes or weight units; never mix them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeeFrac {
    /// Satoshi, may be negative after prioritisation.
    pub fee: i64,
    /// Size, zero only together with a zero fee.
    pub size: i64,
}

impl FeeFrac {
    /// A fraction.
    pub fn new(fee: i64, size: i64) -> Self {
        Self { fee, size }
    }

    /// Sum of fees and of sizes. Priorities may add up to more than a number holds: the largest then.
    pub fn plus(self, other: Self) -> Self {
        Self { fee: self.fee.saturating_add(other.fee), size: self.size + other.size }
    }

    /// Compares by rate only.
    pub fn cmp_rate(&self, other: &Self) -> Ordering {
        let left = i128::from(self.fee) * i128::from(other.size);
        let right = i128::from(other.fee) * i128::from(self.size);
        left.cmp(&right)
    }

    /// The same rate as satoshi per 1000 units, rounded down.
    pub fn per_kilo(&self) -> i64 {
        if self.size == 0 { 0 } else { (i128::from(self.fee) * 1000).div_euclid(i128::from(self.size)) as i64 }
    }
}

/// A configured rate in satoshi per 1000 virtual bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FeeRate(pub i64);

impl FeeRate {
    /// Fee for `vsize` virtual bytes, rounded up.
    pub fn fee(self, vsize: i64) -> i64 {
        let product = i128::from(self.0) * i128::from(vsize);
        (product.div_euclid(1000) + i128::from(product.rem_euclid(1000) != 0)) as i64
    }

    /// The rate as a fraction.
    pub fn frac(self) -> FeeFrac {
        FeeFrac::new(self.0, 1000)
    }
}

impl std::fmt::Display for FeeRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:08} BTC/kvB", self.0 / 100_000_000, self.0 % 100_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_round_up() {
        assert_eq!(FeeRate(100).fee(110), 11);
        assert_eq!(FeeRate(100).fee(111), 12);
        assert_eq!(FeeRate(1000).fee(0), 0);
        assert_eq!(FeeFrac::new(11, 110).per_kilo(), 100);
        assert_eq!(FeeFrac::new(1, 3).cmp_rate(&FeeFrac::new(2, 6)), Ordering::Equal);
    }
}
