//! Descriptors: import, top up, export.

use super::{Answer, Keystore};
use crate::generate::{Draft, Range, default_descriptor, fill, new_master, raw};
use crate::refusal::{INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, WALLET, locked, refuse};
use bitcoin::bip32::{Xpriv, Xpub};
use bitcoin::{NetworkKind, PublicKey};
use bulkhead_keystore_edge::{HdKey, KeystoreError, Reply};
use bulkhead_planted::{Fault, planted};
use bulkhead_wallet_core::descriptor::{DescriptorId, Form, KeyKind, Keys};
use bulkhead_wallet_core::record::{CacheRecord, Record};
use bulkhead_wallet_core::{Descriptor, OutputType, flags};
use std::collections::BTreeMap;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The longest range that Core imports at once; longer ones grow by use.
const MAX_RANGE: i32 = 1_000_000;

impl Keystore {
    fn one(&self, id: &DescriptorId, cache: bool) -> Answer {
        let info = self.loaded()?.info(id, cache).ok_or_else(|| refuse(WALLET, "key store: no such descriptor"))?;
        Ok(Reply::Descriptors(vec![info]))
    }

    pub(super) fn add_descriptor(&mut self, text: &str, range: (i32, i32), next: i32, creation_time: i64) -> Answer {
        let mut keys = Keys::default();
        let descriptor = Descriptor::parse(text, &mut keys).map_err(|error| refuse(INVALID_ADDRESS_OR_KEY, error.to_string()))?;
        let (start, end) = if descriptor.is_range() { range } else { (0, 1) };
        if start < 0 || end <= start || end - start > MAX_RANGE || !(start..=end).contains(&next.max(start)) {
            return Err(refuse(INVALID_PARAMETER, "Range is too large"));
        }
        let (loaded, vault) = self.parts()?;
        let keyless = loaded.has(flags::DISABLE_PRIVATE_KEYS);
        if keyless && !keys.is_empty() {
            return Err(refuse(WALLET, "Cannot import private keys to a wallet with private keys disabled"));
        }
        if !keyless && keys.is_empty() {
            return Err(refuse(WALLET, "Cannot import descriptor without private keys to a wallet with private keys enabled"));
        }
        if !keys.is_empty() && !vault.is_open() {
            return Err(locked());
        }
        if let Some(known) = loaded.entries.get(&descriptor.id()).filter(|_| descriptor.is_range()) {
            let (old_start, old_end) = (known.record.range_start, known.record.range_end);
            if start > old_start || end < old_end {
                let text = format!("new range must include current range = [{old_start},{}]", old_end - 1);
                return Err(refuse(INVALID_PARAMETER, text));
            }
        }
        let mut draft = Draft::default();
        let range = Range { start, end, next, creation_time: u64::try_from(creation_time).unwrap_or(0) };
        let id = draft.add(loaded, vault, descriptor, &keys, range)?;
        self.commit(draft)?;
        self.one(&id, true)
    }

