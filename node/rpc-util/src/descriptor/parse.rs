//! Reading descriptors.

use super::checksum::{split_checksum, with_checksum};
use super::key::{Key, Place};
use super::miniscript_part::MiniscriptPart;
use super::node::{Expanded, Node};
use crate::address::decode_address;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Network, ScriptBuf};

const MAX_MULTISIG_KEYS: usize = 20;
const MAX_MULTI_A_KEYS: usize = 999;
const MAX_TREE_DEPTH: usize = 128;
/// Longer texts are refused before any work.
const MAX_LENGTH: usize = 1 << 20;

/// A parsed descriptor.
#[derive(Debug, Clone)]
pub struct Descriptor {
    node: Node,
    network: Network,
    secp: Secp256k1<All>,
}

impl Descriptor {
    /// Parses a descriptor; one with a `<a;b>` path step gives one for each of the values.
    ///
    /// # Errors
    /// Core's texts.
    pub fn parse(text: &str, network: Network, require_checksum: bool) -> Result<Vec<Self>, String> {
        if text.len() > MAX_LENGTH {
            return Err("Descriptor is too long".into());
        }
        let (payload, _) = split_checksum(text, require_checksum)?;
        let secp = Secp256k1::new();
        expand_multipath(payload)?
            .iter()
            .map(|payload| {
                let parser = Parser { network, secp: &secp };
                let node = parser.script(payload, Place::Top)?;
                Ok(Self { node, network, secp: secp.clone() })
            })
            .collect()
    }

    /// Canonical text without private keys, with checksum.
    pub fn public_text(&self) -> String {
        with_checksum(&self.node.text(self.network))
    }

    /// Whether it stands for a row of scripts.
    pub fn is_range(&self) -> bool {
        self.node.keys().iter().any(|key| key.is_range())
    }

    /// Whether its keys are known, so that it could be signed for: not `addr()` and `raw()`.
    pub fn is_solvable(&self) -> bool {
        !matches!(self.node, Node::Addr(_) | Node::Raw(_))
    }

    /// Whether a private key stood in the text.
    pub fn has_private_keys(&self) -> bool {
        self.node.keys().iter().any(|key| key.has_secret())
    }

    /// Whether it is `combo()`.
    pub fn is_combo(&self) -> bool {
        matches!(self.node, Node::Combo(_))
    }

    /// Its key expressions.
    pub fn keys(&self) -> Vec<&Key> {
        self.node.keys()
    }

    /// Descriptor of script number `index` at a position with its keys derived and their origins; `None` for `addr()` and
    /// `raw()`.
    pub fn describe(&self, position: u32, index: usize) -> Option<String> {
        self.node.derived_text(position, index, &self.secp).map(|text| with_checksum(&text))
    }

    /// Output scripts at a position (0 for descriptors without range); `None` if private keys are missing.
    pub fn expand(&self, position: u32) -> Option<Vec<Expanded>> {
        self.node.expand(position, &self.secp)
    }
}

/// One text for each value of the multipath steps.
fn expand_multipath(text: &str) -> Result<Vec<String>, String> {
    let mut lists: Vec<(usize, usize, Vec<&str>)> = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find('<').map(|at| from + at) {
        let Some(end) = text[start..].find('>').map(|at| start + at) else { break };
        let values: Vec<&str> = text[start + 1..end].split(';').collect();
        if values.len() < 2 {
            return Err("Multipath key path specifiers must have at least two items".into());
        }
        for (i, value) in values.iter().enumerate() {
            if values[..i].contains(value) {
                return Err(format!("Duplicated key path value {value} in multipath specifier"));
            }
        }
        if let Some((_, last_end, _)) = lists.last()
            && !text[*last_end..start].contains([',', '(', ')', ']'])
        {
            return Err("Multiple multipath key path specifiers found".into());
        }
        lists.push((start, end + 1, values));
        from = end;
    }
    let Some(count) = lists.first().map(|(_, _, values)| values.len()) else { return Ok(vec![text.into()]) };
    if lists.iter().any(|(_, _, values)| values.len() != count) {
        return Err(if text.starts_with("tr(") {
            "tr(): Multipath subscripts have mismatched lengths".into()
        } else if text.contains("multi(") {
            "multi(): Multipath derivation paths have mismatched lengths".into()
        } else {
            "Miniscript: Multipath derivation paths have mismatched lengths".into()
        });
    }
    let expand = |i: usize| {
        let mut out = String::new();
        let mut from = 0;
        for (start, end, values) in &lists {
            out.push_str(&text[from..*start]);
            out.push_str(values[i]);
            from = *end;
        }
        out.push_str(&text[from..]);
        out
    };
    Ok((0..count).map(expand).collect())
}

