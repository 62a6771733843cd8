//! Measures serialized transactions and blocks without building them.
//!
//! Net passes blocks and transactions on as bytes. It only needs to know where they end (Core tolerates trailing
//! bytes in a message, chain does not) and how they are called.

use bitcoin::hashes::{Hash, HashEngine, sha256d};

use crate::reader::{DecodeError, Reader};

/// Names of a transaction, internal order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxNames {
    /// Hash without witness.
    pub txid: [u8; 32],
    /// Hash with witness.
    pub wtxid: [u8; 32],
    /// Serialized length in bytes.
    pub length: usize,
}

/// Least bytes of a transaction that decodes: version, no inputs, no outputs, lock time.
pub const LEAST_TRANSACTION: usize = 10;

/// What relay has to know of a transaction without judging it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxFacts {
    /// Its names and its length.
    pub names: TxNames,
    /// Weight units.
    pub weight: u64,
    /// It has a witness.
    pub has_witness: bool,
    /// Outputs that it spends: txid and number.
    pub inputs: Vec<([u8; 32], u32)>,
    /// Number of its outputs.
    pub outputs: u32,
}

/// A transaction inside a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Where it starts, bytes from the front of the block.
    pub start: usize,
    /// Its names and its length.
    pub names: TxNames,
}

struct Extent {
    /// Start and end of inputs and outputs with their counts.
    core: (usize, usize),
    end: usize,
    has_witness: bool,
}

fn inputs(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let count = reader.count(41)?;
    for _ in 0..count {
        reader.take(36)?;
        reader.bytes()?;
        reader.take(4)?;
    }
    Ok(count)
}

fn outputs(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..reader.count(9)? {
        reader.take(8)?;
        reader.bytes()?;
    }
    Ok(())
}

fn extent(reader: &mut Reader<'_>) -> Result<Extent, DecodeError> {
    reader.take(4)?;
    let mut core_start = reader.position();
    let mut count = inputs(reader)?;
    let mut flags = 0;
    if count == 0 {
        // No input: either the segwit marker or an empty transaction.
        flags = reader.u8()?;
        if flags != 0 {
            core_start = reader.position();
            count = inputs(reader)?;
            outputs(reader)?;
        }
    } else {
        outputs(reader)?;
    }
    let core_end = reader.position();
    let has_witness = flags & 1 != 0;
    if has_witness {
        let mut any = false;
        for _ in 0..count {
            let items = reader.count(1)?;
            any |= items != 0;
            for _ in 0..items {
                reader.bytes()?;
            }
        }
        if !any {
            return Err(DecodeError::SuperfluousWitness);
        }
    }
    if flags & !1 != 0 {
        return Err(DecodeError::UnknownTransactionData);
    }
    reader.take(4)?;
    Ok(Extent { core: (core_start, core_end), end: reader.position(), has_witness })
}

/// Names and length of the transaction at the front of `bytes`.
///
/// # Errors
/// [`DecodeError`], as Core's decoder would fail.
pub fn transaction(bytes: &[u8]) -> Result<TxNames, DecodeError> {
    let extent = extent(&mut Reader::new(bytes))?;
    let wtxid = sha256d::Hash::hash(&bytes[..extent.end]).to_byte_array();
    let txid = if extent.has_witness { hash_of(&stripped(bytes, &extent)) } else { wtxid };
    Ok(TxNames { txid, wtxid, length: extent.end })
}

/// What relay has to know of the transaction at the front of `bytes`.
///
/// # Errors
/// [`DecodeError`], as Core's decoder would fail.
pub fn facts(bytes: &[u8]) -> Result<TxFacts, DecodeError> {
    let extent = extent(&mut Reader::new(bytes))?;
    let base = extent.core.1 - extent.core.0 + 8;
    let mut reader = Reader::new(&bytes[extent.core.0..extent.core.1]);
    let count = reader.count(41)?;
    let mut inputs = Vec::with_capacity(count);
    for _ in 0..count {
        inputs.push((reader.array()?, reader.u32()?));
        reader.bytes()?;
        reader.take(4)?;
    }
    let outputs = u32::try_from(reader.count(9)?).unwrap_or(u32::MAX);
    let length = u64::try_from(base * 3 + extent.end).unwrap_or(u64::MAX);
    Ok(TxFacts { names: transaction(bytes)?, weight: length, has_witness: extent.has_witness, inputs, outputs })
}

