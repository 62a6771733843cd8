//! sendtoaddress, sendmany, and what every spending method shares: circumstances, signing, commitment.

use bitcoin::secp256k1::rand::{seq::SliceRandom, thread_rng};
use bitcoin::{OutPoint, Psbt, Transaction};
use bulkhead_control::clock;
use bulkhead_keystore_edge::{Reply, Request, Signed};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::psbt::{Version, is_final};
use bulkhead_rpc_util::{RpcError, RpcResult};
use miniscript::psbt::PsbtExt;
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Call;
use super::outputs::{MAX_CONFIRM_TARGET, parse_outputs, recipients, set_fee_mode, subtract_positions};
use super::util::{avoid_reuse, ensure_unlocked, persist, synced_wallet};
use crate::app::{App, Loaded};
use crate::spend::build::{Circumstances, Draft, create};
use crate::spend::fees::{ChainFees, estimate_question};
use crate::spend::{CoinControl, Recipient, SpendError, psbt};
use crate::state::flags;
use crate::state::sync::When;
use crate::state::tx::{TxState, TxTexts};
use crate::wallets::{self, chain_error, keystore_error};

/// What chain says about fees, tip and our unconfirmed transactions.
pub(super) async fn circumstances(app: &App, loaded: &Loaded, control: &CoinControl) -> RpcResult<Circumstances> {
    let state = app.chain.state().await.map_err(|error| chain_error(&error))?;
    let (target, conservative) = estimate_question(&app.build.fees, control);
    let (estimate, returned_target) = app.chain.estimate_fee(target, conservative).await.map_err(|error| chain_error(&error))?;
    let (longest_estimate, _) = app.chain.estimate_fee(MAX_CONFIRM_TARGET, false).await.map_err(|error| chain_error(&error))?;
    let wanted: BTreeSet<bitcoin::Txid> = {
        let wallet = loaded.wallet.borrow();
        let in_mempool = |coin: &&OutPoint| wallet.txs.get(&coin.txid).is_some_and(crate::state::tx::WalletTx::in_mempool);
        let ours = wallet.coins.iter().filter(in_mempool).map(|coin| coin.txid);
        ours.chain(control.selected.iter().map(|selected| selected.outpoint.txid)).collect()
    };
    let pool = app.chain.clusters(&Vec::from_iter(wanted)).await.map_err(|error| chain_error(&error))?;
    // Who spends a chosen coin already would be replaced.
    let replaced = {
        let wallet = loaded.wallet.borrow();
        let spenders = control.selected.iter().flat_map(|selected| wallet.spenders(&selected.outpoint));
        spenders.filter(|txid| pool.contains(txid)).collect()
    };
    Ok(Circumstances {
        fees: ChainFees {
            estimate,
            returned_target,
            longest_estimate,
            // Chain answers the relay minimum while the mempool has room; for us that is no minimum of the mempool.
            mempool_min: if state.mempool_min > state.relay_min { state.mempool_min } else { 0 },
            relay_min: state.relay_min,
            incremental: state.incremental,
            dust: state.dust,
        },
        syncing: state.tip.syncing,
        tip_time: state.tip.time,
        now: clock::now(),
        pool,
        replaced,
        max_ancestors: u64::try_from(app.config.limitancestorcount).unwrap_or(25),
        max_descendants: u64::try_from(app.config.limitdescendantcount).unwrap_or(25),
        max_cluster: usize::try_from(app.config.limitclustercount).unwrap_or(64),
        max_cluster_size: app.config.limitclustersize,
    })
}

/// Drafts a transaction; errors get the RPC code `code`.
pub(super) async fn draft(
    call: &Call,
    loaded: &Loaded,
    recipients: &[Recipient],
    change_position: Option<usize>,
    control: &CoinControl,
    code: i32,
) -> RpcResult<Draft> {
    let mut control = control.clone();
    control.avoid_partial_spends |= call.app.config.avoidpartialspends;
    let around = circumstances(&call.app, loaded, &control).await?;
    let draft = create(
        &mut loaded.wallet.borrow_mut(),
        recipients,
        change_position,
        &control,
        &call.app.build,
        &around,
        &mut thread_rng(),
    );
    draft.map_err(|error: SpendError| RpcError::new(code, error.to_string()))
}

