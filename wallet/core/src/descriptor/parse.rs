//! Splits a descriptor text into pieces and key expressions.

use super::{
    Aggregate, Body, Context, Descriptor, DescriptorError, KeyExpression, Keys, Slot, Sorted, position, sanity, structure,
};
use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, ScriptBuf};
use bulkhead_planted::{Fault, planted};
use core::str::FromStr;
use miniscript::Descriptor as Miniscript;
use miniscript::expression::{FromTree, Tree};

/// Longest accepted text: 999 keys of a `multi_a` with origins.
const MAX_TEXT: usize = 512 * 1024;
/// Most descriptors that one multipath text may stand for.
const MAX_PATHS: usize = 1000;

fn invalid(text: impl Into<String>) -> DescriptorError {
    DescriptorError::Invalid(text.into())
}

/// Checks the checksum and answers the text without it.
fn strip_checksum(text: &str, required: bool) -> Result<&str, DescriptorError> {
    if text.len() > MAX_TEXT {
        return Err(invalid("Descriptor is too long"));
    }
    let mut parts = text.split('#');
    let body = parts.next().unwrap_or_default();
    let found = parts.next();
    if parts.next().is_some() {
        return Err(invalid("Multiple '#' symbols"));
    }
    let Some(computed) = super::checksum(body) else { return Err(invalid("Invalid characters in payload")) };
    match found {
        None if required => Err(invalid("Missing checksum")),
        None => Ok(body),
        Some(found) if found.len() != 8 => Err(invalid(format!("Expected 8 character checksum, not {} characters", found.len()))),
        Some(found) if planted(Fault::DescriptorChecksum) && found.as_bytes()[..7] == computed.as_bytes()[..7] => Ok(body),
        Some(found) if found != computed => {
            Err(invalid(format!("Provided checksum '{found}' does not match computed checksum '{computed}'")))
        }
        Some(_) => Ok(body),
    }
}

/// The descriptors that a text with one `<a;b;...>` step in its keys stands for, without checksums. A text without
/// such a step stands for itself.
///
/// # Errors
/// Wrong checksum, or keys with different numbers of alternatives.
pub fn split_multipath(text: &str, checksum_required: bool) -> Result<Vec<String>, DescriptorError> {
    let body = strip_checksum(text, checksum_required)?;
    let mut count = 1;
    let mut segments: Vec<(String, Vec<String>)> = Vec::new();
    let mut rest = body;
    while let Some((before, after)) = rest.split_once('<') {
        let (inner, after) = after.split_once('>').ok_or_else(|| invalid("Multipath key path specifier is not closed"))?;
        let values: Vec<String> = inner.split(';').map(str::to_owned).collect();
        let so_far = &body[..body.len() - rest.len() + before.len()];
        let invalid = |text: String| invalid(structure::with_function(so_far, &text));
        if values.len() < 2 {
            return Err(invalid("Multipath key path specifiers must have at least two items".into()));
        }
        if before.rsplit(['(', ',', '{']).next().is_some_and(|key| key.starts_with('[') && !key.contains(']')) {
            return Err(invalid(format!(
                "Key path value '<{inner}>' specifies multipath in a section where multipath is not allowed"
            )));
        }
        for (position, value) in values.iter().enumerate() {
            if values[..position].contains(value) {
                return Err(invalid(format!("Duplicated key path value {value} in multipath specifier")));
            }
        }
        if !segments.is_empty() && before.bytes().all(|byte| !matches!(byte, b',' | b'(' | b')' | b'{' | b'}')) {
            return Err(invalid("Multiple multipath key path specifiers found".into()));
        }
        if count != 1 && values.len() != count {
            return Err(DescriptorError::Invalid("Multipath subscripts have mismatched lengths".into()));
        }
        if values.len() > MAX_PATHS {
            return Err(invalid("Too many multipath alternatives".into()));
        }
        count = values.len();
        segments.push((before.to_owned(), values));
        rest = after;
    }
    Ok((0..count)
        .map(|choice| {
            let mut text = String::with_capacity(body.len());
            for (before, values) in &segments {
                text.push_str(before);
                text.push_str(&values[choice]);
            }
            text.push_str(rest);
            text
        })
        .collect())
}

