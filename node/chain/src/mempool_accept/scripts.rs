//! Script checks of transactions on their way into the mempool.

use bitcoin::{Transaction, TxOut};
use bulkhead_mempool::{Kind, Reject, standard};
use bulkhead_script::{Engine, Flags, Hashes, ScriptCache, TxData, VerifyError, interpret, verify_transaction};

/// Scripts under the rules of policy, by the interpreter, which names the error; then under today's consensus rules, by the
/// kernel, so that no block is built from what only the interpreter takes (Core: `PolicyScriptChecks`,
/// `ConsensusScriptChecks`).
pub(super) fn check_scripts(cache: &ScriptCache, tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    let hashes = Hashes::default();
    let data = TxData::new(tx, spent, &hashes);
    for input in 0..tx.input.len() {
        interpret(&data, input, Flags::STANDARD).map_err(|error| {
            let stripped = tx.input.iter().all(|input| input.witness.is_empty()) && standard::spends_witness_program(tx, spent);
            let kind = if stripped { Kind::WitnessStripped } else { Kind::NotStandard };
            Reject::with_debug(kind, format!("mempool-script-verify-flag-failed ({error})"), describe_input(tx, input))
        })?;
    }
    verify_transaction(tx, spent, Flags::CONSENSUS, Engine::Kernel).map_err(|error| match error {
        VerifyError::Script { input, error } => {
            let reason = format!("block-script-verify-flag-failed ({error})");
            tracing::error!(
                "BUG! PLEASE REPORT THIS! CheckInputScripts failed against latest-block but not STANDARD flags {}",
                tx.compute_txid()
            );
            Reject::with_debug(Kind::Consensus, reason, describe_input(tx, input))
        }
        other => Reject::with_debug(Kind::Consensus, "block-script-verify-flag-failed (unknown error)", other.to_string()),
    })?;
    // A block of today that holds the transaction need not run its scripts again.
    cache.insert(tx.compute_wtxid(), Flags::CONSENSUS);
    Ok(())
}

/// Core's words for an input whose script failed.
fn describe_input(tx: &Transaction, input: usize) -> String {
    let outpoint = tx.input.get(input).map(|txin| txin.previous_output).unwrap_or_default();
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    format!("input {input} of {txid} (wtxid {wtxid}), spending {}:{}", outpoint.txid, outpoint.vout)
}
