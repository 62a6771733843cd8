//! Spending rules: what a key store checks before it signs, whatever the wallet logic says.
//!
//! The rules are set by the owner and kept with the keys. Each refusal carries a tag that stays the same for good:
//! see [`Tag`]. Without a rule of the owner everything is signed that Core's wallet signs: limits on drafts (`-maxtxfee`) are the
//! wallet logic's, and a limit here that a compromised wallet logic could meet by paying itself would protect nothing.
//!
//! Text form, one rule per line: `fee-max SATOSHI`, `velocity-day SATOSHI`, `destination-allowlist SCRIPT_HEX`
//! (once per script). There is no "warn only": a rule that can be ignored protects nothing.

mod check;
mod text;

pub use check::{History, Output, Spend, Violation};
pub use text::RulesError;

use bitcoin::{Amount, ScriptBuf};

/// What a rule is called in errors and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The fee is above the maximum, negative, or unknown although a maximum was set.
    FeeRange,
    /// More than allowed would leave the wallet within 24 hours.
    VelocityDay,
    /// An output pays to a script that is not on the list.
    DestinationAllowlist,
    /// The signature would not commit to all outputs, so no rule about outputs could hold.
    Sighash,
}

impl Tag {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FeeRange => "policy-fee-range",
            Self::VelocityDay => "policy-velocity-day",
            Self::DestinationAllowlist => "policy-destination-allowlist",
            Self::Sighash => "policy-sighash",
        }
    }
}

/// The owner's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Highest fee that the wallet pays in one transaction. Only what this wallet can be paying of the fee counts (never
    /// more than it loses), so that a transaction of many parties is signed.
    pub fee_max: Option<Amount>,
    /// The most that may leave the wallet within 24 hours, fees included.
    pub velocity_day: Option<Amount>,
    /// The only foreign scripts that may be paid; empty: all.
    pub destination_allowlist: Vec<ScriptBuf>,
}

impl Rules {
    /// Whether the owner set any rule.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
