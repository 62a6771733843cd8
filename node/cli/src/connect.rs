//! One request to the node, by unix socket or HTTP, with `-rpcwait`.

use std::time::{Duration, Instant};

use bulkhead_config::ArgsManager;
use serde_json::Value;

use crate::credentials::{Source, credentials};
use crate::{CliError, http, ipc};

/// Where the node listens when nothing is said.
const DEFAULT_HOST: &str = "127.0.0.1";
/// Seconds to wait for a reply when nothing is said.
const DEFAULT_TIMEOUT: i64 = 900;
/// Time between two tries of `-rpcwait`.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);
/// The error code of a node that is starting.
const IN_WARMUP: i64 = -28;

/// The path of a wallet's calls.
#[must_use]
pub fn endpoint(wallet: Option<&str>) -> String {
    let Some(wallet) = wallet else { return "/".into() };
    let mut path = String::from("/wallet/");
    for byte in wallet.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The wallet of `-rpcwallet`.
#[must_use]
pub fn wallet_name(args: &ArgsManager) -> Option<String> {
    if args.is_negated("-rpcwallet") { None } else { args.get("-rpcwallet") }
}

/// Host and port of a server.
fn split_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let is_bracketed = text.starts_with('[') && text.contains(']');
    let has_port = match text.rfind(':') {
        Some(colon) if is_bracketed => text[..colon].ends_with(']').then_some(colon),
        // More than one colon without brackets: an IPv6 address.
        Some(colon) if text.find(':') == Some(colon) => Some(colon),
        _ => None,
    };
    let (host, port) = match has_port {
        Some(colon) => (&text[..colon], Some(port_number(&text[colon + 1..])?)),
        None => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), port))
}

fn port_number(text: &str) -> Option<u16> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits_only && *port != 0)
}

/// Host and port to use, and a warning for stderr.
fn server(args: &ArgsManager) -> Result<(String, u16, Option<String>), CliError> {
    let named = args.get_or("-rpcconnect", DEFAULT_HOST);
    let (host, named_port) =
        split_host_port(&named).ok_or_else(|| CliError::other(format!("Invalid port provided in -rpcconnect: {named}")))?;
    let default = args.chain().unwrap_or_default().rpc_port();
    let Some(port) = args.get("-rpcport") else { return Ok((host, named_port.unwrap_or(default), None)) };
    let port = port_number(&port).ok_or_else(|| CliError::other(format!("Invalid port provided in -rpcport: {port}")))?;
    let warning = named_port.map(|_| format!("Warning: Port specified in both -rpcconnect and -rpcport. Using -rpcport {port}"));
    Ok((host, port, warning))
}

fn by_http(args: &ArgsManager, request: &str, path: &str) -> Result<String, CliError> {
    let (host, port, warning) = server(args)?;
    if let Some(warning) = warning {
        eprintln!("{warning}");
    }
    let limit = u64::try_from(args.int_or("-rpcclienttimeout", DEFAULT_TIMEOUT))
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    let mut source = Source::NoCookie;
    let found = || {
        let (text, from) = credentials(args);
        source = from;
        text
    };
    let response = http::post(&host, port, path, found, &format!("{request}\n"), limit).map_err(|error| {
        CliError::Connection(format!(
            "Error while attempting to communicate with server {host}:{port} ({error})\n\n\
             Make sure the bitcoind server is running and that you are connecting to the correct RPC port.\n\
             Use \"bitcoin-cli -help\" for more info."
        ))
    })?;
    match response.status {
        401 => {
            let file = args.config_file(&bulkhead_config::RealFiles);
            Err(CliError::other(format!("Authorization failed: {} Configuration file: ({})", source.refusal(), file.display())))
        }
        503 => Err(CliError::other(format!("Server response: {}", response.body))),
        status if status >= 400 && ![400, 404, 500].contains(&status) => {
            Err(CliError::other(format!("server returned HTTP error {status}")))
        }
        _ if response.body.is_empty() => Err(CliError::other("no response from server")),
        _ => Ok(response.body),
    }
}

fn once(args: &ArgsManager, request: &str, path: &str) -> Result<Value, CliError> {
    let text = match ipc::socket(args)? {
        Some(stream) => ipc::call(stream, request, path, &args.get_or("-rpcuser", ""))?,
        None => by_http(args, request, path)?,
    };
    serde_json::from_str(&text).map_err(|_| CliError::other("couldn't parse reply from server"))
}

/// Sends a request and answers the reply.
///
/// # Errors
/// No connection (in time), or a reply that is none.
pub fn exchange(args: &ArgsManager, request: &str, wallet: Option<&str>) -> Result<Value, CliError> {
    let path = endpoint(wallet);
    let wait = args.bool_or("-rpcwait", false);
    let limit = u64::try_from(args.int_or("-rpcwaittimeout", 0)).unwrap_or(0);
    let start = Instant::now();
    loop {
        let outcome = once(args, request, &path).and_then(|reply| {
            if wait && reply["error"]["code"].as_i64() == Some(IN_WARMUP) {
                return Err(CliError::Connection("server in warmup".into()));
            }
            Ok(reply)
        });
        match outcome {
            Err(CliError::Connection(_)) if wait && (limit == 0 || start.elapsed() < Duration::from_secs(limit)) => {
                std::thread::sleep(WAIT_INTERVAL);
            }
            Err(CliError::Connection(text)) if wait => return Err(CliError::Timeout(text)),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("127.0.0.1", "127.0.0.1", None),
            ("127.0.0.1:5", "127.0.0.1", Some(5)),
            ("[::1]:5", "::1", Some(5)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("host", "host", None),
        ] {
            assert_eq!(split_host_port(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in ["127.0.0.1:notaport", "127.0.0.1:-1", "127.0.0.1:0", "127.0.0.1:65536", "[::1]:0", "h:+1"] {
            assert_eq!(split_host_port(text), None, "{text}");
        }
    }

    #[test]
    fn wallet_names_are_percent_encoded() {
        assert_eq!(endpoint(None), "/");
        assert_eq!(endpoint(Some("")), "/wallet/");
        assert_eq!(endpoint(Some("a b/ü")), "/wallet/a%20b%2F%C3%BC");
    }
}
