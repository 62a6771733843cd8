//! Fee estimates. There is no estimator yet: the answers are those of an estimator that has seen no transaction.

use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("estimaterawfee", estimaterawfee), ("estimatesmartfee", estimatesmartfee)];

/// Highest target that is tracked, blocks.
const MAX_TARGET: i32 = 1008;

fn target(params: &Params) -> RpcResult<i32> {
    let target: i32 = params.int(0)?;
    if !(1..=MAX_TARGET).contains(&target) {
        return Err(RpcError::parameter(format!("Invalid conf_target, must be between 1 and {MAX_TARGET}")));
    }
    Ok(target)
}

fn estimatesmartfee(_: &Context, params: &Params) -> RpcResult<Value> {
    let target = target(params)?;
    let mode = params.opt_str(1)?.unwrap_or("economical");
    if !["unset", "economical", "conservative"].contains(&mode.to_ascii_lowercase().as_str()) {
        let text = "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"";
        return Err(RpcError::parameter(text));
    }
    // A target of one block is not estimated for: it becomes two.
    Ok(json!({"errors": ["Insufficient data or no feerate found"], "blocks": target.max(2)}))
}

fn estimaterawfee(_: &Context, params: &Params) -> RpcResult<Value> {
    let target = target(params)?;
    let threshold = params.opt_f64(1)?.unwrap_or(0.95);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(RpcError::parameter("Invalid threshold"));
    }
    let mut out = Map::new();
    for (name, highest, decay, scale) in [("short", 12, 0.962, 1), ("medium", 48, 0.9952, 2), ("long", 1008, 0.99931, 24)] {
        if target > highest {
            continue;
        }
        let bucket = json!({
            "startrange": 0, "endrange": 0, "withintarget": 0, "totalconfirmed": 0, "inmempool": 0, "leftmempool": 0,
        });
        out.insert(
            name.into(),
            json!({
                "decay": decay,
                "scale": scale,
                "fail": bucket,
                "errors": ["Insufficient data or no feerate found which meets threshold"],
            }),
        );
    }
    Ok(Value::Object(out))
}
