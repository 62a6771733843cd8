//! Addresses and secret keys as text, for every network.

use crate::bech32::{self, Variant};
use crate::solver::Destination;
use bitcoin::{Network, base58};
use serde_json::{Map, Value};

/// Prefixes of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// Version byte of public key hashes.
    pub pubkey: u8,
    /// Version byte of script hashes.
    pub script: u8,
    /// Version byte of secret keys.
    pub secret: u8,
    /// Human-readable part of segwit addresses.
    pub hrp: &'static str,
    /// Version of serialised extended public keys.
    pub xpub: [u8; 4],
    /// Version of serialised extended private keys.
    pub xprv: [u8; 4],
}

/// Prefixes of a network.
pub fn prefixes(network: Network) -> Prefixes {
    let test = |hrp| Prefixes {
        pubkey: 111,
        script: 196,
        secret: 239,
        hrp,
        xpub: [0x04, 0x35, 0x87, 0xcf],
        xprv: [0x04, 0x35, 0x83, 0x94],
    };
    match network {
        Network::Bitcoin => Prefixes {
            pubkey: 0,
            script: 5,
            secret: 128,
            hrp: "bc",
            xpub: [0x04, 0x88, 0xb2, 0x1e],
            xprv: [0x04, 0x88, 0xad, 0xe4],
        },
        Network::Regtest => test("bcrt"),
        _ => test("tb"),
    }
}

/// Network by the name used in configuration and in `getblockchaininfo`.
pub fn network_from_name(name: &str) -> Option<Network> {
    Some(match name {
        "main" => Network::Bitcoin,
        "test" => Network::Testnet,
        "testnet4" => Network::Testnet4,
        "signet" => Network::Signet,
        "regtest" => Network::Regtest,
        _ => return None,
    })
}

/// Inverse of [`network_from_name`].
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "main",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
        _ => "test",
    }
}

/// Why a text is not an address of this network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    /// Core's text (src/key_io.cpp).
    pub message: String,
    /// Positions of wrong characters, if they could be located.
    pub locations: Vec<usize>,
}

impl AddressError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), locations: Vec::new() }
    }
}

/// Address text of a destination.
pub fn encode_address(destination: &Destination, network: Network) -> String {
    let prefixes = prefixes(network);
    let versioned = |version: u8, hash: &[u8]| {
        let mut bytes = vec![version];
        bytes.extend_from_slice(hash);
        base58::encode_check(&bytes)
    };
    match destination {
        Destination::PubKeyHash(hash) => versioned(prefixes.pubkey, hash),
        Destination::ScriptHash(hash) => versioned(prefixes.script, hash),
        Destination::Witness(version, program) => {
            let variant = if *version == 0 { Variant::Bech32 } else { Variant::Bech32m };
            let mut values = vec![*version];
            values.extend(bech32::to_groups(program));
            bech32::encode(variant, prefixes.hrp, &values)
        }
    }
}

/// Parses an address of one network.
///
/// # Errors
/// The text and error positions that `validateaddress` reports.
pub fn decode_address(text: &str, network: Network) -> Result<Destination, AddressError> {
    let prefixes = prefixes(network);
    let starts_like_segwit =
        text.as_bytes().get(..prefixes.hrp.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefixes.hrp.as_bytes()));
    if starts_like_segwit { decode_segwit(text, &prefixes) } else { decode_base58(text, &prefixes) }
}

fn decode_base58(text: &str, prefixes: &Prefixes) -> Result<Destination, AddressError> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let invalid_length = "Invalid length for Base58 address (P2PKH or P2SH)";
    // 35 characters hold at most 25 bytes: a bound for the quadratic decoder.
    let checked = if text.len() > 50 { None } else { base58::decode_check(text).ok().filter(|data| data.len() <= 21) };
    let Some(data) = checked else {
        let is_base58 = text.len() <= 150 && base58::decode(text).is_ok_and(|data| data.len() <= 100);
        return Err(AddressError::new(if is_base58 {
            "Invalid checksum or length of Base58 address (P2PKH or P2SH)"
        } else {
            "Invalid or unsupported Segwit (Bech32) or Base58 encoding."
        }));
    };
    let Some((version, hash)) = data.split_first() else {
        return Err(AddressError::new("Invalid or unsupported Base58-encoded address."));
    };
    let known = *version == prefixes.pubkey || *version == prefixes.script;
    match <[u8; 20]>::try_from(hash) {
        Ok(hash) if *version == prefixes.pubkey => Ok(Destination::PubKeyHash(hash)),
        Ok(hash) if *version == prefixes.script => Ok(Destination::ScriptHash(hash)),
        Err(_) if known => Err(AddressError::new(invalid_length)),
        _ => Err(AddressError::new("Invalid or unsupported Base58-encoded address.")),
    }
}

