//! Splits a descriptor text into pieces and key expressions.

use super::grammar::Grammar;
use super::{Aggregate, Body, Context, Descriptor, DescriptorError, KeyExpression, Keys, Slot, Sorted, position, sanity};
use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, ScriptBuf};
use bulkhead_planted::{Fault, planted};
use core::str::FromStr;
use miniscript::Descriptor as Miniscript;
use miniscript::expression::{FromTree, Tree};

/// Longest accepted text: 999 keys of a `multi_a` with origins.
const MAX_TEXT: usize = 512 * 1024;
/// What a hardened step ends in.
const MARKS: [char; 2] = ['\'', 'h'];

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

/// The descriptors that a text with `<a;b;...>` steps in its keys stands for, without checksums. A text without such steps
/// stands for itself. Keys and addresses must be of this network, and the text right in every other way.
///
/// # Errors
/// Core's text.
pub fn split_multipath(text: &str, checksum_required: bool, network: Network) -> Result<Vec<String>, DescriptorError> {
    let body = strip_checksum(text, checksum_required)?;
    let count = Grammar { network: Some(network) }.check(body)?;
    Ok((0..count).map(|choice| alternative(body, choice)).collect())
}

/// The text with this choice of each multipath step. The grammar has passed it: every `<` has its `>`.
fn alternative(body: &str, choice: usize) -> String {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, (values, after))) = rest.split_once('<').and_then(|(before, at)| Some((before, at.split_once('>')?)))
    {
        let value = values.split(';').nth(choice).unwrap_or_default();
        text.push_str(before);
        text.push_str(value.trim_end_matches(MARKS));
        if value.ends_with(MARKS) {
            // Core keeps one mark for a key: the last.
            text.extend(values.rsplit(';').find_map(|value| value.chars().last().filter(|last| MARKS.contains(last))));
        }
        rest = after;
    }
    text + rest
}

/// Functions whose arguments (from the given position on) are keys.
fn key_arguments(function: &str) -> Option<usize> {
    match function.rsplit(':').next().unwrap_or_default() {
        "pk" | "pkh" | "wpkh" | "combo" | "rawtr" | "unused" | "pk_k" | "pk_h" | "tr" | "musig" => Some(0),
        "multi" | "sortedmulti" | "multi_a" | "sortedmulti_a" => Some(1),
        _ => None,
    }
}

struct Level<'a> {
    function: &'a str,
    argument: usize,
    /// Keys of the tree before this function.
    known: usize,
}

/// Why a descriptor can't be built.
pub(super) enum BuildError {
    /// The text is no miniscript.
    NotUnderstood,
    /// This text is miniscript, but of a type that no script may have.
    NotTop(String),
    /// A key is wrong.
    Key(DescriptorError),
    /// The script could be spent in unexpected ways, or not at all.
    Unsound(DescriptorError),
}

/// A descriptor, the first of those that the text stands for, and how many each of its keys stands for.
pub(super) struct Built {
    pub(super) descriptor: Descriptor,
    pub(super) alternatives: Vec<usize>,
}

pub(super) fn parse(text: &str, keys: &mut Keys, checksum_required: bool) -> Result<Descriptor, DescriptorError> {
    let body = strip_checksum(text, checksum_required)?;
    if (Grammar { network: None }).check(body)? != 1 {
        return Err(invalid("Multipath descriptor where one of its descriptors is needed"));
    }
    if let Some(descriptor) = parse_fixed(body, None)? {
        return Ok(descriptor);
    }
    match build(body, None, keys) {
        Ok(built) => Ok(built.descriptor),
        Err(BuildError::Key(error) | BuildError::Unsound(error)) => Err(error),
        // Limits of the library that Core does not have.
        Err(BuildError::NotUnderstood | BuildError::NotTop(_)) => {
            Err(invalid(format!("'{body}' is not a valid descriptor function")))
        }
    }
}

