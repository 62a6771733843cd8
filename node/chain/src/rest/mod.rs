//! The REST interface (Core: src/rest.cpp): read only, without credentials, in binary, hex or JSON.

mod blocks;
mod coins;
mod figures;
mod query;

use bulkhead_rpc_util::RpcError;
use bulkhead_rpc_util::codec::parse_block_hash;
use serde_json::Value;

use crate::rpc::Context;
use query::Query;

/// What goes back to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// A refusal: status and text without the end of the line.
type Refusal = (u16, String);
type Outcome = Result<Reply, Refusal>;

const BAD_REQUEST: u16 = 400;
const NOT_FOUND: u16 = 404;
const FAILURE: u16 = 500;

/// Asked for by the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Hex,
    Json,
}

fn bad<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err((BAD_REQUEST, text.into()))
}

/// No format that this endpoint has.
fn no_format<T>(available: &str) -> Result<T, Refusal> {
    Err((NOT_FOUND, format!("output format not found (available: {available})")))
}

/// Splits the format from the end of a path.
fn split_format(path: &str) -> (&str, Option<Format>) {
    let Some((rest, end)) = path.rsplit_once('.') else { return (path, None) };
    match end {
        "bin" => (rest, Some(Format::Binary)),
        "hex" => (rest, Some(Format::Hex)),
        "json" => (rest, Some(Format::Json)),
        _ => (path, None),
    }
}

fn json_reply(value: &Value) -> Outcome {
    Ok(Reply { status: 200, content_type: "application/json", body: format!("{value}\n").into_bytes() })
}

/// Bytes as they are or as hex; `json` makes the third form.
fn reply(
    format: Option<Format>,
    bytes: impl FnOnce() -> Result<Vec<u8>, Refusal>,
    json: impl FnOnce() -> Result<Value, Refusal>,
) -> Outcome {
    match format {
        Some(Format::Binary) => Ok(Reply { status: 200, content_type: "application/octet-stream", body: bytes()? }),
        Some(Format::Hex) => {
            let body = format!("{}\n", hex::encode(bytes()?)).into_bytes();
            Ok(Reply { status: 200, content_type: "text/plain", body })
        }
        Some(Format::Json) => json_reply(&json()?),
        None => no_format(".bin, .hex, .json"),
    }
}

/// A number of decimal digits only; Core takes no sign and no blanks.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A hash of 64 hex digits.
fn hash_of(text: &str) -> Result<bitcoin::BlockHash, Refusal> {
    parse_block_hash(&Value::from(text), "hash").map_err(|_| (BAD_REQUEST, format!("Invalid hash: {text}")))
}

/// A failure of a method, for endpoints that answer as one.
fn failed(error: RpcError) -> Refusal {
    (FAILURE, error.message)
}

type Endpoint = fn(&Context, &Request<'_>) -> Outcome;

/// Longer prefixes before shorter ones that begin alike.
const ENDPOINTS: &[(&str, Endpoint)] = &[
    ("/rest/tx/", figures::transaction),
    ("/rest/block/notxdetails/", blocks::without_details),
    ("/rest/block/", blocks::block),
    ("/rest/blockpart/", blocks::part),
    ("/rest/blockfilter/", blocks::filter),
    ("/rest/blockfilterheaders/", blocks::filter_headers),
    ("/rest/chaininfo", figures::chain_info),
    ("/rest/mempool/", figures::mempool),
    ("/rest/headers/", blocks::headers),
    ("/rest/getutxos", coins::unspent),
    ("/rest/deploymentinfo/", figures::deployments),
    ("/rest/deploymentinfo", figures::deployments),
    ("/rest/blockhashbyheight/", blocks::hash_by_height),
    ("/rest/spenttxouts/", coins::spent),
];

/// A request to an endpoint.
struct Request<'a> {
    /// Behind the endpoint, without format.
    path: &'a str,
    format: Option<Format>,
    query: Query<'a>,
    body: &'a [u8],
}

/// Answers a request: path and query of the target, and the body.
pub fn answer(context: &Context, path: &str, query: &str, body: &[u8]) -> Reply {
    let found = ENDPOINTS.iter().find_map(|(prefix, endpoint)| Some((path.strip_prefix(prefix)?, endpoint)));
    let Some((rest, endpoint)) = found else { return Reply { status: NOT_FOUND, content_type: "text/html", body: Vec::new() } };
    // A fragment belongs to nobody but the client.
    let query = Query(query.split('#').next().unwrap_or_default());
    let (path, format) = split_format(rest);
    let outcome = endpoint(context, &Request { path, format, query, body });
    outcome.unwrap_or_else(|(status, text)| Reply {
        status,
        content_type: "text/plain",
        body: format!("{text}\r\n").into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_from_names() {
        assert_eq!(split_format("ab.json"), ("ab", Some(Format::Json)));
        assert_eq!(split_format("ab.c.hex"), ("ab.c", Some(Format::Hex)));
        assert_eq!(split_format("ab.txt"), ("ab.txt", None));
        assert_eq!(split_format("ab"), ("ab", None));
    }

    #[test]
    fn every_endpoint_can_be_reached() {
        for (at, (prefix, _)) in ENDPOINTS.iter().enumerate() {
            assert!(!ENDPOINTS[..at].iter().any(|(before, _)| prefix.starts_with(before)), "{prefix}");
        }
    }
}
