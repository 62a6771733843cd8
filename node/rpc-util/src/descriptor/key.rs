//! Key expressions: hex keys, WIF, and extended keys with origin and derivation path.

use crate::address::{decode_wif, prefixes};
use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::secp256k1::{All, Secp256k1, SecretKey};
use bitcoin::{Network, PublicKey, XOnlyPublicKey, base58};

/// Where a key expression stands; decides which forms of keys are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Outermost.
    Top,
    /// Inside `sh()`.
    P2sh,
    /// Inside `wpkh()`.
    P2wpkh,
    /// Inside `wsh()`.
    P2wsh,
    /// Inside `tr()`.
    P2tr,
}

impl Place {
    fn permits_uncompressed(self) -> bool {
        matches!(self, Place::Top | Place::P2sh)
    }
}

const HARDENED: u32 = 1 << 31;

/// Last step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wildcard {
    None,
    Normal,
    Hardened,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Single { key: PublicKey, x_only: bool, has_secret: bool },
    Extended { public: Xpub, secret: Option<Xpriv>, path: Vec<u32>, wildcard: Wildcard },
}

/// A parsed key expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    origin: Option<([u8; 4], Vec<u32>)>,
    source: Source,
    apostrophe: bool,
}

fn parse_number(text: &str, apostrophe: &mut bool) -> Result<u32, String> {
    let (digits, hardened) = match text.strip_suffix(['\'', 'h']) {
        Some(digits) => {
            *apostrophe = text.ends_with('\'');
            (digits, HARDENED)
        }
        None => (text, 0),
    };
    let number: u32 = match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().map_err(|_| format!("Key path value '{digits}' is not a valid uint32"))?,
        false => return Err(format!("Key path value '{digits}' is not a valid uint32")),
    };
    if number >= HARDENED {
        return Err(format!("Key path value {number} is out of range"));
    }
    Ok(number | hardened)
}

fn parse_path<'a>(parts: impl Iterator<Item = &'a str>, apostrophe: &mut bool) -> Result<Vec<u32>, String> {
    parts
        .map(|part| {
            if part.starts_with('<') && part.ends_with('>') {
                return Err(format!("Key path value '{part}' specifies multipath in a section where multipath is not allowed"));
            }
            parse_number(part, apostrophe)
        })
        .collect()
}

fn extended_bytes(text: &str, version: [u8; 4]) -> Option<Vec<u8>> {
    let data = if text.len() > 120 { None } else { base58::decode_check(text).ok() }?;
    (data.len() == 78 && data[..4] == version).then_some(data)
}

impl Key {
    /// Parses one key expression.
    ///
    /// # Errors
    /// Core's texts (src/script/descriptor.cpp).
    pub fn parse(text: &str, place: Place, network: Network, secp: &Secp256k1<All>) -> Result<Self, String> {
        let mut apostrophe = false;
        let (origin, text) = match text.split_once(']') {
            None => (None, text),
            Some((_, rest)) if rest.contains(']') => {
                return Err("Multiple ']' characters found for a single pubkey".into());
            }
            Some((origin, rest)) => (Some(parse_origin(origin, &mut apostrophe)?), rest),
        };
        let source = parse_source(text, place, network, secp, &mut apostrophe)?;
        Ok(Self { origin, source, apostrophe })
    }

    /// Whether it stands for many keys.
    pub fn is_range(&self) -> bool {
        matches!(&self.source, Source::Extended { wildcard, .. } if *wildcard != Wildcard::None)
    }

    /// Whether the expression held a private key.
    pub fn has_secret(&self) -> bool {
        match &self.source {
            Source::Single { has_secret, .. } => *has_secret,
            Source::Extended { secret, .. } => secret.is_some(),
        }
    }

    /// Length of the serialised public key.
    pub fn size(&self) -> usize {
        match &self.source {
            Source::Single { key, .. } if !key.compressed => 65,
            _ => 33,
        }
    }

