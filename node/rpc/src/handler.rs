//! HTTP request in, HTTP reply out: paths and authentication.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::body;
use crate::calls::{self, Outcome};
use crate::door::{Caller, Door};
use crate::http::parse::{Method, Request};
use crate::http::reply::Reply;

/// How long the answer to a wrong password takes.
const WRONG_PASSWORD_DELAY: Duration = Duration::from_millis(250);

/// Which part of the server a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// JSON-RPC.
    Rpc,
    /// REST.
    Rest,
}

/// The part of the server that a target belongs to.
#[must_use]
pub fn route(target: &str, rest: bool) -> Option<Route> {
    if target == "/" || target.starts_with("/wallet/") {
        Some(Route::Rpc)
    } else if rest && target.starts_with("/rest/") {
        Some(Route::Rest)
    } else {
        None
    }
}

fn unauthorized() -> Reply {
    Reply::empty(401).with("WWW-Authenticate", "Basic realm=\"jsonrpc\"")
}

/// Answers a JSON-RPC request.
pub async fn rpc(door: Rc<Door>, request: &Request, peer: SocketAddr) -> Reply {
    if request.method != Method::Post {
        return Reply::text(405, "JSONRPC server handles only POST requests");
    }
    let Some(header) = request.header("Authorization") else { return unauthorized() };
    let user = match door.credentials.check(header) {
        Some((user, true)) => user,
        _ => {
            tracing::warn!("ThreadRPCServer incorrect password attempt from {peer}");
            tokio::time::sleep(WRONG_PASSWORD_DELAY).await;
            return unauthorized();
        }
    };
    let caller = Caller { user, uri: request.target.clone() };
    let Outcome { status, text } = calls::execute(&door, body::read(&request.body), &caller).await;
    match text {
        Some(mut text) => {
            text.push('\n');
            Reply::typed(status, "application/json", text.into_bytes())
        }
        None => Reply::empty(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_part() {
        for (target, rest, expected) in [
            ("/", false, Some(Route::Rpc)),
            ("/wallet/", false, Some(Route::Rpc)),
            ("/wallet/a%20b", false, Some(Route::Rpc)),
            ("/x", false, None),
            ("/rest/chaininfo.json", false, None),
            ("/rest/chaininfo.json", true, Some(Route::Rest)),
        ] {
            assert_eq!(route(target, rest), expected, "{target}");
        }
    }
}
