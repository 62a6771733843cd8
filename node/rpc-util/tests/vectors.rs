//! Core's own vectors for addresses and keys, which ship inside the crate `libbitcoinkernel-sys`: `base58_encode_decode.json`,
//! `key_io_valid.json`, `key_io_invalid.json`.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../tests/core_vectors.rs"]
mod core_vectors;

use bitcoin::base58;
use bulkhead_rpc_util::address::{decode_address, decode_wif, encode_address, network_from_name};
use core_vectors::core_vectors;
use serde_json::Value;

fn vectors(name: &str) -> Vec<Value> {
    core_vectors(name).as_array().unwrap().clone()
}

const NETWORKS: [&str; 5] = ["main", "test", "testnet4", "signet", "regtest"];

#[test]
fn base58_encodes_and_decodes_as_core_does() {
    let cases = vectors("base58_encode_decode.json");
    assert!(cases.len() >= 10);
    for case in cases {
        let (bytes, text) = (hex::decode(case[0].as_str().unwrap()).unwrap(), case[1].as_str().unwrap());
        assert_eq!(base58::encode(&bytes), text);
        assert_eq!(base58::decode(text).unwrap(), bytes);
    }
}

#[test]
fn addresses_and_keys_of_each_network_are_what_core_says() {
    let (mut addresses, mut keys) = (0, 0);
    for case in vectors("key_io_valid.json") {
        let (text, bytes) = (case[0].as_str().unwrap(), hex::decode(case[1].as_str().unwrap()).unwrap());
        let network = network_from_name(case[2]["chain"].as_str().unwrap()).unwrap();
        if case[2]["isPrivkey"].as_bool().unwrap() {
            let (secret, compressed) = decode_wif(text, network).unwrap();
            assert_eq!((secret.to_vec(), Some(compressed)), (bytes, case[2]["isCompressed"].as_bool()), "{case}");
            assert!(decode_address(text, network).is_err(), "{case}");
            keys += 1;
            continue;
        }
        let destination = decode_address(text, network).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(destination.script().to_bytes(), bytes, "{case}");
        assert_eq!(encode_address(&destination, network), text);
        assert!(decode_wif(text, network).is_none(), "{case}");
        let flipped: String = text.chars().map(flip_case).collect();
        match decode_address(&flipped, network) {
            Ok(same) => {
                assert!(case[2]["tryCaseFlip"].as_bool().unwrap_or(false), "{case}");
                assert_eq!(same.script().to_bytes(), bytes);
            }
            Err(_) => assert!(!case[2]["tryCaseFlip"].as_bool().unwrap_or(false), "{case}"),
        }
        addresses += 1;
    }
    assert!(addresses >= 40 && keys >= 10, "{addresses} {keys}");
}

fn flip_case(letter: char) -> char {
    if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
}

#[test]
fn what_core_calls_neither_address_nor_key_is_refused_on_every_network() {
    let cases = vectors("key_io_invalid.json");
    assert!(cases.len() >= 50);
    for case in cases {
        let text = case[0].as_str().unwrap();
        for name in NETWORKS {
            let network = network_from_name(name).unwrap();
            assert!(decode_address(text, network).is_err(), "{text} on {name}");
            assert!(decode_wif(text, network).is_none(), "{text} on {name}");
        }
    }
}
