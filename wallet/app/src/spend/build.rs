//! Transactions without signatures (Core: `CreateTransaction` in `wallet/spend.cpp`).

use bitcoin::secp256k1::rand::{Rng, RngCore, seq::SliceRandom};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute, transaction};
use bulkhead_wallet_core::descriptor::Solution;
use std::collections::{BTreeSet, HashMap};

use super::coins::{self, CoinFilter, Costs};
use super::fees::{self, ChainFees, FeeOptions, FeeReason, fee};
use super::pool::PoolView;
use super::select::{self, Params, Selection};
use super::{CoinControl, MAX_STANDARD_TX_WEIGHT, Recipient, SpendError, knapsack, size};
use crate::state::{OutputType, Wallet};

const MAX_ANTI_FEE_SNIPING_TIP_AGE_SECONDS: i64 = 8 * 60 * 60;
/// Sequence of inputs that signal replacement (BIP125).
pub const MAX_BIP125_RBF_SEQUENCE: u32 = 0xffff_fffd;
const MAX_SEQUENCE_NONFINAL: u32 = 0xffff_fffe;

/// What the outside knows.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Fees.
    pub fees: ChainFees,
    /// Initial block download is going on.
    pub syncing: bool,
    /// Time of the tip, seconds.
    pub tip_time: i64,
    /// Now, seconds.
    pub now: i64,
    /// The mempool around our unconfirmed coins.
    pub pool: PoolView,
    /// Transactions that the new one replaces.
    pub replaced: BTreeSet<Txid>,
    /// `-limitancestorcount`.
    pub max_ancestors: u64,
    /// `-limitdescendantcount`.
    pub max_descendants: u64,
    /// `-limitclustercount`.
    pub max_cluster: usize,
    /// `-limitclustersize`, vbytes.
    pub max_cluster_size: i64,
}

/// Wallet options about building.
#[derive(Debug, Clone, Copy)]
pub struct BuildOptions {
    /// Fees.
    pub fees: FeeOptions,
    /// `-addresstype`.
    pub address_type: OutputType,
    /// `-changetype`, if set.
    pub change_type: Option<OutputType>,
    /// `-walletrejectlongchains`.
    pub reject_long_chains: bool,
    /// `-spendzeroconfchange`.
    pub zero_conf: bool,
}

/// A transaction that waits for signatures.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The transaction.
    pub tx: Transaction,
    /// Satoshi.
    pub fee: i64,
    /// Which output is change.
    pub change: Option<usize>,
    /// Why the rate is what it is.
    pub reason: FeeReason,
    /// Outputs that it spends, in order of inputs.
    pub spent: Vec<TxOut>,
}

/// Type of the change address (Core: TransactionChangeType).
pub fn change_type(wallet: &Wallet, options: &BuildOptions, wanted: Option<OutputType>, recipients: &[Recipient]) -> OutputType {
    if let Some(kind) = wanted.or(options.change_type) {
        return kind;
    }
    if options.address_type == OutputType::Legacy {
        return OutputType::Legacy;
    }
    let has = |kind: OutputType| wallet.active.contains_key(&(true, kind));
    let pays = |test: fn(&ScriptBuf) -> bool| recipients.iter().any(|recipient| test(&recipient.script));
    let candidates = [
        (pays(|script| script.is_p2tr()), OutputType::Bech32m),
        (pays(|script| script.is_p2wpkh()), OutputType::Bech32),
        (pays(|script| script.is_p2sh()), OutputType::P2shSegwit),
        (pays(|script| script.is_p2pkh()), OutputType::Legacy),
        (true, OutputType::Bech32m),
        (true, OutputType::Bech32),
    ];
    candidates.into_iter().find(|(pays, kind)| *pays && has(*kind)).map_or(options.address_type, |(_, kind)| kind)
}