/// Functions whose arguments (from the given position on) are keys.
fn key_arguments(function: &str) -> Option<usize> {
    match function.rsplit(':').next().unwrap_or_default() {
        "pk" | "pkh" | "wpkh" | "combo" | "rawtr" | "unused" | "pk_k" | "pk_h" | "tr" | "musig" => Some(0),
        "multi" | "sortedmulti" | "multi_a" | "sortedmulti_a" => Some(1),
        _ => None,
    }
}

pub(super) struct Level<'a> {
    pub(super) function: &'a str,
    pub(super) argument: usize,
    /// Text of the first argument: the threshold of a multisig.
    pub(super) first: &'a str,
    /// Keys of the tree before this function.
    known: usize,
}

impl<'a> Level<'a> {
    fn note(&mut self, token: &'a str) {
        if self.argument == 0 && self.first.is_empty() {
            self.first = token;
        }
    }

    /// Name without wrappers.
    pub(super) fn name(&self) -> &'a str {
        self.function.rsplit(':').next().unwrap_or_default()
    }
}

pub(super) fn parse(text: &str, keys: &mut Keys, checksum_required: bool) -> Result<Descriptor, DescriptorError> {
    let body = strip_checksum(text, checksum_required)?;
    if let Some(descriptor) = fixed(body)? {
        return Ok(descriptor);
    }
    let mut pieces = vec![String::new()];
    let mut expressions: Vec<KeyExpression> = Vec::new();
    let mut tree = String::new();
    let mut sorted = Vec::new();
    let mut levels: Vec<Level<'_>> = Vec::new();
    let (mut slots, mut aggregates) = (Vec::new(), Vec::new());
    // The participants of a `musig` that was just closed: its derivation may follow.
    let mut closed = None;
    let mut rest = body;
    loop {
        let end = rest.find(['(', ')', '{', '}', ',']).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        let delimiter = after.chars().next();
        let is_key = delimiter != Some('(')
            && !token.is_empty()
            && levels.last().is_some_and(|level| {
                let wanted = level.function.rsplit(':').next() == Some("tr");
                key_arguments(level.function).is_some_and(|first| level.argument >= first && (!wanted || level.argument == 0))
            });
        let inside = levels.last().is_some_and(|level| level.function == "musig");
        let opens_musig = delimiter == Some('(') && token == "musig";
        if (opens_musig && context(&levels) != Context::Taproot) || (inside && matches!(delimiter, Some('(' | '{'))) {
            let error = invalid("musig() is only allowed in tr() and rawtr()");
            return Err(invalid(structure::key_error(&levels, &error)));
        }
        if let Some(participants) = closed.take() {
            let aggregate = Aggregate::parse(token, participants, &expressions)
                .map_err(|error| invalid(structure::key_error(&levels, &error)))?;
            tree.push_str(&format!("K{}", position(slots.len())));
            slots.push(Slot::Aggregate(aggregates.len()));
            aggregates.push(aggregate);
            append(&mut pieces, token);
        } else if is_key {
            let expression = KeyExpression::parse(token, context(&levels), keys)
                .map_err(|error| invalid(structure::key_error(&levels, &error)))?;
            if !inside {
                let uncompressed = !expression.root_key().compressed;
                tree.push_str(&format!("{}{}", if uncompressed { "U" } else { "K" }, position(slots.len())));
                slots.push(Slot::Key(expressions.len()));
            }
            expressions.push(expression);
            pieces.push(String::new());
        } else if opens_musig || inside {
            append(&mut pieces, token);
        } else {
            // Miniscript does not know all forms that sort: their keys are sorted when they are filled in.
            tree.push_str(if delimiter == Some('(') { token.strip_prefix("sorted").unwrap_or(token) } else { token });
            append(&mut pieces, token);
        }
        let Some(delimiter) = delimiter else { break };
        match delimiter {
            '(' if opens_musig => levels.push(Level { function: token, argument: 0, first: "", known: expressions.len() }),
            '(' => {
                structure::check_function(&levels, token)?;
                levels.push(Level { function: token, argument: 0, first: "", known: slots.len() });
            }
            '{' => levels.push(Level { function: "{", argument: 0, first: "", known: slots.len() }),
            ')' if inside => {
                let first = levels.pop().map_or(0, |level| level.known);
                closed = Some(first..expressions.len());
            }
            ')' | '}' => {
                if let Some(mut level) = levels.pop() {
                    level.note(token);
                    structure::check_multi(&levels, &level, &expressions)?;
                    if level.function.starts_with("sorted") {
                        let x_only = level.function == "sortedmulti_a";
                        sorted.push(Sorted { keys: level.known..slots.len(), x_only });
                    }
                }
            }
            _ => {
                levels.iter_mut().last().into_iter().for_each(|level| level.note(token));
                if let Some(level) = levels.last_mut() {
                    level.argument += 1;
                }
            }
        }
        if !opens_musig && !inside {
            tree.push(delimiter);
        }
        append(&mut pieces, delimiter.encode_utf8(&mut [0; 4]));
        rest = &after[1..];
    }
    let shown: Vec<String> = slots
        .iter()
        .map(|slot| match slot {
            Slot::Key(number) => expressions[*number].public_text(),
            Slot::Aggregate(number) => Aggregate::text(&aggregates[*number], &expressions),
        })
        .collect();
    let ranged = expressions.iter().any(KeyExpression::is_range);
    let body = tree_body(body, &tree, ranged, &shown, sorted)?;
    Ok(Descriptor { pieces, keys: expressions, aggregates, slots, body })
}

