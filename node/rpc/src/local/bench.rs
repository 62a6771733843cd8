//! `ipcbench`: how fast the edge from the front door to chain is, between the two live processes.

use std::time::{Duration, Instant};

use bulkhead_schema::wire::rpc_chain_capnp::rpc_chain;
use serde_json::{Value, json};

use super::integer;
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

/// Most calls of one measurement.
const MAX_CALLS: i64 = 1_000_000;
/// Most calls that are in flight at once.
const MAX_DEPTH: i64 = 100;
/// Largest blob in bytes; chain's `echo` accepts 4 MiB.
const MAX_BLOB: i64 = 4_000_000;
/// Blobs sent there and back.
const BLOBS: u32 = 50;

/// Measures null calls one by one, null calls in flight together, and blobs there and back.
///
/// # Errors
/// Numbers out of range, or chain did not answer.
pub(super) async fn ipc_bench(door: &Door, params: &[Value]) -> CallResult {
    let bounded = |index, most| match integer(params, index) {
        Ok(number) if (1..=most).contains(&number) => usize::try_from(number).map_err(|_| out_of_range()),
        Ok(_) => Err(out_of_range()),
        Err(error) => Err(error),
    };
    let (calls, depth, blob) = (bounded(0, MAX_CALLS)?, bounded(1, MAX_DEPTH)?, bounded(2, MAX_BLOB)?);
    let chain = door.owners.chain.get().map_err(broken)?;
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begin = Instant::now();
        null_call(&chain).await?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let pipelined = pipelined(&chain, calls, depth).await?;
    let blobs = blobs(&chain, blob).await?;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let result = json!({
        "calls": calls,
        "null_call_p50_us": micros(times[calls / 2]),
        "null_call_p99_us": micros(times[calls * 99 / 100]),
        "pipelined_per_second": calls as f64 / pipelined.as_secs_f64(),
        "blob_gigabytes_per_second": 2.0 * blob as f64 * f64::from(BLOBS) / blobs.as_secs_f64() / 1e9,
    });
    Ok(result.to_string())
}

fn out_of_range() -> CallError {
    CallError::new(code::INVALID_PARAMETER, "number out of range")
}

fn broken(error: impl core::fmt::Display) -> CallError {
    CallError::new(code::INTERNAL, format!("bitcoin-chain did not answer: {error}"))
}

async fn null_call(chain: &rpc_chain::Client) -> Result<(), CallError> {
    chain.ping_request().send().promise.await.map(|_| ()).map_err(broken)
}

async fn pipelined(chain: &rpc_chain::Client, calls: usize, depth: usize) -> Result<Duration, CallError> {
    use futures::stream::{StreamExt, TryStreamExt, iter};
    let begin = Instant::now();
    iter(0..calls).map(|_| null_call(chain)).buffer_unordered(depth).try_collect::<()>().await?;
    Ok(begin.elapsed())
}

async fn blobs(chain: &rpc_chain::Client, size: usize) -> Result<Duration, CallError> {
    let blob = vec![0x5a; size];
    let begin = Instant::now();
    for _ in 0..BLOBS {
        let mut call = chain.echo_request();
        call.get().set_data(&blob);
        let response = call.send().promise.await.map_err(broken)?;
        let data = response.get().and_then(|results| results.get_data()).map_err(broken)?;
        if data.len() != size {
            return Err(broken("the blob came back with another size"));
        }
    }
    Ok(begin.elapsed())
}
