//! Relative lock times (BIP68; Core: `CalculateSequenceLocks`, `EvaluateSequenceLocks`).

use bitcoin::Transaction;

use crate::HeaderView;

const DISABLE_FLAG: u32 = 1 << 31;
const TYPE_FLAG: u32 = 1 << 22;
const MASK: u32 = 0x0000_ffff;
const GRANULARITY: u32 = 9;

/// The last height and time at which a transaction is still locked; -1 for no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceLocks {
    /// The transaction may be in a block above this height.
    pub min_height: i32,
    /// The transaction may be in a block whose parent's median time, in seconds, is above this.
    pub min_time: i64,
}

/// Computes the locks. `heights` holds, per input, the height of the block that created the spent output; `chain` must reach
/// those heights. `enforce` tells whether BIP68 applies.
pub fn sequence_locks(tx: &Transaction, heights: &[i32], chain: &impl HeaderView, enforce: bool) -> SequenceLocks {
    let mut locks = SequenceLocks { min_height: -1, min_time: -1 };
    if !enforce || (tx.version.0 as u32) < 2 {
        return locks;
    }
    for (input, &height) in tx.input.iter().zip(heights) {
        let sequence = input.sequence.to_consensus_u32();
        if sequence & DISABLE_FLAG != 0 {
            continue;
        }
        let amount = sequence & MASK; // 16 bits, so the sums below cannot overflow
        if sequence & TYPE_FLAG != 0 {
            let start = chain.median_time_past((height - 1).max(0));
            locks.min_time = locks.min_time.max(start + (i64::from(amount) << GRANULARITY) - 1);
        } else {
            locks.min_height = locks.min_height.max(height + amount as i32 - 1);
        }
    }
    locks
}

/// Whether `locks` have expired for a block at `height` whose parent has the median time `parent_median_time`, in seconds.
pub fn are_satisfied(locks: SequenceLocks, height: i32, parent_median_time: i64) -> bool {
    locks.min_height < height && locks.min_time < parent_median_time
}
