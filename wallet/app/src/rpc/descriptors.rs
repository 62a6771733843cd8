//! Descriptors of a wallet: list, HD keys, new ones from a key; and taking over what the key store made.

use bitcoin::NetworkKind;
use bulkhead_keystore_edge::{DescriptorInfo, HdKey, Reply, Request, decode_pair};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::params::{as_bool, as_str};
use bulkhead_rpc_util::{RpcError, RpcResult};
use bulkhead_wallet_core::descriptor::{DescriptorError, KeyExpression, KeyKind};
use serde_json::{Map, Value, json};

use super::Call;
use super::outputs::object_or_empty;
use super::util::{ensure_unlocked, persist, wallet_of};
use crate::app::Loaded;
use crate::records::{self, DescId};
use crate::state::OutputType;
use crate::state::descriptor::PublicDescriptor;
use crate::state::flags;
use crate::state::keys::Spkm;
use crate::state::load::DescriptorSet;
use crate::wallets::{all_records, keystore_error};

/// Reads all descriptors again, after the key store made or changed some.
pub(super) async fn reload(call: &Call, loaded: &Loaded) -> RpcResult<()> {
    // What is only in memory yet must not be lost.
    persist(&call.app, loaded).await?;
    let all = all_records(&loaded.keys).await?;
    let mut set = DescriptorSet::default();
    for record in &all {
        // Records that do not concern descriptors were read when the wallet was loaded.
        if let Ok(record) = records::decode(&record.key, &record.value) {
            set.take(record, call.app.network);
        }
    }
    {
        let mut wallet = loaded.wallet.borrow_mut();
        wallet.active.clear();
        set.apply(&mut wallet).map_err(|error| RpcError::new(code::WALLET_ERROR, error.to_string()))?;
        wallet.top_up_all(0);
        wallet.refresh_all_coins();
    }
    persist(&call.app, loaded).await
}

/// Takes over one descriptor that the key store made, changed or extended.
pub(super) fn take_over(call: &Call, loaded: &Loaded, info: &DescriptorInfo) -> RpcResult<()> {
    let mut wallet = loaded.wallet.borrow_mut();
    let kind = NetworkKind::from(call.app.network);
    let mut cache = wallet.spkms.get(&info.id).map(|spkm| spkm.descriptor.cache().clone()).unwrap_or_default();
    for pair in &info.cache {
        if let Some((key, value)) = decode_pair(pair)
            && let Ok(records::Record::Cache(record)) = records::decode(key, value)
        {
            record.apply(kind, &mut cache).map_err(|error| RpcError::internal(format!("key store: {error}")))?;
        }
    }
    let failed = |error: DescriptorError| RpcError::new(code::WALLET_ERROR, error.to_string());
    let descriptor = PublicDescriptor::new(&info.public, cache, kind).map_err(failed)?;
    let spkm = Spkm {
        id: info.id,
        stored: info.public.clone(),
        descriptor,
        creation: u64::try_from(info.creation_time).unwrap_or(0),
        next: info.next_index,
        start: info.range_start,
        end: info.range_end,
        expanded_to: 0,
    };
    wallet.add_descriptor(spkm).map_err(failed)
}

/// Extends key pools to `size` unused addresses (0: `-keypool`); descriptors that need private keys for each index
/// are extended by the key store, if the wallet is not locked.
pub(super) async fn top_up(call: &Call, loaded: &Loaded, size: i32) -> RpcResult<()> {
    let ids: Vec<DescId> = loaded.wallet.borrow().spkms.keys().copied().collect();
    extend(call, loaded, ids, size).await
}

