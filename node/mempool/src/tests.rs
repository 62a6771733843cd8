//! Behaviour of the pool as a whole.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bulkhead_consensus::sequence::SequenceLocks;
use std::collections::BTreeSet;
use std::sync::Arc;

fn tx(inputs: &[OutPoint], outputs: usize, salt: u32) -> Transaction {
    let input = |outpoint: &OutPoint| TxIn {
        previous_output: *outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let script = ScriptBuf::from_bytes([&[0u8, 20][..], &[7; 20]].concat());
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(salt),
        input: inputs.iter().map(input).collect(),
        output: vec![TxOut { value: Amount::from_sat(1000), script_pubkey: script }; outputs],
    }
}

fn coin(n: u8) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([n; 32]), vout: 0 }
}

fn entry(tx: &Transaction, fee: i64, time: i64) -> NewEntry {
    let lock_points = LockPoints { locks: SequenceLocks { min_height: -1, min_time: -1 }, highest: (0, BlockHash::all_zeros()) };
    NewEntry { tx: Arc::new(tx.clone()), fee, time, height: 1, sequence: 1, spends_coinbase: false, lock_points, sigop_cost: 1 }
}

/// Adds and announces.
fn put(pool: &mut Mempool, new: NewEntry) -> Txid {
    let txid = put_below(pool, new);
    pool.check().unwrap();
    txid
}

/// As [`put`], for a parent that comes back from a block: its children are here and not linked yet.
fn put_below(pool: &mut Mempool, new: NewEntry) -> Txid {
    let txid = new.tx.compute_txid();
    pool.add(vec![new]);
    pool.announce(&txid, true);
    txid
}

fn out(txid: Txid, vout: u32) -> OutPoint {
    OutPoint { txid, vout }
}

fn candidate(tx: &Transaction, fee: i64) -> Candidate<'_> {
    let weight = tx.weight().to_wu() as i64;
    Candidate { tx, txid: tx.compute_txid(), modified_fee: fee, adjusted_weight: weight, vsize: (weight + 3) / 4 }
}

#[test]
fn block_confirms_and_evicts_conflicts_with_descendants() {
    let mut pool = Mempool::new(Options::default());
    let confirmed = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 100, 0));
    let child = put(&mut pool, entry(&tx(&[out(confirmed, 0)], 1, 0), 100, 0));
    let loser = put(&mut pool, entry(&tx(&[coin(2)], 1, 0), 100, 0));
    put(&mut pool, entry(&tx(&[out(loser, 0)], 1, 0), 100, 0));
    let other_spend = tx(&[coin(2)], 1, 9);
    pool.take_events();
    pool.remove_for_block(&[tx(&[coin(1)], 1, 0), other_spend], 5);
    assert_eq!(pool.iter().map(|entry| entry.txid).collect::<Vec<_>>(), [child]);
    assert!(pool.get(&child).unwrap().parents.is_empty());
    pool.check().unwrap();
    let reason = |event| match event {
        Event::Removed { reason, .. } => reason,
        Event::Added { .. } => panic!("nothing was added"),
    };
    let reasons: Vec<_> = pool.take_events().into_iter().map(reason).collect();
    assert_eq!(reasons, [RemovalReason::Conflict, RemovalReason::Conflict]);
}

#[test]
fn parent_added_late_finds_its_child() {
    let mut pool = Mempool::new(Options::default());
    let parent = tx(&[coin(1)], 2, 0);
    let child = put(&mut pool, entry(&tx(&[out(parent.compute_txid(), 1)], 1, 0), 100, 0));
    let parent = put_below(&mut pool, entry(&parent, 100, 0));
    assert_eq!(pool.ancestors(&child), BTreeSet::from([child]));
    pool.link_children(&[parent]);
    pool.check().unwrap();
    assert_eq!(pool.ancestors(&child), BTreeSet::from([child, parent]));
    assert_eq!(pool.descendants(&parent).len(), 2);
    assert_eq!(pool.cluster(&parent), pool.cluster(&child));
}

