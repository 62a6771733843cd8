//! Rules against a transaction that is to be signed.

use crate::{Rules, Tag};
use bitcoin::{Amount, ScriptBuf};
use thiserror::Error;

/// Seconds in the window of the velocity rule.
const DAY: i64 = 24 * 60 * 60;

/// A transaction as the key store derived it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// Value of the inputs that this wallet can sign.
    pub own_inputs: Amount,
    /// Value of all inputs; `None` when the amount of one is unknown.
    pub all_inputs: Option<Amount>,
    /// Outputs.
    pub outputs: Vec<Output>,
    /// Every signature commits to all outputs.
    pub commits_to_outputs: bool,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where to.
    pub script: ScriptBuf,
    /// How much.
    pub amount: Amount,
    /// The script belongs to this wallet: it was found in its descriptors, not taken from anybody's word.
    pub own: bool,
}

/// What left the wallet before: time in seconds and amount, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<(i64, Amount)>);

impl History {
    /// The sum of the last 24 hours.
    #[must_use]
    pub fn last_day(&self, now: i64) -> Amount {
        self.0
            .iter()
            .filter(|(time, _)| *time > now - DAY)
            .fold(Amount::ZERO, |sum, (_, amount)| sum.checked_add(*amount).unwrap_or(Amount::MAX))
    }

    /// Adds an outflow and drops what is older than 24 hours.
    pub fn add(&mut self, now: i64, amount: Amount) {
        self.0.retain(|(time, _)| *time > now - DAY);
        self.0.push((now, amount));
    }
}

/// A rule that would be broken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Violation {
    /// Which.
    pub tag: Tag,
    /// For the user.
    pub text: String,
}

fn violation(tag: Tag, text: String) -> Violation {
    Violation { tag, text: format!("{text} ({})", tag.as_str()) }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(Amount::MAX))
}

impl Spend {
    /// Inputs minus outputs; `None` when an input is unknown.
    ///
    /// # Errors
    /// The outputs are worth more than the inputs.
    pub fn fee(&self) -> Result<Option<Amount>, Violation> {
        let outputs = sum(self.outputs.iter().map(|output| output.amount));
        match self.all_inputs {
            None => Ok(None),
            Some(inputs) => inputs
                .checked_sub(outputs)
                .map(Some)
                .ok_or_else(|| violation(Tag::FeeRange, format!("outputs of {outputs} exceed inputs of {inputs}"))),
        }
    }

    /// What the wallet loses: own inputs minus own outputs.
    #[must_use]
    pub fn outflow(&self) -> Amount {
        let back = sum(self.outputs.iter().filter(|output| output.own).map(|output| output.amount));
        self.own_inputs.checked_sub(back).unwrap_or(Amount::ZERO)
    }
}

impl Rules {
    /// Checks a transaction. The key store adds its outflow to the history after it has signed.
    ///
    /// # Errors
    /// The first rule that would be broken.
    pub fn check(&self, spend: &Spend, history: &History, now: i64) -> Result<(), Violation> {
        if !spend.commits_to_outputs && !self.is_default() {
            return Err(violation(Tag::Sighash, "the signature would not commit to all outputs".into()));
        }
        // A transaction that others complete may still lack inputs or outputs: nothing to compare then.
        if spend.commits_to_outputs {
            self.check_fee(spend)?;
        }
        if !self.destination_allowlist.is_empty() {
            for output in spend.outputs.iter().filter(|output| !output.own && !output.script.is_op_return()) {
                if !self.destination_allowlist.contains(&output.script) {
                    return Err(violation(
                        Tag::DestinationAllowlist,
                        format!("output script {:x} is not on the list", output.script),
                    ));
                }
            }
        }
        if let Some(most) = self.velocity_day {
            let before = history.last_day(now);
            let total = before.checked_add(spend.outflow()).unwrap_or(Amount::MAX);
            if total > most {
                let outflow = spend.outflow();
                return Err(violation(
                    Tag::VelocityDay,
                    format!("{outflow} after {before} within 24 hours, the limit is {most}"),
                ));
            }
        }
        Ok(())
    }

