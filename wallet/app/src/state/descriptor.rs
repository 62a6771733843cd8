//! Public descriptors: from the text in a `walletdescriptor` record and the cached extended keys to output
//! scripts (Core: `script/descriptor.cpp`).
//!
//! Descriptors that Core generates name the master key and hardened steps (`wpkh(xpub/84h/1h/0h/0/*)`).
//! Only the key store can take hardened steps; it leaves the keys after the last of them in the file, and
//! with these the descriptor is rewritten to its normalized form, which needs no private key.

use bitcoin::bip32::{ChainCode, ChildNumber, DerivationPath, Fingerprint, Xpub};
use bitcoin::secp256k1::{PublicKey, Secp256k1, VerifyOnly};
use bitcoin::{Network, NetworkKind, ScriptBuf};
use miniscript::descriptor::{DescriptorPublicKey, DescriptorType, Wildcard, checksum::Engine};
use miniscript::{DefiniteDescriptorKey, Descriptor};
use std::collections::BTreeMap;
use std::str::FromStr;

use super::OutputType;
use crate::records::Record;

/// Why a descriptor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The text does not parse.
    #[error("descriptor does not parse: {0}")]
    Parse(String),
    /// A hardened step needs a key that the wallet file does not hold.
    #[error("no cached key for a hardened derivation step")]
    MissingCache,
    /// Keys cannot be derived at this index.
    #[error("cannot derive the descriptor at this index")]
    Derive,
}

/// Extended keys that the file caches, by position of the key expression in the descriptor.
#[derive(Debug, Default, Clone)]
pub struct KeyCache {
    /// Keys after the last hardened step.
    pub last_hardened: BTreeMap<u32, Xpub>,
    /// Keys at an index, for descriptors that end in `/*h`.
    pub derived: BTreeMap<(u32, u32), Xpub>,
}

impl KeyCache {
    /// Takes a cache record in; others are left alone.
    pub fn take(&mut self, record: Option<Record>, network: Network) {
        match record {
            Some(Record::LastHardenedCache { key, xpub, .. }) => {
                self.last_hardened.extend(decode_xpub(&xpub, network).map(|xpub| (key, xpub)));
            }
            Some(Record::DerivedCache { key, index, xpub, .. }) => {
                self.derived.extend(decode_xpub(&xpub, network).map(|xpub| ((key, index), xpub)));
            }
            _ => {}
        }
    }
}

/// One output script of a descriptor at one index.
#[derive(Debug, Clone)]
pub struct Expanded {
    /// The output script.
    pub script: ScriptBuf,
    /// How it is satisfied; `None` for `addr()` and `raw()`, which only watch.
    pub solution: Option<Descriptor<DefiniteDescriptorKey>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Parts(Vec<Descriptor<DescriptorPublicKey>>),
    HardenedWildcard { derived: BTreeMap<(u32, u32), Xpub> },
    Script(ScriptBuf),
}

/// A parsed public descriptor.
#[derive(Debug, Clone)]
pub struct PublicDescriptor {
    text: String,
    normalized: String,
    kind: Kind,
    ranged: bool,
}

/// Decodes the 74 bytes of an extended public key as `wallet.dat` keeps it.
pub fn decode_xpub(bytes: &[u8], network: Network) -> Option<Xpub> {
    let bytes: &[u8; 74] = bytes.try_into().ok()?;
    let mut chain_code = [0u8; 32];
    chain_code.copy_from_slice(&bytes[9..41]);
    Some(Xpub {
        network: NetworkKind::from(network),
        depth: bytes[0],
        parent_fingerprint: Fingerprint::from([bytes[1], bytes[2], bytes[3], bytes[4]]),
        child_number: ChildNumber::from(u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]])),
        public_key: PublicKey::from_slice(&bytes[41..]).ok()?,
        chain_code: ChainCode::from(chain_code),
    })
}

/// Appends the checksum.
pub fn with_checksum(text: &str) -> String {
    let mut engine = Engine::new();
    match engine.input(text) {
        Ok(()) => format!("{text}#{}", engine.checksum()),
        Err(_) => text.to_owned(),
    }
}

/// Splits off a checksum without verifying it.
pub fn without_checksum(text: &str) -> &str {
    text.split('#').next().unwrap_or(text)
}

