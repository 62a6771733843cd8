//! PSBTs from base64 (BIP174, version 0). The `bitcoin` crate reads them; before that, everything that Core insists on is
//! checked here and refused in Core's words, because users and their tools read these.

mod fields;
mod preimages;
mod values;

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::{Psbt, PubkeyHash, PublicKey, Transaction};

use crate::codec;
use crate::error::{RpcError, RpcResult};
use fields::{Field, GLOBAL, INPUT, OUTPUT, UNKNOWN};
use preimages::{Unproven, without_unproven};
use values::bytes;

const EXTRA_DATA: &str = "extra data after PSBT";
const MAGIC: &[u8] = b"psbt\xff";
const PARTIAL_SIGNATURE: u8 = 0x02;
const UNSIGNED_TX: &[u8] = &[0];
const NON_WITNESS_UTXO: &[u8] = &[0];

/// A PSBT from base64.
///
/// # Errors
/// -22 with what is wrong.
pub fn decode(text: &str) -> RpcResult<Psbt> {
    let fail = |what: String| RpcError::deserialization(format!("TX decode failed {what}"));
    let bytes = STANDARD.decode(text).map_err(|_| fail("invalid base64".into()))?;
    check(&bytes).map_err(|problem| match problem {
        EXTRA_DATA => fail(problem.into()),
        _ => fail(format!("{problem}: iostream error")), // what Core's stream exceptions say
    })?;
    let (bytes, unproven) = without_unproven(&bytes).ok_or_else(|| fail(EXTRA_DATA.into()))?;
    let mut psbt = Psbt::deserialize(&bytes).map_err(|error| fail(error.to_string()))?;
    for Unproven { input, kind, hash, preimage } in unproven {
        let Some(input) = psbt.inputs.get_mut(input) else { continue };
        kind.insert(input, hash, preimage.to_vec());
    }
    Ok(psbt)
}

/// A PSBT as base64, as Core would write it: previous transactions without their witnesses, records in the order of the
/// `bitcoin` crate but partial signatures by hash of their key.
pub fn encode(psbt: &Psbt) -> String {
    let mut psbt = psbt.clone();
    let previous = psbt.inputs.iter_mut().filter_map(|input| input.non_witness_utxo.as_mut());
    previous.flat_map(|tx| &mut tx.input).for_each(|input| input.witness.clear());
    let serialized = psbt.serialize();
    STANDARD.encode(in_order(&serialized, psbt.inputs.len()).unwrap_or(serialized))
}

/// `inputs`: how many maps after the first one belong to inputs. Elsewhere the number of partial signatures means another
/// field.
fn in_order(serialized: &[u8], inputs: usize) -> Option<Vec<u8>> {
    let mut rest = serialized.strip_prefix(MAGIC)?;
    let mut out = MAGIC.to_vec();
    let mut map = 0usize;
    let mut signatures: Vec<(PubkeyHash, &[u8])> = Vec::new();
    while !rest.is_empty() {
        let record = rest;
        let key = bytes(&mut rest).ok()?;
        if !key.is_empty() {
            bytes(&mut rest).ok()?;
        }
        let record = record.get(..record.len() - rest.len())?;
        if let [PARTIAL_SIGNATURE, pubkey @ ..] = key
            && (1..=inputs).contains(&map)
            && let Ok(pubkey) = PublicKey::from_slice(pubkey)
        {
            signatures.push((pubkey.pubkey_hash(), record));
            continue;
        }
        signatures.sort();
        signatures.drain(..).for_each(|(_, record)| out.extend_from_slice(record));
        out.extend_from_slice(record);
        map += usize::from(key.is_empty());
    }
    Some(out)
}

/// Says what Core would not take, in its words.
///
/// # Errors
/// The first problem.
pub fn check(psbt: &[u8]) -> Result<(), &'static str> {
    let rest = &mut psbt.strip_prefix(MAGIC).ok_or("Invalid PSBT magic bytes")?;
    let mut unsigned = None;
    check_map(rest, GLOBAL, "Separator is missing at the end of the global map", |key, value| {
        if key == UNSIGNED_TX {
            unsigned = codec::decode_tx(value, true, false);
        }
    })?;
    let unsigned = unsigned.ok_or("No unsigned transaction was provided")?;
    for input in &unsigned.input {
        if rest.is_empty() {
            return Err("Inputs provided does not match the number of inputs in transaction.");
        }
        let mut previous: Option<Transaction> = None;
        check_map(rest, INPUT, "Separator is missing at the end of an input map", |key, value| {
            if key == NON_WITNESS_UTXO {
                previous = codec::decode_witness_tx(value);
            }
        })?;
        if let Some(previous) = previous {
            if previous.compute_txid() != input.previous_output.txid {
                return Err("Non-witness UTXO does not match outpoint hash");
            }
            if input.previous_output.vout as usize >= previous.output.len() {
                return Err("Input specifies output index that does not exist");
            }
        }
    }
    for _ in &unsigned.output {
        if rest.is_empty() {
            return Err("Outputs provided does not match the number of outputs in transaction.");
        }
        check_map(rest, OUTPUT, "Separator is missing at the end of an output map", |_, _| {})?;
    }
    if rest.is_empty() { Ok(()) } else { Err(EXTRA_DATA) }
}

