//! Texts that users give to methods and options.

use bitcoin::{Amount, Network, ScriptBuf, TxOut, psbt};
use bulkhead_rpc_util as util;

/// Where a process of ours includes a private module into its binary, it is compiled here too.
#[path = "../../../node/notify/src/template.rs"]
#[allow(dead_code, reason = "its tests are the other user")]
mod template;

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// The bytes of a PSBT of either version; what decodes encodes to one that decodes to the same, and to the same bytes again.
pub fn psbt(data: &[u8]) {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(data);
    if let Ok(psbt) = util::psbt::decode(&encoded) {
        let written = util::psbt::encode(&psbt);
        let again = util::psbt::decode(&written).expect("our own encoding decodes");
        assert_eq!(again.psbt.unsigned_tx, psbt.psbt.unsigned_tx);
        assert_eq!(again.version_2, psbt.version_2);
        assert_eq!(again.psbt.inputs.len(), psbt.psbt.inputs.len());
        assert_eq!(util::psbt::encode(&again), written);
        assert_eq!(again.ensure_transaction().is_ok(), again.lock_time().is_some());
        let mut combined = again.clone();
        assert_eq!(combined.combine(psbt), again.lock_time().is_some());
    }
}

/// A descriptor as the node reads it: what parses prints to a text that parses to the same text.
pub fn descriptor(data: &[u8]) {
    use util::descriptor::Descriptor;
    for parsed in Descriptor::parse(text(data), Network::Regtest, false).unwrap_or_default() {
        let public = parsed.public_text();
        let again = Descriptor::parse(&public, Network::Regtest, false).expect("a printed descriptor parses");
        assert_eq!(again.first().map(Descriptor::public_text), Some(public));
        let _ = (parsed.is_range(), parsed.is_solvable(), parsed.has_private_keys());
        let Some(expansion) = parsed.expand(0) else { continue };
        assert!(parsed.is_combo() || expansion.scripts.len() <= 1);
        solved(&expansion);
    }
}

/// A descriptor as wallet and key store read it, with its private keys.
pub fn wallet_descriptor(data: &[u8]) {
    use bulkhead_wallet_core::Descriptor;
    use bulkhead_wallet_core::descriptor::{Cache, Form, Keys, split_multipath};
    let mut keys = Keys::default();
    if let Ok(parsed) = Descriptor::parse(text(data), &mut keys) {
        let public = parsed.public();
        let again = Descriptor::parse(&public, &mut Keys::default()).expect("a printed descriptor parses");
        assert_eq!(again.public(), public);
        assert_eq!(again.id(), parsed.id());
        if let Some((body, checksum)) = text(data).split_once('#') {
            assert_eq!(util::descriptor::checksum(body).as_deref(), Some(checksum), "another checksum was taken");
        }
        let _ = (parsed.warnings(), parsed.is_single_type(), parsed.has_scripts(), parsed.is_solvable(), parsed.output_type());
        let mut cache = Cache::default();
        if parsed.fill_cache(1, &keys, &mut cache).is_ok() {
            if let Ok(expansion) = parsed.expand(1, &cache) {
                solved(&expansion);
            }
            if let Some(normalized) = parsed.print(Form::Normalized(&keys, &cache), Network::Regtest.into()) {
                Descriptor::parse(&normalized, &mut Keys::default()).expect("a printed descriptor parses");
            }
            let mut merged = Cache::default();
            assert_eq!(merged.merge(&cache).as_ref(), Ok(&cache));
            assert!(merged.merge(&cache).is_ok_and(|new| new.is_empty()) && merged == cache);
        }
        if let Some(private) = parsed.print(Form::Private(&keys), Network::Regtest.into()) {
            let again = Descriptor::parse(&private, &mut Keys::default()).expect("a printed descriptor parses");
            assert_eq!(again.id(), parsed.id());
        }
    }
    for single in split_multipath(text(data), false, Network::Regtest).unwrap_or_default() {
        let _ = Descriptor::parse(&single, &mut Keys::default());
    }
}

