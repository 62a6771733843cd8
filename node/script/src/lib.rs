//! bulkhead-script
