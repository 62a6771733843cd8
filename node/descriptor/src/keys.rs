//! Private keys by public key.

use bitcoin::PublicKey;
use bitcoin::secp256k1::SecretKey;
use std::collections::BTreeMap;

/// Private keys that a descriptor text held. Wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    secrets: BTreeMap<PublicKey, SecretKey>,
}

impl Keys {
    /// Adds a key.
    pub fn insert(&mut self, public: PublicKey, secret: SecretKey) {
        self.secrets.insert(public, secret);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Public and private keys, ascending by public key.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicKey, &SecretKey)> {
        self.secrets.iter()
    }

    /// The private key of exactly this public key.
    #[must_use]
    pub fn secret(&self, public: &PublicKey) -> Option<SecretKey> {
        self.secrets.get(public).copied()
    }

    /// The private key of this public key or of its mirror image: taproot keys have no parity.
    #[must_use]
    pub fn secret_x_only(&self, public: &PublicKey) -> Option<SecretKey> {
        let wanted = public.inner.x_only_public_key().0;
        self.secrets.iter().find(|(key, _)| key.inner.x_only_public_key().0 == wanted).map(|(_, secret)| *secret)
    }

    /// Takes over all keys of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.secrets.extend(other.secrets.iter().map(|(public, secret)| (*public, *secret)));
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for secret in self.secrets.values_mut() {
            secret.non_secure_erase();
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} private keys", self.secrets.len())
    }
}
