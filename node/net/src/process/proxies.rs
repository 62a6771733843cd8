//! Which proxy leads to which network (`-proxy`, `-onion`, `-i2psam`).

use std::fmt;
use std::net::SocketAddr;

use bulkhead_control::NetConfig;
use bulkhead_wire::{Endpoint, Network};
use thiserror::Error;

/// Port of a SOCKS5 proxy that is given without one.
const SOCKS_PORT: u16 = 9050;
/// Port of a SAM bridge that is given without one.
const SAM_PORT: u16 = 7656;

/// An entry that the supervisor should not have let through: it resolves names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no proxy address: {0}")]
pub struct ProxyError(String);

/// Where a proxy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyAddress {
    /// On TCP.
    Tcp(SocketAddr),
    /// On a unix socket, which only the supervisor can connect to.
    Unix(String),
}

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens.
    pub address: ProxyAddress,
    /// Other credentials for each connection, so that Tor takes another circuit.
    pub isolate: bool,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            ProxyAddress::Tcp(address) => address.fmt(f),
            ProxyAddress::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    ipv4: Option<Proxy>,
    ipv6: Option<Proxy>,
    cjdns: Option<Proxy>,
    onion: Option<Proxy>,
    sam: Option<Proxy>,
    name: Option<Proxy>,
}

fn address(text: &str, port: u16) -> Result<ProxyAddress, ProxyError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(ProxyAddress::Unix(path.to_owned()));
    }
    let socket = Endpoint::parse(text, port).and_then(|endpoint| endpoint.socket());
    socket.map(ProxyAddress::Tcp).ok_or_else(|| ProxyError(text.to_owned()))
}

fn optional(text: &str, port: u16, isolate: bool) -> Result<Option<Proxy>, ProxyError> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    Ok(Some(Proxy { address: address(text, port)?, isolate }))
}

impl Proxies {
    /// Reads the options, later ones over earlier ones.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub fn new(config: &NetConfig) -> Result<Self, ProxyError> {
        let mut all = Self::default();
        for entry in &config.proxy {
            let (text, network) = entry.rsplit_once('=').unwrap_or((entry, ""));
            let proxy = optional(text, SOCKS_PORT, config.proxyrandomize)?;
            match network.to_ascii_lowercase().as_str() {
                "ipv4" => (all.ipv4, all.name) = (proxy.clone(), proxy),
                "ipv6" => (all.ipv6, all.name) = (proxy.clone(), proxy),
                "cjdns" => all.cjdns = proxy,
                "onion" => all.onion = proxy,
                "" => {
                    (all.ipv4, all.ipv6, all.name) = (proxy.clone(), proxy.clone(), proxy.clone());
                    (all.cjdns, all.onion) = (proxy.clone(), proxy);
                }
                _ => return Err(ProxyError(entry.clone())),
            }
        }
        if !config.onion.is_empty() {
            all.onion = optional(&config.onion, SOCKS_PORT, config.proxyrandomize)?;
        }
        all.sam = optional(&config.i2psam, SAM_PORT, false)?;
        Ok(all)
    }

    /// The proxy for addresses of a network.
    #[must_use]
    pub fn leads_to(&self, network: Network) -> Option<&Proxy> {
        match network {
            Network::Ipv4 => self.ipv4.as_ref(),
            Network::Ipv6 => self.ipv6.as_ref(),
            Network::Cjdns => self.cjdns.as_ref(),
            Network::Onion => self.onion.as_ref(),
            Network::I2p => self.sam.as_ref(),
            _ => None,
        }
    }

    /// The proxy that resolves names.
    #[must_use]
    pub fn for_names(&self) -> Option<&Proxy> {
        self.name.as_ref()
    }

    /// Tor told where its proxy is.
    pub fn set_onion(&mut self, proxy: Proxy) {
        self.onion = Some(proxy);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn proxies(proxy: &[&str], onion: &str) -> Proxies {
        let proxy = proxy.iter().map(|entry| (*entry).to_owned()).collect();
        Proxies::new(&NetConfig { proxy, onion: onion.into(), proxyrandomize: true, ..NetConfig::default() }).unwrap()
    }

    fn shown(proxies: &Proxies) -> [String; 5] {
        [Network::Ipv4, Network::Ipv6, Network::Cjdns, Network::Onion, Network::I2p]
            .map(|network| proxies.leads_to(network).map(ToString::to_string).unwrap_or_default())
    }

    #[test]
    fn one_proxy_serves_all_networks_but_i2p() {
        let all = proxies(&["127.0.0.1"], "");
        assert_eq!(shown(&all), ["127.0.0.1:9050", "127.0.0.1:9050", "127.0.0.1:9050", "127.0.0.1:9050", ""]);
        assert!(all.for_names().unwrap().isolate);
    }

    #[test]
    fn entries_for_one_network_go_over_the_general_one() {
        let some = proxies(&["127.0.0.1:1", "[::1]:2=IPV6", "0=cjdns", "unix:/x=onion"], "");
        assert_eq!(shown(&some), ["127.0.0.1:1", "[::1]:2", "", "unix:/x", ""]);
        assert_eq!(shown(&proxies(&["127.0.0.1:1"], "0"))[3], "");
        assert_eq!(shown(&proxies(&["127.0.0.1:1"], "127.0.0.1:7"))[3], "127.0.0.1:7");
        assert!(proxies(&["127.0.0.1:1=onion"], "").for_names().is_none());
    }
}
