//! How strictly confinement is demanded (`-sandbox`).

use std::{fmt, str::FromStr};

/// What to do about a layer that the kernel does not grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Refuse to start. The default.
    #[default]
    Strict,
    /// Start and report the missing layer.
    Degraded,
    /// Enforce nothing. For debugging; visible in every report.
    Off,
}

impl Mode {
    /// The word used by `-sandbox`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Degraded => "degraded",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is not strict, degraded or off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown sandbox mode '{0}', choose strict, degraded or off")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "strict" => Ok(Self::Strict),
            "degraded" => Ok(Self::Degraded),
            "off" => Ok(Self::Off),
            other => Err(UnknownMode(other.to_owned())),
        }
    }
}
