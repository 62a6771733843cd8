#![allow(clippy::unwrap_used)]
use super::*;

/// Core's words for what is wrong; none if nothing is.
fn check(psbt: &[u8]) -> String {
    records::read(psbt).err().map_or_else(String::new, |problem| problem.to_string())
}

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
    [MAGIC.as_slice(), &global, &[0], &input.concat(), &[0], &output.concat(), &[0]].concat()
}

fn input(key: &str, value: &str) -> String {
    check(&psbt(&[entry(key, value)], &[]))
}

fn output(key: &str, value: &str) -> String {
    check(&psbt(&[], &[entry(key, value)]))
}

#[test]
fn an_empty_psbt_passes_and_its_frame_is_checked() {
    let good = psbt(&[], &[]);
    assert_eq!(check(&good), "");
    assert!(Psbt::deserialize(&good).is_ok());
    assert_eq!(check(&good[..good.len() - 1]), "Outputs provided does not match the number of outputs in transaction.");
    assert_eq!(check(&good[..good.len() - 2]), "Inputs provided does not match the number of inputs in transaction.");
    assert_eq!(check(&[&good[..], &[7]].concat()), "extra data after PSBT");
    assert_eq!(check(b"psbt\xff\x00"), "No unsigned transaction was provided");
    assert_eq!(check(b"psbt\xfe\x00"), "Invalid PSBT magic bytes");
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
    assert_ne!(read.psbt.serialize(), bytes);
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
    let input = &read.psbt.inputs[0];
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
    let mut previous = read.psbt.unsigned_tx.clone();
    previous.input[0].witness.push([1]);
    read.psbt.unsigned_tx.input[0].previous_output.txid = previous.compute_txid();
    read.psbt.inputs[0].non_witness_utxo = Some(previous);
    let written = decode(&encode(&read)).expect("valid");
    let utxo = written.psbt.inputs[0].non_witness_utxo.as_ref().expect("kept");
    assert!(utxo.input[0].witness.is_empty());
}

