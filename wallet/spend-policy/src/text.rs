//! The text form of rules.

use crate::Rules;
use bitcoin::{Amount, ScriptBuf};
use bulkhead_planted::{Fault, planted};
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// Scripts on the list; more would be a list nobody reads.
const MAX_DESTINATIONS: usize = 10_000;

/// A text is not a set of rules.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RulesError {
    /// No such rule.
    #[error("line {0}: unknown rule")]
    Unknown(usize),
    /// The amount is not a number of satoshi up to 21 million coins.
    #[error("line {0}: amount is not a number of satoshi")]
    Amount(usize),
    /// The script is not hex.
    #[error("line {0}: script is not hex")]
    Script(usize),
    /// The same rule twice.
    #[error("line {0}: rule was already given")]
    Twice(usize),
    /// Too many scripts.
    #[error("more than {MAX_DESTINATIONS} destinations")]
    TooMany,
}

fn amount(text: &str, line: usize) -> Result<Amount, RulesError> {
    let satoshi: u64 = text.parse().map_err(|_| RulesError::Amount(line))?;
    let amount = Amount::from_sat(satoshi);
    if amount > Amount::MAX_MONEY { Err(RulesError::Amount(line)) } else { Ok(amount) }
}

impl FromStr for Rules {
    type Err = RulesError;

    fn from_str(text: &str) -> Result<Self, RulesError> {
        let mut rules = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once(' ').ok_or(RulesError::Unknown(number))?;
            let slot = match name {
                "fee-max" => &mut rules.fee_max,
                "velocity-day" => &mut rules.velocity_day,
                "destination-allowlist" => {
                    if rules.destination_allowlist.len() >= MAX_DESTINATIONS {
                        return Err(RulesError::TooMany);
                    }
                    rules.destination_allowlist.push(ScriptBuf::from_hex(value.trim()).map_err(|_| RulesError::Script(number))?);
                    continue;
                }
                _ => return Err(RulesError::Unknown(number)),
            };
            if slot.replace(amount(value.trim(), number)?).is_some() {
                return Err(RulesError::Twice(number));
            }
        }
        Ok(rules)
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(amount) = self.fee_max {
            writeln!(formatter, "fee-max {}", amount.to_sat())?;
        }
        if let Some(amount) = self.velocity_day {
            writeln!(formatter, "velocity-day {}", amount.to_sat())?;
        }
        let written = if planted(Fault::RuleLost) { 1 } else { self.destination_allowlist.len() };
        for script in self.destination_allowlist.iter().take(written) {
            writeln!(formatter, "destination-allowlist {script:x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn rules_round_trip_as_text() {
        let text = "fee-max 1000\nvelocity-day 50000\ndestination-allowlist 0014aa\ndestination-allowlist 51\n";
        let rules: Rules = text.parse().unwrap();
        assert_eq!(rules.to_string(), text);
        assert_eq!("".parse::<Rules>().unwrap(), Rules::default());
        assert_eq!("# nothing\n\n".parse::<Rules>().unwrap(), Rules::default());
    }

    #[test]
    fn what_is_no_rule_is_an_error() {
        for (text, error) in [
            ("fee-min 3", RulesError::Unknown(1)),
            ("fee-max", RulesError::Unknown(1)),
            ("fee-max -3", RulesError::Amount(1)),
            ("\nfee-max 2100000000000001", RulesError::Amount(2)),
            ("fee-max 1\nfee-max 1", RulesError::Twice(2)),
            ("destination-allowlist xyz", RulesError::Script(1)),
        ] {
            assert_eq!(text.parse::<Rules>(), Err(error), "{text}");
        }
    }
}
