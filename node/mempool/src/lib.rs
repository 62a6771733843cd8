//! bulkhead-mempool
