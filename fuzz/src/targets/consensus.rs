//! The rules in Rust beside libbitcoinkernel: whatever the bytes, both must say the same.

use bitcoin::VarInt;
use bitcoin::consensus::serialize;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    BLOCK_CHECK_BASE, BLOCK_CHECK_MERKLE, BLOCK_CHECK_POW, BlockCheckResult, BlockValidationResult, ChainParams, ChainType,
};
use bulkhead_consensus::block::{self, Checks};
use bulkhead_consensus::{PreparedBlock, RejectKind, merkle, networks};
use bulkhead_rpc_util::codec::{decode_block, decode_witness_tx, encode_tx};
use bulkhead_script::{Engine, VerifyError, verify_input};

use crate::script_case::Case;

/// A spend, judged by both script engines.
pub fn script_engines(data: &[u8]) {
    let case = Case::decode(data);
    let (tx, spent, input) = case.build();
    match verify_input(&tx, &spent, input, case.rules(), Engine::Both) {
        Ok(()) | Err(VerifyError::Script { .. }) => {}
        Err(other) => panic!("{other}: {case:?}"),
    }
}

/// A transaction: both read it or both do not, and both see the same in it.
pub fn transaction_codec(data: &[u8]) {
    let ours = decode_witness_tx(data);
    // The kernel does not mind bytes behind a transaction.
    let kernels = bitcoinkernel::Transaction::new(data).ok().and_then(|tx| tx.consensus_encode().ok());
    let whole = kernels.filter(|bytes| bytes.len() == data.len());
    match (ours, whole) {
        (Some(tx), Some(bytes)) => assert_eq!(encode_tx(&tx, true), bytes),
        (None, None) => {}
        (ours, kernels) => panic!("rust reads {}, kernel {}", ours.is_some(), kernels.is_some()),
    }
}

/// The `bitcoin` crate gives transactions without inputs another form.
fn encode_block(block: &bitcoin::Block) -> Vec<u8> {
    let mut out = serialize(&block.header);
    out.extend(serialize(&VarInt(block.txdata.len() as u64)));
    block.txdata.iter().for_each(|tx| out.extend(encode_tx(tx, true)));
    out
}

thread_local!(static REGTEST: ChainParams = ChainParams::new(ChainType::Regtest));

/// A block behind a byte that chooses the checks: the same reading, the same verdict without context.
pub fn block_checks(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let ours = decode_block(bytes);
    let kernels = bitcoinkernel::Block::new(bytes).ok().and_then(|block| block.consensus_encode().ok());
    let whole = kernels.filter(|encoded| encoded.len() == bytes.len());
    assert_eq!(ours.is_some(), whole.is_some(), "rust reads {}, kernel {}", ours.is_some(), whole.is_some());
    let (Some(mut block), Some(encoded)) = (ours, whole) else { return };
    assert_eq!(encode_block(&block), encoded);
    if choice & 4 != 0 && !block.txdata.is_empty() {
        let leaves = block.txdata.iter().map(|tx| tx.compute_txid().to_raw_hash()).collect();
        block.header.merkle_root = bitcoin::TxMerkleNode::from_raw_hash(merkle::root(leaves).0);
    }
    let checks = Checks { proof_of_work: choice & 1 != 0, merkle_root: choice & 2 != 0 };
    let flags = if checks.proof_of_work { BLOCK_CHECK_POW } else { BLOCK_CHECK_BASE }
        | if checks.merkle_root { BLOCK_CHECK_MERKLE } else { BLOCK_CHECK_BASE };
    let kernel = bitcoinkernel::Block::new(&encode_block(&block)).expect("it was read before");
    let verdict = match REGTEST.with(|params| kernel.check(params, flags)) {
        BlockCheckResult::Valid => None,
        BlockCheckResult::Invalid(state) => Some(state.result()),
    };
    let own = block::check_block(&PreparedBlock::new(block), &networks::regtest(), checks).err();
    let same = match (&own, verdict) {
        (None, None) => true,
        (Some(reject), Some(result)) => matches!(
            (reject.kind, result),
            (RejectKind::Consensus, BlockValidationResult::Consensus)
                | (RejectKind::Mutated, BlockValidationResult::Mutated)
                | (RejectKind::InvalidHeader, BlockValidationResult::InvalidHeader)
        ),
        _ => false,
    };
    assert!(same, "rust says {own:?}, kernel {verdict:?}");
}
