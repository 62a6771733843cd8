//! Bounds of processes that depend on options: `-processmemory`, `-processcpu`, and what chain may have by itself.

use std::ops::RangeInclusive;

use bulkhead_config::ArgsManager;
use bulkhead_control::Component;

use super::db_cache;
use crate::error::{NodeError, init};

/// What chain may have beside its caches, in bytes. Sixteen `getblock 3` at once of a block whose answer has 3.4 MB took 440 MiB, so
/// those of the largest blocks take a few GiB; without them a chain of 400,000 transactions took 130 MiB beside its caches.
const CHAIN_BESIDE_CACHES: u64 = 8 << 30;
/// What a byte of a cache may cost: allocators leave gaps.
const COST_OF_CACHE: u64 = 2;

/// Bounds by process.
pub(crate) type ByProcess = Vec<(Component, u64)>;

/// Limits of memory by process, bytes: `-processmemory=<process>:<MiB>`, and chain's, which depends on its caches. The others'
/// are in their policies.
///
/// # Errors
/// A process or a number that is none.
pub(crate) fn memory(args: &ArgsManager) -> Result<ByProcess, NodeError> {
    let mebibytes = by_process(args, "-processmemory", "MiB", 16..=u64::MAX >> 20)?;
    let mut limits: ByProcess = mebibytes.into_iter().map(|(component, mebibytes)| (component, mebibytes << 20)).collect();
    if !limits.iter().any(|(component, _)| *component == Component::Chain) {
        limits.push((Component::Chain, chain_memory(db_cache::bytes(args), mempool_bytes(args))));
    }
    Ok(limits)
}

/// Limits of processor time by process, percent of one processor: `-processcpu=<process>:<percent>`.
///
/// # Errors
/// A process or a number that is none.
pub(crate) fn cpu(args: &ArgsManager) -> Result<ByProcess, NodeError> {
    by_process(args, "-processcpu", "percent of one processor", 1..=1_000_000)
}

/// `-maxmempool` as it was given, in megabytes.
pub(crate) fn mempool_megabytes(args: &ArgsManager) -> i64 {
    args.int_or("-maxmempool", 300)
}

/// `-maxmempool`, in bytes.
pub(crate) fn mempool_bytes(args: &ArgsManager) -> u64 {
    mempool_megabytes(args).max(0).cast_unsigned().saturating_mul(1_000_000)
}

/// What chain may have with caches and a mempool of these sizes, in bytes.
fn chain_memory(dbcache: u64, mempool: u64) -> u64 {
    dbcache.saturating_add(mempool).saturating_mul(COST_OF_CACHE).saturating_add(CHAIN_BESIDE_CACHES)
}

fn by_process(args: &ArgsManager, option: &str, unit: &str, range: RangeInclusive<u64>) -> Result<ByProcess, NodeError> {
    let read = |text: &String| {
        let (word, number) = text.split_once(':')?;
        let component = Component::from_word(word).filter(|component| ![Component::Node, Component::Gui].contains(component))?;
        Some((component, number.parse().ok().filter(|number| range.contains(number))?))
    };
    let least = range.start();
    let wrong = |text: &String| {
        let processes = "a process (chain, net, rpc, wallet, keystore or notify)";
        init(format!("Invalid {option}='{text}': {processes}, a colon, and {unit} from {least} on"))
    };
    args.get_all(option).iter().map(|text| read(text).ok_or_else(|| wrong(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_has_room_for_its_caches_twice_and_more() {
        assert_eq!(chain_memory(0, 0), 8 << 30);
        assert_eq!(chain_memory(450 << 20, 300_000_000), (8 << 30) + (900 << 20) + 600_000_000);
        assert_eq!(chain_memory(u64::MAX, 1), u64::MAX);
    }
}
