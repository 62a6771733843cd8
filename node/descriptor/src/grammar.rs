//! What Core's parser refuses, in its order and with its texts (src/script/descriptor.cpp): which function stands where, keys,
//! bounds of multisig, and how many descriptors a text with `<a;b;...>` steps stands for. Miniscript is left to the builder.

use super::parse::{BuildError, Built, build, parse_fixed};
use super::{Aggregate, Context, DescriptorError, KeyExpression, Keys};
use bitcoin::Network;

/// Most keys of a bare multisig that is relayed.
const MAX_BARE_KEYS: usize = 3;
/// Most keys that OP_CHECKMULTISIG takes.
const MAX_MULTISIG_KEYS: usize = 20;
/// Most keys of `multi_a`.
const MAX_MULTI_A_KEYS: usize = 999;
/// Largest script inside pay to script hash.
const MAX_P2SH_SCRIPT: usize = 520;
/// Deepest leaf of a tree of scripts.
const MAX_TREE_DEPTH: usize = 128;
/// Any x coordinate: stands for an internal key where a leaf is judged alone.
const SOME_KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// Where a function stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    P2sh,
    P2wsh,
    P2tr,
}

impl Place {
    fn context(self) -> Context {
        match self {
            Self::Top | Self::P2sh => Context::Legacy,
            Self::P2wsh => Context::Segwit,
            Self::P2tr => Context::Taproot,
        }
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, DescriptorError> {
    Err(DescriptorError::Invalid(text.into()))
}

/// Splits off the first expression: up to a comma or closing bracket outside all brackets.
fn expression(text: &str) -> (&str, &str) {
    let mut level = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'{' => level += 1,
            b')' | b'}' if level > 0 => level -= 1,
            b')' | b'}' | b',' if level == 0 => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}

fn function<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

/// Core's `%c` of the rest of a text.
fn first(text: &str) -> char {
    text.chars().next().unwrap_or(' ')
}

/// The length of lists of which each has this one or length 1.
fn common_length(lengths: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let longest = lengths.clone().max().unwrap_or(1);
    lengths.into_iter().all(|length| length == 1 || length == longest).then_some(longest)
}

/// Reads a text without keeping what it says.
pub(super) struct Grammar {
    pub(super) network: Option<Network>,
}

impl Grammar {
    /// How many descriptors a text without checksum stands for.
    pub(super) fn check(&self, text: &str) -> Result<usize, DescriptorError> {
        let (inner, rest) = expression(text);
        let count = self.script(inner, Place::Top)?;
        // Core says nothing of what stands behind.
        if rest.is_empty() { Ok(count) } else { refuse("") }
    }

    /// A key expression, with as many alternatives as it stands for, and the length of its key.
    fn key(&self, text: &str, context: Context) -> Result<(usize, usize), DescriptorError> {
        if text.starts_with("musig(") {
            return Ok((self.musig(text, context)?, 33));
        }
        let keys = KeyExpression::parse(text, context, self.network.map(Into::into), &mut Keys::default())?;
        Ok((keys.len(), if keys.iter().all(|key| key.root_key().compressed) { 33 } else { 65 }))
    }

    fn named_key(&self, name: &str, text: &str, context: Context) -> Result<usize, DescriptorError> {
        self.key(text, context).map(|(count, _)| count).or_else(|error| refuse(format!("{name}(): {error}")))
    }

    fn musig(&self, text: &str, context: Context) -> Result<usize, DescriptorError> {
        if context != Context::Taproot {
            return refuse("musig() is only allowed in tr() and rawtr()");
        }
        if text.matches(')').count() > 1 {
            return refuse("Too many ')' in musig() expression");
        }
        let Some((inside, derivation)) = text["musig(".len()..].split_once(')') else {
            return refuse("Invalid musig() expression");
        };
        let (mut participants, mut lengths) = (Vec::new(), Vec::new());
        let mut rest = inside;
        while !rest.is_empty() {
            if !participants.is_empty() {
                match rest.strip_prefix(',') {
                    Some(after) => rest = after,
                    None => return refuse(format!("musig(): expected ',', got '{}'", first(rest))),
                }
            }
            let (key, after) = expression(rest);
            let network = self.network.map(Into::into);
            let mut keys = KeyExpression::parse(key, Context::Musig, network, &mut Keys::default())
                .or_else(|error| refuse(format!("musig(): {error}")))?;
            lengths.push(keys.len());
            participants.push(keys.swap_remove(0));
            rest = after;
        }
        let derived = Aggregate::parse(derivation, 0..participants.len(), &participants)?.len();
        let longest = lengths.iter().copied().max().unwrap_or(1);
        if longest > 1 && derived > 1 {
            return refuse("musig(): Cannot have multipath participant keys if musig() is also multipath");
        }
        match common_length(lengths.into_iter()) {
            Some(length) => Ok(length.max(derived)),
            None => refuse("musig(): Multipath derivation paths have mismatched lengths"),
        }
    }

    fn script(&self, text: &str, place: Place) -> Result<usize, DescriptorError> {
        let (top, outer) = (place == Place::Top, matches!(place, Place::Top | Place::P2sh));
        let only_top =
            |allowed: bool, name: &str| if allowed { Ok(()) } else { refuse(format!("Can only have {name} at top level")) };
        if let Some(inner) = function("pk", text) {
            return self.named_key("pk", inner, place.context());
        }
        if let Some(inner) = function("pkh", text)
            && place != Place::P2tr
        {
            return self.named_key("pkh", inner, place.context());
        }
        if let Some(inner) = function("combo", text) {
            only_top(top, "combo()")?;
            return self.named_key("combo", inner, place.context());
        }
        for (name, of_taproot) in [("multi", false), ("sortedmulti", false), ("multi_a", true), ("sortedmulti_a", true)] {
            if let Some(inner) = function(name, text) {
                return self.multi(inner, place, of_taproot);
            }
        }
        if let Some(inner) = function("wpkh", text) {
            if !outer {
                return refuse("Can only have wpkh() at top level or inside sh()");
            }
            return self.named_key("wpkh", inner, Context::Segwit);
        }
        if let Some(inner) = function("sh", text) {
            only_top(top, "sh()")?;
            return self.wrapped(inner, Place::P2sh);
        }
        if let Some(inner) = function("wsh", text) {
            if !outer {
                return refuse("Can only have wsh() at top level or inside sh()");
            }
            return self.wrapped(inner, Place::P2wsh);
        }
        if function("addr", text).is_some() || function("raw", text).is_some() {
            only_top(top, if text.starts_with("addr") { "addr()" } else { "raw()" })?;
            return parse_fixed(text, self.network).map(|_| 1);
        }
        if let Some(inner) = function("tr", text) {
            only_top(top, "tr")?;
            return self.taproot(inner);
        }
        if let Some(inner) = function("rawtr", text) {
            only_top(top, "rawtr")?;
            let (key, rest) = expression(inner);
            if !rest.is_empty() {
                return refuse("rawtr(): only one key expected.");
            }
            return self.named_key("rawtr", key, Context::Taproot);
        }
        if let Some(inner) = function("unused", text) {
            only_top(top, "unused")?;
            let (key, rest) = expression(inner);
            if !rest.is_empty() {
                return refuse("unused(): only one key expected");
            }
            let count = self.key(key, place.context())?.0;
            // What is no range ends in the key or in a number.
            let ranged = key.rsplit('/').next().is_some_and(|last| last.starts_with('*'));
            return if ranged { refuse("unused(): key cannot be ranged") } else { Ok(count) };
        }
        self.miniscript(text, place)
    }

    /// The one script inside `sh` and `wsh`.
    fn wrapped(&self, text: &str, place: Place) -> Result<usize, DescriptorError> {
        let (inner, rest) = expression(text);
        let count = self.script(inner, place)?;
        if rest.is_empty() { Ok(count) } else { refuse("") }
    }

    fn multi(&self, text: &str, place: Place, of_taproot: bool) -> Result<usize, DescriptorError> {
        if of_taproot != (place == Place::P2tr) {
            return refuse(if of_taproot {
                "Can only have multi_a/sortedmulti_a inside tr()"
            } else {
                "Can only have multi/sortedmulti at top level, in sh(), or in wsh()"
            });
        }
        let (threshold, mut rest) = expression(text);
        let digits = !threshold.is_empty() && threshold.bytes().all(|byte| byte.is_ascii_digit());
        let Some(required) = threshold.parse::<u32>().ok().filter(|_| digits) else {
            return refuse(format!("Multi threshold '{threshold}' is not valid"));
        };
        let (mut lengths, mut size) = (Vec::new(), 3);
        while !rest.is_empty() {
            let Some(after) = rest.strip_prefix(',') else {
                return refuse(format!("Multi: expected ',', got '{}'", first(rest)));
            };
            let (key, after) = expression(after);
            let (count, bytes) = self.key(key, place.context()).or_else(|error| refuse(format!("Multi: {error}")))?;
            lengths.push(count);
            size += bytes + 1;
            rest = after;
        }
        let keys = lengths.len();
        let (name, most) = if of_taproot { ("multi_a", MAX_MULTI_A_KEYS) } else { ("multisig", MAX_MULTISIG_KEYS) };
        if keys == 0 || keys > most {
            return refuse(format!("Cannot have {keys} keys in {name}; must have between 1 and {most} keys, inclusive"));
        }
        if required < 1 {
            return refuse(format!("Multisig threshold cannot be {required}, must be at least 1"));
        }
        if usize::try_from(required).is_ok_and(|required| required > keys) {
            return refuse(format!(
                "Multisig threshold cannot be larger than the number of keys; threshold is {required} but only {keys} keys specified"
            ));
        }
        if place == Place::Top && keys > MAX_BARE_KEYS {
            return refuse(format!("Cannot have {keys} pubkeys in bare multisig; only at most {MAX_BARE_KEYS} pubkeys"));
        }
        if place == Place::P2sh && size > MAX_P2SH_SCRIPT {
            return refuse(format!("P2SH script is too large, {size} bytes is larger than {MAX_P2SH_SCRIPT} bytes"));
        }
        common_length(lengths.into_iter())
            .map_or_else(|| refuse("multi(): Multipath derivation paths have mismatched lengths"), Ok)
    }

    fn taproot(&self, text: &str) -> Result<usize, DescriptorError> {
        let (key, rest) = expression(text);
        let internal = self.named_key("tr", key, Context::Taproot)?;
        if rest.is_empty() {
            return Ok(internal);
        }
        let Some(tree) = rest.strip_prefix(',') else { return refuse(format!("tr: expected ',', got '{}'", first(rest))) };
        let leaves = self.leaves(tree)?;
        let longest = leaves.iter().copied().max().unwrap_or(1).max(internal);
        if leaves.iter().any(|length| *length != 1 && *length != longest) {
            return refuse("tr(): Multipath subscripts have mismatched lengths");
        }
        if internal != 1 && internal != longest {
            return refuse("tr(): Multipath internal key mismatches multipath subscripts lengths");
        }
        Ok(longest)
    }

    /// How many descriptors each leaf stands for.
    fn leaves(&self, tree: &str) -> Result<Vec<usize>, DescriptorError> {
        let mut leaves = Vec::new();
        let mut rest = tree;
        // For each open brace whether we are in its right half.
        let mut branches: Vec<bool> = Vec::new();
        loop {
            while let Some(after) = rest.strip_prefix('{') {
                branches.push(false);
                if branches.len() > MAX_TREE_DEPTH {
                    return refuse(format!("tr() supports at most {MAX_TREE_DEPTH} nesting levels"));
                }
                rest = after;
            }
            let (leaf, after) = expression(rest);
            leaves.push(self.script(leaf, Place::P2tr)?);
            rest = after;
            while branches.last() == Some(&true) {
                let Some(after) = rest.strip_prefix('}') else { return refuse("tr(): expected '}' after script expression") };
                rest = after;
                branches.pop();
            }
            let Some(last) = branches.last_mut() else { break };
            let Some(after) = rest.strip_prefix(',') else { return refuse("tr(): expected ',' after script expression") };
            rest = after;
            *last = true;
        }
        if rest.is_empty() { Ok(leaves) } else { refuse("tr(): expected ')' after script expression") }
    }

    /// What is no function of the descriptor language: miniscript, judged in a descriptor of its own.
    fn miniscript(&self, text: &str, place: Place) -> Result<usize, DescriptorError> {
        let before = match place {
            Place::P2wsh => "wsh(".into(),
            Place::Top | Place::P2sh | Place::P2tr => format!("tr({SOME_KEY},"),
        };
        let stands_alone = !text.is_empty() && expression(text).1.is_empty() && !text.starts_with('{');
        let built = if stands_alone {
            build(&format!("{before}{text})"), self.network, &mut Keys::default())
        } else {
            Err(BuildError::NotUnderstood)
        };
        match (built, place) {
            (Err(BuildError::NotUnderstood), Place::P2sh) => refuse("A function is needed within P2SH"),
            (Err(BuildError::NotUnderstood), Place::P2wsh) => refuse("A function is needed within P2WSH"),
            (Err(BuildError::NotUnderstood), _) => refuse(format!("'{text}' is not a valid descriptor function")),
            (Err(BuildError::Key(error)), _) => Err(error),
            (_, Place::Top | Place::P2sh) => refuse("Miniscript expressions can only be used in wsh or tr."),
            (Err(BuildError::Unsound(error)), _) => Err(error),
            (Err(BuildError::NotTop(whole)), _) => {
                // The key of `tr` was read as the first.
                let inner = whole.strip_prefix(&before).and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
                refuse(format!("{inner} is not sane"))
            }
            (Ok(Built { alternatives, .. }), _) => common_length(alternatives.into_iter())
                .map_or_else(|| refuse("Miniscript: Multipath derivation paths have mismatched lengths"), Ok),
        }
    }
}
