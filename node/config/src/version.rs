//! What the client calls itself. The numbers are those of the Bitcoin Core whose RPC shapes we have, because
//! clients gate features on them.

/// The client's name in texts and in the user agent.
pub const CLIENT_NAME: &str = "Bulkhead";
/// `getnetworkinfo.version`.
pub const CLIENT_VERSION: i64 = 319_900;
/// "v31.99.0".
pub const FULL_VERSION: &str = "v31.99.0";
/// The version in the user agent.
pub const USER_AGENT_VERSION: &str = "31.99.0";
/// Where to report bugs.
pub const BUG_REPORT: &str = "the issue tracker of Bulkhead";
/// The longest user agent, bytes (Core's `MAX_SUBVERSION_LENGTH`).
pub const MAX_SUBVERSION_LENGTH: usize = 256;

/// The user agent with its comments: "/Bulkhead:31.99.0(a; b)/".
#[must_use]
pub fn user_agent(comments: &[String]) -> String {
    let comments = if comments.is_empty() { String::new() } else { format!("({})", comments.join("; ")) };
    format!("/{CLIENT_NAME}:{USER_AGENT_VERSION}{comments}/")
}

/// What `-version` prints after its first line.
#[must_use]
pub fn license_info() -> &'static str {
    "Copyright (C) 2026 The Bulkhead developers\n\n\
     Bulkhead runs Bitcoin as a set of confined processes. It is experimental software under the MIT licence;\n\
     see the file LICENSE that comes with it.\n"
}
