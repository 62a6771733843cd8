//! What a wallet knows, without any I/O: descriptors and their scripts, transactions and where they stand,
//! coins, labels, locks. Every change leaves the records to be written in [`Wallet::take_changes`].

pub mod balance;
pub mod book;
pub mod descriptor;
pub mod keys;
pub mod load;
pub mod sync;
pub mod tx;

use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Txid};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::records::{Change, DescId};
use book::BookEntry;
use keys::Spkm;
use tx::WalletTx;

/// Core's wallet flags (`wallet/walletutil.h`).
pub mod flags {
    /// Outputs to an address that was spent from before are avoided.
    pub const AVOID_REUSE: u64 = 1 << 0;
    /// Key origins are complete.
    pub const KEY_ORIGIN_METADATA: u64 = 1 << 1;
    /// Keys after the last hardened step are cached.
    pub const LAST_HARDENED_XPUB_CACHED: u64 = 1 << 2;
    /// The wallet can never hold a private key.
    pub const DISABLE_PRIVATE_KEYS: u64 = 1 << 32;
    /// Descriptors are added by hand.
    pub const BLANK_WALLET: u64 = 1 << 33;
    /// Descriptor wallet; always set here.
    pub const DESCRIPTORS: u64 = 1 << 34;
    /// An external program signs.
    pub const EXTERNAL_SIGNER: u64 = 1 << 35;

    /// Names as RPCs show them, by bit.
    pub const NAMES: [(u64, &str); 7] = [
        (AVOID_REUSE, "avoid_reuse"),
        (KEY_ORIGIN_METADATA, "key_origin_metadata"),
        (LAST_HARDENED_XPUB_CACHED, "last_hardened_xpub_cached"),
        (DISABLE_PRIVATE_KEYS, "disable_private_keys"),
        (BLANK_WALLET, "blank"),
        (DESCRIPTORS, "descriptor_wallet"),
        (EXTERNAL_SIGNER, "external_signer"),
    ];
}

/// Kind of address (Core: `outputtype.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputType {
    /// Pay to public key hash.
    Legacy,
    /// Version 0 witness program inside a script hash.
    P2shSegwit,
    /// Version 0 witness program.
    Bech32,
    /// Taproot.
    Bech32m,
}

impl OutputType {
    /// All, in the order of their record numbers.
    pub const ALL: [OutputType; 4] = [OutputType::Legacy, OutputType::P2shSegwit, OutputType::Bech32, OutputType::Bech32m];