/// Calls `replace` for every key expression in order of its position and puts in what it answers.
fn map_keys(
    text: &str,
    mut replace: impl FnMut(u32, &DescriptorPublicKey) -> Result<Option<String>, DescriptorError>,
) -> Result<String, DescriptorError> {
    const HASHES: [&str; 4] = ["sha256", "hash256", "ripemd160", "hash160"];
    let mut out = String::with_capacity(text.len());
    let mut position = 0;
    let mut token = String::new();
    let mut function = String::new();
    for c in text.chars().chain(std::iter::once(')')) {
        if !"(){},".contains(c) {
            token.push(c);
            continue;
        }
        let is_key = c != '(' && token.len() > 20 && !HASHES.contains(&function.rsplit(':').next().unwrap_or(""));
        match is_key.then(|| DescriptorPublicKey::from_str(&token)) {
            Some(Ok(key)) => {
                match replace(position, &key)? {
                    Some(text) => out.push_str(&text),
                    None => out.push_str(&token),
                }
                position += 1;
            }
            _ => out.push_str(&token),
        }
        if c == '(' {
            function = std::mem::take(&mut token);
        } else {
            token.clear();
        }
        out.push(c);
    }
    out.pop();
    Ok(out)
}

fn origin(fingerprint: Fingerprint, path: &DerivationPath) -> String {
    let mut out = format!("[{fingerprint:x}");
    for step in path {
        out.push_str(&format!("/{step:#}").replace('\'', "h"));
    }
    out.push(']');
    out
}

fn normalize(text: &str, cache: &KeyCache) -> Result<String, DescriptorError> {
    let out = map_keys(text, |position, key| {
        let DescriptorPublicKey::XPub(key) = key else { return Ok(None) };
        let steps: Vec<ChildNumber> = key.derivation_path.into_iter().copied().collect();
        let Some(last) = steps.iter().rposition(|step| step.is_hardened()) else { return Ok(None) };
        if key.wildcard == Wildcard::Hardened {
            return Ok(None);
        }
        let xpub = cache.last_hardened.get(&position).ok_or(DescriptorError::MissingCache)?;
        let (fingerprint, base) = key.origin.clone().unwrap_or((key.xkey.fingerprint(), DerivationPath::master()));
        let mut text = origin(fingerprint, &base.extend(&steps[..=last]));
        text.push_str(&xpub.to_string());
        for step in &steps[last + 1..] {
            text.push_str(&format!("/{step}"));
        }
        if key.wildcard == Wildcard::Unhardened {
            text.push_str("/*");
        }
        Ok(Some(text))
    })?;
    Ok(out)
}

fn parse_parts(text: &str) -> Result<Vec<Descriptor<DescriptorPublicKey>>, DescriptorError> {
    let parse = |text: &str| Descriptor::from_str(text).map_err(|error| DescriptorError::Parse(error.to_string()));
    if let Some(key) = text.strip_prefix("combo(").and_then(|rest| rest.strip_suffix(')')) {
        let mut parts = vec![parse(&format!("pk({key})"))?, parse(&format!("pkh({key})"))?];
        // An uncompressed key has no segwit forms.
        if let Ok(wpkh) = parse(&format!("wpkh({key})")) {
            parts.push(wpkh);
            parts.push(parse(&format!("sh(wpkh({key}))"))?);
        }
        return Ok(parts);
    }
    if text.starts_with("unused(") {
        return Ok(Vec::new());
    }
    Ok(vec![parse(text)?])
}

impl PublicDescriptor {
    /// Parses the text of a record (with or without checksum).
    ///
    /// # Errors
    /// The text does not parse, or a key that a hardened step needs is not cached.
    pub fn new(text: &str, cache: &KeyCache, network: Network) -> Result<PublicDescriptor, DescriptorError> {
        let text = without_checksum(text);
        let inner = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
        let script = if let Some(address) = inner("addr(") {
            let address = bitcoin::Address::from_str(address).map_err(|error| DescriptorError::Parse(error.to_string()))?;
            Some(address.require_network(network).map_err(|error| DescriptorError::Parse(error.to_string()))?.script_pubkey())
        } else if let Some(hex) = inner("raw(") {
            Some(ScriptBuf::from_hex(hex).map_err(|error| DescriptorError::Parse(error.to_string()))?)
        } else {
            None
        };
        if let Some(script) = script {
            return Ok(PublicDescriptor {
                text: text.into(),
                normalized: text.into(),
                kind: Kind::Script(script),
                ranged: false,
            });
        }
        let mut hardened_wildcard = false;
        let mut ranged = false;
        map_keys(text, |_, key| {
            hardened_wildcard |= key.wildcard() == Some(Wildcard::Hardened);
            ranged |= key.has_wildcard();
            Ok(None)
        })?;
        let normalized = normalize(text, cache)?;
        let kind = if hardened_wildcard {
            Kind::HardenedWildcard { derived: cache.derived.clone() }
        } else {
            Kind::Parts(parse_parts(&normalized)?)
        };
        Ok(PublicDescriptor { text: text.into(), normalized: normalized.replace('\'', "h"), kind, ranged })
    }

