//! Methods that the front door answers itself.

mod bench;
mod clock;
mod coins;
mod combine_raw;
mod dialogue;
mod help;
mod keys;
mod logging;
mod memory;
mod process_psbt;
mod sign_raw;
mod state;

use bulkhead_control::{Answer, ControlError, Request};
use bulkhead_schema::methods::Method;
use serde_json::Value;

pub(crate) use help::text_of;

use crate::door::{Caller, Door};
use crate::jsonrpc::{CallError, CallResult, code};

/// Executes a method of [`bulkhead_schema::methods::Owner::Rpc`].
///
/// # Errors
/// Whatever goes to the client as the error of the call.
pub async fn execute(door: &Door, method: &Method, params: &[Value], _caller: &Caller) -> CallResult {
    match method.name {
        "help" => help::help(door, params),
        "stop" => state::stop(door, params).await,
        "uptime" => Ok(state::uptime(door)),
        "getrpcinfo" => Ok(state::rpc_info(door)),
        "getsandboxinfo" => state::sandbox_info(door).await,
        "getzmqnotifications" => Ok(state::zmq_notifications(door)),
        "getmemoryinfo" => memory::memory_info(door, params),
        "logging" => logging::logging(door, params).await,
        "echo" | "echojson" => dialogue::echo(params),
        "echoipc" => dialogue::echo_ipc(door, params).await,
        "ipcbench" => bench::ipc_bench(door, params).await,
        "setmocktime" => clock::set_mock_time(door, params).await,
        "mockscheduler" => clock::mock_scheduler(door, params).await,
        "signmessagewithprivkey" => keys::sign_message(door, params).await,
        "combinerawtransaction" => combine_raw::combine(door, params).await,
        "signrawtransactionwithkey" => sign_raw::sign_raw(door, params).await,
        "descriptorprocesspsbt" => process_psbt::process(door, params).await,
        "generate" => Err(CallError::new(code::METHOD_NOT_FOUND, help::text_of(method))),
        _ => Err(CallError::method_not_found()),
    }
}

/// Asks the supervisor, without holding up the other calls.
pub(crate) async fn ask(door: &Door, request: Request) -> Result<Answer, CallError> {
    let control = door.control.clone();
    match tokio::task::spawn_blocking(move || control.request(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(ControlError::Refused { code, message })) => {
            Err(CallError::new(if code == 0 { code::MISC } else { code }, message))
        }
        Ok(Err(error)) => Err(CallError::new(code::INTERNAL, error.to_string())),
        Err(error) => Err(CallError::new(code::INTERNAL, error.to_string())),
    }
}

/// A parameter that may be missing.
fn param(params: &[Value], index: usize) -> &Value {
    params.get(index).unwrap_or(&Value::Null)
}

/// A parameter that is a whole number of 64 bits, with Core's errors for others.
fn integer(params: &[Value], index: usize) -> Result<i64, CallError> {
    param(params, index).as_i64().ok_or_else(|| CallError::new(code::TYPE, "JSON integer out of range"))
}