#[test]
fn replacement_needs_absolute_fee_relay_fee_and_better_diagram() {
    let mut pool = Mempool::new(Options::default());
    let old = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 1000, 0));
    let new = tx(&[coin(1)], 1, 1);
    let conflicts = pool.conflicts_of(&new);
    let reason = |pool: &Mempool, tx: &Transaction, fee| {
        pool.check_replacement(candidate(tx, fee), &conflicts, false).map_err(|reject| (reject.reason, reject.debug))
    };
    let (word, debug) = reason(&pool, &new, 999).unwrap_err();
    assert_eq!(word, "insufficient fee");
    assert!(debug.ends_with("less fees than conflicting txs; 0.00000999 < 0.00001"), "{debug}");
    let (_, debug) = reason(&pool, &new, 1001).unwrap_err();
    assert!(debug.contains("not enough additional fees to relay; 0.00000001 < 0.00000009"), "{debug}");
    assert_eq!(reason(&pool, &new, 1100).unwrap(), BTreeSet::from([old]));
    // Much larger: pays more in all but less per byte.
    let large = tx(&[coin(1)], 100, 2);
    assert_eq!(reason(&pool, &large, 2000).unwrap_err().0, "replacement-failed");
}

#[test]
fn cluster_limit_counts_whole_cluster_without_what_is_replaced() {
    let mut pool = Mempool::new(Options { cluster_count: 3, ..Options::default() });
    let parent = put(&mut pool, entry(&tx(&[coin(1)], 3, 0), 100, 0));
    let third = tx(&[out(parent, 2)], 1, 0);
    assert!(pool.fits(&[candidate(&third, 100)], &BTreeSet::new()));
    put(&mut pool, entry(&tx(&[out(parent, 0)], 1, 0), 100, 0));
    let second = put(&mut pool, entry(&tx(&[out(parent, 1)], 1, 0), 100, 0));
    assert!(!pool.fits(&[candidate(&third, 100)], &BTreeSet::new()));
    assert!(pool.fits(&[candidate(&third, 100)], &BTreeSet::from([second])));
}

#[test]
fn clusters_join_over_a_child_and_part_without_it() {
    let mut pool = Mempool::new(Options::default());
    let left = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 100, 0));
    let right = put(&mut pool, entry(&tx(&[coin(2)], 1, 0), 100, 0));
    let child = put(&mut pool, entry(&tx(&[out(left, 0), out(right, 0)], 1, 0), 900, 0));
    assert_eq!(pool.cluster(&left).len(), 3);
    assert_eq!(pool.chunk_of(&left), pool.chunk_of(&child));
    pool.remove_recursive(&[child], RemovalReason::Expiry);
    pool.check().unwrap();
    assert_eq!(pool.cluster(&left), [left]);
}

#[test]
fn reorganisation_cuts_clusters_to_the_limit() {
    let mut pool = Mempool::new(Options { cluster_count: 4, ..Options::default() });
    let parent = tx(&[coin(1)], 6, 0);
    let children: Vec<Txid> = (0..6)
        .map(|vout| put(&mut pool, entry(&tx(&[out(parent.compute_txid(), vout)], 1, 0), 1000 + i64::from(vout), 0)))
        .collect();
    let parent = put_below(&mut pool, entry(&parent, 0, 0));
    pool.link_children(&[parent]);
    pool.check().unwrap();
    // The best children stay.
    let mut kept: Vec<Txid> = vec![parent, children[5], children[4], children[3]];
    pool.sort_for_mining(&mut kept);
    assert_eq!(pool.ordered_txids(), kept);
    assert_eq!(pool.len(), 4);
}

#[test]
fn trim_drops_the_worst_and_raises_the_minimum() {
    let mut pool = Mempool::new(Options::default());
    let good = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 10_000, 0));
    put(&mut pool, entry(&tx(&[coin(2)], 1, 0), 10, 0));
    assert_eq!(pool.min_fee(0), FeeRate(0));
    pool.options.max_bytes = pool.memory() - 1;
    assert_eq!(pool.trim(), 1);
    assert_eq!(pool.iter().map(|entry| entry.txid).collect::<Vec<_>>(), [good]);
    let raised = pool.min_fee(0);
    assert!(raised > FeeRate(100));
    // It stays until a block comes, then decays.
    assert_eq!(pool.min_fee(1_000_000), raised);
    pool.remove_for_block(&[], 1_000_000);
    assert_eq!(pool.min_fee(2_000_000), FeeRate(0));
}