    /// Text of the record without checksum.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Normalized text with checksum, as `listdescriptors` and `parent_descs` show it.
    pub fn normalized(&self) -> String {
        with_checksum(&self.normalized)
    }

    /// Whether the descriptor has a wildcard.
    pub fn is_ranged(&self) -> bool {
        self.ranged
    }

    /// Whether it stands for several scripts per index (`combo`).
    pub fn is_combo(&self) -> bool {
        self.text.starts_with("combo(")
    }

    /// Whether the wallet knows how to satisfy it.
    pub fn is_solvable(&self) -> bool {
        !matches!(self.kind, Kind::Script(_))
    }

    /// The address type that the descriptor makes, if it makes one.
    pub fn output_type(&self) -> Option<OutputType> {
        match &self.kind {
            Kind::Parts(parts) if parts.len() == 1 => match parts[0].desc_type() {
                DescriptorType::Pkh | DescriptorType::Sh | DescriptorType::ShSortedMulti => Some(OutputType::Legacy),
                DescriptorType::ShWpkh | DescriptorType::ShWsh | DescriptorType::ShWshSortedMulti => Some(OutputType::P2shSegwit),
                DescriptorType::Wpkh | DescriptorType::Wsh | DescriptorType::WshSortedMulti => Some(OutputType::Bech32),
                DescriptorType::Tr => Some(OutputType::Bech32m),
                DescriptorType::Bare => None,
            },
            Kind::Parts(_) => None,
            Kind::HardenedWildcard { .. } => {
                let starts = |names: &[&str]| names.iter().any(|name| self.text.starts_with(name));
                if starts(&["sh(wpkh(", "sh(wsh("]) {
                    Some(OutputType::P2shSegwit)
                } else if starts(&["pkh(", "sh("]) {
                    Some(OutputType::Legacy)
                } else if starts(&["wpkh(", "wsh("]) {
                    Some(OutputType::Bech32)
                } else {
                    starts(&["tr("]).then_some(OutputType::Bech32m)
                }
            }
            Kind::Script(script) => output_type_of(script),
        }
    }

    /// Output scripts at an index (0 for descriptors without wildcard).
    ///
    /// # Errors
    /// The index is hardened, or a cached key is missing.
    pub fn expand(&self, secp: &Secp256k1<VerifyOnly>, index: u32) -> Result<Vec<Expanded>, DescriptorError> {
        let parts = match &self.kind {
            Kind::Script(script) => return Ok(vec![Expanded { script: script.clone(), solution: None }]),
            Kind::Parts(parts) => return derive(secp, parts, index),
            Kind::HardenedWildcard { derived } => parse_parts(&map_keys(&self.text, |position, key| {
                let DescriptorPublicKey::XPub(key) = key else { return Ok(None) };
                if key.wildcard != Wildcard::Hardened {
                    return Ok(None);
                }
                let xpub = derived.get(&(position, index)).ok_or(DescriptorError::MissingCache)?;
                let (fingerprint, base) = key.origin.clone().unwrap_or((key.xkey.fingerprint(), DerivationPath::master()));
                let step = ChildNumber::from_hardened_idx(index).map_err(|_| DescriptorError::Derive)?;
                let path = base.extend(&key.derivation_path).child(step);
                Ok(Some(format!("{}{}", origin(fingerprint, &path), xpub.public_key)))
            })?)?,
        };
        derive(secp, &parts, index)
    }
}

fn derive(
    secp: &Secp256k1<VerifyOnly>,
    parts: &[Descriptor<DescriptorPublicKey>],
    index: u32,
) -> Result<Vec<Expanded>, DescriptorError> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let definite = part.at_derivation_index(index).map_err(|_| DescriptorError::Derive)?;
        let script = definite.derived_descriptor(secp).script_pubkey();
        out.push(Expanded { script, solution: Some(definite) });
    }
    Ok(out)
}

