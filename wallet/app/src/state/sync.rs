//! How blocks and mempool changes reach a wallet (Core: `wallet/wallet.cpp`, AddToWallet and its callers).

use bitcoin::{Block, BlockHash, OutPoint, Transaction, Txid};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::tx::{TxState, WalletTx};
use super::{BlockRef, TxNotice, Wallet, flags};
use crate::records;

/// Version of transactions that follow the one-parent-one-child rules (BIP431).
const TRUC_VERSION: i32 = 3;

/// Times that a change needs; seconds.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// Now.
    pub now: i64,
    /// Time of the block, if there is one.
    pub block_time: Option<i64>,
    /// Latest time of any block up to it, if the wallet scans old blocks again.
    pub rescan_time: Option<i64>,
}

impl When {
    /// Without a block.
    pub fn now(now: i64) -> When {
        When { now, block_time: None, rescan_time: None }
    }
}

impl Wallet {
    /// A block was added to the active chain. Answers whether a transaction of ours was in it.
    pub fn block_connected(&mut self, block: &Block, at: BlockRef, when: When) -> bool {
        self.set_tip(at);
        let mut updated = false;
        for (index, tx) in block.txdata.iter().enumerate() {
            let tx = Arc::new(tx.clone());
            let state = TxState::Confirmed { block: at.hash, height: at.height, index: index as i32 };
            updated |= self.sync_transaction(&tx, state, when);
            self.forget_mempool_conflicts(&tx);
        }
        updated
    }

    /// An old block is looked at again; the tip stays.
    pub fn block_scanned(&mut self, block: &Block, at: BlockRef, when: When) -> bool {
        let mut updated = false;
        for (index, tx) in block.txdata.iter().enumerate() {
            let state = TxState::Confirmed { block: at.hash, height: at.height, index: index as i32 };
            updated |= self.sync_transaction(&Arc::new(tx.clone()), state, when);
        }
        updated
    }

    /// The tip was taken off the active chain.
    pub fn block_disconnected(&mut self, block: &Block, at: BlockRef, now: i64) {
        for (index, tx) in block.txdata.iter().enumerate() {
            let tx = Arc::new(tx.clone());
            self.sync_transaction(&tx, TxState::Inactive { abandoned: index == 0 }, When::now(now));
            for input in &tx.input {
                for spender in self.spenders(&input.previous_output) {
                    if !self.txs.get(&spender).is_some_and(WalletTx::is_block_conflicted) {
                        continue;
                    }
                    self.update_recursively(spender, true, |wtx| match wtx.state {
                        TxState::BlockConflicted { height, .. } if height >= at.height => {
                            wtx.state = TxState::Inactive { abandoned: false };
                            true
                        }
                        _ => false,
                    });
                }
            }
        }
        self.set_tip(BlockRef { hash: block.header.prev_blockhash, height: at.height - 1 });
    }

    /// A transaction entered the mempool.
    pub fn transaction_added(&mut self, tx: &Arc<Transaction>, now: i64) -> bool {
        let ours = self.sync_transaction(tx, TxState::InMempool, When::now(now));
        let txid = tx.compute_txid();
        for input in &tx.input {
            for spender in self.spenders(&input.previous_output) {
                if spender != txid {
                    self.foreign_conflicts.insert(txid);
                    self.update_recursively(spender, false, |wtx| wtx.mempool_conflicts.insert(txid));
                }
            }
        }
        if tx.version.0 == TRUC_VERSION {
            for input in &tx.input {
                let parent = input.previous_output.txid;
                if let Some(wtx) = self.txs.get_mut(&parent)
                    && wtx.is_unconfirmed()
                {
                    wtx.truc_child = Some(txid);
                    self.foreign_conflicts.insert(txid);
                    self.truc_siblings(parent, txid, true);
                }
            }
        }
        ours
    }

    /// A transaction left the mempool other than into a block of which we hear by itself.
    pub fn transaction_removed(&mut self, txid: &Txid, reason: &str, now: i64) {
        let Some(wtx) = self.txs.get_mut(txid) else {
            // A conflict that is not ours still counts for those it conflicts with.
            if !self.foreign_conflicts.remove(txid) {
                return;
            }
            for wtx in self.txs.values_mut() {
                wtx.mempool_conflicts.remove(txid);
                wtx.truc_child = wtx.truc_child.filter(|child| child != txid);
            }
            return;
        };
        let tx = wtx.tx.clone();
        if wtx.in_mempool() {
            wtx.state = TxState::Inactive { abandoned: false };
        }
        if reason == "conflict" {
            self.sync_transaction(&tx, TxState::Inactive { abandoned: false }, When::now(now));
        }
        self.forget_mempool_conflicts(&tx);
    }

