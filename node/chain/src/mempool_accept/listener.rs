//! Keeps the mempool in step with the chain.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::{Transaction, Txid};
use bulkhead_consensus::amount::format_money;
use bulkhead_consensus::tx::is_final;
use bulkhead_consensus::{HeaderView, Params, PreparedBlock, sequence};
use bulkhead_mempool::estimator::Estimator;
use bulkhead_mempool::pool::RemovalReason;
use bulkhead_mempool::{Entry, Event, LockPoints, Mempool, Options};

use super::accept::{AcceptOptions, Rules, accept, limit, lock_points};
use super::check::Checks;
use super::coins::{PackageCoins, find_coin, is_mature};
use crate::engine::{BlockNode, Listener, State};

/// Memory that transactions of disconnected blocks may take before the oldest are given up, bytes.
const MAX_DISCONNECTED_BYTES: usize = 20_000_000;

/// Hears of changes of the mempool. Called without its lock, in order.
pub type EventSink = Box<dyn Fn(Event) + Send + Sync>;

/// The mempool with its lock.
///
/// # Correctness
/// Lock order: the engine's state first, then the pool. Never take the state's lock while the pool's is held.
pub struct Pool {
    inner: Mutex<Mempool>,
    disconnected: Mutex<Disconnected>,
    params: Params,
    clock: fn() -> i64,
    sinks: Mutex<Vec<EventSink>>,
    /// Events leave in order: whoever delivers holds this.
    delivery: Mutex<()>,
    estimator: Mutex<Estimator>,
    checks: Checks,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("transactions", &self.lock().len()).finish_non_exhaustive()
    }
}

/// Transactions of blocks that were taken back, oldest block last.
#[derive(Debug, Default)]
struct Disconnected {
    order: VecDeque<Txid>,
    transactions: HashMap<Txid, Arc<Transaction>>,
    bytes: usize,
    /// A block was taken back since the pool was last settled, with or without transactions.
    moved_back: bool,
}

impl Disconnected {
    fn push_block(&mut self, block: &PreparedBlock) {
        self.moved_back = true;
        // Blocks come newest first: each goes in front, its transactions in their order.
        for tx in block.block().txdata.iter().rev().filter(|tx| !tx.is_coinbase()) {
            let txid = tx.compute_txid();
            self.bytes += tx.total_size();
            self.order.push_front(txid);
            self.transactions.insert(txid, Arc::new(tx.clone()));
        }
    }

    fn remove(&mut self, txids: &[Txid]) {
        for txid in txids {
            if let Some(tx) = self.transactions.remove(txid) {
                self.bytes -= tx.total_size();
            }
        }
    }

    /// Gives up the newest until the limit holds.
    fn trim(&mut self) -> Vec<Arc<Transaction>> {
        let mut dropped = Vec::new();
        while self.bytes > MAX_DISCONNECTED_BYTES {
            let Some(txid) = self.order.pop_back() else { break };
            if let Some(tx) = self.transactions.remove(&txid) {
                self.bytes -= tx.total_size();
                dropped.push(tx);
            }
        }
        dropped
    }

    /// The transactions, parents first.
    fn take(&mut self) -> Vec<Arc<Transaction>> {
        let mut transactions = std::mem::take(&mut self.transactions);
        self.bytes = 0;
        std::mem::take(&mut self.order).iter().filter_map(|txid| transactions.remove(txid)).collect()
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(options: Options, params: Params, clock: fn() -> i64) -> Self {
        Self {
            inner: Mutex::new(Mempool::new(options)),
            disconnected: Mutex::default(),
            params,
            clock,
            sinks: Mutex::default(),
            delivery: Mutex::default(),
            estimator: Mutex::default(),
            checks: Checks::default(),
        }
    }

    /// Has the pool looked over at one of `every` changes, never if it is 0 (`-checkmempool`). `fatal` hears of a fault.
    #[must_use]
    pub fn with_checks(mut self, every: u32, fatal: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        self.checks = Checks::new(every, fatal);
        self
    }

    /// Goes on from what an earlier run has learnt about fees.
    #[must_use]
    pub fn with_estimator(mut self, estimator: Estimator) -> Self {
        self.estimator = Mutex::new(estimator);
        self
    }

    /// Locks the fee estimator. It has heard of everything that was delivered. Take no other lock while you hold it.
    pub fn estimator(&self) -> MutexGuard<'_, Estimator> {
        self.estimator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the fee by which a transaction is ranked, present or not. Satoshi.
    pub fn prioritise(&self, txid: Txid, delta: i64) {
        let mut pool = self.lock();
        pool.prioritise(txid, delta);
        let place = if pool.get(&txid).is_some() { "" } else { "not " };
        match pool.delta(&txid) {
            0 => tracing::info!("PrioritiseTransaction: {txid} ({place}in mempool) delta cleared"),
            sum => tracing::info!(
                "PrioritiseTransaction: {txid} ({place}in mempool) fee += {}, new delta={}",
                format_money(delta),
                format_money(sum)
            ),
        }
    }

    /// Locks the pool. Take the engine's state first if both are needed.
    pub fn lock(&self) -> MutexGuard<'_, Mempool> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds someone who hears of changes.
    pub fn subscribe(&self, sink: EventSink) {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).push(sink);
    }

