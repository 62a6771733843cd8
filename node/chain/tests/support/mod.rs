//! The chain that Core made, for tests of the engine and of what is built on it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcoin_chain::engine::{ChainManager, EngineOptions, ImportSource, Silent};
use bulkhead_consensus::networks;
use serde_json::Value;

/// A file of the chain that Core made.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/crosscheck").join(name)
}

/// What Core says about it.
pub fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(data("expected.json")).unwrap()).unwrap()
}

/// A time after the chain's last block.
pub fn clock() -> i64 {
    1_700_000_000
}

/// An engine in a directory, genesis connected.
pub fn open(directory: &Path, change: impl FnOnce(&mut EngineOptions)) -> Arc<ChainManager> {
    std::fs::create_dir_all(directory.join("blocks")).unwrap();
    let mut options = EngineOptions::new(networks::regtest(), directory.to_path_buf(), clock);
    options.script_threads = 1;
    change(&mut options);
    let manager = ChainManager::open(options, Arc::new(Silent)).unwrap();
    manager.activate().unwrap();
    manager
}

/// Reads all blocks of Core's chain.
pub fn import(manager: &ChainManager) {
    let file = std::fs::File::open(data("blocks.dat")).unwrap();
    manager.import(vec![ImportSource { name: "blocks.dat".into(), reader: Box::new(file) }]).unwrap();
}

/// A hash as Core shows it.
pub fn reversed_hex(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}