/// Builds what the grammar has passed, or one miniscript inside `wsh` or `tr`.
pub(super) fn build(body: &str, network: Option<Network>, keys: &mut Keys) -> Result<Built, BuildError> {
    let mut pieces = vec![String::new()];
    let mut expressions: Vec<KeyExpression> = Vec::new();
    let mut tree = String::new();
    let mut sorted = Vec::new();
    let mut levels: Vec<Level<'_>> = Vec::new();
    let (mut slots, mut aggregates, mut alternatives) = (Vec::new(), Vec::new(), Vec::new());
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
            return Err(BuildError::Key(invalid("musig() is only allowed in tr() and rawtr()")));
        }
        if let Some(participants) = closed.take() {
            let mut derived = Aggregate::parse(token, participants, &expressions).map_err(BuildError::Key)?;
            alternatives.push(derived.len());
            tree.push_str(&format!("K{}", position(slots.len())));
            slots.push(Slot::Aggregate(aggregates.len()));
            aggregates.push(derived.swap_remove(0));
            append(&mut pieces, token);
        } else if is_key {
            let mut parsed =
                KeyExpression::parse(token, context(&levels), network.map(Into::into), keys).map_err(BuildError::Key)?;
            alternatives.push(parsed.len());
            let expression = parsed.swap_remove(0);
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
            '(' if opens_musig => levels.push(Level { function: token, argument: 0, known: expressions.len() }),
            '(' => levels.push(Level { function: token, argument: 0, known: slots.len() }),
            '{' => levels.push(Level { function: "{", argument: 0, known: slots.len() }),
            ')' if inside => {
                let first = levels.pop().map_or(0, |level| level.known);
                closed = Some(first..expressions.len());
            }
            ')' | '}' => {
                if let Some(level) = levels.pop().filter(|level| level.function.starts_with("sorted")) {
                    let x_only = level.function == "sortedmulti_a";
                    sorted.push(Sorted { keys: level.known..slots.len(), x_only });
                }
            }
            _ => {
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
    let body = tree_body(&tree, &shown, sorted)?;
    Ok(Built { descriptor: Descriptor { pieces, keys: expressions, aggregates, slots, body }, alternatives })
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

fn tree_body(tree: &str, keys: &[String], sorted: Vec<Sorted>) -> Result<Body, BuildError> {
    let whole = |name: &str| tree == format!("{name}(K0)") || tree == format!("{name}(U0)");
    if whole("combo") {
        return Ok(Body::Combo);
    }
    if whole("rawtr") {
        return Ok(Body::RawTr);
    }
    if whole("unused") {
        return Ok(Body::Unused);
    }
    // Not `from_str`: for taproot that also judges whether the scripts are sane, in its own words.
    let parsed = Tree::from_str(tree).and_then(|tree| Miniscript::from_tree(tree.root()));
    let script = parsed.map_err(|error| match error {
        miniscript::Error::NonTopLevel(_) => BuildError::NotTop(sanity::show(tree, keys)),
        _ => BuildError::NotUnderstood,
    })?;
    sanity::check(&script, keys).map_err(BuildError::Unsound)?;
    Ok(Body::Script { tree: Box::new(script), sorted })
}

/// `raw(hex)` and `addr(address)`; without a network addresses of all networks are taken.
pub(super) fn parse_fixed(text: &str, network: Option<Network>) -> Result<Option<Descriptor>, DescriptorError> {
    let inner =
        |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.strip_suffix(')'));
    let (piece, script) = if let Some(hex) = inner("raw") {
        let script = ScriptBuf::from(
            hex::decode(hex).ok().filter(|bytes| !bytes.is_empty()).ok_or_else(|| invalid("Raw script is not hex"))?,
        );
        (format!("raw({})", hex::encode(script.as_bytes())), script)
    } else if let Some(address) = inner("addr") {
        let address = Address::<NetworkUnchecked>::from_str(address)
            .ok()
            .filter(|address| network.is_none_or(|network| address.is_valid_for_network(network)))
            .ok_or_else(|| invalid("Address is not valid"))?;
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
