//! What happens in chain, on its way to the other processes.
//!
//! The engine's thread hands each event to the IPC thread and goes on; there, every subscriber has a queue of its own with one
//! call in flight. A subscriber that does not keep up: net gets the newest tip only and loses old announcements of
//! transactions; the wallet loses what is queued and gets the newest tip, from which it sees that it must catch up by locator;
//! the front door loses its oldest events.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Wtxid};
use bulkhead_consensus::{PreparedBlock, Reject, RejectKind};
use bulkhead_schema::wire::net_chain_capnp::{PrivateOutcome, net_events};
use bulkhead_schema::wire::rpc_chain_capnp::chain_events;
use bulkhead_schema::wire::wallet_chain_capnp::wallet_events;
use tokio::sync::{Notify, mpsc};

use super::convert::{fill_tip, fill_verdict, tip_of};
use super::net_transactions::NewestBlock;
use super::steps::Steps;
use crate::engine::{BlockNode, Listener, State, TipInfo};
use crate::mempool_accept::Pool;

/// Connected blocks that are told to net at once.
const MAX_ANNOUNCED: usize = 288;
/// Transactions in one message to net.
const MAX_ENTERED: usize = 200;
/// Ids of transactions that left, in one message to net.
const MAX_REMOVED: usize = 1000;
/// Refused blocks that wait for net.
const MAX_REFUSED: usize = 100;
/// Events that wait for the wallet, and their blocks and transactions in bytes.
const MAX_WALLET: usize = 1000;
const MAX_WALLET_BYTES: usize = 32 << 20;
/// Announcements of transactions that wait for net, and events that wait for the front door.
const MAX_WAITING: usize = 10_000;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A block became the tip.
    Connected { block: Arc<PreparedBlock>, height: i32, median_time: i64 },
    /// A block was taken back.
    Disconnected { block: Arc<PreparedBlock>, height: i32 },
    /// A step is over.
    Tip(TipInfo),
    /// A block that was connected is the tip now, and the node is not catching up.
    NewTip(BlockHash),
    /// The best header changed.
    HeaderTip(TipInfo),
    /// A block broke a rule, maybe long after it came in.
    Refused { hash: BlockHash, reject: Reject },
    /// A transaction entered the mempool. Fee rate in satoshi per 1000 virtual bytes.
    Added { tx: Arc<Transaction>, sequence: u64, fee_rate: u64, vsize: u32, ancestors: u32 },
    /// A block on top of the tip has its proof of work and is well formed.
    NewBlock { tip: TipInfo, block: Arc<PreparedBlock> },
    /// A transaction left the mempool.
    Removed { tx: Arc<Transaction>, sequence: u64, reason: &'static str },
    /// A transaction of the user is to be broadcast without going through the mempool; net's answer goes back. Dropped
    /// unanswered when there is no net.
    Private { tx: Arc<Transaction>, answer: mpsc::Sender<PrivateOutcome> },
    /// What net knows of chain's state beyond the tip is old; dropped when it has taken note.
    StateChanged(Marker),
    /// Nothing: dropped where an event would have been taken, so that its sender sees how far the events are.
    Barrier(Marker),
    /// As `Barrier`, for wallets alone.
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    Step(Marker),
}

/// Is dropped at the end of a wait.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "what counts is when it is dropped")]
pub enum Marker {
    /// A task waits.
    Task(mpsc::Sender<()>),
    /// A thread waits.
    Thread(std::sync::mpsc::Sender<()>),
}

/// How long a thread waits for others to take events: one that was taken over must not hold up calls for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// The end that the engine and the mempool talk to.
#[derive(Debug, Clone)]
pub struct Relay {
    events: mpsc::UnboundedSender<Happening>,
    /// Blocks connected in the step that is going on. As in Core they are told when it is over, after the transactions that it
    /// brought back into the mempool.
    connected: Arc<Mutex<Vec<Happening>>>,
    steps: Arc<Mutex<Steps>>,
}

impl Relay {
    fn tell(&self, happening: Happening) {
        // The IPC thread may have ended already.
        let _ = self.events.send(happening);
    }