    fn check_fee(&self, spend: &Spend) -> Result<(), Violation> {
        // Without a rule of the owner a draft that others complete is signed, as in Core.
        let Some(most) = self.fee_max else { return Ok(()) };
        let Some(fee) = spend.fee()? else {
            return Err(violation(Tag::FeeRange, "the amount of an input is unknown".into()));
        };
        // In a transaction of many, most of the fee may be what others pay.
        let paid = fee.min(spend.outflow());
        if paid > most { Err(violation(Tag::FeeRange, format!("fee of {paid} exceeds {most}"))) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn script(byte: u8) -> ScriptBuf {
        ScriptBuf::from(vec![byte])
    }

    fn spend(inputs: u64, foreign: u64, change: u64) -> Spend {
        Spend {
            own_inputs: Amount::from_sat(inputs),
            all_inputs: Some(Amount::from_sat(inputs)),
            outputs: vec![
                Output { script: script(1), amount: Amount::from_sat(foreign), own: false },
                Output { script: script(2), amount: Amount::from_sat(change), own: true },
            ],
            commits_to_outputs: true,
        }
    }

    fn tag(rules: &Rules, spend: &Spend, history: &History) -> Option<&'static str> {
        rules.check(spend, history, 1_000_000).err().map(|violation| violation.tag.as_str())
    }

    #[test]
    fn without_a_rule_everything_is_signed_that_core_signs() {
        let rules = Rules::default();
        let none = History::default();
        assert_eq!(tag(&rules, &spend(5_000_000_000, 50_000_000, 50_000_000), &none), None);
        let mut unknown = spend(600_000_001, 50_000_000, 50_000_000);
        unknown.all_inputs = None;
        assert_eq!(tag(&rules, &unknown, &none), None);
        unknown.commits_to_outputs = false;
        assert_eq!(tag(&rules, &unknown, &none), None);
        assert_eq!(tag(&rules, &spend(1, 2, 0), &none), None, "others may add inputs");
    }

    #[test]
    fn only_what_the_wallet_itself_can_pay_counts_as_its_fee() {
        let none = History::default();
        // Others bring 700 million and leave nearly all of it to the miner; this wallet gets back what it put in, less 1000.
        let mut joint = spend(50_000, 10_000, 49_000);
        joint.all_inputs = Some(Amount::from_sat(700_050_000));
        assert_eq!(tag(&Rules::default(), &joint, &none), None);
        let rules = Rules { fee_max: Some(Amount::from_sat(999)), ..Rules::default() };
        assert_eq!(tag(&rules, &joint, &none), Some("policy-fee-range"));
    }

    #[test]
    fn fee_maximum_holds_and_needs_every_amount() {
        let rules = Rules { fee_max: Some(Amount::from_sat(1000)), ..Rules::default() };
        let none = History::default();
        assert_eq!(tag(&rules, &spend(10_000, 5_000, 4_000), &none), None);
        assert_eq!(tag(&rules, &spend(10_000, 5_000, 3_999), &none), Some("policy-fee-range"));
        let mut unknown = spend(10_000, 5_000, 4_000);
        unknown.all_inputs = None;
        assert_eq!(tag(&rules, &unknown, &none), Some("policy-fee-range"));
        assert_eq!(tag(&rules, &spend(1, 2, 0), &none), Some("policy-fee-range"));
        let mut loose = spend(10_000, 5_000, 4_000);
        loose.commits_to_outputs = false;
        assert_eq!(tag(&rules, &loose, &none), Some("policy-sighash"));
    }

    #[test]
    fn only_listed_destinations_are_paid_and_change_is_free() {
        let rules = Rules { destination_allowlist: vec![script(1)], ..Rules::default() };
        let none = History::default();
        assert_eq!(tag(&rules, &spend(10_000, 5_000, 4_000), &none), None);
        let mut other = spend(10_000, 5_000, 4_000);
        other.outputs[0].script = script(3);
        assert_eq!(tag(&rules, &other, &none), Some("policy-destination-allowlist"));
        let mut lie = spend(10_000, 5_000, 4_000);
        lie.outputs[1].own = false;
        assert_eq!(tag(&rules, &lie, &none), Some("policy-destination-allowlist"));
    }

    #[test]
    fn velocity_counts_a_day_and_forgets() {
        let rules = Rules { velocity_day: Some(Amount::from_sat(10_000)), ..Rules::default() };
        let mut history = History::default();
        history.add(1_000_000 - DAY, Amount::from_sat(9_000));
        assert_eq!(tag(&rules, &spend(10_000, 5_000, 4_000), &history), None);
        history.add(1_000_000 - 10, Amount::from_sat(4_000));
        assert_eq!(tag(&rules, &spend(10_000, 5_000, 4_000), &history), None);
        history.add(1_000_000 - 5, Amount::from_sat(1));
        assert_eq!(tag(&rules, &spend(10_000, 5_000, 4_000), &history), Some("policy-velocity-day"));
        assert_eq!(history.last_day(1_000_000 + DAY), Amount::ZERO);
    }
}
