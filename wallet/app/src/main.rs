//! bitcoin-wallet
fn main() {}
