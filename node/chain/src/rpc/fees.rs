//! Fee estimates.

use bulkhead_mempool::estimator::{Horizon, Range};
use bulkhead_rpc_util::amount::double_to_json;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json};
use serde_json::{Map, Value, json};

use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("estimaterawfee", estimaterawfee), ("estimatesmartfee", estimatesmartfee)];

fn target(context: &Context, params: &Params) -> RpcResult<u32> {
    if context.config.blocksonly {
        return Err(RpcError::internal("Fee estimation disabled"));
    }
    let target: i32 = params.int(0)?;
    let highest = context.pool.estimator().max_target(Horizon::Long);
    let given = u32::try_from(target).ok().filter(|target| (1..=highest).contains(target));
    given.ok_or_else(|| RpcError::parameter(format!("Invalid conf_target, must be between 1 and {highest}")))
}

fn estimatesmartfee(context: &Context, params: &Params) -> RpcResult<Value> {
    let target = target(context, params)?;
    let conservative = match params.opt_str(1)?.unwrap_or("economical").to_ascii_lowercase().as_str() {
        "unset" | "economical" => false,
        "conservative" => true,
        _ => {
            let text = "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"";
            return Err(RpcError::parameter(text));
        }
    };
    let estimate = context.pool.estimator().smart(target, conservative);
    let mut out = Map::new();
    match estimate.rate {
        Some(rate) => {
            let now = context.now();
            let mut pool = context.pool.lock();
            let floor = pool.min_fee(now).max(pool.options().min_relay);
            out.insert("feerate".into(), amount_to_json(rate.max(floor.0)));
        }
        None => {
            out.insert("errors".into(), json!(["Insufficient data or no feerate found"]));
        }
    }
    out.insert("blocks".into(), estimate.target.into());
    Ok(Value::Object(out))
}

fn range_json(range: &Range) -> Value {
    let hundredths = |value: f64| double_to_json((value * 100.0).round() / 100.0);
    json!({
        "startrange": double_to_json(range.start.round()),
        "endrange": double_to_json(range.end.round()),
        "withintarget": hundredths(range.within_target),
        "totalconfirmed": hundredths(range.confirmed),
        "inmempool": hundredths(range.in_mempool),
        "leftmempool": hundredths(range.left),
    })
}

fn estimaterawfee(context: &Context, params: &Params) -> RpcResult<Value> {
    let target = target(context, params)?;
    let threshold = params.opt_f64(1)?.unwrap_or(0.95);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(RpcError::parameter("Invalid threshold"));
    }
    let estimator = context.pool.estimator();
    let mut out = Map::new();
    for horizon in Horizon::ALL.into_iter().filter(|horizon| target <= estimator.max_target(*horizon)) {
        let (rate, reasons) = estimator.raw(horizon, target, threshold);
        let mut found = Map::new();
        if let Some(rate) = rate {
            found.insert("feerate".into(), amount_to_json(rate));
        }
        found.insert("decay".into(), double_to_json(reasons.decay));
        found.insert("scale".into(), reasons.scale.into());
        if rate.is_some() {
            found.insert("pass".into(), range_json(&reasons.pass));
        }
        if rate.is_none() || reasons.fail.start >= 0.0 {
            found.insert("fail".into(), range_json(&reasons.fail));
        }
        if rate.is_none() {
            found.insert("errors".into(), json!(["Insufficient data or no feerate found which meets threshold"]));
        }
        out.insert(horizon.name().into(), Value::Object(found));
    }
    Ok(Value::Object(out))
}
