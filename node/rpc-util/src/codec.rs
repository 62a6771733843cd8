//! Transactions, blocks and headers as bytes and hex.
//!
//! `bitcoin`'s own codec refuses some transactions that RPC users may hold (no inputs in the old format), so both formats
//! are read here, and a text that fits both is told apart as Core does (src/core_io.cpp).

use crate::error::{RpcError, RpcResult};
use crate::opcode::{MAX_SCRIPT_SIZE, has_valid_ops};
use bitcoin::consensus::encode::{Decodable, Encodable, VarInt};
use bitcoin::{Block, BlockHash, OutPoint, Transaction, TxIn, TxOut, Txid, Witness, absolute, block, transaction};
use bulkhead_planted::{Fault, planted};
use serde_json::Value;

/// Bytes from hex of even length; empty text is not hex.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() { None } else { hex::decode(text).ok() }
}

/// 32 bytes shown in reverse order, as hashes are.
///
/// # Errors
/// `-3` for a value that is no string, `-8` naming the parameter for bad length or digits.
pub fn parse_hash_bytes(value: &Value, name: &str) -> RpcResult<[u8; 32]> {
    let text = crate::params::as_str(value)?;
    if text.len() != 64 {
        return Err(RpcError::parameter(format!("{name} must be of length 64 (not {}, for '{text}')", text.len())));
    }
    let bytes =
        hex::decode(text).map_err(|_| RpcError::parameter(format!("{name} must be hexadecimal string (not '{text}')")))?;
    let mut hash: [u8; 32] = bytes.try_into().expect("64 digits are 32 bytes");
    hash.reverse();
    Ok(hash)
}

/// A block hash parameter.
pub fn parse_block_hash(value: &Value, name: &str) -> RpcResult<BlockHash> {
    use bitcoin::hashes::Hash;
    parse_hash_bytes(value, name).map(BlockHash::from_byte_array)
}

/// A transaction id parameter.
pub fn parse_txid(value: &Value, name: &str) -> RpcResult<Txid> {
    use bitcoin::hashes::Hash;
    parse_hash_bytes(value, name).map(Txid::from_byte_array)
}

/// Hex bytes of a parameter.
pub fn parse_hex_value(value: &Value, name: &str) -> RpcResult<Vec<u8>> {
    let text = value.as_str().unwrap_or_default();
    parse_hex(text).ok_or_else(|| RpcError::parameter(format!("{name} must be hexadecimal string (not '{text}')")))
}

/// Version, two empty lists and lock time, bytes.
const MIN_TX_SIZE: usize = 10;

fn read<T: Decodable>(rest: &mut &[u8]) -> Option<T> {
    T::consensus_decode_from_finite_reader(rest).ok()
}

/// Reads `count` items, each at least `size` bytes: the bound holds before anything is allocated.
fn read_list<T: Decodable>(rest: &mut &[u8], size: usize) -> Option<Vec<T>> {
    let count = usize::try_from(read::<VarInt>(rest)?.0).ok()?;
    if count > rest.len() / size {
        return None;
    }
    (0..count).map(|_| read(rest)).collect()
}

/// Decodes one transaction that fills `bytes` completely.
fn decode_format(bytes: &[u8], with_witness: bool) -> Option<Transaction> {
    let rest = &mut &bytes[..];
    let tx = read_tx(rest, with_witness)?;
    rest.is_empty().then_some(tx)
}

/// Takes one transaction off the front of `rest`.
/// A witness. Unlike that of the `bitcoin` crate it may be larger than a block: validation refuses it by name.
fn read_witness(rest: &mut &[u8]) -> Option<Witness> {
    let count = usize::try_from(read::<VarInt>(rest)?.0).ok().filter(|count| *count <= rest.len())?;
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(read::<VarInt>(rest)?.0).ok()?;
        let (item, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        items.push(item);
    }
    Some(Witness::from_slice(&items))
}

fn read_tx(rest: &mut &[u8], with_witness: bool) -> Option<Transaction> {
    let version: i32 = read(rest)?;
    let mut input: Vec<TxIn> = read_list(rest, 41)?;
    let mut output: Vec<TxOut> = Vec::new();
    let mut flags = 0u8;
    if with_witness && input.is_empty() {
        flags = read(rest)?;
        if flags != 0 {
            input = read_list(rest, 41)?;
            output = read_list(rest, 9)?;
        }
    } else {
        output = read_list(rest, 9)?;
    }
    if flags & 1 != 0 {
        flags ^= 1;
        for txin in &mut input {
            txin.witness = read_witness(rest)?;
        }
        if input.iter().all(|txin| txin.witness.is_empty()) && !planted(Fault::SuperfluousWitness) {
            return None;
        }
    }
    let lock_time = absolute::LockTime::from_consensus(read(rest)?);
    (flags == 0).then_some(Transaction { version: transaction::Version(version), lock_time, input, output })
}

/// Whether the only input spends nothing.
pub fn is_coinbase(tx: &Transaction) -> bool {
    tx.input.len() == 1 && tx.input[0].previous_output == OutPoint::null()
}

fn scripts_are_sane(tx: &Transaction) -> bool {
    let sane = |script: &bitcoin::Script| has_valid_ops(script.as_bytes()) && script.len() <= MAX_SCRIPT_SIZE;
    (is_coinbase(tx) || tx.input.iter().all(|txin| sane(&txin.script_sig)))
        && tx.output.iter().all(|txout| sane(&txout.script_pubkey))
}