    fn tell_connected(&self) {
        let connected = std::mem::take(&mut *self.connected.lock().unwrap_or_else(PoisonError::into_inner));
        for happening in connected {
            self.tell(happening);
        }
    }

    /// Blocks until net and the wallet have taken every event that happened before, or are too slow: call it without locks.
    pub fn wait_until_taken(&self) {
        self.tell_and_wait(Happening::Barrier, "net or the wallet does not take what happens, going on without it");
    }

    /// Blocks until net, if it is there, knows that an import is over, during which it ignores the blocks of peers, or that a snapshot
    /// was loaded, after which it offers no history; or is too slow. Call it without locks.
    pub fn tell_state_changed(&self) {
        self.tell_and_wait(Happening::StateChanged, "net does not take note of what has changed, going on without it");
    }

    /// Blocks until the event's marker is dropped; warns when that takes too long.
    fn tell_and_wait(&self, happening: impl FnOnce(Marker) -> Happening, too_slow: &str) {
        let (marker, gone) = std::sync::mpsc::channel();
        self.tell(happening(Marker::Thread(marker)));
        if gone.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("{too_slow}");
        }
    }

    /// Hands a transaction to net for private broadcast; `None`: net is not there. Blocks until net has answered: call it
    /// without locks.
    pub fn broadcast_privately(&self, tx: &Arc<Transaction>) -> Option<PrivateOutcome> {
        let (answer, mut answered) = mpsc::channel(1);
        self.tell(Happening::Private { tx: Arc::clone(tx), answer });
        answered.blocking_recv()
    }

    /// Hears of a pool's changes.
    pub fn follow(&self, pool: &Arc<Pool>) {
        let relay = self.clone();
        pool.subscribe(Box::new(move |event| relay.pool_event(event)));
    }

    fn pool_event(&self, event: bulkhead_mempool::Event) {
        match event {
            bulkhead_mempool::Event::Added { tx, sequence, fee, vsize, ancestors, .. } => {
                let fee_rate = fee.saturating_mul(1000) / vsize.max(1);
                let fee_rate = u64::try_from(fee_rate).unwrap_or(0);
                let vsize = u32::try_from(vsize).unwrap_or(u32::MAX);
                self.tell(Happening::Added { tx, sequence, fee_rate, vsize, ancestors });
            }
            bulkhead_mempool::Event::Removed { tx, reason, sequence } => {
                self.tell(Happening::Removed { tx, sequence, reason: reason.name() });
            }
        }
    }
}

impl Listener for Relay {
    fn block_connected(&self, state: &State, block: &Arc<PreparedBlock>, node: &BlockNode) {
        let median_time = state.active().tip().map_or(0, |tip| state.index().median_time_past(tip));
        let happening = Happening::Connected { block: Arc::clone(block), height: node.height, median_time };
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).push(happening);
    }

    fn block_disconnected(&self, _: &State, block: &Arc<PreparedBlock>, node: &BlockNode) {
        self.tell_connected();
        self.tell(Happening::Disconnected { block: Arc::clone(block), height: node.height });
    }

    fn tip_updated(&self, state: &State, tip: &BlockNode, fork: Option<&BlockNode>, initial_download: bool) {
        self.tell_connected();
        if !initial_download && fork.is_none_or(|fork| fork.hash != tip.hash) {
            self.tell(Happening::NewTip(tip.hash));
        }
        if let Some(tip) = tip_of(state, Some(tip)) {
            self.tell(Happening::Tip(tip));
        }
    }

    fn step_over(&self) {
        let (marker, taken) = std::sync::mpsc::channel();
        self.tell(Happening::Step(Marker::Thread(marker)));
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).add(taken, PATIENCE);
    }

    fn block_checked(&self, hash: BlockHash, result: Result<(), &Reject>) {
        // Changed data says nothing about the block; whoever sent it is judged by the answer.
        if let Err(reject) = result
            && reject.kind != RejectKind::Mutated
        {
            self.tell(Happening::Refused { hash, reject: reject.clone() });
        }
    }

    fn new_pow_valid_block(&self, state: &State, block: &Arc<PreparedBlock>, node: &BlockNode) {
        if let Some(tip) = tip_of(state, Some(node)) {
            self.tell(Happening::NewBlock { tip, block: Arc::clone(block) });
        }
    }

    fn header_tip(&self, state: &State, header: &BlockNode) {
        if let Some(tip) = tip_of(state, Some(header)) {
            self.tell(Happening::HeaderTip(tip));
        }
    }
}

