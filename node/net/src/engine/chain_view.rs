//! What net asks chain, what it hears back, and what it holds to be true of the chain meanwhile.

use bitcoin::CompactTarget;
use bitcoin::pow::{Target, Work};

use super::headers_index::{Hash, HeaderRef};

/// A block as chain describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Where it is.
    pub at: HeaderRef,
    /// Its time, seconds.
    pub time: i64,
    /// Initial block download is going on.
    pub initial_download: bool,
    /// Median time of it and the blocks before, seconds.
    pub median_time: i64,
    /// Difficulty, compact form.
    pub bits: u32,
}

impl Default for Tip {
    fn default() -> Self {
        Self {
            at: HeaderRef { hash: [0; 32], height: -1, work: [0; 32] },
            time: 0,
            initial_download: true,
            median_time: 0,
            bits: 0,
        }
    }
}

/// Chain's judgement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// It was taken.
    pub accepted: bool,
    /// Core's reject reason.
    pub reason: String,
    /// More about it.
    pub debug: String,
    /// What it means for the sender.
    pub kind: VerdictKind,
}

impl Verdict {
    /// The text that Core logs for a rejection.
    #[must_use]
    pub fn text(&self) -> String {
        if self.debug.is_empty() { self.reason.clone() } else { format!("{}, {}", self.reason, self.debug) }
    }
}

/// As `Verdict.Kind` of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum VerdictKind {
    #[default]
    None,
    Consensus,
    Mutated,
    InvalidHeader,
    CachedInvalid,
    MissingPrevious,
    InvalidPrevious,
    TimeFuture,
    LowWork,
    Policy,
    MissingInputs,
    Conflict,
    WitnessStripped,
    AlreadyHave,
    System,
    Reconsiderable,
    InputsNotStandard,
}

/// A transaction by one of its two names.
pub type TxName = (Hash, bool);

/// A call to chain. The answer comes later, under the same token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Connected headers, 80 bytes each.
    SubmitHeaders(Vec<[u8; 80]>, bool),
    /// A serialized block and whether we asked for it.
    SubmitBlock(Vec<u8>, bool),
    /// A serialized transaction.
    SubmitTransaction(Vec<u8>),
    /// A serialized parent and a child that pays for it.
    SubmitPackage(Vec<u8>, Vec<u8>),
    /// A `cmpctblock`. With `key` chain begins to put the block together, if that makes sense; the block under
    /// construction is kept under the key until [`Question::FillBlock`] or `Effect::DropPartial`.
    CompactBlock(Vec<u8>, Option<u64>),
    /// The missing transactions of a block under construction.
    FillBlock(u64, Vec<Vec<u8>>),
    /// A locator from this block; `None`: from the best header.
    Locator(Option<Hash>),
    /// Headers of the active chain after the locator.
    FindHeaders(Vec<Hash>, Hash, u32),
    /// Hashes of the active chain after the locator.
    FindHashes(Vec<Hash>, Hash, u32),
    /// These headers, which connect to each other; in the order of the question.
    HeadersByHash(Vec<Hash>),
    /// A block with its place.
    Block(Hash),
    /// Transactions by name (`true`: wtxid) that were in the mempool before this number of its changes. At most 1000.
    Transactions(Vec<TxName>, u64),
    /// Which of these are known.
    HaveTransactions(Vec<TxName>),
    /// Blocks on the way to this header.
    MissingBlocks(Hash, u32),
    /// Which of these headers are known, and where.
    HeaderInfo(Vec<Hash>),
    /// Ids of the mempool above a fee rate.
    MempoolIds(u64),
    /// Filters of the blocks from a height to a block.
    BlockFilters(u32, Hash, FilterPart),
    /// Peers have fetched these transactions (txids).
    BroadcastSeen(Vec<Hash>),
    /// A serialized transaction that is only to be judged.
    TestTransaction(Vec<u8>),
}

/// What is wanted of block filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterPart {
    /// The filters.
    Contents,
    /// Their hashes and headers.
    Hashes,
    /// Headers of every thousandth block.
    Checkpoints,
}

/// A block filter; the content only when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockFilter {
    /// Its block.
    pub block: Hash,
    /// The filter.
    pub content: Vec<u8>,
    /// Its hash.
    pub hash: Hash,
    /// Hash of its hash and the header before.
    pub header: Hash,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxOutcome {
    /// Verdict.
    pub verdict: Verdict,
    /// Transactions that it spends and that are neither in the mempool nor confirmed lately, by txid.
    pub missing_parents: Vec<Hash>,
    /// Transactions in the mempool.
    pub pool_size: u64,
    /// Memory of the mempool, bytes.
    pub pool_memory: u64,
}

/// What became of headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadersOutcome {
    /// Verdict.
    pub verdict: Verdict,
    /// Last known header of the batch.
    pub last: Tip,
    /// It is in the active chain.
    pub active: bool,
    /// The last header of the batch was unknown.
    pub is_new: bool,
    /// Parent of the first header.
    pub start: Tip,
}

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockOutcome {
    /// Verdict.
    pub verdict: Verdict,
    /// It was not on disk before.
    pub new: bool,
    /// It was found valid and became part of the active chain.
    pub connected: bool,
}

