//! Core's own vectors, which ship inside the crate `libbitcoinkernel-sys`: `script_tests.json` through the interpreter, and
//! through the kernel where only consensus rules are asked for; `sighash.json`.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../tests/core_vectors.rs"]
mod core_vectors;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::deserialize;
use bitcoin::hex::FromHex;
use bitcoin::opcodes::all as op;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bulkhead_consensus::tx::check_transaction;
use bulkhead_script::sighash::MidstateCache;
use bulkhead_script::{Engine, Flags, Hashes, ScriptError, TxData, VerifyError, interpret, sighash, verify_input};
use core_vectors::core_vectors;
use serde_json::Value;

fn vectors(name: &str) -> Vec<Value> {
    core_vectors(name).as_array().unwrap().clone()
}

/// Core's notation of scripts: numbers, names of opcodes, `0x` raw bytes, `'text'`.
fn script(text: &str) -> ScriptBuf {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        if let Some(hex) = word.strip_prefix("0x") {
            bytes.extend(Vec::<u8>::from_hex(hex).unwrap());
        } else if let Some(text) = word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            bytes.extend(push(text.as_bytes()));
        } else if let Ok(number) = word.parse::<i64>() {
            match number {
                -1 | 1..=16 => bytes.push((number + 0x50) as u8),
                0 => bytes.push(0),
                _ => bytes.extend(push(&bitcoin::script::Builder::new().push_int(number).into_bytes()[1..])),
            }
        } else {
            bytes.push(opcode(word));
        }
    }
    ScriptBuf::from_bytes(bytes)
}

fn push(data: &[u8]) -> Vec<u8> {
    let mut bytes = match data.len() {
        length @ 0..=0x4b => vec![length as u8],
        length @ 0x4c..=0xff => vec![0x4c, length as u8],
        length => [&[0x4d][..], &(length as u16).to_le_bytes()].concat(),
    };
    bytes.extend(data);
    bytes
}

fn opcode(word: &str) -> u8 {
    let name = word.strip_prefix("OP_").unwrap_or(word);
    let special = [("CHECKLOCKTIMEVERIFY", op::OP_CLTV), ("CHECKSEQUENCEVERIFY", op::OP_CSV), ("1NEGATE", op::OP_PUSHNUM_NEG1)];
    if let Some((_, found)) = special.iter().find(|(known, _)| *known == name) {
        return found.to_u8();
    }
    let full = format!("OP_{name}");
    (0u8..=255).rev().find(|byte| bitcoin::opcodes::Opcode::from(*byte).to_string() == full).unwrap_or_else(|| panic!("{word}"))
}

