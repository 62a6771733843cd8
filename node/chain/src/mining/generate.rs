//! Mining on this machine, for chains with trivial difficulty.

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, ScriptBuf, TxMerkleNode};
use bulkhead_consensus::header::check_proof_of_work;
use bulkhead_consensus::{Params, Reject, merkle};

use super::options::TemplateOptions;
use super::template::build_template;
use crate::engine::ChainManager;
use crate::mempool_accept::Pool;

/// Blocks that those who follow the chain may be behind (Core: `LimitValidationInterfaceQueue`).
const BLOCKS_AHEAD: usize = 10;

/// Why mining stopped.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// The chain refused the block.
    #[error("ProcessNewBlock, block not accepted: {0}")]
    NotAccepted(Reject),
}

/// Finds a nonce. `None` when `tries` ran out, which counts down, or when all nonces are used up.
pub fn mine(mut block: Block, params: &Params, tries: &mut u64, stop: impl Fn() -> bool) -> Option<Block> {
    let (root, _) = merkle::root(block.txdata.iter().map(|tx| tx.compute_txid().to_raw_hash()).collect());
    block.header.merkle_root = TxMerkleNode::from_raw_hash(root);
    while *tries > 0 && block.header.nonce < u32::MAX && !has_work(&block.header, params) && !stop() {
        block.header.nonce += 1;
        *tries -= 1;
    }
    (*tries > 0 && block.header.nonce < u32::MAX && !stop()).then_some(block)
}

fn has_work(header: &Header, params: &Params) -> bool {
    check_proof_of_work(header, params).is_ok()
}

/// Mines blocks on the tip, each paying to `script`; gives their hashes. `wait_for_others` lets those who follow the chain
/// catch up: mining is quick here, and peers that hear of hundreds of blocks at once may not get them all from a pruned node.
///
/// # Errors
/// The chain refused one.
pub fn mine_blocks(
    chain: &ChainManager,
    pool: &Pool,
    script: &ScriptBuf,
    count: i64,
    mut tries: u64,
    options: &TemplateOptions,
    wait_for_others: impl Fn(),
) -> Result<Vec<BlockHash>, MineError> {
    let mut hashes = Vec::new();
    let options = TemplateOptions { coinbase_script: script.clone(), ..options.clone() };
    while (hashes.len() as i64) < count && !chain.is_interrupted() {
        let template = {
            let state = chain.lock();
            let pool = pool.lock();
            build_template(&state, Some(&pool), chain.params(), &options, chain.now())
        };
        let Some(block) = mine(template.block, chain.params(), &mut tries, || chain.is_interrupted()) else { break };
        let hash = block.block_hash();
        chain.process_new_block(block, true, true).map_err(MineError::NotAccepted)?;
        hashes.push(hash);
        if hashes.len().is_multiple_of(BLOCKS_AHEAD) {
            wait_for_others();
        }
    }
    Ok(hashes)
}
