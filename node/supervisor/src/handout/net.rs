//! Configuration of net.

use super::path_text;
use crate::error::{NodeError, init};
use crate::listen::{own, p2p};
use crate::startup::amounts::relay_fees;
use crate::startup::arguments::Options;
use crate::startup::endpoints::split_host_port;
use crate::startup::network::subversion;
use bulkhead_config::{ArgsManager, join};
use bulkhead_control::NetConfig;
use std::net::{IpAddr, ToSocketAddrs};

const TOR_SOCKS_PORT: u16 = 9050;
const TOR_CONTROL_PORT: u16 = 9051;
const SAM_PORT: u16 = 7656;

/// Fills the struct from the options.
pub(crate) fn net(options: &Options, listeners: &[p2p::Listener]) -> Result<NetConfig, NodeError> {
    let args = &options.args;
    let unsigned = |name: &str, default: i64| args.int_or(name, default).max(0).cast_unsigned();
    let flag = |name: &str, default: bool| args.bool_or(name, default);
    let fees = relay_fees(args)?;
    let announced_port = own::announced_port(options);
    let connect = args.get_all("-connect");
    let connect_given = !connect.is_empty() || args.is_negated("-connect");
    let positive = |name: &str, default: i64| Some(args.int_or(name, default)).filter(|v| *v > 0).unwrap_or(default);
    Ok(NetConfig {
        network: options.chain.name().into(),
        datadir: path_text(&options.datadir),
        signetchallenge: args.get_or("-signetchallenge", ""),
        signetseednode: args.get_all("-signetseednode"),
        listeners: listeners.iter().map(|listener| listener.description.clone()).collect(),
        listen: flag("-listen", true),
        bind_given: !args.get_all("-bind").is_empty(),
        port: u32::from(announced_port),
        interfaces: own::addresses(listeners),
        connect: if connect == ["0"] { Vec::new() } else { connect },
        connect_given,
        addnode: args.get_all("-addnode"),
        seednode: args.get_all("-seednode"),
        externalip: args.get_all("-externalip").iter().map(|given| numeric(given, announced_port)).collect(),
        onlynet: args.get_all("-onlynet"),
        onlynet_given: args.is_set("-onlynet"),
        proxy: args.get_all("-proxy").iter().map(|given| numeric_proxy(given)).collect(),
        onion: numeric(&args.get_or("-onion", ""), TOR_SOCKS_PORT),
        proxyrandomize: flag("-proxyrandomize", true),
        i2psam: numeric(&args.get_or("-i2psam", ""), SAM_PORT),
        i2pacceptincoming: flag("-i2pacceptincoming", true),
        cjdnsreachable: flag("-cjdnsreachable", false),
        listenonion: flag("-listenonion", true),
        torcontrol: numeric(&args.get_or("-torcontrol", "127.0.0.1:9051"), TOR_CONTROL_PORT),
        torpassword: args.get_or("-torpassword", ""),
        discover: flag("-discover", true),
        natpmp: flag("-natpmp", true),
        dns: flag("-dns", true),
        dnsseed: flag("-dnsseed", true),
        forcednsseed: flag("-forcednsseed", false),
        fixedseeds: flag("-fixedseeds", true),
        networkactive: flag("-networkactive", true),
        maxconnections: options.connections.allowed,
        maxreceivebuffer: unsigned("-maxreceivebuffer", 5000).saturating_mul(1000),
        maxsendbuffer: unsigned("-maxsendbuffer", 1000).saturating_mul(1000),
        maxuploadtarget: upload_target(args)?,
        timeout: positive("-timeout", 5000),
        peertimeout: args.int_or("-peertimeout", 60),
        bantime: args.int_or("-bantime", 86_400),
        uacomment: args.get_all("-uacomment"),
        subversion: subversion(options)?,
        v2transport: flag("-v2transport", true),
        peerbloomfilters: flag("-peerbloomfilters", false),
        peerblockfilters: flag("-peerblockfilters", false),
        txreconciliation: flag("-txreconciliation", false),
        blocksonly: flag("-blocksonly", false),
        privatebroadcast: flag("-privatebroadcast", false),
        prune: args.int_or("-prune", 0) != 0,
        whitelist: args.get_all("-whitelist"),
        whitelistrelay: flag("-whitelistrelay", true),
        whitelistforcerelay: flag("-whitelistforcerelay", false),
        asmap_embedded: args.bool_or("-asmap", false),
        asmap_path: path_text(&join(&options.datadir, &args.path_arg("-asmap", ""))),
        checkaddrman: args.int_or("-checkaddrman", 0),
        test: args.get_all("-test"),
        capturemessages: flag("-capturemessages", false),
        logips: flag("-logips", false),
        maxtipage: args.int_or("-maxtipage", 86_400),
        deprecatedrpc: args.get_all("-deprecatedrpc"),
        minrelaytxfee: fees.minimum,
        incrementalrelayfee: fees.incremental,
    })
}

/// An endpoint with an address instead of a name: a confined net has no resolver of libc. What is no name of the
/// DNS, or can't be resolved now, stays as it is.
fn numeric(given: &str, default: u16) -> String {
    let special = given.is_empty() || given == "0" || given.starts_with("unix:");
    let Some((host, port)) = split_host_port(given, default).filter(|_| !special) else { return given.to_owned() };
    if host.parse::<IpAddr>().is_ok() || host.ends_with(".onion") || host.ends_with(".i2p") {
        return given.to_owned();
    }
    let resolved = (host.as_str(), port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved.map_or_else(|| given.to_owned(), |address| address.to_string())
}

/// The same for an entry of `-proxy`, which may end in "=network".
fn numeric_proxy(given: &str) -> String {
    match given.rsplit_once('=') {
        Some((proxy, network)) => format!("{}={network}", numeric(proxy, TOR_SOCKS_PORT)),
        None => numeric(given, TOR_SOCKS_PORT),
    }
}

/// `-maxuploadtarget` in bytes: units k, m, g, t are decimal, K, M, G, T binary, M without unit.
pub(crate) fn upload_target(args: &ArgsManager) -> Result<u64, NodeError> {
    let given = args.get_or("-maxuploadtarget", "0M");
    parse_bytes(&given).ok_or_else(|| init(format!("Unable to parse -maxuploadtarget: '{given}'")))
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((position, unit)) if unit.is_ascii_alphabetic() => (text.get(..position)?, unit),
        _ => (text, 'M'),
    };
    let factor: u64 = match unit {
        'k' => 1000,
        'K' => 1 << 10,
        'm' => 1_000_000,
        'M' => 1 << 20,
        'g' => 1_000_000_000,
        'G' => 1 << 30,
        't' => 1_000_000_000_000,
        'T' => 1 << 40,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_names_of_proxies_become_addresses_and_all_else_stays() {
        let local = numeric_proxy("localhost:9=ipv4");
        assert!(local == "127.0.0.1:9=ipv4" || local == "[::1]:9=ipv4", "{local}");
        for given in ["", "0", "unix:/run/tor", "1.2.3.4", "[::1]:9", "abc.onion:8333", "0=cjdns"] {
            assert_eq!(numeric_proxy(given), given);
        }
    }

    #[test]
    fn test_parse_bytes_like_core() {
        for (text, value) in [("0", 0), ("1", 1 << 20), ("2k", 2000), ("2K", 2048), ("1t", 1_000_000_000_000)] {
            assert_eq!(parse_bytes(text), Some(value), "{text}");
        }
        for text in ["", "M", "1x", "-1", "1.5M", "99999999999999999999", "18446744073709551615T"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
