//! Signatures with the wallet's keys.

use super::{Answer, Keystore};
use crate::message;
use crate::refusal::{WALLET, locked, refuse};
use crate::sign::{self, Guard, Options, Provider, WalletProvider};
use crate::vault::Vault;
use bitcoin::{Amount, ScriptBuf};
use bulkhead_keystore_edge::{KeystoreError, RawTransaction, Record as RawRecord, Reply};
use bulkhead_spend_policy::{History, Rules};
use bulkhead_wallet_core::record::{self, kind};

impl Keystore {
    pub(super) fn sign_transaction(
        &mut self,
        psbt: &[u8],
        sighash: u32,
        finalize: bool,
        derivations: bool,
        update_only: bool,
    ) -> Answer {
        let psbt = sign::parse(psbt)?;
        let now = self.now();
        let loaded = self.loaded.as_mut().ok_or_else(|| refuse(WALLET, "key store: no wallet file is open"))?;
        if !update_only && !self.vault.is_open() {
            return Err(locked());
        }
        let rules = loaded.rules.clone();
        let guard = Guard { rules: &rules, history: &self.history, now };
        let empty;
        let vault = if update_only {
            empty = Vault::new().map_err(|error| refuse(WALLET, format!("memory: {error}")))?;
            &empty
        } else {
            &self.vault
        };
        let mut provider = WalletProvider { loaded, vault, sessions: Some(&mut self.sessions) };
        let options = Options { sighash, finalize, derivations, raw: false };
        let (signed, outflow) = sign::sign(psbt, &mut provider, options, Some(guard))?;
        if !update_only {
            self.count(&rules, outflow, now)?;
        }
        Ok(Reply::Signed(signed))
    }

    pub(super) fn sign_raw(&mut self, raw: &RawTransaction) -> Answer {
        let now = self.now();
        let loaded = self.loaded.as_mut().ok_or_else(|| refuse(WALLET, "key store: no wallet file is open"))?;
        if !self.vault.is_open() {
            return Err(locked());
        }
        let rules = loaded.rules.clone();
        let guard = Guard { rules: &rules, history: &self.history, now };
        let (signed, outflow) =
            sign::sign_raw(raw, &mut WalletProvider { loaded, vault: &self.vault, sessions: None }, Some(guard))?;
        self.count(&rules, outflow, now)?;
        Ok(Reply::Signed(signed))
    }

    /// Remembers what was signed away, when a rule asks for it: what was signed can be broadcast by anybody.
    fn count(&mut self, rules: &Rules, outflow: Amount, now: i64) -> Result<(), KeystoreError> {
        if rules.velocity_day.is_none() || outflow == Amount::ZERO {
            return Ok(());
        }
        let mut history = self.history.clone();
        history.add(now, outflow);
        let record = RawRecord { key: record::prefix(kind::SPENDING_HISTORY), value: encode_history(&history), erase: false };
        self.parts()?.0.database.write(&[record])?;
        self.history = history;
        Ok(())
    }

    pub(super) fn sign_message(&mut self, text: &str, script: Vec<u8>) -> Answer {
        let script = ScriptBuf::from(script);
        let unavailable = || refuse(WALLET, "Private key not available");
        let loaded = self.loaded.as_mut().ok_or_else(|| refuse(WALLET, "key store: no wallet file is open"))?;
        if !self.vault.is_open() {
            return Err(locked());
        }
        let material = WalletProvider { loaded, vault: &self.vault, sessions: None }.private(&script).ok_or_else(unavailable)?;
        let key = material.secrets.iter().find(|(public, _)| ScriptBuf::new_p2pkh(&public.pubkey_hash()) == script);
        let (public, secret) = key.ok_or_else(unavailable)?;
        Ok(Reply::Text(message::sign(secret, public.compressed, text)))
    }
}

/// 16 bytes for each outflow: time and satoshi.
fn encode_history(history: &History) -> Vec<u8> {
    history.0.iter().flat_map(|(time, amount)| [time.to_le_bytes(), amount.to_sat().to_le_bytes()].concat()).collect()
}

/// The inverse of what is written; `None` when the length is wrong.
pub(crate) fn decode_history(bytes: &[u8]) -> Option<History> {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    let entries = chunks.iter().map(|chunk| Some((number(&chunk[..8])?.cast_signed(), Amount::from_sat(number(&chunk[8..])?))));
    rest.is_empty().then(|| entries.collect::<Option<Vec<_>>>()).flatten().map(History)
}
