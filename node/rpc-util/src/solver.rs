//! Standard output script types.

use crate::opcode::{self, CHECKMULTISIG, CHECKSIG, Op, Ops};
use bitcoin::hashes::Hash;
use bitcoin::{PubkeyHash, Script, ScriptBuf, ScriptHash, WitnessProgram, WitnessVersion};

/// What an output script asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptType {
    /// None of the others.
    NonStandard,
    /// One public key and a signature check.
    PubKey(Vec<u8>),
    /// Hash of a public key.
    PubKeyHash([u8; 20]),
    /// Hash of a script.
    ScriptHash([u8; 20]),
    /// Bare `required` of `keys`.
    MultiSig {
        /// Signatures needed.
        required: u8,
        /// Keys in script order.
        keys: Vec<Vec<u8>>,
    },
    /// OP_RETURN followed by pushes only.
    NullData,
    /// BIP433 pay-to-anchor.
    Anchor,
    /// Version 0 program of 20 bytes.
    WitnessV0KeyHash([u8; 20]),
    /// Version 0 program of 32 bytes.
    WitnessV0ScriptHash([u8; 32]),
    /// Version 1 program of 32 bytes.
    WitnessV1Taproot([u8; 32]),
    /// Any other program of version 1 to 16.
    WitnessUnknown(u8, Vec<u8>),
}

impl ScriptType {
    /// Word used in the `type` field.
    pub fn name(&self) -> &'static str {
        match self {
            ScriptType::NonStandard => "nonstandard",
            ScriptType::PubKey(_) => "pubkey",
            ScriptType::PubKeyHash(_) => "pubkeyhash",
            ScriptType::ScriptHash(_) => "scripthash",
            ScriptType::MultiSig { .. } => "multisig",
            ScriptType::NullData => "nulldata",
            ScriptType::Anchor => "anchor",
            ScriptType::WitnessV0KeyHash(_) => "witness_v0_keyhash",
            ScriptType::WitnessV0ScriptHash(_) => "witness_v0_scripthash",
            ScriptType::WitnessV1Taproot(_) => "witness_v1_taproot",
            ScriptType::WitnessUnknown(..) => "witness_unknown",
        }
    }

    /// The address-like part; `None` for types without an address (bare keys among them).
    pub fn destination(&self) -> Option<Destination> {
        Some(match self {
            ScriptType::PubKeyHash(hash) => Destination::PubKeyHash(*hash),
            ScriptType::ScriptHash(hash) => Destination::ScriptHash(*hash),
            ScriptType::WitnessV0KeyHash(hash) => Destination::Witness(0, hash.to_vec()),
            ScriptType::WitnessV0ScriptHash(hash) => Destination::Witness(0, hash.to_vec()),
            ScriptType::WitnessV1Taproot(key) => Destination::Witness(1, key.to_vec()),
            ScriptType::Anchor => Destination::Witness(1, vec![0x4e, 0x73]),
            ScriptType::WitnessUnknown(version, program) => Destination::Witness(*version, program.clone()),
            _ => return None,
        })
    }
}

/// What an address stands for. Ordered as in Core, whose lists of addresses are in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Hash of a public key.
    PubKeyHash([u8; 20]),
    /// Hash of a script.
    ScriptHash([u8; 20]),
    /// Witness version (0 to 16) and program (2 to 40 bytes).
    Witness(u8, Vec<u8>),
}

impl Ord for Destination {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Destination {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Destination {
    /// The kind as Core numbers them, then what stands in the address.
    fn rank(&self) -> (u8, u8, &[u8]) {
        match self {
            Destination::PubKeyHash(hash) => (0, 0, hash),
            Destination::ScriptHash(hash) => (1, 0, hash),
            Destination::Witness(version, program) => {
                let kind = match (version, program.as_slice()) {
                    (0, _) if program.len() == 32 => 2,
                    (0, _) => 3,
                    (1, _) if program.len() == 32 => 4,
                    (1, [0x4e, 0x73]) => 5,
                    _ => 6,
                };
                (kind, *version, program)
            }
        }
    }

    /// The output script that pays it.
    pub fn script(&self) -> ScriptBuf {
        match self {
            Destination::PubKeyHash(hash) => ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(*hash)),
            Destination::ScriptHash(hash) => ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(*hash)),
            Destination::Witness(version, program) => {
                let version = WitnessVersion::try_from(*version).ok();
                version
                    .and_then(|version| WitnessProgram::new(version, program).ok())
                    .map(|program| ScriptBuf::new_witness_program(&program))
                    .unwrap_or_default()
            }
        }
    }

    /// Destination of a script, if it has one.
    pub fn from_script(script: &Script) -> Option<Self> {
        solve(script.as_bytes()).destination()
    }
}

/// Witness version and program, if the script is one.
pub fn witness_program(script: &[u8]) -> Option<(u8, &[u8])> {
    Script::from_bytes(script).witness_version().map(|version| (version.to_num(), &script[2..]))
}

/// Length that the first byte of a public key announces.
fn key_length(first: u8) -> usize {
    match first {
        2 | 3 => 33,
        4 | 6 | 7 => 65,
        _ => 0,
    }
}

/// Whether the bytes have the size and prefix of a public key (hybrid ones included).
pub fn is_key_sized(key: &[u8]) -> bool {
    key.first().is_some_and(|first| key_length(*first) == key.len())
}

