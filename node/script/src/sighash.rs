//! What signatures of legacy and segwit v0 scripts sign (BIP143; Core: `SignatureHash`).

use std::cell::RefCell;
use std::sync::OnceLock;

use bitcoin::consensus::Encodable;
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bitcoin::opcodes::all::OP_CODESEPARATOR;
use bitcoin::{OutPoint, Transaction, TxIn, TxOut, VarInt};

use crate::instruction::Reader;

/// Only this input.
pub const ANYONE_CAN_PAY: u32 = 0x80;
/// No outputs.
pub const NONE: u32 = 2;
/// Only the output of the input's number.
pub const SINGLE: u32 = 3;

/// Writes a value in the network's form into a hash.
pub(crate) fn put(engine: &mut sha256::HashEngine, value: &impl Encodable) {
    value.consensus_encode(engine).expect("a hash engine takes every byte");
}

pub(crate) fn sha256_of<T: Encodable>(values: impl IntoIterator<Item = T>) -> sha256::Hash {
    let mut engine = sha256::Hash::engine();
    values.into_iter().for_each(|value| put(&mut engine, &value));
    sha256::Hash::from_engine(engine)
}

/// Single SHA256 of what all inputs of a transaction share.
#[derive(Debug, Clone, Copy)]
pub struct SharedHashes {
    /// Outpoints.
    pub prevouts: sha256::Hash,
    /// Sequence numbers.
    pub sequences: sha256::Hash,
    /// Outputs.
    pub outputs: sha256::Hash,
}

/// Single SHA256 of the outputs that a transaction spends (BIP341).
#[derive(Debug, Clone, Copy)]
pub struct SpentHashes {
    /// Amounts.
    pub amounts: sha256::Hash,
    /// Scripts.
    pub scripts: sha256::Hash,
}

/// The hashes of one transaction, each made when first needed, from any thread.
#[derive(Debug, Default)]
pub struct Hashes {
    shared: OnceLock<SharedHashes>,
    spent: OnceLock<SpentHashes>,
}

/// A transaction, the outputs that it spends, and the hashes over them (Core: `PrecomputedTransactionData`).
#[derive(Debug)]
pub struct TxData<'a> {
    /// The transaction that spends.
    pub tx: &'a Transaction,
    /// The output that each input spends, in order.
    pub spent: &'a [TxOut],
    hashes: &'a Hashes,
}

impl<'a> TxData<'a> {
    /// `hashes` belong to this transaction and these outputs only; new ones are empty.
    pub fn new(tx: &'a Transaction, spent: &'a [TxOut], hashes: &'a Hashes) -> Self {
        Self { tx, spent, hashes }
    }

    /// Hashes over the transaction.
    pub fn shared(&self) -> &SharedHashes {
        self.hashes.shared.get_or_init(|| SharedHashes {
            prevouts: sha256_of(self.tx.input.iter().map(|input| input.previous_output)),
            sequences: sha256_of(self.tx.input.iter().map(|input| input.sequence)),
            outputs: {
                let mut engine = sha256::Hash::engine();
                self.tx.output.iter().for_each(|output| put(&mut engine, output));
                sha256::Hash::from_engine(engine)
            },
        })
    }

    /// Hashes over what is spent.
    pub fn spent_hashes(&self) -> &SpentHashes {
        self.hashes.spent.get_or_init(|| {
            let mut scripts = sha256::Hash::engine();
            self.spent.iter().for_each(|output| put(&mut scripts, &output.script_pubkey));
            SpentHashes {
                amounts: sha256_of(self.spent.iter().map(|output| output.value)),
                scripts: sha256::Hash::from_engine(scripts),
            }
        })
    }
}

/// Hash states of one input before the hash type is added: the same script is often checked against several signatures
/// (Core: `SigHashCache`).
#[derive(Default)]
pub struct MidstateCache(RefCell<[Option<Midstate>; 6]>);

/// A script and the state after it.
type Midstate = (Vec<u8>, sha256::HashEngine);

impl std::fmt::Debug for MidstateCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MidstateCache").finish_non_exhaustive()
    }
}

impl MidstateCache {
    fn slot(hash_type: u32) -> usize {
        let outputs = match hash_type & 0x1f {
            SINGLE => 2,
            NONE => 1,
            _ => 0,
        };
        outputs + 3 * usize::from(hash_type & ANYONE_CAN_PAY != 0)
    }

    fn get_or_make(&self, script: &[u8], hash_type: u32, make: impl FnOnce() -> sha256::HashEngine) -> sha256::HashEngine {
        let slot = &mut self.0.borrow_mut()[Self::slot(hash_type)];
        match slot {
            Some((known, engine)) if known == script => engine.clone(),
            _ => {
                let engine = make();
                *slot = Some((script.to_vec(), engine.clone()));
                engine
            }
        }
    }
}

