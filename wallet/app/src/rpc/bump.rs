//! bumpfee and psbtbumpfee (Core: `wallet/feebumper.cpp`).

use bitcoin::script::Instruction;
use bitcoin::{Transaction, TxIn, TxOut, Txid};
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::params::{as_bool, as_int, check_object};
use bulkhead_rpc_util::psbt::Version;
use bulkhead_rpc_util::{ArgKind, RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::outputs::{normalize_outputs, object_or_empty, parse_outputs, set_fee_mode};
use super::send::{circumstances, commit, draft, sign};
use super::util::{amount, ensure_unlocked, persist, synced_wallet};
use crate::app::Loaded;
use crate::spend::build::{Circumstances, format_money as money, signed_weight};
use crate::spend::fees::{fee, minimum_rate, required_rate};
use crate::spend::{CoinControl, Recipient, Selected, psbt};
use crate::state::tx::{TxTexts, WalletTx};
use crate::state::{Wallet, flags};
use crate::wallets::chain_error;

/// What a replacement pays more at least, satoshi per 1000 vbytes.
const WALLET_INCREMENTAL_RELAY_FEE: i64 = 5000;

struct Wishes {
    control: CoinControl,
    outputs: Option<Vec<TxOut>>,
    original_change: Option<usize>,
    version: Version,
}

fn read_options(call: &Call) -> RpcResult<Wishes> {
    let mut control = CoinControl { rbf: Some(true), ..CoinControl::default() };
    let options = object_or_empty(call.params.get(1))?;
    use ArgKind::{Any, Bool, Num, Str};
    let known = [
        ("confTarget", Num),
        ("conf_target", Num),
        ("fee_rate", Any),
        ("replaceable", Bool),
        ("estimate_mode", Str),
        ("outputs", Any),
        ("original_change_index", Num),
        ("psbt_version", Num),
    ];
    check_object(&options, &known, true, true)?;
    if options.contains_key("confTarget") && options.contains_key("conf_target") {
        return Err(RpcError::parameter(
            "confTarget and conf_target options should not both be set. Use conf_target (confTarget is deprecated).",
        ));
    }
    let field = |name: &str| options.get(name).unwrap_or(&Value::Null);
    if !field("replaceable").is_null() {
        control.rbf = Some(as_bool(field("replaceable"))?);
    }
    let target = if options.contains_key("confTarget") { field("confTarget") } else { field("conf_target") };
    set_fee_mode(&mut control, target, field("estimate_mode"), field("fee_rate"), false)?;
    let mut outputs = None;
    if !field("outputs").is_null() {
        if field("outputs").as_array().is_some_and(Vec::is_empty) {
            return Err(RpcError::parameter("Invalid parameter, output argument cannot be an empty array"));
        }
        let parsed = parse_outputs(&call.app, &normalize_outputs(field("outputs"))?)?;
        let make = |(script_pubkey, value): (bitcoin::ScriptBuf, i64)| TxOut {
            value: bitcoin::Amount::from_sat(value as u64),
            script_pubkey,
        };
        outputs = Some(parsed.into_iter().map(make).collect());
    }
    let mut original_change = None;
    if !field("original_change_index").is_null() {
        let index: u32 = as_int(field("original_change_index"))?;
        original_change = Some(index as usize);
    }
    if outputs.is_some() && original_change.is_some() {
        return Err(RpcError::parameter(
            "The options 'outputs' and 'original_change_index' are incompatible. You can only either specify a new set of outputs, or designate a change output to be recycled.",
        ));
    }
    let version = options.get("psbt_version").map(as_int::<u32>).transpose()?;
    let version = Version::wished(version.map(i64::from))?;
    Ok(Wishes { control, outputs, original_change, version })
}

/// Whether a transaction can still be replaced.
fn check_replaceable(wallet: &Wallet, wtx: &WalletTx, in_mempool: Option<(u64, u64)>, require_mine: bool) -> RpcResult<()> {
    let outputs = 0..wtx.tx.output.len() as u32;
    if outputs.into_iter().any(|vout| wallet.is_spent(&bitcoin::OutPoint { txid: wtx.txid, vout })) {
        return Err(RpcError::parameter("Transaction has descendants in the wallet"));
    }
    if in_mempool.is_some_and(|(_, descendants)| descendants > 1) {
        return Err(RpcError::parameter("Transaction has descendants in the mempool"));
    }
    let refuse = |text: String| Err(RpcError::new(code::WALLET_ERROR, text));
    if wallet.depth(wtx) != 0 {
        return refuse("Transaction has been mined, or is conflicted with a mined transaction".into());
    }
    if let Some(other) = wtx.texts.replaced_by {
        return refuse(format!("Cannot bump transaction {} which was already bumped by transaction {other}", wtx.txid));
    }
    if require_mine && wtx.tx.input.iter().any(|input| wallet.my_output(&input.previous_output).is_none()) {
        return refuse("Transaction contains inputs that don't belong to this wallet".into());
    }
    Ok(())
}

/// Outputs that a transaction spends; chain must still have all of them.
async fn spent_outputs(call: &Call, tx: &Transaction) -> RpcResult<Vec<TxOut>> {
    let outpoints: Vec<_> = tx.input.iter().map(|input| input.previous_output).collect();
    let coins = call.app.chain.coins(&outpoints).await.map_err(|error| chain_error(&error))?;
    let known = outpoints.iter().zip(coins);
    known
        .map(|(outpoint, coin)| {
            let gone = || RpcError::misc(format!("{}:{} is already spent", outpoint.txid, outpoint.vout));
            coin.map(|coin| coin.output).ok_or_else(gone)
        })
        .collect()
}

fn check_fee(call: &Call, around: &Circumstances, rate: i64, vsize: i64, old_fee: i64, bump_fee: i64) -> RpcResult<()> {
    let wallet_error = |text: String| Err(RpcError::new(code::WALLET_ERROR, text));
    let fees = &around.fees;
    if rate < fees.mempool_min {
        return wallet_error(format!(
            "New fee rate ({}) is lower than the minimum fee rate ({}) to get into the mempool -- ",
            money(rate),
            money(fees.mempool_min)
        ));
    }
    let new_fee = fee(rate, vsize) + bump_fee;
    let increment = fee(fees.incremental, vsize);
    if new_fee < old_fee + increment {
        return Err(RpcError::parameter(format!(
            "Insufficient total fee {}, must be at least {} (oldFee {} + incrementalFee {})",
            money(new_fee),
            money(old_fee + increment),
            money(old_fee),
            money(increment)
        )));
    }
    let required = fee(required_rate(&call.app.build.fees, fees), vsize);
    if new_fee < required {
        return Err(RpcError::parameter(format!(
            "Insufficient total fee (cannot be less than required fee {})",
            money(required)
        )));
    }
    let max = call.app.build.fees.max_tx_fee;
    if new_fee > max {
        return wallet_error(format!(
            "Specified or calculated fee {} is too high (cannot be higher than -maxtxfee {})",
            money(new_fee),
            money(max)
        ));
    }
    Ok(())
}

/// Weight of a signed input of others: as it is, with each of its signatures as long as it can get.
fn foreign_weight(input: &TxIn) -> i64 {
    const LONGEST: usize = 72;
    let shorter = |bytes: &[u8]| match bitcoin::ecdsa::Signature::from_slice(bytes) {
        Ok(_) => LONGEST.saturating_sub(bytes.len()) as i64,
        Err(_) => 0,
    };
    let pushed = input.script_sig.instructions().flatten().filter_map(|instruction| match instruction {
        Instruction::PushBytes(push) => Some(push.as_bytes()),
        Instruction::Op(_) => None,
    });
    let in_script: i64 = pushed.map(shorter).sum();
    let in_witness: i64 = input.witness.iter().map(shorter).sum();
    input.segwit_weight().to_wu() as i64 + 4 * in_script + in_witness
}

struct Replacement {
    tx: Transaction,
    old_fee: i64,
    new_fee: i64,
}

async fn replace(call: &Call, loaded: &Loaded, txid: &Txid, wishes: Wishes, require_mine: bool) -> RpcResult<Replacement> {
    let wtx = loaded.wallet.borrow().txs.get(txid).cloned();
    let wtx = wtx.ok_or_else(|| RpcError::address_or_key("Invalid or non-wallet transaction id"))?;
    if wishes.original_change.is_some_and(|index| index >= wtx.tx.output.len()) {
        return Err(RpcError::parameter("Change position is out of range"));
    }
    let mut control = wishes.control;
    let spent = spent_outputs(call, &wtx.tx).await?;
    let in_mempool = call.app.chain.in_mempool(txid).await.map_err(|error| chain_error(&error))?;
    check_replaceable(&loaded.wallet.borrow(), &wtx, in_mempool, require_mine)?;
    let sum = |outputs: &[TxOut]| outputs.iter().map(|output| output.value.to_sat() as i64).sum::<i64>();
    let old_fee = sum(&spent) - sum(&wtx.tx.output);
    for (input, output) in wtx.tx.input.iter().zip(&spent) {
        let foreign = loaded.wallet.borrow().my_output(&input.previous_output).is_none();
        control.selected.push(Selected {
            outpoint: input.previous_output,
            external: foreign.then(|| output.clone()),
            weight: foreign.then(|| foreign_weight(input)),
            ..Selected::default()
        });
    }
    let outputs = wishes.outputs.clone().unwrap_or_else(|| wtx.tx.output.clone());
    let mut recipients = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let change = wishes.original_change.map_or_else(|| loaded.wallet.borrow().is_change(output), |chosen| chosen == index);
        if change {
            control.change_script = Some(output.script_pubkey.clone());
        } else {
            recipients.push(Recipient {
                script: output.script_pubkey.clone(),
                amount: output.value.to_sat() as i64,
                subtract_fee: false,
            });
        }
    }
    if recipients.is_empty() {
        let script = control
            .change_script
            .take()
            .ok_or_else(|| RpcError::parameter("Unable to create transaction. Transaction must have at least one recipient"))?;
        recipients.push(Recipient { script, amount: sum(&outputs), subtract_fee: true });
    }
    let around = circumstances(&call.app, loaded, &control).await?;
    if let Some(rate) = control.fee_rate {
        let mut trial = (*wtx.tx).clone();
        trial.output = outputs;
        let weight = signed_weight(&loaded.wallet.borrow(), &trial, &spent, &control);
        let weight =
            weight.ok_or_else(|| RpcError::new(code::WALLET_ERROR, "Missing solving data for estimating transaction size"))?;
        let outpoints: Vec<_> = trial.input.iter().map(|input| input.previous_output).collect();
        let bump_fee = around.pool.combined_bump_fee(&outpoints, &around.replaced, rate);
        check_fee(call, &around, rate, (weight + 3) / 4, old_fee, bump_fee)?;
    } else {
        let vsize = wtx.tx.vsize() as i64;
        let old_rate = old_fee * 1000 / vsize.max(1);
        let rate = old_rate + 1 + around.fees.incremental.max(WALLET_INCREMENTAL_RELAY_FEE);
        control.fee_rate = Some(rate.max(minimum_rate(&call.app.build.fees, &control, &around.fees).0));
    }
    control.min_depth = 1;
    let made = draft(call, loaded, &recipients, None, &control, code::WALLET_ERROR)
        .await
        .map_err(|error| RpcError::new(error.code, format!("Unable to create transaction. {}", error.message)))?;
    Ok(Replacement { tx: made.tx, old_fee, new_fee: made.fee })
}

