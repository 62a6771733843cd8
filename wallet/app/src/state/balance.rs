//! Coins and sums (Core: `wallet/receive.cpp`).

use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use std::collections::HashSet;

use super::sync::depth;
use super::tx::WalletTx;
use super::{Wallet, flags};

/// Blocks that must follow a coinbase before it can be spent.
pub const COINBASE_MATURITY: i32 = 100;

/// Sums in satoshi.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Confirmed, or ours and in the mempool.
    pub trusted: i64,
    /// In the mempool from others.
    pub untrusted_pending: i64,
    /// Young coinbases.
    pub immature: i64,
    /// On addresses that were spent from before (with avoid_reuse).
    pub used: i64,
    /// Negative: spent by transactions that are in no mempool.
    pub nonmempool: i64,
}

/// Who spends a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowSpent {
    /// Nobody.
    Unspent,
    /// A transaction in a block.
    Confirmed,
    /// A transaction in the mempool.
    Mempool,
    /// A transaction of ours that is in no mempool.
    NonMempool,
}

/// One side of a transaction as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Output script.
    pub script: bitcoin::ScriptBuf,
    /// Satoshi.
    pub amount: i64,
    /// Output number.
    pub vout: u32,
}

/// What came in, what went out, and the fee.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Outputs of ours.
    pub received: Vec<Entry>,
    /// Outputs that we paid for.
    pub sent: Vec<Entry>,
    /// Satoshi; 0 when we paid nothing.
    pub fee: i64,
}

impl Wallet {
    /// An output of a transaction of the wallet.
    pub fn output(&self, coin: &OutPoint) -> Option<&TxOut> {
        self.txs.get(&coin.txid)?.tx.output.get(coin.vout as usize)
    }

    /// An output of a transaction of the wallet, if it is ours.
    pub fn my_output(&self, coin: &OutPoint) -> Option<&TxOut> {
        self.output(coin).filter(|output| self.is_mine(&output.script_pubkey))
    }

    /// Value of our coins that a transaction spends, satoshi.
    pub fn debit(&self, tx: &Transaction) -> i64 {
        tx.input
            .iter()
            .filter_map(|input| self.my_output(&input.previous_output))
            .map(|output| output.value.to_sat() as i64)
            .sum()
    }

    /// Value of outputs to us, satoshi.
    pub fn credit(&self, tx: &Transaction) -> i64 {
        tx.output.iter().filter(|output| self.is_mine(&output.script_pubkey)).map(|output| output.value.to_sat() as i64).sum()
    }

    /// Whether a transaction spends a coin of ours.
    pub fn is_from_me(&self, tx: &Transaction) -> bool {
        tx.input.iter().any(|input| self.my_output(&input.previous_output).is_some())
    }

    /// Confirmations of a transaction.
    pub fn depth(&self, wtx: &WalletTx) -> i32 {
        depth(&wtx.state, self.tip.height)
    }

    /// Blocks until a coinbase can be spent.
    pub fn blocks_to_maturity(&self, wtx: &WalletTx) -> i32 {
        if !wtx.is_coinbase() {
            return 0;
        }
        (COINBASE_MATURITY + 1 - self.depth(wtx)).max(0)
    }

    /// Whether a transaction is a young coinbase.
    pub fn is_immature(&self, wtx: &WalletTx) -> bool {
        self.blocks_to_maturity(wtx) > 0
    }

    /// Who spends a coin.
    pub fn how_spent(&self, coin: &OutPoint) -> HowSpent {
        let mut found = HowSpent::Unspent;
        for wtx in self.spends.get(coin).into_iter().flatten().filter_map(|id| self.txs.get(id)) {
            if wtx.is_confirmed() {
                return HowSpent::Confirmed;
            }
            if wtx.in_mempool() {
                found = HowSpent::Mempool;
            } else if !wtx.is_abandoned()
                && !wtx.is_block_conflicted()
                && wtx.mempool_conflicts.is_empty()
                && found == HowSpent::Unspent
            {
                found = HowSpent::NonMempool;
            }
        }
        found
    }

    /// Whether a coin is spent by anything that may still confirm.
    pub fn is_spent(&self, coin: &OutPoint) -> bool {
        self.how_spent(coin) != HowSpent::Unspent
    }

