//! The descriptors of a new wallet (Core's `GenerateWalletDescriptor`).

use crate::output_type::OutputType;
use bitcoin::Network;
use bitcoin::bip32::Xpub;

/// The descriptor of a type as a text without checksum: BIP44, BIP49, BIP84 or BIP86, account 0.
#[must_use]
pub fn descriptor(root: &Xpub, kind: OutputType, internal: bool, network: Network) -> String {
    let (open, purpose, close) = match kind {
        OutputType::Legacy => ("pkh(", 44, ")"),
        OutputType::P2shSegwit => ("sh(wpkh(", 49, "))"),
        OutputType::Bech32 => ("wpkh(", 84, ")"),
        OutputType::Bech32m => ("tr(", 86, ")"),
    };
    let coin = u8::from(network != Network::Bitcoin);
    let change = u8::from(internal);
    format!("{open}{root}/{purpose}h/{coin}h/0h/{change}/*{close}")
}

/// Type and "is for change" of the eight descriptors in the order in which Core makes them.
pub fn all() -> impl Iterator<Item = (OutputType, bool)> {
    [false, true].into_iter().flat_map(|internal| OutputType::ALL.into_iter().map(move |kind| (kind, internal)))
}
