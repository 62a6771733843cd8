//! settings.json: wallets that are loaded at start.

use super::code;
use crate::family::{Asked, Family};
use crate::startup::arguments::save_settings;
use bulkhead_config::RealFiles;

/// The only setting that a child may change.
const WALLET: &str = "wallet";

impl Family {
    /// Replaces the list and writes the file.
    pub(crate) fn update_setting(&mut self, asked: Asked, name: &str, values: Vec<String>) {
        let outcome = if name == WALLET {
            self.write_wallets(values).map(|()| String::new()).map_err(|text| (code::WALLET, text))
        } else {
            Err((code::MISC, "this setting can't be changed".into()))
        };
        self.answer(asked, outcome);
    }

    fn write_wallets(&mut self, values: Vec<String>) -> Result<(), String> {
        let options = &mut self.outfit.options;
        let path = options
            .args
            .settings_path(&RealFiles, options.chain)
            .ok_or("Wallet load on startup setting could not be updated, so wallet may not be loaded next node startup.")?;
        options.args.set_read_write_setting(WALLET, serde_json::Value::from(values));
        save_settings(&options.args, &path).map_err(|error| error.to_string())
    }
}
