//! What the split costs: each figure with the sandbox strict and off, in one run.

use std::time::{Duration, Instant};

use bulkhead_tests::node::{Node, PATIENCE};
use bulkhead_tests::proc::is_alive;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::Outcome;

/// Starts and restarts measured per mode.
const ROUNDS: usize = 10;
/// Calls per latency measurement.
const CALLS: u64 = 20_000;

/// Measures and prints.
pub fn run() -> Outcome<()> {
    println!("{:<44} {:>14} {:>14}", "figure", "strict", "off");
    // Interleaved, so that both modes see the same machine.
    let mut rows: Vec<(String, [f64; 2], &str)> = Vec::new();
    let (mut starts, mut restarts) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..ROUNDS {
        for (index, mode) in ["-sandbox=strict", "-sandbox=off"].into_iter().enumerate() {
            let begin = Instant::now();
            let node = Node::start(&[mode])?;
            starts[index].push(begin.elapsed());
            restarts[index].push(restart_of_net(&node)?);
            node.stop()?;
        }
    }
    rows.push(("start of all processes to ready, ms".into(), starts.map(median_ms), ""));
    rows.push(("restart of a killed bitcoin-net, ms".into(), restarts.map(median_ms), ""));
    let mut figures = Vec::new();
    for mode in ["-sandbox=strict", "-sandbox=off"] {
        let node = Node::start(&[mode])?;
        let call = |params: Value| node.call("ipcbench", params).map_err(|error| format!("{error:?}"));
        let ipc = call(json!([CALLS, 64, 2_000_000]))?;
        figures.push((ipc, http_latency(&node)?));
        node.stop()?;
    }
    let [(strict, strict_http), (off, off_http)] = &figures[..] else { return Err("two modes".into()) };
    for (field, name) in [
        ("null_call_p50_us", "null call rpc - chain, p50 us"),
        ("null_call_p99_us", "null call rpc - chain, p99 us"),
        ("pipelined_per_second", "pipelined calls per second"),
        ("blob_gigabytes_per_second", "2 MB blob, GB/s (both ways)"),
    ] {
        let value = |answer: &Value| answer[field].as_f64().ok_or_else(|| format!("no {field} in {answer}"));
        rows.push((name.into(), [value(strict)?, value(off)?], ""));
    }
    rows.push(("getblockcount over HTTP, p50 us".into(), [strict_http.0, off_http.0], ""));
    rows.push(("getblockcount over HTTP, p99 us".into(), [strict_http.1, off_http.1], ""));
    for (name, [strict, off], _) in rows {
        println!("{name:<44} {strict:>14.2} {off:>14.2}");
    }
    Ok(())
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// From SIGKILL to the first answer of the new process.
fn restart_of_net(node: &Node) -> Outcome<Duration> {
    let old = node.pid_of("net")?;
    let begin = Instant::now();
    kill(Pid::from_raw(old), Signal::SIGKILL).map_err(|error| error.to_string())?;
    loop {
        if !is_alive(old) && node.call("getconnectioncount", json!([])).is_ok() {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() > PATIENCE {
            return Err("bitcoin-net does not come back".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Median and 99th percentile of `getblockcount`, each call on its own connection, in microseconds.
pub fn http_latency(node: &Node) -> Outcome<(f64, f64)> {
    let mut times = Vec::new();
    for _ in 0..2000 {
        let begin = Instant::now();
        node.call("getblockcount", json!([])).map_err(|error| format!("{error:?}"))?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
}
