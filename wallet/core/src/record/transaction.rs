//! "tx": a transaction with what only its owner cares about (Core's `CWalletTx`).

use crate::codec::{CodecError, Reader, Write};
use bitcoin::consensus::{Decodable, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use core::str::FromStr;
use std::collections::BTreeMap;

/// Where a transaction stands, as stored: heights are not kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxState {
    /// In this block, at this position.
    Confirmed {
        /// The block.
        block: BlockHash,
        /// Position in it.
        position: i32,
    },
    /// A transaction in this block spends the same coin.
    BlockConflicted {
        /// The block.
        block: BlockHash,
    },
    /// Neither; also what is in the mempool is stored like that.
    Inactive {
        /// The user gave it up.
        abandoned: bool,
    },
    /// Something else: kept as it is.
    Unrecognized {
        /// The block field.
        block: BlockHash,
        /// The index field.
        index: i32,
    },
}

fn one() -> BlockHash {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    BlockHash::from_byte_array(bytes)
}

impl TxState {
    fn from_stored(block: BlockHash, index: i32) -> Self {
        match (block, index) {
            (block, 0) if block == BlockHash::all_zeros() => Self::Inactive { abandoned: false },
            (block, -1) if block == one() => Self::Inactive { abandoned: true },
            (block, index) if block == BlockHash::all_zeros() || block == one() => Self::Unrecognized { block, index },
            (block, -1) => Self::BlockConflicted { block },
            (block, position) if position >= 0 => Self::Confirmed { block, position },
            (block, index) => Self::Unrecognized { block, index },
        }
    }

    fn stored(self) -> (BlockHash, i32) {
        match self {
            Self::Confirmed { block, position } => (block, position),
            Self::BlockConflicted { block } => (block, -1),
            Self::Inactive { abandoned: true } => (one(), -1),
            Self::Inactive { abandoned: false } => (BlockHash::all_zeros(), 0),
            Self::Unrecognized { block, index } => (block, index),
        }
    }
}

/// A "tx" record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletTx {
    /// With witnesses.
    pub tx: Transaction,
    /// Where it stands.
    pub state: TxState,
    /// Obsolete, kept.
    pub from: Option<String>,
    /// Obsolete, kept.
    pub message: Option<String>,
    /// What it is for.
    pub comment: Option<String>,
    /// Who it is for.
    pub comment_to: Option<String>,
    /// The transaction that this one replaces.
    pub replaces: Option<Txid>,
    /// The transaction that replaces this one.
    pub replaced_by: Option<Txid>,
    /// Position in the history; -1: not known.
    pub order_pos: i64,
    /// Seconds; 0: not known.
    pub time_smart: u32,
    /// Seconds.
    pub time_received: u32,
    /// BIP21 messages.
    pub messages: Vec<String>,
    /// BIP70 requests, kept as they are.
    pub payment_requests: Vec<Vec<u8>>,
}

impl WalletTx {
    /// A transaction without any extra.
    #[must_use]
    pub fn new(tx: Transaction, state: TxState) -> Self {
        Self {
            tx,
            state,
            from: None,
            message: None,
            comment: None,
            comment_to: None,
            replaces: None,
            replaced_by: None,
            order_pos: -1,
            time_smart: 0,
            time_received: 0,
            messages: Vec::new(),
            payment_requests: Vec::new(),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let mut put = |key, value: &Option<String>| {
            if let Some(value) = value {
                values.insert(key, value.clone());
            }
        };
        put("from", &self.from);
        put("message", &self.message);
        put("comment", &self.comment);
        put("to", &self.comment_to);
        put("replaces_txid", &self.replaces.map(|txid| txid.to_string()));
        put("replaced_by_txid", &self.replaced_by.map(|txid| txid.to_string()));
        put("fromaccount", &Some(String::new()));
        put("n", &(self.order_pos != -1).then(|| self.order_pos.to_string()));
        put("timesmart", &(self.time_smart != 0).then(|| self.time_smart.to_string()));
        let (block, index) = self.state.stored();
        out.extend_from_slice(&serialize(&self.tx));
        out.extend_from_slice(block.as_ref());
        out.compact_size(0); // was the merkle branch
        out.extend_from_slice(&index.to_le_bytes());
        out.compact_size(0); // was the previous transactions
        out.compact_size(values.len());
        for (key, value) in &values {
            out.text(key);
            out.text(value);
        }
        out.compact_size(self.messages.len() + self.payment_requests.len());
        for message in &self.messages {
            out.text("Message");
            out.text(message);
        }
        for request in &self.payment_requests {
            out.text("PaymentRequest");
            out.vector(request);
        }
        out.extend_from_slice(&0_u32.to_le_bytes()); // was "time received is transaction time"
        out.extend_from_slice(&self.time_received.to_le_bytes());
        out.extend_from_slice(&[0, 0]); // were "from me" and "spent"
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let tx = transaction(reader)?;
        let block = BlockHash::from_byte_array(reader.array()?);
        let branch = usize::try_from(reader.compact_size()?).map_err(|_| CodecError::End)?;
        reader.bytes(branch.checked_mul(32).ok_or(CodecError::End)?)?;
        let index = reader.i32()?;
        for _ in 0..reader.compact_size()? {
            // Old wallets: a transaction with its block, merkle branch and index. Read and forgotten, as in Core.
            transaction(reader)?;
            reader.array::<32>()?;
            let branch = usize::try_from(reader.compact_size()?).map_err(|_| CodecError::End)?;
            reader.bytes(branch.checked_mul(32).ok_or(CodecError::End)?)?;
            reader.i32()?;
        }
        let mut wallet_tx = Self::new(tx, TxState::from_stored(block, index));
        for _ in 0..reader.compact_size()? {
            let (key, value) = (reader.text()?, reader.text()?);
            wallet_tx.set(key, value)?;
        }
        for _ in 0..reader.compact_size()? {
            match reader.text()? {
                "Message" => wallet_tx.messages.push(reader.text()?.to_owned()),
                "PaymentRequest" => wallet_tx.payment_requests.push(reader.vector()?.to_vec()),
                _ => return Err(CodecError::Invalid("Unknown type in CWalletTx messages and requests vector")),
            }
        }
        reader.u32()?;
        wallet_tx.time_received = reader.u32()?;
        reader.bytes(2)?;
        Ok(wallet_tx)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), CodecError> {
        let text = || Some(value.to_owned());
        match key {
            "fromaccount" | "spent" => {}
            // As Core's atoi: what is no number counts as zero.
            "n" => self.order_pos = value.parse().unwrap_or(0),
            "timesmart" => self.time_smart = value.parse().unwrap_or(0),
            "from" => self.from = text(),
            "message" => self.message = text(),
            "comment" => self.comment = text(),
            "to" => self.comment_to = text(),
            "replaces_txid" => self.replaces = Txid::from_str(value).ok(),
            "replaced_by_txid" => self.replaced_by = Txid::from_str(value).ok(),
            _ => return Err(CodecError::Invalid("Unexpected value in CWalletTx strings value map")),
        }
        Ok(())
    }
}

fn transaction(reader: &mut Reader<'_>) -> Result<Transaction, CodecError> {
    let mut rest = reader.rest();
    let before = rest.len();
    let tx = Transaction::consensus_decode(&mut rest).map_err(|_| CodecError::Invalid("transaction corrupt"))?;
    reader.bytes(before - rest.len())?;
    Ok(tx)
}
