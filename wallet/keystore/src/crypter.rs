//! Core's encryption (src/wallet/crypter.cpp): the passphrase encrypts a master key, the master key encrypts
//! private keys with the hash of the public key as initialization vector. AES-256-CBC with PKCS7 padding.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use bitcoin::PublicKey;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::secp256k1::{Secp256k1, SecretKey, Signing};
use bulkhead_wallet_core::record::MasterKey;
use sha2::{Digest, Sha512};
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// Length of master key and private keys.
pub const KEY_BYTES: usize = 32;
/// Length of a salt.
pub const SALT_BYTES: usize = 8;
/// Core's `DEFAULT_DERIVE_ITERATIONS`: never fewer for a new passphrase.
pub const LEAST_ITERATIONS: u32 = 25_000;
/// A record that asks for more is refused: it would keep the key store busy for minutes.
const MOST_ITERATIONS: u32 = 200_000_000;
/// How long one derivation may take on the machine that sets the passphrase.
const TARGET: Duration = Duration::from_millis(100);

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// How many iterations a new passphrase is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// As many as this machine makes in a tenth of a second, as in Core, and never fewer than [`LEAST_ITERATIONS`].
    Measured,
    /// So many. For trials that set a thousand passphrases and guard nothing with them.
    Fixed(u32),
}

/// Key and initialization vector from a passphrase: SHA512 over passphrase and salt, then over itself
/// (OpenSSL's EVP_BytesToKey with one block).
fn derive(passphrase: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; 64]> {
    let mut buffer = Zeroizing::new([0; 64]);
    let mut hasher = Sha512::new();
    hasher.update(passphrase);
    hasher.update(salt);
    buffer.copy_from_slice(&hasher.finalize());
    for _ in 1..iterations {
        let mut next = Sha512::digest(*buffer);
        buffer.copy_from_slice(&next);
        next.as_mut_slice().zeroize();
    }
    buffer
}

fn encrypt(key: &[u8; 32], iv: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new(key.into(), iv.into()).encrypt_padded_vec_mut::<Pkcs7>(plain)
}

fn decrypt(key: &[u8; 32], iv: &[u8; 16], cipher: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    cbc::Decryptor::<Aes256>::new(key.into(), iv.into()).decrypt_padded_vec_mut::<Pkcs7>(cipher).ok().map(Zeroizing::new)
}

fn split(derived: &[u8; 64]) -> (Key, [u8; 16]) {
    let (mut key, mut iv) = (Key::default(), [0; 16]);
    key.copy_from_slice(&derived[..32]);
    iv.copy_from_slice(&derived[32..48]);
    (key, iv)
}

/// Encrypts the master key with a passphrase.
#[must_use]
pub fn seal_master_key(passphrase: &[u8], salt: [u8; SALT_BYTES], master: &[u8; KEY_BYTES], cost: Cost) -> MasterKey {
    let iterations = match cost {
        Cost::Measured => measured(passphrase, &salt),
        Cost::Fixed(iterations) => iterations,
    };
    seal_with(passphrase, salt, master, iterations)
}

