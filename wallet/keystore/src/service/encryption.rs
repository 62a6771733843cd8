//! Passphrases: encrypt, unlock, lock, change; and the spending rules that they protect.

use super::{Answer, Keystore};
use crate::crypter::{self, Cost, KEY_BYTES, SALT_BYTES};
use crate::generate::{Draft, erase_key, raw};
use crate::refusal::{
    ENCRYPTION_FAILED, INVALID_PARAMETER, PASSPHRASE_INCORRECT, UNLOCK_NEEDED, WALLET, WRONG_ENC_STATE, locked, refuse,
};
use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bulkhead_keystore_edge::{KeystoreError, Record as RawRecord, Reply};
use bulkhead_planted::{Fault, planted};
use bulkhead_spend_policy::Rules;
use bulkhead_wallet_core::flags;
use bulkhead_wallet_core::record::{self, MasterKey, Record, kind};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Core's clamp of the time a wallet stays unlocked: about three years, in seconds.
const MAX_UNLOCK_SECONDS: i64 = 100_000_000;

/// What encrypts the private keys.
type Master = Zeroizing<[u8; KEY_BYTES]>;

/// A random master key and its record under a passphrase.
pub(super) fn new_master_key(passphrase: &[u8], cost: Cost) -> (Master, MasterKey) {
    let mut master = Zeroizing::new([0; KEY_BYTES]);
    let mut salt = [0; SALT_BYTES];
    OsRng.fill_bytes(master.as_mut_slice());
    OsRng.fill_bytes(&mut salt);
    let record = crypter::seal_master_key(passphrase, salt, &master, cost);
    tracing::info!("Encrypting Wallet with an nDeriveIterations of {}", record.iterations);
    (master, record)
}

fn not_empty(passphrase: &[u8]) -> Result<(), KeystoreError> {
    if passphrase.is_empty() { Err(refuse(INVALID_PARAMETER, "passphrase cannot be empty")) } else { Ok(()) }
}

/// Core explains old passphrases that were cut at a zero character.
fn incorrect(passphrase: &[u8], plain: &str, what: &str, remedy: &str) -> KeystoreError {
    let text = if passphrase.contains(&0) {
        format!(
            "Error: The {what} entered is incorrect. It contains a null character (ie - a zero byte). If the passphrase was set with a version of this software prior to 25.0, please try again with only the characters up to — but not including — the first null character. {remedy}"
        )
    } else {
        plain.to_owned()
    };
    refuse(PASSPHRASE_INCORRECT, text)
}

impl Keystore {
    pub(super) fn encrypt(&mut self, passphrase: &[u8]) -> Answer {
        let cost = self.settings.cost;
        let (loaded, vault) = self.parts()?;
        if loaded.has(flags::DISABLE_PRIVATE_KEYS) {
            return Err(refuse(ENCRYPTION_FAILED, "Error: wallet does not contain private keys, nothing to encrypt."));
        }
        if loaded.is_encrypted() {
            return Err(refuse(WRONG_ENC_STATE, "Error: running with an encrypted wallet, but encryptwallet was called."));
        }
        not_empty(passphrase)?;
        let failed = || refuse(ENCRYPTION_FAILED, "Error: Failed to encrypt the wallet.");
        let (master, record) = new_master_key(passphrase, cost);
        let sealed = vault.change_master(&master).ok_or_else(failed)?;
        let mut draft = Draft { records: vec![raw(&Record::MasterKey(1, record.clone()))], ..Draft::default() };
        for (id, public, secret) in sealed {
            draft.records.push(raw(&Record::CryptedKey { id, public, secret }));
            draft.records.push(erase_key(&id, &public));
        }
        self.commit(draft)?;
        let (loaded, _) = self.parts()?;
        loaded.master_keys.insert(1, record);
        // As in Core: what an unencrypted backup holds must not receive any more.
        if !loaded.has(flags::BLANK_WALLET) {
            self.generate_descriptors()?;
        }
        self.lock_vault();
        // Nothing of the plain keys may stay in free pages of the file.
        self.loaded()?.database.rewrite()?;
        Ok(Reply::Ok)
    }

