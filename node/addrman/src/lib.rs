//! bulkhead-addrman