/// What waits for net: the newest tips, and transactions.
#[derive(Debug, Default)]
struct NetBox {
    tip: Option<TipInfo>,
    hashes: VecDeque<BlockHash>,
    headers: Option<TipInfo>,
    refused: VecDeque<(BlockHash, Reject)>,
    newest: Option<(TipInfo, Arc<PreparedBlock>)>,
    transactions: VecDeque<Entered>,
    removed: VecDeque<Wtxid>,
    /// Each has a caller that waits, so there are few.
    private: VecDeque<(Arc<Transaction>, mpsc::Sender<PrivateOutcome>)>,
    /// All who wait for one question of net, dropped when it is answered.
    state_changed: Vec<Marker>,
    /// Dropped when everything before was taken.
    barriers: Vec<Marker>,
}

/// A transaction that entered the mempool.
#[derive(Debug, Clone)]
struct Entered {
    tx: Arc<Transaction>,
    sequence: u64,
    fee_rate: u64,
    vsize: u32,
    ancestors: u32,
}

/// What waits for the wallet.
#[derive(Debug, Default)]
struct WalletBox {
    events: VecDeque<Happening>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue<B> {
    waiting: RefCell<B>,
    filled: Notify,
}

/// What the engine and the mempool have told, to be handed on by [`Hub::run`].
pub struct Happenings(mpsc::UnboundedReceiver<Happening>);

/// The subscribers. Lives on the IPC thread.
pub struct Hub {
    /// Weak: the stream of events ends with the engine.
    events: mpsc::WeakUnboundedSender<Happening>,
    net: RefCell<Vec<Rc<Queue<NetBox>>>>,
    wallets: RefCell<Vec<Rc<Queue<WalletBox>>>>,
    doors: RefCell<Vec<Rc<Queue<VecDeque<Happening>>>>>,
    newest: RefCell<Option<Arc<NewestBlock>>>,
}

impl Hub {
    /// A hub, the end that the engine talks to, and the stream to [`Hub::run`] on.
    pub fn new() -> (Rc<Self>, Relay, Happenings) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let hub = Self {
            events: sender.downgrade(),
            net: RefCell::default(),
            wallets: RefCell::default(),
            doors: RefCell::default(),
            newest: RefCell::default(),
        };
        (Rc::new(hub), Relay { events: sender, connected: Arc::default(), steps: Arc::default() }, Happenings(receiver))
    }

    /// The newest block that was told to net.
    pub fn newest_block(&self) -> Option<Arc<NewestBlock>> {
        self.newest.borrow().clone()
    }

    /// Resolves when net and the wallet have taken every event that happened before (Core: `SyncWithValidationInterfaceQueue`).
    pub async fn barrier(&self) {
        let (marker, mut gone) = mpsc::channel(1);
        if let Some(events) = self.events.upgrade() {
            // No longer running: there is nothing to wait for.
            let _ = events.send(Happening::Barrier(Marker::Task(marker)));
        }
        while gone.recv().await.is_some() {}
    }

    /// Has net tell peers of a transaction again. Fee rate in satoshi per 1000 virtual bytes.
    pub fn announce(&self, tx: &Arc<Transaction>, fee_rate: u64, vsize: u32) {
        let event = Happening::Added { tx: Arc::clone(tx), sequence: 0, fee_rate, vsize, ancestors: 1 };
        for queue in self.net.borrow().iter() {
            queue.waiting.borrow_mut().push(&event);
            queue.filled.notify_one();
        }
    }