    pub(super) fn top_up(&mut self, id: DescriptorId, range_end: i32) -> Answer {
        let (loaded, vault) = self.parts()?;
        let Some(entry) = loaded.entries.get(&id) else { return Err(refuse(WALLET, "key store: no such descriptor")) };
        let (start, end) = (entry.record.range_start, entry.record.range_end);
        if !entry.descriptor.is_range() || range_end <= end {
            return self.one(&id, false);
        }
        if range_end.saturating_sub(start) > MAX_RANGE.saturating_mul(16) || range_end - end > 65_536 {
            return Err(refuse(INVALID_PARAMETER, "Range is too large"));
        }
        let mut cache = entry.cache.clone();
        fill(&entry.descriptor, &vault.keys(&id), end, range_end, &mut cache)
            .map_err(|error| if vault.is_open() { error } else { locked() })?;
        let mut new = entry.cache.clone();
        let fresh = new.merge(&cache).map_err(|error| refuse(WALLET, error.to_string()))?;
        let mut record = entry.record.clone();
        record.range_end = range_end;
        let mut records: Vec<_> =
            CacheRecord::of(id, &fresh).into_iter().map(|cache| raw(&Record::Cache(Box::new(cache)))).collect();
        records.push(raw(&Record::Descriptor(Box::new(record.clone()))));
        loaded.database.write(&records)?;
        if let Some(entry) = loaded.entries.get_mut(&id) {
            entry.cache = cache;
            entry.record = record;
        }
        loaded.forget_scripts();
        let mut info = loaded.info(&id, false).ok_or_else(|| refuse(WALLET, "key store: no such descriptor"))?;
        for cache in CacheRecord::of(id, &fresh) {
            let (key, value) = Record::Cache(Box::new(cache)).encode();
            info.cache.push(bulkhead_keystore_edge::encode_pair(&key, &value));
        }
        Ok(Reply::Descriptors(vec![info]))
    }

    fn with_consent(&self, consent: bool) -> Result<(), KeystoreError> {
        if !consent {
            return Err(refuse(WALLET, "key store: private keys leave only with consent"));
        }
        if self.vault.is_open() { Ok(()) } else { Err(locked()) }
    }

    pub(super) fn export_descriptor(&mut self, id: DescriptorId, consent: bool) -> Answer {
        self.with_consent(consent)?;
        let kind = NetworkKind::from(self.settings.network);
        let loaded = self.loaded()?;
        let entry = loaded.entries.get(&id).ok_or_else(|| refuse(WALLET, "key store: no such descriptor"))?;
        let private = entry.descriptor.print(Form::Private(&self.vault.keys(&id)), kind);
        let mut info = loaded.info(&id, false).ok_or_else(|| refuse(WALLET, "key store: no such descriptor"))?;
        info.private = Zeroizing::new(private.unwrap_or_default());
        Ok(Reply::Descriptors(vec![info]))
    }

    pub(super) fn export_hd_keys(&mut self, consent: bool) -> Answer {
        if consent {
            self.with_consent(consent)?;
        }
        let loaded = self.loaded()?;
        let mut found: BTreeMap<String, HdKey> = BTreeMap::new();
        for (id, entry) in &loaded.entries {
            let keys = if consent || planted(Fault::ConsentIgnored) { self.vault.keys(id) } else { Keys::default() };
            for expression in entry.descriptor.keys() {
                let KeyKind::Extended { root, .. } = &expression.kind else { continue };
                let key = found.entry(root.to_string()).or_insert_with(|| HdKey {
                    xpub: root.to_string(),
                    xprv: Zeroizing::default(),
                    descriptors: Vec::new(),
                    has_private: false,
                });
                key.has_private |= self.vault.has_key(id, &expression.root_key());
                if let Some(xpriv) = expression.root_private(&keys) {
                    key.xprv = Zeroizing::new(xpriv.to_string());
                }
                if !key.descriptors.contains(id) {
                    key.descriptors.push(*id);
                }
            }
        }
        Ok(Reply::HdKeys(found.into_values().collect()))
    }

