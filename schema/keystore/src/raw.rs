//! A raw transaction to be signed, to its struct and back.

use crate::frame::{FrameError, MAX_FRAME_BYTES};
use crate::request::{MAX_ITEMS, length};
use bulkhead_schema::decode::{blobs, count, data, hash32};
use bulkhead_schema::wire::wallet_keystore_capnp::raw_transaction;

/// A transaction and what it spends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawTransaction {
    /// In Core's serialization, with the signatures that it has already.
    pub transaction: Vec<u8>,
    /// What it spends, as far as it is known.
    pub coins: Vec<SpentCoin>,
    /// 0: default of the script type.
    pub sighash: u32,
    /// The same transaction with other signatures, which are merged in.
    pub copies: Vec<Vec<u8>>,
}

/// An output that a transaction spends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpentCoin {
    /// Transaction id in internal order.
    pub txid: [u8; 32],
    /// Index of the output.
    pub vout: u32,
    /// Output script.
    pub script: Vec<u8>,
    /// Satoshi.
    pub amount: u64,
    /// Empty: not given.
    pub redeem_script: Vec<u8>,
    /// Empty: not given.
    pub witness_script: Vec<u8>,
    /// The transaction that made the coin, which proves its amount; empty: not known.
    pub previous: Vec<u8>,
}

impl RawTransaction {
    /// Bytes of the content, and number of structs.
    pub(crate) fn size(&self) -> (usize, usize) {
        let coin = |coin: &SpentCoin| {
            coin.script.len() + coin.redeem_script.len() + coin.witness_script.len() + coin.previous.len() + 128
        };
        let bytes = self.transaction.len() + self.copies.iter().map(Vec::len).sum::<usize>();
        (bytes + self.coins.iter().map(coin).sum::<usize>(), 2 + self.coins.len() + self.copies.len())
    }

    pub(crate) fn fill(&self, mut root: raw_transaction::Builder<'_>) -> Result<(), FrameError> {
        root.set_transaction(&self.transaction);
        root.set_sighash(self.sighash);
        let mut copies = root.reborrow().init_copies(length(self.copies.len())?);
        for (index, copy) in (0..).zip(&self.copies) {
            copies.set(index, copy);
        }
        let mut list = root.init_coins(length(self.coins.len())?);
        for (index, coin) in (0..).zip(&self.coins) {
            let mut entry = list.reborrow().get(index);
            entry.set_txid(&coin.txid);
            entry.set_vout(coin.vout);
            entry.set_script(&coin.script);
            entry.set_amount(coin.amount);
            entry.set_redeem_script(&coin.redeem_script);
            entry.set_witness_script(&coin.witness_script);
            entry.set_previous(&coin.previous);
        }
        Ok(())
    }

    pub(crate) fn take(root: raw_transaction::Reader<'_>) -> Result<Self, FrameError> {
        let list = root.get_coins()?;
        let mut coins = Vec::with_capacity(count("coins", list.len(), MAX_ITEMS)?);
        for coin in list {
            coins.push(SpentCoin {
                txid: hash32("txid", coin.get_txid()?)?,
                vout: coin.get_vout(),
                script: data("script", coin.get_script()?, MAX_FRAME_BYTES)?.to_vec(),
                amount: coin.get_amount(),
                redeem_script: data("redeemScript", coin.get_redeem_script()?, MAX_FRAME_BYTES)?.to_vec(),
                witness_script: data("witnessScript", coin.get_witness_script()?, MAX_FRAME_BYTES)?.to_vec(),
                previous: data("previous", coin.get_previous()?, MAX_FRAME_BYTES)?.to_vec(),
            });
        }
        let transaction = data("transaction", root.get_transaction()?, MAX_FRAME_BYTES)?.to_vec();
        let copies = blobs("copies", root.get_copies()?, MAX_ITEMS, MAX_FRAME_BYTES)?;
        Ok(Self { transaction, coins, sighash: root.get_sighash(), copies })
    }
}
