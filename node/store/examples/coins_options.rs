//! Compares options of RocksDB for the table of coins: `cargo run --release -p bulkhead-store --example coins_options [coins]`.
//!
//! The work is that of a node behind its cache. Coins arrive in flushes, each without the log and then brought to the disk, with
//! the coins that were spent since the last one deleted; then blocks ask for their inputs with sorted lookups, nearly all of
//! which hit; then everything is read once, as gettxoutsetinfo does. One line for each set of options, in the order of the list and
//! then again in reverse, so that a disk that becomes slower or faster shows.

use std::time::{Duration, Instant};

use rocksdb::{BlockBasedOptions, Cache, DB, IteratorMode, Options, WriteBatch, WriteOptions};

const FLUSHES: u64 = 8;
/// Of the coins of the flushes before, in percent.
const SPENT: u64 = 30;
const LOOKUPS: u64 = 200_000;
/// Inputs of a block.
const BLOCK: usize = 2500;
/// One of so many lookups asks for a coin that is not there.
const MISS: u64 = 1000;
const MIB: usize = 1 << 20;

#[derive(Clone, Copy)]
struct Candidate {
    name: &'static str,
    write_buffer: usize,
    block_size: usize,
    bloom: bool,
    hash_index: bool,
    level_bytes: Option<u64>,
    jobs: i32,
}

/// What node/store/src/db.rs uses.
const TODAY: Candidate = Candidate {
    name: "as the node",
    write_buffer: 16 * MIB,
    block_size: 4096,
    bloom: false,
    hash_index: false,
    level_bytes: None,
    jobs: 2,
};

const CANDIDATES: [Candidate; 9] = [
    TODAY,
    Candidate { name: "bloom filter, 10 bits", bloom: true, ..TODAY },
    Candidate { name: "hash index in blocks", hash_index: true, ..TODAY },
    Candidate { name: "blocks of 2 KiB", block_size: 2048, ..TODAY },
    Candidate { name: "blocks of 16 KiB", block_size: 16_384, ..TODAY },
    Candidate { name: "memory tables of 4 MiB", write_buffer: 4 * MIB, ..TODAY },
    Candidate { name: "memory tables of 64 MiB", write_buffer: 64 * MIB, ..TODAY },
    Candidate { name: "first level of 64 MiB", level_bytes: Some(64 << 20), ..TODAY },
    Candidate { name: "one background job", jobs: 1, ..TODAY },
];

struct Figures {
    write: Duration,
    lookup: Duration,
    scan: Duration,
    disk: u64,
    readers: u64,
}

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let coins: u64 = std::env::args().nth(1).map_or(Ok(4_000_000), |text| text.parse())?;
    println!("{coins} coins; times in seconds, sizes in MiB");
    println!("{:<26} {:>7} {:>7} {:>7} {:>7} {:>8}", "options", "write", "lookup", "scan", "disk", "readers");
    for candidate in CANDIDATES.iter().chain(CANDIDATES.iter().rev()) {
        let figures = run(*candidate, coins)?;
        println!(
            "{:<26} {:>7.2} {:>7.2} {:>7.2} {:>7} {:>8.1}",
            candidate.name,
            figures.write.as_secs_f64(),
            figures.lookup.as_secs_f64(),
            figures.scan.as_secs_f64(),
            figures.disk >> 20,
            figures.readers as f64 / MIB as f64,
        );
    }
    Ok(())
}

fn options(candidate: Candidate) -> Options {
    let mut block = BlockBasedOptions::default();
    block.set_block_cache(&Cache::new_lru_cache(8 * MIB));
    block.set_format_version(5);
    block.set_block_size(candidate.block_size);
    if candidate.bloom {
        block.set_bloom_filter(10.0, false);
    }
    if candidate.hash_index {
        block.set_data_block_index_type(rocksdb::DataBlockIndexType::BinaryAndHash);
    }
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&block);
    options.set_write_buffer_size(candidate.write_buffer);
    options.set_max_write_buffer_number(2);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_max_background_jobs(candidate.jobs);
    options.set_max_open_files(512);
    if let Some(bytes) = candidate.level_bytes {
        options.set_max_bytes_for_level_base(bytes);
    }
    options
}

/// Key of the coin with this number: a transaction id that looks random, and an output.
fn key(number: u64) -> [u8; 36] {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; 36];
    for part in key.chunks_mut(8) {
        state ^= state >> 30;
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 27;
        part.copy_from_slice(&state.to_be_bytes()[..part.len()]);
    }
    key[32..].copy_from_slice(&[0, 0, 0, (number % 3) as u8]);
    key
}

/// As long as the record of a P2WPKH output.
fn value(number: u64) -> [u8; 27] {
    let mut value = [0x42; 27];
    value[..8].copy_from_slice(&number.to_le_bytes());
    value
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}

fn run(candidate: Candidate, coins: u64) -> Result<Figures, AnyError> {
    let folder = tempfile::tempdir()?;
    let options = options(candidate);
    let db = DB::open_cf_with_opts(&options, folder.path(), [("default", options.clone())])?;
    let begin = Instant::now();
    let mut random = Random(7);
    let per_flush = coins / FLUSHES;
    let mut spent = std::collections::HashSet::new();
    let mut no_log = WriteOptions::default();
    no_log.disable_wal(true);
    for flush in 0..FLUSHES {
        let first = flush * per_flush;
        let mut changes: Vec<(u64, bool)> = (first..first + per_flush).map(|number| (number, true)).collect();
        for _ in 0..first * SPENT / 100 / FLUSHES {
            let number = random.below(first);
            if spent.insert(number) {
                changes.push((number, false));
            }
        }
        // The shards of the cache are in no order, so changes are not sorted.
        changes.sort_by_key(|(number, _)| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut batch = WriteBatch::default();
        for (number, add) in changes {
            if add {
                batch.put(key(number), value(number))
            } else {
                batch.delete(key(number))
            }
            if batch.size_in_bytes() > 32 * MIB {
                db.write_opt(batch, &no_log)?;
                batch = WriteBatch::default();
            }
        }
        db.write_opt(batch, &no_log)?;
        db.flush()?;
    }
    let write = begin.elapsed();
    let begin = Instant::now();
    let table = db.cf_handle("default").ok_or("no table")?;
    let mut done = 0;
    let (mut found, mut missing) = (0u64, 0u64);
    while done < LOOKUPS {
        let mut keys: Vec<[u8; 36]> = (0..BLOCK)
            .map(|_| {
                let mut number = random.below(coins);
                while spent.contains(&number) {
                    number = random.below(coins);
                }
                key(if random.below(MISS) == 0 { number + coins * 2 } else { number })
            })
            .collect();
        keys.sort_unstable();
        for answer in db.batched_multi_get_cf(&table, &keys, true) {
            if answer?.is_some() { found += 1 } else { missing += 1 }
        }
        done += BLOCK as u64;
    }
    let lookup = begin.elapsed();
    if found == 0 || missing == 0 {
        return Err("the lookups did not do their work".into());
    }
    let begin = Instant::now();
    let mut count = 0u64;
    for entry in db.iterator(IteratorMode::Start) {
        entry?;
        count += 1;
    }
    let scan = begin.elapsed();
    if count != per_flush * FLUSHES - spent.len() as u64 {
        return Err(format!("{count} coins came back").into());
    }
    let property = |name: &str| db.property_int_value(name).ok().flatten().unwrap_or(0);
    let disk = property("rocksdb.total-sst-files-size");
    Ok(Figures { write, lookup, scan, disk, readers: property("rocksdb.estimate-table-readers-mem") })
}
