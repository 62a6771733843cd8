//! Counting of signature operations (Core: `CScript::GetSigOpCount`, `GetTransactionSigOpCost`).

use bitcoin::{Script, Transaction, Witness};

use crate::WITNESS_SCALE_FACTOR;

const OP_PUSHDATA1: u8 = 0x4c;
const OP_PUSHDATA2: u8 = 0x4d;
const OP_PUSHDATA4: u8 = 0x4e;
const OP_1: u8 = 0x51;
const OP_16: u8 = 0x60;
const OP_CHECKSIG: u8 = 0xac;
const OP_CHECKSIGVERIFY: u8 = 0xad;
const OP_CHECKMULTISIG: u8 = 0xae;
const OP_CHECKMULTISIGVERIFY: u8 = 0xaf;
const MAX_PUBKEYS_PER_MULTISIG: usize = 20;

/// Opcodes of a script with their pushed data; ends at the first push that runs past the end, after yielding `None`.
pub(crate) struct Ops<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Ops<'a> {
    type Item = Option<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&opcode, rest) = self.rest.split_first()?;
        let parsed = match opcode {
            0..OP_PUSHDATA1 => Some((usize::from(opcode), rest)),
            OP_PUSHDATA1 => read_length::<1>(rest),
            OP_PUSHDATA2 => read_length::<2>(rest),
            OP_PUSHDATA4 => read_length::<4>(rest),
            _ => Some((0, rest)),
        };
        let split = parsed.and_then(|(length, rest)| rest.split_at_checked(length));
        match split {
            Some((data, rest)) => {
                self.rest = rest;
                Some(Some((opcode, data)))
            }
            None => {
                self.rest = &[];
                Some(None)
            }
        }
    }
}

fn read_length<const N: usize>(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_at_checked(N)?;
    let value = length.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
    Some((value, rest))
}

pub(crate) fn ops(script: &[u8]) -> Ops<'_> {
    Ops { rest: script }
}

/// Signature operations in `script`. With `accurate`, a multisig counts its keys where the number stands right before it;
/// otherwise it counts 20.
pub fn count(script: &[u8], accurate: bool) -> usize {
    let mut total = 0;
    let mut last = 0xff;
    for op in ops(script) {
        let Some((opcode, _)) = op else { break };
        match opcode {
            OP_CHECKSIG | OP_CHECKSIGVERIFY => total += 1,
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => {
                let exact = accurate && (OP_1..=OP_16).contains(&last);
                total += if exact { usize::from(last - OP_1) + 1 } else { MAX_PUBKEYS_PER_MULTISIG };
            }
            _ => {}
        }
        last = opcode;
    }
    total
}

/// Signature operations in all scripts of a transaction, counted the old way.
pub fn legacy_count(tx: &Transaction) -> usize {
    let inputs: usize = tx.input.iter().map(|input| count(input.script_sig.as_bytes(), false)).sum();
    let outputs: usize = tx.output.iter().map(|output| count(output.script_pubkey.as_bytes(), false)).sum();
    inputs + outputs
}

/// The data that a push-only script pushes last; `None` when it is not push-only or malformed.
fn last_push(script: &[u8]) -> Option<&[u8]> {
    let mut last: &[u8] = &[];
    for op in ops(script) {
        let (opcode, data) = op?;
        if opcode > OP_16 {
            return None;
        }
        last = data;
    }
    Some(last)
}

/// Signature operations that a P2SH input adds.
fn p2sh_count(script_sig: &[u8]) -> usize {
    last_push(script_sig).map_or(0, |script| count(script, true))
}

/// Signature operations in the witness of an input that spends `script_pubkey`.
pub fn witness_count(script_sig: &[u8], script_pubkey: &Script, witness: &Witness) -> usize {
    if script_pubkey.is_witness_program() {
        return program_count(script_pubkey, witness);
    }
    if script_pubkey.is_p2sh() {
        let inner = last_push(script_sig).map(Script::from_bytes).filter(|script| script.is_witness_program());
        return inner.map_or(0, |script| program_count(script, witness));
    }
    0
}

fn program_count(program: &Script, witness: &Witness) -> usize {
    let bytes = program.as_bytes();
    match (bytes[0], bytes.len()) {
        (0, 22) => 1,
        (0, 34) => witness.last().map_or(0, |script| count(script, true)),
        _ => 0,
    }
}

/// Cost of all signature operations of a transaction. `spent` gives the script that each input spends, in order; it is not read
/// for a coinbase. Without `p2sh_and_witness`, which one historical block does not follow, only those count that stand in the
/// scripts themselves.
pub fn transaction_cost<'a>(tx: &Transaction, spent: impl IntoIterator<Item = &'a Script>, p2sh_and_witness: bool) -> usize {
    let mut cost = legacy_count(tx) * WITNESS_SCALE_FACTOR;
    if tx.is_coinbase() || !p2sh_and_witness {
        return cost;
    }
    for (input, script_pubkey) in tx.input.iter().zip(spent) {
        if script_pubkey.is_p2sh() {
            cost += p2sh_count(input.script_sig.as_bytes()) * WITNESS_SCALE_FACTOR;
        }
        cost += witness_count(input.script_sig.as_bytes(), script_pubkey, &input.witness);
    }
    cost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multisig_counts_keys_only_right_after_a_number() {
        assert_eq!(count(&[0x52, OP_CHECKMULTISIG], true), 2);
        assert_eq!(count(&[0x52, OP_CHECKMULTISIG], false), 20);
        assert_eq!(count(&[0x52, OP_CHECKSIG, OP_CHECKMULTISIG], true), 21);
    }

    #[test]
    fn counting_stops_at_a_push_past_the_end() {
        assert_eq!(count(&[OP_CHECKSIG, 0x05, OP_CHECKSIG], true), 1);
        assert_eq!(count(&[OP_CHECKSIG, OP_PUSHDATA4, 0xff, 0xff, 0xff, 0xff, OP_CHECKSIG], true), 1);
    }

    #[test]
    fn a_block_without_p2sh_rules_counts_no_pushed_script() {
        use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxIn, TxOut};
        let spent = ScriptBuf::new_p2sh(&ScriptBuf::from_bytes(vec![OP_CHECKSIG]).script_hash());
        let tx = Transaction {
            version: bitcoin::transaction::Version(1),
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint { vout: 0, ..OutPoint::null() },
                script_sig: ScriptBuf::from_bytes(vec![0x01, OP_CHECKSIG]),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(vec![OP_CHECKSIG]) }],
        };
        assert_eq!(transaction_cost(&tx, [spent.as_script()], true), 8);
        assert_eq!(transaction_cost(&tx, [spent.as_script()], false), 4);
    }

    #[test]
    fn p2sh_counts_the_pushed_script() {
        assert_eq!(p2sh_count(&[0x01, OP_CHECKSIG]), 1);
        assert_eq!(p2sh_count(&[0x01, OP_CHECKSIG, 0x61]), 0, "not push-only");
    }
}
