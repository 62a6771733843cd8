//! `-dbcache` and its default, which depends on the machine (Core: `node/caches.cpp`).

use bulkhead_config::ArgsManager;
use nix::sys::sysinfo::sysinfo;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Least memory for databases, in bytes.
const MIN: u64 = 4 * MIB;
/// Default on a machine with less than [`RAM_FOR_HIGH_DEFAULT`], in bytes.
const DEFAULT: u64 = 450 * MIB;
/// Default on others, in bytes.
const HIGH_DEFAULT: u64 = GIB;
const RAM_FOR_HIGH_DEFAULT: u64 = 4 * GIB;
/// What other programs are thought to need, in bytes.
const RESERVED_RAM: u64 = 2 * GIB;

/// Memory for databases and their caches, in bytes.
pub(crate) fn bytes(args: &ArgsManager) -> u64 {
    args.get_int("-dbcache").map_or_else(|| default_bytes(total_ram()), from_mebibytes)
}

/// Core's warning, if that is more than the machine can spare.
pub(crate) fn oversize_warning(args: &ArgsManager) -> Option<String> {
    let (bytes, ram) = (bytes(args), total_ram()?);
    let text = || format!("A {} MiB dbcache may be too large for a system memory of only {} MiB.", bytes / MIB, ram / MIB);
    is_oversized(bytes, ram).then(text)
}

fn from_mebibytes(given: i64) -> u64 {
    given.max(0).cast_unsigned().saturating_mul(MIB).max(MIN)
}

fn default_bytes(ram: Option<u64>) -> u64 {
    if ram.unwrap_or(0) >= RAM_FOR_HIGH_DEFAULT { HIGH_DEFAULT } else { DEFAULT }
}

fn is_oversized(bytes: u64, ram: u64) -> bool {
    bytes > DEFAULT.max(ram.saturating_sub(RESERVED_RAM) / 4 * 3)
}

/// Memory of the machine, in bytes.
fn total_ram() -> Option<u64> {
    sysinfo().ok().map(|info| info.ram_total())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_depends_on_the_memory() {
        assert_eq!(default_bytes(None), 450 * MIB);
        assert_eq!(default_bytes(Some(4 * GIB - 1)), 450 * MIB);
        assert_eq!(default_bytes(Some(4 * GIB)), 1024 * MIB);
    }

    #[test]
    fn given_values_have_a_floor() {
        assert_eq!([-1, 0, 3, 5].map(from_mebibytes), [4 * MIB, 4 * MIB, 4 * MIB, 5 * MIB]);
        assert_eq!(from_mebibytes(i64::MAX), u64::MAX);
    }

    #[test]
    fn three_quarters_of_what_is_spare_are_no_reason_to_warn() {
        assert!(!is_oversized(3 * GIB, 6 * GIB));
        assert!(is_oversized(3 * GIB + 1, 6 * GIB));
        assert!(!is_oversized(450 * MIB, GIB));
        assert!(is_oversized(451 * MIB, GIB));
    }
}
