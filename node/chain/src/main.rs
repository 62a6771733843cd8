//! bitcoin-chain
fn main() {}
