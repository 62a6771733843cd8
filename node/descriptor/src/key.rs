//! Key expressions: `[origin]key/path/*`, with Core's rules and texts (src/script/descriptor.cpp).

use super::{Cache, DescriptorError, Keys};
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpriv, Xpub};
use bitcoin::secp256k1::{All, PublicKey as RawPublicKey, Secp256k1, SecretKey};
use bitcoin::{NetworkKind, PrivateKey, PublicKey};
use core::fmt::Write as _;
use core::str::FromStr;
use std::collections::btree_map::Entry;
use std::sync::LazyLock;

/// One context for all derivations of the process.
pub static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

const HARDENED: u32 = 0x8000_0000;
/// Most descriptors that one multipath text may stand for.
const MAX_PATHS: usize = 1000;

/// The last step of an extended key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcard {
    /// A single key.
    None,
    /// `/*`
    Unhardened,
    /// `/*h`
    Hardened,
}

/// What stands behind the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// One public key.
    Single {
        /// The key; an even one for `x_only`.
        key: PublicKey,
        /// Written with 32 bytes.
        x_only: bool,
    },
    /// An extended public key.
    Extended {
        /// Root as written.
        root: Xpub,
        /// Steps behind it.
        path: Vec<u32>,
        /// Last step.
        wildcard: Wildcard,
    },
}

/// A key expression without private parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExpression {
    /// Fingerprint and steps in brackets.
    pub origin: Option<(Fingerprint, Vec<u32>)>,
    /// The key.
    pub kind: KeyKind,
    /// Hardened steps are written with `'` and not with `h`.
    pub apostrophe: bool,
}

/// Which spelling of a descriptor is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// As Core stores it.
    Public,
    /// Always with apostrophes: the form that ids are computed from.
    Compatible,
    /// With private keys where they are known.
    Private(&'a Keys),
    /// With the key after the last hardened step, for `listdescriptors`.
    Normalized(&'a Keys, &'a Cache),
}

/// The public key of an expression at an index, with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedKey {
    /// The key.
    pub key: PublicKey,
    /// Fingerprint of the master.
    pub fingerprint: Fingerprint,
    /// Steps from the master.
    pub path: Vec<u32>,
}

impl DerivedKey {
    /// The origin in brackets, as descriptors show it.
    #[must_use]
    pub fn origin_text(&self) -> String {
        format!("[{}{}]", self.fingerprint, steps(&self.path, false))
    }

    /// The steps behind `m`, as `hdkeypath` shows them.
    #[must_use]
    pub fn path_text(&self) -> String {
        format!("m{}", steps(&self.path, false))
    }
}

fn invalid(text: impl Into<String>) -> DescriptorError {
    DescriptorError::Invalid(text.into())
}

/// Where a key expression stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Top level, or inside `sh`.
    Legacy,
    /// Inside segwit version 0.
    Segwit,
    /// Inside `tr` or `rawtr`.
    Taproot,
    /// Inside `musig`.
    Musig,
}

pub(super) fn path_number(text: &str, apostrophe: &mut bool) -> Result<u32, DescriptorError> {
    let (digits, hardened) = match text.as_bytes().last() {
        Some(mark @ (b'\'' | b'h')) => {
            *apostrophe = *mark == b'\'';
            (&text[..text.len() - 1], true)
        }
        _ => (text, false),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain
        .then(|| digits.parse::<u32>().ok())
        .flatten()
        .ok_or_else(|| invalid(format!("Key path value '{digits}' is not a valid uint32")))?;
    if number >= HARDENED {
        return Err(invalid(format!("Key path value {number} is out of range")));
    }
    Ok(if hardened { number | HARDENED } else { number })
}

/// The paths that steps stand for: several if one of the steps is `<a;b;...>`.
pub(super) fn paths(steps: &[&str], multipath: bool, apostrophe: &mut bool) -> Result<Vec<Vec<u32>>, DescriptorError> {
    let mut all = vec![Vec::with_capacity(steps.len())];
    for step in steps {
        let Some(inner) = step.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
            let number = path_number(step, apostrophe)?;
            all.iter_mut().for_each(|path| path.push(number));
            continue;
        };
        if !multipath {
            let text = format!("Key path value '{step}' specifies multipath in a section where multipath is not allowed");
            return Err(invalid(text));
        }
        let [path] = all.as_slice() else { return Err(invalid("Multiple multipath key path specifiers found")) };
        let mut numbers: Vec<u32> = Vec::new();
        if !inner.contains(';') {
            return Err(invalid("Multipath key path specifiers must have at least two items"));
        }
        for value in inner.split(';') {
            let number = path_number(value, apostrophe)?;
            if numbers.contains(&number) {
                return Err(invalid(format!("Duplicated key path value {number} in multipath specifier")));
            }
            if numbers.len() == MAX_PATHS {
                return Err(invalid("Too many multipath alternatives"));
            }
            numbers.push(number);
        }
        all = numbers.into_iter().map(|number| [path.as_slice(), &[number]].concat()).collect();
    }
    Ok(all)
}

