//! One transaction of a wallet and where it stands (Core: `wallet/transaction.h`).

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::records::{self, Change, StoredState, TxRecord};

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxState {
    /// In a block of the active chain.
    Confirmed {
        /// The block.
        block: BlockHash,
        /// Its height; -1 while unknown after loading.
        height: i32,
        /// Position in the block.
        index: i32,
    },
    /// In chain's mempool.
    InMempool,
    /// A block spends one of its inputs otherwise.
    BlockConflicted {
        /// The block.
        block: BlockHash,
        /// Its height; -1 while unknown after loading.
        height: i32,
    },
    /// Neither; perhaps given up by the user.
    Inactive {
        /// The user (or a reorganisation, for a coinbase) gave it up.
        abandoned: bool,
    },
}

impl std::fmt::Display for TxState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TxState::Confirmed { block, height, index } => {
                write!(out, "Confirmed (block={block}, height={height}, index={index})")
            }
            TxState::InMempool => write!(out, "InMempool"),
            TxState::BlockConflicted { block, height } => write!(out, "BlockConflicted (block={block}, height={height})"),
            TxState::Inactive { abandoned } => write!(out, "Inactive (abandoned={})", i32::from(*abandoned)),
        }
    }
}

/// Texts that the user or a replacement attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxTexts {
    /// Comment.
    pub comment: Option<String>,
    /// Whom it went to.
    pub to: Option<String>,
    /// It replaces this one.
    pub replaces: Option<Txid>,
    /// This one replaces it.
    pub replaced_by: Option<Txid>,
    /// `from` and `message` of very old wallets.
    pub old: Vec<(String, String)>,
    /// `Message` and `PaymentRequest` entries.
    pub messages: Vec<(String, String)>,
}

/// A transaction of the wallet.
#[derive(Debug, Clone)]
pub struct WalletTx {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its id.
    pub txid: Txid,
    /// Where it stands.
    pub state: TxState,
    /// Mempool transactions that spend one of its (or its ancestors') inputs.
    pub mempool_conflicts: BTreeSet<Txid>,
    /// Child in the mempool, for version 3 transactions.
    pub truc_child: Option<Txid>,
    /// Texts.
    pub texts: TxTexts,
    /// Seconds when the wallet saw it first.
    pub time_received: u32,
    /// Seconds, never changes, follows the order of transactions.
    pub time_smart: u32,
    /// Position in the order of transactions.
    pub order: i64,
}

impl WalletTx {
    /// A transaction that the wallet has not seen before.
    pub fn new(tx: Arc<Transaction>, state: TxState) -> WalletTx {
        let txid = tx.compute_txid();
        WalletTx {
            tx,
            txid,
            state,
            mempool_conflicts: BTreeSet::new(),
            truc_child: None,
            texts: TxTexts::default(),
            time_received: 0,
            time_smart: 0,
            order: -1,
        }
    }

    /// Whether it creates coins.
    pub fn is_coinbase(&self) -> bool {
        self.tx.is_coinbase()
    }

    /// In a block.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.state, TxState::Confirmed { .. })
    }

    /// In the mempool.
    pub fn in_mempool(&self) -> bool {
        self.state == TxState::InMempool
    }

    /// Given up.
    pub fn is_abandoned(&self) -> bool {
        self.state == TxState::Inactive { abandoned: true }
    }

    /// A block spends its inputs otherwise.
    pub fn is_block_conflicted(&self) -> bool {
        matches!(self.state, TxState::BlockConflicted { .. })
    }

    /// Neither confirmed nor known to be impossible.
    pub fn is_unconfirmed(&self) -> bool {
        !self.is_abandoned() && !self.is_block_conflicted() && self.mempool_conflicts.is_empty() && !self.is_confirmed()
    }

    /// Time to show and to sort by; seconds.
    pub fn time(&self) -> u32 {
        if self.time_smart != 0 { self.time_smart } else { self.time_received }
    }

    /// Record to store.
    pub fn to_change(&self) -> Change {
        let (block, index) = match self.state {
            TxState::Confirmed { block, index, .. } => (block.to_byte_array(), index),
            TxState::InMempool | TxState::Inactive { abandoned: false } => ([0; 32], 0),
            TxState::BlockConflicted { block, .. } => (block.to_byte_array(), -1),
            TxState::Inactive { abandoned: true } => (ABANDONED, -1),
        };
        let texts = &self.texts;
        let mut strings = texts.old.clone();
        let mut add = |name: &str, text: Option<String>| strings.extend(text.map(|text| (name.to_owned(), text)));
        add("comment", texts.comment.clone());
        add("to", texts.to.clone());
        add("replaces_txid", texts.replaces.map(|txid| txid.to_string()));
        add("replaced_by_txid", texts.replaced_by.map(|txid| txid.to_string()));
        add("n", (self.order != -1).then(|| self.order.to_string()));
        add("timesmart", (self.time_smart != 0).then(|| self.time_smart.to_string()));
        let record = TxRecord {
            tx: (*self.tx).clone(),
            state: StoredState { block, index },
            strings,
            messages: texts.messages.clone(),
            time_received: self.time_received,
        };
        records::write_tx(&self.txid, &record)
    }

    /// From a record. Heights are unknown (-1) until chain is asked.
    pub fn from_record(record: TxRecord) -> WalletTx {
        let StoredState { block, index } = record.state;
        let hash = BlockHash::from_byte_array(block);
        let state = match (block, index) {
            (ABANDONED, -1) => TxState::Inactive { abandoned: true },
            ([0, ..], 0) if block == [0; 32] => TxState::Inactive { abandoned: false },
            (_, index) if index >= 0 => TxState::Confirmed { block: hash, height: -1, index },
            (_, -1) => TxState::BlockConflicted { block: hash, height: -1 },
            _ => TxState::Inactive { abandoned: false },
        };
        let mut out = WalletTx::new(Arc::new(record.tx), state);
        out.time_received = record.time_received;
        out.texts.messages = record.messages;
        for (name, text) in record.strings {
            match name.as_str() {
                "n" => out.order = text.parse().unwrap_or(-1),
                "timesmart" => out.time_smart = text.parse().unwrap_or(0),
                "comment" => out.texts.comment = Some(text),
                "to" => out.texts.to = Some(text),
                "replaces_txid" => out.texts.replaces = text.parse().ok(),
                "replaced_by_txid" => out.texts.replaced_by = text.parse().ok(),
                _ => out.texts.old.push((name, text)),
            }
        }
        out
    }
}

/// Core's marker in the place of a block hash: the number one.
const ABANDONED: [u8; 32] = {
    let mut one = [0; 32];
    one[0] = 1;
    one
};
