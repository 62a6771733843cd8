#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::sighash::Prevouts;
use bitcoin::transaction::Version;
use bitcoin::{OutPoint, PrivateKey, ScriptBuf, Sequence, Transaction, TxIn, Txid, Witness};
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Keys, SECP};
use miniscript::interpreter::Interpreter;

pub(super) const XPRV: &str =
    "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK";
pub(super) const WIF: &str = "cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N";
pub(super) const FOREIGN: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const PLAIN: Options = Options { sighash: 0, finalize: true, derivations: true, raw: false };

pub(super) fn provider(descriptors: &[&str]) -> (OneShotProvider, Vec<ScriptBuf>) {
    let mut provider = OneShotProvider::default();
    let mut scripts = Vec::new();
    for text in descriptors {
        let mut keys = Keys::default();
        let descriptor = Descriptor::parse(text, &mut keys).unwrap();
        provider.add(&descriptor, &keys, 0..2).unwrap();
        let mut cache = bulkhead_wallet_core::descriptor::Cache::default();
        descriptor.fill_cache(1, &keys, &mut cache).unwrap();
        scripts.extend(descriptor.expand(1, &cache).unwrap().scripts);
    }
    (provider, scripts)
}

/// A transaction that creates an output of 1 BTC for each script.
pub(super) fn funding(scripts: &[ScriptBuf]) -> Transaction {
    let output = |script: &ScriptBuf| TxOut { value: Amount::ONE_BTC, script_pubkey: script.clone() };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output: OutPoint { txid: Txid::all_zeros(), vout: 0 }, ..TxIn::default() }],
        output: scripts.iter().map(output).collect(),
    }
}

/// Spends every output of `previous` to one foreign script, with a fee of 0.01 BTC.
pub(super) fn spend(previous: &Transaction, sequence: Sequence) -> Psbt {
    let txid = previous.compute_txid();
    let input = |vout: usize| TxIn {
        previous_output: OutPoint { txid, vout: u32::try_from(vout).unwrap() },
        script_sig: ScriptBuf::new(),
        sequence,
        witness: Witness::new(),
    };
    let value = previous.output.iter().map(|output| output.value).sum::<Amount>() - Amount::from_sat(1_000_000);
    let tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0..previous.output.len()).map(input).collect(),
        output: vec![TxOut {
            value,
            script_pubkey: ScriptBuf::from_hex("0014000102030405060708090a0b0c0d0e0f10111213").unwrap(),
        }],
    };
    let mut psbt = Psbt::from_unsigned_tx(tx).unwrap();
    for input in &mut psbt.inputs {
        input.non_witness_utxo = Some(previous.clone());
    }
    psbt
}

/// Runs every input through miniscript's interpreter, signatures included.
fn verify(psbt: &[u8], previous: &Transaction) {
    let psbt = Psbt::deserialize(psbt).unwrap();
    let mut tx = psbt.unsigned_tx.clone();
    for (input, done) in tx.input.iter_mut().zip(&psbt.inputs) {
        input.script_sig = done.final_script_sig.clone().unwrap_or_default();
        input.witness = done.final_script_witness.clone().unwrap_or_default();
    }
    let prevouts = Prevouts::All(&previous.output);
    for (index, (input, output)) in tx.input.iter().zip(&previous.output).enumerate() {
        let interpreter =
            Interpreter::from_txdata(&output.script_pubkey, &input.script_sig, &input.witness, input.sequence, tx.lock_time)
                .unwrap();
        let satisfied = interpreter.iter(&SECP, &tx, index, &prevouts).collect::<Result<Vec<_>, _>>().unwrap();
        assert!(!satisfied.is_empty(), "input {index}");
        for witness in input.witness.iter().filter(|item| item.first() == Some(&0x30)) {
            assert!(witness.len() <= 71, "low R");
        }
    }
}

