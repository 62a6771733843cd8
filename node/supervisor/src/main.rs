//! bitcoin-node
fn main() {}
