#![allow(clippy::unwrap_used)]
use super::*;
use crate::coins_db::CoinsOptions;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, ScriptBuf, Txid};

fn coin(value: u64) -> Coin {
    Coin {
        output: TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) },
        height: 1,
        coinbase: false,
    }
}

fn point(vout: u32) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([7; 32]), vout }
}

fn block(byte: u8) -> BlockHash {
    BlockHash::from_byte_array([byte; 32])
}

fn open(directory: &std::path::Path) -> CoinsCache {
    CoinsCache::new(CoinsDb::open(directory, CoinsOptions::new(1 << 20)).unwrap()).unwrap()
}

fn add(cache: &mut CoinsCache, vout: u32, value: u64, may_overwrite: bool) {
    cache.add(point(vout), &coin(value).output, 1, false, may_overwrite);
}

#[test]
fn only_surviving_coins_reach_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = open(directory.path());
    add(&mut cache, 0, 1, false);
    add(&mut cache, 1, 2, false);
    assert_eq!(cache.spend(&point(0)).unwrap(), Some(coin(1)));
    assert_eq!(cache.dirty(), 1, "a coin that was born and died here leaves no trace");
    cache.set_best_block(block(1));
    cache.flush(false).unwrap();
    assert_eq!(cache.database().get(&point(0)).unwrap(), None);
    assert_eq!(cache.database().get(&point(1)).unwrap(), Some(coin(2)));
    assert_eq!(cache.spend(&point(1)).unwrap(), Some(coin(2)));
    assert_eq!(cache.spend(&point(1)).unwrap(), None);
    cache.set_best_block(block(2));
    drop(cache);
    let mut reopened = open(directory.path());
    assert_eq!(reopened.best_block(), Some(block(1)), "what was not flushed is gone as a whole");
    assert_eq!(reopened.peek(&point(1)).unwrap(), Some(coin(2)));
    assert!(reopened.spend(&point(1)).unwrap().is_some());
    reopened.set_best_block(block(2));
    reopened.flush(true).unwrap();
    assert_eq!(reopened.database().get(&point(1)).unwrap(), None);
    assert!(reopened.is_empty());
}

#[test]
fn a_respent_coin_that_is_spent_again_is_deleted_from_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = open(directory.path());
    add(&mut cache, 0, 1, false);
    cache.set_best_block(block(1));
    cache.flush(true).unwrap();
    cache.spend(&point(0)).unwrap().unwrap();
    add(&mut cache, 0, 1, true); // undone by a reorganisation
    cache.spend(&point(0)).unwrap().unwrap();
    cache.set_best_block(block(2));
    cache.flush(true).unwrap();
    assert_eq!(cache.database().get(&point(0)).unwrap(), None);
}

#[test]
fn staged_changes_that_are_not_kept_leave_everything_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = open(directory.path());
    add(&mut cache, 0, 10, false);
    add(&mut cache, 1, 11, false);
    cache.set_best_block(block(1));
    cache.flush(true).unwrap();
    add(&mut cache, 2, 12, false); // fresh
    cache.spend(&point(1)).unwrap().unwrap(); // spent, not written
    let marks = |cache: &CoinsCache| (cache.dirty(), (0..5).map(|vout| cache.peek(&point(vout)).unwrap()).collect::<Vec<_>>());
    let before = marks(&cache);
    {
        let mut staged = cache.stage();
        assert_eq!(staged.spend(&point(0)).unwrap(), Some(coin(10)));
        assert_eq!(staged.spend(&point(2)).unwrap(), Some(coin(12)));
        assert_eq!(staged.spend(&point(1)).unwrap(), None);
        staged.add(point(1), &coin(21).output, 1, false, true);
        staged.add(point(3), &coin(13).output, 1, false, false);
        assert_eq!(staged.spend(&point(3)).unwrap(), Some(coin(13)));
        staged.add(point(4), &coin(14).output, 1, false, false);
        staged.add(point(4), &coin(15).output, 1, false, true);
        assert!(staged.have(&point(4)).unwrap() && !staged.have(&point(0)).unwrap());
    }
    assert_eq!(marks(&cache), before);
    let mut staged = cache.stage();
    staged.spend(&point(0)).unwrap().unwrap();
    staged.keep();
    assert_eq!(cache.peek(&point(0)).unwrap(), None);
    cache.set_best_block(block(2));
    cache.flush(true).unwrap();
    assert_eq!(cache.database().get(&point(0)).unwrap(), None);
    assert_eq!(cache.database().get(&point(1)).unwrap(), None);
    assert_eq!(cache.database().get(&point(2)).unwrap(), Some(coin(12)));
}

#[test]
fn what_was_read_ahead_does_not_bring_back_a_coin_that_was_spent_since() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = open(directory.path());
    add(&mut cache, 0, 1, false);
    add(&mut cache, 1, 2, false);
    add(&mut cache, 2, 3, false);
    cache.set_best_block(block(1));
    cache.flush(true).unwrap();
    let prefetcher = cache.prefetcher();
    let read = || prefetcher.read([point(0), point(1), point(9)].into_iter()).unwrap();
    // Spent, not flushed: the entry of the spent coin keeps the old value out.
    let early = read();
    cache.spend(&point(0)).unwrap().unwrap();
    cache.insert(early);
    assert!(!cache.is_cached(&point(0)) && cache.is_cached(&point(1)));
    // Spent and flushed: the cache is empty, but newer than the read.
    let early = read();
    cache.spend(&point(1)).unwrap().unwrap();
    cache.set_best_block(block(2));
    cache.flush(true).unwrap();
    cache.insert(early);
    assert_eq!(cache.peek(&point(1)).unwrap(), None);
    assert_eq!(cache.spend(&point(1)).unwrap(), None);
}

#[test]
fn memory_counts_tables_before_they_grow() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = open(directory.path());
    let mut last = cache.memory();
    for number in 0..200_000u32 {
        let mut id = [0u8; 32];
        id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_le_bytes());
        let outpoint = OutPoint { txid: Txid::from_byte_array(id), vout: 0 };
        cache.add(outpoint, &coin(1).output, 1, false, false);
        if number % 1000 == 0 {
            let memory = cache.memory();
            assert!(memory >= last, "{number}");
            last = memory;
        }
    }
    let per_coin = cache.memory() / cache.len();
    assert!((100..=450).contains(&per_coin), "{per_coin}");
}

#[test]
fn a_leveldb_directory_is_left_untouched_unless_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chainstate");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("CURRENT"), "MANIFEST-000001\n").unwrap();
    std::fs::write(path.join("000005.ldb"), "x").unwrap();
    assert!(matches!(CoinsDb::open(&path, CoinsOptions::new(1 << 20)), Err(StoreError::LevelDb { .. })));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2);
    CoinsDb::open(&path, CoinsOptions { wipe: true, ..CoinsOptions::new(1 << 20) }).unwrap();
    assert!(directory.path().join("chainstate.leveldb/000005.ldb").exists());
}
