//! A wallet from its records.

use bitcoin::{BlockHash, Network, NetworkKind, Txid};
use bulkhead_wallet_core::descriptor::{Cache, DescriptorError};
use std::collections::BTreeMap;

use super::descriptor::PublicDescriptor;
use super::keys::Spkm;
use super::tx::{TxState, WalletTx};
use super::{OutputType, StateOptions, Wallet, flags};
use crate::records::{DescId, Record, RecordError, decode};

/// Why a wallet cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A record does not decode.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// A descriptor is not understood.
    #[error("{0}")]
    Descriptor(#[from] DescriptorError),
    /// A flag that must be understood is not.
    #[error("unknown wallet flags")]
    Flags,
}

/// Text, creation time, next index, first index, end.
type StoredDescriptor = (String, u64, i32, i32, i32);

/// Descriptors and their cached keys as read from records.
#[derive(Default)]
pub struct DescriptorSet {
    descriptors: BTreeMap<DescId, StoredDescriptor>,
    caches: BTreeMap<DescId, Cache>,
    /// Active descriptors.
    pub active: Vec<(bool, OutputType, DescId)>,
}

impl DescriptorSet {
    /// Takes a record in if it is about descriptors.
    pub fn take(&mut self, record: Record, network: Network) -> Option<Record> {
        match record {
            Record::Descriptor { id, text, creation, next, start, end } => {
                self.descriptors.insert(id, (text, creation, next, start, end));
            }
            Record::Cache(record) => {
                // The key store, which reads the same records first, refuses a wallet with a bad one.
                let _ = record.apply(NetworkKind::from(network), self.caches.entry(record.id).or_default());
            }
            Record::Active { internal, kind, id } => {
                if let Some(kind) = OutputType::ALL.get(usize::from(kind)) {
                    self.active.push((internal, *kind, id));
                }
            }
            other => return Some(other),
        }
        None
    }

    /// Adds everything to a wallet.
    ///
    /// # Errors
    /// A descriptor is not understood.
    pub fn apply(self, wallet: &mut Wallet) -> Result<(), DescriptorError> {
        let mut caches = self.caches;
        for (id, (stored, creation, next, start, end)) in self.descriptors {
            let cache = caches.remove(&id).unwrap_or_default();
            let descriptor = PublicDescriptor::new(&stored, cache, NetworkKind::from(wallet.network))?;
            wallet.add_descriptor(Spkm { id, stored, descriptor, creation, next, start, end, expanded_to: 0 })?;
        }
        for (internal, kind, id) in self.active {
            wallet.active.insert((internal, kind), id);
        }
        Ok(())
    }
}

/// What loading found besides the wallet itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Locator of the last block that the wallet processed; empty when it never did.
    pub locator: Vec<BlockHash>,
    /// Version of the client that opened the wallet last.
    pub last_client: Option<i32>,
    /// Blocks whose heights chain must tell ([`Wallet::set_block_heights`]).
    pub blocks: Vec<BlockHash>,
}

impl Wallet {
    /// Builds a wallet from the records of its file.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load<'a>(
        name: &str,
        network: Network,
        options: StateOptions,
        records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(Wallet, Loaded), LoadError> {
        let mut wallet = Wallet::new(name, network, options);
        let mut loaded = Loaded::default();
        let mut descriptors = DescriptorSet::default();
        let mut txs = Vec::new();
        for (key, value) in records {
            let Some(record) = descriptors.take(decode(key, value)?, network) else { continue };
            match record {
                Record::Tx(record) => txs.push(WalletTx::from_record(*record)),
                Record::Name { address, label } => wallet.book.entry(address).or_default().label = Some(label),
                Record::Purpose { address, purpose } => wallet.book.entry(address).or_default().purpose = Some(purpose),
                Record::DestData { address, key, value } => {
                    let entry = wallet.book.entry(address).or_default();
                    if key == "used" {
                        entry.used = true;
                    } else if let Some(id) = key.strip_prefix("rr") {
                        entry.requests.insert(id.to_owned(), value);
                    }
                }
                Record::BestBlock(locator) => loaded.locator = locator,
                Record::OrderPosNext(next) => wallet.next_order = next,
                Record::Flags(bits) => wallet.flags = bits,
                Record::Version(version) => loaded.last_client = Some(version),
                Record::LockedCoin(coin) => {
                    wallet.locked.insert(coin, true);
                }
                _ => {}
            }
        }
        // Upper bits are mandatory: a wallet that uses one we do not know must not be opened.
        let known: u64 = flags::NAMES.iter().map(|(bit, _)| bit).sum();
        if (wallet.flags & !known) >> 32 != 0 {
            return Err(LoadError::Flags);
        }
        descriptors.apply(&mut wallet)?;
        txs.sort_by_key(|wtx| wtx.order);
        for mut wtx in txs {
            match wtx.state {
                TxState::Confirmed { block, .. } | TxState::BlockConflicted { block, .. } => loaded.blocks.push(block),
                _ => {}
            }
            if wtx.order < 0 {
                wtx.order = wallet.next_order;
                wallet.next_order += 1;
            }
            wallet.birth_time = wallet.birth_time.min(i64::from(wtx.time()));
            wallet.insert_tx(wtx);
        }
        loaded.blocks.sort();
        loaded.blocks.dedup();
        wallet.refresh_all_coins();
        wallet.take_changes();
        Ok((wallet, loaded))
    }

    /// Fills in the heights of blocks; a block that is not in the active chain makes its transactions inactive, and gives its
    /// coinbase up with all that spends it: no other block can have it.
    pub fn set_block_heights(&mut self, heights: &BTreeMap<BlockHash, i32>) {
        for wtx in self.txs.values_mut() {
            match &mut wtx.state {
                TxState::Confirmed { block, height, .. } | TxState::BlockConflicted { block, height } => match heights.get(block)
                {
                    Some(found) => *height = *found,
                    None => wtx.state = TxState::Inactive { abandoned: false },
                },
                _ => {}
            }
        }
        let orphans: Vec<Txid> = self
            .txs
            .values()
            .filter(|wtx| wtx.is_coinbase() && matches!(wtx.state, TxState::Inactive { .. }))
            .map(|wtx| wtx.txid)
            .collect();
        for txid in orphans {
            self.abandon(&txid);
        }
        self.refresh_all_coins();
    }
}