    /// Hands events to the subscribers until the engine is gone.
    pub async fn run(self: Rc<Self>, happenings: &mut Happenings) {
        while let Some(event) = happenings.0.recv().await {
            self.net.borrow_mut().retain(|queue| Rc::strong_count(queue) > 1);
            self.wallets.borrow_mut().retain(|queue| Rc::strong_count(queue) > 1);
            self.doors.borrow_mut().retain(|queue| Rc::strong_count(queue) > 1);
            if let Happening::NewBlock { block, .. } = &event {
                *self.newest.borrow_mut() = Some(Arc::new(NewestBlock::new(Arc::clone(block))));
            }
            for queue in self.net.borrow().iter() {
                queue.waiting.borrow_mut().push(&event);
                queue.filled.notify_one();
            }
            let only_net = matches!(
                event,
                Happening::HeaderTip(_)
                    | Happening::Refused { .. }
                    | Happening::NewBlock { .. }
                    | Happening::Private { .. }
                    | Happening::StateChanged(_)
            );
            let for_wallets = !only_net && !matches!(event, Happening::NewTip(_));
            for queue in self.wallets.borrow().iter().filter(|_| for_wallets) {
                queue.waiting.borrow_mut().push(&event);
                queue.filled.notify_one();
            }
            let for_doors = !only_net && !matches!(event, Happening::Tip(_) | Happening::Barrier(_) | Happening::Step(_));
            for queue in self.doors.borrow().iter().filter(|_| for_doors) {
                let mut waiting = queue.waiting.borrow_mut();
                if waiting.len() >= MAX_WAITING {
                    waiting.pop_front();
                }
                waiting.push_back(event.clone());
                queue.filled.notify_one();
            }
        }
    }

    /// Adds net as a subscriber.
    pub fn add_net(&self, client: net_events::Client) {
        let queue: Rc<Queue<NetBox>> = Rc::default();
        self.net.borrow_mut().push(Rc::clone(&queue));
        tokio::task::spawn_local(async move {
            loop {
                let next = queue.waiting.borrow_mut().next();
                let Some(next) = next else {
                    queue.filled.notified().await;
                    continue;
                };
                if let Err(error) = send_net(&client, next).await {
                    tracing::debug!(target: "ipc", "net does not take events: {}", error.extra);
                    // Nobody waits for what net will never take.
                    queue.waiting.replace(NetBox::default());
                    return;
                }
            }
        });
    }

    /// Adds the wallet as a subscriber.
    pub fn add_wallet(&self, client: wallet_events::Client) {
        let queue: Rc<Queue<WalletBox>> = Rc::default();
        self.wallets.borrow_mut().push(Rc::clone(&queue));
        tokio::task::spawn_local(drain(queue, WalletBox::pop, move |event| {
            let client = client.clone();
            async move { send_wallet(&client, event).await }
        }));
    }

    /// Adds the front door as a subscriber.
    pub fn add_door(&self, client: chain_events::Client) {
        let queue: Rc<Queue<VecDeque<Happening>>> = Rc::default();
        self.doors.borrow_mut().push(Rc::clone(&queue));
        tokio::task::spawn_local(drain(queue, VecDeque::pop_front, move |event| {
            let client = client.clone();
            async move { send_door(&client, event).await }
        }));
    }
}

/// Lets a connection subscribe once: nobody needs a second queue of the same events.
///
/// # Errors
/// It has done so already.
pub fn once(subscribed: &Cell<bool>) -> Result<(), capnp::Error> {
    if subscribed.replace(true) { Err(bulkhead_link::failed("this connection has subscribed already")) } else { Ok(()) }
}

/// Sends one event after the other; ends with the first that is not taken.
async fn drain<B, F: Future<Output = Result<(), capnp::Error>>>(
    queue: Rc<Queue<B>>,
    pop: impl Fn(&mut B) -> Option<Happening>,
    send: impl Fn(Happening) -> F,
) {
    loop {
        let next = pop(&mut queue.waiting.borrow_mut());
        let Some(next) = next else {
            queue.filled.notified().await;
            continue;
        };
        if let Err(error) = send(next).await {
            tracing::debug!(target: "ipc", "a subscriber does not take events: {}", error.extra);
            return;
        }
    }
}

/// Bytes of the block or transaction of an event.
fn weight_of(event: &Happening) -> usize {
    match event {
        Happening::Connected { block, .. } | Happening::Disconnected { block, .. } => block.block().total_size(),
        Happening::Added { tx, .. } | Happening::Removed { tx, .. } => tx.total_size(),
        _ => 0,
    }
}

