//! Descriptor trees: canonical text and output scripts.

use super::key::{Key, Place};
use super::miniscript_part::MiniscriptPart;
use crate::address::encode_address;
use crate::solver::Destination;
use bitcoin::key::TapTweak;
use bitcoin::opcodes::all as op;
use bitcoin::script::Builder;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::taproot::{LeafVersion, TaprootBuilder};
use bitcoin::{Network, PublicKey, ScriptBuf, XOnlyPublicKey};

/// One function of a descriptor.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Pk(Key),
    Pkh(Key),
    Wpkh(Key),
    Combo(Key),
    Multi { required: usize, sorted: bool, keys: Vec<Key> },
    MultiA { required: usize, sorted: bool, keys: Vec<Key> },
    Sh(Box<Node>),
    Wsh(Box<Node>),
    Tr { internal: Key, leaves: Vec<(u8, Node)> },
    RawTr(Key),
    Addr(Destination),
    Raw(ScriptBuf),
    Miniscript(MiniscriptPart),
}

/// An output script, with the script inside its hash if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The output script.
    pub script: ScriptBuf,
    /// `sh()`: the redeem script.
    pub redeem: Option<ScriptBuf>,
    /// `wsh()`: the witness script.
    pub witness: Option<ScriptBuf>,
}

fn x_only(key: PublicKey) -> XOnlyPublicKey {
    XOnlyPublicKey::from(key.inner)
}

fn push_number(builder: Builder, number: usize) -> Builder {
    builder.push_int(number as i64)
}

impl Node {
    pub(super) fn keys(&self) -> Vec<&Key> {
        match self {
            Node::Pk(key) | Node::Pkh(key) | Node::Wpkh(key) | Node::Combo(key) | Node::RawTr(key) => vec![key],
            Node::Multi { keys, .. } | Node::MultiA { keys, .. } => keys.iter().collect(),
            Node::Sh(inner) | Node::Wsh(inner) => inner.keys(),
            Node::Tr { internal, leaves } => {
                let mut keys = vec![internal];
                keys.extend(leaves.iter().flat_map(|(_, leaf)| leaf.keys()));
                keys
            }
            Node::Addr(_) | Node::Raw(_) => Vec::new(),
            Node::Miniscript(part) => part.keys().collect(),
        }
    }

    pub(super) fn text(&self, network: Network) -> String {
        let multi = |name: &str, required: &usize, keys: &[Key]| {
            let keys: Vec<String> = keys.iter().map(|key| key.public_text(network)).collect();
            format!("{name}({required},{})", keys.join(","))
        };
        match self {
            Node::Pk(key) => format!("pk({})", key.public_text(network)),
            Node::Pkh(key) => format!("pkh({})", key.public_text(network)),
            Node::Wpkh(key) => format!("wpkh({})", key.public_text(network)),
            Node::Combo(key) => format!("combo({})", key.public_text(network)),
            Node::RawTr(key) => format!("rawtr({})", key.public_text(network)),
            Node::Multi { required, sorted: false, keys } => multi("multi", required, keys),
            Node::Multi { required, sorted: true, keys } => multi("sortedmulti", required, keys),
            Node::MultiA { required, sorted: false, keys } => multi("multi_a", required, keys),
            Node::MultiA { required, sorted: true, keys } => multi("sortedmulti_a", required, keys),
            Node::Sh(inner) => format!("sh({})", inner.text(network)),
            Node::Wsh(inner) => format!("wsh({})", inner.text(network)),
            Node::Addr(destination) => format!("addr({})", encode_address(destination, network)),
            Node::Raw(script) => format!("raw({})", hex::encode(script)),
            Node::Miniscript(part) => part.text(network),
            Node::Tr { internal, leaves } => {
                let tree =
                    if leaves.is_empty() { String::new() } else { format!(",{}", tree_text(&leaf_texts(leaves, network))) };
                format!("tr({}{tree})", internal.public_text(network))
            }
        }
    }