    fn forget_mempool_conflicts(&mut self, tx: &Arc<Transaction>) {
        let txid = tx.compute_txid();
        for input in &tx.input {
            for spender in self.spenders(&input.previous_output) {
                self.update_recursively(spender, false, |wtx| wtx.mempool_conflicts.remove(&txid));
            }
        }
        if tx.version.0 == TRUC_VERSION {
            for input in &tx.input {
                let parent = input.previous_output.txid;
                if let Some(wtx) = self.txs.get_mut(&parent)
                    && wtx.truc_child == Some(txid)
                {
                    wtx.truc_child = None;
                    self.truc_siblings(parent, txid, false);
                }
            }
        }
    }

    fn truc_siblings(&mut self, parent: Txid, child: Txid, add: bool) {
        let outputs = self.txs.get(&parent).map_or(0, |wtx| wtx.tx.output.len());
        for vout in 0..outputs {
            for sibling in self.spenders(&OutPoint { txid: parent, vout: vout as u32 }) {
                if sibling != child {
                    self.update_recursively(sibling, false, |wtx| {
                        if add { wtx.mempool_conflicts.insert(child) } else { wtx.mempool_conflicts.remove(&child) }
                    });
                }
            }
        }
    }

    pub(crate) fn spenders(&self, coin: &OutPoint) -> Vec<Txid> {
        self.spends.get(coin).into_iter().flatten().copied().collect()
    }

    /// Takes a transaction in if it concerns us. Answers whether it does.
    pub fn sync_transaction(&mut self, tx: &Arc<Transaction>, state: TxState, when: When) -> bool {
        let txid = tx.compute_txid();
        if let TxState::Confirmed { block, height, .. } = state {
            for input in &tx.input {
                let coin = input.previous_output;
                for spender in self.spenders(&coin) {
                    if spender != txid {
                        tracing::info!(
                            "[{}] Transaction {txid} (in block {block}) conflicts with wallet transaction {spender} (both spend {}:{})",
                            self.display_name(),
                            coin.txid,
                            coin.vout
                        );
                        self.mark_conflicted(block, height, spender);
                    }
                }
            }
        }
        let mine = tx.output.iter().any(|output| self.is_mine(&output.script_pubkey));
        if !self.txs.contains_key(&txid) && !mine && !self.is_from_me(tx) {
            return false;
        }
        for output in &tx.output {
            for (script, internal) in self.mark_used(&output.script_pubkey) {
                let Ok(address) = bitcoin::Address::from_script(&script, self.network) else { continue };
                if internal == Some(false) && !self.book.contains_key(&address.to_string()) {
                    self.set_address_book(&address.to_string(), "", Some("receive"));
                }
            }
        }
        self.add_to_wallet(tx, state, when);
        true
    }

    /// Adds or updates a transaction (Core: AddToWallet). Answers whether it is new.
    pub fn add_to_wallet(&mut self, tx: &Arc<Transaction>, state: TxState, when: When) -> bool {
        let txid = tx.compute_txid();
        if self.has_flag(flags::AVOID_REUSE) {
            let spent: Vec<_> = tx
                .input
                .iter()
                .filter_map(|input| self.output(&input.previous_output))
                .map(|output| output.script_pubkey.clone())
                .collect();
            for script in spent {
                self.mark_spent_key(&script);
            }
        }
        let new = !self.txs.contains_key(&txid);
        let mut changed = new;
        if new {
            let mut wtx = WalletTx::new(tx.clone(), state);
            wtx.time_received = u32::try_from(when.now).unwrap_or(0);
            wtx.order = self.next_order;
            self.next_order += 1;
            self.push(records::write_order_pos_next(self.next_order));
            wtx.time_smart = self.time_smart(&wtx, when);
            self.birth_time = self.birth_time.min(i64::from(wtx.time()));
            self.insert_tx(wtx);
        } else if let Some(wtx) = self.txs.get_mut(&txid) {
            if std::mem::discriminant(&wtx.state) != std::mem::discriminant(&state) || wtx.state != state {
                wtx.state = state;
                changed = true;
            }
            let has_witness = |tx: &Transaction| tx.input.iter().any(|input| !input.witness.is_empty());
            if has_witness(tx) && !has_witness(&wtx.tx) {
                wtx.tx = tx.clone();
                changed = true;
            }
        }
        if let (TxState::Confirmed { block, .. }, Some(time)) = (state, when.block_time) {
            self.block_times.insert(block, time);
        }
        let current = self.txs.get(&txid).map(|wtx| wtx.state);
        if tx.is_coinbase() && matches!(current, Some(TxState::Inactive { .. })) {
            self.abandon_with_children(txid);
        }
        let status = if new {
            "new"
        } else if changed {
            "update"
        } else {
            "no-change"
        };
        tracing::info!("[{}] AddToWallet {txid} {status} {state}", self.display_name());
        if changed && let Some(change) = self.txs.get(&txid).map(WalletTx::to_change) {
            self.push(change);
        }
        self.refresh_coins(&txid);
        let block = match state {
            TxState::Confirmed { block, height, .. } => Some(BlockRef { hash: block, height }),
            _ => None,
        };
        self.notice(TxNotice { txid, block });
        new
    }

