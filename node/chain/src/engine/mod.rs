//! The validation engine: which blocks are known, which chain is active, and the coins at its tip.
//!
//! # Correctness
//!
//! Lock order: `activation`, then `state`, then whatever a [`Listener`] locks. `state` is held while one block is connected
//! and released between blocks. Readers that only want the tip use [`ChainManager::tip`], which never waits for validation.
//! Listeners run with `state` held and get it by reference; they must not call the manager.

mod abandoned;
mod accept;
mod activate;
pub mod active;
mod ahead;
mod assume;
pub mod background;
pub mod check_index;
mod connect;
pub mod dates;
pub mod dump;
mod fail;
mod flush;
mod import;
pub mod index;
mod invalid;
mod load;
pub mod load_snapshot;
pub mod muhash;
mod operator;
mod options;
mod overlay;
mod proposal;
pub mod prune;
mod prune_locks;
mod replay;
mod scanner;
mod scripts;
mod stages;
mod state;
mod tip;
pub mod utxo_stats;
mod verify;
mod warnings;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash};
use bulkhead_consensus::{Params, PreparedBlock, Reject};
use bulkhead_script::ScriptCache;

pub use abandoned::{Caller, abandonable, is_abandoned};
pub use accept::Accepted;
pub use active::ActiveChain;
pub use fail::EngineError;
pub use import::ImportSource;
pub use index::{BlockIndex, BlockNode, NodeId};
pub use load::OpenError;
pub use options::EngineOptions;
pub use overlay::Overlay;
pub use state::State;
pub use tip::TipInfo;
pub use verify::VerifyOutcome;

use crate::warnings::Warning;

/// What the engine tells those around it. All methods run with the state locked; keep them short.
pub trait Listener: Send + Sync {
    /// `block` became the tip.
    fn block_connected(&self, _state: &State, _block: &Arc<PreparedBlock>, _node: &BlockNode) {}
    /// The chain below a snapshot got one block further, or has reached the snapshot.
    fn background_advanced(&self) {}
    /// `block` is no longer part of the active chain; its parent is the tip now.
    fn block_disconnected(&self, _state: &State, _block: &Arc<PreparedBlock>, _node: &BlockNode) {}
    /// The operator takes back so many blocks that the transactions of those taken back since the last step are given up.
    fn disconnected_given_up(&self) {}
    /// A step is over: the mempool may settle. `fork` is where the old and the new chain part.
    fn tip_updated(&self, _state: &State, _tip: &BlockNode, _fork: Option<&BlockNode>, _initial_download: bool) {}
    /// All of a step is over, and no lock is held but that of changes of the active chain: the listener may wait for others.
    fn step_over(&self) {}
    /// A block was validated, for better or worse.
    fn block_checked(&self, _hash: BlockHash, _result: Result<(), &Reject>) {}
    /// The best header changed.
    fn header_tip(&self, _state: &State, _header: &BlockNode) {}
    /// Index and coins were written to disk.
    fn flushed(&self, _state: &State) {}
    /// A block that extends the tip has passed the checks that need no coins: it may be announced.
    fn new_pow_valid_block(&self, _state: &State, _block: &Arc<PreparedBlock>, _node: &BlockNode) {}
}

/// Messages for the user that do not belong to one block.
pub trait Notifier: Send + Sync {
    /// The node cannot go on. Core's text.
    fn fatal(&self, _text: &str) {}
    /// Progress of starting ("Verifying blocks…").
    fn init_message(&self, _text: &str) {}
    /// `-stopatheight` was reached.
    fn stop_requested(&self) {}
    /// Something that users should know; may be said again while it holds.
    fn warning_set(&self, _kind: Warning, _text: &str) {}
    /// It has passed.
    fn warning_unset(&self, _kind: Warning) {}
}

/// A notifier that drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Notifier for Silent {}

/// The engine. Shared by reference count; all methods may be called from any thread.
pub struct ChainManager {
    options: EngineOptions,
    /// Serialises changes of the active chain.
    activation: Mutex<()>,
    state: Mutex<State>,
    tip: RwLock<Arc<TipInfo>>,
    tip_changed: tip::TipSignal,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
    notifier: Arc<dyn Notifier>,
    scripts: scripts::ScriptPool,
    script_cache: Arc<ScriptCache>,
    stages: stages::Stages,
    interrupt: AtomicBool,
    importing: AtomicBool,
    failed: AtomicBool,
    /// How often a check of the index was due (`-checkblockindex`).
    index_checks: AtomicU64,
}

impl std::fmt::Debug for ChainManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainManager").field("tip", &self.tip()).finish_non_exhaustive()
    }
}

impl ChainManager {
    /// Rules of the chain.
    pub fn params(&self) -> &Params {
        &self.options.params
    }

    /// How the engine was set up.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Seconds since 1970 by the node's clock.
    pub fn now(&self) -> i64 {
        (self.options.clock)()
    }

    /// Locks index, active chain and coins.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tip as of the last block that was connected; does not wait.
    pub fn tip(&self) -> Arc<TipInfo> {
        self.tip.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `done` holds for the tip, `deadline` passes, the engine stops or the caller has gone ([`is_abandoned`]); gives
    /// the tip as it is then.
    pub fn wait_for_tip(&self, deadline: Option<std::time::Instant>, done: impl FnMut(&TipInfo) -> bool) -> Arc<TipInfo> {
        self.tip_changed.wait(self, deadline, done)
    }

    /// How many threads wait for a tip.
    pub fn waiting(&self) -> usize {
        self.tip_changed.waiting()
    }

    /// Has those that wait for a tip look again whether they are done.
    pub fn wake_waiting(&self) {
        self.tip_changed.wake();
    }

    /// Adds a listener; it hears of everything from now on.
    pub fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn each_listener(&self, mut call: impl FnMut(&dyn Listener)) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in &listeners {
            call(listener.as_ref());
        }
    }

    /// Whether blocks are being imported from files.
    pub fn is_importing(&self) -> bool {
        self.importing.load(Ordering::Acquire)
    }

    /// Makes long operations end soon; call before the last flush.
    pub fn interrupt(&self) {
        self.interrupt.store(true, Ordering::Release);
        self.tip_changed.wake();
    }

    /// Whether [`ChainManager::interrupt`] was called.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Acquire)
    }

    /// Adds headers, oldest first; stops at the first that is refused. Gives the last known one. `min_pow_checked`: the chain
    /// is known to have enough work to be stored.
    pub fn process_headers(&self, headers: &[Header], min_pow_checked: bool) -> Result<Option<NodeId>, Reject> {
        self.accept_headers(headers, min_pow_checked)
    }

    /// Checks and stores a block and makes the best chain active. `force`: the block was asked for, so that anti-DoS limits on
    /// unsolicited blocks do not apply.
    pub fn process_new_block(&self, block: Block, force: bool, min_pow_checked: bool) -> Result<Accepted, Reject> {
        self.process_prepared(Arc::new(PreparedBlock::new(block)), force, min_pow_checked)
    }
}