impl KeyExpression {
    /// Parses an expression, several if one of its steps is `<a;b;...>`, and puts the private key that it holds, if any,
    /// into `keys`. Without a network keys of all networks are taken.
    ///
    /// # Errors
    /// Core's text in [`DescriptorError::Invalid`].
    pub(super) fn parse(
        text: &str,
        context: Context,
        network: Option<NetworkKind>,
        keys: &mut Keys,
    ) -> Result<Vec<Self>, DescriptorError> {
        let mut apostrophe = false;
        let parts: Vec<&str> = text.split(']').collect();
        let (origin, key) = match parts[..] {
            [key] => (None, key),
            [origin, key] => {
                let Some(inner) = origin.strip_prefix('[') else {
                    let found = origin.chars().next().unwrap_or(']');
                    return Err(invalid(format!("Key origin start '[ character expected but not found, got '{found}' instead")));
                };
                let steps: Vec<&str> = inner.split('/').collect();
                let fingerprint = steps[0];
                if fingerprint.len() != 8 {
                    return Err(invalid(format!(
                        "Fingerprint is not 4 bytes ({} characters instead of 8 characters)",
                        fingerprint.len()
                    )));
                }
                let parsed =
                    Fingerprint::from_str(fingerprint).map_err(|_| invalid(format!("Fingerprint '{fingerprint}' is not hex")))?;
                let path = paths(&steps[1..], false, &mut apostrophe)?.remove(0);
                (Some((parsed, path)), key)
            }
            _ => return Err(invalid("Multiple ']' characters found for a single pubkey")),
        };
        let kinds = Self::parse_kinds(key, context, network, &mut apostrophe, keys)?;
        Ok(kinds.into_iter().map(|kind| Self { origin: origin.clone(), kind, apostrophe }).collect())
    }

