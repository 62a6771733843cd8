//! The indexes over the chain that Core made, and over its branches: all that Core says of blocks must come out of them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bitcoin::{Amount, BlockHash, OutPoint};
use bitcoin_chain::engine::{ChainManager, NodeId};
use bitcoin_chain::indexes::coin_stats::find_totals;
use bitcoin_chain::indexes::filters::find_filter;
use bitcoin_chain::indexes::transactions::{find_spender, find_transaction};
use bitcoin_chain::indexes::{Index, IndexError, IndexOptions, Indexes};
use support::{expected, import, open, reversed_hex};

const ALL: IndexOptions = IndexOptions { tx: Some(1 << 20), spender: Some(1 << 20), filter: Some(1 << 20), coin_stats: Some(0) };

fn open_indexes(chain: &Arc<ChainManager>) -> Indexes {
    let indexes = Indexes::open(ALL, chain).unwrap();
    indexes.start(chain).unwrap();
    indexes
}

/// Waits until an index has caught up with the tip.
fn wait(chain: &ChainManager, index: &Index) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !index.wait_for_tip(chain) {
        assert!(std::time::Instant::now() < deadline, "{} does not catch up", index.kind().name);
        std::thread::yield_now();
    }
}

fn wait_for_all(chain: &ChainManager, indexes: &Indexes) {
    indexes.iter().for_each(|index| wait(chain, index));
}

fn at(chain: &ChainManager, height: i32) -> (NodeId, BlockHash) {
    let state = chain.lock();
    let id = state.active().at(height).unwrap();
    (id, state.node(id).hash)
}

/// Compares statistics and filters with what Core gave for its chain.
fn assert_cores_figures(indexes: &Indexes, chain: &ChainManager) {
    let expected = expected();
    let (stats, filters) = (indexes.coin_stats.as_ref().unwrap(), indexes.filter.as_ref().unwrap());
    let mut compared = 0;
    for (height, facts) in expected["at"].as_object().unwrap() {
        let height: i32 = height.parse().unwrap();
        let (_, hash) = at(chain, height);
        let totals = find_totals(stats.store(), height, hash).unwrap().unwrap();
        assert_eq!(reversed_hex(&totals.muhash), facts["muhash"], "{height}");
        let (filter, record) = find_filter(filters.store(), height, hash).unwrap().unwrap();
        assert_eq!(hex::encode(filter.content), facts["filter"]["filter"], "{height}");
        assert_eq!(record.header.to_string(), facts["filter"]["header"], "{height}");
        compared += 1;
    }
    assert!(compared >= 40);
    let tip = chain.tip();
    let totals = find_totals(stats.store(), tip.height, tip.hash).unwrap().unwrap();
    let wanted = &expected["utxo"]["muhash"];
    assert_eq!(reversed_hex(&totals.muhash), wanted["muhash"]);
    assert_eq!((totals.outputs, totals.bogo_size), (wanted["txouts"].as_u64().unwrap(), wanted["bogosize"].as_u64().unwrap()));
    let bitcoin = |value: u64| Amount::from_sat(value).to_btc();
    assert_eq!(bitcoin(totals.amount), wanted["total_amount"].as_f64().unwrap());
    assert_eq!(bitcoin(totals.unspendable.total()), wanted["total_unspendable_amount"].as_f64().unwrap());
}

/// Looks every transaction and every spent output of the active chain up.
fn assert_all_transactions(indexes: &Indexes, chain: &ChainManager) {
    let (by_id, by_output) = (indexes.tx.as_ref().unwrap(), indexes.spender.as_ref().unwrap());
    let genesis = chain.params().genesis.txdata[0].compute_txid();
    assert_eq!(find_transaction(by_id, chain, &genesis).unwrap(), None);
    let mut spenders = HashMap::new();
    for height in 1..=chain.tip().height {
        let (id, hash) = at(chain, height);
        let block = chain.lock().read_block(id).unwrap();
        for tx in &block.txdata {
            let found = find_transaction(by_id, chain, &tx.compute_txid()).unwrap().unwrap();
            assert_eq!((&found.tx, found.block, found.is_indexed), (tx, hash, true));
            for input in tx.input.iter().filter(|_| !tx.is_coinbase()) {
                spenders.insert(input.previous_output, tx.compute_txid());
            }
        }
    }
    assert!(spenders.len() > 1000);
    for (outpoint, txid) in &spenders {
        assert_eq!(find_spender(by_output, chain, outpoint).unwrap().unwrap().tx.compute_txid(), *txid);
    }
    let tip = at(chain, chain.tip().height).0;
    let coinbase = chain.lock().read_block(tip).unwrap().txdata[0].compute_txid();
    assert_eq!(find_spender(by_output, chain, &OutPoint { txid: coinbase, vout: 0 }).unwrap(), None);
}

#[test]
fn indexes_that_follow_the_import_and_those_that_catch_up_agree_with_core() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), |_| {});
    let indexes = open_indexes(&chain);
    import(&chain);
    wait_for_all(&chain, &indexes);
    assert_cores_figures(&indexes, &chain);
    assert_all_transactions(&indexes, &chain);
    drop(indexes);
    chain.flush().unwrap();
    drop(chain);

    std::fs::remove_dir_all(directory.path().join("indexes")).unwrap();
    let chain = open(directory.path(), |_| {});
    let indexes = Indexes::open(ALL, &chain).unwrap();
    assert!(indexes.iter().all(|index| !index.summary().synced && index.summary().height == 0));
    indexes.start(&chain).unwrap();
    wait_for_all(&chain, &indexes);
    assert_cores_figures(&indexes, &chain);
    assert_all_transactions(&indexes, &chain);
}

