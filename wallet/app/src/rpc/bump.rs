//! bumpfee and psbtbumpfee.

use super::Call;
use bulkhead_rpc_util::{RpcError, RpcResult};

pub(super) async fn bump(_call: &Call, _psbt: bool) -> RpcResult {
    Err(RpcError::misc("not implemented"))
}
