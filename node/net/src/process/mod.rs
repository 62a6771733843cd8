//! The process around the engine: sockets, timers, the edges to chain and to the front door.
//!
//! # Correctness
//! One thread. [`Node::with`] is the only way into the engine: it sets the time, runs the caller's step and carries out
//! the effects, until there are none. The engine is never borrowed across an await.

pub mod broker;
pub mod chain;
pub mod chain_answers;
pub mod connect;
pub mod connection;
pub mod dial;
pub mod events;
pub mod files;
pub mod front_door;
pub mod i2p;
pub mod portmap;
pub mod private;
pub mod proxies;
pub mod resolve;
pub mod settings;
pub mod stream;
pub mod tor;

mod seeding;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_control::{ControlError, clock};
use bulkhead_link::Peer as PeerSlot;
use bulkhead_schema::wire::net_chain_capnp::net_chain;
use bulkhead_wire::frame::COMMAND_SIZE;
use tokio::sync::Notify;

use crate::engine::chain_view::{Answer, Question};
use crate::engine::peer::PeerId;
use crate::engine::{Effect, Engine};
use chain::Partials;
use connection::Outgoing;
use files::Files;
use i2p::I2p;
use portmap::Gateway;
use proxies::Proxies;
use resolve::Resolver;

/// How often the engine looks at its timers.
const TICK: Duration = Duration::from_millis(100);

/// A message as `-capturemessages` writes it: time in microseconds, command, length, body.
fn capture_record(time: i64, command: &str, body: &[u8]) -> Vec<u8> {
    let mut record = time.to_le_bytes().to_vec();
    record.extend(command.bytes().chain(std::iter::repeat(0)).take(COMMAND_SIZE));
    record.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend_from_slice(body);
    record
}

/// The running process.
pub struct Node {
    engine: RefCell<Engine>,
    connections: RefCell<HashMap<PeerId, Rc<Outgoing>>>,
    /// Chain, while it is there.
    pub chain: PeerSlot<net_chain::Client>,
    state_questions: events::Questions,
    /// Blocks under construction in chain.
    partials: Partials,
    /// Files that were opened before confinement.
    pub files: RefCell<Files>,
    /// Ways to routers that may forward our port.
    pub gateways: RefCell<Vec<Gateway>>,
    /// Figures that only RPCs need.
    pub info: Info,
    /// Which proxy leads where. Tor may tell later.
    pub proxies: RefCell<Proxies>,
    /// I2P sessions.
    pub(crate) i2p: I2p,
    /// Connections through proxies that got credentials of their own.
    isolated: Cell<u64>,
    /// Whom to ask for addresses.
    addr_fetches: RefCell<VecDeque<String>>,
    /// Connections for private broadcast are wanted.
    private_wanted: Notify,
    settling: Cell<bool>,
}

/// Settings that the engine does not need.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// `-incrementalrelayfee`, satoshi per 1000 vbyte.
    pub incremental_relay_fee: i64,
    /// `-minrelaytxfee`, satoshi per 1000 vbyte.
    pub min_relay_fee: i64,
    /// `-timeout`.
    pub connect_timeout: Duration,
    /// `-deprecatedrpc=warnings`: warnings as one text.
    pub warnings_as_text: bool,
    /// Begins the credentials of every connection through a proxy.
    pub isolation_prefix: String,
    /// `-privatebroadcast`.
    pub private_broadcast: bool,
    /// Names may be looked up (`-dns`).
    pub lookup_names: bool,
    /// How.
    pub resolver: Resolver,
}

impl Node {
    /// A process without connections.
    #[must_use]
    pub fn new(engine: Engine, files: Files, info: Info, proxies: Proxies, i2p: I2p) -> Rc<Self> {
        Rc::new(Self {
            engine: RefCell::new(engine),
            connections: RefCell::new(HashMap::new()),
            chain: PeerSlot::new("bitcoin-chain"),
            partials: Partials::default(),
            files: RefCell::new(files),
            state_questions: events::Questions::default(),
            gateways: RefCell::default(),
            info,
            proxies: RefCell::new(proxies),
            i2p,
            isolated: Cell::new(0),
            addr_fetches: RefCell::default(),
            private_wanted: Notify::new(),
            settling: Cell::new(false),
        })
    }

    /// One step of the engine and everything that follows from it.
    pub fn with<T>(self: &Rc<Self>, step: impl FnOnce(&mut Engine) -> T) -> T {
        let result = {
            let mut engine = self.engine.borrow_mut();
            engine.set_now(clock::now_micros());
            step(&mut engine)
        };
        self.settle();
        result
    }

    /// A look at the engine that changes nothing.
    pub fn look<T>(&self, view: impl FnOnce(&Engine) -> T) -> T {
        view(&self.engine.borrow())
    }