    /// Whether a transaction can be relied on: confirmed, or made of our own trusted coins and in the mempool.
    pub fn is_trusted(&self, wtx: &WalletTx, trusted: &mut HashSet<Txid>) -> bool {
        if trusted.contains(&wtx.txid) || wtx.is_confirmed() {
            return true;
        }
        // An explicit stack: chains of unconfirmed change can be long.
        let mut stack = vec![(wtx, 0usize)];
        while let Some((now, position)) = stack.pop() {
            if position == 0
                && (now.is_block_conflicted()
                    || !self.options.spend_zero_conf_change
                    || !now.in_mempool()
                    || !self.is_from_me(&now.tx))
            {
                return false;
            }
            let Some(input) = now.tx.input.get(position) else {
                trusted.insert(now.txid);
                continue;
            };
            let Some(parent) = self.txs.get(&input.previous_output.txid) else { return false };
            if self.my_output(&input.previous_output).is_none() {
                return false;
            }
            stack.push((now, position + 1));
            if !trusted.contains(&parent.txid) && !parent.is_confirmed() {
                stack.push((parent, 0));
            }
        }
        true
    }

    /// Sums of all coins.
    pub fn balance(&self, min_depth: i32, avoid_reuse: bool, include_nonmempool: bool) -> Balance {
        let mut out = Balance::default();
        let skip_used = avoid_reuse && self.has_flag(flags::AVOID_REUSE);
        let mut trusted_parents = HashSet::new();
        for coin in &self.coins {
            let Some(wtx) = self.txs.get(&coin.txid) else { continue };
            let Some(output) = self.output(coin) else { continue };
            let how = self.how_spent(coin);
            let nonmempool = how == HowSpent::NonMempool && include_nonmempool;
            if how != HowSpent::Unspent && !nonmempool {
                continue;
            }
            let trusted = self.is_trusted(wtx, &mut trusted_parents);
            let value = output.value.to_sat() as i64;
            let bucket = if self.is_immature(wtx) && wtx.is_confirmed() {
                &mut out.immature
            } else if trusted && self.depth(wtx) >= min_depth {
                &mut out.trusted
            } else if !trusted && wtx.in_mempool() {
                &mut out.untrusted_pending
            } else {
                continue;
            };
            if skip_used && self.is_spent_key(&output.script_pubkey) {
                out.used += value;
            } else {
                *bucket += value;
            }
            if nonmempool {
                out.nonmempool -= value;
            }
        }
        out
    }

    /// Whether an output is change: ours, and its address has no label.
    pub fn is_change(&self, output: &TxOut) -> bool {
        if !self.is_mine(&output.script_pubkey) {
            return false;
        }
        match bitcoin::Address::from_script(&output.script_pubkey, self.network) {
            Ok(address) => self.book.get(&address.to_string()).is_none_or(|entry| entry.label.is_none()),
            Err(_) => true,
        }
    }

    /// What a transaction means to us.
    pub fn amounts(&self, wtx: &WalletTx, include_change: bool) -> Amounts {
        let mut out = Amounts::default();
        let debit = self.debit(&wtx.tx);
        if debit > 0 {
            out.fee = debit - wtx.tx.output.iter().map(|output| output.value.to_sat() as i64).sum::<i64>();
        }
        for (vout, output) in wtx.tx.output.iter().enumerate() {
            let mine = self.is_mine(&output.script_pubkey);
            if debit > 0 {
                if !include_change && self.is_change(output) {
                    continue;
                }
            } else if !mine {
                continue;
            }
            let entry = Entry { script: output.script_pubkey.clone(), amount: output.value.to_sat() as i64, vout: vout as u32 };
            if debit > 0 {
                out.sent.push(entry.clone());
            }
            if mine {
                out.received.push(entry);
            }
        }
        out
    }

    /// Transactions that cannot confirm together with this one.
    pub fn conflicts(&self, wtx: &WalletTx) -> Vec<Txid> {
        if wtx.is_coinbase() {
            return Vec::new();
        }
        let mut out: Vec<Txid> = wtx
            .tx
            .input
            .iter()
            .flat_map(|input| self.spenders(&input.previous_output))
            .filter(|txid| *txid != wtx.txid)
            .collect();
        out.sort();
        out.dedup();
        out
    }
}