    fn parse_kinds(
        text: &str,
        context: Context,
        network: Option<NetworkKind>,
        apostrophe: &mut bool,
        keys: &mut Keys,
    ) -> Result<Vec<KeyKind>, DescriptorError> {
        let here = |kind: NetworkKind| network.is_none_or(|network| network == kind);
        let mut steps: Vec<&str> = text.split('/').collect();
        let key = steps.remove(0);
        if key.is_empty() {
            return Err(invalid("No key provided"));
        }
        if key.starts_with(char::is_whitespace) || key.ends_with(char::is_whitespace) {
            return Err(invalid(format!("Key '{key}' is invalid due to whitespace")));
        }
        if steps.is_empty() {
            if key.len().is_multiple_of(2) && key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Ok(vec![Self::parse_hex(key, context)?]);
            }
            if let Ok(private) = PrivateKey::from_wif(key)
                && here(private.network)
            {
                if !private.compressed && context != Context::Legacy {
                    return Err(invalid("Uncompressed keys are not allowed"));
                }
                let public = private.public_key(&SECP);
                keys.insert(public, private.inner);
                return Ok(vec![KeyKind::Single { key: public, x_only: context == Context::Taproot }]);
            }
        }
        let (root, secret) = match (Xpriv::from_str(key), Xpub::from_str(key)) {
            (Ok(xpriv), _) if here(xpriv.network) => (Xpub::from_priv(&SECP, &xpriv), Some(xpriv.private_key)),
            (_, Ok(xpub)) if here(xpub.network) => (xpub, None),
            _ => return Err(invalid(format!("key '{key}' is not valid"))),
        };
        let wildcard = match steps.last() {
            Some(&"*") => Wildcard::Unhardened,
            Some(&("*'" | "*h")) => {
                *apostrophe = steps.last() == Some(&"*'");
                Wildcard::Hardened
            }
            _ => Wildcard::None,
        };
        if wildcard != Wildcard::None {
            steps.pop();
        }
        let paths = paths(&steps, true, apostrophe)?;
        if let Some(secret) = secret {
            keys.insert(PublicKey::new(root.public_key), secret);
        }
        Ok(paths.into_iter().map(|path| KeyKind::Extended { root, path, wildcard }).collect())
    }

    fn parse_hex(key: &str, context: Context) -> Result<KeyKind, DescriptorError> {
        let error = || invalid(format!("Pubkey '{key}' is invalid"));
        let bytes = hex::decode(key).map_err(|_| error())?;
        if bytes.len() == 65 && matches!(bytes[0], 6 | 7) {
            return Err(invalid("Hybrid public keys are not allowed"));
        }
        if bytes.len() == 32 && context == Context::Taproot {
            let full = [&[2][..], &bytes].concat();
            let key = RawPublicKey::from_slice(&full).map_err(|_| error())?;
            return Ok(KeyKind::Single { key: PublicKey::new(key), x_only: true });
        }
        let key = PublicKey::from_slice(&bytes).map_err(|_| error())?;
        if !key.compressed && context != Context::Legacy {
            return Err(invalid("Uncompressed keys are not allowed"));
        }
        Ok(KeyKind::Single { key, x_only: false })
    }

    /// Whether it stands for different keys at different indexes.
    #[must_use]
    pub fn is_range(&self) -> bool {
        matches!(&self.kind, KeyKind::Extended { wildcard, .. } if *wildcard != Wildcard::None)
    }

    /// Whether a private key is needed to derive (ignoring caches).
    #[must_use]
    pub fn is_hardened(&self) -> bool {
        matches!(&self.kind, KeyKind::Extended { path, wildcard, .. }
            if *wildcard == Wildcard::Hardened || path.iter().any(|step| step & HARDENED != 0))
    }

    /// The public key as written: the root of an extended key.
    #[must_use]
    pub fn root_key(&self) -> PublicKey {
        match &self.kind {
            KeyKind::Single { key, .. } => *key,
            KeyKind::Extended { root, .. } => PublicKey::new(root.public_key),
        }
    }

    fn with_origin(&self, own: Fingerprint, steps: Vec<u32>) -> (Fingerprint, Vec<u32>) {
        match &self.origin {
            Some((fingerprint, path)) => (*fingerprint, path.iter().copied().chain(steps).collect()),
            None => (own, steps),
        }
    }

    /// The key at `index` from cached keys, or from the expression alone when no hardened step is in it.
    #[must_use]
    pub fn derive_public(&self, position: u32, index: u32, cache: &Cache) -> Option<DerivedKey> {
        match &self.kind {
            KeyKind::Single { key, .. } => {
                let (fingerprint, path) = self.with_origin(fingerprint(key), Vec::new());
                Some(DerivedKey { key: *key, fingerprint, path })
            }
            KeyKind::Extended { root, path, wildcard } => {
                let found = match (cache.derived.get(&(position, index)), wildcard) {
                    (Some(derived), _) => *derived,
                    (None, Wildcard::Hardened) => return None,
                    (None, _) => {
                        let parent = match cache.parent.get(&position) {
                            Some(parent) => *parent,
                            None => derive_xpub(*root, path)?,
                        };
                        if *wildcard == Wildcard::Unhardened { derive_xpub(parent, &[index])? } else { parent }
                    }
                };
                Some(self.derived(root, path, *wildcard, index, PublicKey::new(found.public_key)))
            }
        }
    }

    fn derived(&self, root: &Xpub, path: &[u32], wildcard: Wildcard, index: u32, key: PublicKey) -> DerivedKey {
        let mut steps = path.to_vec();
        match wildcard {
            Wildcard::None => {}
            Wildcard::Unhardened => steps.push(index),
            Wildcard::Hardened => steps.push(index | HARDENED),
        }
        let (fingerprint, path) = self.with_origin(root.fingerprint(), steps);
        DerivedKey { key, fingerprint, path }
    }

    /// The root with its private key, when `keys` has it. As in Core, only the key itself is secret: depth,
    /// parent and chain code come from the extended public key.
    #[must_use]
    pub fn root_private(&self, keys: &Keys) -> Option<Xpriv> {
        let KeyKind::Extended { root, .. } = &self.kind else { return None };
        let private_key = keys.secret(&PublicKey::new(root.public_key))?;
        Some(Xpriv {
            network: root.network,
            depth: root.depth,
            parent_fingerprint: root.parent_fingerprint,
            child_number: root.child_number,
            private_key,
            chain_code: ChainCode::from(root.chain_code.to_bytes()),
        })
    }

    /// The private key at `index`.
    #[must_use]
    pub fn derive_private(&self, index: u32, keys: &Keys) -> Option<SecretKey> {
        match &self.kind {
            KeyKind::Single { key, x_only } => {
                if *x_only {
                    keys.secret_x_only(key)
                } else {
                    keys.secret(key)
                }
            }
            KeyKind::Extended { path, wildcard, .. } => {
                let mut xpriv = derive_xpriv(self.root_private(keys)?, path)?;
                match wildcard {
                    Wildcard::None => {}
                    Wildcard::Unhardened => xpriv = derive_xpriv(xpriv, &[index])?,
                    Wildcard::Hardened => xpriv = derive_xpriv(xpriv, &[index | HARDENED])?,
                }
                Some(xpriv.private_key)
            }
        }
    }

    /// What Core caches when it expands this expression at `index` with private keys: nothing for single keys.
    #[must_use]
    pub fn fill_cache(&self, position: u32, index: u32, keys: &Keys, cache: &mut Cache) -> Option<()> {
        let KeyKind::Extended { root, path, wildcard } = &self.kind else { return Some(()) };
        if !self.is_hardened() {
            if let Entry::Vacant(entry) = cache.parent.entry(position) {
                entry.insert(derive_xpub(*root, path)?);
            }
            return Some(());
        }
        if *wildcard != Wildcard::Hardened && cache.parent.contains_key(&position) && cache.last_hardened.contains_key(&position)
        {
            return Some(());
        }
        let mut xpriv = self.root_private(keys)?;
        let mut last_hardened = None;
        for step in path {
            xpriv = derive_xpriv(xpriv, &[*step])?;
            if step & HARDENED != 0 {
                last_hardened = Some(Xpub::from_priv(&SECP, &xpriv));
            }
        }
        if *wildcard == Wildcard::Hardened {
            let last = derive_xpriv(xpriv, &[index | HARDENED])?;
            cache.derived.insert((position, index), Xpub::from_priv(&SECP, &last));
        } else {
            cache.parent.insert(position, Xpub::from_priv(&SECP, &xpriv));
            if let Some(xpub) = last_hardened {
                cache.last_hardened.insert(position, xpub);
            }
        }
        Some(())
    }

    /// The public form.
    #[must_use]
    pub fn public_text(&self) -> String {
        let mut text = String::new();
        self.print(Form::Public, 0, NetworkKind::Main, &mut text);
        text
    }

    /// Appends the expression in the wanted form; answers whether a private key (for `Private`) or the normalized
    /// key was available.
    pub fn print(&self, form: Form<'_>, position: u32, network: NetworkKind, out: &mut String) -> bool {
        let apostrophe = match form {
            Form::Public | Form::Private(_) => self.apostrophe,
            Form::Compatible => true,
            Form::Normalized(..) => false,
        };
        let mut origin = self.origin.as_ref().map(|(fingerprint, path)| format!("{fingerprint}{}", steps(path, apostrophe)));
        let mut available = !matches!(form, Form::Private(_));
        let key = match (&self.kind, form) {
            (KeyKind::Single { key, x_only }, Form::Private(keys)) => {
                match if *x_only { keys.secret_x_only(key) } else { keys.secret(key) } {
                    Some(inner) => {
                        available = true;
                        PrivateKey { compressed: key.compressed, network, inner }.to_wif()
                    }
                    None => single(key, *x_only),
                }
            }
            (KeyKind::Single { key, x_only }, _) => single(key, *x_only),
            (KeyKind::Extended { root, path, wildcard }, Form::Normalized(keys, cache)) => {
                let last = path.iter().rposition(|step| step & HARDENED != 0);
                match (wildcard, last) {
                    (Wildcard::Hardened, _) => extended(&root.to_string(), path, *wildcard, false),
                    (_, None) => extended(&root.to_string(), path, *wildcard, self.apostrophe),
                    (_, Some(last)) => {
                        let (hardened, rest) = path.split_at(last + 1);
                        let xpub = cache.last_hardened.get(&position).copied().or_else(|| {
                            let xpriv = derive_xpriv(self.root_private(keys)?, hardened)?;
                            Some(Xpub::from_priv(&SECP, &xpriv))
                        });
                        let Some(xpub) = xpub else { return false };
                        let own = format!("{}{}", root.fingerprint(), steps(hardened, false));
                        // Behind an origin of its own only the steps are added to it.
                        origin = Some(match origin {
                            Some(outer) => outer + &own[8..],
                            None => own,
                        });
                        extended(&xpub.to_string(), rest, *wildcard, false)
                    }
                }
            }
            (KeyKind::Extended { root, path, wildcard }, Form::Private(keys)) => match self.root_private(keys) {
                Some(xpriv) => {
                    available = true;
                    extended(&xpriv.to_string(), path, *wildcard, apostrophe)
                }
                None => extended(&root.to_string(), path, *wildcard, apostrophe),
            },
            (KeyKind::Extended { root, path, wildcard }, _) => extended(&root.to_string(), path, *wildcard, apostrophe),
        };
        if let Some(origin) = origin {
            let _ = write!(out, "[{origin}]");
        }
        out.push_str(&key);
        available
    }
}