/// Makes a transaction.
///
/// # Errors
/// Core's texts.
pub fn create(
    wallet: &mut Wallet,
    recipients: &[Recipient],
    change_position: Option<usize>,
    control: &CoinControl,
    options: &BuildOptions,
    around: &Circumstances,
    rng: &mut dyn RngCore,
) -> Result<Draft, SpendError> {
    if recipients.is_empty() {
        return Err(SpendError::text("Transaction must have at least one recipient"));
    }
    if recipients.iter().any(|recipient| recipient.amount < 0) {
        return Err(SpendError::text("Transaction amounts must not be negative"));
    }
    let first = create_once(wallet, recipients, change_position, control, options, around, rng)?;
    // Try again with all coins of an address together: better privacy, if it costs nothing or little.
    if first.fee > 0 && options.fees.max_aps_fee > -1 && !control.avoid_partial_spends {
        let together = CoinControl {
            avoid_partial_spends: true,
            // The same change address: the first attempt's is not used up by a second one.
            change_script: control
                .change_script
                .clone()
                .or_else(|| first.change.map(|position| first.tx.output[position].script_pubkey.clone())),
            ..control.clone()
        };
        if let Ok(second) = create_once(wallet, recipients, change_position, &together, options, around, rng) {
            let use_second = second.fee <= first.fee + options.fees.max_aps_fee;
            tracing::info!(
                "[{}] Fee non-grouped = {}, grouped = {}, using {}",
                wallet.display_name(),
                first.fee,
                second.fee,
                if use_second { "grouped" } else { "non-grouped" }
            );
            if use_second {
                return Ok(second);
            }
        }
    }
    Ok(first)
}

