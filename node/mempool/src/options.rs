//! Settings of the pool.

use crate::feerate::FeeRate;

/// Everything that options such as `-maxmempool` decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Upper limit of the estimated memory, bytes.
    pub max_bytes: u64,
    /// Age at which a transaction is dropped, seconds.
    pub expiry: i64,
    /// Lowest rate that is relayed.
    pub min_relay: FeeRate,
    /// Step that replacement and eviction ask for.
    pub incremental: FeeRate,
    /// Rate that defines dust.
    pub dust: FeeRate,
    /// Bytes of OP_RETURN scripts per transaction; `None` refuses them.
    pub max_datacarrier: Option<usize>,
    /// Whether bare multisig outputs are standard.
    pub permit_bare_multisig: bool,
    /// Whether only standard transactions are accepted.
    pub require_standard: bool,
    /// Virtual bytes that one signature operation counts for.
    pub bytes_per_sigop: i64,
    /// Transactions in one cluster.
    pub cluster_count: usize,
    /// Virtual bytes in one cluster.
    pub cluster_vbytes: i64,
}

impl Options {
    /// Adjusted weight in one cluster.
    pub fn cluster_weight(&self) -> i64 {
        self.cluster_vbytes * 4
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 300_000_000,
            expiry: 336 * 60 * 60,
            min_relay: FeeRate(100),
            incremental: FeeRate(100),
            dust: FeeRate(3000),
            max_datacarrier: Some(100_000),
            permit_bare_multisig: true,
            require_standard: true,
            bytes_per_sigop: 20,
            cluster_count: 64,
            cluster_vbytes: 101_000,
        }
    }
}
