//! bulkhead-control
