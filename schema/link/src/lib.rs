//! bulkhead-link
