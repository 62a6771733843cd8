//! Sums.

use bulkhead_rpc_util::RpcError;
use bulkhead_rpc_util::RpcResult;
use bulkhead_rpc_util::error as code;
use serde_json::{Map, Value};

use super::Call;
use super::util::{amount, avoid_reuse, push_last_block, synced_wallet};
use crate::state::flags;

pub(super) async fn balance(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    if call.params.opt_str(0)?.unwrap_or("*") != "*" {
        return Err(RpcError::new(code::METHOD_DEPRECATED, "dummy first argument must be excluded or set to \"*\"."));
    }
    let min_depth = call.params.opt_int::<i32>(1)?.unwrap_or(0);
    let wallet = loaded.wallet.borrow();
    let avoid = avoid_reuse(&wallet, call.params.get(3))?;
    Ok(amount(wallet.balance(min_depth, avoid, false).trusted))
}

pub(super) async fn balances(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let wallet = loaded.wallet.borrow();
    let balance = wallet.balance(0, true, true);
    let mut mine = Map::new();
    mine.insert("trusted".into(), amount(balance.trusted));
    mine.insert("untrusted_pending".into(), amount(balance.untrusted_pending));
    mine.insert("immature".into(), amount(balance.immature));
    mine.insert("nonmempool".into(), amount(balance.nonmempool));
    if wallet.has_flag(flags::AVOID_REUSE) {
        mine.insert("used".into(), amount(balance.used));
    }
    let mut out = Map::new();
    out.insert("mine".into(), Value::Object(mine));
    push_last_block(&wallet, &mut out);
    Ok(Value::Object(out))
}
