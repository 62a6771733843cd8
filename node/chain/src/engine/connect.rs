//! Applying a block to coins and taking it back (Core: `ConnectBlock`, `DisconnectBlock`).

use std::sync::Arc;

use bitcoin::{OutPoint, TxOut};
use bulkhead_consensus::amount::{block_subsidy, in_money_range};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::tx::{SpentFacts, check_inputs, missing_inputs, signed_value};
use bulkhead_consensus::{HeaderView, MAX_BLOCK_SIGOPS_COST, Params, PreparedBlock, Reject, sequence, sigops};
use bulkhead_script::{Engine, Flags, ScriptCache, SpendCheck, VerifyError, block_flags};
use bulkhead_store::undo::BlockUndo;
use bulkhead_store::{Coin, StoreError};

use super::overlay::CoinView;
use super::scripts::Checking;
use super::{BlockIndex, EngineError, NodeId};

/// Scripts of a block on their way to the threads that check them.
pub struct Scripts<'a> {
    checking: Checking<'a>,
    engine: Engine,
    /// What was found good before; `None` when that is nothing.
    known: Option<&'a ScriptCache>,
}

impl<'a> Scripts<'a> {
    /// For one block.
    pub fn new(checking: Checking<'a>, engine: Engine, cache: &'a ScriptCache) -> Self {
        Self { checking, engine, known: (!cache.is_empty()).then_some(cache) }
    }

    fn add(&mut self, block: &Arc<PreparedBlock>, number: usize, coins: &[Coin], flags: Flags) {
        if self.known.is_some_and(|cache| cache.contains(block.wtxids()[number], flags)) {
            return;
        }
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        if let Some(check) = SpendCheck::in_block(block, number, spent, flags, self.engine) {
            self.checking.add(number, check);
        }
    }

    /// Waits for the rest of the checks.
    ///
    /// # Errors
    /// The first that failed.
    pub fn finish(self) -> Result<(), EngineError> {
        self.checking.finish().map_err(|failure| match failure.error {
            VerifyError::Script { error, .. } => {
                Reject::consensus(format!("block-script-verify-flag-failed ({error})"), failure.debug).into()
            }
            other => {
                tracing::error!("script verification: {other}");
                EngineError::Fatal("Script verification is not possible.")
            }
        })
    }
}

/// Checks a block against coins and makes its changes in `view`; gives the coins that it spent. `prev` is the entry of its
/// parent, which is what `view` stands at. `scripts` gets the inputs to check as their coins are found; with none they are left
/// out. A refusal leaves `view` half changed: drop it then.
pub fn connect_block(
    prepared: &Arc<PreparedBlock>,
    prev: Option<NodeId>,
    index: &BlockIndex,
    params: &Params,
    view: &mut impl CoinView,
    mut scripts: Option<&mut Scripts<'_>>,
) -> Result<BlockUndo, EngineError> {
    let height = prev.map_or(0, |prev| index.get(prev).height + 1);
    let block = prepared.block();
    let flags = block_flags(params, height, prepared.hash());
    let p2sh_and_witness = params.script_exception(prepared.hash()).is_none_or(|exception| exception.p2sh_and_witness);
    check_bip30(prepared, prev, index, params, view)?;
    let chain = index.view(prev);
    let median_time = chain.median_time_past(height - 1);
    let enforce_locks = params.is_active_at(Buried::Csv, height);
    let mut undo = BlockUndo::default();
    let mut fees = 0i64;
    let mut sigops_cost = 0usize;
    for (number, (tx, txid)) in block.txdata.iter().zip(prepared.txids()).enumerate() {
        if tx.is_coinbase() {
            sigops_cost += sigops::transaction_cost(tx, [], true);
        } else {
            let coins = spend_inputs(tx, view)?.ok_or_else(|| in_transaction(missing_inputs(), txid))?;
            let facts = coins.iter().map(facts_of);
            let fee = check_inputs(tx, facts, height).map_err(|reject| in_transaction(reject, txid))?;
            fees = fees.saturating_add(fee);
            if !in_money_range(fees) {
                return Err(Reject::consensus(
                    "bad-txns-accumulated-fee-outofrange",
                    "accumulated fee in the block out of range",
                )
                .into());
            }
            let heights: Vec<i32> = coins.iter().map(|coin| coin.height as i32).collect(); // heights are below 2^31
            let locks = sequence::sequence_locks(tx, &heights, &chain, enforce_locks);
            if !sequence::are_satisfied(locks, height, median_time) {
                return Err(
                    Reject::consensus("bad-txns-nonfinal", format!("contains a non-BIP68-final transaction {txid}")).into()
                );
            }
            let spent = coins.iter().map(|coin| coin.output.script_pubkey.as_script());
            sigops_cost += sigops::transaction_cost(tx, spent, p2sh_and_witness);
            if let Some(scripts) = &mut scripts {
                scripts.add(prepared, number, &coins, flags);
            }
            undo.transactions.push(coins);
        }
        if sigops_cost > MAX_BLOCK_SIGOPS_COST {
            return Err(Reject::consensus("bad-blk-sigops", "too many sigops").into());
        }
        add_outputs(tx, *txid, height, view);
    }
    check_reward(block, fees, height, params)?;
    Ok(undo)
}

