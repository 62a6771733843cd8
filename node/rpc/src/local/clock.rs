//! setmocktime, mockscheduler

use bulkhead_control::Request;
use serde_json::Value;

use super::{ask, integer};
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

pub(super) async fn set_mock_time(door: &Door, params: &[Value]) -> CallResult {
    regtest_only(door, "setmocktime")?;
    let time = integer(params, 0)?;
    // Times of blocks have 32 bits.
    let latest = i64::from(u32::MAX);
    if !(0..=latest).contains(&time) {
        return Err(CallError::new(code::INVALID_PARAMETER, format!("Mocktime must be in the range [0, {latest}], not {time}.")));
    }
    ask(door, Request::SetMockTime(time)).await?;
    Ok("null".into())
}

pub(super) async fn mock_scheduler(door: &Door, params: &[Value]) -> CallResult {
    regtest_only(door, "mockscheduler")?;
    let seconds = integer(params, 0)?;
    if !(1..=3600).contains(&seconds) {
        return Err(CallError::new(code::MISC, "delta_time must be between 1 and 3600 seconds (1 hr)"));
    }
    ask(door, Request::ForwardScheduler(seconds)).await?;
    Ok("null".into())
}

fn regtest_only(door: &Door, method: &str) -> Result<(), CallError> {
    if door.config.network == "regtest" {
        return Ok(());
    }
    Err(CallError::new(code::MISC, format!("{method} is for regression testing (-regtest mode) only")))
}
