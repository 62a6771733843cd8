//! What is in the mempool.

use std::collections::BTreeSet;
use std::fs::File;

use bitcoin::Txid;
use bulkhead_mempool::{Entry, FeeFrac, Mempool};
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::error::{CLIENT_IN_INITIAL_DOWNLOAD, MISC_ERROR};
use bulkhead_rpc_util::params::as_bool;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json};
use serde_json::{Map, Value, json};

use super::{Context, Handler};
use crate::mempool_accept::persist::{self, ImportOptions};
use crate::saved;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("getmempoolancestors", getmempoolancestors),
    ("getmempoolcluster", getmempoolcluster),
    ("getmempooldescendants", getmempooldescendants),
    ("getmempoolentry", getmempoolentry),
    ("getmempoolfeeratediagram", getmempoolfeeratediagram),
    ("getmempoolinfo", getmempoolinfo),
    ("getrawmempool", getrawmempool),
    ("importmempool", importmempool),
    ("savemempool", savemempool),
];

fn getmempoolinfo(context: &Context, _: &Params) -> RpcResult<Value> {
    let now = context.now();
    let mut pool = context.pool.lock();
    let min_fee = pool.min_fee(now).max(pool.options().min_relay);
    let options = pool.options();
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    add("loaded", pool.loaded.into());
    add("size", pool.len().into());
    add("bytes", pool.total_vsize().into());
    add("usage", pool.memory().into());
    add("total_fee", amount_to_json(pool.total_fee()));
    add("maxmempool", options.max_bytes.into());
    add("mempoolminfee", amount_to_json(min_fee.0));
    add("minrelaytxfee", amount_to_json(options.min_relay.0));
    add("incrementalrelayfee", amount_to_json(options.incremental.0));
    add("unbroadcastcount", pool.unbroadcast().len().into());
    add("permitbaremultisig", options.permit_bare_multisig.into());
    add("maxdatacarriersize", options.max_datacarrier.unwrap_or(0).into());
    add("limitclustercount", options.cluster_count.into());
    add("limitclustersize", options.cluster_vbytes.into());
    add("optimal", true.into());
    if is_deprecated_enabled(context, "fullrbf") {
        add("fullrbf", true.into());
    }
    Ok(Value::Object(out))
}

fn is_deprecated_enabled(context: &Context, name: &str) -> bool {
    context.config.deprecatedrpc.iter().any(|enabled| enabled == name)
}

fn entry_json(context: &Context, pool: &Mempool, entry: &Entry) -> Value {
    let (ancestors, ancestor_size, ancestor_fees) = pool.totals(&pool.ancestors(&entry.txid));
    let (descendants, descendant_size, descendant_fees) = pool.totals(&pool.descendants(&entry.txid));
    let chunk = pool.chunk_of(&entry.txid);
    // Children come in the order of their ids as numbers, parents in that of their texts.
    let names = |set: &BTreeSet<Txid>| -> Vec<String> { set.iter().map(Txid::to_string).collect() };
    let mut parents = names(&entry.parents);
    parents.sort();
    let mut out = json!({
        "vsize": entry.vsize(),
        "weight": entry.weight,
        "time": entry.new.time,
        "height": entry.new.height,
        "descendantcount": descendants,
        "descendantsize": descendant_size,
        "ancestorcount": ancestors,
        "ancestorsize": ancestor_size,
        "wtxid": entry.wtxid.to_string(),
        "chunkweight": chunk.size,
        "fees": {
            "base": amount_to_json(entry.new.fee),
            "modified": amount_to_json(entry.modified_fee),
            "ancestor": amount_to_json(ancestor_fees),
            "descendant": amount_to_json(descendant_fees),
            "chunk": amount_to_json(chunk.fee),
        },
        "depends": parents,
        "spentby": names(&entry.children),
        "unbroadcast": pool.unbroadcast().contains(&entry.txid),
    });
    if is_deprecated_enabled(context, "bip125") {
        let signals = |entry: &Entry| entry.new.tx.input.iter().any(|input| input.sequence.is_rbf());
        let replaceable = pool.ancestors(&entry.txid).iter().filter_map(|txid| pool.get(txid)).any(signals);
        out["bip125-replaceable"] = replaceable.into();
    }
    out
}

fn find<'a>(pool: &'a Mempool, params: &Params) -> RpcResult<&'a Entry> {
    let txid = parse_txid(params.get(0), "txid")?;
    pool.get(&txid).ok_or_else(|| RpcError::address_or_key("Transaction not in mempool"))
}

fn getmempoolentry(context: &Context, params: &Params) -> RpcResult<Value> {
    let pool = context.pool.lock();
    Ok(entry_json(context, &pool, find(&pool, params)?))
}

