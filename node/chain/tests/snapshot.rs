//! A chain that starts from a snapshot of the coins of Core's chain: it goes on from there, validates what lies below, survives a
//! restart in the middle, and ends with the same coins in the ordinary place.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Cursor, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use bitcoin::Block;
use bitcoin_chain::engine::load_snapshot::LoadError;
use bitcoin_chain::engine::utxo_stats::HashKind;
use bitcoin_chain::engine::{ChainManager, EngineOptions, OpenError, Silent};
use bitcoin_chain::indexes::{IndexOptions, Indexes};
use bulkhead_consensus::params::AssumeUtxo;
use bulkhead_store::snapshot::{HEADER, Metadata};
use bulkhead_store::snapshot_dir;
use support::{import, open, reversed_hex};

/// The base block.
const BASE: i32 = 150;

/// Core's chain as blocks, the file of its coins at [`BASE`], and what a node has to know to take it.
struct Source {
    blocks: Vec<Block>,
    file: Vec<u8>,
    facts: AssumeUtxo,
    muhash: Option<[u8; 32]>,
}

fn source() -> Source {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), |_| {});
    import(&chain);
    let base = chain.lock().active().at(BASE).unwrap();
    let mut file = Cursor::new(Vec::new());
    let dumped = chain.dump_utxo_set(Some(base), true, &mut file).unwrap();
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let facts = AssumeUtxo {
        height: BASE,
        hash_serialized: leak(reversed_hex(&dumped.stats.hash.unwrap())),
        chain_tx_count: dumped.chain_tx,
        block_hash: leak(dumped.stats.best_block.to_string()),
    };
    let state = chain.lock();
    let ids = (0..=state.height()).map(|height| state.active().at(height).unwrap());
    let blocks = ids.map(|id| state.read_block(id).unwrap()).collect();
    drop(state);
    let muhash = chain.utxo_stats(HashKind::MuHash).unwrap().hash;
    Source { blocks, file: file.into_inner(), facts, muhash }
}

/// An engine that knows the snapshot, as the process starts it.
fn node(directory: &Path, facts: AssumeUtxo) -> Arc<ChainManager> {
    snapshot_dir::settle(directory, false).unwrap();
    open(directory, |options: &mut EngineOptions| options.params.assume_utxo = vec![facts])
}

fn load(chain: &ChainManager, file: &[u8]) -> Result<bitcoin_chain::engine::NodeId, LoadError> {
    let params = chain.params();
    let metadata = Metadata::decode(&file[..HEADER], (params.magic, params.name), |_| None).unwrap();
    let mut input = Cursor::new(file);
    input.seek(SeekFrom::Start(HEADER as u64)).unwrap();
    let data_dir = chain.options().data_dir.clone();
    let place =
        || std::fs::rename(snapshot_dir::next_path(&data_dir), snapshot_dir::path(&data_dir)).map_err(|error| error.to_string());
    chain.load_snapshot(&metadata, input, || true, place)
}

fn submit(chain: &ChainManager, blocks: &[Block]) {
    for block in blocks {
        chain.process_new_block(block.clone(), true, true).unwrap();
    }
}

fn headers(chain: &ChainManager, source: &Source) {
    let headers: Vec<_> = source.blocks[1..].iter().map(|block| block.header).collect();
    chain.process_headers(&headers, true).unwrap();
}

