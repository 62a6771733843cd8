//! bulkhead-spend-policy