impl WalletBox {
    fn push(&mut self, event: &Happening) {
        let bytes = weight_of(event);
        if self.events.len() >= MAX_WALLET || self.bytes.saturating_add(bytes) > MAX_WALLET_BYTES {
            // Only tips from here on: the wallet sees a gap and catches up by locator.
            self.events.retain(|old| matches!(old, Happening::Tip(_)));
            while self.events.len() > 1 {
                self.events.pop_front();
            }
            self.bytes = 0;
            if !matches!(event, Happening::Tip(_)) {
                return;
            }
        }
        self.bytes += bytes;
        self.events.push_back(event.clone());
    }

    fn pop(&mut self) -> Option<Happening> {
        let event = self.events.pop_front()?;
        self.bytes = self.bytes.saturating_sub(weight_of(&event));
        Some(event)
    }
}

enum ForNet {
    /// The markers are dropped when net has answered.
    StateChanged(Vec<Marker>),
    Refused(BlockHash, Reject),
    Tip(TipInfo, Vec<BlockHash>),
    Headers(TipInfo),
    NewBlock(TipInfo, Arc<PreparedBlock>),
    Entered(Vec<Entered>),
    Removed(Vec<Wtxid>),
    Private(Arc<Transaction>, mpsc::Sender<PrivateOutcome>),
}

impl NetBox {
    fn push(&mut self, event: &Happening) {
        match event {
            Happening::Connected { block, .. } => {
                if self.hashes.len() >= MAX_ANNOUNCED {
                    self.hashes.pop_front();
                }
                self.hashes.push_back(block.hash());
            }
            Happening::Disconnected { block, .. } => self.hashes.retain(|hash| *hash != block.hash()),
            Happening::Tip(tip) => self.tip = Some(tip.clone()),
            Happening::HeaderTip(tip) => self.headers = Some(tip.clone()),
            Happening::Refused { hash, reject } => {
                if self.refused.len() >= MAX_REFUSED {
                    self.refused.pop_front();
                }
                self.refused.push_back((*hash, reject.clone()));
            }
            Happening::NewBlock { tip, block } => self.newest = Some((tip.clone(), Arc::clone(block))),
            Happening::Added { tx, sequence, fee_rate, vsize, ancestors } => {
                if self.transactions.len() >= MAX_WAITING {
                    self.transactions.pop_front();
                }
                let (tx, sequence) = (Arc::clone(tx), *sequence);
                self.transactions.push_back(Entered { tx, sequence, fee_rate: *fee_rate, vsize: *vsize, ancestors: *ancestors });
            }
            Happening::Removed { tx, .. } => {
                if self.removed.len() >= MAX_WAITING {
                    self.removed.pop_front();
                }
                self.removed.push_back(tx.compute_wtxid());
            }
            Happening::NewTip(_) | Happening::Step(_) => {}
            Happening::Private { tx, answer } => self.private.push_back((Arc::clone(tx), answer.clone())),
            Happening::StateChanged(marker) => self.state_changed.push(marker.clone()),
            Happening::Barrier(marker) => self.barriers.push(marker.clone()),
        }
    }

    fn next(&mut self) -> Option<ForNet> {
        if !self.state_changed.is_empty() {
            return Some(ForNet::StateChanged(std::mem::take(&mut self.state_changed)));
        }
        if let Some((hash, reject)) = self.refused.pop_front() {
            return Some(ForNet::Refused(hash, reject));
        }
        if let Some(tip) = self.headers.take() {
            return Some(ForNet::Headers(tip));
        }
        if let Some((tip, block)) = self.newest.take() {
            return Some(ForNet::NewBlock(tip, block));
        }
        if let Some(tip) = self.tip.take() {
            return Some(ForNet::Tip(tip, std::mem::take(&mut self.hashes).into()));
        }
        // Whoever left after it had entered is told of last.
        if !self.transactions.is_empty() {
            let count = self.transactions.len().min(MAX_ENTERED);
            return Some(ForNet::Entered(self.transactions.drain(..count).collect()));
        }
        if !self.removed.is_empty() {
            let count = self.removed.len().min(MAX_REMOVED);
            return Some(ForNet::Removed(self.removed.drain(..count).collect()));
        }
        if let Some((tx, answer)) = self.private.pop_front() {
            return Some(ForNet::Private(tx, answer));
        }
        self.barriers.clear();
        None
    }
}

