//! Coins and script checks for the processes that draft and sign.

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use bulkhead_schema::decode;
use bulkhead_schema::wire::types_capnp::{coin, outpoint};
use bulkhead_script::{Flags, Hashes, ScriptError, TxData, interpret};
use bulkhead_store::Coin;

use super::convert::malformed;
use crate::mempool_accept::{PackageCoins, find_coin};
use crate::rpc::Context;

const MAX_COINS: u32 = 10_000;
const MAX_TRANSACTION: usize = 4_000_000;
/// No script is as long as a block.
const MAX_SCRIPT: usize = 4_000_000;

/// What the signer reads (Core: `SignTransaction` in `script/sign.cpp`).
fn describe(error: ScriptError) -> String {
    match error {
        ScriptError::InvalidStackOperation => "Unable to sign input, invalid stack size (possibly missing key)".to_owned(),
        ScriptError::SigNullFail => "CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)".to_owned(),
        other => other.to_string(),
    }
}

/// The outpoints of a question.
pub fn read_outpoints(list: capnp::struct_list::Reader<'_, outpoint::Owned>) -> Result<Vec<OutPoint>, capnp::Error> {
    let mut outpoints = Vec::with_capacity(decode::count("outpoints", list.len(), MAX_COINS).map_err(malformed)?);
    for entry in list {
        let txid = decode::hash32("txid", entry.get_txid()?).map_err(malformed)?;
        outpoints.push(OutPoint { txid: Txid::from_byte_array(txid), vout: entry.get_vout() });
    }
    Ok(outpoints)
}

/// Outputs that the chain has not spent, those of the mempool included, whether or not the mempool spends them (Core:
/// `FindCoins`).
pub fn find_coins(context: &Context, outpoints: &[OutPoint]) -> Vec<Option<Coin>> {
    let state = context.state();
    let pool = context.pool.lock();
    let none = PackageCoins::default();
    outpoints.iter().map(|outpoint| find_coin(&state, &pool, &none, outpoint).ok().flatten()).collect()
}

/// Fills the answer; `list` has as many entries as there are coins.
pub fn fill_coins(mut list: capnp::struct_list::Builder<'_, coin::Owned>, coins: &[Option<Coin>]) {
    for (at, coin) in (0..).zip(coins) {
        let mut entry = list.reborrow().get(at);
        let Some(coin) = coin else { continue };
        entry.set_found(true);
        entry.set_amount(coin.output.value.to_sat() as i64); // in the money range
        entry.set_script(coin.output.script_pubkey.as_bytes());
        entry.set_height(i32::try_from(coin.height).unwrap_or(i32::MAX));
        entry.set_coinbase(coin.coinbase);
    }
}

/// Fills a list with as many texts as it has room for.
pub fn put_texts(mut list: capnp::text_list::Builder<'_>, texts: &[String]) {
    for (at, text) in (0..).zip(texts) {
        list.set(at, text);
    }
}

/// A transaction whose inputs are to be checked, with what is known of the coins that they spend.
#[derive(Debug)]
pub struct InputCheck {
    transaction: Transaction,
    spent: Vec<Option<TxOut>>,
}

impl InputCheck {
    /// Reads the question.
    pub fn read(transaction: &[u8], spent: capnp::struct_list::Reader<'_, coin::Owned>) -> Result<Self, capnp::Error> {
        let bytes = decode::data("transaction", transaction, MAX_TRANSACTION).map_err(malformed)?;
        let transaction: Transaction = deserialize(bytes).map_err(bulkhead_link::failed)?;
        if transaction.input.len() != decode::count("spent", spent.len(), u32::MAX).map_err(malformed)? {
            return Err(bulkhead_link::failed("one coin per input is needed"));
        }
        let mut coins = Vec::with_capacity(transaction.input.len());
        for entry in spent {
            let script = decode::data("script", entry.get_script()?, MAX_SCRIPT).map_err(malformed)?;
            let value = u64::try_from(entry.get_amount()).map_err(bulkhead_link::failed)?;
            let output = TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from(script.to_vec()) };
            coins.push(entry.get_found().then_some(output));
        }
        Ok(Self { transaction, spent: coins })
    }

    /// One text per input: empty when it satisfies its script, or when its coin is not known.
    pub fn errors(self) -> Vec<String> {
        // An output that stands for an unknown one makes signatures fail that commit to it, as they must.
        let unknown = || TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() };
        let outputs: Vec<TxOut> = self.spent.iter().map(|output| output.clone().unwrap_or_else(unknown)).collect();
        let hashes = Hashes::default();
        let data = TxData::new(&self.transaction, &outputs, &hashes);
        let judge = |(input, output): (usize, &Option<TxOut>)| match output {
            Some(_) => interpret(&data, input, Flags::STANDARD).err().map_or_else(String::new, describe),
            None => String::new(),
        };
        self.spent.iter().enumerate().map(judge).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::{TxIn, absolute::LockTime, transaction::Version};

    #[test]
    fn each_input_is_judged_on_its_own() {
        let script = |bytes: &[u8]| Some(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from(bytes.to_vec()) });
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn::default(); 3],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }],
        };
        let check = InputCheck { transaction, spent: vec![script(&[0x51]), script(&[0x00]), None] };
        let words = "Script evaluated without error but finished with a false/empty top stack element";
        assert_eq!(check.errors(), ["", words, ""]);
    }
}
