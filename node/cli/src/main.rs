//! bitcoin-cli
fn main() {}
