//! bulkhead-policies
