//! What net asks chain, what it hears back, and what it holds to be true of the chain meanwhile.

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
}

impl Default for Tip {
    fn default() -> Self {
        Self { at: HeaderRef { hash: [0; 32], height: -1, work: [0; 32] }, time: 0, initial_download: true }
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
    /// Transactions by name (`true`: wtxid).
    Transactions(Vec<TxName>),
    /// Which of these are known.
    HaveTransactions(Vec<TxName>),
    /// Blocks on the way to this header.
    MissingBlocks(Hash, u32),
    /// Which of these headers are known, and where.
    HeaderInfo(Vec<Hash>),
    /// Ids of the mempool above a fee rate.
    MempoolIds(u64),
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
    /// It is not known to be invalid.
    pub valid: bool,
}

/// What chain answered. Each variant belongs to the question of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Verdict, last known header, whether that is in the active chain.
    Headers(Verdict, Tip, bool),
    /// Verdict, and whether the block is new.
    Block(Verdict, bool),
    /// What became of a transaction.
    Transaction {
        /// Verdict.
        verdict: Verdict,
        /// Inputs' transactions that are missing, by txid.
        missing_parents: Vec<Hash>,
    },
    /// Locator, newest first.
    Locator(Vec<Hash>),
    /// Headers in order.
    FoundHeaders(Vec<[u8; 80]>),
    /// Hashes in order.
    FoundHashes(Vec<Hash>),
    /// Facts about the block's header (`None`: unknown), and the block (empty: not on disk).
    ServedBlock(Option<HeaderFacts>, Vec<u8>),
    /// In the order of the question; empty: unknown.
    Transactions(Vec<Vec<u8>>),
    /// In the order of the question.
    HaveTransactions(Vec<bool>),
    /// Hash and height, lowest first.
    MissingBlocks(Vec<(Hash, i32)>),
    /// In the order of the question; `None`: unknown.
    HeaderInfo(Vec<Option<HeaderFacts>>),
    /// wtxids.
    MempoolIds(Vec<Hash>),
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
}