/// Origin of a key: fingerprint of its root and path below it.
pub fn key_origin(secp: &Secp256k1<VerifyOnly>, key: &DefiniteDescriptorKey) -> (Fingerprint, DerivationPath) {
    let fingerprint = match key.as_descriptor_public_key() {
        // A key without origin stands for itself.
        DescriptorPublicKey::Single(single) if single.origin.is_none() => {
            let id = key.derive_public_key(secp).pubkey_hash();
            let bytes: &[u8] = id.as_ref();
            Fingerprint::from([bytes[0], bytes[1], bytes[2], bytes[3]])
        }
        _ => key.master_fingerprint(),
    };
    (fingerprint, key.full_derivation_path().unwrap_or_else(DerivationPath::master))
}

/// The descriptor of one output with plain public keys and their origins, as Core infers it; with checksum.
pub fn inferred(secp: &Secp256k1<VerifyOnly>, solution: &Descriptor<DefiniteDescriptorKey>) -> String {
    let text = solution.to_string();
    let text = without_checksum(&text);
    let taproot = text.starts_with("tr(");
    let plain = map_keys(text, |_, key| {
        let Ok(definite) = DefiniteDescriptorKey::new(key.clone()) else { return Ok(None) };
        let public = definite.derive_public_key(secp);
        let (fingerprint, path) = key_origin(secp, &definite);
        let key = if taproot { public.inner.x_only_public_key().0.to_string() } else { public.to_string() };
        Ok(Some(format!("{}{key}", origin(fingerprint, &path))))
    });
    with_checksum(&plain.unwrap_or_else(|_| text.to_owned()))
}

/// Address type of an output script.
pub fn output_type_of(script: &bitcoin::Script) -> Option<OutputType> {
    if script.is_p2pkh() {
        Some(OutputType::Legacy)
    } else if script.is_p2sh() {
        Some(OutputType::P2shSegwit)
    } else if script.is_p2wpkh() || script.is_p2wsh() {
        Some(OutputType::Bech32)
    } else {
        script.is_p2tr().then_some(OutputType::Bech32m)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::bip32::Xpriv;

    #[test]
    fn a_descriptor_with_hardened_steps_expands_through_the_cache() {
        let secp = Secp256k1::new();
        let master = Xpriv::new_master(Network::Regtest, &[7; 32]).unwrap();
        let account = master.derive_priv(&secp, &DerivationPath::from_str("84h/1h/0h").unwrap()).unwrap();
        let text = format!("wpkh({}/84h/1h/0h/0/*)", Xpub::from_priv(&secp, &master));
        let missing = PublicDescriptor::new(&text, &KeyCache::default(), Network::Regtest);
        assert!(matches!(missing, Err(DescriptorError::MissingCache)));

        let mut cache = KeyCache::default();
        cache.last_hardened.insert(0, Xpub::from_priv(&secp, &account));
        let descriptor = PublicDescriptor::new(&text, &cache, Network::Regtest).unwrap();
        let want = format!("wpkh([{}/84h/1h/0h]{}/0/*)", master.fingerprint(&secp), Xpub::from_priv(&secp, &account));
        assert_eq!(without_checksum(&descriptor.normalized()), want);
        assert_eq!(descriptor.output_type(), Some(OutputType::Bech32));
        let child = account.derive_priv(&secp, &DerivationPath::from_str("0/5").unwrap()).unwrap();
        let key = bitcoin::CompressedPublicKey(child.private_key.public_key(&secp));
        let verify = Secp256k1::verification_only();
        assert_eq!(descriptor.expand(&verify, 5).unwrap()[0].script, ScriptBuf::new_p2wpkh(&key.wpubkey_hash()));
    }

    #[test]
    fn combo_stands_for_four_scripts() {
        let key = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
        let verify = Secp256k1::verification_only();
        let combo = PublicDescriptor::new(&format!("combo({key})"), &KeyCache::default(), Network::Regtest).unwrap();
        assert_eq!(combo.expand(&verify, 0).unwrap().len(), 4);
        assert_eq!(combo.output_type(), None);
        assert!(!combo.is_ranged());
        let raw = PublicDescriptor::new("raw(51)", &KeyCache::default(), Network::Regtest).unwrap();
        assert_eq!(raw.expand(&verify, 0).unwrap()[0].script.as_bytes(), [0x51]);
        assert!(!raw.is_solvable());
    }
}
