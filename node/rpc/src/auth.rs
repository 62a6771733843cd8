//! Who may call what: credentials, all of them hashed, and method whitelists (src/httprpc.cpp).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// One `-rpcauth` entry.
#[derive(Clone, Debug)]
struct Credential {
    user: String,
    salt: String,
    /// HMAC-SHA256 of the password under the salt, lower-case hex.
    hash: String,
}

/// All credentials.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Vec<Credential>);

/// Compares without telling by its time where the difference is.
fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let difference = left.iter().zip(right).fold(0u8, |seen, (a, b)| seen | (a ^ b));
    core::hint::black_box(difference) == 0
}

fn hash_of(salt: &str, password: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(salt.as_bytes()).expect("an HMAC takes a key of any length");
    mac.update(password);
    hex::encode(mac.finalize().into_bytes())
}

impl Credentials {
    /// Reads entries of the form `user:salt$hash`. `None` when one has another form.
    #[must_use]
    pub fn parse(entries: &[String]) -> Option<Self> {
        entries
            .iter()
            .map(|entry| {
                let (user, secret) = entry.split_once(':')?;
                let (salt, hash) = secret.split_once('$')?;
                let well_formed = !secret.contains(':') && !hash.contains('$');
                well_formed.then(|| Credential { user: user.into(), salt: salt.into(), hash: hash.into() })
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The user that an Authorization header names, and whether the password is right. `None` when it names no user.
    #[must_use]
    pub fn check(&self, header: &str) -> Option<(String, bool)> {
        let encoded = header.strip_prefix("Basic ")?.trim();
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        let valid =
            self.0.iter().filter(|credential| constant_time_equal(credential.user.as_bytes(), user)).any(|credential| {
                constant_time_equal(hash_of(&credential.salt, password).as_bytes(), credential.hash.as_bytes())
            });
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
        let entry = format!("alice:0a0b${}", hash_of("0a0b", b"pass:word"));
        let credentials = Credentials::parse(&[entry]).unwrap();
        assert_eq!(credentials.check(&basic("alice:pass:word")), Some(("alice".into(), true)));
        for wrong in ["alice:pass", "alice:", "bob:pass:word", ":pass:word"] {
            assert!(!credentials.check(&basic(wrong)).unwrap().1, "{wrong}");
        }
        for nonsense in ["", "Basic", "Basic ####", "Bearer x", &basic("nocolon")] {
            assert_eq!(credentials.check(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_hash_is_that_of_cores_rpcauth_script() {
        // HMAC-SHA256("salt", "password"), computed with Python's hmac module.
        assert_eq!(hash_of("salt", b"password"), "84ec44c7d6fc41917953a1dafca3c7d7856f7a9d0328b991b76f0d36be1224b9");
    }

    #[test]
    fn malformed_entries_are_refused() {
        for entry in ["alice", "alice:salt", "alice:salt$a$b", "alice:a:b$c"] {
            assert!(Credentials::parse(&[entry.into()]).is_none(), "{entry}");
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