fn create_once(
    wallet: &mut Wallet,
    recipients: &[Recipient],
    mut change_position: Option<usize>,
    control: &CoinControl,
    options: &BuildOptions,
    around: &Circumstances,
    rng: &mut dyn RngCore,
) -> Result<Draft, SpendError> {
    let max_weight = select::check_max_weight(control.max_weight)?;
    let mut no_inputs_size = 10 + size::compact_size(recipients.len() as i64);
    let mut sum = 0i64;
    for recipient in recipients {
        let output = TxOut { value: Amount::from_sat(recipient.amount as u64), script_pubkey: recipient.script.clone() };
        if size::is_dust(&output, around.fees.dust) {
            return Err(SpendError::text("Transaction amount too small"));
        }
        no_inputs_size += size::output_size(&recipient.script);
        sum += recipient.amount;
    }
    let payers = recipients.iter().filter(|recipient| recipient.subtract_fee).count() as i64;

    let (change_script, mut reserved, change_error) = match &control.change_script {
        Some(script) => (script.clone(), None, None),
        None => {
            let kind = change_type(wallet, options, control.change_type, recipients);
            match wallet.reserve_script(kind, true) {
                Ok((script, id, index)) => (script, Some((id, index)), None),
                Err(error) => (
                    size::empty_script(),
                    None,
                    Some(format!("Transaction needs a change address, but we can't generate it. {error}")),
                ),
            }
        }
    };
    let result = (|| {
        let change_output_size = size::output_size(&change_script);
        let change_spend_size = wallet
            .solution(&change_script)
            .and_then(|solution| size::input_bytes(&solution, !wallet.private_keys_enabled()))
            .unwrap_or(size::DUMMY_NESTED_P2WPKH_INPUT_SIZE);
        let (rate, reason) = fees::minimum_rate(&options.fees, control, &around.fees);
        check_rate(rate, reason, control, options, around)?;
        let discard = fees::discard_rate(&options.fees, &around.fees);
        let change_fee = fee(rate, change_output_size);
        let spend_change_fee = fee(discard, change_spend_size);
        let params = Params {
            rate,
            long_term_rate: options.fees.consolidate,
            change_fee,
            cost_of_change: spend_change_fee + change_fee,
            change_target: knapsack::change_target(sum / recipients.len() as i64, change_fee, rng),
            min_viable_change: (spend_change_fee + 1).max(size::dust_threshold(&change_script, discard)),
            no_inputs_size,
            change_output_size,
            subtract_fee: payers > 0,
            together: control.avoid_partial_spends,
            include_unsafe: control.include_unsafe,
            zero_conf: options.zero_conf,
            reject_long_chains: options.reject_long_chains,
            max_ancestors: around.max_ancestors.max(1),
            max_cluster: around.max_descendants.max(1),
            max_weight,
            version: control.version,
            pool: &around.pool,
            replaced: &around.replaced,
        };
        let target = sum + if payers > 0 { 0 } else { fee(rate, no_inputs_size) };
        if target == 0 && control.selected.is_empty() {
            return Err(SpendError::text(
                "Transaction requires one destination of non-zero value, a non-zero feerate, or a pre-selected input",
            ));
        }
        let costs = Costs { rate, long_term_rate: params.long_term_rate, pool: &around.pool, replaced: &around.replaced };
        let preset = coins::selected(wallet, control, &costs)?;
        let mut others = if control.allow_other_inputs {
            // Coins that we cannot solve are chosen too: then the size cannot be told, which is the error to show.
            coins::available(wallet, control, &CoinFilter::default(), &costs)
        } else {
            Vec::new()
        };
        let selection = match select::select(&mut others, &preset, target, control.allow_other_inputs, &params, rng) {
            Err(SpendError::InsufficientFunds) => {
                let total: i64 = others.iter().chain(&preset).map(|coin| coin.value).sum();
                let effective: i64 = others.iter().chain(&preset).map(super::Coin::effective_value).sum();
                if total >= sum && effective < target && payers == 0 {
                    let money = format_money(target - sum);
                    return Err(SpendError::text(format!(
                        "The total exceeds your balance when the {money} transaction fee is included."
                    )));
                }
                return Err(SpendError::InsufficientFunds);
            }
            other => other?,
        };
        let change_amount = selection.change(&params);
        let mut outputs: Vec<TxOut> = recipients
            .iter()
            .map(|recipient| TxOut { value: Amount::from_sat(recipient.amount as u64), script_pubkey: recipient.script.clone() })
            .collect();
        if change_amount > 0 {
            let position = change_position.unwrap_or_else(|| rng.gen_range(0..=outputs.len()));
            if position > outputs.len() {
                return Err(SpendError::text("Transaction change output index out of range"));
            }
            outputs
                .insert(position, TxOut { value: Amount::from_sat(change_amount as u64), script_pubkey: change_script.clone() });
            change_position = Some(position);
        } else {
            change_position = None;
        }
        let (mut tx, spent) = assemble(wallet, &selection, outputs, control, options, around, rng);
        let weight = signed_weight(wallet, &tx, &spent, control)
            .ok_or_else(|| SpendError::text("Missing solving data for estimating transaction size"))?;
        let vbytes = (weight + 3) / 4;
        let needed = fee(rate, vbytes) + selection.bump_fees();
        let total_in = selection.value();
        let total_out = |tx: &Transaction| tx.output.iter().map(|output| output.value.to_sat() as i64).sum::<i64>();
        let mut current = total_in - total_out(&tx);
        if current < 0 {
            return Err(SpendError::text("Internal bug detected: Fee paid < 0"));
        }
        if let Some(position) = change_position
            && needed < current
        {
            let output = &mut tx.output[position];
            output.value = Amount::from_sat(output.value.to_sat() + (current - needed) as u64);
            current = needed;
        }
        if payers > 0 {
            subtract_fee(&mut tx, recipients, change_position, needed - current, payers, around.fees.dust)?;
            current = total_in - total_out(&tx);
        }
        if needed > current {
            return Err(SpendError::text("Internal bug detected: Fee needed > fee paid"));
        }
        if change_script.is_empty() && change_position.is_some() {
            return Err(SpendError::text(change_error.clone().unwrap_or_default()));
        }
        if weight > MAX_STANDARD_TX_WEIGHT {
            return Err(SpendError::text("Transaction too large"));
        }
        if current > options.fees.max_tx_fee {
            return Err(SpendError::text(SpendError::MAX_FEE));
        }
        if options.reject_long_chains {
            check_cluster(&tx, vbytes, around)?;
        }
        tracing::info!(
            "[{}] Coin Selection: Algorithm:{}, Waste Metric Score:{}",
            wallet.display_name(),
            selection.algorithm,
            selection.waste
        );
        tracing::info!(
            "[{}] Fee Calculation: Fee:{current} Bytes:{vbytes} Tgt:{} (requested {}) Reason:\"{}\"",
            wallet.display_name(),
            around.fees.returned_target,
            fees::estimate_question(&options.fees, control).0,
            reason.text()
        );
        Ok(Draft { tx, fee: current, change: change_position, reason, spent })
    })();
    // An address that did not get into the transaction goes back to the pool.
    match result {
        Ok(draft) if draft.change.is_some() => Ok(draft),
        Ok(draft) => {
            if let Some((id, index)) = reserved.take() {
                wallet.return_script(&id, index);
            }
            Ok(draft)
        }
        Err(error) => {
            if let Some((id, index)) = reserved.take() {
                wallet.return_script(&id, index);
            }
            Err(error)
        }
    }
}