    /// The public key at a position; `None` if hardened steps need a private key that is not here.
    pub fn derive(&self, position: u32, secp: &Secp256k1<All>) -> Option<PublicKey> {
        match &self.source {
            Source::Single { key, .. } => Some(*key),
            Source::Extended { public, secret, path, wildcard } => {
                let mut path = path.clone();
                match wildcard {
                    Wildcard::None => {}
                    Wildcard::Normal => path.push(position),
                    Wildcard::Hardened => path.push(position | HARDENED),
                }
                let path: Vec<ChildNumber> = path.into_iter().map(ChildNumber::from).collect();
                let derived = match secret {
                    Some(secret) => Xpub::from_priv(secp, &secret.derive_priv(secp, &path).ok()?),
                    None => public.derive_pub(secp, &path).ok()?,
                };
                Some(PublicKey::new(derived.public_key))
            }
        }
    }

    /// The private key behind [`Key::derive`], if the expression held one for an extended key.
    pub fn derive_secret(&self, position: u32, secp: &Secp256k1<All>) -> Option<SecretKey> {
        let Source::Extended { secret: Some(secret), path, wildcard, .. } = &self.source else { return None };
        let mut path = path.clone();
        match wildcard {
            Wildcard::None => {}
            Wildcard::Normal => path.push(position),
            Wildcard::Hardened => path.push(position | HARDENED),
        }
        let path: Vec<ChildNumber> = path.into_iter().map(ChildNumber::from).collect();
        secret.derive_priv(secp, &path).ok().map(|derived| derived.private_key)
    }

    /// Fingerprint and full path of the key at a position.
    pub fn origin(&self, position: u32) -> Option<([u8; 4], Vec<u32>)> {
        match (&self.origin, &self.source) {
            (None, Source::Single { .. }) => None,
            (Some(origin), Source::Single { .. }) => Some(origin.clone()),
            (origin, Source::Extended { public, path, wildcard, .. }) => {
                let (fingerprint, mut full) = origin.clone().unwrap_or_else(|| (public.fingerprint().to_bytes(), Vec::new()));
                full.extend(path);
                match wildcard {
                    Wildcard::None => {}
                    Wildcard::Normal => full.push(position),
                    Wildcard::Hardened => full.push(position | HARDENED),
                }
                Some((fingerprint, full))
            }
        }
    }

    /// Text of the key at a position with its origin, as inference shows a key that it knows. A plain key is its own origin.
    pub(super) fn derived_text(&self, position: u32, x_only: bool, secp: &Secp256k1<All>) -> Option<String> {
        let key = self.derive(position, secp)?;
        let (fingerprint, path) = self.origin(position).unwrap_or_else(|| {
            let hash: [u8; 20] = *key.pubkey_hash().as_ref();
            ([hash[0], hash[1], hash[2], hash[3]], Vec::new())
        });
        let steps: String = path
            .iter()
            .map(|step| match step & HARDENED {
                0 => format!("/{step}"),
                _ => format!("/{}h", step & !HARDENED),
            })
            .collect();
        let key = if x_only { XOnlyPublicKey::from(key.inner).to_string() } else { key.to_string() };
        Some(format!("[{}{steps}]{key}", hex::encode(fingerprint)))
    }

    fn path_text(&self, path: &[u32]) -> String {
        let marker = if self.apostrophe { '\'' } else { 'h' };
        path.iter()
            .map(|step| match step & HARDENED {
                0 => format!("/{step}"),
                _ => format!("/{}{marker}", step & !HARDENED),
            })
            .collect()
    }

    /// Canonical text without private keys.
    pub fn public_text(&self, network: Network) -> String {
        let origin = match &self.origin {
            Some((fingerprint, path)) => format!("[{}{}]", hex::encode(fingerprint), self.path_text(path)),
            None => String::new(),
        };
        match &self.source {
            Source::Single { key, x_only: true, .. } => format!("{origin}{}", XOnlyPublicKey::from(key.inner)),
            Source::Single { key, .. } => format!("{origin}{key}"),
            Source::Extended { public, path, wildcard, .. } => {
                let mut bytes = public.encode();
                bytes[..4].copy_from_slice(&prefixes(network).xpub);
                let end = match (wildcard, self.apostrophe) {
                    (Wildcard::None, _) => "",
                    (Wildcard::Normal, _) => "/*",
                    (Wildcard::Hardened, true) => "/*'",
                    (Wildcard::Hardened, false) => "/*h",
                };
                format!("{origin}{}{}{end}", base58::encode_check(&bytes), self.path_text(path))
            }
        }
    }
}

