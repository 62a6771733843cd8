//! Address types (src/outputtype.h) and the number that stands for each in "active" records.

use bitcoin::Script;
use core::fmt;
use core::str::FromStr;

/// An address type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OutputType {
    /// Pay to public key hash, or to script hash around a plain script.
    Legacy = 0,
    /// Segwit inside pay to script hash.
    P2shSegwit = 1,
    /// Segwit version 0.
    Bech32 = 2,
    /// Taproot.
    Bech32m = 3,
}

impl OutputType {
    /// The types in the order in which Core sets up descriptors.
    pub const ALL: [Self; 4] = [Self::Legacy, Self::P2shSegwit, Self::Bech32, Self::Bech32m];

    /// The type with this number in `wallet.dat`.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Name in RPCs and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::P2shSegwit => "p2sh-segwit",
            Self::Bech32 => "bech32",
            Self::Bech32m => "bech32m",
        }
    }

    /// The type of an output script that has an address; `None` for pay to public key and non-standard scripts.
    /// A script hash counts as legacy: what is inside can't be seen.
    #[must_use]
    pub fn of_script(script: &Script) -> Option<Self> {
        if script.is_p2pkh() || script.is_p2sh() {
            Some(Self::Legacy)
        } else if script.is_p2wpkh() || script.is_p2wsh() {
            Some(Self::Bech32)
        } else if script.is_p2tr() || script.is_witness_program() {
            Some(Self::Bech32m)
        } else {
            None
        }
    }
}

impl fmt::Display for OutputType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text is no address type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown address type")]
pub struct UnknownOutputType;

impl FromStr for OutputType {
    type Err = UnknownOutputType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownOutputType)
    }
}