fn small_number(op: Op<'_>, min: usize, max: usize) -> Option<usize> {
    let number = match op.code {
        opcode::ONE..=opcode::SIXTEEN => i64::from(op.code - opcode::ONE + 1),
        code if code <= opcode::PUSHDATA4 => {
            // Numbers are minimal: no needless zero byte at the end.
            let padded = matches!(op.data, [.., last] if last & 0x7f == 0)
                && op.data.len().checked_sub(2).is_none_or(|i| op.data[i] & 0x80 == 0);
            if !opcode::is_minimal_push(op) || op.data.len() > 4 || padded {
                return None;
            }
            opcode::script_number(op.data)
        }
        _ => return None,
    };
    usize::try_from(number).ok().filter(|number| (min..=max).contains(number))
}

fn solve_multisig(script: &[u8]) -> Option<ScriptType> {
    if script.last() != Some(&CHECKMULTISIG) {
        return None;
    }
    let mut ops = Ops::new(script);
    let required = small_number(ops.next()?.ok()?, 1, 20)?;
    let mut keys = Vec::new();
    let count = loop {
        let op = ops.next()?.ok()?;
        if !is_key_sized(op.data) {
            break small_number(op, required, 20)?;
        }
        keys.push(op.data.to_vec());
    };
    (keys.len() == count && ops.rest().len() == 1).then_some(ScriptType::MultiSig { required: required as u8, keys })
}

/// Type of an output script.
pub fn solve(script: &[u8]) -> ScriptType {
    if let [0xa9, 20, hash @ .., 0x87] = script
        && let Ok(hash) = hash.try_into()
    {
        return ScriptType::ScriptHash(hash);
    }
    if let Some((version, program)) = witness_program(script) {
        return match (version, program.len()) {
            (0, 20) => ScriptType::WitnessV0KeyHash(program.try_into().expect("the length was matched")),
            (0, 32) => ScriptType::WitnessV0ScriptHash(program.try_into().expect("the length was matched")),
            (1, 32) => ScriptType::WitnessV1Taproot(program.try_into().expect("the length was matched")),
            (1, 2) if program == [0x4e, 0x73] => ScriptType::Anchor,
            (0, _) => ScriptType::NonStandard,
            _ => ScriptType::WitnessUnknown(version, program.to_vec()),
        };
    }
    if let [opcode::RETURN, rest @ ..] = script
        && opcode::is_push_only(rest)
    {
        return ScriptType::NullData;
    }
    if let [length @ (33 | 65), key @ .., CHECKSIG] = script
        && key.len() == usize::from(*length)
        && is_key_sized(key)
    {
        return ScriptType::PubKey(key.to_vec());
    }
    if let [0x76, 0xa9, 20, hash @ .., 0x88, CHECKSIG] = script
        && let Ok(hash) = hash.try_into()
    {
        return ScriptType::PubKeyHash(hash);
    }
    solve_multisig(script).unwrap_or(ScriptType::NonStandard)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn types_are_told_apart() {
        let key = "02".to_owned() + &"11".repeat(32);
        for (script, name) in [
            (String::new(), "nonstandard"),
            (format!("21{key}ac"), "pubkey"),
            (format!("76a914{}88ac", "22".repeat(20)), "pubkeyhash"),
            (format!("a914{}87", "22".repeat(20)), "scripthash"),
            (format!("5121{key}21{key}52ae"), "multisig"),
            (format!("5221{key}21{key}51ae"), "nonstandard"),
            (format!("5121{key}51aeae"), "nonstandard"),
            ("6a".into(), "nulldata"),
            ("6a4c".into(), "nonstandard"),
            ("51024e73".into(), "anchor"),
            (format!("0014{}", "22".repeat(20)), "witness_v0_keyhash"),
            (format!("0020{}", "22".repeat(32)), "witness_v0_scripthash"),
            (format!("5120{}", "22".repeat(32)), "witness_v1_taproot"),
            (format!("5220{}", "22".repeat(32)), "witness_unknown"),
            (format!("0015{}", "22".repeat(21)), "nonstandard"),
        ] {
            assert_eq!(solve(&hex::decode(&script).unwrap()).name(), name, "{script}");
        }
    }

    /// Core's kinds, then what stands in the address.
    #[test]
    fn destinations_are_ordered_as_in_core() {
        let ordered = [
            Destination::PubKeyHash([1; 20]),
            Destination::PubKeyHash([2; 20]),
            Destination::ScriptHash([0; 20]),
            Destination::Witness(0, vec![9; 32]),
            Destination::Witness(0, vec![1; 20]),
            Destination::Witness(1, vec![1; 32]),
            Destination::Witness(1, vec![0x4e, 0x73]),
            Destination::Witness(1, vec![0; 2]),
            Destination::Witness(16, vec![0; 2]),
        ];
        assert!(ordered.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn destination_round_trips_through_its_script() {
        for destination in [
            Destination::PubKeyHash([7; 20]),
            Destination::ScriptHash([8; 20]),
            Destination::Witness(0, vec![1; 20]),
            Destination::Witness(1, vec![1; 32]),
            Destination::Witness(16, vec![1; 40]),
            Destination::Witness(1, vec![0x4e, 0x73]),
        ] {
            assert_eq!(Destination::from_script(&destination.script()), Some(destination));
        }
    }
}