async fn send_net(client: &net_events::Client, event: ForNet) -> Result<(), capnp::Error> {
    match event {
        ForNet::StateChanged(_markers) => {
            client.state_changed_request().send().promise.await?;
        }
        ForNet::Refused(hash, reject) => {
            let mut request = client.block_checked_request();
            request.get().set_hash(hash.as_byte_array());
            fill_verdict(request.get().init_verdict(), Err(&reject));
            request.send().promise.await?;
        }
        ForNet::Tip(tip, hashes) => {
            let mut request = client.updated_tip_request();
            fill_tip(request.get().init_tip(), Some(&tip));
            let mut list = request.get().init_headers(hashes.len() as u32); // at most MAX_ANNOUNCED
            for (at, hash) in (0..).zip(&hashes) {
                list.set(at, hash.as_byte_array());
            }
            request.send().promise.await?;
        }
        ForNet::Headers(tip) => {
            let mut request = client.headers_tip_request();
            fill_tip(request.get().init_tip(), Some(&tip));
            request.send().promise.await?;
        }
        ForNet::NewBlock(tip, block) => {
            let mut request = client.new_block_request();
            fill_tip(request.get().init_tip(), Some(&tip));
            request.get().set_block(&bitcoin::consensus::serialize(block.block()));
            request.send().promise.await?;
        }
        ForNet::Entered(transactions) => {
            let mut request = client.transactions_accepted_request();
            let mut list = request.get().init_accepted(transactions.len() as u32); // at most MAX_ENTERED
            for (at, entered) in (0..).zip(&transactions) {
                let mut entry = list.reborrow().get(at);
                entry.set_txid(entered.tx.compute_txid().as_byte_array());
                entry.set_wtxid(entered.tx.compute_wtxid().as_byte_array());
                entry.set_fee_rate(entered.fee_rate);
                entry.set_vsize(entered.vsize);
                entry.set_sequence(entered.sequence);
                entry.set_ancestors(entered.ancestors);
            }
            request.send().promise.await?;
        }
        ForNet::Removed(wtxids) => {
            let mut request = client.transactions_removed_request();
            let bytes: Vec<u8> = wtxids.iter().flat_map(|wtxid| wtxid.to_byte_array()).collect();
            request.get().set_wtxids(&bytes);
            request.send().promise.await?;
        }
        ForNet::Private(tx, answer) => {
            let mut request = client.broadcast_privately_request();
            request.get().set_transaction(&bitcoin::consensus::serialize(&*tx));
            let response = request.send().promise.await?;
            // A caller that has gone away does not want the answer.
            let _ = answer.try_send(response.get()?.get_outcome()?);
        }
    }
    Ok(())
}

async fn send_wallet(client: &wallet_events::Client, event: Happening) -> Result<(), capnp::Error> {
    match event {
        Happening::Connected { block, height, median_time } => {
            let mut request = client.block_connected_request();
            request.get().set_hash(block.hash().as_byte_array());
            request.get().set_height(height);
            request.get().set_block(&bitcoin::consensus::serialize(block.block()));
            request.get().set_median_time(median_time);
            request.send().promise.await?;
        }
        Happening::Disconnected { block, height } => {
            let mut request = client.block_disconnected_request();
            request.get().set_hash(block.hash().as_byte_array());
            request.get().set_height(height);
            request.get().set_block(&bitcoin::consensus::serialize(block.block()));
            request.send().promise.await?;
        }
        Happening::Tip(tip) => {
            let mut request = client.updated_tip_request();
            fill_tip(request.get().init_tip(), Some(&tip));
            request.send().promise.await?;
        }
        Happening::Added { tx, .. } => {
            let mut request = client.transaction_added_request();
            request.get().set_transaction(&bitcoin::consensus::serialize(&*tx));
            request.send().promise.await?;
        }
        Happening::Removed { tx, reason, .. } => {
            let mut request = client.transaction_removed_request();
            request.get().set_txid(tx.compute_txid().as_byte_array());
            request.get().set_reason(reason);
            request.send().promise.await?;
        }
        Happening::HeaderTip(_)
        | Happening::Refused { .. }
        | Happening::NewBlock { .. }
        | Happening::NewTip(_)
        | Happening::Private { .. }
        | Happening::StateChanged(_)
        | Happening::Barrier(_)
        | Happening::Step(_) => {}
    }
    Ok(())
}

