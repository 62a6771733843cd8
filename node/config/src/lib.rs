//! Options: command line, bitcoin.conf with sections and includeconf, settings.json, chain selection, help.
//!
//! The semantics, error texts and precedence are those of Bitcoin Core's `ArgsManager` (`common/args.cpp`,
//! `common/config.cpp`, `common/settings.cpp`). Files are read through [`Files`], which
//! only [`RealFiles`] takes from the disk.

mod args;
mod chain;
mod conf;
mod error;
mod help;
mod numbers;
pub mod options;
mod paths;
mod real_files;
mod settings;
mod settings_file;
#[cfg(test)]
mod tests;
pub mod version;
mod wallet_path;

pub use args::{ArgsManager, Message, SectionInfo, Severity};
pub use chain::Chain;
pub use conf::{ConfError, Files};
pub use error::ArgsError;
pub use help::{format_paragraph, help_option};
pub use numbers::{atoi, format_money, interpret_bool, parse_money};
pub use options::{Category, Flags, Opt};
pub use paths::{absolute, join, normal};
pub use real_files::RealFiles;
pub use settings::{SettingsValue, setting_to_string};
pub use settings_file::{SettingsFileError, parse_settings, write_settings};
pub use wallet_path::{Found, WALLET_FILE, WalletFormat, WalletPathError, WalletPlace, is_berkeley_db, wallet_place};

/// Name of the default configuration file.
pub const CONF_FILENAME: &str = "bitcoin.conf";
/// Name of the default file of settings that are changed at run time.
pub const SETTINGS_FILENAME: &str = "settings.json";
