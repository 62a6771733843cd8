//! bulkhead-wire