/// Splits off the first expression: up to a comma or closing bracket outside all brackets.
fn expression(text: &str) -> (&str, &str) {
    let mut level = 0usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'{' => level += 1,
            b')' | b'}' if level > 0 => level -= 1,
            b')' | b'}' | b',' if level == 0 => return text.split_at(i),
            _ => {}
        }
    }
    (text, "")
}

fn function<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

struct Parser<'a> {
    network: Network,
    secp: &'a Secp256k1<All>,
}

impl Parser<'_> {
    fn key(&self, text: &str, place: Place, label: &str) -> Result<Key, String> {
        Key::parse(text, place, self.network, self.secp).map_err(|error| format!("{label}: {error}"))
    }

    fn script(&self, text: &str, place: Place) -> Result<Node, String> {
        let (expr, rest) = expression(text);
        if !rest.is_empty() {
            return Err(format!("'{text}' is not a valid descriptor function"));
        }
        let top = place == Place::Top;
        let is_outer = matches!(place, Place::Top | Place::P2sh);
        if let Some(inner) = function("pk", expr) {
            return Ok(Node::Pk(self.key(inner, place, "pk()")?));
        }
        if let Some(inner) = function("pkh", expr)
            && place != Place::P2tr
        {
            return Ok(Node::Pkh(self.key(inner, place, "pkh()")?));
        }
        if let Some(inner) = function("combo", expr) {
            if !top {
                return Err("Can only have combo() at top level".into());
            }
            return Ok(Node::Combo(self.key(inner, place, "combo()")?));
        }
        for (name, sorted, tap) in
            [("multi", false, false), ("sortedmulti", true, false), ("multi_a", false, true), ("sortedmulti_a", true, true)]
        {
            if let Some(inner) = function(name, expr) {
                return self.multi(inner, place, sorted, tap);
            }
        }
        if let Some(inner) = function("wpkh", expr) {
            if !is_outer {
                return Err("Can only have wpkh() at top level or inside sh()".into());
            }
            return Ok(Node::Wpkh(self.key(inner, Place::P2wpkh, "wpkh()")?));
        }
        if let Some(inner) = function("sh", expr) {
            if !top {
                return Err("Can only have sh() at top level".into());
            }
            return Ok(Node::Sh(Box::new(self.script(inner, Place::P2sh)?)));
        }
        if let Some(inner) = function("wsh", expr) {
            if !is_outer {
                return Err("Can only have wsh() at top level or inside sh()".into());
            }
            return Ok(Node::Wsh(Box::new(self.script(inner, Place::P2wsh)?)));
        }
        if let Some(inner) = function("addr", expr) {
            if !top {
                return Err("Can only have addr() at top level".into());
            }
            let destination = decode_address(inner, self.network).map_err(|_| "Address is not valid")?;
            return Ok(Node::Addr(destination));
        }
        if let Some(inner) = function("tr", expr) {
            if !top {
                return Err("Can only have tr at top level".into());
            }
            return self.taproot(inner);
        }
        if let Some(inner) = function("rawtr", expr) {
            if !top {
                return Err("Can only have rawtr at top level".into());
            }
            let (key, rest) = expression(inner);
            if !rest.is_empty() {
                return Err("rawtr(): only one key expected.".into());
            }
            return Ok(Node::RawTr(self.key(key, Place::P2tr, "rawtr()")?));
        }
        if let Some(inner) = function("raw", expr) {
            if !top {
                return Err("Can only have raw() at top level".into());
            }
            let bytes = hex::decode(inner).map_err(|_| "Raw script is not hex")?;
            return Ok(Node::Raw(ScriptBuf::from_bytes(bytes)));
        }
        match place {
            Place::P2wsh | Place::P2tr if expr.contains('(') => {
                MiniscriptPart::parse(expr, place, self.network, self.secp).map(Node::Miniscript)
            }
            Place::P2sh => Err("A function is needed within P2SH".into()),
            Place::P2wsh => Err("A function is needed within P2WSH".into()),
            _ => Err(format!("'{expr}' is not a valid descriptor function")),
        }
    }

    fn multi(&self, text: &str, place: Place, sorted: bool, tap: bool) -> Result<Node, String> {
        if tap && place != Place::P2tr {
            return Err("Can only have multi_a/sortedmulti_a inside tr()".into());
        }
        if !tap && place == Place::P2tr {
            return Err("Can only have multi/sortedmulti at top level, in sh(), or in wsh()".into());
        }
        let (threshold, mut rest) = expression(text);
        let digits = !threshold.is_empty() && threshold.bytes().all(|byte| byte.is_ascii_digit());
        let required: u32 = match threshold.parse() {
            Ok(required) if digits => required,
            _ => return Err(format!("Multi threshold '{threshold}' is not valid")),
        };
        let required = required as usize;
        let mut keys = Vec::new();
        while !rest.is_empty() {
            let Some(after) = rest.strip_prefix(',') else {
                return Err(format!("Multi: expected ',', got '{}'", rest.chars().next().unwrap_or(' ')));
            };
            let (key, next) = expression(after);
            keys.push(self.key(key, place, "Multi")?);
            rest = next;
        }
        let (kind, max) = if tap { ("multi_a", MAX_MULTI_A_KEYS) } else { ("multisig", MAX_MULTISIG_KEYS) };
        if keys.is_empty() || keys.len() > max {
            return Err(format!("Cannot have {} keys in {kind}; must have between 1 and {max} keys, inclusive", keys.len()));
        }
        if required < 1 {
            return Err(format!("Multisig threshold cannot be {required}, must be at least 1"));
        }
        if required > keys.len() {
            return Err(format!(
                "Multisig threshold cannot be larger than the number of keys; threshold is {required} but only {} keys specified",
                keys.len()
            ));
        }
        if place == Place::Top && keys.len() > 3 {
            return Err(format!("Cannot have {} pubkeys in bare multisig; only at most 3 pubkeys", keys.len()));
        }
        let size: usize = keys.iter().map(|key| key.size() + 1).sum::<usize>() + 3;
        if place == Place::P2sh && size > 520 {
            return Err(format!("P2SH script is too large, {size} bytes is larger than 520 bytes"));
        }
        Ok(if tap { Node::MultiA { required, sorted, keys } } else { Node::Multi { required, sorted, keys } })
    }

    fn taproot(&self, text: &str) -> Result<Node, String> {
        let (key, mut rest) = expression(text);
        let internal = self.key(key, Place::P2tr, "tr()")?;
        let mut leaves = Vec::new();
        if rest.is_empty() {
            return Ok(Node::Tr { internal, leaves });
        }
        let Some(tree) = rest.strip_prefix(',') else {
            return Err(format!("tr: expected ',', got '{}'", rest.chars().next().unwrap_or(' ')));
        };
        rest = tree;
        // For each open brace whether we are in its right half.
        let mut branches: Vec<bool> = Vec::new();
        loop {
            while let Some(after) = rest.strip_prefix('{') {
                branches.push(false);
                if branches.len() > MAX_TREE_DEPTH {
                    return Err(format!("tr() supports at most {MAX_TREE_DEPTH} nesting levels"));
                }
                rest = after;
            }
            let (leaf, after) = expression(rest);
            leaves.push((branches.len() as u8, self.script(leaf, Place::P2tr)?));
            rest = after;
            while branches.last() == Some(&true) {
                rest = rest.strip_prefix('}').ok_or("tr(): expected '}' after script expression")?;
                branches.pop();
            }
            let Some(last) = branches.last_mut() else { break };
            rest = rest.strip_prefix(',').ok_or("tr(): expected ',' after script expression")?;
            *last = true;
        }
        if !rest.is_empty() {
            return Err("tr(): expected ')' after script expression".into());
        }
        Ok(Node::Tr { internal, leaves })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn scripts(text: &str, position: u32) -> Vec<String> {
        let parsed = Descriptor::parse(text, Network::Bitcoin, false).unwrap();
        parsed[0].expand(position).unwrap().iter().map(|expanded| hex::encode(&expanded.script)).collect()
    }

    /// Vectors of BIP381 to BIP386.
    #[test]
    fn bip_vectors_give_their_scripts() {
        let wif = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1";
        let key = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd";
        assert_eq!(scripts(&format!("pk({wif})"), 0), [format!("21{key}ac")]);
        assert_eq!(scripts(&format!("pkh({key})"), 0), ["76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"]);
        assert_eq!(scripts(&format!("wpkh({key})"), 0), ["00149a1c78a507689f6f54b847ad1cef1e614ee23f1e"]);
        assert_eq!(scripts(&format!("sh(wpkh({key}))"), 0), ["a91484ab21b1b2fd065d4504ff693d832434b6108d7b87"]);
        assert_eq!(scripts(&format!("combo({key})"), 0).len(), 4);
        assert_eq!(
            scripts("tr(a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd)", 0),
            ["512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11"]
        );
        assert_eq!(
            scripts(
                "tr(a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd,pk(669b8afcec803a0d323e9a17f3ea8e68e8abe5a278020a929adbec52421adbd0))",
                0
            ),
            ["512017cf18db381d836d8923b1bdb246cfcd818da1a9f0e6e7907f187f0b2f937754"]
        );
        let xpub =
            "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH";
        assert_eq!(
            scripts(&format!("wpkh([ffffffff/13'){xpub}/1/2/*)").replace("13')", "13']"), 0),
            ["0014326b2249e3a25d5dc60935f044ee835d090ba859"]
        );
    }

    #[test]
    fn canonical_text_hides_private_keys() {
        let wif = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1";
        let parsed = Descriptor::parse(&format!("sh(multi(1,{wif}))"), Network::Bitcoin, false).unwrap();
        assert!(parsed[0].has_private_keys());
        let text = parsed[0].public_text();
        assert!(text.starts_with("sh(multi(1,03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd))#"));
        assert_eq!(Descriptor::parse(&text, Network::Bitcoin, true).unwrap()[0].public_text(), text);
    }

    #[test]
    fn miniscript_and_trees_round_trip() {
        let key = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd";
        let x = &key[2..];
        for text in [
            format!("wsh(and_v(v:pk({key}),older(100)))"),
            format!("tr({x},{{pk({x}),{{multi_a(1,{x}),and_v(v:pk({x}),after(10))}}}})"),
            format!("sh(wsh(sortedmulti(1,{key})))"),
        ] {
            let parsed = Descriptor::parse(&text, Network::Regtest, false).unwrap();
            assert_eq!(parsed[0].public_text(), with_checksum(&text));
            assert!(parsed[0].expand(0).is_some(), "{text}");
        }
    }

    #[test]
    fn multipath_gives_several() {
        let xpub =
            "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH";
        let parsed = Descriptor::parse(&format!("wpkh({xpub}/<0;1>/*)"), Network::Bitcoin, false).unwrap();
        let texts: Vec<String> = parsed.iter().map(Descriptor::public_text).collect();
        assert!(texts[0].starts_with(&format!("wpkh({xpub}/0/*)#")) && texts[1].starts_with(&format!("wpkh({xpub}/1/*)#")));
        assert!(parsed[0].is_range());
    }

    #[test]
    fn errors_are_the_known_ones() {
        let key = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd";
        for (text, error) in [
            ("foo(1)".to_owned(), "'foo(1)' is not a valid descriptor function"),
            ("pk()".into(), "pk(): No key provided"),
            (format!("sh(sh(pk({key})))"), "Can only have sh() at top level"),
            (format!("multi(0,{key})"), "Multisig threshold cannot be 0, must be at least 1"),
            (format!("multi(a,{key})"), "Multi threshold 'a' is not valid"),
            (format!("sh({key})"), "A function is needed within P2SH"),
            ("addr(1)".into(), "Address is not valid"),
            ("raw(0)".into(), "Raw script is not hex"),
            (format!("pkh([aaaaaaa]{key})"), "pkh(): Fingerprint is not 4 bytes (7 characters instead of 8 characters)"),
        ] {
            assert_eq!(Descriptor::parse(&text, Network::Bitcoin, false).unwrap_err(), error, "{text}");
        }
    }
}
