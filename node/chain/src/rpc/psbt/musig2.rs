//! JSON of MuSig2 fields (BIP373). The `bitcoin` crate keeps them among what it does not know; their form was checked when
//! the PSBT was read.

use std::collections::BTreeMap;

use bitcoin::psbt::raw;
use serde_json::{Map, Value, json};

/// Fields that a crate does not know, by key.
pub(super) type Unknown = BTreeMap<raw::Key, Vec<u8>>;

/// Keys of an aggregate key in an input.
pub(super) const IN_PARTICIPANTS: u8 = 0x1a;
/// A participant's public nonce.
pub(super) const IN_PUBLIC_NONCE: u8 = 0x1b;
/// A participant's partial signature.
pub(super) const IN_PARTIAL_SIGNATURE: u8 = 0x1c;
/// Keys of an aggregate key in an output.
pub(super) const OUT_PARTICIPANTS: u8 = 0x08;
const KEY: usize = 33;

fn of_type(unknown: &Unknown, number: u8) -> impl Iterator<Item = (&[u8], &Vec<u8>)> {
    unknown.iter().filter(move |(key, _)| key.type_value == number).map(|(key, value)| (key.key.as_slice(), value))
}

/// Aggregate keys with the keys that they consist of; `None` without any.
pub(super) fn participants(unknown: &Unknown, number: u8) -> Option<Value> {
    let entry = |(aggregate, keys): (&[u8], &Vec<u8>)| {
        json!({
            "aggregate_pubkey": hex::encode(aggregate),
            "participant_pubkeys": keys.chunks(KEY).map(hex::encode).collect::<Vec<_>>(),
        })
    };
    let all: Vec<Value> = of_type(unknown, number).map(entry).collect();
    (!all.is_empty()).then(|| all.into())
}

/// What participants contribute, shown as `name`, ordered by aggregate key, leaf and participant; `None` without any.
pub(super) fn contributions(unknown: &Unknown, number: u8, name: &str) -> Option<Value> {
    let split = |(key, value): (&[u8], &Vec<u8>)| {
        let (participant, rest) = key.split_at_checked(KEY)?;
        let (aggregate, leaf) = rest.split_at_checked(KEY)?;
        Some(((aggregate.to_vec(), leaf.to_vec(), participant.to_vec()), value.clone()))
    };
    let ordered: BTreeMap<_, _> = of_type(unknown, number).filter_map(split).collect();
    let entry = |((aggregate, leaf, participant), value): (_, Vec<u8>)| {
        let mut out = Map::new();
        out.insert("participant_pubkey".into(), hex::encode::<Vec<u8>>(participant).into());
        out.insert("aggregate_pubkey".into(), hex::encode::<Vec<u8>>(aggregate).into());
        let leaf: Vec<u8> = leaf;
        if leaf.iter().any(|byte| *byte != 0) {
            out.insert("leaf_hash".into(), hex::encode(leaf).into());
        }
        out.insert(name.into(), hex::encode(value).into());
        Value::Object(out)
    };
    let all: Vec<Value> = ordered.into_iter().map(entry).collect();
    (!all.is_empty()).then(|| all.into())
}

/// Whether a field of an input is shown under a name of its own.
pub(super) fn is_known_in_input(key: &raw::Key) -> bool {
    (IN_PARTICIPANTS..=IN_PARTIAL_SIGNATURE).contains(&key.type_value)
}

/// The same of an output.
pub(super) fn is_known_in_output(key: &raw::Key) -> bool {
    key.type_value == OUT_PARTICIPANTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributions_name_keys_and_leaf() {
        let key = |leaf: &[u8]| raw::Key { type_value: IN_PUBLIC_NONCE, key: [&[2; KEY], &[3; KEY], leaf].concat() };
        let unknown: Unknown = [(key(&[9; 32]), vec![7]), (key(&[]), vec![8])].into();
        let shown = contributions(&unknown, IN_PUBLIC_NONCE, "pubnonce").expect("two");
        assert_eq!(
            shown[0],
            json!({"participant_pubkey": "02".repeat(KEY), "aggregate_pubkey": "03".repeat(KEY), "pubnonce": "08"})
        );
        assert_eq!(shown[1]["leaf_hash"], "09".repeat(32));
        assert!(contributions(&unknown, IN_PARTIAL_SIGNATURE, "partial_sig").is_none());
    }
}
