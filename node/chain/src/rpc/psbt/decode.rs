//! `decodepsbt`.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::bip32::KeySource;
use bitcoin::psbt::raw;
use bitcoin::psbt::{Input, Output};
use bitcoin::{OutPoint, Psbt, TxOut};
use bulkhead_rpc_util::address::prefixes;
use bulkhead_rpc_util::psbt::{InputFields, Version2, VersionedPsbt};
use bulkhead_rpc_util::{MAX_MONEY, TxContext, amount_to_json, asm, script_asm, script_to_json, tx_to_json};
use serde_json::{Map, Value, json};

use super::super::Context;
use super::musig2;
use super::spend::spent_output;

/// JSON of a PSBT, field by field in Core's order.
pub(super) fn psbt_json(context: &Context, versioned: &VersionedPsbt) -> Value {
    let VersionedPsbt { psbt, version_2 } = versioned;
    let mut out = Map::new();
    if version_2.is_none() {
        let tx = tx_to_json(&psbt.unsigned_tx, context.network, TxContext::default());
        out.insert("tx".into(), Value::Object(tx));
    }
    let xpubs = psbt.xpub.iter().map(|(xpub, source)| {
        let mut bytes = xpub.encode();
        bytes[..4].copy_from_slice(&prefixes(context.network).xpub);
        json!({
            "xpub": bitcoin::base58::encode_check(&bytes),
            "master_fingerprint": source.0.to_string(),
            "path": path_text(source),
        })
    });
    out.insert("global_xpubs".into(), xpubs.collect());
    if let Some(version_2) = version_2 {
        add_global_fields(&mut out, psbt, version_2);
    }
    out.insert("psbt_version".into(), versioned.version().number().into());
    let proprietary = psbt.proprietary.iter().map(proprietary_json);
    out.insert("proprietary".into(), proprietary.collect());
    out.insert("unknown".into(), unknown_json(psbt.unknown.iter()));

    let mut total_in = 0i64;
    let mut all_known = true;
    let mut inputs = Vec::new();
    for (i, input) in psbt.inputs.iter().enumerate() {
        match utxo_value(psbt, i).filter(|value| (0..=MAX_MONEY - total_in).contains(value)) {
            Some(value) => total_in += value,
            None => all_known = false,
        }
        let fields = version_2.as_ref().map(|version_2| version_2.inputs.get(i).copied().unwrap_or_default());
        let spent = psbt.unsigned_tx.input.get(i).map(|unsigned| unsigned.previous_output);
        inputs.push(Value::Object(input_json(context, input, spent.zip(fields))));
    }
    out.insert("inputs".into(), inputs.into());
    let outputs = psbt.outputs.iter().zip(&psbt.unsigned_tx.output).map(|(output, paid)| {
        let paid = version_2.as_ref().map(|_| paid);
        Value::Object(output_json(context, output, paid))
    });
    out.insert("outputs".into(), outputs.collect());
    let total_out = psbt.unsigned_tx.output.iter().try_fold(0i64, |sum, output| {
        let value = i64::try_from(output.value.to_sat()).ok()?;
        sum.checked_add(value).filter(|sum| *sum <= MAX_MONEY)
    });
    if let Some(total_out) = total_out
        && all_known
    {
        out.insert("fee".into(), amount_to_json(total_in - total_out));
    }
    Value::Object(out)
}

/// What version 2 says of the transaction as a whole.
fn add_global_fields(out: &mut Map<String, Value>, psbt: &Psbt, version_2: &Version2) {
    out.insert("tx_version".into(), (psbt.unsigned_tx.version.0 as u32).into()); // not negative, as Core has it
    if let Some(time) = version_2.fallback_lock_time {
        out.insert("fallback_locktime".into(), time.into());
    }
    out.insert("input_count".into(), psbt.inputs.len().into());
    out.insert("output_count".into(), psbt.outputs.len().into());
    if let Some(flags) = version_2.modifiable {
        for (bit, name) in ["inputs_modifiable", "outputs_modifiable", "has_sighash_single"].into_iter().enumerate() {
            out.insert(name.into(), (flags >> bit & 1 == 1).into());
        }
    }
}

/// Amount that an input spends, as far as the PSBT tells.
fn utxo_value(psbt: &Psbt, i: usize) -> Option<i64> {
    spent_output(psbt, i).and_then(|output| i64::try_from(output.value.to_sat()).ok())
}

fn path_text((_, path): &KeySource) -> String {
    let steps = path.into_iter().map(|step| match step {
        bitcoin::bip32::ChildNumber::Normal { index } => format!("/{index}"),
        bitcoin::bip32::ChildNumber::Hardened { index } => format!("/{index}h"),
    });
    format!("m{}", steps.collect::<String>())
}

