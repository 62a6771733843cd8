//! First addresses of a node that knows nobody: seed nodes that the user names, DNS seeds, a list that comes with
//! the program (Core: `CConnman::ThreadDNSAddressSeed` and parts of `ThreadOpenConnections`).

use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_control::{NetConfig, clock};
use bulkhead_wire::{Endpoint, NetAddr, Network, PeerAddress, services};
use tokio::time::sleep;

use super::Node;
use crate::engine::Engine;
use crate::engine::kind::ConnectionKind;

/// With so many full peers, seeds are not needed.
const ENOUGH_PEERS: usize = 2;
/// Seed nodes are given this long before DNS seeds are asked, seconds.
const SEED_NODE_TIMEOUT: i64 = 30;
/// Between two seed nodes, seconds.
const NEXT_SEED_NODE: i64 = 10;
/// The list that comes with the program is used after so long, seconds.
const FIXED_AFTER: i64 = 60;
/// DNS seeds that are asked at once.
const SEEDS_AT_ONCE: usize = 3;
/// With so many addresses or more, DNS seeds wait longer.
const MANY_ADDRESSES: usize = 1000;
const DELAY_FEW: u64 = 11;
const DELAY_MANY: u64 = 5 * 60;
/// Addresses that one DNS seed may give.
const MAX_FROM_SEED: usize = 32;
const LOOK_PAUSE: Duration = Duration::from_millis(500);
const DAY: i64 = 24 * 60 * 60;
const WEEK: i64 = 7 * DAY;
/// What a peer must offer to be worth asking for.
const WANTED: u64 = services::NETWORK | services::WITNESS;

/// DNS seeds of a network.
fn dns_seeds(config: &NetConfig) -> Vec<String> {
    let seeds: &[&str] = match config.network.as_str() {
        "main" => &[
            "dnsseed.bluematt.me.",
            "seed.bitcoin.jonasschnelli.ch.",
            "seed.btc.petertodd.net.",
            "seed.bitcoin.sprovoost.nl.",
            "dnsseed.emzy.de.",
            "seed.bitcoin.wiz.biz.",
            "seed.mainnet.achownodes.xyz.",
        ],
        "test" => &[
            "testnet-seed.bitcoin.jonasschnelli.ch.",
            "seed.tbtc.petertodd.net.",
            "seed.testnet.bitcoin.sprovoost.nl.",
            "testnet-seed.bluematt.me.",
            "seed.testnet.achownodes.xyz.",
        ],
        "testnet4" => &["seed.testnet4.bitcoin.sprovoost.nl.", "seed.testnet4.wiz.biz."],
        "signet" if !config.signetseednode.is_empty() => return config.signetseednode.clone(),
        "signet" if config.signetchallenge.is_empty() => &["seed.signet.bitcoin.sprovoost.nl.", "seed.signet.achownodes.xyz."],
        "regtest" => &["dummySeed.invalid."],
        _ => &[],
    };
    seeds.iter().map(|seed| (*seed).to_owned()).collect()
}

/// The list that comes with the program: that of Bitcoin Core's `contrib/seeds`.
fn fixed_seeds(config: &NetConfig) -> Vec<Endpoint> {
    let list = match config.network.as_str() {
        "main" => include_str!("../../data/fixed_seeds_main.txt"),
        "test" => include_str!("../../data/fixed_seeds_test.txt"),
        "testnet4" => include_str!("../../data/fixed_seeds_testnet4.txt"),
        "signet" if config.signetchallenge.is_empty() => include_str!("../../data/fixed_seeds_signet.txt"),
        _ => "",
    };
    // Written by us: I2P has port 0, which users may not write.
    let endpoint = |line: &str| {
        let (host, port) = line.rsplit_once(':')?;
        Some(Endpoint::new(NetAddr::parse(host.trim_matches(['[', ']']))?, port.parse().ok()?))
    };
    let endpoints = list.lines().filter_map(endpoint);
    endpoints.map(|endpoint| Endpoint::new(endpoint.addr.flipped_to_cjdns(), endpoint.port)).collect()
}

/// An address that a seed gave, with an age between `youngest` and `oldest` seconds.
fn seeded(endpoint: Endpoint, youngest: i64, oldest: i64) -> PeerAddress {
    let time = clock::now() - thread_rng().gen_range(youngest..oldest);
    PeerAddress { time: u32::try_from(time).unwrap_or(0), services: WANTED, endpoint }
}

