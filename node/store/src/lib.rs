//! Storage of the chain. Layers, lowest first:
//!
//! 1. `codec`, `coin`, `undo`, `block_index`: bytes to values, without I/O; corrupt bytes are typed errors.
//! 2. `space`, `xor`, `flat`, `block_reader`, `block_files`: `blk?????.dat`, `rev?????.dat` and `xor.dat`, byte for byte as Bitcoin Core keeps them.
//! 3. `db`: the only file that names RocksDB; opens a directory and moves batches.
//! 4. `index_db`, `coins_db`: typed tables for `blocks/index` and `chainstate`.
//! 5. `snapshot`, `snapshot_dir`, `rollback_db`: files of `dumptxoutset`, directories of a chain that rests on one, and coins of a
//!    block below the tip.
//! 6. `coins_cache`: the bounded layer of coins in memory.
//! 7. `chain_index`, `tx_position`: what an optional index keeps, apart from the rest: losing it costs time only.
//!
//! # Correctness
//!
//! Order of a flush: block and undo files reach the disk, then the index that points into them, then one atomic batch with
//! the coins and the block that they belong to. So a coins database never refers to a block that the index lacks, and an
//! index entry never points to data that was not written; a crash between the steps only loses the later ones.

pub mod block_files;
pub mod block_index;
pub mod block_reader;
pub mod chain_index;
pub mod codec;
pub mod coin;
pub mod coins_cache;
pub mod coins_db;
mod db;
mod error;
pub mod flat;
pub mod index_db;
mod packed;
pub mod rollback_db;
pub mod snapshot;
pub mod snapshot_dir;
pub mod space;
pub mod tx_position;
pub mod undo;
pub mod xor;

pub use coin::Coin;
pub use db::prepare_directory;
pub use error::StoreError;
