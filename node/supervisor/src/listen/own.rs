//! Addresses at which this machine can be reached: net may not look at interfaces (Core: `GetListenPort`, `GetLocalAddresses`).

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::{p2p, permissions};
use crate::startup::arguments::Options;
use crate::startup::endpoints::numeric;

/// More addresses than this are not looked at.
const MAX_ADDRESSES: usize = 64;
/// The permission whose holders are not told of.
const NO_BAN: &str = "noban";

/// The port that peers are told.
pub(crate) fn announced_port(options: &Options) -> u16 {
    let args = &options.args;
    named_port(args.get_all("-bind"), args.get_all("-whitebind")).unwrap_or_else(|| p2p::port(options))
}

/// The port of the first `-bind` that names one, else of the first `-whitebind` without noban.
fn named_port(bind: Vec<String>, white: Vec<String>) -> Option<u16> {
    let named = |address: &str| numeric(address, 0).map(|address| address.port()).filter(|port| *port != 0);
    let open = |given: String| permissions::split(&given, false).ok().filter(|(granted, _)| !grants_no_ban(granted));
    let bound = bind.into_iter().find_map(|given| named(&given));
    bound.or_else(|| white.into_iter().filter_map(open).find_map(|(_, address)| named(&address)))
}

fn grants_no_ban(granted: &str) -> bool {
    granted.split(',').any(|name| name == NO_BAN || name == "all")
}

/// The addresses of interfaces that are up, if we listen at all of them.
pub(crate) fn addresses(listeners: &[p2p::Listener]) -> Vec<String> {
    if !listeners.iter().any(|listener| listener.everywhere) {
        return Vec::new();
    }
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let usable = |flags: InterfaceFlags| flags.contains(InterfaceFlags::IFF_UP) && !flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let found = interfaces.filter(|interface| usable(interface.flags)).filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    });
    found.take(MAX_ADDRESSES).map(|address| address.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_a_listener_which_everybody_may_know() {
        let port = |bind: &[&str], white: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            named_port(owned(bind), owned(white))
        };
        assert_eq!(port(&["1.1.1.5", "1.1.1.5:30017", "1.1.1.6:1"], &["1.1.1.5:30018"]), Some(30017));
        assert_eq!(port(&["127.0.0.1:9=onion"], &["noban@1.1.1.5:1", "all@1.1.1.5:2", "relay@1.1.1.5:3"]), Some(3));
        assert_eq!(port(&["[::1]:8"], &[]), Some(8));
        assert_eq!(port(&["1.1.1.5"], &[]), None);
    }
}
