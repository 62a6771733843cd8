//! Log categories (Core's `logging.cpp`).

/// Every category, in the order in which the `logging` RPC shows them.
pub const CATEGORIES: &[&str] = &[
    "addrman",
    "bench",
    "blockstorage",
    "cmpctblock",
    "coindb",
    "estimatefee",
    "http",
    "i2p",
    "ipc",
    "kernel",
    "leveldb",
    "mempool",
    "mempoolrej",
    "net",
    "privatebroadcast",
    "proxy",
    "prune",
    "qt",
    "rand",
    "reindex",
    "rpc",
    "scan",
    "selectcoins",
    "tor",
    "txpackages",
    "txreconciliation",
    "validation",
    "walletdb",
    "zmq",
];

/// Position of a category in [`CATEGORIES`]; `None` for module paths and other targets.
#[must_use]
pub fn category(target: &str) -> Option<usize> {
    CATEGORIES.binary_search(&target).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_categories_are_sorted() {
        assert!(CATEGORIES.is_sorted());
    }
}
