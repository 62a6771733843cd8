//! The same looks and attempts on a running node.
