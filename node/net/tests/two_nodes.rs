#![allow(clippy::unwrap_used, clippy::panic)]
//! Two network processes in one: real wire format over a socket pair, real edges to two small chains.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use bitcoin::pow::Target;
use bitcoin_net::engine::Engine;
use bitcoin_net::engine::config::EngineConfig;
use bitcoin_net::engine::kind::ConnectionKind;
use bitcoin_net::engine::peer::NewPeer;
use bitcoin_net::engine::permission::Permissions;
use bitcoin_net::engine::presync::Sampling;
use bitcoin_net::process::files::Files;
use bitcoin_net::process::i2p::I2p;
use bitcoin_net::process::proxies::Proxies;
use bitcoin_net::process::{Info, Node};
use bulkhead_addrman::{AddrMan, BanList};
use bulkhead_control::clock;
use bulkhead_schema::wire::net_chain_capnp::{CompactStatus, header_info, net_chain, net_events};
use bulkhead_schema::wire::types_capnp::{tip as wire_tip, verdict};
use bulkhead_wire::skim::header_hash;
use bulkhead_wire::{Endpoint, Network, services};
use tokio::io::AsyncReadExt;

/// Longer than any step takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A chain of headers, each a block without transactions.
struct SmallChain {
    headers: RefCell<Vec<[u8; 80]>>,
    have: RefCell<Vec<bool>>,
    events: RefCell<Option<net_events::Client>>,
    changed: tokio::sync::Notify,
}

fn mine(prev: [u8; 32], time: u32) -> [u8; 80] {
    let mut raw = [0u8; 80];
    raw[0] = 1;
    raw[4..36].copy_from_slice(&prev);
    raw[68..72].copy_from_slice(&time.to_le_bytes());
    raw[72..76].copy_from_slice(&0x207f_ffffu32.to_le_bytes());
    for nonce in 0u32.. {
        raw[76..].copy_from_slice(&nonce.to_le_bytes());
        if header_hash(&raw)[31] < 0x7f {
            break;
        }
    }
    raw
}

impl SmallChain {
    fn new(length: usize) -> Rc<Self> {
        let now = u32::try_from(clock::now()).unwrap();
        let mut headers = vec![mine([0; 32], 1)];
        for _ in 1..length {
            headers.push(mine(header_hash(headers.last().unwrap()), now));
        }
        let have = vec![true; headers.len()];
        Rc::new(Self {
            headers: RefCell::new(headers),
            have: RefCell::new(have),
            events: RefCell::new(None),
            changed: tokio::sync::Notify::new(),
        })
    }

    fn height_of(&self, hash: &[u8]) -> Option<usize> {
        self.headers.borrow().iter().position(|header| header_hash(header) == hash)
    }

    /// Height of the highest block whose ancestors are all here.
    fn tip(&self) -> usize {
        self.have.borrow().iter().position(|have| !have).unwrap_or(self.have.borrow().len()) - 1
    }

    fn fill(&self, mut tip: wire_tip::Builder<'_>, height: usize) {
        let header = self.headers.borrow()[height];
        tip.set_hash(&header_hash(&header));
        tip.set_height(i32::try_from(height).unwrap());
        tip.set_time(i64::from(u32::from_le_bytes(header[68..72].try_into().unwrap())));
        let mut work = [0; 32];
        work[24..].copy_from_slice(&(2 * (height as u64 + 1)).to_be_bytes());
        tip.set_chain_work(&work);
        tip.set_initial_block_download(false);
    }

    fn describe(&self, mut info: header_info::Builder<'_>, hash: &[u8]) {
        let Some(height) = self.height_of(hash) else { return };
        info.set_known(true);
        info.set_have_data(self.have.borrow()[height]);
        info.set_in_active_chain(height <= self.tip());
        info.set_valid(true);
        self.fill(info.init_tip(), height);
    }

    async fn announce(self: &Rc<Self>) {
        let events = self.events.borrow().clone();
        if let Some(events) = events {
            let mut request = events.updated_tip_request();
            self.fill(request.get().init_tip(), self.tip());
            request.get().init_headers(1).set(0, &header_hash(&self.headers.borrow()[self.tip()]));
            request.send().promise.await.unwrap();
        }
        self.changed.notify_waiters();
    }