fn single(key: &PublicKey, x_only: bool) -> String {
    let text = key.to_string();
    if x_only { text[2..].to_owned() } else { text }
}

pub(super) fn steps(path: &[u32], apostrophe: bool) -> String {
    let mut text = String::new();
    for step in path {
        let _ = write!(text, "/{}", step & !HARDENED);
        if step & HARDENED != 0 {
            text.push(if apostrophe { '\'' } else { 'h' });
        }
    }
    text
}

fn extended(key: &str, path: &[u32], wildcard: Wildcard, apostrophe: bool) -> String {
    let end = match wildcard {
        Wildcard::None => "",
        Wildcard::Unhardened => "/*",
        Wildcard::Hardened if apostrophe => "/*'",
        Wildcard::Hardened => "/*h",
    };
    format!("{key}{}{end}", steps(path, apostrophe))
}

/// First four bytes of the key's hash: how Core names the master of a key without origin.
pub(super) fn fingerprint(key: &PublicKey) -> Fingerprint {
    let hash = key.pubkey_hash();
    let bytes: &[u8] = hash.as_ref();
    Fingerprint::from([bytes[0], bytes[1], bytes[2], bytes[3]])
}

pub(super) fn derive_xpub(mut key: Xpub, path: &[u32]) -> Option<Xpub> {
    for step in path {
        key = key.ckd_pub(&SECP, ChildNumber::from(*step)).ok()?;
    }
    Some(key)
}

fn derive_xpriv(key: Xpriv, path: &[u32]) -> Option<Xpriv> {
    let path: Vec<ChildNumber> = path.iter().map(|step| ChildNumber::from(*step)).collect();
    key.derive_priv(&SECP, &path).ok()
}
