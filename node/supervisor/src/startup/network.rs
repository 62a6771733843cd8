//! Options of the network side that are checked before net starts: ports, networks, user agent.

use super::arguments::Options;
use super::endpoints::split_host_port;
use crate::error::{NodeError, init};
use bulkhead_config::version::{MAX_SUBVERSION_LENGTH, user_agent};

/// Option, may be a unix socket, may end in "=suffix".
const WITH_PORT: [(&str, bool, bool); 12] = [
    ("-i2psam", false, false),
    ("-onion", true, false),
    ("-proxy", true, true),
    ("-bind", false, true),
    ("-rpcbind", false, false),
    ("-torcontrol", false, false),
    ("-whitebind", false, false),
    ("-zmqpubhashblock", true, false),
    ("-zmqpubhashtx", true, false),
    ("-zmqpubrawblock", true, false),
    ("-zmqpubrawtx", true, false),
    ("-zmqpubsequence", true, false),
];

/// Every port in every option.
pub(crate) fn check_ports(options: &Options) -> Result<(), NodeError> {
    let invalid = |option: &str, value: &str| init(format!("Invalid port specified in {option}: '{value}'"));
    for option in ["-port", "-rpcport"] {
        if let Some(value) = options.args.get(option) {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || value.parse::<u16>().map_or(0, |port| port) == 0 {
                return Err(invalid(option, &value));
            }
        }
    }
    for (option, unix, suffix) in WITH_PORT {
        for value in options.args.get_all(option) {
            let endpoint = if suffix { value.rsplit_once('=').map_or(value.as_str(), |(e, _)| e) } else { &value };
            // ZMQ endpoints carry a scheme.
            let endpoint = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
            if split_host_port(endpoint, 1).is_none() && !(unix && value.starts_with("unix:")) {
                return Err(invalid(option, &value));
            }
        }
    }
    Ok(())
}

/// `-onlynet` names and what they exclude.
pub(crate) fn check_networks(options: &Options) -> Result<(), NodeError> {
    let args = &options.args;
    let only: Vec<String> = args.get_all("-onlynet").iter().map(|name| name.to_lowercase()).collect();
    for (name, given) in only.iter().zip(args.get_all("-onlynet")) {
        if !matches!(name.as_str(), "ipv4" | "ipv6" | "onion" | "i2p" | "cjdns") {
            return Err(init(format!("Unknown network specified in -onlynet: '{given}'")));
        }
    }
    let reachable = |network: &str| only.is_empty() || only.iter().any(|name| name == network);
    if !args.is_set("-cjdnsreachable") && !only.is_empty() && reachable("cjdns") {
        return Err(init("Outbound connections restricted to CJDNS (-onlynet=cjdns) but -cjdnsreachable is not provided"));
    }
    if args.get_bool("-dnsseed") == Some(true) && !reachable("ipv4") && !reachable("ipv6") {
        return Err(init(
            "Incompatible options: -dnsseed=1 was explicitly specified, but -onlynet forbids connections to IPv4/IPv6",
        ));
    }
    Ok(())
}

/// The user agent, after a check of `-uacomment` (BIP 14).
pub(crate) fn subversion(options: &Options) -> Result<String, NodeError> {
    let comments = options.args.get_all("-uacomment");
    for comment in &comments {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b" .,;-_?@".contains(&byte);
        if !comment.bytes().all(safe) {
            return Err(init(format!("User Agent comment ({comment}) contains unsafe characters.")));
        }
    }
    let agent = user_agent(&comments);
    if agent.len() > MAX_SUBVERSION_LENGTH {
        return Err(init(format!(
            "Total length of network version string ({}) exceeds maximum length ({MAX_SUBVERSION_LENGTH}). Reduce the \
             number or size of uacomments.",
            agent.len()
        )));
    }
    Ok(agent)
}
