//! bulkhead-config
