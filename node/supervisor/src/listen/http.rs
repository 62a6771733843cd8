//! RPC listening sockets: `-rpcbind`, `-rpcallowip`, `-rpcport`.

use crate::error::{NodeError, init};
use crate::startup::arguments::Options;
use crate::startup::directories::strerror;
use crate::startup::endpoints::{numeric, split_host_port};
use nix::sys::socket::{Backlog, listen};
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// A socket that listens, and its address.
#[derive(Debug)]
pub(crate) struct Listener {
    pub socket: OwnedFd,
    pub address: String,
}

/// Lets clients connect. A socket that cannot listen any more is left out; at least one must.
pub(crate) fn listen_all(bound: Vec<Listener>) -> Result<Vec<Listener>, NodeError> {
    let mut listeners = Vec::new();
    for listener in bound {
        match listen(&listener.socket, Backlog::MAXCONN) {
            Ok(()) => listeners.push(listener),
            Err(error) => {
                let reason = strerror(error as i32);
                tracing::warn!("Binding RPC on address {} failed: {reason}", listener.address);
            }
        }
    }
    at_least_one(listeners)
}

fn at_least_one(listeners: Vec<Listener>) -> Result<Vec<Listener>, NodeError> {
    if listeners.is_empty() {
        tracing::error!("Unable to bind any endpoint for RPC server");
        return Err(init(FAILED));
    }
    Ok(listeners)
}

/// Core's text when HTTP can't be served; the log says why.
pub(crate) const FAILED: &str = "Unable to start HTTP server. See debug log for details.";

/// Binds the sockets; at least one must bind. They listen only when [`listen_all`] says so, after the cookie was written:
/// a client that finds the door open finds the key beside it.
pub(crate) fn open(options: &Options) -> Result<Vec<Listener>, NodeError> {
    let mut listeners = Vec::new();
    for (host, port) in endpoints(options)? {
        tracing::info!("Binding RPC on address {host} port {port}");
        let Some(address) = numeric(&host, port).map(|mut address| {
            address.set_port(port);
            address
        }) else {
            tracing::warn!("Could not bind RPC on address {host} port {port}: Address lookup failed.");
            continue;
        };
        if address.ip().is_unspecified() {
            tracing::warn!("The RPC server is not safe to expose to untrusted networks such as the public internet");
        }
        match super::bound_tcp(address, options.after_crash) {
            Ok(socket) => listeners.push(Listener { socket, address: address.to_string() }),
            Err(error) => {
                let reason = strerror(error as i32);
                tracing::warn!("Binding RPC on address {address} failed: {reason}");
            }
        }
    }
    at_least_one(listeners)
}

fn endpoints(options: &Options) -> Result<Vec<(String, u16)>, NodeError> {
    let args = &options.args;
    let default = options.chain.rpc_port();
    let port = args.get_int("-rpcport").and_then(|port| u16::try_from(port).ok()).unwrap_or(default);
    let (allowed, bound) = (args.get_all("-rpcallowip"), args.get_all("-rpcbind"));
    check_allowed(&allowed, args.bool_or("-cjdnsreachable", false))?;
    // Both or neither: nobody exposes RPC by mistake.
    if allowed.is_empty() || bound.is_empty() {
        if !allowed.is_empty() {
            tracing::warn!("Option -rpcallowip was specified without -rpcbind; this doesn't usually make sense");
        }
        if !bound.is_empty() {
            tracing::warn!(
                "Option -rpcbind was ignored because -rpcallowip was not specified, refusing to allow everyone to \
                 connect"
            );
        }
        return Ok(vec![("::1".into(), port), ("127.0.0.1".into(), port)]);
    }
    let split = |given: &String| {
        split_host_port(given, port).ok_or_else(|| {
            tracing::error!("Invalid port specified in -rpcbind: '{given}'");
            init(FAILED)
        })
    };
    bound.iter().map(split).collect()
}

/// Checks `-rpcallowip`. With CJDNS, fc00::/8 are addresses of that network and no subnet to allow.
fn check_allowed(allowed: &[String], cjdns: bool) -> Result<(), NodeError> {
    for given in allowed {
        if !is_subnet(given) || (cjdns && given.to_lowercase().trim_start_matches('[').starts_with("fc")) {
            let text = format!(
                "Invalid -rpcallowip subnet specification: {given}. Valid values are a single IP (e.g. 1.2.3.4), a \
                 network/netmask (e.g. 1.2.3.4/255.255.255.0), a network/CIDR (e.g. 1.2.3.4/24), all ipv4 \
                 (0.0.0.0/0), or all ipv6 (::/0). RFC4193 is allowed only if -cjdnsreachable=0."
            );
            eprintln!("Error: {text}");
            tracing::error!("{text}");
            return Err(init(FAILED));
        }
    }
    Ok(())
}

/// An address (in brackets too), a network with prefix length, or a network with mask.
fn is_subnet(text: &str) -> bool {
    let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let Ok(ip) = address.parse::<IpAddr>() else { return false };
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    match mask {
        None => true,
        Some(mask) if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) => {
            mask.parse::<u32>().is_ok_and(|length| length <= bits)
        }
        Some(mask) => match (ip, mask.parse::<IpAddr>()) {
            (IpAddr::V4(_), Ok(IpAddr::V4(mask))) => {
                let mask = u32::from(mask);
                mask.leading_ones() + mask.trailing_zeros() == 32 || mask == 0
            }
            (IpAddr::V6(_), Ok(IpAddr::V6(mask))) => {
                let mask = u128::from(mask);
                mask == 0 || mask.leading_ones() + mask.trailing_zeros() == 128
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_is_subnet_like_core() {
        for good in ["1.2.3.4", "1.2.3.4/24", "1.2.3.4/255.255.255.0", "0.0.0.0/0", "::/0", "::1"] {
            assert!(is_subnet(good), "{good}");
        }
        for bad in ["", "a", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/255.0.255.0", "::1/129", "1.2.3.4/::"] {
            assert!(!is_subnet(bad), "{bad}");
        }
    }
}
