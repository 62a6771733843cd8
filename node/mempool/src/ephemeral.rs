//! Ephemeral dust: an output below the dust limit is taken in a transaction without fee whose child spends it
//! (Core: src/policy/ephemeral_policy.cpp).

use crate::feerate::FeeRate;
use crate::pool::Mempool;
use crate::reject::{Kind, Reject};
use crate::standard::dust_outputs;
use bitcoin::{OutPoint, Transaction, Wtxid};
use std::collections::HashSet;

/// Dust is only bearable in a transaction that nobody is paid to mine alone.
///
/// # Errors
/// "dust".
pub fn check_ephemeral(tx: &Transaction, dust: FeeRate, fee: i64, modified_fee: i64) -> Result<(), Reject> {
    if (fee != 0 || modified_fee != 0) && !dust_outputs(tx, dust).is_empty() {
        return Err(Reject::with_debug(Kind::NotStandard, "dust", "tx with dust output must be 0-fee"));
    }
    Ok(())
}

impl Mempool {
    /// Each of these, parents first, must spend all dust of its parents, here or among them.
    ///
    /// # Errors
    /// "missing-ephemeral-spends", with the witness id of the transaction that does not.
    pub fn check_ephemeral_spends(&self, package: &[&Transaction]) -> Result<(), (Wtxid, Reject)> {
        for tx in package {
            let spent: HashSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
            let parents: HashSet<_> = spent.iter().map(|outpoint| outpoint.txid).collect();
            for txid in parents {
                let among = package.iter().copied().find(|other| other.compute_txid() == txid);
                let Some(parent) = among.or_else(|| self.get(&txid).map(|entry| &*entry.new.tx)) else { continue };
                let dust = dust_outputs(parent, self.options.dust);
                if dust.into_iter().any(|vout| !spent.contains(&OutPoint { txid, vout: vout as u32 })) {
                    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
                    let debug = format!("tx {txid} (wtxid={wtxid}) did not spend parent's ephemeral dust");
                    return Err((wtxid, Reject::with_debug(Kind::MempoolPolicy, "missing-ephemeral-spends", debug)));
                }
            }
        }
        Ok(())
    }
}
