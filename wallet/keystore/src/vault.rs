//! Private keys in memory. They are always encrypted; what decrypts them is in a locked page: the master key of
//! an unlocked wallet, or a random key of this process for a wallet without passphrase. A locked wallet has neither.

use crate::crypter::{self, KEY_BYTES};
use crate::residue;
use bitcoin::PublicKey;
use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bulkhead_sandbox::memory::SecretPage;
use bulkhead_wallet_core::descriptor::{DescriptorId, Keys, SECP};
use std::collections::BTreeMap;
use std::io;

/// The private keys of a wallet.
#[derive(Debug)]
pub struct Vault {
    page: SecretPage,
    open: bool,
    /// Open, but nothing may be taken out.
    suspended: bool,
    keys: BTreeMap<DescriptorId, BTreeMap<PublicKey, Vec<u8>>>,
}

impl Vault {
    /// An empty vault, open with a key of its own.
    ///
    /// # Errors
    /// No memory can be locked.
    pub fn new() -> io::Result<Self> {
        let mut vault = Self { page: SecretPage::new()?, open: true, suspended: false, keys: BTreeMap::new() };
        vault.renew();
        Ok(vault)
    }

    fn renew(&mut self) {
        OsRng.fill_bytes(&mut self.page[..KEY_BYTES]);
        self.open = true;
    }

    fn master(&self) -> Option<&[u8; KEY_BYTES]> {
        self.is_open().then(|| self.page.first_chunk()).flatten()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.page.wipe();
        self.renew();
    }

    /// Whether keys can be used.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open && !self.suspended
    }

    /// From now on the vault behaves as if it were locked, or as it is.
    pub fn suspend(&mut self, suspended: bool) {
        self.suspended = suspended;
    }

    /// Wipes what decrypts the keys.
    pub fn lock(&mut self) {
        self.page.wipe();
        self.open = false;
        self.suspended = false;
    }

    /// Opens with a master key, when it decrypts every key of the wallet.
    ///
    /// # Errors
    /// Some keys are decrypted and others not: the file is corrupt.
    pub fn unlock(&mut self, master: &[u8; KEY_BYTES]) -> Result<bool, CorruptKeys> {
        let (mut right, mut wrong) = (0_usize, 0_usize);
        for (public, cipher) in self.keys.values().flatten() {
            match crypter::open_key(&SECP, master, public, cipher) {
                Some(mut secret) => {
                    secret.non_secure_erase();
                    right += 1;
                }
                None => wrong += 1,
            }
            if wrong > 0 && right == 0 {
                return Ok(false);
            }
        }
        residue::wipe();
        if wrong > 0 {
            return Err(CorruptKeys);
        }
        self.suspended = false;
        self.page[..KEY_BYTES].copy_from_slice(master);
        self.open = true;
        Ok(true)
    }

    /// Puts in a key; answers its encrypted form, or nothing when the vault is locked.
    pub fn insert(&mut self, id: DescriptorId, public: PublicKey, secret: &SecretKey) -> Option<Vec<u8>> {
        let cipher = crypter::seal_key(self.master()?, &public, secret);
        self.keys.entry(id).or_default().insert(public, cipher.clone());
        Some(cipher)
    }

    /// Puts in a key as the file has it.
    pub fn insert_encrypted(&mut self, id: DescriptorId, public: PublicKey, cipher: Vec<u8>) {
        self.keys.entry(id).or_default().insert(public, cipher);
    }

    /// Whether there is any key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether the descriptor has a key.
    #[must_use]
    pub fn has(&self, id: &DescriptorId) -> bool {
        self.keys.contains_key(id)
    }

    /// Whether the descriptor already has this key.
    #[must_use]
    pub fn has_key(&self, id: &DescriptorId, public: &PublicKey) -> bool {
        self.keys.get(id).is_some_and(|keys| keys.contains_key(public))
    }

    /// Public keys by descriptor.
    pub fn iter(&self) -> impl Iterator<Item = (&DescriptorId, &PublicKey)> {
        self.keys.iter().flat_map(|(id, keys)| keys.keys().map(move |public| (id, public)))
    }

    /// The keys of a descriptor, decrypted; wiped when dropped. Empty when locked.
    #[must_use]
    pub fn keys(&self, id: &DescriptorId) -> Keys {
        let mut keys = Keys::default();
        if let (Some(master), Some(sealed)) = (self.master(), self.keys.get(id)) {
            for (public, cipher) in sealed {
                if let Some(secret) = crypter::open_key(&SECP, master, public, cipher) {
                    keys.insert(*public, secret);
                }
            }
            residue::wipe();
        }
        keys
    }

    /// Encrypts every key anew under another master key, which the vault then holds. Answers the records.
    /// Nothing when locked.
    pub fn change_master(&mut self, master: &[u8; KEY_BYTES]) -> Option<Vec<(DescriptorId, PublicKey, Vec<u8>)>> {
        let old = self.master()?;
        let mut records = Vec::new();
        let mut sealed: BTreeMap<DescriptorId, BTreeMap<PublicKey, Vec<u8>>> = BTreeMap::new();
        for (id, keys) in &self.keys {
            for (public, cipher) in keys {
                let mut secret = crypter::open_key(&SECP, old, public, cipher)?;
                let cipher = crypter::seal_key(master, public, &secret);
                secret.non_secure_erase();
                records.push((*id, *public, cipher.clone()));
                sealed.entry(*id).or_default().insert(*public, cipher);
            }
        }
        self.keys = sealed;
        self.page[..KEY_BYTES].copy_from_slice(master);
        Some(records)
    }
}

/// Some keys decrypt but not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Error unlocking wallet: some keys decrypt but not all. Your wallet file may be corrupt.")]
pub struct CorruptKeys;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_locked_vault_gives_no_key_and_opens_with_its_master_only() {
        let mut vault = Vault::new().unwrap();
        let secret = SecretKey::from_slice(&[3; 32]).unwrap();
        let public = PublicKey::new(secret.public_key(&SECP));
        vault.insert([1; 32], public, &secret).unwrap();
        assert_eq!(vault.keys(&[1; 32]).secret(&public), Some(secret));
        let records = vault.change_master(&[8; 32]).unwrap();
        assert_eq!(records.len(), 1);
        vault.lock();
        assert!(vault.keys(&[1; 32]).is_empty());
        assert!(vault.insert([1; 32], public, &secret).is_none());
        assert_eq!(vault.unlock(&[9; 32]), Ok(false));
        assert!(!vault.is_open());
        assert_eq!(vault.unlock(&[8; 32]), Ok(true));
        vault.suspend(true);
        assert!(!vault.is_open() && vault.keys(&[1; 32]).is_empty());
        vault.suspend(false);
        assert_eq!(vault.keys(&[1; 32]).secret(&public), Some(secret));
        vault.insert_encrypted([2; 32], public, vec![0; 48]);
        assert_eq!(vault.unlock(&[8; 32]), Err(CorruptKeys));
    }
}