/// What is known of outputs: the descriptor that is said of one is its own, and a PSBT is told how to spend it.
fn solved(expansion: &bulkhead_wallet_core::descriptor::Expansion) {
    use bulkhead_wallet_core::Descriptor;
    use bulkhead_wallet_core::descriptor::{Cache, Keys};
    for (position, script) in expansion.scripts.iter().enumerate() {
        let Some(solution) = expansion.solution(position) else { continue };
        let described = solution.descriptor();
        let again = Descriptor::parse_with_checksum(&described, &mut Keys::default()).expect("what is said of an output parses");
        let scripts = again.expand(0, &Cache::default()).expect("all keys are there").scripts;
        assert!(scripts.contains(script), "{described}");
        let output = TxOut { value: Amount::from_sat(1), script_pubkey: script.clone() };
        for derivations in [false, true] {
            let (mut input, mut change) = (psbt::Input::default(), psbt::Output::default());
            solution.fill_input(&mut input, &output, derivations);
            solution.fill_output(&mut change, derivations);
            assert_eq!(input.redeem_script, change.redeem_script);
            assert_eq!(input.witness_script, change.witness_script);
            assert_eq!(input.tap_internal_key, change.tap_internal_key);
        }
        assert!(solution.is_segwit() || solution.witness_script().is_none());
    }
}

/// An address or a private key in WIF; an address encodes to itself, letters of bech32 in lower case.
pub fn address(data: &[u8]) {
    let text = text(data);
    if let Some(network) = util::address::network_from_name(text) {
        assert_eq!(util::address::network_name(network), text);
    }
    for network in [Network::Bitcoin, Network::Regtest] {
        if let Ok(destination) = util::decode_address(text, network) {
            let encoded = util::encode_address(&destination, network);
            // Base58 may stand between white space, as in Core.
            let given = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
            assert!(encoded.eq_ignore_ascii_case(given), "{encoded} {text}");
        }
        let _ = util::address::decode_wif(text, network);
    }
}

/// Bech32 and the search for errors in it.
pub fn bech32(data: &[u8]) {
    use util::bech32::{decode, encode, from_groups, locate_errors, to_groups};
    let text = text(data);
    if let Some((variant, prefix, values)) = decode(text) {
        assert!(encode(variant, &prefix, &values).eq_ignore_ascii_case(text));
        assert!(locate_errors(text).1.is_empty());
    }
    let (_, places) = locate_errors(text);
    assert!(places.iter().all(|place| *place <= text.len()));
    assert_eq!(from_groups(&to_groups(data)).as_deref(), Some(data));
}

/// Addresses of peers, with and without port, and subnets: what parses prints to a text that parses to the same.
pub fn network_address(data: &[u8]) {
    use bulkhead_wire::{Endpoint, NetAddr, Network, Subnet};
    let text = text(data);
    if let Some(address) = NetAddr::parse(text) {
        // What stands for a name is printed as one, and a name is no address.
        let again = (address.network() != Network::Internal).then_some(address);
        assert_eq!(NetAddr::parse(&address.to_string()), again);
        assert!(address.is_valid() || !address.is_routable());
        let _ = (address.is_relayable(), address.class(), address.group(), address.linked_v4(), address.is_bind_any());
        assert_eq!(address.ip().is_some(), !matches!(address.network(), Network::Onion | Network::I2p | Network::Internal));
        assert!(!address.is_v1_compatible() || NetAddr::from_v1(address.to_v1()) == address);
        let flipped = address.flipped_to_cjdns();
        assert!(flipped == address || flipped.network() == Network::Cjdns && flipped.ip() == address.ip());
    }
    if let Some(endpoint) = Endpoint::parse(text, 8333) {
        let again = (endpoint.addr.network() != Network::Internal).then_some(endpoint);
        assert_eq!(Endpoint::parse(&endpoint.to_string(), 8333), again);
    }
    if let Some(subnet) = Subnet::parse(text) {
        assert_eq!(Subnet::parse(&subnet.to_string()), Some(subnet));
    }
    // Where a name stands for addresses that nobody has looked up.
    let internal = NetAddr::internal(text);
    assert!(internal.network() == Network::Internal && !internal.is_routable());
    assert_eq!(NetAddr::from_v1(internal.to_v1()), internal);
    if let Some(network) = Network::parse(text) {
        assert_eq!(Network::parse(network.name()), Some(network));
    }
}

