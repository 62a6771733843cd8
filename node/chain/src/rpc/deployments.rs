//! `getdeploymentinfo`.

use bulkhead_consensus::params::{Bip9, Buried};
use bulkhead_consensus::versionbits::{ThresholdState, state_after, statistics};
use bulkhead_consensus::{HeaderView, Params as Rules};
use bulkhead_rpc_util::{Params, RpcResult, codec::parse_block_hash};
use serde_json::{Map, Value, json};

use super::lookup::{block_by_hash, tip};
use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("getdeploymentinfo", getdeploymentinfo)];

fn getdeploymentinfo(context: &Context, params: &Params) -> RpcResult<Value> {
    if !params.is_null(0) {
        parse_block_hash(params.get(0), "blockhash")?;
    }
    let state = context.state();
    let id = if params.is_null(0) { tip(&state)? } else { block_by_hash(&state, params.get(0), "blockhash")? };
    let node = state.node(id);
    let rules = context.chain.params();
    let view = state.index().view(Some(id));
    let mut deployments = Map::new();
    for deployment in Buried::ALL {
        let height = rules.buried_height(deployment);
        if height == i32::MAX {
            continue;
        }
        let value = json!({
            "type": "buried",
            "active": rules.is_active_at(deployment, node.height + 1),
            "height": height,
        });
        deployments.insert(deployment.name().into(), value);
    }
    for deployment in rules.deployments.iter().filter(|deployment| deployment.start_time != Bip9::NEVER_ACTIVE) {
        deployments.insert(deployment.name.into(), bip9_json(deployment, &view));
    }
    Ok(json!({
        "hash": node.hash.to_string(),
        "height": node.height,
        "script_flags": script_flags(rules, node.height, node.hash),
        "deployments": deployments,
    }))
}

/// Names of the script rules of a block, sorted.
fn script_flags(rules: &Rules, height: i32, hash: bitcoin::BlockHash) -> Vec<&'static str> {
    let exception = rules.script_exception(hash);
    let mut names = Vec::new();
    if exception.is_none_or(|exception| exception.p2sh_and_witness) {
        names.extend(["P2SH", "WITNESS"]);
    }
    if exception.is_none() {
        names.push("TAPROOT");
    }
    for (deployment, name) in [
        (Buried::DerSig, "DERSIG"),
        (Buried::Cltv, "CHECKLOCKTIMEVERIFY"),
        (Buried::Csv, "CHECKSEQUENCEVERIFY"),
        (Buried::Segwit, "NULLDUMMY"),
    ] {
        if rules.is_active_at(deployment, height) {
            names.push(name);
        }
    }
    names.sort_unstable();
    names
}

/// `view` ends in the block that is asked about.
fn bip9_json(deployment: &Bip9, view: &impl HeaderView) -> Value {
    let height = view.height();
    // The state of a block follows from the chain before it, the next one's from the chain with it.
    let (current, since) = state_after(deployment, view, height - 1);
    let (next, next_since) = state_after(deployment, view, height);
    let is_counting = matches!(current, ThresholdState::Started | ThresholdState::LockedIn);
    let mut bip9 = Map::new();
    if is_counting {
        bip9.insert("bit".into(), deployment.bit.into());
    }
    bip9.insert("start_time".into(), deployment.start_time.into());
    bip9.insert("timeout".into(), deployment.timeout.into());
    bip9.insert("min_activation_height".into(), deployment.min_activation_height.into());
    bip9.insert("status".into(), current.name().into());
    bip9.insert("since".into(), since.into());
    bip9.insert("status_next".into(), next.name().into());
    if is_counting {
        let stats = statistics(deployment, view, height);
        let mut figures = Map::new();
        figures.insert("period".into(), stats.period.into());
        figures.insert("elapsed".into(), stats.elapsed.into());
        figures.insert("count".into(), stats.count.into());
        if current == ThresholdState::Started {
            figures.insert("threshold".into(), stats.threshold.into());
            figures.insert("possible".into(), stats.possible.into());
        }
        bip9.insert("statistics".into(), Value::Object(figures));
        let signs: String = stats.signalling.iter().map(|signal| if *signal { '#' } else { '-' }).collect();
        bip9.insert("signalling".into(), signs.into());
    }
    let active_since = match (current, next) {
        (ThresholdState::Active, _) => Some(since),
        (_, ThresholdState::Active) => Some(next_since),
        _ => None,
    };
    let mut out = Map::new();
    out.insert("type".into(), "bip9".into());
    if let Some(since) = active_since {
        out.insert("height".into(), since.into());
    }
    out.insert("active".into(), active_since.is_some_and(|since| since <= height + 1).into());
    out.insert("bip9".into(), Value::Object(bip9));
    Value::Object(out)
}