/// Decodes a transaction in either format; which of two readings is meant is decided by sane scripts.
pub fn decode_tx(bytes: &[u8], try_no_witness: bool, try_witness: bool) -> Option<Transaction> {
    let extended = if try_witness { decode_format(bytes, true) } else { None };
    if let Some(tx) = &extended
        && scripts_are_sane(tx)
    {
        return extended;
    }
    let legacy = if try_no_witness { decode_format(bytes, false) } else { None };
    if let Some(tx) = &legacy
        && scripts_are_sane(tx)
    {
        return legacy;
    }
    extended.or(legacy)
}

/// [`decode_tx`] from hex.
pub fn decode_hex_tx(text: &str, try_no_witness: bool, try_witness: bool) -> Option<Transaction> {
    decode_tx(&parse_hex(text)?, try_no_witness, try_witness)
}

/// Bytes of a transaction; without inputs it has the old format, unlike in `bitcoin`.
pub fn encode_tx(tx: &Transaction, with_witness: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let infallible = "writing to a vector cannot fail";
    let segwit = with_witness && tx.input.iter().any(|txin| !txin.witness.is_empty());
    tx.version.consensus_encode(&mut out).expect(infallible);
    if segwit {
        out.extend_from_slice(&[0, 1]);
    }
    tx.input.consensus_encode(&mut out).expect(infallible);
    tx.output.consensus_encode(&mut out).expect(infallible);
    if segwit {
        for txin in &tx.input {
            txin.witness.consensus_encode(&mut out).expect(infallible);
        }
    }
    tx.lock_time.consensus_encode(&mut out).expect(infallible);
    out
}

/// Hex of a transaction with its witness.
pub fn tx_to_hex(tx: &Transaction) -> String {
    hex::encode(encode_tx(tx, true))
}

/// Size in bytes without and with witness.
pub fn tx_sizes(tx: &Transaction) -> (usize, usize) {
    (encode_tx(tx, false).len(), encode_tx(tx, true).len())
}

/// Transaction as peers and blocks hold it, filling `bytes` completely.
pub fn decode_witness_tx(bytes: &[u8]) -> Option<Transaction> {
    decode_format(bytes, true)
}

/// Takes a block off the front of `rest`. Its transactions may lack inputs, which is for validation to refuse by name.
fn read_block(rest: &mut &[u8]) -> Option<Block> {
    let header = read(rest)?;
    let count = usize::try_from(read::<VarInt>(rest)?.0).ok()?;
    if count > rest.len() / MIN_TX_SIZE {
        return None;
    }
    let txdata = (0..count).map(|_| read_tx(rest, true)).collect::<Option<_>>()?;
    Some(Block { header, txdata })
}

/// Block that fills `bytes` completely.
pub fn decode_block(bytes: &[u8]) -> Option<Block> {
    let rest = &mut &bytes[..];
    let block = read_block(rest)?;
    rest.is_empty().then_some(block)
}

/// Block from hex. Core tolerates bytes behind it.
pub fn decode_hex_block(text: &str) -> Option<Block> {
    read_block(&mut &parse_hex(text)?[..])
}

/// Block header from hex. Core tolerates bytes behind it.
pub fn decode_hex_header(text: &str) -> Option<block::Header> {
    let bytes = parse_hex(text)?;
    read(&mut &bytes[..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn transaction_without_inputs_round_trips() {
        let text = "02000000000100000000000000000000000000";
        let tx = decode_hex_tx(text, true, true).unwrap();
        assert_eq!((tx.input.len(), tx.output.len()), (0, 1));
        assert_eq!(tx_to_hex(&tx), text);
        assert!(decode_hex_tx(&text[..36], true, true).is_none());
    }

    #[test]
    fn block_with_a_transaction_without_inputs_is_read() {
        let blank = "01000000000000000000";
        let text = format!("{}01{blank}", "00".repeat(80));
        let block = decode_hex_block(&text).unwrap();
        assert!(block.txdata[0].input.is_empty() && block.txdata[0].output.is_empty());
        assert_eq!(decode_block(&hex::decode(&text).unwrap()).unwrap(), block);
        assert!(decode_block(&hex::decode(format!("{text}00")).unwrap()).is_none(), "a byte too many");
        let mut large = block.clone();
        large.txdata[0].input.push(bitcoin::TxIn::default());
        large.txdata[0].output.push(bitcoin::TxOut::NULL);
        large.txdata[0].input[0].witness = Witness::from_slice(&[vec![7; 5_000_000]]);
        let bytes = bitcoin::consensus::serialize(&large);
        assert_eq!(decode_block(&bytes).unwrap(), large);
        assert!(decode_block(&bytes[..bytes.len() - 5]).is_none());
        assert!(decode_hex_block(&format!("{}ff{blank}", "00".repeat(80))).is_none(), "a count beyond the data");
    }

    #[test]
    fn counts_beyond_the_data_are_refused() {
        assert!(decode_hex_tx("02000000feffffffff", true, true).is_none());
        assert!(decode_hex_tx("", true, true).is_none());
        assert!(decode_hex_tx("0", true, true).is_none());
    }
}