pub(super) async fn bump(call: &Call, want_psbt: bool) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let keyless = {
        let wallet = loaded.wallet.borrow();
        !wallet.private_keys_enabled() && !wallet.has_flag(flags::EXTERNAL_SIGNER)
    };
    if keyless && !want_psbt {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "bumpfee is not available with wallets that have private keys disabled. Use psbtbumpfee instead.",
        ));
    }
    let txid = parse_txid(call.params.get(0), "txid")?;
    let wishes = read_options(call)?;
    ensure_unlocked(&loaded).await?;
    let version = wishes.version;
    let made = replace(call, &loaded, &txid, wishes, !want_psbt).await?;
    let mut out = Map::new();
    if want_psbt {
        let mut draft = psbt::unsigned(&made.tx, version).map_err(|error| RpcError::internal(error.to_string()))?;
        psbt::fill(&loaded.wallet.borrow(), &mut draft.psbt, true);
        out.insert("psbt".into(), super::psbt::encode(&draft));
    } else {
        let tx = sign(&loaded, &made.tx).await.map_err(|_| RpcError::new(code::WALLET_ERROR, "Can't sign transaction."))?;
        let new_txid = tx.compute_txid();
        let old = loaded.wallet.borrow().txs.get(&txid).map(|wtx| wtx.texts.clone()).unwrap_or_default();
        let texts = TxTexts { replaces: Some(txid), replaced_by: None, ..old };
        commit(&call.app, &loaded, tx, texts).await?;
        loaded.wallet.borrow_mut().mark_replaced(&txid, &new_txid);
        persist(&call.app, &loaded).await?;
        out.insert("txid".into(), json!(new_txid.to_string()));
    }
    out.insert("origfee".into(), amount(made.old_fee));
    out.insert("fee".into(), amount(made.new_fee));
    out.insert("errors".into(), json!([]));
    Ok(Value::Object(out))
}
