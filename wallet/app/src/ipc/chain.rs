//! Questions to chain, with plain types. Replies are as untrusted as requests.

use bitcoin::bip158::BlockFilter;
use bitcoin::consensus::Decodable;
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use bulkhead_link::{LinkError, Peer};
use bulkhead_planted::{Fault, planted};
use bulkhead_schema::decode::texts;
use bulkhead_schema::wire::types_capnp::tip;
use bulkhead_schema::wire::wallet_chain_capnp::wallet_chain;

use crate::spend::pool::{PoolTx, PoolView};
use crate::state::BlockRef;

/// All the money there will be, satoshi.
const MAX_MONEY: i64 = 2_100_000_000_000_000;
/// No transaction is larger; a generous bound, virtual bytes.
const MAX_VSIZE: i64 = 4_000_000;
/// Longest text about a script that failed.
const MAX_SCRIPT_ERROR: usize = 1024;

/// Why chain gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It is not there.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The call failed.
    #[error("{0}")]
    Call(#[from] capnp::Error),
    /// The answer makes no sense.
    #[error("chain sent a bad {0}")]
    Bad(&'static str),
}

/// Where the active chain ends.
#[derive(Debug, Clone, Copy)]
pub struct Tip {
    /// Block.
    pub block: BlockRef,
    /// Its time, seconds.
    pub time: i64,
    /// Median of the last eleven times, seconds.
    pub median_time: i64,
    /// Initial block download is going on.
    pub syncing: bool,
}

/// State of chain and mempool; rates in satoshi per 1000 vbytes.
#[derive(Debug, Clone, Copy)]
pub struct ChainState {
    /// Tip.
    pub tip: Tip,
    /// Mempool minimum.
    pub mempool_min: i64,
    /// `-minrelaytxfee`.
    pub relay_min: i64,
    /// `-incrementalrelayfee`.
    pub incremental: i64,
    /// `-dustrelayfee`.
    pub dust: i64,
    /// Blocks may be missing.
    pub pruned: bool,
    /// First height that is not.
    pub prune_height: i32,
}

/// A block and what chain knows of it.
#[derive(Debug, Clone)]
pub struct BlockInfo {
    /// `None` when its data is not on disk.
    pub block: Option<Block>,
    /// Hash and height.
    pub at: BlockRef,
    /// Seconds.
    pub time: i64,
    /// Seconds.
    pub median_time: i64,
    /// In the active chain.
    pub active: bool,
}

/// A block and its filter.
#[derive(Debug, Clone)]
pub struct FilteredBlock {
    /// The block.
    pub hash: BlockHash,
    /// `None`: chain keeps none.
    pub filter: Option<BlockFilter>,
}

/// What became of a broadcast.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// In the mempool.
    pub accepted: bool,
    /// Core's reject reason with its detail.
    pub reason: String,
    /// RPC code.
    pub code: i32,
}

/// A coin of the UTXO set.
#[derive(Debug, Clone)]
pub struct ChainCoin {
    /// Output.
    pub output: TxOut,
    /// Height; the tip's next for mempool outputs.
    pub height: i32,
    /// From a coinbase.
    pub coinbase: bool,
}

/// Chain as this process sees it.
#[derive(Clone)]
pub struct Chain {
    peer: Peer<wallet_chain::Client>,
}

/// A hash of 32 bytes.
///
/// # Errors
/// Another length.
pub fn hash(bytes: &[u8], what: &'static str) -> Result<[u8; 32], ChainError> {
    bytes.try_into().map_err(|_| ChainError::Bad(what))
}

/// The height of a block, -1 for none.
fn block_height(found: i32) -> Result<i32, ChainError> {
    bulkhead_schema::decode::height("height", found).map_err(|_| ChainError::Bad("height"))
}