/// How far a block could be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompactStatus {
    /// It was not tried.
    #[default]
    None,
    /// As far as the missing transactions allow.
    Ok,
    /// The message breaks the rules of BIP 152.
    Invalid,
    /// Short ids collide.
    Failed,
}

/// What became of a compact block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactOutcome {
    /// Verdict on the header.
    pub verdict: Verdict,
    /// The header.
    pub last: Tip,
    /// It was unknown.
    pub is_new: bool,
    /// The block is on disk.
    pub have_data: bool,
    /// It was on disk once.
    pub had_data: bool,
    /// Blocks above the tip.
    pub distance: i32,
    /// Not more work than the tip.
    pub less_work: bool,
    /// How far it was put together.
    pub status: CompactStatus,
    /// Places of the missing transactions, rising.
    pub missing: Vec<u16>,
}

/// A header as chain knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Where it is and when it was made.
    pub tip: Tip,
    /// Its block is on disk.
    pub have_data: bool,
    /// It is part of the active chain.
    pub active: bool,
    /// It was validated fully.
    pub valid: bool,
    /// Its block was on disk at some time.
    pub had_data: bool,
}

/// What chain answered. Each variant belongs to the question of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of submitted headers.
    Headers(HeadersOutcome),
    /// Of a submitted block.
    Block(BlockOutcome),
    /// Of a submitted transaction.
    Transaction(TxOutcome),
    /// Of a package: whether all of it was accepted, and each of its transactions.
    Package(bool, Vec<TxOutcome>),
    /// Of a compact block.
    Compact(CompactOutcome),
    /// Of a filled block; the outcome counts only with [`CompactStatus::Ok`].
    Filled(CompactStatus, BlockOutcome),
    /// Locator, newest first.
    Locator(Vec<Hash>),
    /// Headers in order.
    FoundHeaders(Vec<[u8; 80]>),
    /// Hashes in order.
    FoundHashes(Vec<Hash>),
    /// Facts about the block's header (`None`: unknown), and the block (empty: not on disk).
    ServedBlock(Option<HeaderFacts>, Vec<u8>),
    /// In the order of the question; empty: unknown. As long as the question.
    Transactions(Vec<Vec<u8>>),
    /// In the order of the question.
    HaveTransactions(Vec<bool>),
    /// Hash and height, lowest first.
    MissingBlocks(Vec<(Hash, i32)>),
    /// In the order of the question; `None`: unknown.
    HeaderInfo(Vec<Option<HeaderFacts>>),
    /// wtxids.
    MempoolIds(Vec<Hash>),
    /// Lowest block first; may end early, but not be empty unless one is missing.
    BlockFilters(Vec<BlockFilter>),
    /// Chain has taken note.
    Done,
    /// Of a transaction that was only to be judged.
    Tested(Verdict),
    /// Chain went away or broke its word: there is no answer.
    Lost,
}

/// A new transaction in the mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedTx {
    /// Without witness.
    pub txid: Hash,
    /// With witness.
    pub wtxid: Hash,
    /// Satoshi per 1000 vbyte.
    pub fee_rate: u64,
    /// Virtual size.
    pub vsize: u32,
    /// Number of the change in the mempool.
    pub sequence: u64,
    /// Transactions of the mempool that it builds on, itself included.
    pub ancestors: u32,
}

/// What we believe of the chain between answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChainView {
    /// Chain has told us its state.
    pub ready: bool,
    /// Tip of the active chain.
    pub tip: Tip,
    /// Best header.
    pub best_header: Tip,
    /// Least fee rate that the mempool takes, satoshi per 1000 vbyte.
    pub mempool_min_fee: u64,
    /// Blocks are being imported: P2P blocks are ignored.
    pub loading: bool,
    /// Blocks below a snapshot are on their way to chain: we offer no history.
    pub history_missing: bool,
    /// Work that a chain must have before its blocks are fetched, big endian.
    pub minimum_work: [u8; 32],
    /// Number of the mempool's next change.
    pub sequence: u64,
}

impl ChainView {
    /// Work that headers must show before they are kept: not much less than our tip's, and the least of the network
    /// (Core: `GetAntiDoSWorkThreshold`).
    #[must_use]
    pub fn work_threshold(&self) -> Work {
        /// Blocks below the tip from which a fork may start.
        const NEAR: usize = 144;
        let least = Work::from_be_bytes(self.minimum_work);
        let proof = Target::from_compact(CompactTarget::from_consensus(self.tip.bits)).to_work();
        let mut near_tip = Work::from_be_bytes(self.tip.at.work);
        for _ in 0..NEAR {
            if near_tip <= proof {
                return least;
            }
            near_tip = near_tip - proof;
        }
        near_tip.max(least)
    }

    /// Whether the active chain has the least work of the network.
    #[must_use]
    pub fn has_minimum_work(&self) -> bool {
        self.tip.at.work >= self.minimum_work
    }
}
