//! Checks of a whole block that need no coins (Core: `CheckBlock`, `ContextualCheckBlock`).

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Block, TxMerkleNode};

use crate::params::Buried;
use crate::{
    HeaderView, MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT, Params, PreparedBlock, Reject, WITNESS_SCALE_FACTOR, header, merkle,
    sigops, tx,
};

/// Smallest script of a witness commitment.
const MIN_COMMITMENT: usize = 38;
const COMMITMENT_START: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
/// Header and the longest count of transactions that fits before it matters.
const HEADER_SIZE: usize = 80;

/// Which of the checks of [`check_block`] to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// The hash must meet the target.
    pub proof_of_work: bool,
    /// The transactions must hash to the header's root.
    pub merkle_root: bool,
}

impl Checks {
    /// Everything.
    pub const ALL: Checks = Checks { proof_of_work: true, merkle_root: true };
}

/// Checks that do not depend on the chain. Signet's block signature is checked by the caller, who can run scripts.
pub fn check_block(prepared: &PreparedBlock, params: &Params, checks: Checks) -> Result<(), Reject> {
    let block = prepared.block();
    if checks.proof_of_work {
        header::check_proof_of_work(&block.header, params)?;
    }
    if checks.merkle_root {
        check_merkle_root(prepared)?;
    }
    let too_many = block.txdata.len() * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT;
    if block.txdata.is_empty() || too_many || base_size(block) * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT {
        return Err(Reject::consensus("bad-blk-length", "size limits failed"));
    }
    if !block.txdata[0].is_coinbase() {
        return Err(Reject::consensus("bad-cb-missing", "first tx is not coinbase"));
    }
    if block.txdata[1..].iter().any(|tx| tx.is_coinbase()) {
        return Err(Reject::consensus("bad-cb-multiple", "more than one coinbase"));
    }
    for (transaction, txid) in block.txdata.iter().zip(prepared.txids()) {
        tx::check_transaction(transaction).map_err(|reject| Reject {
            debug: format!("Transaction check failed (tx hash {txid}) {}", reject.debug),
            ..reject
        })?;
    }
    let count: usize = block.txdata.iter().map(sigops::legacy_count).sum();
    if count * WITNESS_SCALE_FACTOR > MAX_BLOCK_SIGOPS_COST {
        return Err(Reject::consensus("bad-blk-sigops", "out-of-bounds SigOpCount"));
    }
    Ok(())
}

fn check_merkle_root(prepared: &PreparedBlock) -> Result<(), Reject> {
    let leaves = prepared.txids().iter().map(|txid| txid.to_raw_hash()).collect();
    let (root, mutated) = merkle::root(leaves);
    if prepared.block().header.merkle_root != TxMerkleNode::from_raw_hash(root) {
        return Err(Reject::mutated("bad-txnmrklroot", "hashMerkleRoot mismatch"));
    }
    if mutated {
        return Err(Reject::mutated("bad-txns-duplicate", "duplicate transaction"));
    }
    Ok(())
}

/// Whether transactions or witnesses of a block were changed on its way, so that they say nothing about the block with this
/// hash (Core: `IsBlockMutated`). `expect_commitment`: segwit is active.
///
/// # Errors
/// What gives it away.
pub fn check_not_mutated(prepared: &PreparedBlock, expect_commitment: bool) -> Result<(), Reject> {
    /// A transaction of this size can pass for two nodes of the tree.
    const AMBIGUOUS: usize = 64;
    check_merkle_root(prepared)?;
    let block = prepared.block();
    if !block.txdata.first().is_some_and(|tx| tx.is_coinbase()) {
        if block.txdata.iter().any(|tx| tx.base_size() == AMBIGUOUS) {
            return Err(Reject::mutated("bad-txns-ambiguous", "transaction of 64 bytes in a block without coinbase"));
        }
        return Ok(());
    }
    check_witness(prepared, expect_commitment)
}

/// Size without witnesses, in bytes.
pub fn base_size(block: &Block) -> usize {
    let count = bitcoin::VarInt::from(block.txdata.len()).size();
    HEADER_SIZE + count + block.txdata.iter().map(|tx| tx.base_size()).sum::<usize>()
}

