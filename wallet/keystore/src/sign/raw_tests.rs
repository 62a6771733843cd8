#![allow(clippy::unwrap_used, clippy::panic)]
//! Raw transactions: signed in one step and in two.

use super::tests::{FOREIGN, WIF, XPRV, funding, provider, spend};
use super::*;
use bitcoin::hashes::Hash;
use bitcoin::sighash::Prevouts;
use bitcoin::{PrivateKey, ScriptBuf, Sequence, Transaction};
use bulkhead_keystore_edge::{RawTransaction, SpentCoin};
use bulkhead_wallet_core::descriptor::SECP;
use miniscript::interpreter::Interpreter;

fn spent(previous: &Transaction, scripts: &[(Option<ScriptBuf>, Option<ScriptBuf>)]) -> Vec<SpentCoin> {
    let bytes = |script: &Option<ScriptBuf>| script.as_ref().map_or_else(Vec::new, |script| script.to_bytes());
    let coin = |(vout, (redeem, witness)): (usize, &(Option<ScriptBuf>, Option<ScriptBuf>))| SpentCoin {
        txid: previous.compute_txid().to_byte_array(),
        vout: u32::try_from(vout).unwrap(),
        script: previous.output[vout].script_pubkey.to_bytes(),
        amount: previous.output[vout].value.to_sat(),
        redeem_script: bytes(redeem),
        witness_script: bytes(witness),
        ..SpentCoin::default()
    };
    scripts.iter().enumerate().map(coin).collect()
}

fn raw(transaction: &[u8], coins: &[SpentCoin]) -> RawTransaction {
    RawTransaction { transaction: transaction.to_vec(), coins: coins.to_vec(), sighash: 0, copies: Vec::new() }
}

fn verify_raw(bytes: &[u8], previous: &Transaction) {
    let tx: Transaction = bitcoin::consensus::deserialize(bytes).unwrap();
    let prevouts = Prevouts::All(&previous.output);
    for (index, (input, output)) in tx.input.iter().zip(&previous.output).enumerate() {
        let interpreter =
            Interpreter::from_txdata(&output.script_pubkey, &input.script_sig, &input.witness, input.sequence, tx.lock_time)
                .unwrap();
        assert!(interpreter.iter(&SECP, &tx, index, &prevouts).map(Result::unwrap).count() > 0, "input {index}");
    }
}

#[test]
fn raw_multisigs_are_signed_in_two_steps() {
    let key = |number: u8| PrivateKey::from_slice(&[number; 32], bitcoin::Network::Regtest).unwrap();
    let public = |number: u8| key(number).public_key(&SECP).to_string();
    let (_, inner) = provider(&[&format!("multi(2,{},{},{FOREIGN})", public(1), public(2))]);
    let inner = inner[0].clone();
    let nested = inner.to_p2wsh();
    let previous = funding(&[inner.clone(), inner.to_p2sh(), nested.clone(), nested.to_p2sh()]);
    let described = [(None, None), (Some(inner.clone()), None), (None, Some(inner.clone())), (Some(nested), Some(inner))];
    let coins = spent(&previous, &described);
    let one = |number: u8| {
        let mut provider = OneShotProvider::default();
        provider.add_key(key(number).public_key(&SECP), key(number).inner);
        provider
    };
    let bare = bitcoin::consensus::serialize(&spend(&previous, Sequence::MAX).unsigned_tx);
    // The order of signing must not matter.
    for (first, second) in [(1, 2), (2, 1)] {
        let half = sign_raw(&raw(&bare, &coins), &mut one(first), None).unwrap().0;
        assert!(!half.complete);
        assert_eq!(half.errors.len(), 4);
        let full = sign_raw(&raw(&half.psbt, &coins), &mut one(second), None).unwrap().0;
        assert!(full.complete, "{:?}", full.errors);
        verify_raw(&full.psbt, &previous);
        // What is complete stays so without any key.
        let again = sign_raw(&raw(&full.psbt, &coins), &mut OneShotProvider::default(), None).unwrap().0;
        assert!(again.complete && again.psbt == full.psbt);
    }
}

