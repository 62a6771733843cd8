//! Requests that bring their own keys: nothing is stored, nothing is remembered.

use super::Answer;
use crate::message;
use crate::refusal::{INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, refuse};
use crate::sign::{self, OneShotProvider, Options};
use bitcoin::PrivateKey;
use bulkhead_keystore_edge::{KeystoreError, OneShotDescriptor, RawTransaction, Reply, SecretText};
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Keys, SECP};

/// Core's bound on the range of a descriptor argument.
const MAX_RANGE: i32 = 1_000_000;

fn private_key(wif: &str) -> Result<PrivateKey, KeystoreError> {
    PrivateKey::from_wif(wif).map_err(|_| refuse(INVALID_ADDRESS_OR_KEY, "Invalid private key"))
}

pub(super) fn message(wif: &str, text: &str) -> Answer {
    let mut key = private_key(wif)?;
    let signature = message::sign(&key.inner, key.compressed, text);
    key.inner.non_secure_erase();
    Ok(Reply::Text(signature))
}

/// The keys of a request.
fn provider(wifs: &[SecretText]) -> Result<OneShotProvider, KeystoreError> {
    let mut provider = OneShotProvider::default();
    for wif in wifs {
        let mut key = private_key(wif)?;
        provider.add_key(key.public_key(&SECP), key.inner);
        key.inner.non_secure_erase();
    }
    Ok(provider)
}

pub(super) fn raw(raw: &RawTransaction, wifs: &[SecretText]) -> Answer {
    // No rules, as below.
    let (signed, _) = sign::sign_raw(raw, &mut provider(wifs)?, None)?;
    Ok(Reply::Signed(signed))
}

pub(super) fn transaction(
    psbt: &[u8],
    wifs: &[SecretText],
    descriptors: &[OneShotDescriptor],
    sighash: u32,
    finalize: bool,
    derivations: bool,
) -> Answer {
    let psbt = sign::parse(psbt)?;
    let mut provider = provider(wifs)?;
    for item in descriptors {
        let mut keys = Keys::default();
        let descriptor =
            Descriptor::parse(&item.descriptor, &mut keys).map_err(|error| refuse(INVALID_ADDRESS_OR_KEY, error.to_string()))?;
        let (start, end) = if descriptor.is_range() { (item.range_start, item.range_end) } else { (0, 1) };
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else {
            return Err(refuse(INVALID_PARAMETER, "Range should be greater or equal than 0"));
        };
        if i64::from(end) - i64::from(start) > i64::from(MAX_RANGE) {
            return Err(refuse(INVALID_PARAMETER, "Range is too large"));
        }
        let missing =
            |_| refuse(INVALID_ADDRESS_OR_KEY, format!("Cannot derive script without private keys: '{}'", descriptor.public()));
        provider.add(&descriptor, &keys, start..end).map_err(missing)?;
    }
    // No rules: whoever brings the keys is their owner, and there is no wallet that change could belong to.
    let (signed, _) = sign::sign(psbt, &mut provider, Options { sighash, finalize, derivations, raw: false }, None)?;
    Ok(Reply::Signed(signed))
}
