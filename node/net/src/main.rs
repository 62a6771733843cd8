//! bitcoin-net
fn main() {}