/// An amount as Core's FormatMoney writes it: two to eight decimals.
pub fn format_money(satoshi: i64) -> String {
    let mut text = format!("{}.{:08}", satoshi / 100_000_000, (satoshi % 100_000_000).abs());
    let dot = text.find('.').unwrap_or(0);
    while text.len() > dot + 3 && text.ends_with('0') {
        text.pop();
    }
    text
}

/// Refuses a rate that is above what the user set, and a fallback that is off.
///
/// # Errors
/// Core's texts.
pub fn check_rate(
    rate: i64,
    reason: FeeReason,
    control: &CoinControl,
    options: &BuildOptions,
    around: &Circumstances,
) -> Result<(), SpendError> {
    if let Some(set) = control.fee_rate
        && rate > set
    {
        let mut text = format!(
            "Fee rate ({}) is lower than the minimum fee rate setting ({}).",
            fees::format_sat_vb(set),
            fees::format_sat_vb(rate)
        );
        if reason == FeeReason::Required {
            text.push_str(&format!(
                "\nConsider modifying -mintxfee ({}) or -minrelaytxfee ({}).",
                fees::format_sat_vb(options.fees.min_tx),
                fees::format_sat_vb(around.fees.relay_min)
            ));
        }
        return Err(SpendError::text(text));
    }
    if reason == FeeReason::Fallback && options.fees.fallback == 0 {
        return Err(SpendError::text(
            "Fee estimation failed. Fallbackfee is disabled. Wait a few blocks or enable -fallbackfee.",
        ));
    }
    Ok(())
}

fn assemble(
    wallet: &Wallet,
    selection: &Selection,
    output: Vec<TxOut>,
    control: &CoinControl,
    options: &BuildOptions,
    around: &Circumstances,
    rng: &mut dyn RngCore,
) -> (Transaction, Vec<TxOut>) {
    let mut chosen: Vec<&super::Coin> = selection.coins.iter().collect();
    chosen.shuffle(rng);
    let order: HashMap<OutPoint, usize> =
        control.selected.iter().enumerate().map(|(position, selected)| (selected.outpoint, position)).collect();
    chosen.sort_by_key(|coin| order.get(&coin.outpoint).copied().unwrap_or(usize::MAX));
    let default_sequence = if control.rbf.unwrap_or(options.fees.rbf) { MAX_BIP125_RBF_SEQUENCE } else { MAX_SEQUENCE_NONFINAL };
    let mut against_sniping = true;
    let mut input = Vec::with_capacity(chosen.len());
    let mut spent = Vec::with_capacity(chosen.len());
    for coin in chosen {
        let preset = order.get(&coin.outpoint).and_then(|position| control.selected[*position].sequence);
        against_sniping &= preset.is_none();
        input.push(TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence(preset.unwrap_or(default_sequence)),
            witness: Witness::new(),
        });
        spent.push(TxOut { value: Amount::from_sat(coin.value as u64), script_pubkey: coin.script.clone() });
    }
    let mut locktime = 0;
    if let Some(set) = control.locktime {
        locktime = set;
    } else if against_sniping {
        locktime = locktime_against_sniping(wallet.tip.height, around, rng);
    }
    let tx = Transaction {
        version: transaction::Version(control.version),
        lock_time: absolute::LockTime::from_consensus(locktime),
        input,
        output,
    };
    (tx, spent)
}