    async fn extend(self: &Rc<Self>) {
        let header = mine(header_hash(self.headers.borrow().last().unwrap()), u32::try_from(clock::now()).unwrap());
        self.headers.borrow_mut().push(header);
        self.have.borrow_mut().push(true);
        self.announce().await;
    }

    async fn reaches(&self, height: usize) {
        while self.tip() < height {
            self.changed.notified().await;
        }
    }
}

struct Served(Rc<SmallChain>);

impl net_chain::Server for Served {
    async fn subscribe(
        self: Rc<Self>,
        params: net_chain::SubscribeParams,
        mut results: net_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        *self.0.events.borrow_mut() = Some(params.get()?.get_events()?);
        self.0.fill(results.get().init_tip(), self.0.tip());
        Ok(())
    }

    async fn state(self: Rc<Self>, _: net_chain::StateParams, mut results: net_chain::StateResults) -> Result<(), capnp::Error> {
        self.0.fill(results.get().init_tip(), self.0.tip());
        let last = self.0.headers.borrow().len() - 1;
        self.0.fill(results.get().init_best_header(), last);
        results.get().set_minimum_work(&[0; 32]);
        Ok(())
    }

    async fn locator(
        self: Rc<Self>,
        params: net_chain::LocatorParams,
        mut results: net_chain::LocatorResults,
    ) -> Result<(), capnp::Error> {
        let headers = self.0.headers.borrow();
        let from = self.0.height_of(params.get()?.get_from()?).unwrap_or(headers.len() - 1);
        let mut list = results.get().init_hashes(2.min(u32::try_from(from).unwrap() + 1));
        list.set(0, &header_hash(&headers[from]));
        if from > 0 {
            list.set(1, &header_hash(&headers[from - 1]));
        }
        Ok(())
    }

    async fn submit_headers(
        self: Rc<Self>,
        params: net_chain::SubmitHeadersParams,
        mut results: net_chain::SubmitHeadersResults,
    ) -> Result<(), capnp::Error> {
        let data = params.get()?.get_headers()?;
        for header in data.as_chunks::<80>().0 {
            if self.0.height_of(&header_hash(header)).is_some() {
                continue;
            }
            let connects = self.0.height_of(&header[4..36]) == Some(self.0.headers.borrow().len() - 1);
            if !connects {
                results.get().init_verdict().set_kind(verdict::Kind::MissingPrevious);
                return Ok(());
            }
            self.0.headers.borrow_mut().push(*header);
            self.0.have.borrow_mut().push(false);
            results.get().set_is_new(true);
        }
        results.get().init_verdict().set_accepted(true);
        let last = self.0.height_of(&header_hash(data.as_chunks::<80>().0.last().unwrap())).unwrap();
        self.0.fill(results.get().init_last(), last);
        Ok(())
    }

    /// Takes the header and asks for the whole block.
    async fn submit_compact_block(
        self: Rc<Self>,
        params: net_chain::SubmitCompactBlockParams,
        mut results: net_chain::SubmitCompactBlockResults,
    ) -> Result<(), capnp::Error> {
        let header: [u8; 80] = *params.get()?.get_compact_block()?.first_chunk().unwrap();
        let is_new = self.0.height_of(&header_hash(&header)).is_none();
        if is_new {
            assert_eq!(self.0.height_of(&header[4..36]), Some(self.0.headers.borrow().len() - 1));
            self.0.headers.borrow_mut().push(header);
            self.0.have.borrow_mut().push(false);
        }
        let height = self.0.height_of(&header_hash(&header)).unwrap();
        let mut outcome = results.get().init_outcome();
        outcome.reborrow().init_verdict().set_accepted(true);
        outcome.set_is_new(is_new);
        outcome.set_distance(i32::try_from(height - self.0.tip()).unwrap());
        outcome.set_status(CompactStatus::Failed);
        self.0.fill(outcome.init_last(), height);
        Ok(())
    }

    async fn missing_blocks(
        self: Rc<Self>,
        _: net_chain::MissingBlocksParams,
        mut results: net_chain::MissingBlocksResults,
    ) -> Result<(), capnp::Error> {
        let missing: Vec<usize> =
            self.0.have.borrow().iter().enumerate().filter(|(_, have)| !**have).map(|(height, _)| height).take(1024).collect();
        let mut list = results.get().init_blocks(u32::try_from(missing.len()).unwrap());
        for (index, height) in (0..).zip(missing) {
            let mut block = list.reborrow().get(index);
            block.set_hash(&header_hash(&self.0.headers.borrow()[height]));
            block.set_height(i32::try_from(height).unwrap());
        }
        Ok(())
    }

