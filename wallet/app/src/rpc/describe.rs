//! getaddressinfo.

use bitcoin::Script;
use bitcoin::hashes::Hash;
use bulkhead_rpc_util::address::describe_destination;
use bulkhead_rpc_util::{Destination, RpcError, RpcResult, decode_address, encode_address, solve};
use bulkhead_wallet_core::descriptor::{DerivedKey, Solution, SolutionForm};
use miniscript::Descriptor as Miniscript;
use miniscript::descriptor::ShInner;
use serde_json::{Map, Value, json};

use super::Call;
use super::util::wallet_of;
use crate::state::Wallet;

/// The key of a script that has one.
fn single_key(solution: &Solution) -> Option<bitcoin::PublicKey> {
    match solution.keys.as_slice() {
        [only] => Some(only.key),
        _ => None,
    }
}

/// The script behind an address, and what is embedded in it.
fn describe_script(call: &Call, script: &Script, solution: &Solution, out: &mut Map<String, Value>) {
    let kind = solve(script.as_bytes());
    out.insert("script".into(), json!(kind.name()));
    out.insert("hex".into(), json!(script.to_hex_string()));
    if let Some(destination) = Destination::from_script(script) {
        let mut inner = describe_destination(&destination);
        describe_inner(call, script, solution, &mut inner);
        inner.insert("address".into(), json!(encode_address(&destination, call.app.network)));
        inner.insert("scriptPubKey".into(), json!(script.to_hex_string()));
        if let Some(key) = inner.get("pubkey").cloned() {
            out.insert("pubkey".into(), key);
        }
        out.insert("embedded".into(), Value::Object(inner));
    } else if let bulkhead_rpc_util::ScriptType::MultiSig { required, keys } = &kind {
        out.insert("sigsrequired".into(), json!(required));
        out.insert("pubkeys".into(), json!(keys.iter().map(hex::encode).collect::<Vec<_>>()));
    }
}

fn describe_inner(call: &Call, script: &Script, solution: &Solution, out: &mut Map<String, Value>) {
    if script.is_p2pkh() || script.is_p2wpkh() {
        if let Some(key) = single_key(solution) {
            out.insert("pubkey".into(), json!(key.to_string()));
            if script.is_p2pkh() {
                out.insert("iscompressed".into(), json!(key.compressed));
            }
        }
    } else if script.is_p2sh() {
        if let Some(redeem) = solution.redeem_script() {
            describe_script(call, &redeem, solution, out);
        }
    } else if script.is_p2wsh()
        && let Some(inner) = solution.witness_script()
    {
        describe_script(call, &inner, solution, out);
    }
}

pub(super) async fn address_info(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let text = call.params.str(0)?;
    let destination = decode_address(text, call.app.network).map_err(|error| {
        RpcError::address_or_key(if error.message.is_empty() { "Invalid address".into() } else { error.message })
    })?;
    let script = destination.script();
    let wallet = loaded.wallet.borrow();
    let mut out = Map::new();
    out.insert("address".into(), json!(encode_address(&destination, call.app.network)));
    out.insert("scriptPubKey".into(), json!(script.to_hex_string()));
    out.insert("ismine".into(), json!(wallet.is_mine(&script)));
    let solution = wallet.solution(&script);
    out.insert("solvable".into(), json!(solution.is_some()));
    if let Some(solution) = &solution {
        out.insert("desc".into(), json!(solution.descriptor()));
    }
    let parent = wallet.solve(&script).map(|(id, _, _)| id);
    if let Some(spkm) = parent.and_then(|id| wallet.spkms.get(&id)) {
        out.insert("parent_desc".into(), json!(spkm.descriptor.normalized()));
    }
    out.insert("iswatchonly".into(), json!(false));
    out.extend(describe_destination(&destination));
    if let Some(solution) = &solution {
        describe_inner(call, &script, solution, &mut out);
    }
    out.insert("ischange".into(), json!(is_change(&wallet, &script)));
    if let Some(spkm) = parent.and_then(|id| wallet.spkms.get(&id))
        && let Some(key) = solution.as_ref().and_then(address_key)
    {
        out.insert("timestamp".into(), json!(spkm.creation));
        push_origin(key, &mut out);
    }
    let address = encode_address(&destination, call.app.network);
    let labels: Vec<String> = wallet.book_entry(&address).and_then(|entry| entry.label.clone()).into_iter().collect();
    out.insert("labels".into(), json!(labels));
    Ok(Value::Object(out))
}

fn is_change(wallet: &Wallet, script: &Script) -> bool {
    wallet.is_change(&bitcoin::TxOut { value: bitcoin::Amount::ZERO, script_pubkey: script.to_owned() })
}

/// The key that an address stands for, when it is one key and no script: what Core keeps dates and paths of.
fn address_key(solution: &Solution) -> Option<&DerivedKey> {
    let SolutionForm::Script(script) = &solution.form else { return None };
    let one_key = match script.as_ref() {
        Miniscript::Pkh(_) | Miniscript::Wpkh(_) => true,
        Miniscript::Sh(sh) => matches!(sh.as_inner(), ShInner::Wpkh(_)),
        Miniscript::Tr(tr) => tr.leaves().next().is_none(),
        Miniscript::Bare(_) | Miniscript::Wsh(_) => false,
    };
    // Of a `musig()` it is the aggregate.
    let key = solution.aggregates.first().map(|aggregate| &aggregate.key).or(solution.keys.first());
    key.filter(|_| one_key)
}

/// Key path of an address that one key makes.
fn push_origin(key: &DerivedKey, out: &mut Map<String, Value>) {
    out.insert("hdkeypath".into(), json!(key.path_text()));
    out.insert("hdseedid".into(), json!(bitcoin::hashes::hash160::Hash::all_zeros().to_string()));
    out.insert("hdmasterfingerprint".into(), json!(key.fingerprint.to_string()));
}
