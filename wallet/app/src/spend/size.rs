//! How large inputs get once they are signed (Core: `wallet/spend.cpp` and the size functions of
//! `script/descriptor.cpp`). Our signers grind signatures to 71 bytes with the hash type byte.

use bitcoin::{Script, ScriptBuf, TxOut, VarInt};
use miniscript::descriptor::DescriptorType;
use miniscript::{DefiniteDescriptorKey, Descriptor, ForEachKey, ToPublicKey};

/// Virtual bytes of a p2sh-p2wpkh input: what Core assumes for change that it cannot solve.
pub const DUMMY_NESTED_P2WPKH_INPUT_SIZE: i64 = 91;

const LOW_R_SIGNATURE: i64 = 71;
const MAX_SIGNATURE: i64 = 72;

/// Size of a compact size number, bytes.
pub fn compact_size(value: i64) -> i64 {
    VarInt(value.max(0) as u64).size() as i64
}

/// Threshold of `multi(` or `sortedmulti(` right behind `prefix`.
fn threshold(text: &str, prefix: &str) -> Option<i64> {
    let rest = text.strip_prefix(prefix)?;
    let rest = rest.strip_prefix("multi(").or_else(|| rest.strip_prefix("sortedmulti("))?;
    rest.split(',').next()?.parse().ok()
}

/// Weight of one signed input, without the discount for transactions that have no witness at all.
///
/// `max_sig`: somebody else signs, so signatures may be one byte longer. `segwit_tx`: the transaction has at
/// least one witness.
pub fn input_weight(solution: &Descriptor<DefiniteDescriptorKey>, max_sig: bool, segwit_tx: bool) -> Option<i64> {
    let sig = 1 + if max_sig { MAX_SIGNATURE } else { LOW_R_SIGNATURE };
    let text = solution.to_string();
    let script_len = || solution.explicit_script().ok().map(|script| script.len() as i64);
    let mut key_len = 33;
    solution.for_each_key(|key| {
        key_len = if key.to_public_key().compressed { 33 } else { 65 };
        true
    });
    // Weight of what satisfies it, items on the witness stack, and whether it has a witness.
    let (satisfaction, items, segwit) = match solution.desc_type() {
        DescriptorType::Bare if text.starts_with("pk(") => (4 * sig, 1, false),
        DescriptorType::Bare => (4 * (1 + sig * threshold(&text, "")?), 0, false),
        DescriptorType::Pkh => (4 * (sig + 1 + key_len), 0, false),
        DescriptorType::Wpkh => (sig + 1 + 33, 2, true),
        DescriptorType::ShWpkh => (4 * 23 + sig + 1 + 33, 3, true),
        DescriptorType::Tr if !text.contains(',') => (1 + 65, 1, true),
        DescriptorType::Tr => (1 + 65, 1, true),
        DescriptorType::Wsh | DescriptorType::WshSortedMulti | DescriptorType::ShWsh | DescriptorType::ShWshSortedMulti => {
            let nested = text.starts_with("sh(");
            match threshold(&text, if nested { "sh(wsh(" } else { "wsh(" }) {
                Some(k) => {
                    let script = script_len()?;
                    let outer = if nested { 4 * 35 } else { 0 };
                    (outer + compact_size(script) + script + 1 + sig * k, 2 + k + i64::from(nested), true)
                }
                None => return generic(solution),
            }
        }
        DescriptorType::Sh | DescriptorType::ShSortedMulti => match threshold(&text, "sh(") {
            Some(k) => {
                let script = script_len()?;
                let push = if script < 76 {
                    1
                } else if script < 256 {
                    2
                } else {
                    3
                };
                (4 * (push + script + 1 + sig * k), 0, false)
            }
            None => return generic(solution),
        },
    };
    let script_sig_len = if segwit { 1 } else { compact_size(satisfaction / 4) };
    let stack_len = if segwit { compact_size(items) } else { i64::from(segwit_tx) };
    Some((32 + 4 + 4 + script_sig_len) * 4 + stack_len + satisfaction)
}

fn generic(solution: &Descriptor<DefiniteDescriptorKey>) -> Option<i64> {
    let weight = solution.max_weight_to_satisfy().ok()?.to_wu() as i64;
    Some(41 * 4 + 1 + weight)
}

/// Virtual bytes of one signed input.
pub fn input_bytes(solution: &Descriptor<DefiniteDescriptorKey>, max_sig: bool) -> Option<i64> {
    input_weight(solution, max_sig, true).map(|weight| (weight + 3) / 4)
}

/// Whether spending it needs a witness.
pub fn is_segwit(solution: &Descriptor<DefiniteDescriptorKey>) -> bool {
    matches!(
        solution.desc_type(),
        DescriptorType::Wpkh
            | DescriptorType::ShWpkh
            | DescriptorType::Wsh
            | DescriptorType::WshSortedMulti
            | DescriptorType::ShWsh
            | DescriptorType::ShWshSortedMulti
            | DescriptorType::Tr
    )
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
    use std::str::FromStr;

    const KEY: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

    fn bytes(text: &str) -> i64 {
        input_bytes(&Descriptor::from_str(&text.replace('K', KEY)).unwrap(), false).unwrap()
    }

    #[test]
    fn input_sizes_are_those_of_core() {
        assert_eq!(bytes("wpkh(K)"), 68);
        assert_eq!(bytes("sh(wpkh(K))"), 91);
        assert_eq!(bytes("pkh(K)"), 148);
        let x_only = &KEY[2..];
        assert_eq!(input_bytes(&Descriptor::from_str(&format!("tr({x_only})")).unwrap(), false), Some(58));
    }

    #[test]
    fn dust_is_cheaper_for_witness_programs() {
        let wpkh = Descriptor::<DefiniteDescriptorKey>::from_str(&format!("wpkh({KEY})")).unwrap().script_pubkey();
        let pkh = Descriptor::<DefiniteDescriptorKey>::from_str(&format!("pkh({KEY})")).unwrap().script_pubkey();
        assert_eq!(dust_threshold(&wpkh, 3000), 294);
        assert_eq!(dust_threshold(&pkh, 3000), 546);
    }
}