    /// Descriptor of the script number `index` at a position, with its keys derived.
    pub(super) fn derived_text(&self, position: u32, index: usize, secp: &Secp256k1<All>) -> Option<String> {
        self.derived_inner(position, index, secp, false)
    }

    fn derived_inner(&self, position: u32, index: usize, secp: &Secp256k1<All>, tap: bool) -> Option<String> {
        let key_text = |key: &Key| key.derived_text(position, tap, secp);
        let x_only_text = |key: &Key| key.derived_text(position, true, secp);
        let inner = |node: &Node, tap| node.derived_inner(position, index, secp, tap);
        Some(match self {
            Node::Pk(key) => format!("pk({})", key_text(key)?),
            Node::Pkh(key) => format!("pkh({})", key_text(key)?),
            Node::Wpkh(key) => format!("wpkh({})", key_text(key)?),
            Node::RawTr(key) => format!("rawtr({})", x_only_text(key)?),
            Node::Combo(key) => {
                let key = key_text(key)?;
                match index {
                    0 => format!("pk({key})"),
                    1 => format!("pkh({key})"),
                    2 => format!("wpkh({key})"),
                    _ => format!("sh(wpkh({key}))"),
                }
            }
            Node::Multi { required, sorted, keys } | Node::MultiA { required, sorted, keys } => {
                let mut derived: Vec<(Vec<u8>, String)> = Vec::new();
                for key in keys {
                    derived.push((key.derive(position, secp)?.to_bytes()[usize::from(tap)..].to_vec(), key_text(key)?));
                }
                if *sorted {
                    derived.sort();
                }
                let keys: Vec<String> = derived.into_iter().map(|(_, text)| text).collect();
                format!("{}({required},{})", if tap { "multi_a" } else { "multi" }, keys.join(","))
            }
            Node::Sh(node) => format!("sh({})", inner(node, false)?),
            Node::Wsh(node) => format!("wsh({})", inner(node, false)?),
            Node::Tr { internal, leaves } => {
                let mut tree = Vec::new();
                for (depth, leaf) in leaves {
                    tree.push((*depth, inner(leaf, true)?));
                }
                let tree = if tree.is_empty() { String::new() } else { format!(",{}", tree_text(&tree)) };
                format!("tr({}{tree})", x_only_text(internal)?)
            }
            Node::Miniscript(part) => part.derived_text(position, tap, secp)?,
            Node::Addr(_) | Node::Raw(_) => return None,
        })
    }

    /// Output scripts at a position; `None` if a hardened step lacks its private key.
    pub(super) fn expand(&self, position: u32, secp: &Secp256k1<All>) -> Option<Vec<Expanded>> {
        let plain = |script| Expanded { script, redeem: None, witness: None };
        Some(match self {
            Node::Combo(key) => {
                let key = key.derive(position, secp)?;
                let pkh = ScriptBuf::new_p2pkh(&key.pubkey_hash());
                let mut scripts = vec![plain(ScriptBuf::new_p2pk(&key)), plain(pkh)];
                if let Ok(hash) = key.wpubkey_hash() {
                    let wpkh = ScriptBuf::new_p2wpkh(&hash);
                    let sh = ScriptBuf::new_p2sh(&wpkh.script_hash());
                    scripts.push(plain(wpkh.clone()));
                    scripts.push(Expanded { script: sh, redeem: Some(wpkh), witness: None });
                }
                scripts
            }
            Node::Sh(inner) => {
                let inner = inner.expand(position, secp)?.into_iter().next()?;
                let script = ScriptBuf::new_p2sh(&inner.script.script_hash());
                vec![Expanded { script, redeem: Some(inner.script), witness: inner.witness }]
            }
            Node::Wsh(inner) => {
                let witness = inner.script(position, secp, Place::P2wsh)?;
                let script = ScriptBuf::new_p2wsh(&witness.wscript_hash());
                vec![Expanded { script, redeem: None, witness: Some(witness) }]
            }
            _ => vec![plain(self.script(position, secp, Place::Top)?)],
        })
    }