/// Has the key store sign a PSBT.
pub(super) async fn sign_psbt(
    loaded: &Loaded,
    psbt: &Psbt,
    sighash: u32,
    finalize: bool,
    bip32: bool,
) -> RpcResult<(Psbt, Signed)> {
    let request =
        Request::SignTransaction { psbt: psbt.serialize(), sighash, finalize, bip32_derivations: bip32, update_only: false };
    let signed = signed(loaded, request).await?;
    let answer = Psbt::deserialize(&signed.psbt).map_err(|error| RpcError::internal(format!("key store: {error}")))?;
    if answer.unsigned_tx != psbt.unsigned_tx {
        return Err(RpcError::internal("key store: signed another transaction"));
    }
    Ok((answer, signed))
}

/// Sends a request that is answered with a signed transaction.
pub(super) async fn signed(loaded: &Loaded, request: Request) -> RpcResult<Signed> {
    let name = request.name();
    match loaded.keys.call(request).await.map_err(|error| keystore_error(&error))? {
        Reply::Signed(signed) => Ok(signed),
        _ => Err(RpcError::internal(format!("key store: unexpected reply to {name}"))),
    }
}

/// Signs all inputs of a transaction.
pub(super) async fn sign(loaded: &Loaded, tx: &Transaction) -> RpcResult<Transaction> {
    let failed = || RpcError::new(code::WALLET_INSUFFICIENT_FUNDS, "Signing transaction failed");
    let mut draft = psbt::unsigned(tx, Version::Zero).map_err(|error| RpcError::internal(error.to_string()))?.psbt;
    psbt::fill(&loaded.wallet.borrow(), &mut draft, true);
    let (signed, status) = sign_psbt(loaded, &draft, 0, true, true).await?;
    if !status.complete {
        return Err(failed());
    }
    extract(&signed).ok_or_else(failed)
}

/// The transaction of a PSBT whose inputs are all final.
pub(super) fn extract(psbt: &Psbt) -> Option<Transaction> {
    let mut tx = psbt.unsigned_tx.clone();
    for (input, final_input) in tx.input.iter_mut().zip(&psbt.inputs) {
        if !is_final(final_input) {
            return None;
        }
        input.script_sig = final_input.final_script_sig.clone().unwrap_or_default();
        input.witness = final_input.final_script_witness.clone().unwrap_or_default();
    }
    Some(tx)
}

/// Builds final scripts from the signatures that are there. Answers whether all inputs are final.
pub(super) fn finalize(psbt: &mut Psbt) -> bool {
    let secp = bitcoin::secp256k1::Secp256k1::verification_only();
    let mut complete = true;
    for index in 0..psbt.inputs.len() {
        if !is_final(&psbt.inputs[index]) {
            // Parts of others may complete a signature of several.
            bulkhead_musig2::aggregate_input(psbt, index);
            let done = psbt.finalize_inp_mut(&secp, index).is_ok();
            if done {
                bulkhead_musig2::forget(&mut psbt.inputs[index].unknown);
            }
            complete &= done;
        }
    }
    complete
}

/// Adds a signed transaction to the wallet and hands it to the mempool (Core: CommitTransaction).
pub(super) async fn commit(app: &App, loaded: &Loaded, tx: Transaction, texts: TxTexts) -> RpcResult<()> {
    let tx = Arc::new(tx);
    let txid = tx.compute_txid();
    {
        let mut wallet = loaded.wallet.borrow_mut();
        wallet.add_to_wallet(&tx, TxState::Inactive { abandoned: false }, When::now(clock::now()));
        wallet.set_texts(&txid, texts);
    }
    persist(app, loaded).await?;
    if !app.config.walletbroadcast {
        return Ok(());
    }
    if let Err(reason) = wallets::submit(app, loaded, &txid, true).await {
        let name = loaded.wallet.borrow().display_name();
        tracing::info!("[{name}] CommitTransaction(): Transaction cannot be broadcast immediately, {reason}");
    }
    persist(app, loaded).await
}

