//! Checks of one transaction (Core: `consensus/tx_check.cpp`, `consensus/tx_verify.cpp`).

use std::collections::HashSet;

use bitcoin::{OutPoint, Transaction};
use bulkhead_planted::{Fault, planted};

use crate::amount::{MAX_MONEY, format_money, in_money_range};
use crate::{COINBASE_MATURITY, MAX_BLOCK_WEIGHT, Reject, RejectKind, WITNESS_SCALE_FACTOR};

/// Lock times below this are heights, others are seconds.
const LOCKTIME_THRESHOLD: u32 = 500_000_000;

/// An amount as the signed number that Core sees; amounts of 2^63 and more are negative.
pub fn signed_value(output: &bitcoin::TxOut) -> i64 {
    output.value.to_sat() as i64 // same bits, as in Core's CAmount
}

/// Checks that need nothing but the transaction.
pub fn check_transaction(tx: &Transaction) -> Result<(), Reject> {
    let refuse = |reason: &str| Err(Reject::consensus(reason, ""));
    if tx.input.is_empty() {
        return refuse("bad-txns-vin-empty");
    }
    if tx.output.is_empty() {
        return refuse("bad-txns-vout-empty");
    }
    if tx.base_size() * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT {
        return refuse("bad-txns-oversize");
    }
    let mut total = 0i64;
    for output in &tx.output {
        let value = signed_value(output);
        if value < 0 {
            return refuse("bad-txns-vout-negative");
        }
        if value > MAX_MONEY {
            return refuse("bad-txns-vout-toolarge");
        }
        total += value; // at most 2 * MAX_MONEY
        if !in_money_range(total) {
            return refuse("bad-txns-txouttotal-toolarge");
        }
    }
    if has_duplicate_inputs(tx) {
        return refuse("bad-txns-inputs-duplicate");
    }
    if tx.is_coinbase() {
        if !(2..=100).contains(&tx.input[0].script_sig.len()) {
            return refuse("bad-cb-length");
        }
    } else if tx.input.iter().any(|input| input.previous_output.is_null()) {
        return refuse("bad-txns-prevout-null");
    }
    Ok(())
}

fn has_duplicate_inputs(tx: &Transaction) -> bool {
    if planted(Fault::DuplicateInputs) {
        return false;
    }
    if tx.input.len() < 9 {
        // Comparing a few pairs is cheaper than hashing.
        return tx
            .input
            .iter()
            .enumerate()
            .any(|(at, one)| tx.input[..at].iter().any(|other| other.previous_output == one.previous_output));
    }
    let mut seen: HashSet<&OutPoint> = HashSet::with_capacity(tx.input.len());
    !tx.input.iter().all(|input| seen.insert(&input.previous_output))
}

/// Whether the lock time allows the transaction in a block at `height` whose lock-time clock shows `time` seconds.
pub fn is_final(tx: &Transaction, height: i32, time: i64) -> bool {
    let lock_time = tx.lock_time.to_consensus_u32();
    if lock_time == 0 {
        return true;
    }
    let now = if lock_time < LOCKTIME_THRESHOLD { i64::from(height) } else { time };
    i64::from(lock_time) < now || tx.input.iter().all(|input| input.sequence.to_consensus_u32() == u32::MAX)
}

/// What input checks need of the output that an input spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpentFacts {
    /// Amount in satoshi.
    pub value: i64,
    /// Height of the block that created it.
    pub height: i32,
    /// Whether it is an output of a coinbase.
    pub coinbase: bool,
}

/// Refusal for a transaction of which an input is missing or spent.
pub fn missing_inputs() -> Reject {
    Reject::new(RejectKind::MissingInputs, "bad-txns-inputs-missingorspent", "CheckTxInputs: inputs missing/spent")
}

