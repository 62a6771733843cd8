//! `gettxspendingprevout`.

use bitcoin::{BlockHash, OutPoint, Transaction};
use bulkhead_rpc_util::codec::{parse_txid, tx_to_hex};
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::params::{as_bool, as_int, as_object, check_object};
use bulkhead_rpc_util::{ArgKind, Params, RpcError, RpcResult};
use serde_json::{Map, Value};

use super::{Context, Handler};
use crate::indexes::transactions::find_spender;

pub(super) const METHODS: &[(&str, Handler)] = &[("gettxspendingprevout", gettxspendingprevout)];

/// Answers from the mempool come first, then those of the index; within each the order is that of the request.
fn gettxspendingprevout(context: &Context, params: &Params) -> RpcResult<Value> {
    let outputs = params.array(0)?;
    if outputs.is_empty() {
        return Err(RpcError::parameter("Invalid parameter, outputs are missing"));
    }
    let none = Map::new();
    let options = params.opt_object(1)?.unwrap_or(&none);
    check_object(options, &[("mempool_only", ArgKind::Bool), ("return_spending_tx", ArgKind::Bool)], true, true)?;
    let flag = |name: &str| options.get(name).filter(|value| !value.is_null()).map(as_bool).transpose();
    let mempool_only = flag("mempool_only")?.unwrap_or(context.indexes.spender.is_none());
    let with_tx = flag("return_spending_tx")?.unwrap_or(false);
    let outputs = outputs.iter().map(read_output).collect::<RpcResult<Vec<_>>>()?;

    let (mut found, mut open) = (Vec::new(), Vec::new());
    let pool = context.pool.lock();
    for output in outputs {
        let spender = pool.spender(&output).and_then(|txid| pool.get(&txid));
        match spender {
            Some(spender) => found.push(entry(&output, Some((&spender.new.tx, None)), with_tx)),
            None if mempool_only => found.push(entry(&output, None, with_tx)),
            None => open.push(output),
        }
    }
    drop(pool);
    if open.is_empty() {
        return Ok(found.into());
    }
    let unavailable = || RpcError::new(MISC_ERROR, "Mempool lacks a relevant spend, and txospenderindex is unavailable.");
    let index = context.indexes.spender.as_ref().filter(|index| index.wait_for_tip(&context.chain)).ok_or_else(unavailable)?;
    for output in open {
        let spender = find_spender(index, &context.chain, &output).map_err(|error| {
            tracing::error!("Deserialize or I/O error - {error}");
            let OutPoint { txid, vout } = output;
            RpcError::new(MISC_ERROR, format!("IO error finding spending tx for outpoint {txid}:{vout}."))
        })?;
        found.push(entry(&output, spender.as_ref().map(|spender| (&spender.tx, Some(spender.block))), with_tx));
    }
    Ok(found.into())
}

fn read_output(value: &Value) -> RpcResult<OutPoint> {
    let output = as_object(value)?;
    check_object(output, &[("txid", ArgKind::Str), ("vout", ArgKind::Num)], false, true)?;
    let txid = parse_txid(output.get("txid").unwrap_or(&Value::Null), "txid")?;
    let vout: i32 = as_int(output.get("vout").unwrap_or(&Value::Null))?;
    let vout = u32::try_from(vout).map_err(|_| RpcError::parameter("Invalid parameter, vout cannot be negative"))?;
    Ok(OutPoint { txid, vout })
}

/// An output with what spends it, in which block.
fn entry(output: &OutPoint, spender: Option<(&Transaction, Option<BlockHash>)>, with_tx: bool) -> Value {
    let mut entry = Map::new();
    entry.insert("txid".into(), output.txid.to_string().into());
    entry.insert("vout".into(), output.vout.into());
    if let Some((tx, block)) = spender {
        entry.insert("spendingtxid".into(), tx.compute_txid().to_string().into());
        if with_tx {
            entry.insert("spendingtx".into(), tx_to_hex(tx).into());
        }
        if let Some(block) = block {
            entry.insert("blockhash".into(), block.to_string().into());
        }
    }
    Value::Object(entry)
}
