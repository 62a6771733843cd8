//! bitcoin-gui
fn main() {}
