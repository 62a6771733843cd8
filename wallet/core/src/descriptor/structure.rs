//! Which function may stand where, and the bounds of multisig, with Core's texts.

use super::parse::Level;
use super::{DescriptorError, KeyExpression};

/// Most keys of a bare multisig that is relayed.
const MAX_BARE_KEYS: usize = 3;
/// Most keys that OP_CHECKMULTISIG takes.
const MAX_MULTISIG_KEYS: usize = 20;
/// Most keys of `multi_a`.
const MAX_MULTI_A_KEYS: usize = 999;
/// Largest script inside pay to script hash.
const MAX_P2SH_SCRIPT: usize = 520;

fn invalid(text: impl Into<String>) -> DescriptorError {
    DescriptorError::Invalid(text.into())
}

/// Functions of Core's descriptor language; what stands inside others is miniscript.
fn is_top(name: &str) -> bool {
    matches!(name, "pk" | "pkh" | "wpkh" | "combo" | "rawtr" | "tr" | "multi" | "sortedmulti" | "multi_a" | "sortedmulti_a")
}

/// Whether every function around is one of the descriptor language, not of miniscript.
fn outside_miniscript(levels: &[Level<'_>]) -> bool {
    levels.iter().all(|level| matches!(level.function, "sh" | "wsh" | "tr" | "{"))
}

/// Checks the place of a function.
pub(super) fn check_function(levels: &[Level<'_>], function: &str) -> Result<(), DescriptorError> {
    let inside = levels.last().map(|level| level.function);
    let allowed: &[Option<&str>] = match function {
        "combo" | "addr" | "raw" | "sh" | "tr" | "rawtr" | "unused" => &[None],
        "wpkh" | "wsh" => &[None, Some("sh")],
        _ => {
            if inside == Some("sh") && !is_top(function) {
                return Err(invalid("Miniscript expressions can only be used in wsh or tr."));
            }
            return Ok(());
        }
    };
    if allowed.contains(&inside) {
        return Ok(());
    }
    let place = if allowed.len() == 1 { "at top level" } else { "at top level or inside sh()" };
    let braces = if matches!(function, "tr" | "rawtr" | "unused") { "" } else { "()" };
    Err(invalid(format!("Can only have {function}{braces} {place}")))
}

/// A key's error behind the name that Core puts there.
pub(super) fn key_error(levels: &[Level<'_>], error: &DescriptorError) -> String {
    match levels.split_last() {
        Some((last, rest)) if outside_miniscript(rest) && is_top(last.function) => {
            if last.function.contains("multi") {
                format!("Multi: {error}")
            } else {
                format!("{}(): {error}", last.function)
            }
        }
        _ => error.to_string(),
    }
}

/// What is said of a text that neither is a descriptor nor holds miniscript.
pub(super) fn not_understood(text: &str) -> String {
    if text.starts_with("wsh(") || text.starts_with("sh(wsh(") {
        "A function is needed within P2WSH".into()
    } else if text.starts_with("sh(") {
        "A function is needed within P2SH".into()
    } else {
        format!("'{text}' is not a valid descriptor function")
    }
}

/// A text behind the name of the function that is open at the end of `so_far`.
pub(super) fn with_function(so_far: &str, text: &str) -> String {
    let name = so_far.rsplit_once('(').map_or("", |(before, _)| before.rsplit(['(', ',', '{', ':']).next().unwrap_or_default());
    if name.contains("multi") { format!("Multi: {text}") } else { format!("{name}(): {text}") }
}

/// Checks threshold and number of keys of a multisig that ends here, and what a function may not lack.
pub(super) fn check_multi(levels: &[Level<'_>], level: &Level<'_>, keys: &[KeyExpression]) -> Result<(), DescriptorError> {
    let constant = level.function == "wsh" && matches!(level.first, "0" | "1");
    if level.argument == 0 && !level.first.is_empty() && matches!(level.function, "sh" | "wsh") && !constant {
        return Err(invalid(if level.function == "sh" {
            "A function is needed within P2SH"
        } else {
            "A function is needed within P2WSH"
        }));
    }
    if !matches!(level.name(), "multi" | "sortedmulti" | "multi_a" | "sortedmulti_a") || !outside_miniscript(levels) {
        return Ok(());
    }
    let count = level.argument;
    let threshold = Some(level.first)
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u32>().ok())
        .ok_or_else(|| invalid(format!("Multi threshold '{}' is not valid", level.first)))?;
    let (name, most) = if level.name().ends_with("_a") { ("multi_a", MAX_MULTI_A_KEYS) } else { ("multisig", MAX_MULTISIG_KEYS) };
    if count == 0 || count > most {
        return Err(invalid(format!("Cannot have {count} keys in {name}; must have between 1 and {most} keys, inclusive")));
    }
    if threshold == 0 {
        return Err(invalid("Multisig threshold cannot be 0, must be at least 1"));
    }
    if usize::try_from(threshold).unwrap_or(usize::MAX) > count {
        return Err(invalid(format!(
            "Multisig threshold cannot be larger than the number of keys; threshold is {threshold} but only {count} keys specified"
        )));
    }
    match levels {
        [] if count > MAX_BARE_KEYS => {
            Err(invalid(format!("Cannot have {count} pubkeys in bare multisig; only at most {MAX_BARE_KEYS} pubkeys")))
        }
        [only] if only.function == "sh" => {
            let own = &keys[keys.len().saturating_sub(count)..];
            let pushes: usize = own.iter().map(|key| if key.root_key().compressed { 34 } else { 66 }).sum();
            // Numbers up to 16 take one byte, larger ones two.
            let numbers = 2 + usize::from(threshold > 16) + usize::from(count > 16);
            let size = pushes + numbers + 1;
            if size > MAX_P2SH_SCRIPT {
                return Err(invalid(format!("P2SH script is too large, {size} bytes is larger than {MAX_P2SH_SCRIPT} bytes")));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