#[test]
fn an_index_follows_reorganisations_and_still_knows_the_branch_that_was_left() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), |_| {});
    let indexes = open_indexes(&chain);
    import(&chain);
    wait_for_all(&chain, &indexes);
    let expected = expected();
    let stats = indexes.coin_stats.as_ref().unwrap();
    // Core's operator had taken this branch back; it parts from the chain four blocks below its tip.
    let (branch, old) = (at(&chain, 656).0, at(&chain, 657));
    let (tip, left) = (at(&chain, chain.tip().height).0, chain.tip());
    chain.invalidate_block(old.0).unwrap();
    assert_ne!(chain.lock().active().at(657), Some(old.0), "another branch takes over");
    assert_eq!(chain.lock().active().at(656), Some(branch));
    wait_for_all(&chain, &indexes);
    let now = chain.tip();
    assert!(now.height < left.height);
    let totals = find_totals(stats.store(), now.height, now.hash).unwrap().unwrap();
    let walked = chain.utxo_stats(bitcoin_chain::engine::utxo_stats::HashKind::MuHash).unwrap();
    assert_eq!((Some(totals.muhash), totals.outputs, totals.amount), (walked.hash, walked.outputs, walked.total_amount));
    let before = find_totals(stats.store(), left.height, left.hash).unwrap().unwrap();
    assert_eq!(reversed_hex(&before.muhash), expected["utxo"]["muhash"]["muhash"]);
    assert_all_transactions(&indexes, &chain);

    chain.reconsider_block(old.0).unwrap();
    assert_eq!(chain.lock().active().tip(), Some(tip));
    wait_for_all(&chain, &indexes);
    assert_cores_figures(&indexes, &chain);
    assert_all_transactions(&indexes, &chain);
}

/// Ends as a crash does: what was recorded counts, what was only written does not.
fn forget(indexes: Indexes, chain: Arc<ChainManager>) {
    drop(indexes);
    drop(chain);
}

#[test]
fn after_a_crash_an_index_goes_on_with_the_block_that_the_chain_had_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), |_| {});
    let indexes = open_indexes(&chain);
    import(&chain);
    wait_for_all(&chain, &indexes);
    chain.sync(&mut chain.lock()).unwrap();
    // The flush wakes the indexes, which then record their block; the reorganisation after it is lost with the crash.
    let middle = at(&chain, 300).0;
    indexes.stop().record();
    chain.invalidate_block(middle).unwrap();
    forget(indexes, chain);

    let chain = open(directory.path(), |_| {});
    assert_eq!(chain.tip().height, 703);
    let indexes = Indexes::open(ALL, &chain).unwrap();
    assert!(indexes.iter().all(|index| index.summary().synced && index.summary().height == 703));
    assert_cores_figures(&indexes, &chain);
    assert_all_transactions(&indexes, &chain);
}

#[test]
fn an_index_never_records_a_block_that_the_chain_on_disk_may_forget() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), |_| {});
    chain.flush().unwrap();
    let indexes = open_indexes(&chain);
    import(&chain);
    wait_for_all(&chain, &indexes);
    let state = chain.lock();
    let flushed = state.coins().database().best_block().unwrap().and_then(|hash| state.lookup(&hash)).unwrap();
    let flushed = state.node(flushed).height;
    drop(state);
    assert!(flushed < 703, "the import flushes at its end, which this test does not expect");
    forget(indexes, chain);
    let chain = open(directory.path(), |_| {});
    let indexes = Indexes::open(ALL, &chain).unwrap();
    assert!(indexes.iter().all(|index| index.summary().height <= flushed));
    indexes.start(&chain).unwrap();
    import(&chain);
    wait_for_all(&chain, &indexes);
    assert_cores_figures(&indexes, &chain);
}

fn open_error(directory: &Path) -> String {
    let chain = open(directory, |_| {});
    Indexes::open(ALL, &chain).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn an_index_that_belongs_to_another_chain_is_refused_and_left_alone() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in [&ours, &other] {
        let chain = open(directory.path(), |_| {});
        let indexes = open_indexes(&chain);
        if directory.path() == other.path() {
            import(&chain);
        }
        wait_for_all(&chain, &indexes);
        let stopped = indexes.stop();
        chain.flush().unwrap();
        stopped.record();
    }
    let (index, place) = (other.path().join("indexes/coinstatsindex"), ours.path().join("indexes/coinstatsindex"));
    std::fs::rename(&place, place.with_extension("own")).unwrap();
    std::fs::rename(&index, &place).unwrap();
    let text = IndexError::UnknownBest("coinstatsindex").to_string();
    assert_eq!(open_error(ours.path()), text);
    std::fs::rename(&place, &index).unwrap();
    let chain = open(other.path(), |_| {});
    let indexes = Indexes::open(ALL, &chain).unwrap();
    assert!(indexes.iter().all(|index| index.summary().synced), "nothing was changed");
    assert_cores_figures(&indexes, &chain);
}
