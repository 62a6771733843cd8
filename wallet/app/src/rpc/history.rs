//! Transactions of a wallet (Core: `wallet/rpc/transactions.cpp`).

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Txid};
use bulkhead_rpc_util::codec::{parse_block_hash, parse_txid, tx_to_hex};
use bulkhead_rpc_util::{RpcError, RpcResult, TxContext, tx_to_json};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

use super::Call;
use super::util::{amount, label, persist, push_last_block, push_parents, synced_wallet};
use crate::app::{App, Loaded};
use crate::state::Wallet;
use crate::state::tx::{TxState, WalletTx};
use crate::wallets::chain_error;

/// Times of the blocks that hold our transactions; chain is asked once for each.
pub(super) async fn block_times(app: &App, loaded: &Loaded) -> RpcResult<()> {
    let missing: HashSet<BlockHash> = {
        let wallet = loaded.wallet.borrow();
        let block = |wtx: &WalletTx| match wtx.state {
            TxState::Confirmed { block, .. } if !wallet.block_times.contains_key(&block) => Some(block),
            _ => None,
        };
        wallet.txs.values().filter_map(block).collect()
    };
    for hash in missing {
        if let Some(info) = app.chain.block_by_hash(&hash).await.map_err(|error| chain_error(&error))? {
            loaded.wallet.borrow_mut().block_times.insert(hash, info.time);
        }
    }
    Ok(())
}

/// Whether an unconfirmed transaction or an unconfirmed ancestor of ours signals replacement (BIP125).
fn signals_rbf(wallet: &Wallet, wtx: &WalletTx) -> bool {
    let mut todo = vec![wtx];
    let mut seen = HashSet::new();
    while let Some(now) = todo.pop() {
        if now.is_confirmed() || !seen.insert(now.txid) {
            continue;
        }
        if now.tx.input.iter().any(|input| input.sequence.is_rbf()) {
            return true;
        }
        todo.extend(now.tx.input.iter().filter_map(|input| wallet.txs.get(&input.previous_output.txid)));
    }
    false
}

/// `with_rbf`: also whether it signals replacement, which is deprecated.
fn push_tx(wallet: &Wallet, wtx: &WalletTx, with_rbf: bool, out: &mut Map<String, Value>) {
    let depth = wallet.depth(wtx);
    let mut put = |name: &str, value: Value| {
        out.insert(name.to_owned(), value);
    };
    put("confirmations", json!(depth));
    if wtx.is_coinbase() {
        put("generated", json!(true));
    }
    if let TxState::Confirmed { block, height, index } = wtx.state {
        put("blockhash", json!(block.to_string()));
        put("blockheight", json!(height));
        put("blockindex", json!(index));
        put("blocktime", json!(wallet.block_times.get(&block).copied().unwrap_or(0)));
    } else {
        put("trusted", json!(wallet.is_trusted(wtx, &mut HashSet::new())));
    }
    put("txid", json!(wtx.txid.to_string()));
    put("wtxid", json!(wtx.tx.compute_wtxid().to_string()));
    let texts = |ids: &mut dyn Iterator<Item = &Txid>| json!(ids.map(ToString::to_string).collect::<Vec<_>>());
    put("walletconflicts", texts(&mut wallet.conflicts(wtx).iter()));
    put("mempoolconflicts", texts(&mut wtx.mempool_conflicts.iter()));
    put("time", json!(wtx.time()));
    put("timereceived", json!(wtx.time_received));
    if with_rbf {
        let rbf = if depth > 0 {
            "no"
        } else if wtx.tx.input.iter().any(|input| input.sequence.is_rbf()) {
            "yes"
        } else if !wtx.in_mempool() {
            "unknown"
        } else if signals_rbf(wallet, wtx) {
            "yes"
        } else {
            "no"
        };
        put("bip125-replaceable", json!(rbf));
    }
    let known = &wtx.texts;
    for (name, text) in [("comment", known.comment.clone()), ("to", known.to.clone())] {
        if let Some(text) = text {
            put(name, json!(text));
        }
    }
    for (name, txid) in [("replaces_txid", known.replaces), ("replaced_by_txid", known.replaced_by)] {
        if let Some(txid) = txid {
            put(name, json!(txid.to_string()));
        }
    }
}

struct Listing<'a> {
    min_depth: i32,
    long: bool,
    label: Option<&'a str>,
    include_change: bool,
    /// `-deprecatedrpc=bip125`.
    with_rbf: bool,
}

fn shows_rbf(call: &Call) -> bool {
    call.app.config.deprecatedrpc.iter().any(|name| name == "bip125")
}

