//! `getblockstats`.

use std::collections::BTreeSet;

use bitcoin::{Block, TxOut};
use bulkhead_consensus::amount::block_subsidy;
use bulkhead_consensus::tx::signed_value;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, params};
use bulkhead_store::Coin;
use bulkhead_store::undo::BlockUndo;
use serde_json::{Map, Value, json};

use super::lookup::{block_by_hash_or_height, read_block, read_undo};
use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("getblockstats", getblockstats)];

/// Memory of an outpoint and of height with flag that Core adds to each output.
const PER_UTXO_OVERHEAD: i64 = 36 + 4;

fn getblockstats(context: &Context, params: &Params) -> RpcResult<Value> {
    let state = context.state();
    let id = block_by_hash_or_height(&state, params.get(0))?;
    let mut wanted = BTreeSet::new();
    for name in params.opt_array(1)?.into_iter().flatten() {
        wanted.insert(params::as_str(name)?.to_owned());
    }
    let block = read_block(&state, id)?;
    let undo = read_undo(&state, id)?;
    let node = state.node(id);
    let rules = context.chain.params();
    let unchanged = node.height == 0 || rules.is_bip30_exception(node.height, node.hash);
    let stats = Stats::of(&block, &undo, node.height == 0, unchanged);
    let all = stats.to_json(
        &block,
        node.hash.to_string(),
        node.height,
        state.index().median_time_past(id),
        block_subsidy(node.height, rules),
    );
    if wanted.is_empty() {
        return Ok(Value::Object(all));
    }
    let mut out = Map::new();
    for name in wanted {
        let value = all.get(&name).ok_or_else(|| RpcError::parameter(format!("Invalid selected statistic '{name}'")))?;
        out.insert(name, value.clone());
    }
    Ok(Value::Object(out))
}

#[derive(Default)]
struct Stats {
    inputs: i64,
    outputs: i64,
    total_out: i64,
    fees: Vec<i64>,
    sizes: Vec<i64>,
    /// Rate in satoshi per virtual byte, and weight.
    rates: Vec<(i64, i64)>,
    total_weight: i64,
    sw_count: i64,
    sw_size: i64,
    sw_weight: i64,
    utxos: i64,
    size_inc: i64,
    size_inc_actual: i64,
}

fn output_size(output: &TxOut) -> i64 {
    output.size() as i64 + PER_UTXO_OVERHEAD
}

impl Stats {
    /// `is_genesis`: no output counts; `repeats_coinbase`: the coinbase's outputs do not.
    fn of(block: &Block, undo: &BlockUndo, is_genesis: bool, repeats_coinbase: bool) -> Self {
        let mut stats = Stats::default();
        for (i, tx) in block.txdata.iter().enumerate() {
            stats.outputs += tx.output.len() as i64;
            for output in &tx.output {
                let size = output_size(output);
                stats.size_inc += size;
                let is_kept = !Coin::is_unspendable(output.script_pubkey.as_bytes());
                if is_kept && !is_genesis && !(repeats_coinbase && i == 0) {
                    stats.utxos += 1;
                    stats.size_inc_actual += size;
                }
            }
            if i == 0 {
                continue;
            }
            let (size, weight) = (tx.total_size() as i64, tx.weight().to_wu() as i64);
            let paid: i64 = tx.output.iter().map(signed_value).sum();
            stats.inputs += tx.input.len() as i64;
            stats.total_out += paid;
            stats.sizes.push(size);
            stats.total_weight += weight;
            if tx.input.iter().any(|input| !input.witness.is_empty()) {
                stats.sw_count += 1;
                stats.sw_size += size;
                stats.sw_weight += weight;
            }
            let coins = undo.transactions.get(i - 1).map_or(&[][..], Vec::as_slice);
            for coin in coins {
                stats.size_inc -= output_size(&coin.output);
                stats.size_inc_actual -= output_size(&coin.output);
            }
            let fee = coins.iter().map(|coin| signed_value(&coin.output)).sum::<i64>() - paid;
            stats.fees.push(fee);
            stats.rates.push((fee * 4 / weight.max(1), weight));
        }
        stats
    }

    /// Rates at 10, 25, 50, 75 and 90 percent of the weight.
    fn percentiles(&self) -> [i64; 5] {
        let mut rates = self.rates.clone();
        rates.sort_unstable();
        let total = self.total_weight as f64;
        let marks = [total / 10.0, total / 4.0, total / 2.0, total * 3.0 / 4.0, total * 9.0 / 10.0];
        let mut result = [rates.last().map_or(0, |(rate, _)| *rate); 5];
        let (mut next, mut sum) = (0, 0);
        for (rate, weight) in rates {
            sum += weight;
            while next < marks.len() && sum as f64 >= marks[next] {
                result[next] = rate;
                next += 1;
            }
        }
        result
    }

    fn to_json(&self, block: &Block, hash: String, height: i32, median_time: i64, subsidy: i64) -> Map<String, Value> {
        let count = self.fees.len() as i64;
        let total_fee: i64 = self.fees.iter().sum();
        let total_size: i64 = self.sizes.iter().sum();
        let average = |sum: i64| if count == 0 { 0 } else { sum / count };
        let rates: Vec<i64> = self.rates.iter().map(|(rate, _)| *rate).collect();
        let max = |values: &[i64]| values.iter().copied().max().unwrap_or(0).max(0);
        let min = |values: &[i64]| values.iter().copied().min().unwrap_or(0);
        let value = json!({
            "avgfee": average(total_fee),
            "avgfeerate": if self.total_weight == 0 { 0 } else { total_fee * 4 / self.total_weight },
            "avgtxsize": average(total_size),
            "blockhash": hash,
            "feerate_percentiles": self.percentiles(),
            "height": height,
            "ins": self.inputs,
            "maxfee": max(&self.fees),
            "maxfeerate": max(&rates),
            "maxtxsize": max(&self.sizes),
            "medianfee": truncated_median(&self.fees),
            "mediantime": median_time,
            "mediantxsize": truncated_median(&self.sizes),
            "minfee": min(&self.fees),
            "minfeerate": min(&rates),
            "mintxsize": min(&self.sizes),
            "outs": self.outputs,
            "subsidy": subsidy,
            "swtotal_size": self.sw_size,
            "swtotal_weight": self.sw_weight,
            "swtxs": self.sw_count,
            "time": block.header.time,
            "total_out": self.total_out,
            "total_size": total_size,
            "total_weight": self.total_weight,
            "totalfee": total_fee,
            "txs": block.txdata.len(),
            "utxo_increase": self.outputs - self.inputs,
            "utxo_size_inc": self.size_inc,
            "utxo_increase_actual": self.utxos - self.inputs,
            "utxo_size_inc_actual": self.size_inc_actual,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Middle value, or the truncated mean of the middle two.
fn truncated_median(values: &[i64]) -> i64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    match values.len() {
        0 => 0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_truncated() {
        assert_eq!(truncated_median(&[]), 0);
        assert_eq!(truncated_median(&[3, 1, 2]), 2);
        assert_eq!(truncated_median(&[4, 1]), 2);
    }

    #[test]
    fn percentiles_weigh_transactions() {
        let stats = Stats { rates: vec![(1, 10), (5, 80), (9, 10)], total_weight: 100, ..Stats::default() };
        assert_eq!(stats.percentiles(), [1, 5, 5, 5, 5]);
        assert_eq!(Stats::default().percentiles(), [0; 5]);
    }
}
