//! `gettxout`, `gettxoutsetinfo`.

use bitcoin::OutPoint;
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json, script_to_json};
use serde_json::{Map, Value, json};

use super::lookup::{block_by_hash_or_height, engine_error, storage_error, tip};
use super::{Context, Handler};
use crate::engine::utxo_stats::HashKind;
use crate::engine::{BlockNode, NodeId};
use crate::indexes::Index;
use crate::indexes::coin_stats::{CoinTotals, find_totals};
use crate::mempool_accept::{MEMPOOL_HEIGHT, PackageCoins, find_coin};

pub(super) const METHODS: &[(&str, Handler)] = &[("gettxout", gettxout), ("gettxoutsetinfo", gettxoutsetinfo)];

fn gettxout(context: &Context, params: &Params) -> RpcResult<Value> {
    let outpoint = OutPoint { txid: parse_txid(params.get(0), "txid")?, vout: params.int(1)? };
    let with_mempool = params.opt_bool(2)?.unwrap_or(true);
    let state = context.state();
    let coin = if with_mempool {
        let pool = context.pool.lock();
        match pool.spender(&outpoint) {
            Some(_) => None,
            None => find_coin(&state, &pool, &PackageCoins::default(), &outpoint).map_err(storage_error)?,
        }
    } else {
        state.coin(&outpoint).map_err(storage_error)?
    };
    let Some(coin) = coin else { return Ok(Value::Null) };
    let tip = state.node(tip(&state)?);
    let confirmations = match coin.height {
        MEMPOOL_HEIGHT => 0,
        height => i64::from(tip.height) - i64::from(height) + 1,
    };
    Ok(json!({
        "bestblock": tip.hash.to_string(),
        "confirmations": confirmations,
        "value": amount_to_json(coin.output.value.to_sat() as i64), // within the money range
        "scriptPubKey": script_to_json(&coin.output.script_pubkey, context.network, true, true),
        "coinbase": coin.coinbase,
    }))
}

fn gettxoutsetinfo(context: &Context, params: &Params) -> RpcResult<Value> {
    let (kind, field) = match params.opt_str(0)?.unwrap_or("hash_serialized_3") {
        "hash_serialized_3" => (HashKind::Serialized, "hash_serialized_3"),
        "muhash" => (HashKind::MuHash, "muhash"),
        "none" => (HashKind::None, ""),
        other => return Err(RpcError::parameter(format!("'{other}' is not a valid hash_type"))),
    };
    let may_use_index = params.opt_bool(2)?.unwrap_or(true);
    let index = context.indexes.coin_stats.as_deref();
    let mut target = None;
    if !params.is_null(1) {
        if index.is_none() {
            return Err(RpcError::parameter("Querying specific block heights requires coinstatsindex"));
        }
        if kind == HashKind::Serialized {
            return Err(RpcError::parameter("hash_serialized_3 hash type cannot be queried for a specific block"));
        }
        if !may_use_index {
            return Err(RpcError::parameter("Cannot set use_index to false when querying for a specific block"));
        }
        target = Some(block_by_hash_or_height(&context.state(), params.get(1))?);
    }
    if let Some(index) = index.filter(|_| may_use_index) {
        wait_for(context, index, target)?;
        if kind != HashKind::Serialized {
            return indexed_stats(context, index, target, kind == HashKind::MuHash);
        }
    }
    let stats = context.chain.utxo_stats(kind).map_err(engine_error)?;
    let mut out = Map::new();
    out.insert("height".into(), stats.height.into());
    out.insert("bestblock".into(), stats.best_block.to_string().into());
    out.insert("txouts".into(), stats.outputs.into());
    out.insert("bogosize".into(), stats.bogo_size.into());
    if let Some(hash) = stats.hash {
        out.insert(field.into(), reversed_hex(hash));
    }
    out.insert("total_amount".into(), satoshi(stats.total_amount));
    out.insert("transactions".into(), stats.transactions.into());
    // An estimate, like Core's: stored keys and values are about this long.
    out.insert("disk_size".into(), (stats.outputs * 70).into());
    Ok(Value::Object(out))
}

fn reversed_hex(mut hash: [u8; 32]) -> Value {
    hash.reverse();
    hex::encode(hash).into()
}

/// An amount that fits the money range, or the largest one that can be shown.
fn satoshi(amount: impl TryInto<i64>) -> Value {
    amount_to_json(amount.try_into().unwrap_or(i64::MAX))
}

/// Waits for the index; one that is still catching up must have reached the block that is asked for.
fn wait_for(context: &Context, index: &Index, target: Option<NodeId>) -> RpcResult<()> {
    if index.wait_for_tip(&context.chain) {
        return Ok(());
    }
    let reached = index.summary().height;
    if target.is_some_and(|target| context.state().node(target).height > reached) {
        let text = format!("Unable to get data because coinstatsindex is still syncing. Current height: {reached}");
        return Err(RpcError::internal(text));
    }
    Ok(())
}

/// Figures of one block, by default the tip, from the index.
fn indexed_stats(context: &Context, index: &Index, target: Option<NodeId>, with_hash: bool) -> RpcResult<Value> {
    let (node, prev) = {
        let state = context.state();
        let id = target.map_or_else(|| tip(&state), Ok)?;
        let node = state.node(id);
        (node.clone(), node.prev.map(|prev| state.node(prev).clone()))
    };
    let unreadable = || RpcError::internal("Unable to read UTXO set");
    let read = |node: &BlockNode| {
        let totals = find_totals(index.store(), node.height, node.hash).map_err(storage_error)?;
        totals.ok_or_else(unreadable)
    };
    let totals = read(&node)?;
    let before = prev.as_ref().map_or_else(|| Ok(CoinTotals::default()), read)?;
    let change = totals.since(&before).ok_or_else(unreadable)?;
    let mut out = Map::new();
    out.insert("height".into(), node.height.into());
    out.insert("bestblock".into(), node.hash.to_string().into());
    out.insert("txouts".into(), totals.outputs.into());
    out.insert("bogosize".into(), totals.bogo_size.into());
    if with_hash {
        out.insert("muhash".into(), reversed_hex(totals.muhash));
    }
    out.insert("total_amount".into(), satoshi(totals.amount));
    out.insert("total_unspendable_amount".into(), satoshi(totals.unspendable.total()));
    let lost = change.unspendable;
    out.insert(
        "block_info".into(),
        json!({
            "prevout_spent": satoshi(change.prevouts_spent),
            "coinbase": satoshi(change.coinbase),
            "new_outputs_ex_coinbase": satoshi(change.new_outputs),
            "unspendable": satoshi(lost.total()),
            "unspendables": {
                "genesis_block": satoshi(lost.genesis),
                "bip30": satoshi(lost.bip30),
                "scripts": satoshi(lost.scripts),
                "unclaimed_rewards": satoshi(lost.unclaimed),
            },
        }),
    );
    Ok(Value::Object(out))
}
