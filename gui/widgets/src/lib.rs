//! bulkhead-widgets
