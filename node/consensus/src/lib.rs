//! bulkhead-consensus