fn set_json(context: &Context, pool: &Mempool, set: &BTreeSet<Txid>, verbose: bool) -> Value {
    if !verbose {
        return set.iter().map(|txid| Value::from(txid.to_string())).collect();
    }
    let entries = set.iter().filter_map(|txid| pool.get(txid));
    Value::Object(entries.map(|entry| (entry.txid.to_string(), entry_json(context, pool, entry))).collect())
}

fn getmempoolancestors(context: &Context, params: &Params) -> RpcResult<Value> {
    let verbose = params.opt_bool(1)?.unwrap_or(false);
    let pool = context.pool.lock();
    let txid = find(&pool, params)?.txid;
    let mut set = pool.ancestors(&txid);
    set.remove(&txid);
    Ok(set_json(context, &pool, &set, verbose))
}

fn getmempooldescendants(context: &Context, params: &Params) -> RpcResult<Value> {
    let verbose = params.opt_bool(1)?.unwrap_or(false);
    let pool = context.pool.lock();
    let txid = find(&pool, params)?.txid;
    let mut set = pool.descendants(&txid);
    set.remove(&txid);
    Ok(set_json(context, &pool, &set, verbose))
}

fn getmempoolcluster(context: &Context, params: &Params) -> RpcResult<Value> {
    let pool = context.pool.lock();
    let chunks = pool.cluster_chunks(&find(&pool, params)?.txid);
    let weight: i64 = chunks.iter().map(|chunk| chunk.frac.size).sum();
    let count: usize = chunks.iter().map(|chunk| chunk.members.len()).sum();
    let chunks: Vec<Value> = chunks
        .iter()
        .map(|chunk| {
            json!({
                "chunkfee": amount_to_json(chunk.frac.fee),
                "chunkweight": chunk.frac.size,
                "txs": chunk.members.iter().map(Txid::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(json!({"clusterweight": weight, "txcount": count, "chunks": chunks}))
}

fn getmempoolfeeratediagram(context: &Context, _: &Params) -> RpcResult<Value> {
    let pool = context.pool.lock();
    let mut sum = FeeFrac::default();
    let mut points = vec![json!({"weight": 0, "fee": amount_to_json(0)})];
    for chunk in pool.mining_order() {
        sum = sum.plus(chunk.frac);
        points.push(json!({"weight": sum.size, "fee": amount_to_json(sum.fee)}));
    }
    Ok(points.into())
}

fn getrawmempool(context: &Context, params: &Params) -> RpcResult<Value> {
    let verbose = params.opt_bool(0)?.unwrap_or(false);
    let with_sequence = params.opt_bool(1)?.unwrap_or(false);
    if verbose && with_sequence {
        return Err(RpcError::parameter("Verbose results cannot contain mempool sequence values."));
    }
    let pool = context.pool.lock();
    let txids = pool.ordered_txids();
    if verbose {
        let entries = txids.iter().filter_map(|txid| pool.get(txid));
        let map = entries.map(|entry| (entry.txid.to_string(), entry_json(context, &pool, entry))).collect();
        return Ok(Value::Object(map));
    }
    let names: Value = txids.iter().map(|txid| Value::from(txid.to_string())).collect();
    if !with_sequence {
        return Ok(names);
    }
    Ok(json!({"txids": names, "mempool_sequence": pool.sequence()}))
}

fn savemempool(context: &Context, _: &Params) -> RpcResult<Value> {
    if !context.pool.lock().loaded {
        return Err(RpcError::new(MISC_ERROR, "The mempool was not loaded yet"));
    }
    let supervisor = context.supervisor.as_ref().ok_or_else(|| RpcError::internal("no supervisor"))?;
    let path = saved::save_mempool(supervisor, &context.pool, context.config.persistmempoolv1).map_err(|error| {
        tracing::info!("Failed to dump mempool: {error}. Continuing anyway.");
        RpcError::new(MISC_ERROR, "Unable to dump mempool to disk")
    })?;
    Ok(json!({"filename": path}))
}

fn importmempool(context: &Context, params: &Params) -> RpcResult<Value> {
    if context.chain.tip().initial_download {
        let text = "Can only import the mempool after the block download and sync is done.";
        return Err(RpcError::new(CLIENT_IN_INITIAL_DOWNLOAD, text));
    }
    let none = Map::new();
    let given = params.opt_object(1)?.unwrap_or(&none);
    let flag = |name: &str, default: bool| match given.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => as_bool(value),
    };
    let options = ImportOptions {
        use_current_time: flag("use_current_time", true)?,
        apply_fee_deltas: flag("apply_fee_delta_priority", false)?,
        apply_unbroadcast: flag("apply_unbroadcast_set", false)?,
    };
    let (_, file) = context.ask_for_file("importMempool", params.str(0)?)?;
    if !persist::import(file.map(File::from), &context.chain, &context.pool, options) {
        return Err(RpcError::new(MISC_ERROR, "Unable to import mempool file, see debug log for details."));
    }
    Ok(json!({}))
}