fn check_reward(block: &bitcoin::Block, fees: i64, height: i32, params: &Params) -> Result<(), Reject> {
    let paid: i64 = block.txdata.first().map_or(0, |coinbase| coinbase.output.iter().map(signed_value).sum());
    let limit = fees + block_subsidy(height, params);
    if paid > limit {
        return Err(Reject::consensus("bad-cb-amount", format!("coinbase pays too much (actual={paid} vs limit={limit})")));
    }
    Ok(())
}

fn in_transaction(reject: Reject, txid: &bitcoin::Txid) -> Reject {
    Reject::consensus(reject.reason, format!("{} in transaction {txid}", reject.debug))
}

fn facts_of(coin: &Coin) -> SpentFacts {
    SpentFacts { value: signed_value(&coin.output), height: coin.height as i32, coinbase: coin.coinbase } // heights are below 2^31
}

/// Spends the inputs of `tx`; `None` when one is missing.
fn spend_inputs(tx: &bitcoin::Transaction, view: &mut impl CoinView) -> Result<Option<Vec<Coin>>, StoreError> {
    let mut coins = Vec::with_capacity(tx.input.len());
    for input in &tx.input {
        match view.spend(&input.previous_output)? {
            Some(coin) => coins.push(coin),
            None => return Ok(None),
        }
    }
    Ok(Some(coins))
}

fn add_outputs(tx: &bitcoin::Transaction, txid: bitcoin::Txid, height: i32, view: &mut impl CoinView) {
    let coinbase = tx.is_coinbase();
    for (vout, output) in (0u32..).zip(&tx.output) {
        if !Coin::is_unspendable(output.script_pubkey.as_bytes()) {
            view.add(OutPoint { txid, vout }, output, height.unsigned_abs(), coinbase, coinbase);
        }
    }
}

fn check_bip30(
    prepared: &PreparedBlock,
    prev: Option<NodeId>,
    index: &BlockIndex,
    params: &Params,
    view: &impl CoinView,
) -> Result<(), EngineError> {
    let height = prev.map_or(0, |prev| index.get(prev).height + 1);
    let at_bip34 = prev.and_then(|prev| index.ancestor(prev, params.bip34_height));
    let known = at_bip34.is_some_and(|id| Some(index.get(id).hash) == params.bip34_hash);
    if !params.must_check_bip30(height, prepared.hash(), known) {
        return Ok(());
    }
    for (tx, txid) in prepared.block().txdata.iter().zip(prepared.txids()) {
        for vout in 0..tx.output.len() as u32 {
            if view.have(&OutPoint { txid: *txid, vout })? {
                return Err(Reject::consensus("bad-txns-BIP30", "tried to overwrite transaction").into());
            }
        }
    }
    Ok(())
}

/// How taking a block back went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnected {
    /// Coins are as before the block.
    Clean,
    /// Something did not match, but could be undone.
    Unclean,
    /// Block and undo data do not belong together.
    Failed,
}