    pub(super) fn add_hd_key(&mut self, wanted: &str) -> Answer {
        let (network, now) = (self.settings.network, self.now());
        let (loaded, vault) = self.parts()?;
        if loaded.has(flags::DISABLE_PRIVATE_KEYS) {
            return Err(refuse(WALLET, "addhdkey is not available for wallets without private keys"));
        }
        let mut master = if wanted.is_empty() {
            new_master(network)?
        } else {
            let wrong_network = |kind: NetworkKind| kind != NetworkKind::from(network);
            match Xpriv::from_str(wanted) {
                Ok(xpriv) if !wrong_network(xpriv.network) => xpriv,
                _ if Xpub::from_str(wanted).is_ok_and(|xpub| !wrong_network(xpub.network)) => {
                    let text = "Extended public key (xpub) provided, but extended private key (xprv) is required";
                    return Err(refuse(INVALID_ADDRESS_OR_KEY, text));
                }
                _ => return Err(refuse(INVALID_ADDRESS_OR_KEY, "Could not parse HD key")),
            }
        };
        let text = Zeroizing::new(format!("unused({master})"));
        master.private_key.non_secure_erase();
        let mut keys = Keys::default();
        let descriptor = Descriptor::parse(&text, &mut keys).map_err(|error| refuse(WALLET, error.to_string()))?;
        if loaded.entries.contains_key(&descriptor.id()) {
            return Err(refuse(WALLET, "HD key already exists"));
        }
        if !vault.is_open() {
            return Err(locked());
        }
        let mut draft = Draft::default();
        let range = Range { start: 0, end: 1, next: 0, creation_time: u64::try_from(now).unwrap_or(0) };
        let id = draft.add(loaded, vault, descriptor, &keys, range)?;
        self.commit(draft)?;
        self.one(&id, true)
    }

    /// The HD key that `createwalletdescriptor` uses: the named one, or the only one of the active descriptors.
    fn hd_key(&self, wanted: &str) -> Result<Xpriv, KeystoreError> {
        let loaded = self.loaded()?;
        let mut active: Vec<Xpub> = Vec::new();
        for id in loaded.active.values() {
            let Some(entry) = loaded.entries.get(id) else { continue };
            for expression in entry.descriptor.keys() {
                if let KeyKind::Extended { root, .. } = &expression.kind
                    && !active.contains(root)
                {
                    active.push(*root);
                }
            }
        }
        let wanted = match (wanted, &active[..]) {
            ("", [only]) => *only,
            ("", _) => {
                return Err(refuse(
                    INVALID_ADDRESS_OR_KEY,
                    "Unable to determine which HD key to use from active descriptors. Please specify with 'hdkey'",
                ));
            }
            (text, _) => text
                .parse::<Xpub>()
                .map_err(|_| refuse(INVALID_ADDRESS_OR_KEY, "Unable to parse HD key. Please provide a valid xpub"))?,
        };
        if !self.vault.is_open() {
            return Err(locked());
        }
        let public = PublicKey::new(wanted.public_key);
        let private_key = loaded.entries.keys().find_map(|id| self.vault.keys(id).secret(&public));
        let private_key =
            private_key.ok_or_else(|| refuse(INVALID_ADDRESS_OR_KEY, format!("Private key for {wanted} is not known")))?;
        Ok(Xpriv {
            network: wanted.network,
            depth: wanted.depth,
            parent_fingerprint: wanted.parent_fingerprint,
            child_number: wanted.child_number,
            private_key,
            chain_code: wanted.chain_code,
        })
    }

    pub(super) fn generate_descriptor(&mut self, hd_key: &str, output_type: &str, internal: bool) -> Answer {
        let output_type: OutputType =
            output_type.parse().map_err(|_| refuse(INVALID_ADDRESS_OR_KEY, format!("Unknown address type '{output_type}'")))?;
        let mut master = self.hd_key(hd_key)?;
        let (network, keypool, now) = (self.settings.network, self.settings.keypool, self.now());
        let (descriptor, keys) = default_descriptor(&master, output_type, internal, network)?;
        master.private_key.non_secure_erase();
        let (loaded, vault) = self.parts()?;
        if loaded.entries.contains_key(&descriptor.id()) {
            return Ok(Reply::Descriptors(Vec::new()));
        }
        let mut draft = Draft::default();
        let range = Range { start: 0, end: keypool.max(1), next: 0, creation_time: u64::try_from(now).unwrap_or(0) };
        let id = draft.add(loaded, vault, descriptor, &keys, range)?;
        draft.activate(id, output_type, internal);
        draft.end_blank(loaded);
        self.commit(draft)?;
        self.one(&id, true)
    }
}