fn hash_of(bytes: &[u8]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    engine.input(bytes);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

fn stripped(bytes: &[u8], extent: &Extent) -> Vec<u8> {
    let mut out = Vec::with_capacity(extent.core.1 - extent.core.0 + 8);
    out.extend_from_slice(&bytes[..4]);
    out.extend_from_slice(&bytes[extent.core.0..extent.core.1]);
    out.extend_from_slice(&bytes[extent.end - 4..extent.end]);
    out
}

/// Moves a reader behind the transaction that it stands before.
///
/// # Errors
/// [`DecodeError`], as Core's decoder would fail.
pub fn skip_transaction(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    extent(reader).map(|_| ())
}

/// Header and transactions of the block at the front of `bytes`.
///
/// # Errors
/// [`DecodeError`], as Core's decoder would fail.
pub fn block_transactions(bytes: &[u8]) -> Result<([u8; 80], Vec<Placed>), DecodeError> {
    let mut reader = Reader::new(bytes);
    let header = reader.array()?;
    let count = reader.count(LEAST_TRANSACTION)?;
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let start = reader.position();
        let names = transaction(&bytes[start..])?;
        reader.take(names.length)?;
        found.push(Placed { start, names });
    }
    Ok((header, found))
}

/// Length of the block at the front of `bytes`.
///
/// # Errors
/// [`DecodeError`], as Core's decoder would fail.
pub fn block_length(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.take(80)?;
    for _ in 0..reader.count(LEAST_TRANSACTION)? {
        extent(&mut reader)?;
    }
    Ok(reader.position())
}

/// The transaction without its witness.
///
/// # Errors
/// [`DecodeError`].
pub fn strip_transaction(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let extent = extent(&mut Reader::new(bytes))?;
    Ok(if extent.has_witness { stripped(bytes, &extent) } else { bytes[..extent.end].to_vec() })
}

/// The block without witnesses.
///
/// # Errors
/// [`DecodeError`].
pub fn strip_block(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.take(80)?;
    let count = reader.count(LEAST_TRANSACTION)?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..reader.position()]);
    for _ in 0..count {
        let start = reader.position();
        let mut one = Reader::new(&bytes[start..]);
        let extent = extent(&mut one)?;
        if extent.has_witness {
            out.extend_from_slice(&stripped(&bytes[start..], &extent));
        } else {
            out.extend_from_slice(&bytes[start..start + extent.end]);
        }
        reader.take(extent.end)?;
    }
    Ok(out)
}

/// Hash of the 80-byte header at the front of `bytes`, internal order.
#[must_use]
pub fn header_hash(header: &[u8; 80]) -> [u8; 32] {
    hash_of(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::consensus::{deserialize, serialize};
    use proptest::prelude::*;

    fn sample() -> bitcoin::Transaction {
        // Segwit spend from BIP 143's native P2WPKH example.
        let hex = "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000";
        deserialize(&bitcoin::hex::FromHex::from_hex(hex).map(|bytes: Vec<u8>| bytes).unwrap()).unwrap()
    }

    #[test]
    fn names_agree_with_the_bitcoin_crate() {
        let tx = sample();
        let mut bytes = serialize(&tx);
        let length = bytes.len();
        bytes.push(0);
        let names = transaction(&bytes).unwrap();
        assert_eq!(names.txid, tx.compute_txid().to_byte_array());
        assert_eq!(names.wtxid, tx.compute_wtxid().to_byte_array());
        assert_eq!(names.length, length);
        let plain: bitcoin::Transaction = deserialize(&strip_transaction(&bytes).unwrap()).unwrap();
        assert_eq!(plain.compute_wtxid().to_byte_array(), names.txid);
    }

    #[test]
    fn facts_agree_with_the_bitcoin_crate() {
        let tx = sample();
        let facts = facts(&serialize(&tx)).unwrap();
        assert_eq!(facts.weight, tx.weight().to_wu());
        assert_eq!((facts.has_witness, facts.outputs), (true, 2));
        let inputs: Vec<_> =
            tx.input.iter().map(|input| (input.previous_output.txid.to_byte_array(), input.previous_output.vout)).collect();
        assert_eq!(facts.inputs, inputs);
    }

    #[test]
    fn blocks_are_measured_and_stripped() {
        let block = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest);
        let mut block = block;
        block.txdata.push(sample());
        let mut bytes = serialize(&block);
        let length = bytes.len();
        bytes.extend([1, 2, 3]);
        assert_eq!(block_length(&bytes), Ok(length));
        let plain: bitcoin::Block = deserialize(&strip_block(&bytes).unwrap()).unwrap();
        assert_eq!(plain.txdata[1].compute_txid(), block.txdata[1].compute_txid());
        assert!(plain.txdata[1].input.iter().all(|input| input.witness.is_empty()));
    }

    proptest! {
        #[test]
        fn any_bytes_agree_with_the_bitcoin_crate(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..300) {
            prop_assert_eq!(transaction(&bytes).is_ok(), bitcoin::consensus::deserialize_partial::<bitcoin::Transaction>(&bytes).is_ok());
            let tx = serialize(&sample());
            let short = &tx[..cut.min(tx.len())];
            prop_assert_eq!(transaction(short).is_ok(), short.len() == tx.len());
        }
    }
}
