//! Blocks and transactions on their way.

use std::rc::Rc;

use bulkhead_rpc_util::codec::parse_hash_bytes;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_wire::message::hash_hex;
use serde_json::{Value, json};

use super::integer;
use crate::engine::chain_view::{Answer, Question};
use crate::engine::orphanage::Orphan;
use crate::process::{Node, chain};

fn orphan_json(orphan: &Orphan, from: &[u64]) -> Value {
    json!({
        "txid": hash_hex(&orphan.facts.names.txid),
        "wtxid": hash_hex(&orphan.facts.names.wtxid),
        "bytes": orphan.bytes.len(),
        "vsize": orphan.facts.weight.div_ceil(4),
        "weight": orphan.facts.weight,
        "from": from,
    })
}

/// `getorphantxs`.
pub(super) fn getorphantxs(node: &Rc<Node>, params: &Params) -> RpcResult {
    let verbosity = params.verbosity(0, 0, false)?;
    if !(0..=2).contains(&verbosity) {
        return Err(RpcError::parameter(format!("Invalid verbosity value {verbosity}")));
    }
    Ok(node.look(|engine| {
        let list = engine.orphans().map(|(orphan, from)| match verbosity {
            0 => json!(hash_hex(&orphan.facts.names.txid)),
            1 => orphan_json(orphan, &from),
            _ => {
                let mut row = orphan_json(orphan, &from);
                row["hex"] = json!(hex::encode(&orphan.bytes));
                row
            }
        });
        Value::Array(list.collect())
    }))
}

/// `getblockfrompeer`.
pub(super) async fn getblockfrompeer(node: &Rc<Node>, params: &Params) -> RpcResult {
    let hash = parse_hash_bytes(params.get(0), "blockhash")?;
    let peer: i64 = integer(params, 1)?;
    let client = node.chain.get().map_err(|error| RpcError::misc(error.to_string()))?;
    let answer = chain::ask(&client, node.partials(), Question::HeaderInfo(vec![hash])).await;
    let Answer::HeaderInfo(facts) = answer else { return Err(RpcError::misc("Chain does not answer")) };
    let facts = facts.first().copied().flatten().ok_or_else(|| RpcError::misc("Block header missing"))?;
    let (pruned, tip) = node.look(|engine| (engine.config.prune, engine.chain.tip.at.height));
    // Fetched blocks above the tip could keep block files from being pruned.
    if pruned && facts.tip.at.height > tip {
        let text = "In prune mode, only blocks that the node has already synced previously can be fetched from a peer";
        return Err(RpcError::misc(text));
    }
    if facts.have_data {
        return Err(RpcError::misc("Block already downloaded"));
    }
    node.with(|engine| engine.fetch_block(peer, hash, facts.tip.at.height)).map_err(RpcError::misc)?;
    Ok(json!({}))
}