/// Checks maturity and amounts of a transaction in a block at `spend_height`; gives its fee in satoshi. `spent` has one
/// entry per input, in order. Outputs must have passed [`check_transaction`].
pub fn check_inputs(tx: &Transaction, spent: impl IntoIterator<Item = SpentFacts>, spend_height: i32) -> Result<i64, Reject> {
    let mut value_in = 0i64;
    for coin in spent {
        let depth = spend_height - coin.height;
        if coin.coinbase && depth < COINBASE_MATURITY {
            return Err(Reject::new(
                RejectKind::PrematureSpend,
                "bad-txns-premature-spend-of-coinbase",
                format!("tried to spend coinbase at depth {depth}"),
            ));
        }
        value_in = value_in.saturating_add(coin.value);
        if !in_money_range(coin.value) || !in_money_range(value_in) {
            return Err(Reject::consensus("bad-txns-inputvalues-outofrange", ""));
        }
    }
    let value_out: i64 = tx.output.iter().map(signed_value).sum();
    if value_in < value_out {
        let debug = format!("value in ({}) < value out ({})", format_money(value_in), format_money(value_out));
        return Err(Reject::consensus("bad-txns-in-belowout", debug));
    }
    Ok(value_in - value_out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::absolute::LockTime;
    use bitcoin::{Amount, ScriptBuf, Sequence, TxIn, TxOut, Txid, Witness, hashes::Hash};

    fn spend(inputs: u32, value: u64) -> Transaction {
        let input = |vout| TxIn {
            previous_output: OutPoint { txid: Txid::from_byte_array([1; 32]), vout },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: (0..inputs).map(input).collect(),
            output: vec![TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::new() }],
        }
    }

    fn reason(tx: &Transaction) -> String {
        check_transaction(tx).unwrap_err().reason
    }

    #[test]
    fn each_defect_has_its_reason() {
        assert_eq!(check_transaction(&spend(2, 5)), Ok(()));
        assert_eq!(reason(&spend(0, 5)), "bad-txns-vin-empty");
        assert_eq!(reason(&Transaction { output: vec![], ..spend(1, 5) }), "bad-txns-vout-empty");
        assert_eq!(reason(&spend(1, u64::MAX)), "bad-txns-vout-negative");
        assert_eq!(reason(&spend(1, 21_000_001 * 100_000_000)), "bad-txns-vout-toolarge");
        let mut twice = spend(1, 2_000_000_000_000_000);
        twice.output.push(twice.output[0].clone());
        assert_eq!(reason(&twice), "bad-txns-txouttotal-toolarge");
        for count in [2, 20] {
            let mut duplicate = spend(count, 5);
            let first = duplicate.input[0].clone();
            duplicate.input.push(first);
            assert_eq!(reason(&duplicate), "bad-txns-inputs-duplicate");
        }
        let mut coinbase = spend(1, 5);
        coinbase.input[0].previous_output = OutPoint::null();
        assert_eq!(reason(&coinbase), "bad-cb-length");
        let mut null = spend(2, 5);
        null.input[0].previous_output = OutPoint::null();
        assert_eq!(reason(&null), "bad-txns-prevout-null");
    }

    #[test]
    fn a_coinbase_can_be_spent_after_a_hundred_blocks() {
        let coin = SpentFacts { value: 10, height: 1, coinbase: true };
        assert_eq!(check_inputs(&spend(1, 5), [coin], 101), Ok(5));
        let early = check_inputs(&spend(1, 5), [coin], 100).unwrap_err();
        assert_eq!(early.reason, "bad-txns-premature-spend-of-coinbase");
        assert_eq!(check_inputs(&spend(1, 11), [coin], 101).unwrap_err().debug, "value in (0.0000001) < value out (0.00000011)");
    }

    #[test]
    fn lock_times_compare_with_height_or_time() {
        let locked = |lock| {
            let mut tx = spend(1, 5);
            tx.lock_time = LockTime::from_consensus(lock);
            tx.input[0].sequence = Sequence::ZERO;
            tx
        };
        assert!(!is_final(&locked(10), 10, 0));
        assert!(is_final(&locked(10), 11, 0));
        assert!(!is_final(&locked(600_000_000), 11, 600_000_000));
        assert!(is_final(&locked(600_000_000), 11, 600_000_001));
    }
}
