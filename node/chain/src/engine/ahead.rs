//! Threads that read and check blocks, and read the coins that they spend, while earlier ones are being connected.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use bitcoin::{BlockHash, OutPoint, Txid};
use bulkhead_consensus::PreparedBlock;
use bulkhead_consensus::block::Checks;
use bulkhead_store::block_files::Position;
use bulkhead_store::block_reader::BlockReader;
use bulkhead_store::coins_cache::{Prefetched, Prefetcher};

use super::stages::Stage;
use super::state::data_position;
use super::{ChainManager, NodeId, State};

/// Blocks that wait per thread; each may take some 10 MB.
const DEPTH: usize = 2;
/// Blocks that are listed at a time.
const WINDOW: i32 = 512;
/// More threads would only wait for the disk or the validation thread.
const MAX_THREADS: usize = 3;
/// Blocks of one thread whose outputs are not asked from the database.
const RECENT: usize = 4;

/// A block that may be connected.
#[derive(Debug)]
pub(super) struct Ready {
    id: NodeId,
    /// It passes the checks that need no coins.
    pub block: Arc<PreparedBlock>,
    /// Coins that it spends.
    pub coins: Option<Prefetched>,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    id: NodeId,
    position: Position,
    hash: BlockHash,
}

/// Reads ahead on the way to a block. Ends when it is dropped.
pub(super) struct ReadAhead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    manager: &'env ChainManager,
    /// Blocks come from these in turn.
    lanes: VecDeque<Receiver<Ready>>,
}

impl<'scope, 'env> ReadAhead<'scope, 'env> {
    pub fn new(scope: &'scope Scope<'scope, 'env>, manager: &'env ChainManager) -> Self {
        Self { scope, manager, lanes: VecDeque::new() }
    }

    /// The block `id`, the next on the way to `target`; `None` if it is the last, or cannot be read or is not valid: who reads
    /// it then will see why.
    pub fn take(&mut self, state: &State, id: NodeId, target: NodeId) -> Option<Ready> {
        if let Some(ready) = self.receive(id) {
            return Some(ready);
        }
        self.lanes.clear();
        let (from, to) = (state.node(id).height, state.node(target).height);
        if to <= from {
            return None;
        }
        self.start(state, state.index.ancestor(target, to.min(from + WINDOW))?, from);
        self.receive(id)
    }

    fn receive(&mut self, id: NodeId) -> Option<Ready> {
        let ready = self.lanes.front()?.recv().ok().filter(|ready| ready.id == id)?;
        self.lanes.rotate_left(1);
        Some(ready)
    }

    fn start(&mut self, state: &State, last: NodeId, from: i32) {
        let mut wanted = Vec::new();
        let mut at = Some(last);
        while let Some(id) = at.filter(|id| state.node(*id).height >= from) {
            let node = state.node(id);
            wanted.push(Wanted { id, position: data_position(node), hash: node.hash });
            at = node.prev;
        }
        wanted.reverse();
        let threads = self.manager.options().script_threads.clamp(1, MAX_THREADS);
        for lane in 0..threads {
            let wanted: Vec<Wanted> = wanted.iter().copied().skip(lane).step_by(threads).collect();
            let (sender, receiver) = sync_channel(DEPTH);
            let reader = Reader {
                manager: self.manager,
                files: state.files.reader().clone(),
                coins: CoinReader::new(state.coins.prefetcher(), RECENT),
            };
            // Without a thread the lane is empty, and blocks are read where they are needed.
            let _ =
                Builder::new().name(format!("readahead.{lane}")).spawn_scoped(self.scope, move || reader.run(wanted, &sender));
            self.lanes.push_back(receiver);
        }
    }
}

struct Reader<'env> {
    manager: &'env ChainManager,
    files: BlockReader,
    coins: CoinReader,
}

/// Reads the coins that blocks spend, one block after the other, before they are connected.
pub(super) struct CoinReader {
    coins: Prefetcher,
    /// Transactions of the last blocks.
    recent: VecDeque<HashSet<Txid>>,
    /// Blocks whose outputs are not asked from the database: they are not connected yet, or their coins are in memory.
    depth: usize,
}

impl CoinReader {
    pub fn new(coins: Prefetcher, depth: usize) -> Self {
        Self { coins, recent: VecDeque::new(), depth }
    }

    /// The coins of the next block; `None`: they cannot be read, and who connects the block will see why.
    pub fn read(&mut self, block: &PreparedBlock) -> Option<Prefetched> {
        self.recent.push_back(block.txids().iter().copied().collect());
        if self.recent.len() > self.depth {
            self.recent.pop_front();
        }
        let unknown = |outpoint: &OutPoint| !self.recent.iter().any(|block| block.contains(&outpoint.txid));
        self.coins.read(inputs(block).filter(unknown)).ok()
    }
}

impl Reader<'_> {
    fn run(mut self, wanted: Vec<Wanted>, ready: &SyncSender<Ready>) {
        for wanted in wanted {
            let Some(block) = self.read(wanted) else { return };
            let coins = self.manager.stages.time(Stage::Prefetch, || self.coins.read(&block));
            if ready.send(Ready { id: wanted.id, block, coins }).is_err() {
                return;
            }
        }
    }

    fn read(&self, wanted: Wanted) -> Option<Arc<PreparedBlock>> {
        let stages = &self.manager.stages;
        let read = || self.files.read_block(wanted.position, wanted.hash).ok().map(PreparedBlock::new);
        let block = stages.time(Stage::Read, read)?;
        stages.time(Stage::Check, || self.manager.check_block(&block, Checks::ALL)).ok()?;
        Some(Arc::new(block))
    }
}

/// Outpoints that a block spends.
pub(super) fn inputs(block: &PreparedBlock) -> impl Iterator<Item = OutPoint> {
    block.block().txdata.iter().skip(1).flat_map(|tx| &tx.input).map(|input| input.previous_output)
}
