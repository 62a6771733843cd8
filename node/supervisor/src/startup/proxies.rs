//! Proxies, external addresses and private broadcast: what can be known before net starts.

use super::arguments::Options;
use super::endpoints::split_host_port;
use crate::error::{NodeError, init};
use bulkhead_config::ArgsManager;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

const TOR_SOCKS_PORT: u16 = 9050;
const SAM_PORT: u16 = 7656;
/// The longest path of a unix socket, bytes.
const MAX_UNIX_PATH: usize = 107;

/// An address, or a name that resolves where names may be looked up, of something that can be reached.
fn resolves(args: &ArgsManager, text: &str, default: u16) -> bool {
    let Some((host, port)) = split_host_port(text, default) else { return false };
    if let Ok(address) = host.parse() {
        return is_somewhere(address);
    }
    let first = || (host.as_str(), port).to_socket_addrs().ok()?.next();
    args.bool_or("-dns", true) && !host.is_empty() && first().is_some_and(|first| is_somewhere(first.ip()))
}

/// Not the address that stands for all of a machine's, nor that for all machines (Core: `CNetAddr::IsValid`).
fn is_somewhere(address: IpAddr) -> bool {
    !address.is_unspecified() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn is_proxy(args: &ArgsManager, text: &str) -> bool {
    match text.strip_prefix("unix:") {
        Some(path) => !path.is_empty() && path.len() <= MAX_UNIX_PATH,
        None => resolves(args, text, TOR_SOCKS_PORT),
    }
}

/// What the options leave reachable.
#[derive(Debug, Default)]
struct Reachable {
    onion_proxy: bool,
    i2p: bool,
}

/// Checks everything, in Core's order.
pub(crate) fn check(options: &Options) -> Result<(), NodeError> {
    let args = &options.args;
    let only: Vec<String> = args.get_all("-onlynet").iter().map(|name| name.to_lowercase()).collect();
    let only_names = |network: &str| only.iter().any(|name| name == network);
    let mut reachable = Reachable { onion_proxy: proxies(args)?, i2p: false };
    onion(args, &mut reachable, only_names("onion"))?;
    for given in args.get_all("-externalip") {
        // An onion or I2P address is no name to look up.
        let special = [".onion", ".i2p"].iter().any(|suffix| given.contains(suffix));
        if !special && !resolves(args, &given, crate::listen::p2p::port(options)) {
            return Err(init(format!("Cannot resolve -externalip address: '{given}'")));
        }
    }
    let sam = args.get_or("-i2psam", "");
    if !sam.is_empty() {
        if !resolves(args, &sam, SAM_PORT) {
            return Err(init(format!("Invalid -i2psam address or hostname: '{sam}'")));
        }
        reachable.i2p = only.is_empty() || only_names("i2p");
    } else if only_names("i2p") {
        return Err(init("Outbound connections restricted to i2p (-onlynet=i2p) but -i2psam is not provided"));
    }
    private_broadcast(args, &reachable, &only)
}

/// `-proxy`; says whether onion addresses go through one.
fn proxies(args: &ArgsManager) -> Result<bool, NodeError> {
    let mut onion = false;
    for given in args.get_all("-proxy") {
        let (proxy, network) = match given.rsplit_once('=') {
            None => (given.as_str(), String::new()),
            Some((_, "")) => {
                return Err(init(format!("Invalid -proxy address or hostname, ends with '=': '{given}'")));
            }
            Some((proxy, network)) => (proxy, network.to_lowercase()),
        };
        let set = !matches!(proxy, "" | "0");
        if set && !is_proxy(args, proxy) {
            return Err(init(format!("Invalid -proxy address or hostname: '{proxy}'")));
        }
        match network.as_str() {
            "" | "onion" | "tor" => onion = set,
            "ipv4" | "ipv6" | "cjdns" => {}
            other => return Err(init(format!("Unrecognized network in -proxy='{given}': '{other}'"))),
        }
    }
    Ok(onion)
}

fn onion(args: &ArgsManager, reachable: &mut Reachable, only_onion: bool) -> Result<(), NodeError> {
    match args.get_or("-onion", "").as_str() {
        "" => {}
        "0" => {
            reachable.onion_proxy = false;
            if only_onion {
                return Err(init(
                    "Outbound connections restricted to Tor (-onlynet=onion) but the proxy for reaching the Tor \
                     network is explicitly forbidden: -onion=0",
                ));
            }
        }
        proxy if is_proxy(args, proxy) => reachable.onion_proxy = true,
        proxy => return Err(init(format!("Invalid -onion address or hostname: '{proxy}'"))),
    }
    if only_onion && !reachable.onion_proxy && !args.bool_or("-listenonion", true) {
        return Err(init(
            "Outbound connections restricted to Tor (-onlynet=onion) but the proxy for reaching the Tor network is not \
             provided: none of -proxy, -onion or -listenonion is given",
        ));
    }
    Ok(())
}

fn private_broadcast(args: &ArgsManager, reachable: &Reachable, only: &[String]) -> Result<(), NodeError> {
    if !args.bool_or("-privatebroadcast", false) {
        return Ok(());
    }
    let onion_allowed = only.is_empty() || only.iter().any(|name| name == "onion");
    let onion_now = reachable.onion_proxy && onion_allowed;
    let onion_later = args.bool_or("-listenonion", true) && onion_allowed;
    if !reachable.i2p && !onion_now && !onion_later {
        return Err(init(
            "Private broadcast of own transactions requested (-privatebroadcast), but none of Tor or I2P networks is \
             reachable",
        ));
    }
    if !args.get_all("-connect").is_empty() || args.is_negated("-connect") {
        return Err(init(
            "Private broadcast of own transactions requested (-privatebroadcast), but -connect is also configured. They \
             are incompatible because the private broadcast needs to open new connections to randomly chosen Tor or \
             I2P peers. Consider using -maxconnections=0 -addnode=... instead",
        ));
    }
    if !args.bool_or("-proxyrandomize", true) && (onion_now || onion_later) {
        let text = "Private broadcast of own transactions requested (-privatebroadcast) and -proxyrandomize is \
                    disabled. Tor circuits for private broadcast connections may be correlated to other connections \
                    over Tor. For maximum privacy set -proxyrandomize=1.";
        tracing::warn!("{text}");
        eprintln!("Warning: {text}");
    }
    Ok(())
}
