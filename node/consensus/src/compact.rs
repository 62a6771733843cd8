//! 256-bit targets, their compact form (`nBits`) and the work that they stand for.

use bitcoin::{CompactTarget, Target, Work};

/// Decodes `bits`; `None` when it is negative, zero, overflows or is above `limit` (Core's `DeriveTarget`).
pub fn derive_target(bits: u32, limit: Target) -> Option<Target> {
    let mantissa = bits & 0x007f_ffff;
    let exponent = bits >> 24;
    let negative = mantissa != 0 && bits & 0x0080_0000 != 0;
    if negative || overflows(mantissa, exponent) {
        return None;
    }
    let target = Target::from_compact(CompactTarget::from_consensus(bits));
    (target != Target::ZERO && target <= limit).then_some(target)
}

fn overflows(mantissa: u32, exponent: u32) -> bool {
    mantissa != 0 && (exponent > 34 || (mantissa > 0xff && exponent > 33) || (mantissa > 0xffff && exponent > 32))
}

/// Work that a block with these `bits` proves; zero for bits that no block can have.
pub fn work_of(bits: u32) -> Work {
    match derive_target(bits, Target::from_be_bytes([0xff; 32])) {
        Some(target) => target.to_work(),
        None => Work::from_be_bytes([0; 32]),
    }
}

/// `target * numerator / denominator` in 256-bit arithmetic that wraps on overflow, as Core's does.
/// `denominator` must not be zero; zero gives zero.
pub fn scale(target: Target, numerator: u32, denominator: u32) -> Target {
    if denominator == 0 {
        return Target::ZERO;
    }
    let bytes = target.to_be_bytes();
    let mut limbs = [0u32; 8];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = chunk.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
    }
    let mut carry = 0u64;
    for limb in limbs.iter_mut().rev() {
        let product = u64::from(*limb) * u64::from(numerator) + carry;
        *limb = product as u32; // the low half; the high half is carried
        carry = product >> 32;
    }
    let mut remainder = 0u64;
    for limb in &mut limbs {
        let value = remainder << 32 | u64::from(*limb);
        *limb = (value / u64::from(denominator)) as u32; // remainder < denominator, so the quotient fits
        remainder = value % u64::from(denominator);
    }
    let mut out = [0u8; 32];
    for (chunk, limb) in out.chunks_exact_mut(4).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    Target::from_be_bytes(out)
}

/// Base-2 logarithm of accumulated work, as printed in `UpdateTip` lines.
pub fn log2_work(work: Work) -> f64 {
    let value = work.to_be_bytes().iter().fold(0f64, |value, byte| value * 256.0 + f64::from(*byte));
    value.log2()
}

/// Difficulty as the RPCs report it: how many times harder than `0x1d00ffff` (Core's `GetDifficulty`).
pub fn difficulty(bits: u32) -> f64 {
    let mut shift = (bits >> 24) & 0xff;
    let mut difficulty = f64::from(0x0000_ffff) / f64::from(bits & 0x00ff_ffff);
    while shift < 29 {
        difficulty *= 256.0;
        shift += 1;
    }
    while shift > 29 {
        difficulty /= 256.0;
        shift -= 1;
    }
    difficulty
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ANY: [u8; 32] = [0xff; 32];

    #[test]
    fn derive_target_refuses_what_core_refuses() {
        let any = Target::from_be_bytes(ANY);
        assert!(derive_target(0, any).is_none());
        assert!(derive_target(0x0180_3456, any).is_none(), "zero after shift or negative");
        assert!(derive_target(0x0492_3456, any).is_none(), "negative");
        assert!(derive_target(0xff12_3456, any).is_none(), "overflow");
        assert!(derive_target(0x2300_00ff, any).is_none() == overflows(0xff, 35));
        assert!(derive_target(0x207f_ffff, any).is_some());
        let limit = derive_target(0x1d00_ffff, any).unwrap();
        assert!(derive_target(0x1d01_0000, limit).is_none(), "above the limit");
    }

    #[test]
    fn regtest_block_proves_work_two() {
        assert_eq!(work_of(0x207f_ffff).to_be_bytes()[31], 2);
    }

    #[test]
    fn scale_multiplies_before_it_divides() {
        let target = Target::from_compact(CompactTarget::from_consensus(0x1d00_ffff));
        assert_eq!(scale(target, 1_209_600, 1_209_600), target);
        assert_eq!(scale(scale(target, 1, 4), 4, 1), target);
    }

    #[test]
    fn difficulty_of_the_first_block_is_one() {
        assert_eq!(difficulty(0x1d00_ffff), 1.0);
        assert!((difficulty(0x207f_ffff) - 4.656542373906925e-10).abs() < 1e-25);
    }
}
