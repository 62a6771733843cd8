//! What computing with private keys leaves on the stack. Libraries pass keys by value; a value that is not used any more stays
//! where it lay until something else is written there, and a structure with room in it, made at that place, may carry it to the heap.

use zeroize::Zeroize;

/// Deeper than any call of this process goes below the place that wipes, in words of 8 bytes: each is a write of its own.
const DEPTH: usize = 8 * 1024;

/// Overwrites the stack below the caller. Call it when what computed with a key has returned.
#[inline(never)]
pub fn wipe() {
    let mut below = [0_u64; DEPTH];
    below.zeroize();
    std::hint::black_box(&below);
}