async fn send_money(
    call: &Call,
    loaded: &Loaded,
    control: &CoinControl,
    mut recipients: Vec<Recipient>,
    texts: TxTexts,
    verbose: bool,
) -> RpcResult {
    ensure_unlocked(loaded).await?;
    let external = loaded.wallet.borrow().has_flag(flags::EXTERNAL_SIGNER);
    if external {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "Error: sendtoaddress and sendmany are not supported for wallets with external signers; use send instead",
        ));
    }
    if !loaded.wallet.borrow().private_keys_enabled() {
        return Err(RpcError::new(code::WALLET_ERROR, "Error: Private keys are disabled for this wallet"));
    }
    recipients.shuffle(&mut thread_rng());
    let draft = draft(call, loaded, &recipients, None, control, code::WALLET_INSUFFICIENT_FUNDS).await?;
    let tx = sign(loaded, &draft.tx).await?;
    let txid = tx.compute_txid();
    commit(&call.app, loaded, tx, texts).await?;
    if verbose {
        return Ok(json!({"txid": txid.to_string(), "fee_reason": draft.reason.text()}));
    }
    Ok(json!(txid.to_string()))
}

fn text(value: Option<&str>) -> Option<String> {
    value.filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) async fn to_address(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    let texts = TxTexts { comment: text(params.opt_str(2)?), to: text(params.opt_str(3)?), ..TxTexts::default() };
    let mut control = CoinControl { rbf: params.opt_bool(5)?, ..CoinControl::default() };
    control.avoid_address_reuse = avoid_reuse(&loaded.wallet.borrow(), params.get(8))?;
    control.avoid_partial_spends |= control.avoid_address_reuse;
    set_fee_mode(&mut control, params.get(6), params.get(7), params.get(9), false)?;
    ensure_unlocked(&loaded).await?;
    let mut outputs = Map::new();
    outputs.insert(params.str(0)?.to_owned(), params.get(1).clone());
    let subtract = params.opt_bool(4)?.unwrap_or(false).then_some(0).into_iter().collect();
    let recipients = recipients(parse_outputs(&call.app, &outputs)?, &subtract);
    let verbose = params.opt_bool(10)?.unwrap_or(false);
    send_money(call, &loaded, &control, recipients, texts, verbose).await
}

pub(super) async fn many(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    if params.opt_str(0)?.is_some_and(|dummy| !dummy.is_empty()) {
        return Err(RpcError::parameter("Dummy value must be set to \"\""));
    }
    let outputs = params.object(1)?;
    let texts = TxTexts { comment: text(params.opt_str(3)?), ..TxTexts::default() };
    let mut control = CoinControl { rbf: params.opt_bool(5)?, ..CoinControl::default() };
    set_fee_mode(&mut control, params.get(6), params.get(7), params.get(8), false)?;
    let parsed = parse_outputs(&call.app, outputs)?;
    let names: Vec<String> = outputs.keys().cloned().collect();
    let recipients = recipients(parsed, &subtract_positions(params.get(4), &names)?);
    let verbose = params.opt_bool(9)?.unwrap_or(false);
    send_money(call, &loaded, &control, recipients, texts, verbose).await
}

/// Whether the wallet can sign at all.
pub(super) fn can_sign(loaded: &Loaded) -> bool {
    !loaded.wallet.borrow().has_flag(flags::DISABLE_PRIVATE_KEYS)
}

/// Whether the wallet can sign without being unlocked first.
pub(super) async fn can_sign_now(loaded: &Loaded) -> RpcResult<bool> {
    if !can_sign(loaded) {
        return Ok(false);
    }
    let status = loaded.refresh_status().await.map_err(|error| keystore_error(&error))?;
    Ok(!(status.encrypted && status.locked))
}
