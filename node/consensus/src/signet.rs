//! Signet block signatures (BIP325): builds the two transactions whose script must verify.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::Encodable;
use bitcoin::consensus::encode::deserialize_partial;
use bitcoin::hashes::Hash;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction::Version;
use bitcoin::{Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::sigops::ops;
use crate::{block, merkle};

const HEADER: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];

/// The pair of transactions: input 0 of `to_sign` spends output 0 of `to_spend`, which holds the challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignetTransactions {
    /// Holds the challenge.
    pub to_spend: Transaction,
    /// Carries the block's solution.
    pub to_sign: Transaction,
}

/// Builds the transactions; `None` when the block has no witness commitment or its solution is malformed.
pub fn transactions(block: &Block, challenge: &[u8]) -> Option<SignetTransactions> {
    let index = block::witness_commitment_index(block)?;
    let mut coinbase = block.txdata.first()?.clone();
    let (cleared, solution) = split_solution(&coinbase.output[index].script_pubkey)?;
    coinbase.output[index].script_pubkey = cleared;
    let (script_sig, witness) = match solution {
        Some(bytes) => parse_solution(&bytes)?,
        None => (ScriptBuf::new(), Witness::new()),
    };
    let leaves = std::iter::once(coinbase.compute_txid()).chain(block.txdata[1..].iter().map(|tx| tx.compute_txid()));
    let (root, _) = merkle::root(leaves.map(|txid| txid.to_raw_hash()).collect());
    let mut data = Vec::with_capacity(72);
    data.extend_from_slice(&block.header.version.to_consensus().to_le_bytes());
    data.extend_from_slice(block.header.prev_blockhash.as_byte_array());
    data.extend_from_slice(root.as_byte_array());
    data.extend_from_slice(&block.header.time.to_le_bytes());
    let mut spend_sig = vec![0x00, data.len() as u8]; // OP_0 and a push of 72 bytes
    spend_sig.extend_from_slice(&data);
    let to_spend =
        single(OutPoint::null(), ScriptBuf::from_bytes(spend_sig), Witness::new(), ScriptBuf::from_bytes(challenge.to_vec()));
    let previous = OutPoint { txid: to_spend.compute_txid(), vout: 0 };
    let to_sign = single(previous, script_sig, witness, ScriptBuf::from_bytes(vec![0x6a]));
    Some(SignetTransactions { to_spend, to_sign })
}

fn single(previous_output: OutPoint, script_sig: ScriptBuf, witness: Witness, script_pubkey: ScriptBuf) -> Transaction {
    Transaction {
        version: Version(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output, script_sig, sequence: Sequence::ZERO, witness }],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey }],
    }
}

/// Takes the solution out of the commitment script; the header of the push stays in it. Without a solution the script stays
/// as it is.
fn split_solution(script: &ScriptBuf) -> Option<(ScriptBuf, Option<Vec<u8>>)> {
    let mut cleared = Vec::with_capacity(script.len());
    let mut solution = None;
    for op in ops(script.as_bytes()) {
        // Core stops at a malformed push and keeps what it has parsed.
        let Some((opcode, data)) = op else { break };
        if data.is_empty() {
            cleared.push(opcode); // also of an empty push with a length of its own
            continue;
        }
        let is_solution = solution.is_none() && data.len() > HEADER.len() && data.starts_with(&HEADER);
        let kept = if is_solution {
            solution = Some(data[HEADER.len()..].to_vec());
            &data[..HEADER.len()]
        } else {
            data
        };
        let mut push = ScriptBuf::new();
        push.push_slice(PushBytesBuf::try_from(kept.to_vec()).ok()?);
        cleared.extend_from_slice(push.as_bytes());
    }
    let kept = if solution.is_some() { ScriptBuf::from_bytes(cleared) } else { script.clone() };
    Some((kept, solution))
}

fn parse_solution(bytes: &[u8]) -> Option<(ScriptBuf, Witness)> {
    let (script_sig, used) = deserialize_partial::<ScriptBuf>(bytes).ok()?;
    let rest = bytes.get(used..)?;
    let (witness, used) = deserialize_partial::<Witness>(rest).ok()?;
    let canonical = witness.consensus_encode(&mut bitcoin::io::sink()).is_ok();
    (used == rest.len() && canonical).then_some((script_sig, witness))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn solution_is_cut_out_and_the_rest_kept_as_core_writes_it() {
        // OP_RETURN, an empty push with a length byte, a solution of two bytes, OP_TRUE
        let script = ScriptBuf::from_hex("6a4c0006ecc7daa2aabb51").unwrap();
        let (cleared, solution) = split_solution(&script).unwrap();
        assert_eq!(solution.unwrap(), [0xaa, 0xbb]);
        assert_eq!(cleared.to_hex_string(), "6a4c04ecc7daa251");
        let plain = ScriptBuf::from_hex("6a4c0004ecc7daa2").unwrap();
        assert_eq!(split_solution(&plain).unwrap(), (plain, None), "a header alone is no solution");
    }
}
