//! The maps of a PSBT as records of key and value, checked field by field as Core checks them.

use std::collections::HashSet;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid};

use super::fields::{self, Field, GLOBAL, INPUT, Maps, OUTPUT};
use super::values::{self, END_OF_DATA, bytes};
use super::{InputFields, Malformed, Version2, lock_time};
use crate::codec;

const MAGIC_LENGTH: usize = 5;
pub(super) const MAGIC: &[u8; MAGIC_LENGTH] = b"psbt\xff";

/// A key and its value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// What a PSBT holds.
pub(super) struct Records<'a> {
    pub(super) global: Vec<Record<'a>>,
    pub(super) inputs: Vec<Vec<Record<'a>>>,
    pub(super) outputs: Vec<Vec<Record<'a>>>,
    /// The transaction of version 0, or the one that the fields of version 2 make.
    pub(super) transaction: Transaction,
    pub(super) version_2: Option<Version2>,
}

/// The value of a field whose key is its number alone.
fn value<'a>(map: &[Record<'a>], number: u8) -> Option<&'a [u8]> {
    map.iter().find(|(key, _)| *key == [number]).map(|(_, value)| *value)
}

/// The number in such a field.
fn number(map: &[Record<'_>], field: u8) -> Option<u32> {
    value(map, field).and_then(|value| values::number(value).ok())
}

fn has(map: &[Record<'_>], field: &Field) -> bool {
    map.iter().any(|(key, _)| field.has_key(key))
}

/// Reads a PSBT to its end.
///
/// # Errors
/// The first thing that Core would not take.
pub(super) fn read(psbt: &[u8]) -> Result<Records<'_>, Malformed> {
    let (magic, mut rest) = psbt.split_at_checked(MAGIC_LENGTH).ok_or(END_OF_DATA)?;
    if magic != MAGIC {
        return Err("Invalid PSBT magic bytes".into());
    }
    let rest = &mut rest;
    let global = read_map(rest, &GLOBAL, false)?; // its version is not known yet
    match number(&global, fields::global::VERSION).unwrap_or(0) {
        0 => read_version_0(rest, global),
        1 => Err("There is no PSBT version 1".into()),
        _ => read_version_2(rest, global),
    }
    .and_then(|records| if rest.is_empty() { Ok(records) } else { Err(Malformed::ExtraData) })
}

fn read_version_0<'a>(rest: &mut &'a [u8], global: Vec<Record<'a>>) -> Result<Records<'a>, Malformed> {
    let transaction = value(&global, fields::global::UNSIGNED_TX).and_then(|tx| codec::decode_tx(tx, true, false));
    let transaction = transaction.ok_or("No unsigned transaction was provided")?;
    let forbidden = GLOBAL.fields.iter().find(|field| field.not_in_0.is_some() && has(&global, field));
    if let Some(problem) = forbidden.and_then(|field| field.not_in_0) {
        return Err(problem.into());
    }
    let mut previous = transaction.input.iter().map(|input| input.previous_output);
    let inputs = read_inputs(rest, transaction.input.len(), false, |_| previous.next())?;
    let outputs = read_outputs(rest, transaction.output.len(), false)?;
    Ok(Records { global, inputs, outputs, transaction, version_2: None })
}

fn read_version_2<'a>(rest: &mut &'a [u8], global: Vec<Record<'a>>) -> Result<Records<'a>, Malformed> {
    ensure_needed(&global, &GLOBAL)?;
    if value(&global, fields::global::UNSIGNED_TX).is_some() {
        return Err("PSBT_GLOBAL_UNSIGNED_TX is not allowed in PSBTv2".into());
    }
    let count = |field: u8| values::length(&mut value(&global, field).unwrap_or_default());
    let inputs = read_inputs(rest, count(fields::global::INPUT_COUNT)?, true, outpoint)?;
    let outputs = read_outputs(rest, count(fields::global::OUTPUT_COUNT)?, true)?;
    let version_2 = Version2 {
        fallback_lock_time: number(&global, fields::global::FALLBACK_LOCK_TIME),
        modifiable: value(&global, fields::global::MODIFIABLE).and_then(|flags| flags.first().copied()),
        inputs: inputs.iter().map(|map| input_fields(map)).collect(),
    };
    let transaction = Transaction {
        version: bitcoin::transaction::Version(number(&global, fields::global::TX_VERSION).unwrap_or_default() as i32),
        lock_time: lock_time(&version_2).unwrap_or(bitcoin::absolute::LockTime::ZERO),
        input: inputs.iter().zip(&version_2.inputs).filter_map(|(map, fields)| unsigned_input(map, fields)).collect(),
        output: outputs.iter().filter_map(|map| unsigned_output(map)).collect(),
    };
    Ok(Records { global, inputs, outputs, transaction, version_2: Some(version_2) })
}

fn outpoint(map: &[Record<'_>]) -> Option<OutPoint> {
    let txid = Txid::from_slice(value(map, fields::input::PREVIOUS_TXID)?).ok()?;
    Some(OutPoint { txid, vout: number(map, fields::input::OUTPUT_INDEX)? })
}

fn input_fields(map: &[Record<'_>]) -> InputFields {
    InputFields {
        sequence: number(map, fields::input::SEQUENCE).map(Sequence),
        time_lock: number(map, fields::input::TIME_LOCK),
        height_lock: number(map, fields::input::HEIGHT_LOCK),
    }
}

fn unsigned_input(map: &[Record<'_>], fields: &InputFields) -> Option<TxIn> {
    Some(TxIn { previous_output: outpoint(map)?, sequence: fields.sequence.unwrap_or(Sequence::MAX), ..TxIn::default() })
}

fn unsigned_output(map: &[Record<'_>]) -> Option<TxOut> {
    let amount = value(map, fields::output::AMOUNT)?.try_into().map(u64::from_le_bytes).ok()?;
    let script = value(map, fields::output::SCRIPT)?.to_vec();
    Some(TxOut { value: Amount::from_sat(amount), script_pubkey: ScriptBuf::from_bytes(script) })
}

/// `outpoint`: what an input spends, asked for in their order.
fn read_inputs<'a>(
    rest: &mut &'a [u8],
    count: usize,
    is_version_2: bool,
    mut outpoint: impl FnMut(&[Record<'a>]) -> Option<OutPoint>,
) -> Result<Vec<Vec<Record<'a>>>, Malformed> {
    let mut maps = Vec::new(); // the count is anybody's number
    while maps.len() < count && !rest.is_empty() {
        let map = read_versioned_map(rest, &INPUT, is_version_2)?;
        if let Some(outpoint) = outpoint(&map)
            && let Some(previous) = value(&map, fields::input::NON_WITNESS_UTXO).and_then(codec::decode_witness_tx)
        {
            if previous.compute_txid() != outpoint.txid {
                return Err("Non-witness UTXO does not match outpoint hash".into());
            }
            if outpoint.vout as usize >= previous.output.len() {
                return Err("Input specifies output index that does not exist".into());
            }
        }
        maps.push(map);
    }
    if maps.len() == count { Ok(maps) } else { Err("Inputs provided does not match the number of inputs in transaction.".into()) }
}

fn read_outputs<'a>(rest: &mut &'a [u8], count: usize, is_version_2: bool) -> Result<Vec<Vec<Record<'a>>>, Malformed> {
    let mut maps = Vec::new(); // the count is anybody's number
    while maps.len() < count && !rest.is_empty() {
        maps.push(read_versioned_map(rest, &OUTPUT, is_version_2)?);
    }
    if maps.len() == count {
        Ok(maps)
    } else {
        Err("Outputs provided does not match the number of outputs in transaction.".into())
    }
}

fn ensure_needed(map: &[Record<'_>], maps: &Maps) -> Result<(), Malformed> {
    let lacking = maps.fields.iter().find(|field| field.needed_in_2.is_some() && !has(map, field));
    lacking.and_then(|field| field.needed_in_2).map_or(Ok(()), |problem| Err(problem.into()))
}

fn read_versioned_map<'a>(rest: &mut &'a [u8], maps: &Maps, is_version_2: bool) -> Result<Vec<Record<'a>>, Malformed> {
    let map = read_map(rest, maps, !is_version_2)?;
    if is_version_2 {
        ensure_needed(&map, maps)?;
    }
    Ok(map)
}

/// Reads and checks pairs of key and value up to the separator.
fn read_map<'a>(rest: &mut &'a [u8], maps: &Maps, is_version_0: bool) -> Result<Vec<Record<'a>>, Malformed> {
    let (mut map, mut seen) = (Vec::new(), HashSet::new());
    while !rest.is_empty() {
        let key = bytes(rest)?;
        if key.is_empty() {
            return Ok(map);
        }
        if !seen.insert(key) {
            return Err(Malformed::Duplicate { map: maps.name, key: key.to_vec() });
        }
        let data = &mut &key[..];
        let field = maps.field(values::length(data)? as u64);
        field.key_size.check(key.len())?;
        if let Some(problem) = field.not_in_0.filter(|_| is_version_0) {
            return Err(problem.into());
        }
        let value = bytes(rest)?;
        (field.check)(data, value)?;
        map.push((key, value));
    }
    Err(maps.no_separator.into())
}
