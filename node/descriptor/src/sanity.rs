//! Judges miniscript as Core does (src/script/miniscript.h, and the texts of src/script/descriptor.cpp).

use super::{DescriptorError, KeyRef};
use miniscript::descriptor::{ShInner, WshInner};
use miniscript::{Descriptor as Script, ForEachKey, Miniscript, ScriptContext, Terminal};

/// The relative lock time's bits that count, and the one that says "time, not blocks" (BIP68).
const LOCK_MASK: u32 = 0xffff;
const LOCK_IS_TIME: u32 = 1 << 22;

/// Refuses scripts that could be spent in unexpected ways, or not at all.
pub(super) fn check(script: &Script<KeyRef>, keys: &[String]) -> Result<(), DescriptorError> {
    match script {
        Script::Wsh(wsh) => match wsh.as_inner() {
            WshInner::Ms(inner) => check_one(inner, keys),
            WshInner::SortedMulti(_) => Ok(()),
        },
        Script::Sh(sh) => match sh.as_inner() {
            ShInner::Wsh(wsh) => match wsh.as_inner() {
                WshInner::Ms(inner) => check_one(inner, keys),
                WshInner::SortedMulti(_) => Ok(()),
            },
            _ => Ok(()),
        },
        Script::Tr(tr) => tr.leaves().try_for_each(|leaf| check_one(leaf.miniscript(), keys)),
        Script::Bare(_) | Script::Pkh(_) | Script::Wpkh(_) => Ok(()),
    }
}

/// Functions of the descriptor language that miniscript would also read: they are not judged.
fn is_plain<Ctx: ScriptContext>(script: &Miniscript<KeyRef, Ctx>) -> bool {
    match &script.node {
        Terminal::Check(inner) => matches!(inner.node, Terminal::PkK(_) | Terminal::PkH(_)),
        Terminal::Multi(_) | Terminal::MultiA(_) => true,
        _ => false,
    }
}

fn check_one<Ctx: ScriptContext>(script: &Miniscript<KeyRef, Ctx>, keys: &[String]) -> Result<(), DescriptorError> {
    if is_plain(script) {
        return Ok(());
    }
    let sane = script.requires_sig() && insane_part(script, keys).is_none();
    if sane && script.max_satisfaction_size().is_ok() {
        return Ok(());
    }
    let part = insane_part(script, keys).unwrap_or(script);
    let shown = show(&part.to_string(), keys);
    let whole = std::ptr::eq(part, script);
    let reason = if sane {
        " is not satisfiable"
    } else if !part.is_non_malleable() {
        " is not sane: malleable witnesses exist"
    } else if whole && !part.requires_sig() {
        " is not sane: witnesses without signature exist"
    } else if part.has_mixed_timelocks() {
        " is not sane: contains mixes of timelocks expressed in blocks and seconds"
    } else if repeats_keys(part, keys) {
        " is not sane: contains duplicate public keys"
    } else {
        " is not sane: needs witnesses that may exceed resource limits"
    };
    Err(DescriptorError::Invalid(format!("{shown}{reason}")))
}

/// The innermost, leftmost part that is not sane by itself.
fn insane_part<'a, Ctx: ScriptContext>(
    script: &'a Miniscript<KeyRef, Ctx>,
    keys: &[String],
) -> Option<&'a Miniscript<KeyRef, Ctx>> {
    if let Some(found) = script.branches().into_iter().find_map(|branch| insane_part(branch, keys)) {
        return Some(found);
    }
    let sane = script.is_non_malleable() && !script.has_mixed_timelocks() && within_limits(script) && !repeats_keys(script, keys);
    (!sane).then_some(script)
}

/// Whether satisfactions stay within limits, where there are any: what cannot be satisfied by itself, as the `0` in
/// `l:X`, is no reason to refuse what it stands in.
fn within_limits<Ctx: ScriptContext>(script: &Miniscript<KeyRef, Ctx>) -> bool {
    match script.max_satisfaction_size() {
        Ok(_) => script.within_resource_limits(),
        Err(_) => Ctx::check_global_validity(script).is_ok(),
    }
}

/// Whether the same key expression stands twice in a script.
fn repeats_keys<Ctx: ScriptContext>(script: &Miniscript<KeyRef, Ctx>, keys: &[String]) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut repeated = false;
    script.for_each_key(|key| {
        if let Some(expression) = keys.get(key.number as usize) {
            repeated |= seen.contains(&expression.as_str());
            seen.push(expression);
        }
        true
    });
    repeated
}

/// Puts key expressions back where their numbers stand.
pub(super) fn show(text: &str, keys: &[String]) -> String {
    let mut out = String::new();
    for part in text.split_inclusive(['(', ')', ',', '{', '}']) {
        let token = part.trim_end_matches(['(', ')', ',', '{', '}']);
        match token.parse::<KeyRef>().ok().and_then(|key| keys.get(key.number as usize)) {
            Some(expression) => out.push_str(expression),
            None => out.push_str(token),
        }
        out.push_str(&part[token.len()..]);
    }
    out
}

/// Relative lock times whose higher bits consensus ignores.
pub(super) fn warnings(script: &Script<KeyRef>) -> Vec<String> {
    let mut out = Vec::new();
    match script {
        Script::Wsh(wsh) => {
            if let WshInner::Ms(inner) = wsh.as_inner() {
                lock_warnings(inner, &mut out);
            }
        }
        Script::Sh(sh) => {
            if let ShInner::Wsh(wsh) = sh.as_inner()
                && let WshInner::Ms(inner) = wsh.as_inner()
            {
                lock_warnings(inner, &mut out);
            }
        }
        Script::Tr(tr) => tr.leaves().for_each(|leaf| lock_warnings(leaf.miniscript(), &mut out)),
        Script::Bare(_) | Script::Pkh(_) | Script::Wpkh(_) => {}
    }
    out
}

fn lock_warnings<Ctx: ScriptContext>(script: &Miniscript<KeyRef, Ctx>, out: &mut Vec<String>) {
    for part in script.iter() {
        let Terminal::Older(lock) = &part.node else { continue };
        let raw = lock.to_consensus_u32();
        if raw & LOCK_IS_TIME != 0 && raw & !LOCK_IS_TIME > LOCK_MASK {
            out.push(format!("time-based relative locktime: older({raw}) > (65535 * 512) seconds is unsafe"));
        } else if raw & LOCK_IS_TIME == 0 && raw > LOCK_MASK {
            out.push(format!("height-based relative locktime: older({raw}) > 65535 blocks is unsafe"));
        }
    }
}
