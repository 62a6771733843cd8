//! `-checkmempool` on a pool beside the chain that Core made.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, BlockHash, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, absolute, transaction};
use bitcoin_chain::engine::State;
use bitcoin_chain::mempool_accept::{Fault, check};
use bulkhead_consensus::sequence::SequenceLocks;
use bulkhead_mempool::{LockPoints, Mempool, NewEntry, Options};
use support::{import, open};

fn spend(outpoint: OutPoint, value: u64) -> Arc<Transaction> {
    Arc::new(Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn { previous_output: outpoint, ..TxIn::default() }],
        output: vec![TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::new() }],
    })
}

fn pool(state: &State, transactions: &[(Arc<Transaction>, i64)]) -> Mempool {
    let mut pool = Mempool::new(Options::default());
    let entry = |(tx, fee): &(Arc<Transaction>, i64)| NewEntry {
        tx: Arc::clone(tx),
        fee: *fee,
        time: 0,
        height: state.height(),
        sequence: 1,
        spends_coinbase: true,
        lock_points: LockPoints { locks: SequenceLocks { min_height: -1, min_time: -1 }, highest: (0, BlockHash::all_zeros()) },
        sigop_cost: 0,
    };
    pool.add(transactions.iter().map(entry).collect());
    pool
}

/// An unspent output of a coinbase in the highest block at or below `height`.
fn coinbase(state: &State, height: i32) -> (OutPoint, u64) {
    (0..=height)
        .rev()
        .find_map(|height| {
            let block = state.read_block(state.active().at(height)?).ok()?;
            let outpoint = OutPoint { txid: block.txdata[0].compute_txid(), vout: 0 };
            let coin = state.coin(&outpoint).ok()??;
            Some((outpoint, coin.output.value.to_sat()))
        })
        .unwrap()
}

#[test]
fn a_sound_pool_passes_and_each_fault_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    let state = manager.lock();
    let (old, value) = coinbase(&state, state.height() - 100);
    let (young, young_value) = coinbase(&state, state.height());
    let parent = spend(old, value - 10);
    let child = spend(OutPoint { txid: parent.compute_txid(), vout: 0 }, value - 30);
    assert!(check(&state, &pool(&state, &[(Arc::clone(&parent), 10), (Arc::clone(&child), 20)])).is_ok());

    let wrong_fee = check(&state, &pool(&state, &[(Arc::clone(&parent), 11)]));
    assert!(matches!(wrong_fee, Err(Fault::Fee { paid: 10, noted: 11, .. })), "{wrong_fee:?}");
    let orphan = check(&state, &pool(&state, &[(child, 20)]));
    assert!(matches!(orphan, Err(Fault::MissingCoin { .. })), "{orphan:?}");
    let immature = check(&state, &pool(&state, &[(spend(young, young_value - 5), 5)]));
    assert!(matches!(immature, Err(Fault::Immature { .. })), "{immature:?}");
    let unlinked = spend(OutPoint { txid: parent.compute_txid(), vout: 1 }, 0);
    let beyond = check(&state, &pool(&state, &[(parent, 10), (unlinked, 0)]));
    assert!(matches!(beyond, Err(Fault::MissingCoin { .. })), "{beyond:?}");
}