fn transaction(version: i32, spent: OutPoint, script_sig: ScriptBuf, witness: Witness, output: TxOut) -> Transaction {
    let input = TxIn { previous_output: spent, script_sig, sequence: Sequence::MAX, witness };
    Transaction { version: Version(version), lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
}

#[test]
fn script_tests_give_the_errors_that_core_gives() {
    let (mut checked, mut by_kernel) = (0, 0);
    for case in vectors("script_tests.json") {
        let case = case.as_array().unwrap();
        // Comments, and templates with keys that Core's test fills in.
        if case.len() < 4 || case.iter().any(|it| it.to_string().contains('#')) {
            continue;
        }
        let (witness, amount, rest) = match &case[0] {
            Value::Array(elements) => {
                let (amount, witness) = elements.split_last().unwrap();
                let witness: Vec<Vec<u8>> = witness.iter().map(|it| Vec::from_hex(it.as_str().unwrap()).unwrap()).collect();
                let amount = (amount.as_f64().unwrap() * 1e8).round() as u64;
                (Witness::from_slice(&witness), Amount::from_sat(amount), &case[1..])
            }
            _ => (Witness::new(), Amount::ZERO, &case[..]),
        };
        let text = |at: usize| rest[at].as_str().unwrap();
        let script_pubkey = script(text(1));
        let flags = Flags::from_names(text(2).split(',').filter(|name| !name.is_empty() && *name != "NONE")).unwrap();
        let credited = TxOut { value: amount, script_pubkey: script_pubkey.clone() };
        let credit = transaction(1, OutPoint::null(), ScriptBuf::from_bytes(vec![0, 0]), Witness::new(), credited.clone());
        let paid = TxOut { value: amount, script_pubkey: ScriptBuf::new() };
        let spend = transaction(1, OutPoint { txid: txid(&credit), vout: 0 }, script(text(0)), witness, paid);
        let spent = [credited];
        let result = interpret(&TxData::new(&spend, &spent, &Hashes::default()), 0, flags);
        let name = result.map_or_else(ScriptError::name, |()| "OK");
        assert_eq!(name, text(3), "{case:?}");
        checked += 1;
        if flags.is_consensus() {
            let verdict = verify_input(&spend, &spent, 0, flags, Engine::Both);
            assert!(!matches!(verdict, Err(VerifyError::Disagreement { .. } | VerifyError::Kernel(_))), "{case:?}: {verdict:?}");
            assert_eq!(verdict.is_ok(), text(3) == "OK");
            by_kernel += 1;
        }
    }
    assert!(checked > 1100 && by_kernel > 200, "{checked} {by_kernel}");
}

fn txid(tx: &Transaction) -> Txid {
    tx.compute_txid()
}

#[test]
fn legacy_signature_hashes_equal_cores() {
    let mut checked = 0;
    for case in vectors("sighash.json") {
        let case = case.as_array().unwrap();
        if case.len() < 5 {
            continue;
        }
        let tx: Transaction = deserialize(&Vec::from_hex(case[0].as_str().unwrap()).unwrap()).unwrap();
        let script = Vec::from_hex(case[1].as_str().unwrap()).unwrap();
        let input = usize::try_from(case[2].as_u64().unwrap()).unwrap();
        let hash_type = case[3].as_i64().unwrap() as i32 as u32;
        let mut hash = sighash::legacy(&tx, input, &script, hash_type, &MidstateCache::default());
        hash.reverse();
        assert_eq!(hash.to_vec(), Vec::<u8>::from_hex(case[4].as_str().unwrap()).unwrap(), "{case:?}");
        checked += 1;
    }
    assert!(checked > 400, "{checked}");
}

#[test]
fn transactions_that_core_calls_valid_verify_under_all_rules_but_those_named() {
    let mut checked = 0;
    for case in vectors("tx_valid.json") {
        let Some((spent, tx, flags)) = transaction_case(&case) else { continue };
        // The flags are those that must be left out.
        let flags = ALL.without(flags);
        let flags = if flags.intersects(Flags::WITNESS) { flags } else { flags.without(Flags::CLEANSTACK) };
        let flags = if flags.intersects(Flags::P2SH) { flags } else { flags.without(Flags::CLEANSTACK).without(Flags::WITNESS) };
        let hashes = Hashes::default();
        let data = TxData::new(&tx, &spent, &hashes);
        for input in 0..tx.input.len() {
            assert_eq!(interpret(&data, input, flags), Ok(()), "{case} input {input}");
        }
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn transactions_that_core_calls_invalid_fail() {
    let mut checked = 0;
    for case in vectors("tx_invalid.json") {
        let Some((spent, tx, flags)) = transaction_case(&case) else { continue };
        let hashes = Hashes::default();
        let data = TxData::new(&tx, &spent, &hashes);
        let valid = (0..tx.input.len()).all(|input| interpret(&data, input, flags).is_ok());
        assert!(!valid, "{case}");
        checked += 1;
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn transactions_that_are_bad_without_a_look_at_scripts_are_refused() {
    let mut checked = 0;
    for case in vectors("tx_invalid.json") {
        let [Value::Array(_), Value::String(tx), Value::String(flags)] = case.as_array().unwrap().as_slice() else { continue };
        if flags != "BADTX" {
            continue;
        }
        let read = deserialize::<Transaction>(&Vec::from_hex(tx).unwrap());
        assert!(read.is_err() || check_transaction(&read.unwrap()).is_err(), "{case}");
        checked += 1;
    }
    assert!(checked >= 9, "{checked}");
}

/// All rules that Core has names for.
const ALL: Flags = Flags::STANDARD.union(Flags::SIGPUSHONLY);

/// Spent outputs, transaction and flags; `None` for comments, for cases that fail before scripts are looked at, and for what
/// the `bitcoin` crate does not read.
fn transaction_case(case: &Value) -> Option<(Vec<TxOut>, Transaction, Flags)> {
    let [Value::Array(inputs), Value::String(tx), Value::String(flags)] = case.as_array()?.as_slice() else { return None };
    let flags = match flags.as_str() {
        "BADTX" => return None,
        "NONE" => Flags::NONE,
        names => Flags::from_names(names.split(',')).unwrap_or_else(|| panic!("{names}")),
    };
    let tx: Transaction = deserialize(&Vec::from_hex(tx).unwrap()).ok()?;
    let outputs = tx.input.iter().map(|input| {
        let matching = inputs.iter().find(|it| {
            let index = it[1].as_i64().unwrap() as u32;
            it[0].as_str().unwrap() == input.previous_output.txid.to_string() && index == input.previous_output.vout
        })?;
        let value = matching.get(3).and_then(Value::as_u64).unwrap_or(0);
        Some(TxOut { value: Amount::from_sat(value), script_pubkey: script(matching[2].as_str().unwrap()) })
    });
    Some((outputs.collect::<Option<_>>()?, tx, flags))
}
