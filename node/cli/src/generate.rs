//! -generate: getnewaddress, then generatetoaddress.

use serde_json::{Value, json};

use crate::CliError;

/// The words of generatetoaddress: number of blocks, address, tries.
///
/// # Errors
/// Too many words, or no blocks.
pub fn words(address: &str, mut words: Vec<String>) -> Result<Vec<String>, CliError> {
    if words.len() > 2 {
        return Err(CliError::other("too many arguments (maximum 2 for nblocks and maxtries)"));
    }
    match words.first().map(String::as_str) {
        None => words.push("1".into()),
        Some("0") => {
            return Err(CliError::other(
                "the first argument (number of blocks to generate, default: 1) must be an integer value greater than zero",
            ));
        }
        Some(_) => {}
    }
    words.insert(1, address.to_owned());
    Ok(words)
}

/// What is shown: address and blocks.
#[must_use]
pub fn shown(address: &str, blocks: &Value) -> Value {
    json!({"address": address, "blocks": blocks})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_address_goes_between_blocks_and_tries() {
        let given = |list: &[&str]| words("addr", list.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(given(&[]).unwrap(), ["1", "addr"]);
        assert_eq!(given(&["3", "9"]).unwrap(), ["3", "addr", "9"]);
        assert!(given(&["0"]).is_err() && given(&["1", "2", "3"]).is_err());
    }
}