#[test]
fn every_script_type_is_signed_and_verifies() {
    let descriptors = [
        format!("pk({WIF})"),
        format!("pkh({XPRV}/44h/1h/0h/0/*)"),
        format!("sh(wpkh({XPRV}/49h/1h/0h/0/*))"),
        format!("wpkh({XPRV}/84h/1h/0h/0/*)"),
        format!("tr({XPRV}/86h/1h/0h/0/*)"),
        format!("wpkh({XPRV}/1h/*h)"),
        format!("multi(1,{WIF},{FOREIGN})"),
        format!("sh(multi(1,{FOREIGN},{XPRV}/1/*))"),
        format!("wsh(sortedmulti(2,{XPRV}/1/*,{XPRV}/2/*,{FOREIGN}))"),
        format!("sh(wsh(multi(2,{XPRV}/3/*,{FOREIGN},{XPRV}/4/*)))"),
        format!("wsh(and_v(v:pk({XPRV}/5/*),older(1)))"),
        format!("wsh(pkh({XPRV}/6/*))"),
        format!("tr({FOREIGN},pk({XPRV}/7/*))"),
        format!("tr({FOREIGN},{{pk({FOREIGN}),multi_a(1,{XPRV}/8/*,{FOREIGN})}})"),
        format!("tr({XPRV}/9/*,pk({FOREIGN}))"),
        format!("tr({FOREIGN},and_v(v:pkh({XPRV}/10/*),pk({XPRV}/11/*)))"),
    ];
    let texts: Vec<&str> = descriptors.iter().map(String::as_str).collect();
    let (mut provider, scripts) = provider(&texts);
    let previous = funding(&scripts);
    let psbt = spend(&previous, Sequence::from_height(1));
    let (signed, outflow) = sign(psbt, &mut provider, PLAIN, None).unwrap();
    assert!(signed.complete, "{:?}", signed.errors);
    assert_eq!(outflow, Amount::ONE_BTC * descriptors.len() as u64);
    verify(&signed.psbt, &previous);
}

#[test]
fn combo_and_rawtr_are_signed() {
    let (mut provider, scripts) = provider(&[&format!("combo({XPRV}/1/*)"), &format!("rawtr({XPRV}/2/*)")]);
    assert_eq!(scripts.len(), 5);
    let previous = funding(&scripts);
    let (signed, _) = sign(spend(&previous, Sequence::MAX), &mut provider, PLAIN, None).unwrap();
    assert!(signed.complete, "{:?}", signed.errors);
    verify(&signed.psbt, &previous);
}

#[test]
fn bare_private_keys_sign_what_pays_to_them() {
    let key = PrivateKey::from_wif(WIF).unwrap();
    let public = key.public_key(&SECP);
    let segwit = ScriptBuf::new_p2wpkh(&public.wpubkey_hash().unwrap());
    let scripts = [ScriptBuf::new_p2pk(&public), ScriptBuf::new_p2pkh(&public.pubkey_hash()), segwit.clone(), segwit.to_p2sh()];
    let mut provider = OneShotProvider::default();
    provider.add_key(public, key.inner);
    let previous = funding(&scripts);
    let (signed, _) = sign(spend(&previous, Sequence::MAX), &mut provider, PLAIN, None).unwrap();
    assert!(signed.complete, "{:?}", signed.errors);
    verify(&signed.psbt, &previous);
}

#[test]
fn two_signers_complete_a_multisig_one_after_the_other() {
    let text = |first: &str, second: &str| format!("wsh(multi(2,{first},{second},{FOREIGN}))");
    let key = |number: u8| PrivateKey::from_slice(&[number; 32], bitcoin::Network::Regtest).unwrap();
    let public = |number: u8| key(number).public_key(&SECP).to_string();
    let (_, scripts) = provider(&[&text(&public(1), &public(2))]);
    let previous = funding(&scripts);
    let (mut first, _) = provider(&[&text(&key(1).to_wif(), &public(2))]);
    let (signed, _) = sign(spend(&previous, Sequence::MAX), &mut first, PLAIN, None).unwrap();
    assert!(!signed.complete);
    assert_eq!(
        signed.errors,
        [(0, "CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)".to_owned())]
    );
    // The second signer knows its key only; the script is in the PSBT.
    let mut second = OneShotProvider::default();
    second.add_key(key(2).public_key(&SECP), key(2).inner);
    let (signed, _) = sign(Psbt::deserialize(&signed.psbt).unwrap(), &mut second, PLAIN, None).unwrap();
    assert!(signed.complete, "{:?}", signed.errors);
    verify(&signed.psbt, &previous);
}

#[test]
fn sighash_flags_are_kept_and_must_agree() {
    let (mut provider, scripts) =
        provider(&[&format!("wpkh({XPRV}/1/*)"), &format!("tr({XPRV}/2/*)"), &format!("pkh({XPRV}/3/*)")]);
    let previous = funding(&scripts);
    for sighash in [1, 2, 0x81, 0x82] {
        let (signed, _) = sign(spend(&previous, Sequence::MAX), &mut provider, Options { sighash, ..PLAIN }, None).unwrap();
        assert!(signed.complete, "{sighash}: {:?}", signed.errors);
        verify(&signed.psbt, &previous);
        let psbt = Psbt::deserialize(&signed.psbt).unwrap();
        let signature = psbt.inputs[1].final_script_witness.as_ref().unwrap().to_vec().remove(0);
        assert_eq!((signature.len(), u32::from(signature[64])), (65, sighash));
    }
    let mut psbt = spend(&previous, Sequence::MAX);
    psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(2));
    let error = sign(psbt, &mut provider, PLAIN, None).unwrap_err();
    assert_eq!(error.message, "Specified sighash value does not match value stored in PSBT");
    assert!(sign(spend(&previous, Sequence::MAX), &mut provider, Options { sighash: 7, ..PLAIN }, None).is_err());
}