/// Checks pairs of key and value up to the separator; `each` sees those that are in order.
fn check_map<'a>(
    rest: &mut &'a [u8],
    known: &[Field],
    no_separator: &'static str,
    mut each: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(), &'static str> {
    let mut seen = HashSet::new();
    while !rest.is_empty() {
        let key = bytes(rest)?;
        if key.is_empty() {
            return Ok(());
        }
        let data = &mut &key[..];
        let number = values::length(data)? as u64;
        let field = known.iter().find(|field| field.number == number).unwrap_or(&UNKNOWN);
        if !seen.insert(key) {
            return Err(field.duplicate);
        }
        if !(field.lengths)(key.len()) {
            return Err(field.bad_length);
        }
        let value = bytes(rest)?;
        (field.check)(data, value)?;
        each(key, value);
    }
    Err(no_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn entry(key: &str, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for part in [key, value] {
            let part = hex::decode(part).expect("hex in tests");
            out.push(u8::try_from(part.len()).expect("short fields in tests"));
            out.extend(part);
        }
        out
    }

    /// One input, one output.
    fn psbt(input: &[Vec<u8>], output: &[Vec<u8>]) -> Vec<u8> {
        let tx = format!("0200000001{}0000000000ffffffff0100000000000000000000000000", "aa".repeat(32));
        let global = entry("00", &tx);
        [MAGIC, &global, &[0], &input.concat(), &[0], &output.concat(), &[0]].concat()
    }

    fn input(key: &str, value: &str) -> Result<(), &'static str> {
        check(&psbt(&[entry(key, value)], &[]))
    }

    fn output(key: &str, value: &str) -> Result<(), &'static str> {
        check(&psbt(&[], &[entry(key, value)]))
    }

    #[test]
    fn an_empty_psbt_passes_and_its_frame_is_checked() {
        let good = psbt(&[], &[]);
        assert_eq!(check(&good), Ok(()));
        assert!(Psbt::deserialize(&good).is_ok());
        assert_eq!(check(&good[..good.len() - 1]), Err("Outputs provided does not match the number of outputs in transaction."));
        assert_eq!(check(&good[..good.len() - 2]), Err("Inputs provided does not match the number of inputs in transaction."));
        assert_eq!(check(&[&good[..], &[7]].concat()), Err("extra data after PSBT"));
        assert_eq!(check(b"psbt\xff\x00"), Err("No unsigned transaction was provided"));
        assert_eq!(check(b"psbt\xfe\x00"), Err("Invalid PSBT magic bytes"));
    }

    #[test]
    fn partial_signatures_stand_in_the_order_of_key_hashes() {
        let keys = [
            "023add904f3d6dcf59ddb906b0dee23529b7ffb9ed50e5e86151926860221f0e73",
            "03089dc10c7ac6db54f91329af617333db388cead0c231f723379d1b99030b02dc",
        ];
        let signature = "3006020101020101".to_owned() + "01";
        let records: Vec<_> = keys.iter().rev().map(|key| entry(&format!("02{key}"), &signature)).collect();
        let bytes = psbt(&records, &[entry(&format!("02{G}"), "00000000")]);
        let read = decode(&STANDARD.encode(&bytes)).expect("valid");
        assert_ne!(read.serialize(), bytes);
        assert_eq!(encode(&read), STANDARD.encode(&bytes));
    }

    #[test]
    fn preimages_need_not_belong_to_their_hashes() {
        let false_pair = |field: &str, length: usize| entry(&format!("{field}{}", "ab".repeat(length)), "0102");
        let true_pair = entry("0b4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "01");
        let bytes = psbt(
            &[false_pair("0a", 20), true_pair, false_pair("0b", 32), false_pair("0c", 20), false_pair("0d", 32)],
            // In an output these numbers mean something else.
            &[false_pair("0b", 32)],
        );
        let read = decode(&STANDARD.encode(&bytes)).expect("valid");
        let input = &read.inputs[0];
        let lengths = [
            input.ripemd160_preimages.len(),
            input.sha256_preimages.len(),
            input.hash160_preimages.len(),
            input.hash256_preimages.len(),
        ];
        assert_eq!(lengths, [1, 2, 1, 1]);
        assert!(input.ripemd160_preimages.values().all(|preimage| preimage == &[1, 2]));
        assert_eq!(encode(&read), STANDARD.encode(&bytes));
        assert!(decode(&STANDARD.encode(psbt(&[false_pair("0a", 19)], &[]))).is_err());
    }

    #[test]
    fn previous_transactions_are_written_without_witness() {
        let mut read = decode(&STANDARD.encode(psbt(&[], &[]))).expect("valid");
        let mut previous = read.unsigned_tx.clone();
        previous.input[0].witness.push([1]);
        read.unsigned_tx.input[0].previous_output.txid = previous.compute_txid();
        read.inputs[0].non_witness_utxo = Some(previous);
        let written = decode(&encode(&read)).expect("valid");
        let utxo = written.inputs[0].non_witness_utxo.as_ref().expect("kept");
        assert!(utxo.input[0].witness.is_empty());
    }

    #[test]
    fn unknown_fields_pass_once() {
        let unknown = entry("f0aa", "0011");
        assert_eq!(check(&psbt(std::slice::from_ref(&unknown), &[])), Ok(()));
        assert_eq!(check(&psbt(&[unknown.clone(), unknown], &[])), Err("Duplicate Key, key for unknown value already provided"));
    }

    #[test]
    fn each_malformed_field_has_its_words() {
        assert_eq!(input("0300", "01000000"), Err("Sighash type key is more than one byte type"));
        assert_eq!(input("03", "010000"), Err("Size of value was not the stated size"));
        assert_eq!(input("01", "00000000000000000151ff"), Err("Size of value was not the stated size"));
        assert_eq!(input(&format!("06{G}"), "00000000000000"), Err("Invalid length for HD key path"));
        assert_eq!(input(&format!("02{G}"), "00"), Err("Signature is not a valid encoding"));
        assert_eq!(input(&format!("0202{}", "ff".repeat(32)), "00"), Err("Invalid pubkey"));
        assert_eq!(input("13", &"00".repeat(63)), Err("Input Taproot key path signature is shorter than 64 bytes"));
        let leaf = format!("16{}", "11".repeat(32));
        assert_eq!(input(&leaf, "0100000000"), Err("Input Taproot BIP32 keypath has an invalid length"));
        assert_eq!(input(&leaf, "0000000000"), Ok(()));
    }

    #[test]
    fn musig2_fields_are_checked() {
        assert_eq!(input(&format!("1a{G}"), &G.repeat(2)), Ok(()));
        let wrong = "Input musig2 participants pubkeys value size is not a multiple of 33";
        assert_eq!(input(&format!("1a{G}"), &format!("{G}00")), Err(wrong));
        assert_eq!(output("08", G), Err("Output musig2 participants pubkeys aggregate key is not 34 bytes"));
        assert_eq!(input(&format!("1b{G}{G}"), &"00".repeat(66)), Ok(()));
        assert_eq!(input(&format!("1b{G}{G}"), "00"), Err("Input musig2 pubnonce value is not 66 bytes"));
        assert_eq!(input(&format!("1c{G}{G}"), "00"), Err("Size of value was not the stated size"));
        let bad = format!("02{}", "ff".repeat(32));
        assert_eq!(input(&format!("1b{G}{bad}"), "00"), Err("musig2 aggregate pubkey is invalid"));
        assert_eq!(input(&format!("1b{bad}{G}"), "00"), Err("musig2 participant pubkey is invalid"));
    }

    #[test]
    fn taproot_trees_must_be_whole() {
        assert_eq!(output("06", "00c00151"), Ok(()));
        assert_eq!(output("06", "01c0015101c0015102"), Err(values::END_OF_DATA));
        assert_eq!(output("06", "01c0015101c00151"), Ok(()));
        assert_eq!(output("06", "01c0015102c0015102c00151"), Ok(()));
        for malformed in ["01c00151", "02c0015101c00151", "00c0015100c00151", "01c0015101c0015101c00151"] {
            assert_eq!(output("06", malformed), Err("Output Taproot tree is malformed"), "{malformed}");
        }
        assert_eq!(output("06", ""), Err("Output Taproot tree must not be empty"));
        let deep = "Output Taproot tree has as leaf greater than Taproot maximum depth";
        assert_eq!(output("06", "81c00151"), Err(deep));
        assert_eq!(output("06", "00c10151"), Err("Output Taproot tree has a leaf with an invalid leaf version"));
    }
}
