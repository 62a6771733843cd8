//! simulaterawtransaction.

use super::Call;
use bulkhead_rpc_util::{RpcError, RpcResult};

pub(super) async fn simulate(_call: &Call) -> RpcResult {
    Err(RpcError::misc("not implemented"))
}