/// A block that chain tells of, and where it says that it is.
///
/// # Errors
/// [`ChainError::Bad`]: another block than chain says, or none at all.
pub fn read_block(bytes: &[u8], hash_bytes: &[u8], found: i32) -> Result<(Block, BlockRef), ChainError> {
    let block: Block = decode(bytes, "block")?;
    let at = BlockRef { hash: BlockHash::from_byte_array(hash(hash_bytes, "block hash")?), height: block_height(found)? };
    if block.block_hash() == at.hash { Ok((block, at)) } else { Err(ChainError::Bad("block hash")) }
}

/// Decodes all of `bytes`.
///
/// # Errors
/// Malformed or surplus bytes.
pub fn decode<T: Decodable>(bytes: &[u8], what: &'static str) -> Result<T, ChainError> {
    bitcoin::consensus::deserialize(bytes).map_err(|_| ChainError::Bad(what))
}

/// Reads a tip.
///
/// # Errors
/// Malformed.
pub fn read_tip(tip: tip::Reader<'_>) -> Result<Tip, ChainError> {
    let height = block_height(tip.get_height())?;
    let bytes = tip.get_hash()?;
    let hash = if height < 0 && bytes.is_empty() { [0; 32] } else { hash(bytes, "tip")? };
    Ok(Tip {
        block: BlockRef { hash: BlockHash::from_byte_array(hash), height },
        time: tip.get_time(),
        median_time: tip.get_median_time(),
        syncing: tip.get_initial_block_download(),
    })
}

impl Chain {
    /// Wraps the slot.
    pub fn new(peer: Peer<wallet_chain::Client>) -> Chain {
        Chain { peer }
    }

    /// The slot.
    pub fn peer(&self) -> &Peer<wallet_chain::Client> {
        &self.peer
    }

