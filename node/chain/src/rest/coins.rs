//! Unspent outputs (BIP64), and what a block spent.

use bitcoin::consensus::encode::{Decodable, VarInt, serialize};
use bitcoin::{OutPoint, TxOut};
use bulkhead_rpc_util::amount_to_json;
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::txjson::script_to_json;
use bulkhead_store::Coin;
use serde_json::{Value, json};

use super::{BAD_REQUEST, FAILURE, Format, NOT_FOUND, Outcome, Refusal, Request, bad, hash_of, number, reply};
use crate::mempool_accept::{PackageCoins, find_coin};
use crate::rpc::Context;

const MAX_OUTPOINTS: usize = 15;

fn parse_error() -> Refusal {
    (BAD_REQUEST, "Parse error".into())
}

/// `txid-number`.
fn outpoint_of(text: &str) -> Result<OutPoint, Refusal> {
    let (txid, vout) = text.split_once('-').ok_or_else(parse_error)?;
    let txid = parse_txid(&json!(txid), "txid").map_err(|_| parse_error())?;
    Ok(OutPoint { txid, vout: number(vout).ok_or_else(parse_error)? })
}

/// Outpoints from the body: whether the mempool counts, a list.
fn from_body(mut rest: &[u8]) -> Result<(bool, Vec<OutPoint>), Refusal> {
    fn read<T: Decodable>(rest: &mut &[u8]) -> Result<T, Refusal> {
        T::consensus_decode_from_finite_reader(rest).map_err(|_| parse_error())
    }
    let check_mempool: u8 = read(&mut rest)?;
    let count: VarInt = read(&mut rest)?;
    // Each takes 36 bytes, so a list that is there is no longer than the body.
    let outpoints = (0..count.0).map(|_| read(&mut rest)).collect::<Result<Vec<OutPoint>, _>>()?;
    Ok((check_mempool != 0, outpoints))
}

/// Which outputs are asked for, and whether the mempool counts.
fn question(request: &Request<'_>) -> Result<(bool, Vec<OutPoint>), Refusal> {
    let mut parts: Vec<&str> = request.path.strip_prefix('/').map_or_else(Vec::new, |path| path.split('/').collect());
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() && request.body.is_empty() {
        return bad("Error: empty request");
    }
    let check_mempool = parts.first() == Some(&"checkmempool");
    let named = parts.iter().skip(usize::from(check_mempool)).map(|part| outpoint_of(part)).collect::<Result<Vec<_>, _>>()?;
    if !parts.is_empty() && named.is_empty() {
        return bad("Error: empty request");
    }
    let body = match request.format {
        Some(Format::Hex) => hex::decode(request.body).unwrap_or_default(),
        Some(Format::Binary) => request.body.to_vec(),
        Some(Format::Json) if named.is_empty() => return bad("Error: empty request"),
        _ => Vec::new(),
    };
    if body.is_empty() {
        return Ok((check_mempool, named));
    }
    if !named.is_empty() {
        return bad("Combination of URI scheme inputs and raw post data is not allowed");
    }
    from_body(&body)
}

fn output_json(context: &Context, output: &TxOut) -> (Value, Value) {
    let script = script_to_json(&output.script_pubkey, context.network, true, true);
    (amount_to_json(output.value.to_sat() as i64), Value::Object(script)) // signed as in Core
}

pub(super) fn unspent(context: &Context, request: &Request<'_>) -> Outcome {
    let (check_mempool, outpoints) = question(request)?;
    if request.format.is_none() {
        return super::no_format(".bin, .hex, .json");
    }
    if outpoints.len() > MAX_OUTPOINTS {
        let tried = outpoints.len();
        return bad(format!("Error: max outpoints exceeded (max: {MAX_OUTPOINTS}, tried: {tried})"));
    }
    let (height, tip, found) = {
        let state = context.state();
        let pool = context.pool.lock();
        let none = PackageCoins::default();
        let find = |outpoint: &OutPoint| match check_mempool {
            true if pool.spender(outpoint).is_some() => Ok(None),
            true => find_coin(&state, &pool, &none, outpoint),
            false => state.coin(outpoint),
        };
        let found: Result<Vec<Option<Coin>>, _> = outpoints.iter().map(find).collect();
        let tip = state.tip().map(|tip| tip.hash).ok_or_else(|| (FAILURE, "no tip".to_owned()))?;
        (state.height(), tip, found.map_err(|error| (FAILURE, error.to_string()))?)
    };
    let mut bitmap = vec![0_u8; found.len().div_ceil(8)];
    for (at, _) in found.iter().enumerate().filter(|(_, coin)| coin.is_some()) {
        bitmap[at / 8] |= 1 << (at % 8);
    }
    let coins: Vec<&Coin> = found.iter().flatten().collect();
    let bytes = || {
        let mut bytes = [serialize(&height), serialize(&tip), serialize(&bitmap), serialize(&VarInt::from(coins.len()))].concat();
        for coin in &coins {
            // The version of the transaction is no longer kept.
            bytes.extend([serialize(&0_u32), serialize(&coin.height), serialize(&coin.output)].concat());
        }
        Ok(bytes)
    };
    let json = || {
        let utxos: Vec<Value> = coins
            .iter()
            .map(|coin| {
                let (value, script) = output_json(context, &coin.output);
                json!({"height": coin.height, "value": value, "scriptPubKey": script})
            })
            .collect();
        let bits: String = found.iter().map(|coin| if coin.is_some() { '1' } else { '0' }).collect();
        Ok(json!({"chainHeight": height, "chaintipHash": tip.to_string(), "bitmap": bits, "utxos": utxos}))
    };
    reply(request.format, bytes, json)
}

pub(super) fn spent(context: &Context, request: &Request<'_>) -> Outcome {
    if request.path.contains('/') {
        return bad("Invalid URI format. Expected /rest/spenttxouts/<hash>.<ext>");
    }
    let (text, hash) = (request.path, hash_of(request.path)?);
    let undo = {
        let state = context.state();
        let id = state.lookup(&hash).ok_or_else(|| (NOT_FOUND, format!("{text} not found")))?;
        crate::rpc::read_undo(&state, id).map_err(|_| (NOT_FOUND, format!("{text} undo not available")))?
    };
    let bytes = || {
        let mut bytes = serialize(&VarInt::from(undo.transactions.len() + 1));
        bytes.push(0); // the coinbase spends nothing
        for coins in &undo.transactions {
            bytes.extend(serialize(&VarInt::from(coins.len())));
            for coin in coins {
                bytes.extend(serialize(&coin.output));
            }
        }
        Ok(bytes)
    };
    let json = || {
        let one = |coin: &Coin| {
            let (value, script) = output_json(context, &coin.output);
            json!({"value": value, "scriptPubKey": script})
        };
        let transactions = undo.transactions.iter().map(|coins| coins.iter().map(one).collect::<Value>());
        Ok(std::iter::once(json!([])).chain(transactions).collect())
    };
    reply(request.format, bytes, json)
}