async fn send_door(client: &chain_events::Client, event: Happening) -> Result<(), capnp::Error> {
    match event {
        Happening::Connected { block, height, .. } => {
            let mut request = client.block_connected_request();
            request.get().set_hash(block.hash().as_byte_array());
            request.get().set_height(height);
            request.get().set_block(&bitcoin::consensus::serialize(block.block()));
            request.send().promise.await?;
        }
        Happening::Disconnected { block, .. } => {
            let mut request = client.block_disconnected_request();
            request.get().set_hash(block.hash().as_byte_array());
            request.get().set_block(&bitcoin::consensus::serialize(block.block()));
            request.send().promise.await?;
        }
        Happening::NewTip(hash) => {
            let mut request = client.updated_tip_request();
            request.get().set_hash(hash.as_byte_array());
            request.send().promise.await?;
        }
        Happening::Added { tx, sequence, .. } => {
            let mut request = client.transaction_added_request();
            request.get().set_transaction(&bitcoin::consensus::serialize(&*tx));
            request.get().set_sequence(sequence);
            request.send().promise.await?;
        }
        Happening::Removed { tx, sequence, .. } => {
            let mut request = client.transaction_removed_request();
            request.get().set_txid(tx.compute_txid().as_byte_array());
            request.get().set_sequence(sequence);
            request.send().promise.await?;
        }
        Happening::Tip(_)
        | Happening::HeaderTip(_)
        | Happening::Refused { .. }
        | Happening::NewBlock { .. }
        | Happening::Private { .. }
        | Happening::StateChanged(_)
        | Happening::Barrier(_)
        | Happening::Step(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bitcoin::{ScriptBuf, TxIn, absolute, transaction};

    fn removed(bytes: usize) -> Happening {
        let input = TxIn { script_sig: ScriptBuf::from(vec![0; bytes]), ..TxIn::default() };
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input],
            output: Vec::new(),
        };
        Happening::Removed { tx: Arc::new(tx), sequence: 0, reason: "expiry" }
    }

    #[test]
    fn a_slow_wallet_holds_a_bounded_number_of_bytes() {
        let mut queue = WalletBox::default();
        for _ in 0..40 {
            queue.push(&removed(1 << 20));
            assert!(queue.bytes <= MAX_WALLET_BYTES);
        }
        let mut queue = WalletBox::default();
        queue.push(&removed(100));
        assert!(queue.bytes > 100);
        assert!(matches!(queue.pop(), Some(Happening::Removed { .. })));
        assert_eq!(queue.bytes, 0);
    }

    /// Net, which takes note of what has changed when it is let.
    struct Net {
        let_through: Notify,
        noted: AtomicBool,
    }

    impl net_events::Server for Net {
        async fn state_changed(
            self: Rc<Self>,
            _: net_events::StateChangedParams,
            _: net_events::StateChangedResults,
        ) -> Result<(), capnp::Error> {
            self.let_through.notified().await;
            self.noted.store(true, Ordering::Release);
            Ok(())
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_changed_the_state_goes_on_when_net_has_taken_note_and_without_net_at_once() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let (hub, relay, mut happenings) = Hub::new();
                let running = Rc::clone(&hub);
                tokio::task::spawn_local(async move { running.run(&mut happenings).await });
                let without = relay.clone();
                tokio::task::spawn_blocking(move || without.tell_state_changed()).await.unwrap();

                let net = Rc::new(Net { let_through: Notify::new(), noted: AtomicBool::new(false) });
                hub.add_net(capnp_rpc::new_client_from_rc(Rc::clone(&net)));
                let told = tokio::task::spawn_blocking(move || relay.tell_state_changed());
                tokio::task::yield_now().await;
                assert!(!told.is_finished());
                net.let_through.notify_one();
                told.await.unwrap();
                assert!(net.noted.load(Ordering::Acquire));
            })
            .await;
    }
}