/// Checks that depend on the chain of headers below the block. `chain` ends in the block's parent.
pub fn check_contextual(prepared: &PreparedBlock, chain: &impl HeaderView, params: &Params) -> Result<(), Reject> {
    let block = prepared.block();
    let height = chain.height() + 1;
    let csv = params.is_active_at(Buried::Csv, height) && chain.height() >= 0;
    let cutoff = if csv { chain.median_time_past(chain.height()) } else { i64::from(block.header.time) };
    if !block.txdata.iter().all(|transaction| tx::is_final(transaction, height, cutoff)) {
        return Err(Reject::consensus("bad-txns-nonfinal", "non-final transaction"));
    }
    if params.is_active_at(Buried::HeightInCoinbase, height) {
        let coinbase = block.txdata.first().and_then(|tx| tx.input.first());
        let expected = height_push(height);
        if !coinbase.is_some_and(|input| input.script_sig.as_bytes().starts_with(&expected)) {
            return Err(Reject::consensus("bad-cb-height", "block height mismatch in coinbase"));
        }
    }
    check_witness(prepared, params.is_active_at(Buried::Segwit, height))?;
    if block.weight().to_wu() > MAX_BLOCK_WEIGHT as u64 {
        return Err(Reject::consensus("bad-blk-weight", "ContextualCheckBlock : weight limit failed"));
    }
    Ok(())
}

/// Script bytes that push `height` as `CScript << int` does.
pub fn height_push(height: i32) -> Vec<u8> {
    if height == 0 {
        return vec![0];
    }
    if (1..=16).contains(&height) {
        return vec![0x50 + height as u8]; // OP_1..OP_16
    }
    let mut number = Vec::with_capacity(5);
    let mut rest = height.unsigned_abs();
    while rest != 0 {
        number.push((rest & 0xff) as u8); // low byte
        rest >>= 8;
    }
    if number.last().is_some_and(|top| top & 0x80 != 0) {
        number.push(0);
    }
    number.insert(0, number.len() as u8); // at most five
    number
}

/// Index of the coinbase output that commits to the witnesses: the last that looks like one (BIP141).
pub fn witness_commitment_index(block: &Block) -> Option<usize> {
    let coinbase = block.txdata.first()?;
    coinbase.output.iter().rposition(|output| {
        let script = output.script_pubkey.as_bytes();
        script.len() >= MIN_COMMITMENT && script.starts_with(&COMMITMENT_START)
    })
}

/// Checks the witness commitment, or the absence of witnesses where there is none (Core: `CheckWitnessMalleation`).
pub fn check_witness(prepared: &PreparedBlock, expect_commitment: bool) -> Result<(), Reject> {
    let block = prepared.block();
    if expect_commitment && let Some(index) = witness_commitment_index(block) {
        let witness = &block.txdata[0].input[0].witness;
        let reserved = witness.nth(0).filter(|value| witness.len() == 1 && value.len() == 32);
        let Some(reserved) = reserved else {
            return Err(Reject::mutated(
                "bad-witness-nonce-size",
                "CheckWitnessMalleation : invalid witness reserved value size",
            ));
        };
        let mut engine = sha256d::Hash::engine();
        let leaves = prepared.wtxids().iter().map(|wtxid| wtxid.to_raw_hash()).collect();
        engine.input(merkle::root(leaves).0.as_byte_array());
        engine.input(reserved);
        let expected = sha256d::Hash::from_engine(engine);
        let script = block.txdata[0].output[index].script_pubkey.as_bytes();
        if &script[6..38] != expected.as_byte_array() {
            return Err(Reject::mutated(
                "bad-witness-merkle-match",
                "CheckWitnessMalleation : witness merkle commitment mismatch",
            ));
        }
        return Ok(());
    }
    if block.txdata.iter().any(has_witness) {
        return Err(Reject::mutated("unexpected-witness", "CheckWitnessMalleation : unexpected witness data found"));
    }
    Ok(())
}

fn has_witness(tx: &bitcoin::Transaction) -> bool {
    tx.input.iter().any(|input| !input.witness.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::networks;

    #[test]
    fn heights_are_pushed_like_core_does() {
        assert_eq!(height_push(1), [0x51]);
        assert_eq!(height_push(16), [0x60]);
        assert_eq!(height_push(17), [1, 17]);
        assert_eq!(height_push(128), [2, 128, 0]);
        assert_eq!(height_push(500_000), [3, 0x20, 0xa1, 0x07]);
    }

    #[test]
    fn genesis_passes_and_a_changed_root_does_not() {
        for params in [networks::main(), networks::testnet4(), networks::regtest()] {
            let good = PreparedBlock::new(params.genesis.clone());
            assert_eq!(check_block(&good, &params, Checks::ALL), Ok(()));
            let mut block = params.genesis.clone();
            block.txdata[0].lock_time = bitcoin::absolute::LockTime::from_consensus(1);
            let bad = check_block(&PreparedBlock::new(block), &params, Checks::ALL).unwrap_err();
            assert_eq!(bad.reason, "bad-txnmrklroot");
        }
    }

    #[test]
    fn a_repeated_coinbase_is_noticed() {
        let params = networks::regtest();
        let mut block = params.genesis.clone();
        block.txdata.push(block.txdata[0].clone());
        let checks = Checks { proof_of_work: false, merkle_root: false };
        assert_eq!(check_block(&PreparedBlock::new(block), &params, checks).unwrap_err().reason, "bad-cb-multiple");
    }
}
