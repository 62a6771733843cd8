//! send, sendall, fundrawtransaction, walletcreatefundedpsbt.

use super::Call;
use bulkhead_rpc_util::{RpcError, RpcResult};

pub(super) async fn send(_call: &Call) -> RpcResult {
    Err(RpcError::misc("not implemented"))
}
pub(super) async fn send_all(_call: &Call) -> RpcResult {
    Err(RpcError::misc("not implemented"))
}
pub(super) async fn fund_raw(_call: &Call) -> RpcResult {
    Err(RpcError::misc("not implemented"))
}
pub(super) async fn create_funded_psbt(_call: &Call) -> RpcResult {
    Err(RpcError::misc("not implemented"))
}