fn list_one(wallet: &Wallet, wtx: &WalletTx, how: &Listing<'_>, out: &mut Vec<Value>) {
    let amounts = wallet.amounts(wtx, how.include_change);
    let book_label = |script: &bitcoin::Script| wallet.label_of(script).map(str::to_owned);
    let push_address = |script: &bitcoin::Script, entry: &mut Map<String, Value>| {
        if let Some(address) = wallet.address(script) {
            entry.insert("address".into(), json!(address));
        }
    };
    if how.label.is_none() {
        for sent in &amounts.sent {
            let mut entry = Map::new();
            push_address(&sent.script, &mut entry);
            entry.insert("category".into(), json!("send"));
            entry.insert("amount".into(), amount(-sent.amount));
            if let Some(label) = book_label(&sent.script) {
                entry.insert("label".into(), json!(label));
            }
            entry.insert("vout".into(), json!(sent.vout));
            entry.insert("fee".into(), amount(-amounts.fee));
            if how.long {
                push_tx(wallet, wtx, how.with_rbf, &mut entry);
            }
            entry.insert("abandoned".into(), json!(wtx.is_abandoned()));
            out.push(Value::Object(entry));
        }
    }
    let depth = wallet.depth(wtx);
    if depth < how.min_depth {
        return;
    }
    for received in &amounts.received {
        let label = book_label(&received.script);
        if how.label.is_some_and(|wanted| label.as_deref().unwrap_or_default() != wanted) {
            continue;
        }
        let mut entry = Map::new();
        push_address(&received.script, &mut entry);
        push_parents(wallet, &received.script, &mut entry);
        let category = if !wtx.is_coinbase() {
            "receive"
        } else if depth < 1 {
            "orphan"
        } else if wallet.is_immature(wtx) {
            "immature"
        } else {
            "generate"
        };
        entry.insert("category".into(), json!(category));
        entry.insert("amount".into(), amount(received.amount));
        if let Some(label) = label {
            entry.insert("label".into(), json!(label));
        }
        entry.insert("vout".into(), json!(received.vout));
        entry.insert("abandoned".into(), json!(wtx.is_abandoned()));
        if how.long {
            push_tx(wallet, wtx, how.with_rbf, &mut entry);
        }
        out.push(Value::Object(entry));
    }
}

pub(super) async fn list(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    let mut wanted = None;
    if params.opt_str(0)?.is_some_and(|text| text != "*") {
        let text = label(params.get(0))?;
        if text.is_empty() {
            return Err(RpcError::parameter("Label argument must be a valid label name or \"*\"."));
        }
        wanted = Some(text);
    }
    let count = params.opt_int::<i32>(1)?.unwrap_or(10);
    let from = params.opt_int::<i32>(2)?.unwrap_or(0);
    let count = usize::try_from(count).map_err(|_| RpcError::parameter("Negative count"))?;
    let from = usize::try_from(from).map_err(|_| RpcError::parameter("Negative from"))?;
    block_times(&call.app, &loaded).await?;
    let wallet = loaded.wallet.borrow();
    let how = Listing { min_depth: 0, long: true, label: wanted.as_deref(), include_change: false, with_rbf: shows_rbf(call) };
    let mut newest_first = Vec::new();
    for wtx in wallet.ordered.values().rev().flatten().filter_map(|txid| wallet.txs.get(txid)) {
        list_one(&wallet, wtx, &how, &mut newest_first);
        if newest_first.len() >= count + from {
            break;
        }
    }
    let mut out: Vec<Value> = newest_first.into_iter().skip(from).take(count).collect();
    out.reverse();
    Ok(Value::Array(out))
}

/// The block since which changes are wanted: its height on the active chain where they meet, and the blocks
/// that were taken off since.
async fn fork_of(app: &App, hash: BlockHash) -> RpcResult<(i32, Vec<Vec<Txid>>)> {
    let mut detached = Vec::new();
    let mut now = hash;
    loop {
        let info = app.chain.block_by_hash(&now).await.map_err(|error| chain_error(&error))?;
        let info = info.ok_or_else(|| RpcError::address_or_key("Block not found"))?;
        if info.active {
            return Ok((info.at.height, detached));
        }
        let block = info.block.ok_or_else(|| RpcError::internal("Can't read block from disk"))?;
        detached.push(block.txdata.iter().map(bitcoin::Transaction::compute_txid).collect());
        now = block.header.prev_blockhash;
    }
}