    /// The script of a node that makes exactly one.
    fn script(&self, position: u32, secp: &Secp256k1<All>, place: Place) -> Option<ScriptBuf> {
        let derive = |key: &Key| key.derive(position, secp);
        Some(match self {
            Node::Pk(key) if place == Place::P2tr => {
                Builder::new().push_x_only_key(&x_only(derive(key)?)).push_opcode(op::OP_CHECKSIG).into_script()
            }
            Node::Pk(key) => ScriptBuf::new_p2pk(&derive(key)?),
            Node::Pkh(key) => ScriptBuf::new_p2pkh(&derive(key)?.pubkey_hash()),
            Node::Wpkh(key) => ScriptBuf::new_p2wpkh(&derive(key)?.wpubkey_hash().ok()?),
            Node::Multi { required, sorted, keys } => {
                let mut keys: Vec<PublicKey> = keys.iter().map(derive).collect::<Option<_>>()?;
                if *sorted {
                    keys.sort_by_key(|key| key.to_bytes());
                }
                multisig_script(*required, &keys)
            }
            Node::MultiA { required, sorted, keys } => {
                let derived = keys.iter().map(|key| derive(key).map(x_only));
                let mut keys: Vec<XOnlyPublicKey> = derived.collect::<Option<_>>()?;
                if *sorted {
                    keys.sort_by_key(|key| key.serialize());
                }
                let builder = keys.iter().enumerate().fold(Builder::new(), |builder, (i, key)| {
                    let check = if i == 0 { op::OP_CHECKSIG } else { op::OP_CHECKSIGADD };
                    builder.push_x_only_key(key).push_opcode(check)
                });
                push_number(builder, *required).push_opcode(op::OP_NUMEQUAL).into_script()
            }
            Node::RawTr(key) => Destination::Witness(1, x_only(derive(key)?).serialize().to_vec()).script(),
            Node::Addr(destination) => destination.script(),
            Node::Raw(script) => script.clone(),
            Node::Miniscript(part) => part.script(position, secp)?,
            Node::Tr { internal, leaves } => {
                let internal = x_only(derive(internal)?);
                let root = if leaves.is_empty() {
                    None
                } else {
                    let mut builder = TaprootBuilder::with_capacity(leaves.len());
                    for (depth, leaf) in leaves {
                        let script = leaf.script(position, secp, Place::P2tr)?;
                        builder = builder.add_leaf_with_ver(*depth, script, LeafVersion::TapScript).ok()?;
                    }
                    builder.finalize(secp, internal).ok()?.merkle_root()
                };
                let (key, _) = internal.tap_tweak(secp, root);
                Destination::Witness(1, key.to_x_only_public_key().serialize().to_vec()).script()
            }
            Node::Combo(_) | Node::Sh(_) | Node::Wsh(_) => return None,
        })
    }
}

/// Bare multi-signature script.
pub fn multisig_script(required: usize, keys: &[PublicKey]) -> ScriptBuf {
    let builder = keys.iter().fold(push_number(Builder::new(), required), |builder, key| builder.push_key(key));
    push_number(builder, keys.len()).push_opcode(op::OP_CHECKMULTISIG).into_script()
}

fn leaf_texts(leaves: &[(u8, Node)], network: Network) -> Vec<(u8, String)> {
    leaves.iter().map(|(depth, leaf)| (*depth, leaf.text(network))).collect()
}

fn tree_text(leaves: &[(u8, String)]) -> String {
    let mut text = String::new();
    // For each open brace whether its right side is being written.
    let mut branches: Vec<bool> = Vec::new();
    for (depth, leaf) in leaves {
        if !text.is_empty() {
            text.push(',');
        }
        while branches.len() < usize::from(*depth) {
            text.push('{');
            branches.push(false);
        }
        text.push_str(leaf);
        while branches.last() == Some(&true) {
            branches.pop();
            text.push('}');
        }
        if let Some(last) = branches.last_mut() {
            *last = true;
        }
    }
    text
}