    async fn submit_block(
        self: Rc<Self>,
        params: net_chain::SubmitBlockParams,
        mut results: net_chain::SubmitBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        assert!(params.get_requested());
        let hash = header_hash(params.get_block()?.first_chunk().unwrap());
        let height = self.0.height_of(&hash).unwrap();
        let before = self.0.tip();
        self.0.have.borrow_mut()[height] = true;
        results.get().init_verdict().set_accepted(true);
        results.get().set_is_new(true);
        if self.0.tip() != before {
            self.0.announce().await;
        }
        Ok(())
    }

    async fn find_headers(
        self: Rc<Self>,
        params: net_chain::FindHeadersParams,
        mut results: net_chain::FindHeadersResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let headers = self.0.headers.borrow();
        let limit = usize::try_from(params.get_limit()).unwrap();
        let locator = params.get_locator()?;
        let found = if locator.is_empty() {
            self.0.height_of(params.get_stop()?).map_or(&[][..], |height| &headers[height..=height])
        } else {
            let fork = locator.iter().find_map(|hash| self.0.height_of(hash.unwrap())).unwrap_or(0);
            &headers[fork + 1..=self.0.tip().min(fork + limit)]
        };
        results.get().set_headers(found.as_flattened());
        Ok(())
    }

    async fn header_info(
        self: Rc<Self>,
        params: net_chain::HeaderInfoParams,
        mut results: net_chain::HeaderInfoResults,
    ) -> Result<(), capnp::Error> {
        let hashes = params.get()?.get_hashes()?.as_chunks::<32>().0;
        let mut list = results.get().init_found(u32::try_from(hashes.len()).unwrap());
        for (at, hash) in (0..).zip(hashes) {
            self.0.describe(list.reborrow().get(at), hash);
        }
        Ok(())
    }

    async fn get_block(
        self: Rc<Self>,
        params: net_chain::GetBlockParams,
        mut results: net_chain::GetBlockResults,
    ) -> Result<(), capnp::Error> {
        let hash = params.get()?.get_hash()?;
        self.0.describe(results.get().init_info(), hash);
        if let Some(height) = self.0.height_of(hash) {
            let mut block = self.0.headers.borrow()[height].to_vec();
            block.push(0);
            results.get().set_block(&block);
        }
        Ok(())
    }
}

fn node(seed: u8) -> Rc<Node> {
    let config = EngineConfig {
        magic: [0xfa, 0xbf, 0xb5, 0xda],
        pow_limit: Target::MAX_ATTAINABLE_REGTEST,
        rules: bulkhead_consensus::networks::regtest(),
        sampling: Sampling::of("regtest"),
        spacing: 600,
        regtest: true,
        default_port: 18444,
        listen_port: 18444,
        subversion: format!("/Bulkhead:31.99.0(node{seed})/"),
        services: services::NETWORK | services::WITNESS | services::NETWORK_LIMITED | services::P2P_V2,
        reachable: vec![Network::Ipv4, Network::Ipv6],
        uses_addrman: true,
        discover: false,
        capture: false,
        tx_reconciliation: false,
        listen: true,
        max_connections: 125,
        prune: false,
        blocks_only: false,
        max_upload: 0,
        peer_timeout: 60,
        bantime: 86400,
        log_ips: false,
        whitelist: Vec::new(),
        whitelist_relay: true,
        whitelist_force_relay: false,
        min_relay_fee: 100,
        max_receive: 5_000_000,
        max_send: 1_000_000,
    };
    let engine = Engine::new(config, AddrMan::new([seed; 32]), BanList::default(), [seed; 32], clock::now_micros());
    let node = Node::new(engine, Files::default(), Info::default(), Proxies::default(), I2p::default());
    tokio::task::spawn_local(Rc::clone(&node).run_timers());
    node
}

fn attach(node: &Rc<Node>, chain: &Rc<SmallChain>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let served: net_chain::Client = capnp_rpc::new_client(Served(Rc::clone(chain)));
    bulkhead_link::serve(OwnedFd::from(theirs), "net-chain", served.client).unwrap();
    node.wire_chain(OwnedFd::from(ours)).unwrap();
}