/// Whether the mempool would take the cluster that a new transaction makes (Core: `checkChainLimits`).
fn check_cluster(tx: &Transaction, vbytes: i64, around: &Circumstances) -> Result<(), SpendError> {
    let mut cluster = BTreeSet::new();
    for input in &tx.input {
        if !cluster.contains(&input.previous_output.txid) {
            cluster.extend(around.pool.cluster(&input.previous_output.txid));
        }
    }
    if cluster.len() + 1 > around.max_cluster || around.pool.sum(&cluster).vsize + vbytes > around.max_cluster_size {
        return Err(SpendError::text("too many unconfirmed transactions in cluster"));
    }
    Ok(())
}

/// Lock time that makes stealing the fees of a block by mining it again less worthwhile; 0 when the tip is old.
pub fn locktime_against_sniping(height: i32, around: &Circumstances, rng: &mut dyn RngCore) -> u32 {
    if around.syncing || around.tip_time < around.now - MAX_ANTI_FEE_SNIPING_TIP_AGE_SECONDS {
        return 0;
    }
    let locktime = height.max(0) as u32;
    // Now and then further back, so that delayed transactions have company.
    if rng.gen_range(0..10) == 0 { locktime.saturating_sub(rng.gen_range(0..100)) } else { locktime }
}

/// Weight of a transaction once it is signed; `None` when an input cannot be solved.
pub fn signed_weight(wallet: &Wallet, tx: &Transaction, spent: &[TxOut], control: &CoinControl) -> Option<i64> {
    let preset = |outpoint: &OutPoint| control.selected.iter().find(|selected| selected.outpoint == *outpoint);
    let (mut inputs, mut segwit) = (Vec::new(), false);
    for (input, output) in tx.input.iter().zip(spent) {
        let chosen = preset(&input.previous_output);
        let mine = wallet.solution(&output.script_pubkey);
        let external = mine.is_none() || !wallet.txs.contains_key(&input.previous_output.txid);
        let max_sig = external || !wallet.private_keys_enabled();
        let solution = mine.or_else(|| chosen.and_then(|chosen| chosen.solution.clone()));
        segwit |= solution.as_ref().map_or(output.script_pubkey.is_witness_program(), Solution::is_segwit);
        inputs.push((chosen.and_then(|chosen| chosen.weight), solution, max_sig));
    }
    let mut total = size::base_weight(&tx.output, tx.input.len(), segwit);
    for (weight, solution, max_sig) in inputs {
        total += match weight {
            Some(weight) => weight,
            None => size::input_weight(&solution?, max_sig, segwit)?,
        };
    }
    Some(total)
}

fn subtract_fee(
    tx: &mut Transaction,
    recipients: &[Recipient],
    change: Option<usize>,
    reduce: i64,
    payers: i64,
    dust: i64,
) -> Result<(), SpendError> {
    let mut index = 0;
    let mut first = true;
    for recipient in recipients {
        if change == Some(index) {
            index += 1;
        }
        if recipient.subtract_fee {
            let mut less = reduce / payers;
            if std::mem::take(&mut first) {
                less += reduce % payers;
            }
            let value = tx.output[index].value.to_sat() as i64 - less;
            if value < 0 {
                return Err(SpendError::text("The transaction amount is too small to pay the fee"));
            }
            tx.output[index].value = Amount::from_sat(value as u64);
            if size::is_dust(&tx.output[index], dust) {
                return Err(SpendError::text("The transaction amount is too small to send after the fee has been deducted"));
            }
        }
        index += 1;
    }
    Ok(())
}
