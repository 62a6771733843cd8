//! Files that somebody else may have written.

use bulkhead_config::{ArgsManager, options};

/// bitcoin.conf.
pub fn config_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let mut arguments = ArgsManager::new(options::NODE);
        let _ = arguments.read_config_text(text, "bitcoin.conf", true);
        let _ = arguments.chain_name();
        let _ = arguments.log_lines();
    }
}

/// settings.json: what parses is written and parsed to the same again.
pub fn settings_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(settings) = bulkhead_config::parse_settings("settings.json", text) {
            let written = bulkhead_config::write_settings(&settings);
            assert_eq!(bulkhead_config::parse_settings("settings.json", &written).expect("our own file"), settings);
        }
    }
}

/// A record of wallet.dat: one byte of key length, key, value.
pub fn wallet_record(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
    let _ = bulkhead_wallet_core::record::Record::decode(key, value);
    let _ = bulkhead_wallet_core::record::is_public(key);
}