fn append(pieces: &mut [String], text: &str) {
    if let Some(last) = pieces.last_mut() {
        last.push_str(text);
    }
}

fn context(levels: &[Level<'_>]) -> Context {
    if levels.last().is_some_and(|level| level.function == "musig") {
        Context::Musig
    } else if levels.iter().any(|level| matches!(level.function, "tr" | "rawtr")) {
        Context::Taproot
    } else if levels.iter().any(|level| matches!(level.function, "wsh" | "wpkh")) {
        Context::Segwit
    } else {
        Context::Legacy
    }
}

fn tree_body(text: &str, tree: &str, ranged: bool, keys: &[String], sorted: Vec<Sorted>) -> Result<Body, DescriptorError> {
    let whole = |name: &str| tree == format!("{name}(K0)") || tree == format!("{name}(U0)");
    if whole("combo") {
        return Ok(Body::Combo);
    }
    if whole("rawtr") {
        return Ok(Body::RawTr);
    }
    if whole("unused") {
        return if ranged { Err(invalid("unused(): key cannot be ranged")) } else { Ok(Body::Unused) };
    }
    // Not `from_str`: for taproot that also judges whether the scripts are sane, in its own words.
    let parsed = Tree::from_str(tree).and_then(|tree| Miniscript::from_tree(tree.root()));
    let script = parsed.map_err(|_| invalid(structure::not_understood(text)))?;
    sanity::check(&script, keys)?;
    Ok(Body::Script { tree: Box::new(script), sorted })
}

/// `raw(hex)` and `addr(address)`.
fn fixed(text: &str) -> Result<Option<Descriptor>, DescriptorError> {
    let inner =
        |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.strip_suffix(')'));
    let (piece, script) = if let Some(hex) = inner("raw") {
        let script = ScriptBuf::from(hex::decode(hex).map_err(|_| invalid("Raw script is not hex"))?);
        (format!("raw({})", hex::encode(script.as_bytes())), script)
    } else if let Some(address) = inner("addr") {
        let address = Address::<NetworkUnchecked>::from_str(address).map_err(|_| invalid("Address is not valid"))?;
        let text = address.assume_checked_ref().to_string();
        (format!("addr({text})"), address.assume_checked().script_pubkey())
    } else {
        return Ok(None);
    };
    Ok(Some(Descriptor {
        pieces: vec![piece],
        keys: Vec::new(),
        aggregates: Vec::new(),
        slots: Vec::new(),
        body: Body::Fixed(script),
    }))
}
