//! P2P listening sockets: `-bind`, `-whitebind`, `-port`.

use super::permissions;
use crate::error::{NodeError, init};
use crate::startup::arguments::Options;
use crate::startup::directories::strerror;
use crate::startup::endpoints::{numeric, split_host_port};
use bulkhead_config::version::CLIENT_NAME;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// What connects there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Clear,
    White,
    Onion,
}

/// One address to listen on.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    address: SocketAddr,
    kind: Kind,
    permissions: String,
    /// IPv6 may be missing on this machine unless the user asked for it.
    optional: bool,
}

/// A socket that listens, and how net shall treat it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub socket: OwnedFd,
    /// "<ip>:<port> <kind> <permissions>".
    pub description: String,
    /// It listens at every address of this machine, and not for the onion service alone.
    pub everywhere: bool,
}

/// The port for addresses without one.
pub(crate) fn port(options: &Options) -> u16 {
    let default = options.chain.p2p_port();
    options.args.get_int("-port").and_then(|port| u16::try_from(port).ok()).unwrap_or(default)
}

/// Ports on which browsers and administrators expect something else; few peers connect to them.
pub(crate) const BAD_PORTS: [u16; 85] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
    115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
    563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3306, 3389, 3659, 4045, 5060, 5061, 5432, 5900, 6000, 6566,
    6665, 6666, 6667, 6668, 6669, 6697, 10080, 27017,
];

fn bad_port_warning(option: &str, port: u16) -> String {
    format!(
        "{option} request to listen on port {port}. This port is considered \"bad\" and thus it is unlikely that any \
         peer will connect to it. See doc/p2p-bad-ports.md for details and a full list."
    )
}

/// Reads the options. Warnings are collected.
pub(crate) fn plan(options: &Options, warnings: &mut Vec<String>) -> Result<Vec<Plan>, NodeError> {
    let args = &options.args;
    let port = port(options);
    let onion_port = port.wrapping_add(1);
    let (mut clear, mut white, mut onion) = (Vec::new(), Vec::new(), Vec::new());
    for given in args.get_all("-bind") {
        let (address, kind, default) = match given.rsplit_once('=') {
            None => (given.as_str(), Kind::Clear, port),
            Some((address, "onion")) => (address, Kind::Onion, onion_port),
            Some(_) => return Err(unresolved("bind", &given)),
        };
        let address = numeric(address, default).ok_or_else(|| unresolved("bind", &given))?;
        let plan = Plan { address, kind, permissions: String::new(), optional: false };
        if kind == Kind::Onion {
            onion.push(plan);
        } else {
            if BAD_PORTS.contains(&address.port()) {
                warnings.push(bad_port_warning("-bind", address.port()));
            }
            clear.push(plan);
        }
    }
    for given in args.get_all("-whitebind") {
        let (permissions, address) = permissions::split(&given, false)?;
        let resolved = numeric(&address, 0).ok_or_else(|| unresolved("whitebind", &address))?;
        if split_host_port(&address, 0).is_none_or(|(_, port)| port == 0) {
            return Err(init(format!("Need to specify a port with -whitebind: '{address}'")));
        }
        let permissions = if permissions.is_empty() { "default".to_owned() } else { permissions };
        white.push(Plan { address: resolved, kind: Kind::White, permissions, optional: false });
    }
    for given in args.get_all("-whitelist") {
        permissions::check_whitelist(&given)?;
    }
    let any = clear.is_empty() && white.is_empty() && onion.is_empty();
    if any && args.is_set("-port") && BAD_PORTS.contains(&port) {
        warnings.push(bad_port_warning("-port", port));
    }
    if onion.is_empty() && clear.is_empty() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, onion_port));
        onion.push(Plan { address, kind: Kind::Onion, permissions: String::new(), optional: false });
    }
    if args.bool_or("-listenonion", true) && onion.len() > 1 {
        warnings.push(format!(
            "More than one onion bind address is provided. Using {} for the automatically created Tor onion service.",
            onion.first().map(|plan| plan.address.to_string()).unwrap_or_default()
        ));
    }
    let mut plans: Vec<Plan> = clear.into_iter().chain(white).chain(onion).collect();
    if any {
        let everywhere = |address, optional| Plan { address, kind: Kind::Clear, permissions: String::new(), optional };
        plans.push(everywhere(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), true));
        plans.push(everywhere(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), false));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = plans.iter().find(|plan| !seen.insert(plan.address)) {
        return Err(init(format!(
            "Duplicate binding configuration for address {}. Please check your -bind, -bind=...=onion and -whitebind \
             settings.",
            twice.address
        )));
    }
    Ok(plans)
}

fn unresolved(option: &str, value: &str) -> NodeError {
    init(format!("Cannot resolve -{option} address: '{value}'"))
}

/// Opens the sockets.
pub(crate) fn open(plans: &[Plan], after_crash: bool) -> Result<Vec<Listener>, NodeError> {
    let mut listeners = Vec::new();
    for plan in plans {
        match super::tcp(plan.address, after_crash) {
            Ok(socket) => {
                tracing::info!("Bound to {}", plan.address);
                let kind = match plan.kind {
                    Kind::Clear => "clear",
                    Kind::White => "white",
                    Kind::Onion => "onion",
                };
                let description = format!("{} {kind} {}", plan.address, plan.permissions);
                let everywhere = plan.address.ip().is_unspecified() && plan.kind != Kind::Onion;
                listeners.push(Listener { socket, description, everywhere });
            }
            Err(error) => {
                let text = match error {
                    Errno::EADDRINUSE => {
                        format!("Unable to bind to {} on this computer. {CLIENT_NAME} is probably already running.", plan.address)
                    }
                    other => format!(
                        "Unable to bind to {} on this computer (bind returned error {})",
                        plan.address,
                        strerror(other as i32)
                    ),
                };
                tracing::error!("{text}");
                if !plan.optional {
                    // Core shows both messages.
                    eprintln!("Error: {text}");
                    return Err(init("Failed to listen on any port. Use -listen=0 if you want this."));
                }
            }
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_bad_ports_are_sorted_and_unique() {
        assert!(BAD_PORTS.is_sorted_by(|a, b| a < b));
    }
}