/// As [`top_up`], of some descriptors.
pub(super) async fn extend(call: &Call, loaded: &Loaded, ids: Vec<DescId>, size: i32) -> RpcResult<()> {
    let waiting: Vec<DescId> = {
        let mut wallet = loaded.wallet.borrow_mut();
        ids.into_iter().filter(|id| !wallet.top_up(id, size)).collect()
    };
    persist(&call.app, loaded).await?;
    for id in waiting {
        let wanted = {
            let wallet = loaded.wallet.borrow();
            let target = if size > 0 { size } else { wallet.options.keypool };
            wallet.spkms.get(&id).map(|spkm| spkm.next.saturating_add(target).max(spkm.end))
        };
        let Some(range_end) = wanted else { continue };
        // A locked wallet refuses; whoever needs the address then says that the pool ran out.
        if let Ok(Reply::Descriptors(list)) = loaded.keys.call(Request::TopUp { id, range_end }).await {
            for info in &list {
                take_over(call, loaded, info)?;
            }
        }
    }
    Ok(())
}

/// Private form of a descriptor.
async fn export(loaded: &Loaded, id: DescId) -> RpcResult<String> {
    match loaded.keys.call(Request::ExportDescriptor { id, consent: true }).await.map_err(|error| keystore_error(&error))? {
        Reply::Descriptors(list) if list.len() == 1 => Ok(list[0].private.to_string()),
        _ => Err(RpcError::internal("key store: unexpected reply to exportDescriptor")),
    }
}