fn decode_segwit(text: &str, prefixes: &Prefixes) -> Result<Destination, AddressError> {
    let Some((variant, hrp, values)) = bech32::decode(text) else {
        let (message, locations) = bech32::locate_errors(text);
        return Err(AddressError { message: message.into(), locations });
    };
    let Some((version, groups)) = values.split_first() else {
        return Err(AddressError::new("Empty Bech32 data section"));
    };
    if hrp != prefixes.hrp {
        return Err(AddressError::new(format!(
            "Invalid or unsupported prefix for Segwit (Bech32) address (expected {}, got {hrp}).",
            prefixes.hrp
        )));
    }
    if *version == 0 && variant != Variant::Bech32 {
        return Err(AddressError::new("Version 0 witness address must use Bech32 checksum"));
    }
    if *version != 0 && variant != Variant::Bech32m {
        return Err(AddressError::new("Version 1+ witness address must use Bech32m checksum"));
    }
    let program = bech32::from_groups(groups).ok_or_else(|| AddressError::new("Invalid padding in Bech32 data section"))?;
    let unit = if program.len() == 1 { "byte" } else { "bytes" };
    if *version == 0 && !matches!(program.len(), 20 | 32) {
        return Err(AddressError::new(format!("Invalid Bech32 v0 address program size ({} {unit}), per BIP141", program.len())));
    }
    if *version > 16 {
        return Err(AddressError::new("Invalid Bech32 address witness version"));
    }
    if !(2..=40).contains(&program.len()) {
        return Err(AddressError::new(format!("Invalid Bech32 address program size ({} {unit})", program.len())));
    }
    Ok(Destination::Witness(*version, program))
}

/// 32 secret bytes and whether the public key is compressed, from WIF text of this network.
pub fn decode_wif(text: &str, network: Network) -> Option<([u8; 32], bool)> {
    if text.len() > 60 {
        return None;
    }
    let data = base58::decode_check(text).ok()?;
    let (version, rest) = data.split_first()?;
    if *version != prefixes(network).secret {
        return None;
    }
    match (rest.len(), rest.last()) {
        (32, _) => Some((rest.try_into().ok()?, false)),
        (33, Some(1)) => Some((rest[..32].try_into().ok()?, true)),
        _ => None,
    }
}

/// What an address stands for, as `validateaddress` and `getaddressinfo` tell it.
pub fn describe_destination(destination: &Destination) -> Map<String, Value> {
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    match destination {
        Destination::PubKeyHash(_) => {
            add("isscript", false.into());
            add("iswitness", false.into());
        }
        Destination::ScriptHash(_) => {
            add("isscript", true.into());
            add("iswitness", false.into());
        }
        Destination::Witness(1, program) if program == &[0x4e, 0x73] => {
            add("isscript", true.into());
            add("iswitness", true.into());
        }
        Destination::Witness(version, program) => {
            match (version, program.len()) {
                (0, 20) => add("isscript", false.into()),
                (0, 32) | (1, 32) => add("isscript", true.into()),
                _ => {}
            }
            add("iswitness", true.into());
            add("witness_version", (*version).into());
            add("witness_program", hex::encode(program).into());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_kind_round_trips_on_every_network() {
        for network in [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest] {
            for destination in [
                Destination::PubKeyHash([7; 20]),
                Destination::ScriptHash([8; 20]),
                Destination::Witness(0, vec![1; 20]),
                Destination::Witness(0, vec![1; 32]),
                Destination::Witness(1, vec![1; 32]),
                Destination::Witness(1, vec![0x4e, 0x73]),
                Destination::Witness(16, vec![9; 40]),
            ] {
                let text = encode_address(&destination, network);
                assert_eq!(decode_address(&text, network), Ok(destination), "{text}");
            }
            assert_eq!(network_from_name(network_name(network)), Some(network));
        }
    }

    #[test]
    fn errors_have_the_known_texts_and_positions() {
        let too_long =
            "bcrt1q049edschfnwystcqnsvyfpj23mpsg3jcedq9xv049edschfnwystcqnsvyfpj23mpsg3jcedq9xv049edschfnwystcqnsvyfpj23m";
        for (text, message, locations) in [
            (too_long, "Bech32 string too long", (90..108).collect()),
            ("bcrt1qtmp74ayg7p24uslctssvjm06q5phz4yrxucgnv", "", vec![]),
            ("bcrt1q049edschfnwystcqnsvyfpj23mpsg3jcedq9xv", "Invalid Bech32 checksum", vec![9]),
            ("BCRT1QPLMTZKC2XHARPPZDLNPAQL78RSHJ68U32RAH7R", "Invalid Bech32 checksum", vec![38]),
            ("bcrt1qax9suht3qv95sw33xavx8crpxduefdrsvgsklu", "Invalid Bech32 checksum", vec![22, 43]),
            ("bcrt1qax9suht3qv95sw33wavx8crpxduefdrsvgsklx", "", vec![]),
            ("bcrt1ptmp74ayg7p24uslctssvjm06q5phz4yrxucgnv", "Invalid Bech32 checksum", vec![5]),
            ("bcrtq049ldschfnwystcqnsvyfpj23mpsg3jcedq9xv", "Missing separator", vec![]),
            ("bcrt1q04oldschfnwystcqnsvyfpj23mpsg3jcedq9xv", "Invalid Base 32 character", vec![8]),
            (
                "bcrt130xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqynjegk",
                "Invalid Bech32 address witness version",
                vec![],
            ),
            (
                "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kqqq5k3my",
                "Invalid Bech32 v0 address program size (21 bytes), per BIP141",
                vec![],
            ),
            ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7k35mrzd", "Version 0 witness address must use Bech32 checksum", vec![]),
            ("17VZNX1SN5NtKa8UQFxwQbFeFc3iqRYhem", "Invalid or unsupported Base58-encoded address.", vec![]),
            ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJJfn", "Invalid checksum or length of Base58 address (P2PKH or P2SH)", vec![]),
            ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "", vec![]),
            ("asfah14i8fajz0123f", "Invalid or unsupported Segwit (Bech32) or Base58 encoding.", vec![]),
        ] {
            match decode_address(text, Network::Regtest) {
                Ok(_) => assert_eq!(message, "", "{text}"),
                Err(error) => assert_eq!((error.message.as_str(), error.locations), (message, locations), "{text}"),
            }
        }
    }
}
