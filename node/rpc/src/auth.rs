//! Who may call what: credentials, all of them hashed, and method whitelists (src/httprpc.cpp).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::locked::{Chunk, LockedError, LockedMemory, LockedUse};

/// One `-rpcauth` entry.
#[derive(Debug)]
struct Credential {
    user: String,
    salt: Chunk,
    /// HMAC-SHA256 of the password under the salt, lower-case hex.
    hash: Chunk,
}

/// All credentials. Whoever reads salts and hashes can try passwords on them, so they are in locked memory.
#[derive(Debug, Default)]
pub struct Credentials {
    entries: Vec<Credential>,
    memory: LockedMemory,
}

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// An entry is not of the form `user:salt$hash`.
    #[error("malformed credential in the configuration")]
    Malformed,
    /// It cannot be kept.
    #[error(transparent)]
    Memory(#[from] LockedError),
}

/// Compares without telling by its time where the difference is.
fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let difference = left.iter().zip(right).fold(0u8, |seen, (a, b)| seen | (a ^ b));
    core::hint::black_box(difference) == 0
}

fn hash_of(salt: &[u8], password: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(salt).expect("an HMAC takes a key of any length");
    mac.update(password);
    hex::encode(mac.finalize().into_bytes())
}

impl Credentials {
    /// Reads entries of the form `user:salt$hash`. Memory is locked here, which a confined process may not.
    ///
    /// # Errors
    /// An entry has another form, or no memory can be locked.
    pub fn parse(entries: &[String]) -> Result<Self, CredentialError> {
        let mut credentials = Self::default();
        for entry in entries {
            let (user, secret) = entry.split_once(':').ok_or(CredentialError::Malformed)?;
            let (salt, hash) = secret.split_once('$').ok_or(CredentialError::Malformed)?;
            if secret.contains(':') || hash.contains('$') {
                return Err(CredentialError::Malformed);
            }
            let memory = &mut credentials.memory;
            let (salt, hash) = (memory.store(salt.as_bytes())?, memory.store(hash.as_bytes())?);
            credentials.entries.push(Credential { user: user.into(), salt, hash });
        }
        Ok(credentials)
    }

    /// How much locked memory they take.
    #[must_use]
    pub fn memory(&self) -> LockedUse {
        self.memory.usage()
    }

    /// The user that an Authorization header names, and whether the password is right. `None` when it names no user.
    #[must_use]
    pub fn check(&self, header: &str) -> Option<(String, bool)> {
        let encoded = header.strip_prefix("Basic ")?.trim();
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        let of_user = self.entries.iter().filter(|credential| constant_time_equal(credential.user.as_bytes(), user));
        let mut of_user = of_user.map(|credential| (self.memory.get(&credential.salt), self.memory.get(&credential.hash)));
        let valid = of_user.any(|(salt, hash)| constant_time_equal(hash_of(salt, password).as_bytes(), hash));
        Some((String::from_utf8_lossy(user).into_owned(), valid))
    }
}

/// `-rpcwhitelist` and `-rpcwhitelistdefault`.
#[derive(Clone, Debug, Default)]
pub struct Whitelist {
    users: BTreeMap<String, BTreeSet<String>>,
    deny_others: bool,
}

impl Whitelist {
    /// Entries are `user:method,method`; several entries of one user allow what all of them list. `deny_others`:
    /// users without an entry may call nothing.
    #[must_use]
    pub fn new(entries: &[String], deny_others: bool) -> Self {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in entries {
            let Some((user, methods)) = entry.split_once(':') else {
                users.entry(entry.clone()).or_default();
                continue;
            };
            let methods: BTreeSet<String> = methods.split([',', ' ']).map(str::to_owned).collect();
            users
                .entry(user.to_owned())
                .and_modify(|allowed| allowed.retain(|method| methods.contains(method)))
                .or_insert(methods);
        }
        Self { users, deny_others }
    }

    /// Whether this user may call nothing at all.
    #[must_use]
    pub fn denies_everything(&self, user: &str) -> bool {
        self.deny_others && !self.users.contains_key(user)
    }

    /// Whether this user may call this method.
    #[must_use]
    pub fn allows(&self, user: &str, method: &str) -> bool {
        self.users.get(user).is_none_or(|methods| methods.contains(method))
    }

    /// Whether this user has a list.
    #[must_use]
    pub fn has_list(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    }

    #[test]
    fn only_the_right_password_of_the_right_user_passes() {
        let entry = format!("alice:0a0b${}", hash_of(b"0a0b", b"pass:word"));
        let credentials = Credentials::parse(&[entry]).unwrap();
        assert_eq!(credentials.check(&basic("alice:pass:word")), Some(("alice".into(), true)));
        for wrong in ["alice:pass", "alice:", "bob:pass:word", ":pass:word"] {
            assert!(!credentials.check(&basic(wrong)).unwrap().1, "{wrong}");
        }
        assert_eq!((credentials.memory().used, credentials.memory().chunks_used), (4 + 64, 2));
        for nonsense in ["", "Basic", "Basic ####", "Bearer x", &basic("nocolon")] {
            assert_eq!(credentials.check(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_hash_is_that_of_cores_rpcauth_script() {
        // HMAC-SHA256("salt", "password"), computed with Python's hmac module.
        assert_eq!(hash_of(b"salt", b"password"), "84ec44c7d6fc41917953a1dafca3c7d7856f7a9d0328b991b76f0d36be1224b9");
    }

    #[test]
    fn malformed_entries_are_refused() {
        for entry in ["alice", "alice:salt", "alice:salt$a$b", "alice:a:b$c"] {
            assert!(matches!(Credentials::parse(&[entry.into()]), Err(CredentialError::Malformed)), "{entry}");
        }
    }

    #[test]
    fn whitelists_of_one_user_intersect() {
        let list = Whitelist::new(&["a:x,y, z".into(), "a:y,z".into(), "b".into(), "c:".into()], true);
        assert!(list.allows("a", "y") && list.allows("a", "z") && !list.allows("a", "x"));
        assert!(!list.allows("b", "x") && !list.allows("c", "x"));
        assert!(list.denies_everything("d") && !list.denies_everything("a"));
        assert!(!Whitelist::new(&["a:x".into()], false).denies_everything("d"));
    }
}
