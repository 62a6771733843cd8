//! A PSBT to bytes, as Core writes it: records in the order of its fields, and nothing that serves to sign once an input is
//! final.

use bitcoin::Psbt;
use bitcoin::consensus::encode::{Encodable, VarInt, serialize};

use super::fields::{self, GLOBAL, INPUT, Maps, OUTPUT};
use super::records::{self, MAGIC};
use super::{Version2, VersionedPsbt, is_final, normalize, values};

/// A key and its value.
type Record = (Vec<u8>, Vec<u8>);

/// Writes a key, a value or their separator: a length and as many bytes.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    VarInt::from(bytes.len()).consensus_encode(out).expect("writing to a vector cannot fail");
    out.extend_from_slice(bytes);
}

/// Writes records and the separator behind them.
pub(super) fn put_map<'a>(out: &mut Vec<u8>, records: impl IntoIterator<Item = &'a records::Record<'a>>) {
    for (key, value) in records {
        put(out, key);
        put(out, value);
    }
    put(out, &[]);
}

/// The bytes of a PSBT, previous transactions without their witnesses.
pub(super) fn to_bytes(versioned: &VersionedPsbt) -> Vec<u8> {
    let mut psbt = versioned.psbt.clone();
    normalize(&mut psbt);
    let previous = psbt.inputs.iter_mut().filter_map(|input| input.non_witness_utxo.as_mut());
    previous.flat_map(|tx| &mut tx.input).for_each(|input| input.witness.clear());
    let mut maps = split(&psbt.serialize()).expect("the crate writes whole records").into_iter();
    let mut out = MAGIC.to_vec();
    let mut global = maps.next().unwrap_or_default();
    if let Some(version_2) = &versioned.version_2 {
        global.retain(|(key, _)| *key != [fields::global::UNSIGNED_TX]);
        global.extend(global_fields(&psbt, version_2));
    }
    write(&mut out, global, &GLOBAL);
    for (i, mut map) in maps.by_ref().take(psbt.inputs.len()).enumerate() {
        if is_final(&psbt.inputs[i]) {
            map.retain(|(key, _)| !fields::input::is_for_signing(number(key)));
        }
        if let Some(version_2) = &versioned.version_2 {
            map.extend(input_fields(&psbt, version_2, i));
        }
        write(&mut out, map, &INPUT);
    }
    for (mut map, output) in maps.zip(&psbt.unsigned_tx.output) {
        if versioned.version_2.is_some() {
            map.push((vec![fields::output::AMOUNT], output.value.to_sat().to_le_bytes().to_vec()));
            map.push((vec![fields::output::SCRIPT], output.script_pubkey.to_bytes()));
        }
        write(&mut out, map, &OUTPUT);
    }
    out
}

fn global_fields(psbt: &Psbt, version_2: &Version2) -> Vec<Record> {
    let count = |count: usize| serialize(&VarInt::from(count));
    let mut records = vec![
        (vec![fields::global::TX_VERSION], psbt.unsigned_tx.version.0.to_le_bytes().to_vec()),
        (vec![fields::global::INPUT_COUNT], count(psbt.inputs.len())),
        (vec![fields::global::OUTPUT_COUNT], count(psbt.outputs.len())),
        (vec![fields::global::VERSION], 2u32.to_le_bytes().to_vec()),
    ];
    let fallback = version_2.fallback_lock_time.map(|time| time.to_le_bytes().to_vec());
    records.extend(fallback.map(|time| (vec![fields::global::FALLBACK_LOCK_TIME], time)));
    records.extend(version_2.modifiable.map(|flags| (vec![fields::global::MODIFIABLE], vec![flags])));
    records
}

fn input_fields(psbt: &Psbt, version_2: &Version2, i: usize) -> Vec<Record> {
    let Some(unsigned) = psbt.unsigned_tx.input.get(i) else { return Vec::new() };
    let outpoint = unsigned.previous_output;
    let fields = version_2.inputs.get(i).copied().unwrap_or_default();
    let mut records = vec![
        (vec![fields::input::PREVIOUS_TXID], serialize(&outpoint.txid)),
        (vec![fields::input::OUTPUT_INDEX], outpoint.vout.to_le_bytes().to_vec()),
    ];
    for (number, value) in [
        (fields::input::SEQUENCE, fields.sequence.map(|sequence| sequence.0)),
        (fields::input::TIME_LOCK, fields.time_lock),
        (fields::input::HEIGHT_LOCK, fields.height_lock),
    ] {
        records.extend(value.map(|value| (vec![number], value.to_le_bytes().to_vec())));
    }
    records
}

/// The number that a key starts with.
fn number(key: &[u8]) -> u64 {
    values::length(&mut &key[..]).map_or(u64::MAX, |number| number as u64)
}

/// Writes the records of a map and its separator.
fn write(out: &mut Vec<u8>, mut records: Vec<Record>, maps: &Maps) {
    records.sort_by_cached_key(|(key, value)| {
        let (number, data) = (number(key), key.get(1..).unwrap_or_default());
        // Unknown fields share a rank; they stand by their whole keys.
        (maps.rank(number), key.first().copied(), (maps.field(number).place)(data, value))
    });
    put_map(out, &records.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect::<Vec<_>>());
}

/// The maps that the `bitcoin` crate wrote.
fn split(serialized: &[u8]) -> Option<Vec<Vec<Record>>> {
    let mut rest = serialized.strip_prefix(MAGIC)?;
    let (mut maps, mut map) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let key = values::bytes(&mut rest).ok()?;
        if key.is_empty() {
            maps.push(std::mem::take(&mut map));
        } else {
            map.push((key.to_vec(), values::bytes(&mut rest).ok()?.to_vec()));
        }
    }
    map.is_empty().then_some(maps)
}