/// Takes a block back in `view`.
pub fn disconnect_block(
    prepared: &PreparedBlock,
    undo: BlockUndo,
    height: i32,
    params: &Params,
    view: &mut impl CoinView,
) -> Result<Disconnected, StoreError> {
    let block = prepared.block();
    if undo.transactions.len() + 1 != block.txdata.len() {
        tracing::error!("DisconnectBlock(): block and undo data inconsistent");
        return Ok(Disconnected::Failed);
    }
    let overwritten = params.is_bip30_unspendable(height, prepared.hash());
    let mut clean = true;
    let mut spent_by = undo.transactions.into_iter().rev();
    for (tx, txid) in block.txdata.iter().zip(prepared.txids()).rev() {
        let coinbase = tx.is_coinbase();
        for (vout, output) in (0u32..).zip(&tx.output) {
            if Coin::is_unspendable(output.script_pubkey.as_bytes()) {
                continue;
            }
            let coin = view.spend(&OutPoint { txid: *txid, vout })?;
            let matches = coin
                .is_some_and(|coin| coin.output == *output && coin.height == height.unsigned_abs() && coin.coinbase == coinbase);
            clean &= matches || (coinbase && overwritten);
        }
        if coinbase {
            continue;
        }
        let coins = spent_by.next().unwrap_or_default();
        if coins.len() != tx.input.len() {
            tracing::error!("DisconnectBlock(): transaction and undo data inconsistent");
            return Ok(Disconnected::Failed);
        }
        for (input, coin) in tx.input.iter().zip(coins).rev() {
            let exists = view.have(&input.previous_output)?;
            clean &= !exists;
            view.add(input.previous_output, &coin.output, coin.height, coin.coinbase, exists);
        }
    }
    Ok(if clean { Disconnected::Clean } else { Disconnected::Unclean })
}

/// Applies a block that was valid before to coins that may hold a part of its changes already (Core: `RollforwardBlock`).
pub fn roll_forward(prepared: &PreparedBlock, height: i32, view: &mut impl CoinView) -> Result<(), StoreError> {
    for (tx, txid) in prepared.block().txdata.iter().zip(prepared.txids()) {
        let coinbase = tx.is_coinbase();
        if !coinbase {
            for input in &tx.input {
                view.spend(&input.previous_output)?;
            }
        }
        for (vout, output) in (0u32..).zip(&tx.output) {
            if !Coin::is_unspendable(output.script_pubkey.as_bytes()) {
                view.add(OutPoint { txid: *txid, vout }, output, height.unsigned_abs(), coinbase, true);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::scripts::ScriptPool;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, Witness, absolute};
    use bulkhead_consensus::networks;

    #[test]
    fn scripts_that_the_mempool_found_good_are_not_run_again() {
        let mut block = networks::regtest().genesis;
        let input = TxIn { sequence: Sequence::MAX, witness: Witness::new(), ..TxIn::default() };
        block.txdata.push(Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn { previous_output: OutPoint { txid: block.txdata[0].compute_txid(), vout: 0 }, ..input }],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }],
        });
        let block = Arc::new(PreparedBlock::new(block));
        // OP_RETURN: nothing satisfies it, so a check that is made fails.
        let output = TxOut { value: Amount::from_sat(1), script_pubkey: ScriptBuf::from_bytes(vec![0x6a]) };
        let coins = [Coin { output, height: 1, coinbase: false }];
        let pool = ScriptPool::new(1);
        let judge = |cache: &ScriptCache| {
            let mut scripts = Scripts::new(pool.begin(), Engine::Kernel, cache);
            scripts.add(&block, 1, &coins, Flags::CONSENSUS);
            scripts.finish()
        };
        let cache = ScriptCache::new(1 << 20);
        assert!(matches!(judge(&cache), Err(EngineError::Invalid(_))));
        cache.insert(block.wtxids()[1], Flags::STANDARD);
        assert!(judge(&cache).is_err(), "good under other rules only");
        cache.insert(block.wtxids()[1], Flags::CONSENSUS);
        assert!(judge(&cache).is_ok());
    }
}
