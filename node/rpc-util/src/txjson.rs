//! JSON of scripts, transactions and headers, field by field in Core's order.

use crate::address::encode_address;
use crate::amount::{amount_to_json, double_to_json};
use crate::asm::script_asm;
use crate::codec::{encode_tx, is_coinbase, tx_to_hex};
use crate::descriptor::infer_descriptor;
use crate::solver::solve;
use bitcoin::{BlockHash, Network, Script, Transaction, TxOut, block};
use serde_json::{Map, Value, json};

/// A coin that an input spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prevout {
    /// The spent output.
    pub output: TxOut,
    /// Height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
}

/// JSON of a script; `with_hex` adds the bytes, `with_address` the descriptor and the address.
pub fn script_to_json(script: &Script, network: Network, with_hex: bool, with_address: bool) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("asm".into(), script_asm(script.as_bytes(), false).into());
    if with_address {
        out.insert("desc".into(), infer_descriptor(script, network).into());
    }
    if with_hex {
        out.insert("hex".into(), hex::encode(script).into());
    }
    let kind = solve(script.as_bytes());
    if with_address && let Some(destination) = kind.destination() {
        out.insert("address".into(), encode_address(&destination, network).into());
    }
    out.insert("type".into(), kind.name().into());
    out
}

/// What [`tx_to_json`] adds to the bare transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct TxContext<'a> {
    /// Block that holds it.
    pub block_hash: Option<BlockHash>,
    /// Append the transaction's bytes.
    pub include_hex: bool,
    /// Spent coins, one for each input; gives the fee.
    pub prevouts: Option<&'a [Prevout]>,
    /// Show each spent coin.
    pub show_prevouts: bool,
}

/// JSON of a transaction.
pub fn tx_to_json(tx: &Transaction, network: Network, context: TxContext<'_>) -> Map<String, Value> {
    let (base, total) = (encode_tx(tx, false).len(), encode_tx(tx, true).len());
    let weight = base * 3 + total;
    let mut out = Map::new();
    out.insert("txid".into(), tx.compute_txid().to_string().into());
    // The `bitcoin` crate would put the marker of segwit into a transaction without inputs.
    let hash = if tx.input.is_empty() { tx.compute_txid().to_raw_hash() } else { tx.compute_wtxid().to_raw_hash() };
    out.insert("hash".into(), hash.to_string().into());
    // The field is unsigned on the wire.
    out.insert("version".into(), (tx.version.0 as u32).into());
    out.insert("size".into(), total.into());
    out.insert("vsize".into(), weight.div_ceil(4).into());
    out.insert("weight".into(), weight.into());
    out.insert("locktime".into(), tx.lock_time.to_consensus_u32().into());

    // Undo data of another length cannot belong to this transaction.
    let prevouts = context.prevouts.filter(|prevouts| prevouts.len() == tx.input.len() && !is_coinbase(tx));
    let vin = tx.input.iter().enumerate().map(|(i, txin)| {
        let mut input = Map::new();
        if is_coinbase(tx) {
            input.insert("coinbase".into(), hex::encode(&txin.script_sig).into());
        } else {
            input.insert("txid".into(), txin.previous_output.txid.to_string().into());
            input.insert("vout".into(), txin.previous_output.vout.into());
            let asm = script_asm(txin.script_sig.as_bytes(), true);
            input.insert("scriptSig".into(), json!({"asm": asm, "hex": hex::encode(&txin.script_sig)}));
        }
        if !txin.witness.is_empty() {
            input.insert("txinwitness".into(), txin.witness.iter().map(hex::encode).collect());
        }
        if context.show_prevouts
            && let Some(prevout) = prevouts.and_then(|prevouts| prevouts.get(i))
        {
            let script = script_to_json(&prevout.output.script_pubkey, network, true, true);
            input.insert(
                "prevout".into(),
                json!({
                    "generated": prevout.coinbase,
                    "height": prevout.height,
                    "value": amount_to_json(prevout.output.value.to_sat() as i64),
                    "scriptPubKey": script,
                }),
            );
        }
        input.insert("sequence".into(), txin.sequence.0.into());
        Value::Object(input)
    });
    out.insert("vin".into(), vin.collect());

    let vout = tx.output.iter().enumerate().map(|(n, txout)| {
        json!({
            "value": amount_to_json(txout.value.to_sat() as i64),
            "n": n,
            "scriptPubKey": script_to_json(&txout.script_pubkey, network, true, true),
        })
    });
    out.insert("vout".into(), vout.collect());

    if let Some(prevouts) = prevouts {
        let sum_in: u64 = prevouts.iter().map(|prevout| prevout.output.value.to_sat()).sum();
        let sum_out: u64 = tx.output.iter().map(|txout| txout.value.to_sat()).sum();
        out.insert("fee".into(), amount_to_json(sum_in as i64 - sum_out as i64));
    }
    if let Some(hash) = context.block_hash {
        out.insert("blockhash".into(), hash.to_string().into());
    }
    if context.include_hex {
        out.insert("hex".into(), tx_to_hex(tx).into());
    }
    out
}

/// What the index knows about a block, for [`header_to_json`].
#[derive(Debug, Clone)]
pub struct HeaderContext {
    /// Blocks from it to the tip with both counted, -1 off the main chain.
    pub confirmations: i64,
    /// Height.
    pub height: u32,
    /// Median time of the block and its ten ancestors.
    pub median_time: u32,
    /// Work up to and with it, as 64 hex digits.
    pub chainwork: String,
    /// Transactions, 0 if the block is not stored.
    pub n_tx: u32,
    /// Successor on the main chain.
    pub next: Option<BlockHash>,
    /// Proof-of-work limit of the network, compact.
    pub pow_limit_bits: u32,
}

/// Hex of the 256-bit target behind compact bits, 64 digits.
pub fn target_hex(bits: u32) -> String {
    let target = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(bits));
    format!("{target:x}")
}

/// Difficulty relative to the easiest mainnet target.
pub fn difficulty(bits: u32) -> f64 {
    let mut shift = bits >> 24 & 0xff;
    let mut difficulty = f64::from(0x0000_ffffu32) / f64::from(bits & 0x00ff_ffff);
    while shift < 29 {
        difficulty *= 256.0;
        shift += 1;
    }
    while shift > 29 {
        difficulty /= 256.0;
        shift -= 1;
    }
    difficulty
}

/// JSON of a block header.
pub fn header_to_json(header: &block::Header, context: &HeaderContext) -> Map<String, Value> {
    let mut out = Map::new();
    let bits = header.bits.to_consensus();
    out.insert("hash".into(), header.block_hash().to_string().into());
    out.insert("confirmations".into(), context.confirmations.into());
    out.insert("height".into(), context.height.into());
    out.insert("version".into(), header.version.to_consensus().into());
    out.insert("versionHex".into(), format!("{:08x}", header.version.to_consensus()).into());
    out.insert("merkleroot".into(), header.merkle_root.to_string().into());
    out.insert("time".into(), header.time.into());
    out.insert("mediantime".into(), context.median_time.into());
    out.insert("nonce".into(), header.nonce.into());
    out.insert("bits".into(), format!("{bits:08x}").into());
    out.insert("target".into(), target_hex(bits).into());
    out.insert("difficulty".into(), double_to_json(difficulty(bits)));
    out.insert("chainwork".into(), context.chainwork.clone().into());
    out.insert("nTx".into(), context.n_tx.into());
    if context.height > 0 {
        out.insert("previousblockhash".into(), header.prev_blockhash.to_string().into());
    }
    if let Some(next) = context.next {
        out.insert("nextblockhash".into(), next.to_string().into());
    }
    out
}
