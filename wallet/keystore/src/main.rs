//! bitcoin-keystore
fn main() {}
