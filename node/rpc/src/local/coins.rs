//! What chain knows of the coins that a transaction spends. Chain's answers are as untrusted as requests.

use std::fmt::Display;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use bulkhead_schema::decode;

use crate::door::Door;
use crate::jsonrpc::{CallError, code};

/// No script is as long as a block.
const MAX_SCRIPT: usize = 4_000_000;
/// A script error is one sentence.
const MAX_TEXT: usize = 1000;
/// Chain answers no more coins at once.
const MAX_COINS: usize = 10_000;

fn broken(error: impl Display) -> CallError {
    CallError::new(code::INTERNAL, format!("bitcoin-chain did not answer: {error}"))
}

/// The outputs that the chain has not spent, those of the mempool included; one answer per outpoint.
///
/// # Errors
/// Chain did not answer, or nonsense.
pub(super) async fn find(door: &Door, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, CallError> {
    let mut found = Vec::with_capacity(outpoints.len());
    for part in outpoints.chunks(MAX_COINS) {
        let mut call = door.owners.chain.get().map_err(broken)?.coins_request();
        let mut list = call.get().init_outpoints(part.len() as u32); // at most MAX_COINS
        for (index, outpoint) in (0..).zip(part) {
            let mut entry = list.reborrow().get(index);
            entry.set_txid(outpoint.txid.as_byte_array());
            entry.set_vout(outpoint.vout);
        }
        let reply = call.send().promise.await.map_err(broken)?;
        let coins = reply.get().and_then(|reply| reply.get_coins()).map_err(broken)?;
        if coins.len() as usize != part.len() {
            return Err(broken("another number of coins than asked for"));
        }
        for coin in coins {
            let script = decode::data("script", coin.get_script().map_err(broken)?, MAX_SCRIPT).map_err(broken)?;
            let value = Amount::from_sat(u64::try_from(coin.get_amount()).map_err(broken)?);
            found.push(coin.get_found().then(|| TxOut { value, script_pubkey: ScriptBuf::from(script.to_vec()) }));
        }
    }
    Ok(found)
}

/// Has the scripts of all inputs checked: one text each, empty when the script is satisfied or its coin is not known.
///
/// # Errors
/// As [`find`].
pub(super) async fn verify(door: &Door, tx: &Transaction, spent: &[Option<TxOut>]) -> Result<Vec<String>, CallError> {
    let mut call = door.owners.chain.get().map_err(broken)?.verify_inputs_request();
    call.get().set_transaction(&bitcoin::consensus::serialize(tx));
    let count = u32::try_from(spent.len()).map_err(broken)?;
    let mut list = call.get().init_spent(count);
    for (index, output) in (0..).zip(spent) {
        let mut entry = list.reborrow().get(index);
        let Some(output) = output else { continue };
        entry.set_found(true);
        entry.set_amount(i64::try_from(output.value.to_sat()).map_err(broken)?);
        entry.set_script(output.script_pubkey.as_bytes());
    }
    let reply = call.send().promise.await.map_err(broken)?;
    let errors = reply.get().and_then(|reply| reply.get_errors()).map_err(broken)?;
    let errors = decode::texts("errors", errors, count, MAX_TEXT).map_err(broken)?;
    if errors.len() == spent.len() { Ok(errors) } else { Err(broken("another number of checks than asked for")) }
}
