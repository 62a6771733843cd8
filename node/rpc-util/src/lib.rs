//! bulkhead-rpc-util
