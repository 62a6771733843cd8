//! How large inputs get once they are signed (Core: `wallet/spend.cpp` and the size functions of
//! `script/descriptor.cpp`). Our signers grind signatures to 71 bytes with the hash type byte.

use bitcoin::{PublicKey, Script, ScriptBuf, TxOut, VarInt};
use bulkhead_wallet_core::descriptor::{Solution, SolutionForm};
use miniscript::descriptor::{ShInner, Wsh, WshInner};
use miniscript::{Descriptor, Miniscript, ScriptContext, Terminal};

/// Virtual bytes of a p2sh-p2wpkh input: what Core assumes for change that it cannot solve.
pub const DUMMY_NESTED_P2WPKH_INPUT_SIZE: i64 = 91;

const LOW_R_SIGNATURE: i64 = 71;
const MAX_SIGNATURE: i64 = 72;

/// Size of a compact size number, bytes.
pub fn compact_size(value: i64) -> i64 {
    VarInt(value.max(0) as u64).size() as i64
}

/// The signatures that a script asks for, when it is one key or a multisig.
enum Shape {
    Key,
    KeyHash(i64),
    Multi(i64),
}

fn key_len(key: &PublicKey) -> i64 {
    if key.compressed { 33 } else { 65 }
}

fn shape<Ctx: ScriptContext>(script: &Miniscript<PublicKey, Ctx>) -> Option<Shape> {
    match &script.node {
        Terminal::Check(inner) => match &inner.node {
            Terminal::PkK(_) => Some(Shape::Key),
            Terminal::PkH(key) => Some(Shape::KeyHash(key_len(key))),
            _ => None,
        },
        Terminal::Multi(threshold) => Some(Shape::Multi(threshold.k() as i64)),
        _ => None,
    }
}

/// Bytes of what satisfies a shape, and how many items that are.
fn satisfaction(shape: &Shape, sig: i64) -> (i64, i64) {
    match shape {
        Shape::Key => (sig, 1),
        Shape::KeyHash(key) => (sig + 1 + key, 2),
        Shape::Multi(required) => (1 + sig * required, 1 + required),
    }
}

/// Weight of one signed input, without the discount for transactions that have no witness at all.
///
/// `max_sig`: somebody else signs, so signatures may be one byte longer. `segwit_tx`: the transaction has at
/// least one witness.
pub fn input_weight(solution: &Solution, max_sig: bool, segwit_tx: bool) -> Option<i64> {
    const KEY_PATH: i64 = 1 + 65;
    let sig = 1 + if max_sig { MAX_SIGNATURE } else { LOW_R_SIGNATURE };
    let SolutionForm::Script(script) = &solution.form else { return Some(input(4, 1, KEY_PATH)) };
    let wsh = |script: &Wsh<PublicKey>, around: i64, items_around: i64| {
        let WshInner::Ms(inner) = script.as_inner() else { return None };
        let size = inner.script_size() as i64;
        let (satisfied, items) = match shape(inner) {
            Some(shape) => satisfaction(&shape, sig),
            None => (inner.max_satisfaction_size().ok()? as i64, inner.max_satisfaction_witness_elements().ok()? as i64 - 1),
        };
        Some(input(4, items + 1 + items_around, around + compact_size(size) + size + satisfied))
    };
    let legacy = |bytes: i64| Some(input(4 * compact_size(bytes), i64::from(segwit_tx) - 1, 4 * bytes));
    match script.as_ref() {
        Descriptor::Bare(bare) => legacy(satisfaction(&shape(bare.as_inner())?, sig).0),
        Descriptor::Pkh(pkh) => legacy(sig + 1 + key_len(pkh.as_inner())),
        Descriptor::Wpkh(_) => Some(input(4, 2, sig + 1 + 33)),
        Descriptor::Tr(_) => Some(input(4, 1, KEY_PATH)),
        Descriptor::Wsh(script) => wsh(script, 0, 0),
        Descriptor::Sh(sh) => match sh.as_inner() {
            ShInner::Wpkh(_) => Some(input(4, 3, 4 * 23 + sig + 1 + 33)),
            ShInner::Wsh(script) => wsh(script, 4 * 35, 1),
            ShInner::Ms(inner) => {
                // Core reckons with one byte for the push, however long the script is.
                legacy(1 + inner.script_size() as i64 + satisfaction(&shape(inner)?, sig).0)
            }
            ShInner::SortedMulti(_) => None,
        },
    }
}