#[test]
fn a_chain_on_a_snapshot_validates_what_lies_below_across_a_restart() {
    let source = source();
    let directory = tempfile::tempdir().unwrap();
    let chain = node(directory.path(), source.facts);
    assert!(matches!(load(&chain, &source.file), Err(LoadError::NoHeader(_))));
    submit(&chain, &source.blocks[1..50]);
    headers(&chain, &source);
    load(&chain, &source.file).unwrap();
    assert_eq!(chain.tip().height, BASE);
    assert!(matches!(load(&chain, &source.file), Err(LoadError::Twice)));
    let indexes = Indexes::open(IndexOptions { filter: Some(1 << 20), ..IndexOptions::default() }, &chain).unwrap();
    indexes.start(&chain).unwrap();

    // The chain goes on above, and indexes what was validated from below only.
    let (middle, last) = (BASE as usize + 20, source.blocks.len() - 1);
    submit(&chain, &source.blocks[BASE as usize + 1..=middle]);
    assert_eq!(chain.tip().height, middle as i32);
    submit(&chain, &source.blocks[50..80]);
    let filter = indexes.filter.as_ref().unwrap();
    while !filter.wait_for_tip(&chain) {
        std::thread::yield_now();
    }
    assert_eq!(filter.summary().height, 79);
    let heights = |chain: &ChainManager| {
        let state = chain.lock();
        state.historical_range().map(|(tip, target)| (state.node(tip).height, state.node(target).height))
    };
    assert_eq!(heights(&chain), Some((79, BASE)));
    drop(indexes);
    chain.flush().unwrap();
    drop(chain);

    let chain = node(directory.path(), source.facts);
    assert_eq!((chain.tip().height, heights(&chain)), (middle as i32, Some((79, BASE))));
    assert!(!chain.lock().snapshot().unwrap().validated);
    // Blocks from the snapshot on lie in files of their own.
    let file = |height: i32| chain.lock().active_at(height).unwrap().file;
    assert_eq!((file(79), file(BASE + 1)), (0, 1));
    // The base itself may come before those below it.
    submit(&chain, &source.blocks[BASE as usize..=BASE as usize]);
    submit(&chain, &source.blocks[80..BASE as usize]);
    assert_eq!(heights(&chain), None);
    assert!(chain.lock().snapshot().unwrap().validated);
    submit(&chain, &source.blocks[middle + 1..]);
    let state = chain.lock();
    let node_at = |height: i32| state.active_at(height).unwrap().clone();
    assert!(
        (1..=last as i32)
            .all(|height| node_at(height).chain_tx == node_at(height - 1).chain_tx + u64::from(node_at(height).n_tx))
    );
    drop(state);
    chain.flush().unwrap();
    drop(chain);

    let chain = node(directory.path(), source.facts);
    assert!(!snapshot_dir::path(directory.path()).exists());
    assert!(chain.lock().snapshot().is_none());
    assert_eq!(chain.tip().height, last as i32);
    assert_eq!(chain.utxo_stats(HashKind::MuHash).unwrap().hash, source.muhash);
}

#[test]
fn other_files_are_refused_and_leave_nothing() {
    let source = source();
    let directory = tempfile::tempdir().unwrap();
    let chain = node(directory.path(), source.facts);
    headers(&chain, &source);
    let mut flipped = source.file.clone();
    flipped[HEADER] ^= 1;
    assert!(matches!(load(&chain, &flipped), Err(LoadError::WrongHash { .. })));
    assert!(matches!(load(&chain, &source.file[..source.file.len() - 1]), Err(LoadError::Malformed(_))));
    let mut other_base = source.file.clone();
    other_base[11] ^= 1;
    let error = load(&chain, &other_base).unwrap_err().to_string();
    assert!(error.ends_with(&format!("The following snapshot heights are available: {BASE}")), "{error}");
    let next = snapshot_dir::next_path(directory.path());
    assert_eq!(std::fs::read_dir(&next).unwrap().count(), 0);
    assert_eq!(chain.tip().height, 0);
    load(&chain, &source.file).unwrap();
    drop(chain);

    // A program that knows nothing of the snapshot does not touch it.
    let mut options = EngineOptions::new(bulkhead_consensus::networks::regtest(), directory.path().to_path_buf(), support::clock);
    options.params.assume_utxo = Vec::new();
    let refused = ChainManager::open(options, Arc::new(Silent)).unwrap_err();
    assert!(matches!(refused, OpenError::UnknownSnapshot(_)), "{refused}");
    assert_eq!(node(directory.path(), source.facts).tip().height, BASE);
}

#[test]
fn coins_that_differ_from_the_validated_ones_are_put_aside() {
    let source = source();
    let directory = tempfile::tempdir().unwrap();
    let chain = node(directory.path(), source.facts);
    headers(&chain, &source);
    load(&chain, &source.file).unwrap();
    submit(&chain, &source.blocks[1..10]);
    chain.flush().unwrap();
    drop(chain);

    // As if the hash that the program came with had been another one.
    let wrong = AssumeUtxo { hash_serialized: "00", ..source.facts };
    let chain = node(directory.path(), wrong);
    let outcomes: Vec<_> =
        source.blocks[10..=BASE as usize].iter().map(|block| chain.process_new_block(block.clone(), true, true)).collect();
    assert!(outcomes.last().unwrap().is_err());
    assert!(chain.is_interrupted());
    drop(chain);
    let chain = node(directory.path(), source.facts);
    assert!(directory.path().join("chainstate_snapshot_INVALID").is_dir());
    assert_eq!(chain.tip().height, source.blocks.len().min(BASE as usize + 1) as i32 - 1);
    assert!(chain.lock().snapshot().is_none());
}