fn measured(passphrase: &[u8], salt: &[u8]) -> u32 {
    let mut iterations = LEAST_ITERATIONS;
    for run in 0..2 {
        let start = Instant::now();
        derive(passphrase, salt, iterations);
        let elapsed = start.elapsed().as_secs_f64();
        if elapsed <= 0.0 {
            break;
        }
        let target = f64::from(iterations) * TARGET.as_secs_f64() / elapsed;
        iterations = iterations_of((f64::from(run) * f64::from(iterations) + target) / f64::from(run + 1));
    }
    iterations
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32 before")]
fn iterations_of(target: f64) -> u32 {
    target.clamp(f64::from(LEAST_ITERATIONS), f64::from(MOST_ITERATIONS / 10)) as u32
}

fn seal_with(passphrase: &[u8], salt: [u8; SALT_BYTES], master: &[u8; KEY_BYTES], iterations: u32) -> MasterKey {
    let (key, iv) = split(&derive(passphrase, &salt, iterations));
    MasterKey { crypted_key: encrypt(&key, &iv, master), salt: salt.to_vec(), method: 0, iterations, other: Vec::new() }
}

/// The master key, when the passphrase is right; with a wrong one mostly nothing, rarely a wrong key.
#[must_use]
pub fn open_master_key(passphrase: &[u8], record: &MasterKey) -> Option<Key> {
    if record.method != 0 || record.salt.len() != SALT_BYTES || !(1..=MOST_ITERATIONS).contains(&record.iterations) {
        return None;
    }
    let (key, iv) = split(&derive(passphrase, &record.salt, record.iterations));
    let plain = decrypt(&key, &iv, &record.crypted_key)?;
    Some(Zeroizing::new(plain.as_slice().try_into().ok()?))
}

fn key_iv(public: &PublicKey) -> [u8; 16] {
    let hash = sha256d::Hash::hash(&public.to_bytes()).to_byte_array();
    let mut iv = [0; 16];
    iv.copy_from_slice(&hash[..16]);
    iv
}

/// Encrypts a private key.
#[must_use]
pub fn seal_key(master: &[u8; KEY_BYTES], public: &PublicKey, secret: &SecretKey) -> Vec<u8> {
    let bytes = Zeroizing::new(secret.secret_bytes());
    encrypt(master, &key_iv(public), bytes.as_slice())
}

/// Decrypts a private key; `None` when it is not the one of the public key.
#[must_use]
pub fn open_key<C: Signing>(
    secp: &Secp256k1<C>,
    master: &[u8; KEY_BYTES],
    public: &PublicKey,
    cipher: &[u8],
) -> Option<SecretKey> {
    let plain = decrypt(master, &key_iv(public), cipher)?;
    let secret = SecretKey::from_slice(&plain).ok()?;
    (secret.public_key(secp) == public.inner).then_some(secret)
}

/// Checksum of an unencrypted key record: double SHA256 of public key and DER.
#[must_use]
pub fn key_checksum(public: &PublicKey, der: &[u8]) -> [u8; 32] {
    sha256d::Hash::hash(&[public.to_bytes().as_slice(), der].concat()).to_byte_array()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use core::str::FromStr;

    /// Facts from Core's wallet_crypto_tests: passphrase, salt and rounds to key and vector.
    #[test]
    fn passphrase_gives_core_s_key_and_vector() {
        let salt = hex::decode("0000deadbeef0000").unwrap();
        let derived = derive(b"test", &salt, 25_000);
        assert_eq!(hex::encode(&derived[..32]), "fc7aba077ad5f4c3a0988d8daa4810d0d4a0e3bcb53af662998898f33df0556a");
        assert_eq!(hex::encode(&derived[32..48]), "cf2f2691526dd1aa220896fb8bf7c369");
    }

    #[test]
    fn master_key_opens_with_its_passphrase_only() {
        let record = seal_with(b"right", [7; 8], &[9; 32], 100);
        assert_eq!(record.crypted_key.len(), 48);
        assert_eq!(*open_master_key(b"right", &record).unwrap(), [9; 32]);
        assert!(open_master_key(b"wrong", &record).is_none_or(|key| *key != [9; 32]));
        let hostile = MasterKey { iterations: u32::MAX, ..record.clone() };
        assert!(open_master_key(b"right", &hostile).is_none());
        let hostile = MasterKey { salt: vec![1; 9], ..record };
        assert!(open_master_key(b"right", &hostile).is_none());
    }

    #[test]
    fn a_new_passphrase_takes_at_least_core_s_rounds() {
        assert!(seal_master_key(b"x", [1; 8], &[2; 32], Cost::Measured).iterations >= LEAST_ITERATIONS);
    }

    #[test]
    fn key_opens_only_for_its_public_key() {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_str("0000000000000000000000000000000000000000000000000000000000000003").unwrap();
        let public = PublicKey::new(secret.public_key(&secp));
        let cipher = seal_key(&[5; 32], &public, &secret);
        assert_eq!(open_key(&secp, &[5; 32], &public, &cipher), Some(secret));
        assert_eq!(open_key(&secp, &[6; 32], &public, &cipher), None);
        let other = PublicKey::new(SecretKey::from_slice(&[4; 32]).unwrap().public_key(&secp));
        assert_eq!(open_key(&secp, &[5; 32], &other, &cipher), None);
    }
}