/// Outpoint, sequence, length of the script, number of witness items, and what satisfies the output.
fn input(script_length: i64, items: i64, satisfaction: i64) -> i64 {
    let stack = if items < 0 { 0 } else { compact_size(items) };
    (32 + 4 + 4) * 4 + script_length + stack + satisfaction
}

/// Virtual bytes of one signed input.
pub fn input_bytes(solution: &Solution, max_sig: bool) -> Option<i64> {
    input_weight(solution, max_sig, true).map(|weight| (weight + 3) / 4)
}

/// Serialized size of an output, bytes.
pub fn output_size(script: &Script) -> i64 {
    8 + compact_size(script.len() as i64) + script.len() as i64
}

/// Smallest amount worth sending to a script (Core: `policy/policy.cpp`), satoshi. `rate` per 1000 vbytes.
pub fn dust_threshold(script: &Script, rate: i64) -> i64 {
    if script.is_op_return() || script.len() > 10_000 {
        return 0;
    }
    let spend = if script.witness_version().is_some() { 32 + 4 + 1 + 107 / 4 + 4 } else { 32 + 4 + 1 + 107 + 4 };
    super::fees::fee(rate, output_size(script) + spend)
}

/// Whether an output is not worth sending.
pub fn is_dust(output: &TxOut, rate: i64) -> bool {
    (output.value.to_sat() as i64) < dust_threshold(&output.script_pubkey, rate)
}

/// Weight of a transaction without its inputs' satisfaction.
pub fn base_weight(outputs: &[TxOut], inputs: usize, segwit: bool) -> i64 {
    let outputs_size: i64 = outputs.iter().map(|output| output_size(&output.script_pubkey)).sum();
    let size = 8 + compact_size(inputs as i64) + compact_size(outputs.len() as i64) + outputs_size;
    size * 4 + if segwit { 2 } else { 0 }
}

/// A script as large as a change output that was not made yet.
pub fn empty_script() -> ScriptBuf {
    ScriptBuf::new()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bulkhead_wallet_core::descriptor::{Cache, Descriptor, Keys};

    const KEY: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

    fn solution(text: &str) -> Solution {
        let text = text.replace('K', KEY).replace('X', &KEY[2..]);
        let expansion = Descriptor::parse(&text, &mut Keys::default()).unwrap().expand(0, &Cache::default()).unwrap();
        expansion.solution(0).unwrap()
    }

    fn bytes(text: &str) -> i64 {
        input_bytes(&solution(text), false).unwrap()
    }

    #[test]
    fn input_sizes_are_those_of_core() {
        assert_eq!(bytes("wpkh(K)"), 68);
        assert_eq!(bytes("sh(wpkh(K))"), 91);
        assert_eq!(bytes("pkh(K)"), 148);
        assert_eq!(bytes("pk(K)"), 114);
        assert_eq!(bytes("tr(X)"), 58);
        assert_eq!(bytes("rawtr(X)"), 58);
        // A transaction without any witness has no byte for the number of its items.
        assert_eq!(
            input_weight(&solution("pkh(K)"), false, false).unwrap() + 1,
            input_weight(&solution("pkh(K)"), false, true).unwrap()
        );
        // Script of 37 bytes behind a length; one empty item, one signature, the script.
        assert_eq!(input_weight(&solution("wsh(multi(1,K))"), false, true), Some(41 * 4 + 1 + 1 + 37 + 1 + 72));
        assert_eq!(input_weight(&solution("sh(multi(1,K))"), false, false), Some((41 + 1 + 37 + 1 + 72) * 4));
    }

    #[test]
    fn dust_is_cheaper_for_witness_programs() {
        let key: PublicKey = KEY.parse().unwrap();
        let wpkh = ScriptBuf::new_p2wpkh(&key.wpubkey_hash().unwrap());
        let pkh = ScriptBuf::new_p2pkh(&key.pubkey_hash());
        assert_eq!(dust_threshold(&wpkh, 3000), 294);
        assert_eq!(dust_threshold(&pkh, 3000), 546);
    }
}
