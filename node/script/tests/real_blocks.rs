//! Scripts of real blocks, and spends made by Core's own generator, through the kernel. The data is large and not part of the
//! project: the tests read it from `BULKHEAD_TEST_DATA` (folders `real-blocks` and `taproot`) and say so when it is not there.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use bitcoin::consensus::{Decodable, deserialize};
use bitcoin::{Amount, Block, ScriptBuf, Transaction, TxOut, Witness};
use bulkhead_consensus::networks;
use bulkhead_script::{Engine, Flags, block_flags, verify_transaction};

fn data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BULKHEAD_TEST_DATA").map(PathBuf::from)?;
    Some(root.join(folder)).filter(|path| path.exists())
}

/// Outputs that the block's inputs spend, in block order.
fn read_prevouts(bytes: &[u8]) -> Vec<TxOut> {
    let mut rest = bytes;
    let mut outputs = Vec::new();
    while let Some((value, after)) = rest.split_first_chunk::<8>() {
        rest = after;
        let script_pubkey = ScriptBuf::consensus_decode(&mut rest).unwrap();
        outputs.push(TxOut { value: Amount::from_sat(u64::from_le_bytes(*value)), script_pubkey });
    }
    outputs
}

#[test]
fn scripts_of_real_blocks_verify_and_changed_amounts_do_not() {
    let Some(folder) = data("real-blocks") else {
        eprintln!("skipped: BULKHEAD_TEST_DATA/real-blocks is not there");
        return;
    };
    let cases = [("block300025", 300_025, "main"), ("block928828", 928_828, "test"), ("block928816", 928_816, "test")];
    for (name, height, network) in cases {
        let block: Block = deserialize(&std::fs::read(folder.join(format!("{name}.raw"))).unwrap()).unwrap();
        let prevouts = read_prevouts(&std::fs::read(folder.join(format!("{name}.prevouts"))).unwrap());
        let params = networks::by_name(network).unwrap();
        let flags = block_flags(&params, height, block.block_hash());
        let mut rest = prevouts.as_slice();
        let mut refused = 0;
        for tx in &block.txdata[1..] {
            let (spent, after) = rest.split_at(tx.input.len());
            rest = after;
            verify_transaction(tx, spent, flags, Engine::Both).unwrap();
            let mut wrong = spent.to_vec();
            wrong[0].value += Amount::from_sat(1);
            refused += usize::from(verify_transaction(tx, &wrong, flags, Engine::Both).is_err());
        }
        assert!(rest.is_empty());
        if name == "block928816" {
            assert!(refused > 800, "segwit signatures commit to amounts: {refused}");
        }
    }
}

#[test]
fn generated_spends_verify_or_fail_as_core_says() {
    let Some(folder) = data("taproot") else {
        eprintln!("skipped: BULKHEAD_TEST_DATA/taproot is not there");
        return;
    };
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("vectors.json")).unwrap()).unwrap();
    let mut checked = 0;
    for case in vectors.as_array().unwrap() {
        let names = match &case["flags"] {
            serde_json::Value::String(text) => text.split(',').map(str::to_owned).collect::<Vec<_>>(),
            list => list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        };
        let flags = Flags::from_names(names.iter().map(String::as_str).filter(|name| !name.is_empty())).unwrap();
        let tx: Transaction = from_hex(&case["tx"]);
        let spent: Vec<TxOut> = case["prevouts"].as_array().unwrap().iter().map(from_hex).collect();
        let index = usize::try_from(case["index"].as_u64().unwrap()).unwrap();
        for (kind, valid) in [("success", true), ("failure", false)] {
            let Some(spend) = case.get(kind).filter(|spend| !spend.is_null()) else { continue };
            let mut tx = tx.clone();
            tx.input[index].script_sig = ScriptBuf::from_hex(spend["scriptSig"].as_str().unwrap()).unwrap();
            let stack: Vec<Vec<u8>> = spend["witness"].as_array().unwrap().iter().map(bytes).collect();
            tx.input[index].witness = Witness::from_slice(&stack);
            let result = bulkhead_script::verify_input(&tx, &spent, index, flags, Engine::Both);
            assert_eq!(result.is_ok(), valid, "{} {kind}: {result:?}", case["comment"]);
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked}");
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn from_hex<T: Decodable>(value: &serde_json::Value) -> T {
    deserialize(&bytes(value)).unwrap()
}
