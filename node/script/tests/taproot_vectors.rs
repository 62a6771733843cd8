//! The vectors of BIP341 (`bip341_wallet_vectors.json`, which ships inside the crate `libbitcoinkernel-sys`): the transaction that
//! they sign satisfies both engines with each signature, and does not with another one.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../tests/core_vectors.rs"]
mod core_vectors;

use bitcoin::consensus::deserialize;
use bitcoin::hex::FromHex;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use bulkhead_script::{Engine, Flags, ScriptError, VerifyError, verify_input, verify_transaction};
use core_vectors::core_vectors;
use serde_json::Value;

fn vectors() -> Value {
    core_vectors("bip341_wallet_vectors.json")
}

fn bytes(value: &Value) -> Vec<u8> {
    Vec::from_hex(value.as_str().unwrap()).unwrap()
}

#[test]
fn signatures_of_the_vectors_satisfy_both_engines() {
    let mut signatures = 0;
    for case in vectors()["keyPathSpending"].as_array().unwrap() {
        let spent: Vec<TxOut> = case["given"]["utxosSpent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| TxOut {
                value: Amount::from_sat(it["amountSats"].as_u64().unwrap()),
                script_pubkey: ScriptBuf::from_bytes(bytes(&it["scriptPubKey"])),
            })
            .collect();
        let signed: Transaction = deserialize(&bytes(&case["auxiliary"]["fullySignedTx"])).unwrap();
        assert_eq!(verify_transaction(&signed, &spent, Flags::CONSENSUS, Engine::Both), Ok(()));
        let unsigned: Transaction = deserialize(&bytes(&case["given"]["rawUnsignedTx"])).unwrap();
        for input in case["inputSpending"].as_array().unwrap() {
            let at = input["given"]["txinIndex"].as_u64().unwrap() as usize;
            let witness: Vec<Vec<u8>> = input["expected"]["witness"].as_array().unwrap().iter().map(bytes).collect();
            let mut tx = unsigned.clone();
            tx.input[at].witness = Witness::from_slice(&witness);
            // Without other inputs' scripts: a signature does not cover them.
            assert_eq!(verify_input(&tx, &spent, at, Flags::CONSENSUS, Engine::Both), Ok(()), "input {at}");
            let mut other = witness.clone();
            other[0][40] ^= 1;
            tx.input[at].witness = Witness::from_slice(&other);
            let error = VerifyError::Script { input: at, error: ScriptError::SchnorrSig };
            assert_eq!(verify_input(&tx, &spent, at, Flags::CONSENSUS, Engine::Both), Err(error), "input {at}");
            signatures += 1;
        }
    }
    assert!(signatures >= 7, "{signatures}");
}

/// A leaf script that needs nothing, or one that asks for a key: with its control block either runs, with a changed one none does.
#[test]
fn control_blocks_of_the_vectors_lead_to_their_leaves() {
    let mut leaves = 0;
    for case in vectors()["scriptPubKey"].as_array().unwrap() {
        let mut scripts = Vec::new();
        collect(&case["given"]["scriptTree"], &mut scripts);
        let blocks = case["expected"]["scriptPathControlBlocks"].as_array().cloned().unwrap_or_default();
        assert_eq!(scripts.len(), blocks.len());
        for (script, block) in scripts.into_iter().zip(blocks) {
            let verdict = |block: Vec<u8>| spend(&case["expected"]["scriptPubKey"], script.clone(), block);
            let block = bytes(&block);
            let mismatch = VerifyError::Script { input: 0, error: ScriptError::WitnessProgramMismatch };
            assert_ne!(verdict(block.clone()), Err(mismatch.clone()));
            let mut other = block;
            *other.last_mut().unwrap() ^= 1;
            assert_eq!(verdict(other), Err(mismatch));
            leaves += 1;
        }
    }
    assert!(leaves >= 10, "{leaves}");
}

fn collect(tree: &Value, scripts: &mut Vec<Vec<u8>>) {
    match tree {
        Value::Array(branches) => branches.iter().for_each(|branch| collect(branch, scripts)),
        Value::Object(leaf) => scripts.push(bytes(&leaf["script"])),
        _ => {}
    }
}

fn spend(script_pubkey: &Value, script: Vec<u8>, control_block: Vec<u8>) -> Result<(), VerifyError> {
    let spent = [TxOut { value: Amount::from_sat(1000), script_pubkey: ScriptBuf::from_bytes(bytes(script_pubkey)) }];
    let tx = Transaction {
        version: bitcoin::transaction::Version(2),
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { vout: 1, ..OutPoint::null() },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[Vec::new(), script, control_block]),
        }],
        output: vec![TxOut { value: Amount::from_sat(900), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) }],
    };
    verify_input(&tx, &spent, 0, Flags::CONSENSUS, Engine::Both)
}
