//! From the typed configuration to the engine's settings.

use bitcoin::pow::Target;
use bulkhead_consensus::networks;
use bulkhead_control::NetConfig;
use bulkhead_wire::{Network, services};
use thiserror::Error;

use crate::engine::config::EngineConfig;
use crate::engine::permission::{Permissions, parse_whitelist, split_permissions};
use crate::engine::presync::Sampling;

/// A setting that the supervisor should not have let through.
#[derive(Debug, Error)]
pub enum SettingError {
    /// No network of this name.
    #[error("unknown network {0}")]
    Network(String),
    /// `-signetchallenge` is not hex.
    #[error("malformed signet challenge {0}")]
    Challenge(String),
    /// A port above 65535.
    #[error("port {0} out of range")]
    Port(u32),
}

/// How a listening socket treats who comes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerKind {
    /// It is the target of our onion service.
    pub onion: bool,
    /// What `-whitebind` grants.
    pub permissions: Permissions,
}

/// Reads one entry of `listeners`: "address kind permissions".
#[must_use]
pub fn listener_kind(entry: &str) -> ListenerKind {
    let mut parts = entry.split(' ').skip(1);
    let kind = parts.next().unwrap_or("clear");
    let list = parts.next().unwrap_or("");
    let permissions = match kind {
        "white" if list.is_empty() => Permissions::IMPLICIT,
        "white" => split_permissions(&format!("{list}@")).map_or(Permissions::NONE, |(flags, ..)| flags),
        _ => Permissions::NONE,
    };
    ListenerKind { onion: kind == "onion", permissions }
}

/// Magic bytes, port, easiest target.
fn network(config: &NetConfig) -> Result<([u8; 4], u16, Target), SettingError> {
    Ok(match config.network.as_str() {
        "main" => ([0xf9, 0xbe, 0xb4, 0xd9], 8333, Target::MAX_ATTAINABLE_MAINNET),
        "test" => ([0x0b, 0x11, 0x09, 0x07], 18333, Target::MAX_ATTAINABLE_TESTNET),
        "testnet4" => ([0x1c, 0x16, 0x3f, 0x28], 48333, Target::MAX_ATTAINABLE_TESTNET),
        "signet" => (signet_magic(&config.signetchallenge)?, 38333, Target::MAX_ATTAINABLE_SIGNET),
        "regtest" => ([0xfa, 0xbf, 0xb5, 0xda], 18444, Target::MAX_ATTAINABLE_REGTEST),
        other => return Err(SettingError::Network(other.to_owned())),
    })
}

/// The magic of a signet is derived from its challenge script.
fn signet_magic(challenge: &str) -> Result<[u8; 4], SettingError> {
    if challenge.is_empty() {
        return Ok([0x0a, 0x03, 0xcf, 0x40]);
    }
    let script = hex::decode(challenge).map_err(|_| SettingError::Challenge(challenge.to_owned()))?;
    let mut bytes = Vec::new();
    bulkhead_wire::reader::put_length(&mut bytes, script.len());
    bytes.extend_from_slice(&script);
    Ok(bulkhead_wire::frame::checksum(&bytes))
}

/// Networks that can be reached: without a proxy neither Tor nor I2P, CJDNS only when the user says so.
fn reachable(config: &NetConfig) -> Vec<Network> {
    let given = |value: &str| !value.is_empty() && value != "0";
    let proxied = config.proxy.iter().any(|proxy| given(proxy));
    let onion = if config.onion.is_empty() { proxied } else { config.onion != "0" };
    let wanted: Vec<Network> = config.onlynet.iter().filter_map(|name| Network::parse(name)).collect();
    Network::LISTED
        .into_iter()
        .filter(|network| !config.onlynet_given || wanted.contains(network))
        .filter(|network| match network {
            Network::Onion => onion,
            Network::I2p => given(&config.i2psam),
            Network::Cjdns => config.cjdnsreachable,
            _ => true,
        })
        .collect()
}

/// The engine's settings.
///
/// # Errors
/// [`SettingError`].
pub fn engine_config(config: &NetConfig) -> Result<EngineConfig, SettingError> {
    let (magic, network_port, pow_limit) = network(config)?;
    let mut offered = services::NETWORK_LIMITED | services::WITNESS;
    if !config.prune {
        offered |= services::NETWORK;
    }
    if config.v2transport {
        offered |= services::P2P_V2;
    }
    if config.peerbloomfilters {
        offered |= services::BLOOM;
    }
    if config.peerblockfilters {
        offered |= services::COMPACT_FILTERS;
    }
    let rules = networks::by_name(&config.network).ok_or_else(|| SettingError::Network(config.network.clone()))?;
    let listen_port = match config.port {
        0 => network_port,
        port => u16::try_from(port).map_err(|_| SettingError::Port(port))?,
    };
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Ok(EngineConfig {
        magic,
        pow_limit,
        rules,
        sampling: Sampling::of(&config.network),
        spacing: 600,
        regtest: config.network == "regtest",
        default_port: network_port,
        listen_port,
        subversion: config.subversion.clone(),
        services: offered,
        reachable: reachable(config),
        uses_addrman: !config.connect_given,
        listen: config.listen,
        max_connections: usize::try_from(config.maxconnections).unwrap_or(0),
        prune: config.prune,
        blocks_only: config.blocksonly,
        discover: config.discover,
        capture: config.capturemessages,
        tx_reconciliation: config.txreconciliation,
        max_upload: config.maxuploadtarget,
        peer_timeout: config.peertimeout,
        bantime: config.bantime,
        log_ips: config.logips,
        whitelist: config.whitelist.iter().filter_map(|entry| parse_whitelist(entry)).collect(),
        whitelist_relay: config.whitelistrelay,
        whitelist_force_relay: config.whitelistforcerelay,
        min_relay_fee: config.minrelaytxfee,
        max_receive: size(config.maxreceivebuffer),
        max_send: size(config.maxsendbuffer),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn listeners_carry_their_permissions() {
        assert!(listener_kind("127.0.0.1:1 onion").onion);
        assert_eq!(listener_kind("127.0.0.1:1 white noban").permissions, Permissions::NO_BAN);
        assert_eq!(listener_kind("127.0.0.1:1 white ").permissions, Permissions::IMPLICIT);
        assert_eq!(listener_kind("127.0.0.1:1 clear ").permissions, Permissions::NONE);
    }

    #[test]
    fn default_signet_has_the_magic_of_its_challenge() {
        let challenge = "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae";
        assert_eq!(signet_magic(challenge).unwrap(), signet_magic("").unwrap());
    }
}
