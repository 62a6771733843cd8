//! bitcoin-notify
fn main() {}