/// The hex of a transaction, and what is shown of it.
pub fn raw_transaction(data: &[u8]) {
    if let Some(tx) = util::decode_hex_tx(&hex::encode(data), true, true) {
        let again = util::decode_hex_tx(&util::tx_to_hex(&tx), true, true).expect("our own encoding decodes");
        assert_eq!(again, tx);
        let _ = util::tx_to_json(&tx, Network::Regtest, util::TxContext::default());
    }
}

/// A script: its text, its kind, the descriptor that is inferred from it.
pub fn script_text(data: &[u8]) {
    let script = ScriptBuf::from_bytes(data.to_vec());
    let _ = util::script_asm(data, true);
    let _ = util::solve(data);
    let _ = util::script_to_json(&script, Network::Regtest, true, true);
    let inferred = util::infer_descriptor(&script, Network::Regtest);
    // A key that is no point of the curve, or an empty script, is inferred, as Core infers it, and refused when it is read.
    if let Err(error) = util::descriptor::Descriptor::parse(&inferred, Network::Regtest, false) {
        assert!(data.is_empty() || error.ends_with("is invalid"), "{inferred}: {error}");
    }
}

/// An amount or a range in JSON: what is taken is shown and taken again as the same number.
pub fn amount(data: &[u8]) {
    let Ok(value) = serde_json::from_slice(data) else { return };
    if let Ok(satoshi) = util::amount_from_json(&value) {
        let shown = util::amount_to_json(satoshi);
        assert_eq!(util::amount_from_json(&shown).ok(), Some(satoshi));
    }
    let _ = util::fee_rate_from_json(&value);
    if let Ok((first, last)) = util::descriptor::parse_range(&value) {
        assert!(first <= last && last - first < 1_000_000, "{value}");
    }
}

/// The owner's spending rules.
pub fn spending_rules(data: &[u8]) {
    use bulkhead_spend_policy::Rules;
    if let Ok(rules) = text(data).parse::<Rules>() {
        assert_eq!(rules.to_string().parse::<Rules>().expect("printed rules parse"), rules);
    }
}

/// A command with a value put into it; three texts, separated by zero bytes. To the shell a value is one word, whatever is in it.
pub fn notify_template(data: &[u8]) {
    let mut parts = text(data).splitn(3, '\0');
    let (Some(name), Some(command), Some(value)) = (parts.next(), parts.next(), parts.next()) else { return };
    let _ = template::fill(name, command, &[('s', value), ('w', value)]);
    for (name, key, whole) in [("walletnotify", "%w", true), ("blocknotify", "%s", true), ("alertnotify", "%s", false)] {
        if let Some(filled) = template::fill(name, key, &[('s', value), ('w', value)]) {
            let word = one_word(&filled).expect("one word");
            assert!(!whole || word == value, "{word}");
        }
    }
}

/// What a POSIX shell takes this text for, if it is exactly one word without anything that the shell would carry out.
fn one_word(text: &str) -> Option<String> {
    let mut word = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let quoted = &rest[first.len_utf8()..];
        match first {
            '\'' => {
                let (inside, behind) = quoted.split_once('\'')?;
                word.push_str(inside);
                rest = behind;
            }
            '"' => {
                let (inside, behind) = quoted.split_once('"')?;
                if inside.contains(['$', '`', '\\']) {
                    return None;
                }
                word.push_str(inside);
                rest = behind;
            }
            plain if plain.is_ascii_alphanumeric() || "_.-".contains(plain) => {
                word.push(plain);
                rest = quoted;
            }
            _ => return None,
        }
    }
    (!text.is_empty()).then_some(word)
}