#[test]
fn copies_give_their_signatures_without_any_key() {
    let key = |number: u8| PrivateKey::from_slice(&[number; 32], bitcoin::Network::Regtest).unwrap();
    let public = |number: u8| key(number).public_key(&SECP).to_string();
    let (_, inner) = provider(&[&format!("multi(2,{},{},{FOREIGN})", public(1), public(2))]);
    let nested = inner[0].to_p2wsh();
    let previous = funding(&[inner[0].to_p2sh(), nested.clone()]);
    let coins = spent(&previous, &[(Some(inner[0].clone()), None), (None, Some(inner[0].clone()))]);
    let bare = bitcoin::consensus::serialize(&spend(&previous, Sequence::MAX).unsigned_tx);
    let half = |number: u8| {
        let mut provider = OneShotProvider::default();
        provider.add_key(key(number).public_key(&SECP), key(number).inner);
        sign_raw(&raw(&bare, &coins), &mut provider, None).unwrap().0.psbt
    };
    // The coins as chain gives them, without scripts: those are in the copies.
    let coins = spent(&previous, &[(None, None), (None, None)]);
    let merge = |transaction: &[u8], copies: &[Vec<u8>]| {
        let raw = RawTransaction { copies: copies.to_vec(), ..raw(transaction, &coins) };
        sign_raw(&raw, &mut OneShotProvider::default(), None)
    };
    let (first, second) = (half(1), half(2));
    assert!(!merge(&first, &[]).unwrap().0.complete);
    for (transaction, copies) in
        [(&first, vec![second.clone()]), (&second, vec![first.clone()]), (&bare, vec![first.clone(), second.clone()])]
    {
        let whole = merge(transaction, &copies).unwrap().0;
        assert!(whole.complete, "{:?}", whole.errors);
        verify_raw(&whole.psbt, &previous);
    }
    let other = bitcoin::consensus::serialize(&previous);
    assert!(merge(&first, &[other]).is_err(), "not a copy");
}

#[test]
fn raw_scripts_of_one_key_and_anchors_need_no_more_than_that() {
    let key = PrivateKey::from_wif(WIF).unwrap();
    let public = key.public_key(&SECP);
    let (p2pk, p2pkh) = (ScriptBuf::new_p2pk(&public), ScriptBuf::new_p2pkh(&public.pubkey_hash()));
    let nested = |script: &ScriptBuf| (Some(script.to_p2wsh()), Some(script.clone()));
    let previous = funding(&[p2pkh.clone(), p2pk.to_p2wsh().to_p2sh(), p2pkh.to_p2wsh().to_p2sh()]);
    let coins = spent(&previous, &[(None, None), nested(&p2pk), nested(&p2pkh)]);
    let mut provider = OneShotProvider::default();
    provider.add_key(public, key.inner);
    let bare = bitcoin::consensus::serialize(&spend(&previous, Sequence::MAX).unsigned_tx);
    let signed = sign_raw(&raw(&bare, &coins), &mut provider, None).unwrap().0;
    assert!(signed.complete, "{:?}", signed.errors);
    verify_raw(&signed.psbt, &previous);

    let anchored = funding(&[ScriptBuf::from(vec![0x51, 2, 0x4e, 0x73])]);
    let bare = bitcoin::consensus::serialize(&spend(&anchored, Sequence::MAX).unsigned_tx);
    let signed = sign_raw(&raw(&bare, &spent(&anchored, &[(None, None)])), &mut OneShotProvider::default(), None).unwrap().0;
    assert!(signed.complete && signed.psbt == bare);
}

#[test]
fn unknown_coins_and_bytes_that_are_no_transaction_are_named() {
    let (_, scripts) = provider(&[&format!("wpkh({XPRV}/1/*)")]);
    let bare = bitcoin::consensus::serialize(&spend(&funding(&scripts), Sequence::MAX).unsigned_tx);
    let signed = sign_raw(&raw(&bare, &[]), &mut OneShotProvider::default(), None).unwrap().0;
    assert_eq!(signed.errors, [(0, "Input not found or already spent".to_owned())]);
    let error = sign_raw(&raw(&[&bare[..], &[0]].concat(), &[]), &mut OneShotProvider::default(), None).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (-22, "TX decode failed. Make sure the tx has at least one input."));
}

/// Legacy signatures do not commit to amounts: whoever could lie about them could get around a rule about fees.
#[test]
fn under_spending_rules_legacy_amounts_need_proof() {
    let descriptor = format!("pkh({XPRV}/1/*)");
    let (mut provider, scripts) = provider(&[&descriptor]);
    let previous = funding(&scripts);
    let bare = bitcoin::consensus::serialize(&spend(&previous, Sequence::MAX).unsigned_tx);
    let mut coins = spent(&previous, &[(None, None)]);
    let history = History::default();
    let rules = Rules { fee_max: Some(Amount::from_sat(2_000_000)), ..Rules::default() };
    let mut complete = |coins: &[SpentCoin], rules: &Rules| {
        let guard = Guard { rules, history: &history, now: 0 };
        sign_raw(&raw(&bare, coins), &mut provider, Some(guard)).map(|(signed, _)| signed.complete)
    };
    assert!(complete(&coins, &Rules::default()).unwrap());
    assert!(!complete(&coins, &rules).unwrap(), "an amount on trust");
    coins[0].previous = bitcoin::consensus::serialize(&previous);
    assert!(complete(&coins, &rules).unwrap());
    coins[0].amount -= 1;
    assert!(complete(&coins, &rules).is_err(), "the transaction says otherwise");
}
