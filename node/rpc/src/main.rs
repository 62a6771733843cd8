//! bitcoin-rpc
fn main() {}