    /// Tells everybody what changed since the last call. Call it with no pool lock held.
    pub fn deliver(&self) {
        let _order = self.delivery.lock().unwrap_or_else(PoisonError::into_inner);
        let events = self.lock().take_events();
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            self.estimator().hear(&event);
            for sink in sinks.iter() {
                sink(event.clone());
            }
        }
    }

    /// Judges a transaction against the chain's tip and the pool.
    ///
    /// # Errors
    /// Core's reasons.
    pub fn accept(
        &self,
        state: &State,
        tx: &Arc<Transaction>,
        options: &AcceptOptions,
    ) -> Result<super::Accepted, bulkhead_mempool::Reject> {
        let result = {
            let mut pool = self.lock();
            let result = accept(state, &mut pool, tx, options, Rules::ALONE);
            if !options.test_only {
                self.checks.run(state, &pool);
            }
            result
        };
        self.deliver();
        result
    }

    /// Rules of the chain.
    pub fn params(&self) -> &Params {
        &self.params
    }

    fn disconnected(&self) -> MutexGuard<'_, Disconnected> {
        self.disconnected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts transactions of disconnected blocks back, and drops what the new tip does not allow.
    fn settle(&self, state: &State) {
        let transactions = {
            let mut disconnected = self.disconnected();
            disconnected.moved_back = false;
            disconnected.take()
        };
        let now = (self.clock)();
        let pool = &mut *self.lock();
        let options = AcceptOptions { time: now, bypass_limits: true, ..AcceptOptions::default() };
        let mut back = Vec::with_capacity(transactions.len());
        for tx in transactions {
            match accept(state, pool, &tx, &options, Rules::ALONE) {
                Ok(accepted) => back.push(accepted.txid),
                // Not valid any more: neither is what spends it.
                Err(_) => pool.remove_with_spenders(&tx, RemovalReason::Reorg),
            }
        }
        pool.link_children(&back);
        let median_time = state.index().view(state.active().tip()).median_time_past(state.height());
        let (mut bad, mut moved) = (Vec::new(), Vec::new());
        for entry in pool.iter() {
            match after_reorganisation(state, pool, entry, median_time) {
                Some(points) if points != entry.new.lock_points => moved.push((entry.txid, points)),
                Some(_) => {}
                None => bad.push(entry.txid),
            }
        }
        for (txid, points) in moved {
            pool.set_lock_points(&txid, points);
        }
        pool.remove_recursive(&bad, RemovalReason::Reorg);
        limit(pool, now);
    }
}

/// The lock points of a transaction that may be in the next block of another chain, or `None` if it may not. As in Core, lock
/// points stay what they were while the blocks that made what it spends are there: a transaction with a relative lock of zero
/// blocks on an unconfirmed parent is dropped when the chain becomes shorter than it was at its acceptance.
fn after_reorganisation(state: &State, pool: &Mempool, entry: &Entry, median_time: i64) -> Option<LockPoints> {
    let next = state.height() + 1;
    let new = &entry.new;
    if !is_final(&new.tx, next, median_time) {
        return None;
    }
    let is_unlocked = |points: &LockPoints| sequence::are_satisfied(points.locks, next, median_time);
    let (height, hash) = new.lock_points.highest;
    let is_computed = state.active_at(height).is_some_and(|node| node.hash == hash);
    if is_computed && !is_unlocked(&new.lock_points) {
        return None;
    }
    if is_computed && !new.spends_coinbase {
        return Some(new.lock_points);
    }
    let find = |input: &bitcoin::TxIn| find_coin(state, pool, &PackageCoins::default(), &input.previous_output);
    let coins = new.tx.input.iter().map(find).collect::<Result<Option<Vec<_>>, _>>().ok()??;
    let points = if is_computed { new.lock_points } else { lock_points(state, &new.tx, &coins) };
    (coins.iter().all(|coin| is_mature(coin, next)) && is_unlocked(&points)).then_some(points)
}

impl Listener for Pool {
    fn block_connected(&self, _state: &State, block: &Arc<PreparedBlock>, node: &BlockNode) {
        self.disconnected().remove(block.txids());
        let confirmed = self.lock().remove_for_block(&block.block().txdata, (self.clock)());
        self.deliver();
        self.estimator().block(node.height, &confirmed);
    }

    fn block_disconnected(&self, _state: &State, block: &Arc<PreparedBlock>, _node: &BlockNode) {
        let dropped = {
            let mut disconnected = self.disconnected();
            disconnected.push_block(block);
            disconnected.trim()
        };
        let mut pool = self.lock();
        for tx in dropped {
            pool.remove_with_spenders(&tx, RemovalReason::Reorg);
        }
    }

    fn disconnected_given_up(&self) {
        let given_up = self.disconnected().take();
        let mut pool = self.lock();
        for tx in given_up {
            pool.remove_with_spenders(&tx, RemovalReason::Reorg);
        }
    }

    fn tip_updated(&self, state: &State, _tip: &BlockNode, _fork: Option<&BlockNode>, _initial_download: bool) {
        if self.disconnected().moved_back {
            self.settle(state);
        }
        self.checks.run(state, &self.lock());
        self.deliver();
    }
}
