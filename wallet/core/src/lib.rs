//! bulkhead-wallet-core