#[test]
fn expiry_takes_descendants_along() {
    let mut pool = Mempool::new(Options { expiry: 10, ..Options::default() });
    let old = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 100, 0));
    put(&mut pool, entry(&tx(&[out(old, 0)], 1, 0), 100, 100));
    let young = put(&mut pool, entry(&tx(&[coin(2)], 1, 0), 100, 100));
    assert_eq!(pool.expire(10), 0);
    assert_eq!(pool.expire(11), 2);
    assert_eq!(pool.ordered_txids(), [young]);
}

#[test]
fn mining_order_prefers_packages_by_rate() {
    let mut pool = Mempool::new(Options::default());
    let medium = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 500, 0));
    let poor = put(&mut pool, entry(&tx(&[coin(2)], 1, 0), 10, 0));
    let rich_child = put(&mut pool, entry(&tx(&[out(poor, 0)], 1, 0), 5000, 0));
    assert_eq!(pool.ordered_txids(), [poor, rich_child, medium]);
    pool.prioritise(medium, 1_000_000);
    assert_eq!(pool.ordered_txids(), [medium, poor, rich_child]);
    pool.prioritise(medium, -1_000_000);
    assert!(pool.deltas().is_empty());
}

#[test]
fn version_3_child_may_have_one_parent_and_no_sibling() {
    let mut pool = Mempool::new(Options::default());
    let mut parent = tx(&[coin(1)], 2, 0);
    parent.version = Version(3);
    let parent = put(&mut pool, entry(&parent, 0, 0));
    let mut child = tx(&[out(parent, 0)], 1, 0);
    assert!(pool.check_truc(candidate(&child, 10), &BTreeSet::new()).unwrap_err().message.starts_with("non-version=3 tx"));
    child.version = Version(3);
    pool.check_truc(candidate(&child, 10), &BTreeSet::new()).unwrap();
    let child = put(&mut pool, entry(&child, 10, 0));
    let mut second = tx(&[out(parent, 1)], 1, 0);
    second.version = Version(3);
    let violation = pool.check_truc(candidate(&second, 10), &BTreeSet::new()).unwrap_err();
    assert_eq!(violation.sibling, Some(child));
}

#[test]
fn version_3_rules_hold_inside_a_package() {
    let pool = Mempool::new(Options::default());
    let mut parent = tx(&[coin(1)], 2, 0);
    parent.version = Version(3);
    let mut child = tx(&[out(parent.compute_txid(), 0)], 1, 0);
    let check = |child: &Transaction, package: &[&Transaction]| {
        let package: Vec<_> = package.iter().map(|tx| candidate(tx, 0)).collect();
        pool.check_package_truc(candidate(child, 0), &package)
    };
    assert!(check(&child, &[&parent, &child]).unwrap_err().starts_with("non-version=3 tx"));
    child.version = Version(3);
    check(&child, &[&parent, &child]).unwrap();
    let mut grandchild = tx(&[out(child.compute_txid(), 0)], 1, 0);
    grandchild.version = Version(3);
    assert!(check(&child, &[&parent, &child, &grandchild]).unwrap_err().ends_with("would have too many ancestors"));
    let mut sibling = tx(&[out(parent.compute_txid(), 1)], 1, 0);
    sibling.version = Version(3);
    assert!(check(&child, &[&parent, &child, &sibling]).unwrap_err().ends_with("would exceed descendant count limit"));
}

#[test]
fn package_replacement_must_beat_parent_and_pool() {
    let mut pool = Mempool::new(Options::default());
    let old = put(&mut pool, entry(&tx(&[coin(1)], 1, 0), 1000, 0));
    let parent = tx(&[coin(1)], 1, 1);
    let child = tx(&[out(parent.compute_txid(), 0)], 1, 0);
    let conflicts = BTreeSet::from([old]);
    let reason = |fees: (i64, i64)| {
        let (parent, child) = (candidate(&parent, fees.0), candidate(&child, fees.1));
        pool.check_package_replacement(parent, child, &conflicts).map_err(|reject| reject.reason)
    };
    assert_eq!(reason((0, 1000)).unwrap_err(), "package RBF failed: insufficient anti-DoS fees");
    let text = "package RBF failed: package feerate is less than or equal to parent feerate";
    assert_eq!(reason((2000, 100)).unwrap_err(), text);
    let text = "package RBF failed: insufficient feerate: does not improve feerate diagram";
    assert_eq!(reason((0, 1500)).unwrap_err(), text);
    assert_eq!(reason((0, 5000)).unwrap(), conflicts);
}
