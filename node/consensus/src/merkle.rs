//! Merkle roots and the detection of repeated hashes (CVE-2012-2459; Core: `consensus/merkle.cpp`).

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Block, Wtxid};

/// Root of `hashes`, and whether two equal neighbours make another list of transactions possible with the same root.
/// An empty list has the zero root.
pub fn root(mut hashes: Vec<sha256d::Hash>) -> (sha256d::Hash, bool) {
    let mut mutated = false;
    if hashes.is_empty() {
        return (sha256d::Hash::all_zeros(), false);
    }
    while hashes.len() > 1 {
        mutated |= hashes.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        let half = hashes.len().div_ceil(2);
        for index in 0..half {
            let left = hashes[2 * index];
            let right = hashes.get(2 * index + 1).copied().unwrap_or(left);
            hashes[index] = join(left, right);
        }
        hashes.truncate(half);
    }
    (hashes[0], mutated)
}

/// Hashes that, joined from the right one after the other, lead from the first of `hashes` to the root.
pub fn path_of_first(mut hashes: Vec<sha256d::Hash>) -> Vec<sha256d::Hash> {
    let mut path = Vec::new();
    while hashes.len() > 1 {
        path.push(hashes[1]);
        hashes = hashes.chunks(2).map(|pair| join(pair[0], pair[pair.len() - 1])).collect();
    }
    path
}

fn join(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(left.as_byte_array());
    engine.input(right.as_byte_array());
    sha256d::Hash::from_engine(engine)
}

/// Root over the witness ids, with zero in place of the coinbase's.
pub fn witness_root(block: &Block) -> sha256d::Hash {
    let leaves = block
        .txdata
        .iter()
        .enumerate()
        .map(|(index, tx)| if index == 0 { Wtxid::all_zeros().to_raw_hash() } else { tx.compute_wtxid().to_raw_hash() });
    root(leaves.collect()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(byte: u8) -> sha256d::Hash {
        sha256d::Hash::from_byte_array([byte; 32])
    }

    #[test]
    fn path_leads_from_the_first_to_the_root() {
        for count in 1..9_u8 {
            let hashes: Vec<_> = (0..count).map(|byte| sha256d::Hash::from_byte_array([byte; 32])).collect();
            let reached = path_of_first(hashes.clone()).into_iter().fold(hashes[0], join);
            assert_eq!(reached, root(hashes).0, "{count}");
        }
    }

    #[test]
    fn repeating_the_last_pair_gives_the_same_root_and_is_noticed() {
        let honest = root(vec![leaf(1), leaf(2), leaf(3)]);
        let forged = root(vec![leaf(1), leaf(2), leaf(3), leaf(3)]);
        assert_eq!(honest.0, forged.0);
        assert!(!honest.1);
        assert!(forged.1);
    }

    #[test]
    fn root_of_one_is_itself_and_of_none_is_zero() {
        assert_eq!(root(vec![leaf(7)]), (leaf(7), false));
        assert_eq!(root(Vec::new()), (sha256d::Hash::all_zeros(), false));
    }
}