    /// Name in options and RPCs.
    pub fn name(self) -> &'static str {
        match self {
            OutputType::Legacy => "legacy",
            OutputType::P2shSegwit => "p2sh-segwit",
            OutputType::Bech32 => "bech32",
            OutputType::Bech32m => "bech32m",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<OutputType> {
        OutputType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Number in `activeexternalspk` records.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// A block that the wallet has processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height; -1: none yet.
    pub height: i32,
}

impl BlockRef {
    /// Before the first block.
    pub fn none() -> BlockRef {
        use bitcoin::hashes::Hash;
        BlockRef { hash: BlockHash::all_zeros(), height: -1 }
    }
}

/// Blocks that a locator can name: deeper reorganisations start from the genesis block.
const LOCATOR_BLOCKS: usize = 2000;

/// Something that the outside wants to know about: `-walletnotify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxNotice {
    /// Transaction.
    pub txid: Txid,
    /// Block and height when confirmed.
    pub block: Option<BlockRef>,
}

/// Settings that wallet state depends on.
#[derive(Debug, Clone, Copy)]
pub struct StateOptions {
    /// `-keypool`.
    pub keypool: i32,
    /// `-spendzeroconfchange`.
    pub spend_zero_conf_change: bool,
}

/// One loaded wallet.
pub struct Wallet {
    /// Name as given to createwallet; may be empty.
    pub name: String,
    /// Network of its addresses.
    pub network: Network,
    /// Core's flags.
    pub flags: u64,
    /// Settings.
    pub options: StateOptions,
    /// Descriptors by id.
    pub spkms: BTreeMap<DescId, Spkm>,
    /// Which descriptor makes new addresses.
    pub active: BTreeMap<(bool, OutputType), DescId>,
    /// Every script of ours with the descriptors and indices that make it.
    pub scripts: HashMap<ScriptBuf, Vec<(DescId, u32)>>,
    /// Address book by address text.
    pub book: BTreeMap<String, BookEntry>,
    /// Transactions.
    pub txs: HashMap<Txid, WalletTx>,
    /// Who spends an output, of all outputs that our transactions spend.
    pub spends: HashMap<OutPoint, BTreeSet<Txid>>,
    /// Outputs of ours that no confirmed transaction spends.
    pub coins: BTreeSet<OutPoint>,
    /// Order in which transactions were added.
    pub ordered: BTreeMap<i64, BTreeSet<Txid>>,
    /// Next position in that order.
    pub next_order: i64,
    /// Coins that the user locked, and whether the lock is in the file.
    pub locked: BTreeMap<OutPoint, bool>,
    /// Last block processed.
    pub tip: BlockRef,
    /// Times of blocks that hold our transactions, as far as known; seconds.
    pub block_times: HashMap<BlockHash, i64>,
    /// Blocks before `tip`, by height, for locators.
    pub recent: BTreeMap<i32, BlockHash>,
    /// No transaction of ours is older; seconds.
    pub birth_time: i64,
    /// Mempool transactions that conflict with ours.
    pub(crate) foreign_conflicts: HashSet<Txid>,
    changes: Vec<Change>,
    notices: Vec<TxNotice>,
}

impl Wallet {
    /// A wallet without content.
    pub fn new(name: &str, network: Network, options: StateOptions) -> Wallet {
        Wallet {
            name: name.to_owned(),
            network,
            flags: 0,
            options,
            spkms: BTreeMap::new(),
            active: BTreeMap::new(),
            scripts: HashMap::new(),
            book: BTreeMap::new(),
            txs: HashMap::new(),
            spends: HashMap::new(),
            coins: BTreeSet::new(),
            ordered: BTreeMap::new(),
            next_order: 0,
            locked: BTreeMap::new(),
            tip: BlockRef::none(),
            block_times: HashMap::new(),
            recent: BTreeMap::new(),
            birth_time: i64::MAX,
            foreign_conflicts: HashSet::new(),
            changes: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Whether a flag is set.
    pub fn has_flag(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Sets or clears flags and queues the record.
    pub fn set_flags(&mut self, flags: u64) {
        if self.flags != flags {
            self.flags = flags;
            self.push(crate::records::write_flags(flags));
        }
    }

    /// Name as log lines show it.
    pub fn display_name(&self) -> String {
        if self.name.is_empty() { "default wallet".into() } else { self.name.clone() }
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(crate) fn notice(&mut self, notice: TxNotice) {
        self.notices.push(notice);
    }

    /// Records to write since the last call, in order; a later change of the same record replaces an earlier one.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let all = std::mem::take(&mut self.changes);
        let mut last: HashMap<Vec<u8>, usize> = HashMap::new();
        for (position, change) in all.iter().enumerate() {
            last.insert(change.key.clone(), position);
        }
        all.into_iter()
            .enumerate()
            .filter(|(position, change)| last.get(&change.key) == Some(position))
            .map(|(_, change)| change)
            .collect()
    }

    /// Transactions that were added or changed since the last call.
    pub fn take_notices(&mut self) -> Vec<TxNotice> {
        std::mem::take(&mut self.notices)
    }

    /// Remembers the tip, without a record.
    pub fn set_tip(&mut self, tip: BlockRef) {
        self.tip = tip;
        self.recent.split_off(&tip.height.max(0));
        if tip.height >= 0 {
            self.recent.insert(tip.height, tip.hash);
        }
        while self.recent.len() > LOCATOR_BLOCKS {
            self.recent.pop_first();
        }
    }
}