    /// Attaches texts to a transaction.
    pub fn set_texts(&mut self, txid: &Txid, texts: super::tx::TxTexts) {
        if let Some(wtx) = self.txs.get_mut(txid) {
            wtx.texts = texts;
            let change = wtx.to_change();
            self.push(change);
        }
    }

    /// Notes which transaction replaces another.
    pub fn mark_replaced(&mut self, old: &Txid, new: &Txid) {
        if let Some(wtx) = self.txs.get_mut(old) {
            wtx.texts.replaced_by = Some(*new);
            let change = wtx.to_change();
            self.push(change);
        }
    }

    /// Puts a transaction into the tables.
    pub(crate) fn insert_tx(&mut self, wtx: WalletTx) {
        let txid = wtx.txid;
        self.ordered.entry(wtx.order).or_default().insert(txid);
        if !wtx.is_coinbase() {
            for input in &wtx.tx.input {
                self.spends.entry(input.previous_output).or_default().insert(txid);
                // A spent coin needs no lock.
                if self.locked.remove(&input.previous_output) == Some(true) {
                    self.push(records::write_locked(&input.previous_output, false));
                }
            }
        }
        self.txs.insert(txid, wtx);
        self.sync_texts(&txid);
    }

    /// Forgets a transaction (Core: `RemoveTxs`). Answers whether the wallet had it.
    pub fn remove_tx(&mut self, txid: &Txid) -> bool {
        let Some(wtx) = self.txs.remove(txid) else { return false };
        if let Some(same) = self.ordered.get_mut(&wtx.order) {
            same.remove(txid);
        }
        self.ordered.retain(|_, same| !same.is_empty());
        for input in &wtx.tx.input {
            if let Some(spenders) = self.spends.get_mut(&input.previous_output) {
                spenders.remove(txid);
                if spenders.is_empty() {
                    self.spends.remove(&input.previous_output);
                }
            }
        }
        for vout in 0..wtx.tx.output.len() as u32 {
            self.coins.remove(&OutPoint { txid: *txid, vout });
        }
        for txid in wtx.tx.input.iter().map(|input| input.previous_output.txid).collect::<BTreeSet<_>>() {
            self.refresh_coins(&txid);
        }
        self.push(records::erase_tx(txid));
        true
    }

    /// Transactions that spend the same coins in the same way share their texts: the oldest one's.
    fn sync_texts(&mut self, txid: &Txid) {
        let Some(tx) = self.txs.get(txid).map(|wtx| wtx.tx.clone()) else { return };
        let mut family: BTreeSet<Txid> = BTreeSet::new();
        for input in &tx.input {
            family.extend(self.spenders(&input.previous_output));
        }
        let Some(oldest) = family.iter().filter_map(|id| self.txs.get(id)).min_by_key(|wtx| wtx.order).cloned() else { return };
        for other in family {
            if other != oldest.txid
                && let Some(wtx) = self.txs.get_mut(&other)
                && equivalent(&oldest.tx, &wtx.tx)
            {
                wtx.texts = oldest.texts.clone();
                wtx.time_smart = oldest.time_smart;
            }
        }
    }

    fn abandon_with_children(&mut self, txid: Txid) {
        let mut todo = vec![txid];
        while let Some(now) = todo.pop() {
            let Some(wtx) = self.txs.get_mut(&now) else { continue };
            wtx.state = TxState::Inactive { abandoned: true };
            let (outputs, change) = (wtx.tx.output.len() as u32, wtx.to_change());
            self.push(change);
            self.refresh_coins(&now);
            for vout in 0..outputs {
                todo.extend(self.spenders(&OutPoint { txid: now, vout }));
            }
        }
    }