pub(super) async fn since_block(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    let mut since = None;
    let mut detached = Vec::new();
    if params.opt_str(0)?.is_some_and(|text| !text.is_empty()) {
        let (height, blocks) = fork_of(&call.app, parse_block_hash(params.get(0), "blockhash")?).await?;
        since = Some(height);
        detached = blocks;
    }
    let target = params.opt_int::<i32>(1)?.unwrap_or(1);
    if target < 1 {
        return Err(RpcError::parameter("Invalid parameter"));
    }
    let include_removed = params.opt_bool(3)?.unwrap_or(true);
    let include_change = params.opt_bool(4)?.unwrap_or(false);
    let wanted = if params.is_null(5) { None } else { Some(label(params.get(5))?) };
    block_times(&call.app, &loaded).await?;
    let (transactions, removed, last_height) = {
        let wallet = loaded.wallet.borrow();
        let depth = since.map_or(-1, |height| wallet.tip.height + 1 - height);
        let how = Listing { min_depth: 0, long: true, label: wanted.as_deref(), include_change, with_rbf: shows_rbf(call) };
        let mut transactions = Vec::new();
        let sorted: BTreeMap<&Txid, &WalletTx> = wallet.txs.iter().collect();
        for wtx in sorted.into_values() {
            if depth == -1 || wallet.depth(wtx).abs() < depth {
                list_one(&wallet, wtx, &how, &mut transactions);
            }
        }
        let mut removed = Vec::new();
        let any_depth = Listing { min_depth: -100_000_000, ..how };
        for wtx in detached.iter().flatten().filter_map(|txid| wallet.txs.get(txid)) {
            list_one(&wallet, wtx, &any_depth, &mut removed);
        }
        let tip = wallet.tip.height;
        (transactions, removed, tip + 1 - target.min(tip + 1))
    };
    let last = if last_height == loaded.wallet.borrow().tip.height {
        loaded.wallet.borrow().tip.hash
    } else {
        let info = call.app.chain.block_at(last_height).await.map_err(|error| chain_error(&error))?;
        info.map_or(BlockHash::all_zeros(), |info| info.at.hash)
    };
    let mut out = Map::new();
    out.insert("transactions".into(), Value::Array(transactions));
    if include_removed {
        out.insert("removed".into(), Value::Array(removed));
    }
    out.insert("lastblock".into(), json!(last.to_string()));
    Ok(Value::Object(out))
}

pub(super) async fn transaction(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let txid = parse_txid(call.params.get(0), "txid")?;
    let verbose = call.params.opt_bool(2)?.unwrap_or(false);
    block_times(&call.app, &loaded).await?;
    let wallet = loaded.wallet.borrow();
    let wtx = wallet.txs.get(&txid).ok_or_else(|| RpcError::address_or_key("Invalid or non-wallet transaction id"))?;
    let credit = if wallet.is_immature(wtx) { 0 } else { wallet.credit(&wtx.tx) };
    let debit = wallet.debit(&wtx.tx);
    let from_me = wallet.is_from_me(&wtx.tx);
    let value_out: i64 = wtx.tx.output.iter().map(|output| output.value.to_sat() as i64).sum();
    let fee = if from_me { value_out - debit } else { 0 };
    let mut out = Map::new();
    out.insert("amount".into(), amount(credit - debit - fee));
    if from_me {
        out.insert("fee".into(), amount(fee));
    }
    push_tx(&wallet, wtx, shows_rbf(call), &mut out);
    let mut details = Vec::new();
    list_one(
        &wallet,
        wtx,
        &Listing { min_depth: 0, long: false, label: None, include_change: false, with_rbf: false },
        &mut details,
    );
    out.insert("details".into(), Value::Array(details));
    out.insert("hex".into(), json!(tx_to_hex(&wtx.tx)));
    if verbose {
        let mut decoded = tx_to_json(&wtx.tx, call.app.network, TxContext::default());
        mark_change(&wallet, wtx, &mut decoded);
        out.insert("decoded".into(), Value::Object(decoded));
    }
    push_last_block(&wallet, &mut out);
    Ok(Value::Object(out))
}

/// Outputs that are change say so.
fn mark_change(wallet: &Wallet, wtx: &WalletTx, decoded: &mut Map<String, Value>) {
    let Some(Value::Array(outputs)) = decoded.get_mut("vout") else { return };
    for (output, entry) in wtx.tx.output.iter().zip(outputs) {
        if let Value::Object(entry) = entry
            && wallet.is_change(output)
        {
            entry.insert("ischange".into(), json!(true));
        }
    }
}

pub(super) async fn abandon(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let txid = parse_txid(call.params.get(0), "txid")?;
    {
        let mut wallet = loaded.wallet.borrow_mut();
        if !wallet.txs.contains_key(&txid) {
            return Err(RpcError::address_or_key("Invalid or non-wallet transaction id"));
        }
        if !wallet.abandon(&txid) {
            return Err(RpcError::address_or_key("Transaction not eligible for abandonment"));
        }
    }
    persist(&call.app, &loaded).await?;
    Ok(Value::Null)
}
