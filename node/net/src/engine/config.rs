//! What the engine is told once.

use bitcoin::pow::Target;
use bulkhead_consensus::Params;
use bulkhead_wire::{NetAddr, Network, services};

use super::permission::Whitelisted;
use super::presync::Sampling;

/// Automatic outbound connections that relay everything.
pub const MAX_OUTBOUND_FULL_RELAY: usize = 8;
/// Automatic outbound connections that relay blocks only.
pub const MAX_BLOCK_RELAY_ONLY: usize = 2;
/// Feelers at a time.
pub const MAX_FEELERS: usize = 1;
/// Connections made with `addnode`.
pub const MAX_ADDNODE: usize = 8;

/// Settings of the engine. Built by the process from its configuration; tests build their own.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// First bytes of each message.
    pub magic: [u8; 4],
    /// Easiest target of the network.
    pub pow_limit: Target,
    /// Rules of the network that headers must keep to.
    pub rules: Params,
    /// How densely headers are sampled while their chain has little work.
    pub sampling: Sampling,
    /// Seconds between blocks that the network aims at.
    pub spacing: i64,
    /// The network is regtest.
    pub regtest: bool,
    /// Port of the network, for addresses without one.
    pub default_port: u16,
    /// Port that we announce as ours.
    pub listen_port: u16,
    /// User agent.
    pub subversion: String,
    /// Service bits that we announce.
    pub services: u64,
    /// Networks that we can reach (`-onlynet`, `-onion`, `-i2psam`, `-cjdnsreachable`).
    pub reachable: Vec<Network>,
    /// Automatic connections are made: `-connect` was not given.
    pub uses_addrman: bool,
    /// Announce ourselves to others.
    pub listen: bool,
    /// `-maxconnections`.
    pub max_connections: usize,
    /// `-prune` is on.
    pub prune: bool,
    /// `-blocksonly`.
    pub blocks_only: bool,
    /// `-discover`: take hints on our own address.
    pub discover: bool,
    /// `-capturemessages`.
    pub capture: bool,
    /// `-txreconciliation`.
    pub tx_reconciliation: bool,
    /// `-maxuploadtarget`, bytes per day; 0: no limit.
    pub max_upload: u64,
    /// `-peertimeout`, seconds.
    pub peer_timeout: i64,
    /// `-bantime`, seconds.
    pub bantime: i64,
    /// `-logips`.
    pub log_ips: bool,
    /// `-whitelist`.
    pub whitelist: Vec<Whitelisted>,
    /// `-whitelistrelay`.
    pub whitelist_relay: bool,
    /// `-whitelistforcerelay`.
    pub whitelist_force_relay: bool,
    /// `-minrelaytxfee`, satoshi per 1000 vbyte.
    pub min_relay_fee: i64,
    /// `-maxreceivebuffer`, bytes of unprocessed messages of one peer.
    pub max_receive: usize,
    /// `-maxsendbuffer`, bytes that may wait for one peer before its messages are left alone.
    pub max_send: usize,
}

impl EngineConfig {
    /// The address as we read it: fc00::/8 is CJDNS where that is reachable.
    #[must_use]
    pub fn flip(&self, addr: NetAddr) -> NetAddr {
        if self.reachable.contains(&Network::Cjdns) { addr.flipped_to_cjdns() } else { addr }
    }

    /// Most automatic connections of the full kind.
    #[must_use]
    pub fn max_full_relay(&self) -> usize {
        MAX_OUTBOUND_FULL_RELAY.min(self.max_connections)
    }

    /// Most automatic connections of the block kind.
    #[must_use]
    pub fn max_block_relay(&self) -> usize {
        MAX_BLOCK_RELAY_ONLY.min(self.max_connections - self.max_full_relay())
    }

    /// Most automatic outbound connections, feeler included.
    #[must_use]
    pub fn max_outbound(&self) -> usize {
        self.max_full_relay() + self.max_block_relay() + MAX_FEELERS
    }

    /// Most inbound connections.
    #[must_use]
    pub fn max_inbound(&self) -> usize {
        self.max_connections.saturating_sub(self.max_outbound())
    }

    /// Whether a peer with these services is worth an automatic connection.
    #[must_use]
    pub fn desirable(&self, offered: u64, tip_depth: i64) -> u64 {
        // A pruned peer will do when we are close to the tip.
        if offered & services::NETWORK_LIMITED != 0 && tip_depth < 144 {
            services::NETWORK_LIMITED | services::WITNESS
        } else {
            services::NETWORK | services::WITNESS
        }
    }
}