/// One node connects to the other, with the v2 transport or without.
fn join(from: &Rc<Node>, to: &Rc<Node>, v2: bool) {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let new =
        |kind| NewPeer { addr: Endpoint::parse("127.0.0.1:18444", 0).unwrap(), kind, v2, ..NewPeer::inbound(Permissions::NONE) };
    let (reader, writer) = far.into_split();
    to.adopt(new(ConnectionKind::Inbound), reader, writer).unwrap();
    let (reader, writer) = near.into_split();
    from.adopt(new(ConnectionKind::Manual), reader, writer).unwrap();
}

#[test]
fn late_node_catches_up_and_follows_new_blocks() {
    bulkhead_link::run(async {
        let (long, short) = (SmallChain::new(2300), SmallChain::new(1));
        let (first, second) = (node(1), node(2));
        attach(&first, &long);
        attach(&second, &short);
        join(&second, &first, false);
        tokio::time::timeout(PATIENCE, short.reaches(2299)).await.unwrap();
        long.extend().await;
        tokio::time::timeout(PATIENCE, short.reaches(2300)).await.unwrap();
        let peers = second.look(Engine::peer_stats);
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].user_agent, "/Bulkhead:31.99.0(node1)/");
        assert!(peers[0].received_by_type["pong"] >= 32);
    })
    .unwrap();
}

#[test]
fn restart_of_chain_does_not_end_the_synchronisation() {
    bulkhead_link::run(async {
        let (long, short) = (SmallChain::new(50), SmallChain::new(1));
        let (first, second) = (node(1), node(2));
        attach(&first, &long);
        join(&second, &first, false);
        attach(&second, &short);
        tokio::time::timeout(PATIENCE, short.reaches(49)).await.unwrap();
        attach(&second, &short);
        long.extend().await;
        tokio::time::timeout(PATIENCE, short.reaches(50)).await.unwrap();
    })
    .unwrap();
}

#[test]
fn end_of_the_stream_removes_the_peer_on_both_sides() {
    bulkhead_link::run(async {
        let (first, second) = (node(1), node(2));
        join(&second, &first, false);
        assert!(second.with(|engine| engine.disconnect(0)));
        assert!(second.look(Engine::peer_stats).is_empty());
        let gone = async {
            while !first.look(Engine::peer_stats).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
    })
    .unwrap();
}

#[test]
fn nodes_that_speak_v2_sync_over_it_and_show_the_same_session() {
    bulkhead_link::run(async {
        let (long, short) = (SmallChain::new(300), SmallChain::new(1));
        let (first, second) = (node(1), node(2));
        attach(&first, &long);
        attach(&second, &short);
        join(&second, &first, true);
        tokio::time::timeout(PATIENCE, short.reaches(299)).await.unwrap();
        let (inbound, outbound) = (first.look(Engine::peer_stats), second.look(Engine::peer_stats));
        assert_eq!((inbound[0].transport, outbound[0].transport), ("v2", "v2"));
        assert!(inbound[0].session_id.is_some() && inbound[0].session_id == outbound[0].session_id);
        assert_eq!(outbound[0].received_by_type["pong"], 29);
    })
    .unwrap();
}

#[test]
fn peer_that_hangs_up_on_the_v2_handshake_is_tried_again_with_v1() {
    bulkhead_link::run(async {
        let node = node(1);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let dialled = {
            let (node, address) = (Rc::clone(&node), address.clone());
            tokio::task::spawn_local(async move { node.open(Node::by_hand(&address, true)).await })
        };
        let hang_up = async {
            let (mut first, _) = listener.accept().await.unwrap();
            let mut key = [0; 64];
            first.read_exact(&mut key).await.unwrap();
            drop(first);
            let (mut second, _) = listener.accept().await.unwrap();
            let mut header = [0; 16];
            second.read_exact(&mut header).await.unwrap();
            header
        };
        let header = tokio::time::timeout(PATIENCE, hang_up).await.unwrap();
        assert_eq!(&header, b"\xfa\xbf\xb5\xdaversion\0\0\0\0\0");
        assert!(dialled.await.unwrap().is_some());
        assert_eq!(node.look(Engine::peer_stats)[0].name, address);
    })
    .unwrap();
}
