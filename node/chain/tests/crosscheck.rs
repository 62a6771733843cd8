//! The chain that Core made, imported by the engine alone: every figure must be the one that Core reports.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;

use bitcoin_chain::engine::utxo_stats::HashKind;
use bitcoin_chain::engine::{ChainManager, EngineOptions, Silent};
use bulkhead_consensus::networks;
use serde_json::Value;
use support::{clock, data, expected, import, open, reversed_hex};

fn assert_matches(manager: &ChainManager, expected: &Value) {
    let tip = manager.tip();
    assert_eq!(tip.hash.to_string(), expected["besthash"]);
    assert_eq!(tip.height, expected["height"]);
    assert_eq!(
        format!("{:x}", tip.chain_work).trim_start_matches("0x").trim_start_matches('0'),
        expected["chainwork"].as_str().unwrap().trim_start_matches('0')
    );
    let utxo = &expected["utxo"];
    let stats = manager.utxo_stats(HashKind::Serialized).unwrap();
    let wanted = &utxo["hash_serialized_3"];
    assert_eq!(stats.outputs, wanted["txouts"]);
    assert_eq!(stats.transactions, wanted["transactions"]);
    assert_eq!(stats.bogo_size, wanted["bogosize"]);
    assert_eq!(reversed_hex(&stats.hash.unwrap()), wanted["hash_serialized_3"]);
    let stats = manager.utxo_stats(HashKind::MuHash).unwrap();
    assert_eq!(reversed_hex(&stats.hash.unwrap()), utxo["muhash"]["muhash"]);
    let state = manager.lock();
    assert_eq!(state.tip().unwrap().chain_tx, expected["chaintxstats"]["txcount"]);
    for (height, at) in expected["at"].as_object().unwrap() {
        assert_eq!(state.active_at(height.parse().unwrap()).unwrap().hash.to_string(), at["hash"]);
    }
    let mut tips: Vec<String> = state.tips().into_iter().map(|id| state.node(id).hash.to_string()).collect();
    let mut wanted: Vec<String> =
        expected["tips"].as_array().unwrap().iter().map(|tip| tip["hash"].as_str().unwrap().into()).collect();
    tips.sort();
    wanted.sort();
    assert_eq!(tips, wanted);
}

#[test]
fn import_gives_core_s_figures_and_survives_reopening_and_reindex() {
    let expected = expected();
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    assert_matches(&manager, &expected);
    manager.flush().unwrap();
    drop(manager);
    let manager = open(directory.path(), |options| {
        options.check_blocks = 0;
        options.check_level = 4;
    });
    assert_matches(&manager, &expected);
    drop(manager);
    let manager = open(directory.path(), |options| options.reindex = true);
    manager.import(Vec::new()).unwrap();
    assert_matches(&manager, &expected);
    manager.flush().unwrap();
    drop(manager);
    let manager = open(directory.path(), |options| options.reindex_chainstate = true);
    assert_matches(&manager, &expected);
}

#[test]
fn blocks_one_by_one_reorganise_to_the_same_chain() {
    let expected = expected();
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |options| options.fast_prune = true);
    let bytes = std::fs::read(data("blocks.dat")).unwrap();
    let mut rest = bytes.as_slice();
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes(header[4..].try_into().unwrap()) as usize;
        let block = bitcoin::consensus::deserialize(&after[..length]).unwrap();
        manager.process_new_block(block, true, true).unwrap();
        rest = &after[length..];
    }
    assert_matches(&manager, &expected);
    assert!(manager.lock().files().infos().len() > 10, "64 KiB files");
}

/// `-prune` may be given to a node that has all blocks: what it no longer keeps goes before anything else happens.
#[test]
fn a_start_with_pruning_prunes_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |options| options.fast_prune = true);
    import(&manager);
    manager.flush().unwrap();
    drop(manager);
    let manager = open(directory.path(), |options| {
        options.fast_prune = true;
        options.params.prune_after_height = 100;
        options.prune = Some(1);
    });
    manager.prune_at_start().unwrap();
    let last_pruned = manager.lock().prune_height();
    assert!(last_pruned.is_some_and(|height| height > 300 && height <= 703 - 288), "{last_pruned:?}");
    assert!(!directory.path().join("blocks/blk00000.dat").exists());
    manager.flush().unwrap();
    drop(manager);
    let manager = open(directory.path(), |options| options.prune = Some(u64::MAX));
    let state = manager.lock();
    assert!(!state.node(state.active().at(0).unwrap()).have_data(), "genesis stays pruned");
}