fn full_peers(engine: &Engine) -> usize {
    engine.count_established(ConnectionKind::OutboundFullRelay)
}

fn known_addresses(node: &Rc<Node>) -> usize {
    node.look(|engine| engine.addrman.size(None, None))
}

/// Seed nodes and the fixed list, as the loop for automatic connections goes round.
pub(super) struct Seeds {
    nodes: Vec<String>,
    next_node: bool,
    node_timer: i64,
    start: i64,
    fixed: Option<Vec<Endpoint>>,
    /// Other sources may still give addresses, so the fixed list waits.
    others: bool,
}

impl Seeds {
    pub(super) fn new(node: &Rc<Node>, config: &NetConfig) -> Self {
        let mut nodes = config.seednode.clone();
        nodes.shuffle(&mut thread_rng());
        if !config.fixedseeds {
            tracing::info!(target: "net", "Fixed seeds are disabled");
        }
        Self {
            next_node: !nodes.is_empty() && known_addresses(node) == 0,
            others: config.dnsseed || !nodes.is_empty(),
            nodes,
            node_timer: clock::now(),
            start: clock::now(),
            fixed: config.fixedseeds.then(|| fixed_seeds(config)),
        }
    }

    /// Whom to ask for addresses next.
    pub(super) fn next_fetch(&mut self, node: &Rc<Node>) -> Option<String> {
        if std::mem::take(&mut self.next_node)
            && let Some(seed) = self.nodes.pop()
        {
            if known_addresses(node) == 0 {
                tracing::info!(target: "net", "Empty addrman, adding seednode ({seed}) to addrfetch");
            } else {
                tracing::info!(
                    target: "net",
                    "Couldn't connect to peers from addrman after {NEXT_SEED_NODE} seconds. Adding seednode ({seed}) to addrfetch"
                );
            }
            node.addr_fetches.borrow_mut().push_back(seed);
        }
        node.addr_fetches.borrow_mut().pop_front()
    }

    /// Too few peers for too long: the next seed node.
    pub(super) fn look_at_seed_nodes(&mut self, node: &Rc<Node>) {
        let now = clock::now();
        if !self.nodes.is_empty()
            && node.look(|engine| engine.count_kind(ConnectionKind::OutboundFullRelay)) < ENOUGH_PEERS
            && now > self.node_timer + NEXT_SEED_NODE
        {
            self.node_timer = now;
            self.next_node = true;
        }
    }

    pub(super) fn maybe_add_fixed(&mut self, node: &Rc<Node>) {
        let Some(seeds) = &self.fixed else { return };
        let empty: Vec<Network> = node.look(|engine| {
            let reachable = engine.config.reachable.iter().copied();
            reachable.filter(|network| engine.addrman.size(Some(*network), None) == 0).collect()
        });
        if empty.is_empty() {
            return;
        }
        if clock::now() > self.start + FIXED_AFTER {
            tracing::info!(
                target: "net",
                "Adding fixed seeds as 60 seconds have passed and addrman is empty for at least one reachable network"
            );
        } else if !self.others && node.look(|engine| engine.added_nodes.is_empty()) {
            tracing::info!(
                target: "net",
                "Adding fixed seeds as -dnsseed=0 (or IPv4/IPv6 connections are disabled via -onlynet) and neither -addnode nor -seednode are provided"
            );
        } else {
            return;
        }
        let fitting = seeds.iter().filter(|seed| empty.contains(&seed.addr.network()));
        let addresses: Vec<PeerAddress> = fitting.map(|seed| seeded(*seed, WEEK, 2 * WEEK)).collect();
        node.with(|engine| engine.addrman.add(&addresses, &NetAddr::internal("fixedseeds"), 0, clock::now()));
        tracing::info!(target: "net", "Added {} fixed seeds from reachable networks.", addresses.len());
        self.fixed = None;
    }
}