pub(super) async fn list(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let private = call.params.opt_bool(0)?.unwrap_or(false);
    if private && !loaded.wallet.borrow().private_keys_enabled() {
        return Err(RpcError::new(code::WALLET_ERROR, "Can't get private descriptor string for watch-only wallets"));
    }
    if private {
        ensure_unlocked(&loaded).await?;
    }
    let ids: Vec<DescId> = loaded.wallet.borrow().spkms.keys().copied().collect();
    let mut entries: Vec<(String, Value)> = Vec::new();
    for id in ids {
        let exported = if private { Some(export(&loaded, id).await?) } else { None };
        let wallet = loaded.wallet.borrow();
        let Some(spkm) = wallet.spkms.get(&id) else { continue };
        let text = exported.unwrap_or_else(|| spkm.descriptor.normalized());
        let mut entry = Map::new();
        entry.insert("desc".into(), json!(text));
        entry.insert("timestamp".into(), json!(spkm.creation));
        let active = wallet.is_active(&id);
        entry.insert("active".into(), json!(active.is_some()));
        if let Some(internal) = active {
            entry.insert("internal".into(), json!(internal));
        }
        if spkm.descriptor.is_ranged() {
            entry.insert("range".into(), json!([spkm.start, spkm.end - 1]));
            entry.insert("next".into(), json!(spkm.next));
            entry.insert("next_index".into(), json!(spkm.next));
        }
        entries.push((text, Value::Object(entry)));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let descriptors: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
    Ok(json!({"wallet_name": loaded.name, "descriptors": descriptors}))
}

pub(super) async fn export_hd_keys(loaded: &Loaded, consent: bool) -> RpcResult<Vec<HdKey>> {
    match loaded.keys.call(Request::ExportHdKeys { consent }).await.map_err(|error| keystore_error(&error))? {
        Reply::HdKeys(keys) => Ok(keys),
        _ => Err(RpcError::internal("key store: unexpected reply to exportHdKeys")),
    }
}

pub(super) async fn hd_keys(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let options = object_or_empty(call.params.get(0))?;
    let flag = |name: &str| options.get(name).map(as_bool).transpose().map(Option::unwrap_or_default);
    let (active_only, private) = (flag("active_only")?, flag("private")?);
    if private {
        ensure_unlocked(&loaded).await?;
    }
    let keys = export_hd_keys(&loaded, private).await?;
    let wallet = loaded.wallet.borrow();
    let mut out = Vec::new();
    for key in keys {
        let mut descriptors: Vec<Value> = key
            .descriptors
            .iter()
            .filter_map(|id| wallet.spkms.get(id))
            .filter(|spkm| !active_only || wallet.is_active(&spkm.id).is_some())
            .map(|spkm| json!({"desc": spkm.descriptor.normalized(), "active": wallet.is_active(&spkm.id).is_some()}))
            .collect();
        if descriptors.is_empty() {
            continue;
        }
        descriptors.sort_by_key(|entry| entry["desc"].as_str().unwrap_or_default().to_owned());
        let mut entry = Map::new();
        entry.insert("xpub".into(), json!(key.xpub));
        entry.insert("has_private".into(), json!(key.has_private));
        if private && key.has_private {
            entry.insert("xprv".into(), json!(key.xprv.as_str()));
        }
        entry.insert("descriptors".into(), Value::Array(descriptors));
        out.push(Value::Object(entry));
    }
    out.sort_by_key(|entry| entry["xpub"].as_str().unwrap_or_default().to_owned());
    Ok(Value::Array(out))
}

/// The descriptor that was made; nothing when the wallet has it already.
async fn generate(loaded: &Loaded, hd_key: &str, kind: OutputType, internal: bool) -> RpcResult<Option<DescriptorInfo>> {
    let request = Request::GenerateDescriptor { hd_key: hd_key.to_owned(), output_type: kind.name().into(), internal };
    match loaded.keys.call(request).await.map_err(|error| keystore_error(&error))? {
        Reply::Descriptors(mut list) if list.len() <= 1 => Ok(list.pop()),
        _ => Err(RpcError::internal("key store: unexpected reply to generateDescriptor")),
    }
}

pub(super) async fn create(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let name = call.params.str(0)?;
    let kind = OutputType::parse(name).ok_or_else(|| RpcError::address_or_key(format!("Unknown address type '{name}'")))?;
    let options = object_or_empty(call.params.get(1))?;
    let field = |name: &str| options.get(name).filter(|value| !value.is_null());
    let sides = match field("internal").map(as_bool).transpose()? {
        Some(internal) => vec![internal],
        None => vec![false, true],
    };
    ensure_unlocked(&loaded).await?;
    let hd_key = field("hdkey").map(as_str).transpose()?.unwrap_or_default();
    let mut made = Vec::new();
    for internal in sides {
        let Some(info) = generate(&loaded, hd_key, kind, internal).await? else { continue };
        take_over(call, &loaded, &info)?;
        {
            let mut wallet = loaded.wallet.borrow_mut();
            wallet.activate(&info.id, kind, internal);
            let flags = wallet.flags & !flags::BLANK_WALLET;
            wallet.set_flags(flags);
        }
        persist(&call.app, &loaded).await?;
        if let Some(spkm) = loaded.wallet.borrow().spkms.get(&info.id) {
            made.push(spkm.descriptor.normalized());
        }
    }
    if made.is_empty() {
        return Err(RpcError::new(code::WALLET_ERROR, "Descriptor already exists"));
    }
    Ok(json!({ "descs": made }))
}

pub(super) async fn add_hd_key(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    if !loaded.wallet.borrow().private_keys_enabled() {
        return Err(RpcError::new(code::WALLET_ERROR, "addhdkey is not available for wallets without private keys"));
    }
    ensure_unlocked(&loaded).await?;
    let key = call.params.opt_str(0)?.unwrap_or_default().to_owned();
    if !call.params.is_null(0) && key.is_empty() {
        return Err(RpcError::address_or_key("Could not parse HD key"));
    }
    let info = match loaded.keys.call(Request::AddHdKey(key.into())).await.map_err(|error| keystore_error(&error))? {
        Reply::Descriptors(mut list) if list.len() == 1 => list.remove(0),
        _ => return Err(RpcError::internal("key store: unexpected reply to addHdKey")),
    };
    take_over(call, &loaded, &info)?;
    persist(&call.app, &loaded).await?;
    let wallet = loaded.wallet.borrow();
    let keys = wallet.spkms.get(&info.id).map(|spkm| spkm.descriptor.parsed().keys()).unwrap_or_default();
    match keys {
        [KeyExpression { kind: KeyKind::Extended { root, .. }, .. }] => Ok(json!({ "xpub": root.to_string() })),
        _ => Err(RpcError::internal("key store: the new key is not an HD key")),
    }
}
