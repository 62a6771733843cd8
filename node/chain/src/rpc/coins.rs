//! `gettxout`, `gettxoutsetinfo`.

use bitcoin::OutPoint;
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json, script_to_json};
use serde_json::{Map, Value, json};

use super::lookup::{block_by_hash_or_height, engine_error, storage_error, tip};
use super::{Context, Handler};
use crate::engine::utxo_stats::HashKind;
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
    params.opt_bool(2)?;
    if !params.is_null(1) {
        if !context.config.coinstatsindex {
            return Err(RpcError::parameter("Querying specific block heights requires coinstatsindex"));
        }
        block_by_hash_or_height(&context.state(), params.get(1))?;
        return Err(RpcError::internal("Unable to read UTXO set"));
    }
    let stats = context.chain.utxo_stats(kind).map_err(engine_error)?;
    let mut out = Map::new();
    out.insert("height".into(), stats.height.into());
    out.insert("bestblock".into(), stats.best_block.to_string().into());
    out.insert("txouts".into(), stats.outputs.into());
    out.insert("bogosize".into(), stats.bogo_size.into());
    if let Some(mut hash) = stats.hash {
        hash.reverse();
        out.insert(field.into(), hex::encode(hash).into());
    }
    out.insert("total_amount".into(), amount_to_json(i64::try_from(stats.total_amount).unwrap_or(i64::MAX)));
    out.insert("transactions".into(), stats.transactions.into());
    // An estimate, like Core's: stored keys and values are about this long.
    out.insert("disk_size".into(), (stats.outputs * 70).into());
    Ok(Value::Object(out))
}
