//! UDP sockets towards the routers of this machine, for the mapping of ports (`-natpmp`). Net may make no UDP sockets and may
//! not look at routes; so the routers are those that are there at the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::OwnedFd;

use crate::startup::arguments::Options;

/// Of PCP and NAT-PMP.
const ROUTER_PORT: u16 = 5351;
/// Addresses of this machine for which a hole is asked for.
const MAX_ADDRESSES: usize = 8;
/// Flags of a route: it is up and leads to a router.
const UP_AND_GATEWAY: u32 = 3;
/// Scope of addresses that are valid everywhere.
const GLOBAL_SCOPE: &str = "00";

fn hex32(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn hex128(text: &str) -> Option<Ipv6Addr> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from)).flatten()
}

/// The IPv4 default gateway with the best metric, from `/proc/net/route`.
fn gateway4(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, flags, _, _, metric, mask, ..] = fields.as_slice() else { return None };
        let default = hex32(destination)? == 0 && hex32(mask)? == 0 && hex32(flags)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
        // The kernel writes the bytes of the address as a number of this machine.
        default.then_some((metric.parse::<u32>().ok()?, Ipv4Addr::from(hex32(gateway)?.to_ne_bytes())))
    });
    routes.min().map(|(_, gateway)| gateway)
}

/// The IPv6 default gateway with the best metric, and its interface, from `/proc/net/ipv6_route`.
fn gateway6(table: &str) -> Option<(Ipv6Addr, String)> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, length, _, _, gateway, metric, _, _, flags, interface] = fields.as_slice() else { return None };
        let default = hex128(destination)?.is_unspecified() && hex32(length)? == 0;
        let leads = hex32(flags)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
        (default && leads).then_some((hex32(metric)?, hex128(gateway)?, (*interface).to_owned()))
    });
    routes.min().map(|(_, gateway, interface)| (gateway, interface))
}

/// Public IPv6 addresses of this machine, from `/proc/net/if_inet6`.
fn public6(table: &str) -> Vec<Ipv6Addr> {
    let addresses = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, scope, ..] = fields.as_slice() else { return None };
        hex128(address).filter(|address| *scope == GLOBAL_SCOPE && !address.is_unique_local() && !address.is_loopback())
    });
    addresses.take(MAX_ADDRESSES).collect()
}

fn connected(from: IpAddr, router: SocketAddr) -> Option<OwnedFd> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0)).and_then(|socket| socket.connect(router).map(|()| socket));
    match socket {
        Ok(socket) => Some(socket.into()),
        Err(error) => {
            tracing::warn!("portmap: Could not connect to gateway {router}: {error}");
            None
        }
    }
}

/// A socket for each way to a router; none unless ports are to be mapped.
pub(crate) fn open(options: &Options) -> Vec<OwnedFd> {
    if !options.args.bool_or("-natpmp", true) || !options.args.bool_or("-listen", true) {
        return Vec::new();
    }
    // A machine without the protocol has no such file.
    let table = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let v4 = gateway4(&table("route")).map(|gateway| SocketAddr::from((gateway, ROUTER_PORT)));
    let v4 = v4.and_then(|router| connected(Ipv4Addr::UNSPECIFIED.into(), router));
    let v6 = gateway6(&table("ipv6_route")).map(|(gateway, interface)| {
        let scope = nix::net::if_::if_nametoindex(interface.as_str()).unwrap_or(0);
        SocketAddr::from(SocketAddrV6::new(gateway, ROUTER_PORT, 0, scope))
    });
    let addresses = if v6.is_some() { public6(&table("if_inet6")) } else { Vec::new() };
    let v6 = addresses.into_iter().filter_map(|address| connected(address.into(), v6?));
    v4.into_iter().chain(v6).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn default_route_with_the_best_metric_is_found() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
                     wlan\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let expected = if cfg!(target_endian = "little") { [192, 168, 1, 1] } else { [1, 1, 168, 192] };
        assert_eq!(gateway4(table), Some(Ipv4Addr::from(expected)));
        assert_eq!(gateway4("Iface\nbroken line\n"), None);
    }

    #[test]
    fn ipv6_router_comes_with_its_interface() {
        let zeros = "0".repeat(32);
        let router = "fe800000000000000000000000000001";
        let table = format!(
            "{zeros} 00 {zeros} 00 {router} 00000400 00000001 00000000 00000003     eth0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n"
        );
        assert_eq!(gateway6(&table), Some(("fe80::1".parse().unwrap(), "eth0".to_owned())));
        assert_eq!(gateway6("x y z"), None);
    }

    #[test]
    fn holes_are_asked_for_public_addresses_only() {
        let table = "20010db8000000000000000000000001 02 40 00 80     eth0\n\
                     fd000000000000000000000000000001 02 40 00 80     eth0\n\
                     fe800000000000000000000000000001 02 40 20 80     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(public6(table), ["2001:db8::1".parse::<Ipv6Addr>().unwrap()]);
    }
}