impl Node {
    /// Asks DNS seeds when and as long as addresses are wanted.
    pub async fn seed_from_dns(self: Rc<Self>, config: NetConfig) {
        if !config.seednode.is_empty() && self.wait_for_seed_nodes().await {
            let asked_anyway = config.forcednsseed || known_addresses(&self) == 0;
            if !asked_anyway {
                return;
            }
        }
        let mut seeds = dns_seeds(&config);
        seeds.shuffle(&mut thread_rng());
        let mut right_now = if config.forcednsseed || known_addresses(&self) == 0 { seeds.len() } else { 0 };
        let many = known_addresses(&self) >= MANY_ADDRESSES;
        let delay = if many { DELAY_MANY } else { DELAY_FEW };
        let mut found = 0;
        for seed in seeds {
            if right_now == 0 {
                right_now = SEEDS_AT_ONCE;
                if known_addresses(&self) > 0 && self.peers_came(delay, found).await {
                    return;
                }
            }
            if !self.look(Engine::is_network_active) {
                tracing::info!(target: "net", "Waiting for network to be reactivated before querying DNS seeds.");
                while !self.look(Engine::is_network_active) {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            tracing::info!(target: "net", "Loading addresses from DNS seed {seed}");
            found += self.ask_seed(&seed).await;
            right_now -= 1;
        }
        tracing::info!(target: "net", "{found} addresses found from DNS seeds");
    }

    /// Whether seed nodes gave us enough peers in time.
    async fn wait_for_seed_nodes(&self) -> bool {
        let start = clock::now();
        tracing::info!(
            target: "net",
            "-seednode enabled. Trying the provided seeds for {SEED_NODE_TIMEOUT} seconds before defaulting to the dnsseeds."
        );
        loop {
            sleep(LOOK_PAUSE).await;
            if clock::now() > start + SEED_NODE_TIMEOUT {
                tracing::info!(
                    target: "net",
                    "Couldn't connect to enough peers via seed nodes. Handing fetch logic to the DNS seeds."
                );
                return false;
            }
            if self.look(full_peers) >= ENOUGH_PEERS {
                tracing::info!(target: "net", "P2P peers available. Finished fetching data from seed nodes.");
                return true;
            }
        }
    }

    /// Waits; whether enough peers came meanwhile.
    async fn peers_came(&self, delay: u64, found: usize) -> bool {
        tracing::info!(target: "net", "Waiting {delay} seconds before querying DNS seeds.");
        let mut left = delay;
        while left > 0 {
            let step = DELAY_FEW.min(left);
            sleep(Duration::from_secs(step)).await;
            left -= step;
            if self.look(full_peers) >= ENOUGH_PEERS {
                if found > 0 {
                    tracing::info!(target: "net", "{found} addresses found from DNS seeds");
                    tracing::info!(target: "net", "P2P peers available. Finished DNS seeding.");
                } else {
                    tracing::info!(target: "net", "P2P peers available. Skipped DNS seeding.");
                }
                return true;
            }
        }
        false
    }

    /// Addresses that one seed gave; without any, a peer behind the seed's name is asked.
    async fn ask_seed(self: &Rc<Self>, seed: &str) -> usize {
        if self.proxies.borrow().for_names().is_none() {
            let host = format!("x{WANTED:x}.{seed}");
            let resolved = self.info.resolver.lookup(&host, MAX_FROM_SEED).await;
            if !resolved.is_empty() {
                let port = self.look(|engine| engine.config.default_port);
                let listed = resolved.iter().map(|ip| seeded(Endpoint::new((*ip).into(), port), 3 * DAY, WEEK));
                let addresses: Vec<PeerAddress> = listed.collect();
                self.with(|engine| engine.addrman.add(&addresses, &NetAddr::internal(&host), 0, clock::now()));
                return addresses.len();
            }
        }
        self.addr_fetches.borrow_mut().push_back(seed.to_owned());
        0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_line_of_the_lists_is_an_address() {
        for (network, list) in [
            ("main", include_str!("../../data/fixed_seeds_main.txt")),
            ("test", include_str!("../../data/fixed_seeds_test.txt")),
            ("testnet4", include_str!("../../data/fixed_seeds_testnet4.txt")),
            ("signet", include_str!("../../data/fixed_seeds_signet.txt")),
        ] {
            let seeds = fixed_seeds(&NetConfig { network: network.into(), ..NetConfig::default() });
            assert_eq!(seeds.len(), list.lines().count());
            assert!(seeds.iter().all(|seed| seed.addr.is_routable()));
        }
    }
}