    /// A block spends an input of this transaction otherwise.
    pub fn mark_conflicted(&mut self, block: BlockHash, height: i32, txid: Txid) {
        let tip = self.tip.height;
        if tip < 0 || height < 0 || height > tip {
            return;
        }
        let confirms = -(tip - height + 1);
        self.update_recursively(txid, true, |wtx| {
            if confirms < depth(&wtx.state, tip) {
                wtx.state = TxState::BlockConflicted { block, height };
                return true;
            }
            false
        });
    }

    /// Gives a transaction up with everything that spends it. Answers whether that was possible.
    pub fn abandon(&mut self, txid: &Txid) -> bool {
        let tip = self.tip.height;
        let Some(wtx) = self.txs.get(txid) else { return false };
        if depth(&wtx.state, tip) != 0 || wtx.in_mempool() {
            return false;
        }
        self.update_recursively(*txid, true, |wtx| {
            let change = !wtx.is_block_conflicted() && !wtx.is_abandoned();
            if change {
                wtx.state = TxState::Inactive { abandoned: true };
            }
            change
        });
        true
    }

    pub(crate) fn update_recursively(&mut self, txid: Txid, store: bool, mut update: impl FnMut(&mut WalletTx) -> bool) {
        let mut todo = BTreeSet::from([txid]);
        let mut done = BTreeSet::new();
        while let Some(now) = todo.pop_first() {
            done.insert(now);
            let Some(wtx) = self.txs.get_mut(&now) else { continue };
            if !update(wtx) {
                continue;
            }
            let (outputs, change) = (wtx.tx.output.len() as u32, wtx.to_change());
            if store {
                self.push(change);
            }
            self.refresh_coins(&now);
            for vout in 0..outputs {
                todo.extend(self.spenders(&OutPoint { txid: now, vout }).into_iter().filter(|id| !done.contains(id)));
            }
        }
    }

    /// Recomputes which outputs of a transaction, and which that it spends, are candidates for coins.
    pub(crate) fn refresh_coins(&mut self, txid: &Txid) {
        let Some(tx) = self.txs.get(txid).map(|wtx| wtx.tx.clone()) else { return };
        let outputs = (0..tx.output.len() as u32).map(|vout| OutPoint { txid: *txid, vout });
        for coin in outputs.chain(tx.input.iter().map(|input| input.previous_output)) {
            let ours = self.output(&coin).is_some_and(|output| self.is_mine(&output.script_pubkey));
            let spent =
                self.spends.get(&coin).into_iter().flatten().any(|id| self.txs.get(id).is_some_and(WalletTx::is_confirmed));
            if ours && !spent {
                self.coins.insert(coin);
            } else {
                self.coins.remove(&coin);
            }
        }
    }

    /// Recomputes all candidates, after scripts were added.
    pub fn refresh_all_coins(&mut self) {
        let all: Vec<Txid> = self.txs.keys().copied().collect();
        for txid in all {
            self.refresh_coins(&txid);
        }
    }

    fn time_smart(&self, wtx: &WalletTx, when: When) -> u32 {
        let received = i64::from(wtx.time_received);
        let clamp = |time: i64| u32::try_from(time).unwrap_or(0);
        if !matches!(wtx.state, TxState::Confirmed { .. } | TxState::BlockConflicted { .. }) {
            return wtx.time_received;
        }
        if let Some(time) = when.rescan_time {
            return clamp(time);
        }
        let Some(block_time) = when.block_time else { return wtx.time_received };
        const TOLERANCE_SECONDS: i64 = 300;
        let mut latest_now = received;
        let mut latest_entry = 0;
        for other in self.ordered.values().rev().flatten().filter_map(|id| self.txs.get(id)) {
            let time = i64::from(other.time());
            if other.txid != wtx.txid && time <= received + TOLERANCE_SECONDS {
                latest_entry = time;
                latest_now = latest_now.max(time);
                break;
            }
        }
        clamp(latest_entry.max(block_time.min(latest_now)))
    }
}

/// Whether two transactions differ in signatures only.
fn equivalent(a: &Transaction, b: &Transaction) -> bool {
    let strip = |tx: &Transaction| {
        let mut tx = tx.clone();
        for input in &mut tx.input {
            input.script_sig = bitcoin::ScriptBuf::new();
            input.witness.clear();
        }
        tx.compute_txid()
    };
    strip(a) == strip(b)
}

/// Confirmations: negative for conflicted transactions, 0 for the rest that is not in a block.
pub fn depth(state: &TxState, tip: i32) -> i32 {
    match state {
        TxState::Confirmed { height, .. } if *height >= 0 => tip - height + 1,
        TxState::BlockConflicted { height, .. } if *height >= 0 => -(tip - height + 1),
        _ => 0,
    }
}