fn proprietary_json((key, value): (&raw::ProprietaryKey, &Vec<u8>)) -> Value {
    json!({
        "identifier": hex::encode(&key.prefix),
        "subtype": key.subtype,
        "key": hex::encode(whole_key(key)),
        "value": hex::encode(value),
    })
}

/// A proprietary key with its number and identifier, as it stands in the file.
fn whole_key(key: &raw::ProprietaryKey) -> Vec<u8> {
    let raw::Key { type_value, key } = key.to_key();
    std::iter::once(type_value).chain(key).collect()
}

fn unknown_json<'a>(entries: impl Iterator<Item = (&'a raw::Key, &'a Vec<u8>)>) -> Value {
    let entry = |(key, value): (&raw::Key, &Vec<u8>)| {
        (format!("{:02x}{}", key.type_value, hex::encode(&key.key)), Value::from(hex::encode(value)))
    };
    Value::Object(entries.map(entry).collect())
}

fn inner_script(script: &bitcoin::Script) -> Value {
    let mut out = Map::new();
    out.insert("asm".into(), script_asm(script.as_bytes(), false).into());
    out.insert("hex".into(), hex::encode(script).into());
    out.insert("type".into(), bulkhead_rpc_util::solve(script.as_bytes()).name().into());
    Value::Object(out)
}

fn derivations<'a>(entries: impl Iterator<Item = (String, &'a KeySource)>) -> Value {
    let entry = |(pubkey, source): (String, &KeySource)| json!({"pubkey": pubkey, "master_fingerprint": source.0.to_string(), "path": path_text(source)});
    entries.map(entry).collect()
}

