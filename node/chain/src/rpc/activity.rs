//! `getdescriptoractivity`.

use std::collections::{BTreeMap, HashSet};

use bitcoin::{BlockHash, ScriptBuf, Transaction, TxOut};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json, script_to_json};
use serde_json::{Map, Value};

use super::lookup::{block_by_hash, read_block, read_undo, storage_error};
use super::scan_blocks::scripts_of;
use super::{Context, Handler};
use crate::engine::NodeId;
use crate::mempool_accept::{PackageCoins, find_coin};

pub(super) const METHODS: &[(&str, Handler)] = &[("getdescriptoractivity", getdescriptoractivity)];

fn getdescriptoractivity(context: &Context, params: &Params) -> RpcResult<Value> {
    let mut blocks = BTreeMap::new();
    {
        let state = context.state();
        for hash in params.array(0)? {
            let id = block_by_hash(&state, hash, "blockhash")?;
            if !state.is_active(id) {
                return Err(RpcError::parameter("Block is not in main chain"));
            }
            blocks.insert(state.node(id).height, id);
        }
    }
    let scripts = scripts_of(context, params.array(1)?)?;
    let mut activity = Activity { context, scripts, events: Vec::new() };
    for id in blocks.into_values() {
        activity.add_block(id)?;
    }
    if params.opt_bool(2)?.unwrap_or(true) {
        activity.add_mempool()?;
    }
    let mut out = Map::new();
    out.insert("activity".into(), activity.events.into());
    Ok(Value::Object(out))
}

/// Hash and height of the block that an event belongs to; `None` in the mempool.
type Place = Option<(BlockHash, i32)>;

struct Activity<'a> {
    context: &'a Context,
    scripts: HashSet<ScriptBuf>,
    events: Vec<Value>,
}

impl Activity<'_> {
    fn add_block(&mut self, id: NodeId) -> RpcResult<()> {
        let (block, undo, place) = {
            let state = self.context.state();
            let node = state.node(id);
            (read_block(&state, id)?, read_undo(&state, id)?, Some((node.hash, node.height)))
        };
        let none = Vec::new();
        for (position, tx) in block.txdata.iter().enumerate() {
            let spent = position.checked_sub(1).and_then(|at| undo.transactions.get(at)).unwrap_or(&none);
            for (vin, coin) in spent.iter().enumerate() {
                self.add_spend(tx, vin, &coin.output, place);
            }
            self.add_receives(tx, place);
        }
        Ok(())
    }

    fn add_mempool(&mut self) -> RpcResult<()> {
        let context = self.context;
        let state = context.state();
        let pool = context.pool.lock();
        for tx in pool.ordered_txids().iter().filter_map(|txid| pool.get(txid)).map(|entry| &entry.new.tx) {
            for (vin, input) in tx.input.iter().enumerate() {
                let coin = find_coin(&state, &pool, &PackageCoins::default(), &input.previous_output).map_err(storage_error)?;
                let coin = coin.ok_or_else(|| RpcError::internal("an input of a mempool transaction is unknown"))?;
                self.add_spend(tx, vin, &coin.output, None);
            }
            self.add_receives(tx, None);
        }
        Ok(())
    }

    fn add_spend(&mut self, tx: &Transaction, vin: usize, spent: &TxOut, place: Place) {
        let Some(input) = tx.input.get(vin).filter(|_| self.scripts.contains(&spent.script_pubkey)) else { return };
        let mut event = event("spend", spent, place);
        event.insert("spend_txid".into(), tx.compute_txid().to_string().into());
        event.insert("spend_vin".into(), vin.into());
        event.insert("prevout_txid".into(), input.previous_output.txid.to_string().into());
        event.insert("prevout_vout".into(), input.previous_output.vout.into());
        event.insert("prevout_spk".into(), self.script(spent));
        self.events.push(event.into());
    }

    fn add_receives(&mut self, tx: &Transaction, place: Place) {
        for (vout, output) in tx.output.iter().enumerate() {
            if self.scripts.contains(&output.script_pubkey) {
                let mut event = event("receive", output, place);
                event.insert("txid".into(), tx.compute_txid().to_string().into());
                event.insert("vout".into(), vout.into());
                event.insert("output_spk".into(), self.script(output));
                self.events.push(event.into());
            }
        }
    }

    fn script(&self, output: &TxOut) -> Value {
        Value::Object(script_to_json(&output.script_pubkey, self.context.network, true, true))
    }
}

fn event(kind: &str, output: &TxOut, place: Place) -> Map<String, Value> {
    let mut event = Map::new();
    event.insert("type".into(), kind.into());
    event.insert("amount".into(), amount_to_json(output.value.to_sat() as i64)); // within the money range
    if let Some((hash, height)) = place {
        event.insert("blockhash".into(), hash.to_string().into());
        event.insert("height".into(), height.into());
    }
    event
}