#[test]
fn lies_about_the_spent_output_are_found() {
    let (mut provider, scripts) = provider(&[&format!("wpkh({XPRV}/1/*)"), &format!("pkh({XPRV}/3/*)")]);
    let previous = funding(&scripts);
    let mut wrong_transaction = spend(&previous, Sequence::MAX);
    let mut other = previous.clone();
    other.output[0].value = Amount::from_sat(1);
    wrong_transaction.inputs[0].non_witness_utxo = Some(other.clone());
    assert_eq!(sign(wrong_transaction, &mut provider, PLAIN, None).unwrap_err().message, "Inputs missing or spent");
    let mut wrong_amount = spend(&previous, Sequence::MAX);
    wrong_amount.inputs[0].witness_utxo = Some(other.output[0].clone());
    assert_eq!(sign(wrong_amount, &mut provider, PLAIN, None).unwrap_err().message, "Inputs missing or spent");
    // Without the previous transaction a legacy input is not signed: its signature would not commit to the amount.
    let mut unproven = spend(&previous, Sequence::MAX);
    for (input, output) in unproven.inputs.iter_mut().zip(&previous.output) {
        input.non_witness_utxo = None;
        input.witness_utxo = Some(output.clone());
    }
    let legacy = unproven.inputs[1].clone();
    let (signed, _) = sign(unproven, &mut provider, PLAIN, None).unwrap();
    assert_eq!(signed.errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
    // Not even filled in.
    assert_eq!(Psbt::deserialize(&signed.psbt).unwrap().inputs[1], legacy);
    let mut missing = spend(&previous, Sequence::MAX);
    missing.inputs[1].non_witness_utxo = None;
    let (signed, _) = sign(missing, &mut provider, PLAIN, None).unwrap();
    assert_eq!(signed.errors, [(1, "Input not found or already spent".to_owned())]);
}

#[test]
fn a_broken_rule_stops_before_any_signature() {
    let (mut provider, scripts) = provider(&[&format!("wpkh({XPRV}/1/*)")]);
    let previous = funding(&scripts);
    let history = History::default();
    let rules: Rules = "fee-max 999999".parse().unwrap();
    let guard = Guard { rules: &rules, history: &history, now: 0 };
    let error = sign(spend(&previous, Sequence::MAX), &mut provider, PLAIN, Some(guard)).unwrap_err();
    assert_eq!((error.code, error.policy.as_str()), (-4, "policy-fee-range"));
    let rules: Rules = "fee-max 1000000".parse().unwrap();
    let guard = Guard { rules: &rules, history: &history, now: 0 };
    assert!(sign(spend(&previous, Sequence::MAX), &mut provider, PLAIN, Some(guard)).unwrap().0.complete);
    let rules: Rules = "destination-allowlist 51".parse().unwrap();
    let guard = Guard { rules: &rules, history: &history, now: 0 };
    let error = sign(spend(&previous, Sequence::MAX), &mut provider, PLAIN, Some(guard)).unwrap_err();
    assert_eq!(error.policy, "policy-destination-allowlist");
}

#[test]
fn without_finalizing_signatures_and_origins_stay_visible() {
    let (mut provider, scripts) = provider(&[&format!("wpkh({XPRV}/1/*)"), &format!("tr({XPRV}/2/*)")]);
    let previous = funding(&scripts);
    let (signed, _) = sign(spend(&previous, Sequence::MAX), &mut provider, Options { finalize: false, ..PLAIN }, None).unwrap();
    assert!(!signed.complete);
    let psbt = Psbt::deserialize(&signed.psbt).unwrap();
    assert_eq!((psbt.inputs[0].partial_sigs.len(), psbt.inputs[0].bip32_derivation.len()), (1, 1));
    assert!(psbt.inputs[0].witness_utxo.is_some() && psbt.inputs[0].non_witness_utxo.is_some());
    assert!(psbt.inputs[1].tap_key_sig.is_some() && psbt.inputs[1].tap_internal_key.is_some());
    assert_eq!(psbt.inputs[1].tap_key_origins.len(), 1);
}
