//! Addresses of other nodes, and who is banned.
//!
//! Pure: time and randomness come in from outside, files are byte slices. The layout of `peers.dat`, `anchors.dat` and
//! `banlist.json` is Core's, so that a node can be moved between the two.

mod asmap;
mod bans;
mod check;
mod entry;
mod file;
mod select;
mod tables;

#[cfg(test)]
mod tests;

pub use asmap::AsMap;
pub use bans::{BanEntry, BanList};
pub use entry::Entry;
pub use file::{FileError, decode_anchors, decode_peers, encode_anchors, encode_peers};
pub use tables::{AddrMan, Position};
