//! Applying a block to coins and taking it back (Core: `ConnectBlock`, `DisconnectBlock`).

use bitcoin::{OutPoint, TxOut};
use bulkhead_consensus::amount::{block_subsidy, in_money_range};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::tx::{SpentFacts, check_inputs, missing_inputs, signed_value};
use bulkhead_consensus::{HeaderView, MAX_BLOCK_SIGOPS_COST, Params, PreparedBlock, Reject, sequence, sigops};
use bulkhead_script::{Engine, Flags, SpendCheck, block_flags};
use bulkhead_store::undo::BlockUndo;
use bulkhead_store::{Coin, StoreError};

use super::{BlockIndex, EngineError, NodeId, Overlay};

/// What connecting a block found out besides its validity.
#[derive(Debug, Default)]
pub struct Connected {
    /// Coins that the block spent.
    pub undo: BlockUndo,
    /// Scripts that remain to be checked.
    pub checks: Vec<SpendCheck>,
}

/// Checks a block against coins and makes its changes in `view`. `prev` is the entry of its parent, which is what `view`
/// stands at. Scripts are only collected, for `engine`; with none they are left out. A refusal leaves `view` half changed: drop it then.
pub fn connect_block(
    prepared: &PreparedBlock,
    prev: Option<NodeId>,
    index: &BlockIndex,
    params: &Params,
    view: &mut Overlay<'_>,
    engine: Option<Engine>,
) -> Result<Connected, EngineError> {
    let height = prev.map_or(0, |prev| index.get(prev).height + 1);
    let block = prepared.block();
    let flags = block_flags(params, height, prepared.hash());
    let p2sh_and_witness = params.script_exception(prepared.hash()).is_none_or(|exception| exception.p2sh_and_witness);
    check_bip30(prepared, prev, index, params, view)?;
    let chain = index.view(prev);
    let median_time = chain.median_time_past(height - 1);
    let enforce_locks = params.is_active_at(Buried::Csv, height);
    let mut result = Connected::default();
    let mut fees = 0i64;
    let mut sigops_cost = 0usize;
    for (tx, txid) in block.txdata.iter().zip(prepared.txids()) {
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
            if let Some(engine) = engine {
                result.checks.push(script_check(tx, &coins, flags, engine));
            }
            result.undo.transactions.push(coins);
        }
        if sigops_cost > MAX_BLOCK_SIGOPS_COST {
            return Err(Reject::consensus("bad-blk-sigops", "too many sigops").into());
        }
        add_outputs(tx, *txid, height, view);
    }
    check_reward(block, fees, height, params)?;
    Ok(result)
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

fn script_check(tx: &bitcoin::Transaction, coins: &[Coin], flags: Flags, engine: Engine) -> SpendCheck {
    let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
    SpendCheck::new(tx.clone(), spent, flags, engine)
}

/// Spends the inputs of `tx`; `None` when one is missing.
fn spend_inputs(tx: &bitcoin::Transaction, view: &mut Overlay<'_>) -> Result<Option<Vec<Coin>>, StoreError> {
    let mut coins = Vec::with_capacity(tx.input.len());
    for input in &tx.input {
        match view.spend(&input.previous_output)? {
            Some(coin) => coins.push(coin),
            None => return Ok(None),
        }
    }
    Ok(Some(coins))
}

fn add_outputs(tx: &bitcoin::Transaction, txid: bitcoin::Txid, height: i32, view: &mut Overlay<'_>) {
    let coinbase = tx.is_coinbase();
    for (vout, output) in (0u32..).zip(&tx.output) {
        if !Coin::is_unspendable(output.script_pubkey.as_bytes()) {
            let coin = Coin { output: output.clone(), height: height.unsigned_abs(), coinbase };
            view.add(OutPoint { txid, vout }, coin, coinbase);
        }
    }
}

fn check_bip30(
    prepared: &PreparedBlock,
    prev: Option<NodeId>,
    index: &BlockIndex,
    params: &Params,
    view: &Overlay<'_>,
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
    view: &mut Overlay<'_>,
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
            view.add(input.previous_output, coin, exists);
        }
    }
    Ok(if clean { Disconnected::Clean } else { Disconnected::Unclean })
}