fn tap_derivations(
    entries: &std::collections::BTreeMap<bitcoin::XOnlyPublicKey, (Vec<bitcoin::TapLeafHash>, KeySource)>,
) -> Value {
    let entry = |(key, (leaves, source)): (&bitcoin::XOnlyPublicKey, &(Vec<bitcoin::TapLeafHash>, KeySource))| {
        json!({
            "pubkey": key.to_string(),
            "master_fingerprint": source.0.to_string(),
            "path": path_text(source),
            "leaf_hashes": leaves.iter().collect::<BTreeSet<_>>().into_iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    entries.iter().map(entry).collect()
}

fn preimages<H: AsRef<[u8]>>(entries: &std::collections::BTreeMap<H, Vec<u8>>) -> Value {
    let entry = |(hash, image): (&H, &Vec<u8>)| (hex::encode(hash.as_ref()), Value::from(hex::encode(image)));
    Value::Object(entries.iter().map(entry).collect())
}

/// `version_2`: what it spends and what else only version 2 says of it.
fn input_json(context: &Context, input: &Input, version_2: Option<(OutPoint, InputFields)>) -> Map<String, Value> {
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    if let Some(utxo) = &input.witness_utxo {
        let script = script_to_json(&utxo.script_pubkey, context.network, true, true);
        add("witness_utxo", json!({"amount": amount_to_json(utxo.value.to_sat() as i64), "scriptPubKey": script}));
    }
    if let Some(tx) = &input.non_witness_utxo {
        add("non_witness_utxo", Value::Object(tx_to_json(tx, context.network, TxContext::default())));
    }
    if !input.partial_sigs.is_empty() {
        let entry = |(key, sig): (&bitcoin::PublicKey, &bitcoin::ecdsa::Signature)| {
            (key.to_string(), Value::from(hex::encode(sig.to_vec())))
        };
        let mut signatures: Vec<_> = input.partial_sigs.iter().collect();
        signatures.sort_by_key(|(key, _)| key.pubkey_hash());
        add("partial_signatures", Value::Object(signatures.into_iter().map(entry).collect()));
    }
    if let Some(sighash) = input.sighash_type {
        let name = asm::sighash_name(sighash.to_u32() as u8); // one byte is shown
        add("sighash", name.unwrap_or("").into());
    }
    if let Some(script) = &input.redeem_script {
        add("redeem_script", inner_script(script));
    }
    if let Some(script) = &input.witness_script {
        add("witness_script", inner_script(script));
    }
    if !input.bip32_derivation.is_empty() {
        let entries = input.bip32_derivation.iter();
        let keyed = entries.map(|(key, source)| (bitcoin::PublicKey::new(*key).to_string(), source));
        add("bip32_derivs", derivations(keyed));
    }
    if let Some(script) = &input.final_script_sig {
        add("final_scriptSig", json!({"asm": script_asm(script.as_bytes(), true), "hex": hex::encode(script)}));
    }
    if let Some(witness) = &input.final_script_witness {
        add("final_scriptwitness", witness.iter().map(hex::encode).collect());
    }
    if !input.ripemd160_preimages.is_empty() {
        add("ripemd160_preimages", preimages(&input.ripemd160_preimages));
    }
    if !input.sha256_preimages.is_empty() {
        add("sha256_preimages", preimages(&input.sha256_preimages));
    }
    if !input.hash160_preimages.is_empty() {
        add("hash160_preimages", preimages(&input.hash160_preimages));
    }
    if !input.hash256_preimages.is_empty() {
        add("hash256_preimages", preimages(&input.hash256_preimages));
    }
    if let Some((spent, fields)) = version_2 {
        add("previous_txid", spent.txid.to_string().into());
        add("previous_vout", spent.vout.into());
        let sequence = fields.sequence.map(|sequence| sequence.0);
        for (name, value) in
            [("sequence", sequence), ("time_locktime", fields.time_lock), ("height_locktime", fields.height_lock)]
        {
            if let Some(value) = value {
                add(name, value.into());
            }
        }
    }
    if let Some(sig) = &input.tap_key_sig {
        add("taproot_key_path_sig", hex::encode(sig.to_vec()).into());
    }
    if !input.tap_script_sigs.is_empty() {
        let entries = input.tap_script_sigs.iter().map(|((key, leaf), sig)| {
            json!({"pubkey": key.to_string(), "leaf_hash": leaf.to_string(), "sig": hex::encode(sig.to_vec())})
        });
        add("taproot_script_path_sigs", entries.collect());
    }
    if !input.tap_scripts.is_empty() {
        let mut leaves: BTreeMap<_, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (control, (script, version)) in &input.tap_scripts {
            leaves.entry((script.as_bytes(), version.to_consensus())).or_default().insert(control.serialize());
        }
        let entries = leaves.into_iter().map(|((script, version), controls)| {
            json!({
                "script": hex::encode(script),
                "leaf_ver": version,
                "control_blocks": controls.iter().map(hex::encode).collect::<Vec<_>>(),
            })
        });
        add("taproot_scripts", entries.collect());
    }
    if !input.tap_key_origins.is_empty() {
        add("taproot_bip32_derivs", tap_derivations(&input.tap_key_origins));
    }
    if let Some(key) = &input.tap_internal_key {
        add("taproot_internal_key", key.to_string().into());
    }
    if let Some(root) = &input.tap_merkle_root {
        add("taproot_merkle_root", hex::encode(AsRef::<[u8]>::as_ref(root)).into());
    }
    for (name, shown) in [
        ("musig2_participant_pubkeys", musig2::participants(&input.unknown, musig2::IN_PARTICIPANTS)),
        ("musig2_pubnonces", musig2::contributions(&input.unknown, musig2::IN_PUBLIC_NONCE, "pubnonce")),
        ("musig2_partial_sigs", musig2::contributions(&input.unknown, musig2::IN_PARTIAL_SIGNATURE, "partial_sig")),
    ] {
        if let Some(shown) = shown {
            add(name, shown);
        }
    }
    if !input.proprietary.is_empty() {
        add("proprietary", input.proprietary.iter().map(proprietary_json).collect());
    }
    let unknown = || input.unknown.iter().filter(|(key, _)| !musig2::is_known_in_input(key));
    if unknown().next().is_some() {
        add("unknown", unknown_json(unknown()));
    }
    out
}

/// `paid`: amount and script, if the version says them here.
fn output_json(context: &Context, output: &Output, paid: Option<&TxOut>) -> Map<String, Value> {
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    if let Some(script) = &output.redeem_script {
        add("redeem_script", inner_script(script));
    }
    if let Some(script) = &output.witness_script {
        add("witness_script", inner_script(script));
    }
    if !output.bip32_derivation.is_empty() {
        let entries = output.bip32_derivation.iter();
        let keyed = entries.map(|(key, source)| (bitcoin::PublicKey::new(*key).to_string(), source));
        add("bip32_derivs", derivations(keyed));
    }
    if let Some(paid) = paid {
        add("amount", amount_to_json(paid.value.to_sat() as i64));
        add("script", Value::Object(script_to_json(&paid.script_pubkey, context.network, true, true)));
    }
    if let Some(key) = &output.tap_internal_key {
        add("taproot_internal_key", key.to_string().into());
    }
    if let Some(tree) = &output.tap_tree {
        let leaves = tree.script_leaves().map(|leaf| {
            json!({
                "depth": leaf.merkle_branch().len(),
                "leaf_ver": leaf.version().to_consensus(),
                "script": hex::encode(leaf.script()),
            })
        });
        add("taproot_tree", leaves.collect());
    }
    if !output.tap_key_origins.is_empty() {
        add("taproot_bip32_derivs", tap_derivations(&output.tap_key_origins));
    }
    if let Some(shown) = musig2::participants(&output.unknown, musig2::OUT_PARTICIPANTS) {
        add("musig2_participant_pubkeys", shown);
    }
    if !output.proprietary.is_empty() {
        add("proprietary", output.proprietary.iter().map(proprietary_json).collect());
    }
    let unknown = || output.unknown.iter().filter(|(key, _)| !musig2::is_known_in_output(key));
    if unknown().next().is_some() {
        add("unknown", unknown_json(unknown()));
    }
    out
}