    fn settle(self: &Rc<Self>) {
        // Carrying out an effect may take another step; the outer loop sees what came of it.
        if self.settling.replace(true) {
            return;
        }
        loop {
            let effects = self.engine.borrow_mut().take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.carry_out(effect);
            }
        }
        self.settling.set(false);
        self.resume_readers();
    }

    fn carry_out(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Send { peer, command, body } => {
                let encoded = self.engine.borrow_mut().encode(peer, &command, &body);
                if let Some(bytes) = encoded {
                    self.write(peer, Some(command), bytes);
                }
            }
            Effect::Capture { addr, incoming, command, body } => {
                self.files.borrow().capture(&addr, incoming, capture_record(clock::now_micros(), &command, &body));
            }
            Effect::Handshake { peer, bytes } => self.write(peer, None, bytes),
            Effect::Reconnect { addr, destination, kind, over_onion } => {
                let node = Rc::clone(self);
                tokio::task::spawn_local(async move { node.reopen(addr, &destination, kind, over_onion).await });
            }
            Effect::PrivateWanted => self.private_wanted.notify_one(),
            Effect::Close(peer) => self.forget(peer, ""),
            Effect::Ask { token, question } => self.ask(token, question),
            Effect::DropPartial(key) => self.partials.drop_one(key),
            Effect::SaveBans => {
                let text = self.look(|engine| engine.bans.to_json());
                self.files.borrow_mut().write_bans(text);
            }
        }
    }

    fn write(self: &Rc<Self>, peer: PeerId, command: Option<String>, bytes: Vec<u8>) {
        let outgoing = self.connections.borrow().get(&peer).cloned();
        if let Some(outgoing) = outgoing
            && outgoing.push(command, bytes) > self.look(|engine| engine.config.max_send)
        {
            self.with(|engine| engine.set_send_paused(peer, true));
        }
    }

    fn ask(self: &Rc<Self>, token: u64, question: Question) {
        let node = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let answer = match node.chain.get() {
                Ok(chain) => chain::ask(&chain, &node.partials, question).await,
                Err(_) => Answer::Lost,
            };
            node.with(|engine| engine.answer(token, answer));
        });
    }

    /// The connection is over, by our will or not; `reason` as in [`Engine::closed`].
    pub(crate) fn forget(self: &Rc<Self>, peer: PeerId, reason: &str) {
        let outgoing = self.connections.borrow_mut().remove(&peer);
        if let Some(outgoing) = outgoing {
            outgoing.close();
        }
        self.with(|engine| engine.closed(peer, reason));
    }

    fn resume_readers(&self) {
        let engine = self.engine.borrow();
        for (peer, outgoing) in self.connections.borrow().iter() {
            outgoing.set_reading(!engine.receive_paused(*peer));
        }
    }

    /// Blocks under construction in chain.
    pub(crate) fn partials(&self) -> &Partials {
        &self.partials
    }

    /// Looks at timers, for ever.
    pub async fn run_timers(self: Rc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            self.with(|engine| {
                engine.tick();
                engine.save_bans_if_changed();
            });
        }
    }

    /// Writes what must survive.
    pub fn save(&self) {
        let engine = self.engine.borrow();
        let mut files = self.files.borrow_mut();
        files.write_peers(bulkhead_addrman::encode_peers(engine.config.magic, &engine.addrman));
        files.write_bans(engine.bans.to_json());
    }

    /// Writes what must survive, and waits until it is written.
    pub fn save_at_end(&self) {
        let engine = self.engine.borrow();
        if engine.config.uses_addrman {
            let anchors = engine.anchors();
            tracing::info!(
                target: "net",
                "DumpAnchors: Flush {} outbound block-relay-only peer addresses to anchors.dat started", anchors.len()
            );
            self.files.borrow().write_anchors(bulkhead_addrman::encode_anchors(engine.config.magic, &anchors));
        }
        drop(engine);
        self.save();
        self.files.borrow_mut().finish();
    }

    /// What only the supervisor can do with a path.
    ///
    /// # Errors
    /// Its refusal, or that it is gone.
    pub async fn ask_supervisor(&self, purpose: &'static str, path: &str) -> Result<bulkhead_control::Answer, ControlError> {
        let coming = self.files.borrow().ask(purpose, path).ok_or(ControlError::PeerGone)?;
        coming.await.map_err(|_| ControlError::PeerGone)?
    }

    /// A descriptor that only the supervisor can open.
    async fn descriptor(&self, purpose: &'static str, path: &str) -> Option<OwnedFd> {
        self.ask_supervisor(purpose, path).await.ok()?.descriptors.pop()
    }
}