#[test]
fn unknown_fields_pass_once() {
    let unknown = entry("f0aa", "0011");
    assert_eq!(check(&psbt(std::slice::from_ref(&unknown), &[])), "");
    assert_eq!(check(&psbt(&[unknown.clone(), unknown], &[])), r#"Duplicate Key, input key "f0aa" already provided"#);
}

#[test]
fn each_malformed_field_has_its_words() {
    assert_eq!(input("0300", "01000000"), "Size of key was not 1 for the type Input Sighash Type");
    assert_eq!(input("03", "010000"), "Size of value was not the stated size");
    assert_eq!(input("01", "00000000000000000151ff"), "Size of value was not the stated size");
    assert_eq!(input(&format!("06{G}"), "00000000000000"), "Invalid length for HD key path");
    assert_eq!(input(&format!("02{G}"), "00"), "Signature is not a valid encoding");
    assert_eq!(input(&format!("0202{}", "ff".repeat(32)), "00"), "Invalid pubkey");
    assert_eq!(input("13", &"00".repeat(63)), "Input Taproot key path signature is shorter than 64 bytes");
    let leaf = format!("16{}", "11".repeat(32));
    assert_eq!(input(&leaf, "0100000000"), "Input Taproot BIP32 keypath has an invalid length");
    assert_eq!(input(&leaf, "0000000000"), "");
}

#[test]
fn musig2_fields_are_checked() {
    assert_eq!(input(&format!("1a{G}"), &G.repeat(2)), "");
    let wrong = "Input musig2 participants pubkeys value size is not a multiple of 33";
    assert_eq!(input(&format!("1a{G}"), &format!("{G}00")), wrong);
    assert_eq!(output("08", G), "Size of key was not 34 for the type Output MuSig2 Participants Pubkeys");
    assert_eq!(input(&format!("1b{G}{G}"), &"00".repeat(66)), "");
    assert_eq!(input(&format!("1b{G}{G}"), "00"), "Input musig2 pubnonce value is not 66 bytes");
    assert_eq!(input(&format!("1c{G}{G}"), "00"), "Size of value was not the stated size");
    let bad = format!("02{}", "ff".repeat(32));
    assert_eq!(input(&format!("1b{G}{bad}"), "00"), "musig2 aggregate pubkey is invalid");
    assert_eq!(input(&format!("1b{bad}{G}"), "00"), "musig2 participant pubkey is invalid");
}

#[test]
fn taproot_trees_must_be_whole() {
    assert_eq!(output("06", "00c00151"), "");
    assert_eq!(output("06", "01c0015101c0015102"), values::END_OF_DATA);
    assert_eq!(output("06", "01c0015101c00151"), "");
    assert_eq!(output("06", "01c0015102c0015102c00151"), "");
    for malformed in ["01c00151", "02c0015101c00151", "00c0015100c00151", "01c0015101c0015101c00151"] {
        assert_eq!(output("06", malformed), "Output Taproot tree is malformed", "{malformed}");
    }
    assert_eq!(output("06", ""), "Output Taproot tree must not be empty");
    let deep = "Output Taproot tree has as leaf greater than Taproot maximum depth";
    assert_eq!(output("06", "81c00151"), deep);
    assert_eq!(output("06", "00c10151"), "Output Taproot tree has a leaf with an invalid leaf version");
}

/// Version 2: one input, one output, with what they need and what is added.
fn version_2(global: &[Vec<u8>], input: &[Vec<u8>], output: &[Vec<u8>]) -> Vec<u8> {
    let frame = [entry("02", "02000000"), entry("04", "01"), entry("05", "01")];
    let spent = [entry("0e", &"aa".repeat(32)), entry("0f", "01000000")];
    let paid = [entry("03", "e803000000000000"), entry("04", "51")];
    let global = [&frame.concat()[..], &global.concat(), &entry("fb", "02000000"), &[0]].concat();
    let input = [&spent.concat()[..], &input.concat(), &[0]].concat();
    [MAGIC.as_slice(), &global, &input, &paid.concat(), &output.concat(), &[0]].concat()
}

fn read(bytes: &[u8]) -> VersionedPsbt {
    decode(&STANDARD.encode(bytes)).unwrap()
}

#[test]
fn version_2_makes_the_transaction_of_its_parts() {
    let read = read(&version_2(&[], &[], &[]));
    let tx = &read.psbt.unsigned_tx;
    assert_eq!((tx.version.0, tx.lock_time, tx.input.len(), tx.output.len()), (2, LockTime::ZERO, 1, 1));
    assert_eq!((tx.input[0].previous_output.vout, tx.input[0].sequence), (1, Sequence::MAX));
    assert_eq!((tx.output[0].value.to_sat(), tx.output[0].script_pubkey.as_bytes()), (1000, &[0x51][..]));
}

#[test]
fn what_version_2_holds_survives_a_round_trip() {
    let global = [entry("06", "85"), entry("f0", "01")];
    let input =
        [entry("10", "00000000"), entry("11", "00ca9a3b"), entry("12", "01000000"), entry("fc016105", "02"), entry("f1", "")];
    let bytes = version_2(&global, &input, &[entry("fc016106", "03"), entry("f200", "04"), entry("f201", "")]);
    let mut read = read(&bytes);
    // The version stands before what is unknown.
    let (version, unknown) = (entry("fb", "02000000"), entry("f0", "01"));
    let swapped = [&unknown[..], &version].concat();
    let at = bytes.windows(swapped.len()).position(|window| window == swapped).unwrap();
    let ordered = [&bytes[..at], &version, &unknown, &bytes[at + swapped.len()..]].concat();
    assert_eq!(write::to_bytes(&read), ordered);
    // A sequence that is final may be said or not.
    read.version_2.as_mut().unwrap().inputs[0].sequence = None;
    assert_eq!(write::to_bytes(&read).len(), ordered.len() - 7);
}

#[test]
fn counts_of_maps_are_not_believed() {
    let bytes = version_2(&[], &[], &[]);
    let with_counts = |inputs: &str, outputs: &str| {
        let global = [entry("02", "02000000"), entry("04", inputs), entry("05", outputs), entry("fb", "02000000")].concat();
        let maps = bytes.windows(2).position(|window| window == [1, 0x0e]).unwrap();
        check(&[MAGIC.as_slice(), &global, &[0], &bytes[maps..]].concat())
    };
    assert_eq!(with_counts("01", "01"), "");
    assert_eq!(with_counts("01", "fe00000002"), "Outputs provided does not match the number of outputs in transaction.");
    assert_eq!(with_counts("00", "01"), "Output amount is required in PSBTv2");
    assert_eq!(with_counts("01", "00"), "extra data after PSBT");
    assert_eq!(with_counts("01", "feffffffff"), "ReadCompactSize(): size too large");
    assert_eq!(with_counts("01", "fd0100"), "non-canonical ReadCompactSize()");
    assert_eq!(with_counts("01", "0100"), "Size of value was not the stated size");
}

#[test]
fn versions_have_their_words() {
    let with_version = |version: &str| check(&[MAGIC.as_slice(), &entry("fb", version), &[0]].concat());
    assert_eq!(with_version("01000000"), "There is no PSBT version 1");
    assert_eq!(with_version("03000000"), "Unsupported version number");
    assert_eq!(with_version("0200"), "Size of value was not the stated size");
    assert_eq!(with_version("02000000"), "PSBT_GLOBAL_TX_VERSION is required in PSBTv2");
    assert_eq!(input("10", "00000000"), "Sequence is not allowed in PSBTv0");
    assert_eq!(output("03", "00"), "Output amount is not allowed in PSBTv0");
    let zero = [psbt(&[], &[])[..5].to_vec(), entry("fb", "00000000"), psbt(&[], &[])[5..].to_vec()].concat();
    assert_eq!(read(&zero).version(), Version::Zero);
    assert_eq!(write::to_bytes(&read(&zero)), psbt(&[], &[]));
}

#[test]
fn a_final_input_is_written_without_what_served_to_sign() {
    let bytes =
        version_2(&[], &[entry("03", "01000000"), entry("04", "51"), entry("05", ""), entry("07", "51"), entry("08", "00")], &[]);
    let found = read(&bytes);
    assert_eq!((found.psbt.inputs[0].witness_script.clone(), found.psbt.inputs[0].final_script_witness.clone()), (None, None));
    let written = write::to_bytes(&found);
    assert_eq!(written.len(), bytes.len() - 7 - 4 - 3 - 4);
    assert_eq!(read(&written).psbt.inputs[0].redeem_script, None);
}

#[test]
fn only_psbts_of_one_version_and_transaction_are_combined() {
    let sequence = |sequence: &str| entry("10", sequence);
    let mut first = read(&version_2(&[entry("06", "03")], &[], &[entry("fc016101", "01")]));
    assert!(!first.combine(read(&psbt(&[], &[]))));
    assert!(!first.combine(read(&version_2(&[entry("03", "01000000")], &[], &[]))), "another lock time");
    let other = version_2(&[entry("06", "06")], &[sequence("05000000"), entry("fc016102", "02")], &[entry("fc016101", "09")]);
    assert!(first.combine(read(&other)), "sequences may differ");
    assert_eq!(first.psbt.unsigned_tx.input[0].sequence, Sequence(5));
    assert_eq!(
        first.version_2.as_ref().unwrap().modifiable,
        Some(0b110),
        "outputs may change for both; one has a bound signature"
    );
    assert_eq!(first.psbt.inputs[0].proprietary.len(), 1);
    assert_eq!(first.psbt.outputs[0].proprietary.values().collect::<Vec<_>>(), [&vec![1]], "the first stays");
    assert!(first.combine(read(&version_2(&[], &[sequence("07000000")], &[]))));
    assert_eq!(first.version_2.as_ref().unwrap().modifiable, Some(0b100), "no flags allow nothing");
    assert_eq!(first.psbt.unsigned_tx.input[0].sequence, Sequence(5));
}

#[test]
fn lock_times_follow_the_inputs() {
    let fields = |locks: [Option<u32>; 2]| InputFields { time_lock: locks[0], height_lock: locks[1], ..InputFields::default() };
    let time = |fallback, inputs: &[[Option<u32>; 2]]| {
        let inputs = inputs.iter().copied().map(fields).collect();
        lock_time(&Version2 { fallback_lock_time: fallback, modifiable: None, inputs }).map(LockTime::to_consensus_u32)
    };
    let late = 1_700_000_000;
    assert_eq!(time(None, &[]), Some(0));
    assert_eq!(time(Some(7), &[[None, None]]), Some(7));
    assert_eq!(time(Some(7), &[[None, None], [None, Some(3)], [None, Some(5)]]), Some(5), "the inputs come first");
    assert_eq!(time(None, &[[Some(late), Some(3)], [Some(late + 1), Some(2)]]), Some(3), "rather a height");
    assert_eq!(time(None, &[[Some(late), Some(3)], [Some(late + 1), None]]), Some(late + 1));
    assert_eq!(time(None, &[[Some(late), None], [None, Some(3)]]), None);
    assert_eq!(time(Some(7), &[[Some(late), Some(3)], [None, Some(3)], [Some(late), None]]), None);
}

#[test]
fn lock_times_that_exclude_each_other_are_kept_but_make_no_transaction() {
    let frame = [entry("02", "02000000"), entry("04", "02"), entry("05", "00"), entry("fb", "02000000"), vec![0]].concat();
    let spending = |vout: &str, lock: Vec<u8>| [entry("0e", &"aa".repeat(32)), entry("0f", vout), lock, vec![0]].concat();
    let inputs = [spending("01000000", entry("11", "00ca9a3b")), spending("02000000", entry("12", "01000000"))].concat();
    let mut found = read(&[MAGIC.as_slice(), &frame, &inputs].concat());
    assert_eq!((found.lock_time(), found.psbt.unsigned_tx.lock_time), (None, LockTime::ZERO));
    let refused = found.ensure_transaction().unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (-25, "The transaction cannot be valid"));
    assert_eq!(read(&write::to_bytes(&found)), found);
    let same = found.clone();
    assert!(!found.combine(same));
}

#[test]
fn version_2_is_made_without_a_wish() {
    assert_eq!(Version::wished(None), Ok(Version::Two));
    assert_eq!(Version::wished(Some(0)).map(Version::number), Ok(0));
    for other in [-1, 1, 3] {
        assert_eq!(Version::wished(Some(other)).unwrap_err().code, -8, "{other}");
    }
    let mut tx = read(&psbt(&[], &[])).psbt.unsigned_tx;
    tx.lock_time = LockTime::from_consensus(5);
    for version in [Version::Zero, Version::Two] {
        let made = VersionedPsbt::new(tx.clone(), version).unwrap();
        assert_eq!((made.version(), made.lock_time()), (version, Some(tx.lock_time)));
        assert_eq!(read(&write::to_bytes(&made)), made);
    }
}