fn parse_origin(text: &str, apostrophe: &mut bool) -> Result<([u8; 4], Vec<u32>), String> {
    let Some(inner) = text.strip_prefix('[') else {
        let got = text.chars().next().unwrap_or(']');
        return Err(format!("Key origin start '[ character expected but not found, got '{got}' instead"));
    };
    let mut parts = inner.split('/');
    let fingerprint = parts.next().unwrap_or_default();
    if fingerprint.len() != 8 {
        return Err(format!("Fingerprint is not 4 bytes ({} characters instead of 8 characters)", fingerprint.len()));
    }
    let bytes = hex::decode(fingerprint).map_err(|_| format!("Fingerprint '{fingerprint}' is not hex"))?;
    let bytes: [u8; 4] = bytes.try_into().map_err(|_| format!("Fingerprint '{fingerprint}' is not hex"))?;
    Ok((bytes, parse_path(parts, apostrophe)?))
}

fn parse_source(
    text: &str,
    place: Place,
    network: Network,
    secp: &Secp256k1<All>,
    apostrophe: &mut bool,
) -> Result<Source, String> {
    let mut parts: Vec<&str> = text.split('/').collect();
    let head = parts.remove(0);
    if head.is_empty() {
        return Err("No key provided".into());
    }
    if head.starts_with(|c: char| c.is_ascii_whitespace()) || head.ends_with(|c: char| c.is_ascii_whitespace()) {
        return Err(format!("Key '{head}' is invalid due to whitespace"));
    }
    if parts.is_empty() {
        if let Some(bytes) = crate::codec::parse_hex(head) {
            return parse_hex_key(head, &bytes, place);
        }
        if let Some((secret, compressed)) = decode_wif(head, network)
            && let Ok(secret) = SecretKey::from_slice(&secret)
        {
            if !compressed && !place.permits_uncompressed() {
                return Err("Uncompressed keys are not allowed".into());
            }
            let key = PublicKey { compressed, inner: secret.public_key(secp) };
            return Ok(Source::Single { key, x_only: place == Place::P2tr, has_secret: true });
        }
    }
    let invalid = || format!("key '{head}' is not valid");
    let known = prefixes(network);
    let (public, secret) = if let Some(mut bytes) = extended_bytes(head, known.xprv) {
        // The library knows the two classic versions only; ours are the same two.
        bytes[..4].copy_from_slice(&known.xprv);
        let secret = Xpriv::decode(&bytes).map_err(|_| invalid())?;
        (Xpub::from_priv(secp, &secret), Some(secret))
    } else {
        let bytes = extended_bytes(head, known.xpub).ok_or_else(invalid)?;
        (Xpub::decode(&bytes).map_err(|_| invalid())?, None)
    };
    let wildcard = match parts.last() {
        Some(&"*") => Wildcard::Normal,
        Some(&"*'") => {
            *apostrophe = true;
            Wildcard::Hardened
        }
        Some(&"*h") => {
            *apostrophe = false;
            Wildcard::Hardened
        }
        _ => Wildcard::None,
    };
    if wildcard != Wildcard::None {
        parts.pop();
    }
    let path = parse_path(parts.into_iter(), apostrophe)?;
    Ok(Source::Extended { public, secret, path, wildcard })
}

fn parse_hex_key(text: &str, bytes: &[u8], place: Place) -> Result<Source, String> {
    if bytes.len() == 65 && matches!(bytes[0], 6 | 7) {
        return Err("Hybrid public keys are not allowed".into());
    }
    if let Ok(key) = PublicKey::from_slice(bytes) {
        if !key.compressed && !place.permits_uncompressed() {
            return Err("Uncompressed keys are not allowed".into());
        }
        return Ok(Source::Single { key, x_only: false, has_secret: false });
    }
    if place == Place::P2tr
        && let Ok(key) = XOnlyPublicKey::from_slice(bytes)
    {
        let key = PublicKey::new(key.public_key(bitcoin::secp256k1::Parity::Even));
        return Ok(Source::Single { key, x_only: true, has_secret: false });
    }
    Err(format!("Pubkey '{text}' is invalid"))
}
