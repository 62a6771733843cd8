//! Wallet flags (src/wallet/walletutil.h). Unknown flags above bit 31 forbid to open a wallet, others are tolerated.

/// Coins are sorted by whether their address was used before.
pub const AVOID_REUSE: u64 = 1 << 0;
/// Key metadata holds key origins.
pub const KEY_ORIGIN_METADATA: u64 = 1 << 1;
/// The descriptor cache holds the last hardened keys.
pub const LAST_HARDENED_XPUB_CACHED: u64 = 1 << 2;
/// The wallet can never hold private keys.
pub const DISABLE_PRIVATE_KEYS: u64 = 1 << 32;
/// Descriptors are added by hand only.
pub const BLANK_WALLET: u64 = 1 << 33;
/// The wallet is made of descriptors.
pub const DESCRIPTORS: u64 = 1 << 34;
/// Signatures come from an external program.
pub const EXTERNAL_SIGNER: u64 = 1 << 35;

/// Every flag that is known.
pub const KNOWN: u64 = AVOID_REUSE
    | BLANK_WALLET
    | KEY_ORIGIN_METADATA
    | LAST_HARDENED_XPUB_CACHED
    | DISABLE_PRIVATE_KEYS
    | DESCRIPTORS
    | EXTERNAL_SIGNER;

/// Flags that `setwalletflag` may change.
pub const MUTABLE: u64 = AVOID_REUSE;

/// Name and bit of each flag, in Core's order.
pub const NAMES: [(&str, u64); 7] = [
    ("avoid_reuse", AVOID_REUSE),
    ("blank", BLANK_WALLET),
    ("key_origin_metadata", KEY_ORIGIN_METADATA),
    ("last_hardened_xpub_cached", LAST_HARDENED_XPUB_CACHED),
    ("disable_private_keys", DISABLE_PRIVATE_KEYS),
    ("descriptor_wallet", DESCRIPTORS),
    ("external_signer", EXTERNAL_SIGNER),
];

/// Whether a wallet with these flags may be opened.
#[must_use]
pub fn tolerable(flags: u64) -> bool {
    (flags & !KNOWN) >> 32 == 0
}