    /// The master key, when the passphrase is right and opens the vault.
    fn try_unlock(&mut self, passphrase: &[u8]) -> Result<Option<(u32, Master)>, KeystoreError> {
        let (loaded, vault) = self.parts()?;
        for (id, record) in &loaded.master_keys {
            let Some(master) = crypter::open_master_key(passphrase, record) else { continue };
            if vault.unlock(&master).map_err(|error| refuse(WALLET, error.to_string()))? {
                return Ok(Some((*id, master)));
            }
        }
        Ok(None)
    }

    pub(super) fn unlock(&mut self, passphrase: &[u8], seconds: i64) -> Answer {
        if !self.loaded()?.is_encrypted() {
            return Err(refuse(WRONG_ENC_STATE, "Error: running with an unencrypted wallet, but walletpassphrase was called."));
        }
        let Ok(seconds) = u64::try_from(seconds.min(MAX_UNLOCK_SECONDS)) else {
            return Err(refuse(INVALID_PARAMETER, "Timeout cannot be negative."));
        };
        not_empty(passphrase)?;
        if self.try_unlock(passphrase)?.is_none() {
            return Err(incorrect(
                passphrase,
                "Error: The wallet passphrase entered was incorrect.",
                "wallet passphrase",
                "If this is successful, please set a new passphrase to avoid this issue in the future.",
            ));
        }
        let until = self.now().saturating_add(i64::try_from(seconds).unwrap_or(MAX_UNLOCK_SECONDS));
        self.relock = Instant::now().checked_add(Duration::from_secs(seconds)).map(|at| (at, until));
        Ok(Reply::Status(self.status()))
    }

    pub(super) fn lock(&mut self) -> Answer {
        if !self.loaded()?.is_encrypted() {
            return Err(refuse(WRONG_ENC_STATE, "Error: running with an unencrypted wallet, but walletlock was called."));
        }
        self.lock_vault();
        Ok(Reply::Ok)
    }

    pub(super) fn change_passphrase(&mut self, old: &[u8], new: &[u8]) -> Answer {
        if !self.loaded()?.is_encrypted() {
            return Err(refuse(
                WRONG_ENC_STATE,
                "Error: running with an unencrypted wallet, but walletpassphrasechange was called.",
            ));
        }
        not_empty(old)?;
        not_empty(new)?;
        let was_locked = !self.vault.is_open();
        let Some((id, master)) = self.try_unlock(old)? else {
            return Err(incorrect(old, "Error: The wallet passphrase entered was incorrect.", "old wallet passphrase", ""));
        };
        if was_locked && !planted(Fault::RelockForgotten) {
            self.lock_vault();
        }
        let mut salt = [0; SALT_BYTES];
        OsRng.fill_bytes(&mut salt);
        let record = crypter::seal_master_key(new, salt, &master, self.settings.cost);
        tracing::info!("Wallet passphrase changed to an nDeriveIterations of {}", record.iterations);
        let (loaded, _) = self.parts()?;
        loaded.database.write(&[raw(&Record::MasterKey(id, record.clone()))])?;
        loaded.master_keys.insert(id, record);
        Ok(Reply::Ok)
    }

    pub(super) fn set_rules(&mut self, passphrase: &[u8], text: &str) -> Answer {
        let rules: Rules = text.parse().map_err(|error| refuse(INVALID_PARAMETER, format!("spending rules: {error}")))?;
        if self.loaded()?.is_encrypted() {
            // Being unlocked is not enough: the wallet process may be lying about who asks.
            if passphrase.is_empty() {
                return Err(refuse(UNLOCK_NEEDED, locked().message));
            }
            let was_locked = !self.vault.is_open();
            if self.try_unlock(passphrase)?.is_none() {
                return Err(refuse(PASSPHRASE_INCORRECT, "Error: The wallet passphrase entered was incorrect."));
            }
            if was_locked {
                self.lock_vault();
            }
        }
        let (loaded, _) = self.parts()?;
        let value = rules.to_string().into_bytes();
        let erase = rules.is_default();
        loaded.database.write(&[RawRecord { key: record::prefix(kind::SPENDING_RULES), value, erase }])?;
        loaded.rules = rules;
        Ok(Reply::Ok)
    }
}