    /// Tip, fees, pruning.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn state(&self) -> Result<ChainState, ChainError> {
        let reply = self.peer.get()?.state_request().send().promise.await?;
        let reply = reply.get()?;
        Ok(ChainState {
            tip: read_tip(reply.get_tip()?)?,
            mempool_min: reply.get_mempool_min_fee(),
            relay_min: reply.get_relay_min_fee(),
            incremental: reply.get_incremental_fee(),
            dust: reply.get_dust_fee(),
            pruned: reply.get_pruned(),
            prune_height: reply.get_prune_height(),
        })
    }

    async fn block(&self, hash_bytes: &[u8], height: i32) -> Result<Option<BlockInfo>, ChainError> {
        let mut request = self.peer.get()?.get_block_request();
        request.get().set_hash(hash_bytes);
        request.get().set_height(height);
        let reply = match request.send().promise.await {
            Ok(reply) => reply,
            // Chain says so when it does not know the block.
            Err(error) if error.kind == capnp::ErrorKind::Failed => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let reply = reply.get()?;
        if reply.get_hash()?.is_empty() {
            return Ok(None);
        }
        let bytes = reply.get_block()?;
        let block = if bytes.is_empty() { None } else { Some(decode::<Block>(bytes, "block")?) };
        let found = BlockHash::from_byte_array(hash(reply.get_hash()?, "block hash")?);
        let is_another = !hash_bytes.is_empty() && found.as_byte_array() != hash_bytes;
        if is_another || block.as_ref().is_some_and(|block| block.block_hash() != found) {
            return Err(ChainError::Bad("block hash"));
        }
        Ok(Some(BlockInfo {
            block,
            at: BlockRef { hash: found, height: block_height(reply.get_height())? },
            time: reply.get_time(),
            median_time: reply.get_median_time(),
            active: reply.get_in_active_chain(),
        }))
    }

    /// A block of the active chain.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn block_at(&self, height: i32) -> Result<Option<BlockInfo>, ChainError> {
        self.block(&[], height).await
    }

    /// Any block.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn block_by_hash(&self, hash: &BlockHash) -> Result<Option<BlockInfo>, ChainError> {
        self.block(hash.as_byte_array(), 0).await
    }

    /// Last block of the active chain that a locator names.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn find_fork(&self, locator: &[BlockHash]) -> Result<Option<BlockRef>, ChainError> {
        let mut request = self.peer.get()?.find_fork_request();
        let mut list = request.get().init_locator(locator.len() as u32);
        for (index, hash) in locator.iter().enumerate() {
            list.set(index as u32, hash.as_byte_array());
        }
        let reply = request.send().promise.await?;
        let reply = reply.get()?;
        let height = block_height(reply.get_height())?;
        if reply.get_hash()?.is_empty() || height < 0 {
            return Ok(None);
        }
        Ok(Some(BlockRef { hash: BlockHash::from_byte_array(hash(reply.get_hash()?, "fork")?), height }))
    }

    /// Hands a transaction to the mempool. `max_fee` in satoshi, 0: no limit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn broadcast(&self, tx: &Transaction, max_fee: i64, relay: bool) -> Result<Verdict, ChainError> {
        let mut request = self.peer.get()?.broadcast_request();
        request.get().set_transaction(&bitcoin::consensus::serialize(tx));
        request.get().set_max_fee(max_fee);
        request.get().set_relay(relay);
        let reply = request.send().promise.await?;
        let reply = reply.get()?;
        let verdict = reply.get_verdict()?;
        let text = |text: capnp::text::Reader<'_>| text.to_string().map_err(|_| ChainError::Bad("reason"));
        let (reason, debug) = (text(verdict.get_reason()?)?, text(verdict.get_debug()?)?);
        let reason = if debug.is_empty() { reason } else { format!("{reason}, {debug}") };
        Ok(Verdict { accepted: verdict.get_accepted(), reason, code: reply.get_code() })
    }

    /// Outputs that the chain has not spent, mempool included, whether or not the mempool spends them.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn coins(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<ChainCoin>>, ChainError> {
        if outpoints.is_empty() {
            return Ok(Vec::new());
        }
        let mut request = self.peer.get()?.coins_request();
        let mut list = request.get().init_outpoints(outpoints.len() as u32);
        for (index, outpoint) in outpoints.iter().enumerate() {
            let mut entry = list.reborrow().get(index as u32);
            entry.set_txid(outpoint.txid.as_byte_array());
            entry.set_vout(outpoint.vout);
        }
        let reply = request.send().promise.await?;
        let coins = reply.get()?.get_coins()?;
        if coins.len() as usize != outpoints.len() && !planted(Fault::CoinsUncounted) {
            return Err(ChainError::Bad("list of coins"));
        }
        let mut out = Vec::new();
        for coin in coins {
            let value = u64::try_from(coin.get_amount()).map_err(|_| ChainError::Bad("amount"))?;
            out.push(coin.get_found().then_some(ChainCoin {
                output: TxOut {
                    value: bitcoin::Amount::from_sat(value),
                    script_pubkey: ScriptBuf::from_bytes(coin.get_script()?.to_vec()),
                },
                height: coin.get_height(),
                coinbase: coin.get_coinbase(),
            }));
        }
        Ok(out)
    }

    /// Ancestors and descendants (each with itself) of a mempool transaction.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn in_mempool(&self, txid: &Txid) -> Result<Option<(u64, u64)>, ChainError> {
        let mut request = self.peer.get()?.in_mempool_request();
        request.get().set_txid(txid.as_byte_array());
        let reply = request.send().promise.await?;
        let reply = reply.get()?;
        Ok(reply.get_in_mempool().then(|| (u64::from(reply.get_ancestors()), u64::from(reply.get_descendants()))))
    }

    /// Everything in the mempool that is connected with these transactions.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn clusters(&self, txids: &[Txid]) -> Result<PoolView, ChainError> {
        const MOST: usize = 10_000;
        let mut out = PoolView::default();
        for part in txids.chunks(MOST) {
            let mut request = self.peer.get()?.clusters_request();
            let mut list = request.get().init_txids(part.len() as u32);
            for (index, txid) in (0..).zip(part) {
                list.set(index, txid.as_byte_array());
            }
            let reply = request.send().promise.await?;
            let transactions = reply.get()?.get_transactions()?;
            let mut txids = Vec::new();
            for entry in transactions {
                txids.push(Txid::from_byte_array(hash(entry.get_txid()?, "txid")?));
            }
            for (entry, txid) in transactions.iter().zip(&txids) {
                let parents = entry.get_parents()?.iter().map(|position| txids.get(position as usize).copied());
                let parents = parents.collect::<Option<_>>().ok_or(ChainError::Bad("cluster"))?;
                // A wallet cannot lose more to a lie than to a fee that is refused: both are bounded by the money there is.
                let fits = |value: i64| (-MAX_MONEY..=MAX_MONEY).contains(&value);
                if !fits(entry.get_fee()) || !(1..=MAX_VSIZE).contains(&entry.get_vsize()) {
                    return Err(ChainError::Bad("cluster"));
                }
                out.add(*txid, PoolTx { vsize: entry.get_vsize(), fee: entry.get_fee(), parents });
            }
        }
        Ok(out)
    }

    /// The lowest height from which on all blocks are on disk.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn blocks_from(&self) -> Result<i32, ChainError> {
        let reply = self.peer.get()?.blocks_from_request().send().promise.await?;
        block_height(reply.get()?.get_height())
    }

    /// A block by its hash, or by its height in the active chain, with its basic filter (BIP158) if chain keeps them.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn block_filter(&self, block: Option<&BlockHash>, height: i32) -> Result<Option<FilteredBlock>, ChainError> {
        let mut request = self.peer.get()?.block_filter_request();
        request.get().set_hash(block.map_or(&[][..], |hash| hash.as_byte_array()));
        request.get().set_height(height);
        let reply = request.send().promise.await?;
        let reply = reply.get()?;
        if reply.get_hash()?.is_empty() {
            return Ok(None);
        }
        let filter = if reply.get_has_filter() { Some(BlockFilter::new(reply.get_filter()?)) } else { None };
        Ok(Some(FilteredBlock { hash: BlockHash::from_byte_array(hash(reply.get_hash()?, "block hash")?), filter }))
    }

    /// Rate for a target in blocks, and the target that it is for.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn estimate_fee(&self, target: u32, conservative: bool) -> Result<(Option<i64>, u32), ChainError> {
        let mut request = self.peer.get()?.estimate_fee_request();
        request.get().set_target(target);
        request.get().set_conservative(conservative);
        let reply = request.send().promise.await?;
        let reply = reply.get()?;
        let rate = reply.get_fee_rate();
        Ok(((rate > 0).then_some(rate), reply.get_returned_target()))
    }

    /// All transactions of the mempool.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn mempool(&self) -> Result<Vec<Transaction>, ChainError> {
        let reply = self.peer.get()?.mempool_request().send().promise.await?;
        let mut out = Vec::new();
        for bytes in reply.get()?.get_transactions()? {
            out.push(decode(bytes?, "mempool transaction")?);
        }
        Ok(out)
    }

    /// Waits until everything that chain had to tell before is told.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn barrier(&self) -> Result<(), ChainError> {
        self.peer.get()?.barrier_request().send().promise.await?;
        Ok(())
    }

    /// Has the scripts of all inputs checked. One text per input: empty when the script is satisfied or the coin is not
    /// known.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn verify_inputs(&self, tx: &Transaction, spent: &[Option<TxOut>]) -> Result<Vec<String>, ChainError> {
        let mut request = self.peer.get()?.verify_inputs_request();
        request.get().set_transaction(&bitcoin::consensus::serialize(tx));
        let mut list = request.get().init_spent(spent.len() as u32);
        for (index, output) in (0..).zip(spent) {
            let mut entry = list.reborrow().get(index);
            let Some(output) = output else { continue };
            entry.set_found(true);
            entry.set_amount(i64::try_from(output.value.to_sat()).map_err(|_| ChainError::Bad("amount"))?);
            entry.set_script(output.script_pubkey.as_bytes());
        }
        let reply = request.send().promise.await?;
        let bad = |_| ChainError::Bad("script errors");
        let errors = texts("errors", reply.get()?.get_errors()?, spent.len() as u32, MAX_SCRIPT_ERROR).map_err(bad)?;
        if errors.len() == spent.len() { Ok(errors) } else { Err(ChainError::Bad("number of script errors")) }
    }
}