/// What is not flushed is lost by a crash, here by forgetting the manager; the next start catches up from the block files.
#[test]
fn a_crash_between_flushes_loses_nothing_that_was_written() {
    let expected = expected();
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    manager.sync(&mut manager.lock()).unwrap();
    let tip = manager.lock().active().tip().unwrap();
    let middle = manager.lock().index().ancestor(tip, 300).unwrap();
    manager.invalidate_block(middle).unwrap();
    assert!(manager.tip().height < 703);
    drop(manager); // without a flush: the coins on disk are those of the old tip
    let manager = open(directory.path(), |options| options.check_level = 4);
    assert_matches(&manager, &expected);
}

#[test]
fn a_truncated_block_file_is_reported_and_reindex_takes_what_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    manager.flush().unwrap();
    let used = manager.lock().files().infos()[0].size;
    drop(manager);
    let path = directory.path().join("blocks/blk00000.dat");
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(u64::from(used) - 1000).unwrap();
    let mut options = EngineOptions::new(networks::regtest(), directory.path().to_path_buf(), clock);
    options.check_blocks = 0;
    let error = ChainManager::open(options, Arc::new(Silent)).unwrap_err();
    assert!(error.to_string().starts_with("Corrupted block database detected"), "{error}");
    let manager = open(directory.path(), |options| options.reindex = true);
    manager.import(Vec::new()).unwrap();
    assert!(manager.tip().height > 600);
}

#[test]
fn reconsidering_and_preferring_blocks_moves_the_tip() {
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    let tip = manager.lock().active().tip().unwrap();
    manager.invalidate_block(tip).unwrap();
    assert!(manager.tip().height < 703 || manager.lock().active().tip() != Some(tip));
    assert!(manager.lock().node(tip).status.is_failed());
    manager.reconsider_block(tip).unwrap();
    assert_eq!(manager.lock().active().tip(), Some(tip));
    let stats = manager.utxo_stats(HashKind::Serialized).unwrap();
    assert_eq!(reversed_hex(&stats.hash.unwrap()), expected()["utxo"]["hash_serialized_3"]["hash_serialized_3"]);
}

/// Bytes of a snapshot, and the hash of the set in it.
fn dump(manager: &ChainManager, height: Option<i32>, in_memory: bool) -> (Vec<u8>, String) {
    let target = height.map(|height| manager.lock().active().at(height).unwrap());
    let mut file = std::io::Cursor::new(Vec::new());
    let dumped = manager.dump_utxo_set(target, in_memory, &mut file).unwrap();
    (file.into_inner(), reversed_hex(&dumped.stats.hash.unwrap()))
}

#[test]
fn a_snapshot_of_an_older_block_is_what_that_block_had_as_the_tip() {
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    let (_, hash) = dump(&manager, None, false);
    assert_eq!(hash, expected()["utxo"]["hash_serialized_3"]["hash_serialized_3"]);
    let height = 300;
    let rolled_back = dump(&manager, Some(height), false);
    assert_eq!(rolled_back, dump(&manager, Some(height), true));
    assert!(!directory.path().join(format!("chainstate/temp_utxo_{height}")).exists());
    let above = manager.lock().active().at(height + 1).unwrap();
    manager.invalidate_block(above).unwrap();
    while manager.tip().height > height {
        let tip = manager.lock().active().tip().unwrap();
        manager.invalidate_block(tip).unwrap();
    }
    assert_eq!(dump(&manager, None, false), rolled_back);
    let stats = manager.utxo_stats(HashKind::Serialized).unwrap();
    assert_eq!(reversed_hex(&stats.hash.unwrap()), rolled_back.1);
}

#[test]
fn a_snapshot_below_a_missing_undo_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let manager = open(directory.path(), |_| {});
    import(&manager);
    std::fs::remove_file(directory.path().join("blocks/rev00000.dat")).unwrap();
    let target = manager.lock().active().at(300).unwrap();
    let error = manager.dump_utxo_set(Some(target), true, std::io::Cursor::new(Vec::new())).unwrap_err();
    assert!(error.to_string().starts_with("Failed to roll back block at height"), "{error}");
}