/// Hash for a signature outside of witness scripts. `hash_type` is a whole number, of which signatures only use a byte.
pub fn legacy(tx: &Transaction, input: usize, script: &[u8], hash_type: u32, cache: &MidstateCache) -> [u8; 32] {
    if hash_type & 0x1f == SINGLE && input >= tx.output.len() {
        // There is no such output; the number one has stood in for the hash since the beginning.
        let mut one = [0; 32];
        one[0] = 1;
        return one;
    }
    finish(cache.get_or_make(script, hash_type, || legacy_midstate(tx, input, script, hash_type)), hash_type)
}

/// Hash for a signature in a segwit v0 script (BIP143).
pub fn segwit_v0(data: &TxData<'_>, input: usize, script: &[u8], hash_type: u32, cache: &MidstateCache) -> [u8; 32] {
    finish(cache.get_or_make(script, hash_type, || segwit_v0_midstate(data, input, script, hash_type)), hash_type)
}

fn finish(mut engine: sha256::HashEngine, hash_type: u32) -> [u8; 32] {
    put(&mut engine, &hash_type);
    sha256::Hash::from_engine(engine).hash_again().to_byte_array()
}

fn legacy_midstate(tx: &Transaction, input: usize, script: &[u8], hash_type: u32) -> sha256::HashEngine {
    let mut engine = sha256::Hash::engine();
    let (single, none) = (hash_type & 0x1f == SINGLE, hash_type & 0x1f == NONE);
    put(&mut engine, &tx.version);
    let signed = tx.input.get(input);
    if hash_type & ANYONE_CAN_PAY != 0 {
        put(&mut engine, &VarInt(1));
        signed.into_iter().for_each(|it| put_signed_input(&mut engine, it, script));
    } else {
        put(&mut engine, &VarInt(tx.input.len() as u64));
        for (number, other) in tx.input.iter().enumerate() {
            if number == input {
                put_signed_input(&mut engine, other, script);
            } else {
                put(&mut engine, &other.previous_output);
                put(&mut engine, &VarInt(0));
                put(&mut engine, &if single || none { 0 } else { other.sequence.to_consensus_u32() });
            }
        }
    }
    let outputs: &[TxOut] = match (none, single) {
        (true, _) => &[],
        (_, true) => tx.output.get(..=input).unwrap_or_default(),
        _ => &tx.output,
    };
    put(&mut engine, &VarInt(outputs.len() as u64));
    for (number, output) in outputs.iter().enumerate() {
        if single && number != input {
            // An amount of -1 and an empty script.
            put(&mut engine, &u64::MAX);
            put(&mut engine, &VarInt(0));
        } else {
            put(&mut engine, output);
        }
    }
    put(&mut engine, &tx.lock_time);
    engine
}

fn put_signed_input(engine: &mut sha256::HashEngine, input: &TxIn, script: &[u8]) {
    put(engine, &input.previous_output);
    put_script_code(engine, script);
    put(engine, &input.sequence);
}

/// Writes a script without its OP_CODESEPARATORs. Where the script ends in a truncated push, the announced length counts bytes
/// that are not written; Core does the same.
fn put_script_code(engine: &mut sha256::HashEngine, script: &[u8]) {
    let separators = || Reader::new(script).map_while(Result::ok).filter(|it| it.opcode == OP_CODESEPARATOR.to_u8());
    put(engine, &VarInt((script.len() - separators().count()) as u64));
    let mut reader = Reader::new(script);
    let mut start = 0;
    while let Some(Ok(instruction)) = reader.next() {
        if instruction.opcode == OP_CODESEPARATOR.to_u8() {
            engine.input(&script[start..reader.position() - 1]);
            start = reader.position();
        }
    }
    engine.input(&script[start..reader.position()]);
}

fn segwit_v0_midstate(data: &TxData<'_>, input: usize, script: &[u8], hash_type: u32) -> sha256::HashEngine {
    let zero = sha256d::Hash::all_zeros();
    let anyone = hash_type & ANYONE_CAN_PAY != 0;
    let all_outputs = !matches!(hash_type & 0x1f, SINGLE | NONE);
    let prevouts = if anyone { zero } else { data.shared().prevouts.hash_again() };
    let sequences = if anyone || !all_outputs { zero } else { data.shared().sequences.hash_again() };
    let outputs = match data.tx.output.get(input) {
        _ if all_outputs => data.shared().outputs.hash_again(),
        Some(output) if hash_type & 0x1f == SINGLE => {
            let mut engine = sha256::Hash::engine();
            put(&mut engine, output);
            sha256::Hash::from_engine(engine).hash_again()
        }
        _ => zero,
    };
    let (point, sequence) = data.tx.input.get(input).map_or((OutPoint::null(), 0), |it| (it.previous_output, it.sequence.0));
    let amount = data.spent.get(input).map_or(0, |output| output.value.to_sat());
    let mut engine = sha256::Hash::engine();
    put(&mut engine, &data.tx.version);
    engine.input(prevouts.as_byte_array());
    engine.input(sequences.as_byte_array());
    put(&mut engine, &point);
    put(&mut engine, &VarInt(script.len() as u64));
    engine.input(script);
    put(&mut engine, &amount);
    put(&mut engine, &sequence);
    engine.input(outputs.as_byte_array());
    put(&mut engine, &data.tx.lock_time);
    engine
}
