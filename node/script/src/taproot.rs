//! What taproot and tapscript signatures sign, and how an output commits to a script (BIP341, BIP342).

use std::sync::OnceLock;

use bitcoin::VarInt;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::{Parity, Scalar, XOnlyPublicKey};

use crate::checker::curve;
use crate::sighash::{TxData, put};

/// Bytes of a control block without its path.
pub const CONTROL_BASE: usize = 33;
/// Bytes of one step of the path.
pub const CONTROL_NODE: usize = 32;
/// Steps that a path may have.
pub const CONTROL_MAX_NODES: usize = 128;
/// Bits of the control block's first byte that are the leaf version.
pub const LEAF_MASK: u8 = 0xfe;
/// Leaf version of tapscript.
pub const LEAF_TAPSCRIPT: u8 = 0xc0;
/// First byte of an annex.
pub const ANNEX_TAG: u8 = 0x50;

/// A tagged hash's state after its tag (BIP340).
struct Tag(&'static str, OnceLock<sha256::HashEngine>);

impl Tag {
    const fn new(name: &'static str) -> Self {
        Self(name, OnceLock::new())
    }

    fn engine(&self) -> sha256::HashEngine {
        let made = self.1.get_or_init(|| {
            let tag = sha256::Hash::hash(self.0.as_bytes());
            let mut engine = sha256::Hash::engine();
            engine.input(tag.as_byte_array());
            engine.input(tag.as_byte_array());
            engine
        });
        made.clone()
    }
}

static SIGHASH: Tag = Tag::new("TapSighash");
static LEAF: Tag = Tag::new("TapLeaf");
static BRANCH: Tag = Tag::new("TapBranch");
static TWEAK: Tag = Tag::new("TapTweak");

/// What a signature depends on besides the transaction.
#[derive(Debug, Default)]
pub struct ExecutionData {
    /// SHA256 of the annex with its length, if there is one.
    pub annex: Option<[u8; 32]>,
    /// Hash of the leaf that is executed; `None`: the key path is taken.
    pub leaf: Option<[u8; 32]>,
    /// Number of the last OP_CODESEPARATOR executed.
    pub code_separator: Option<u32>,
    /// Validation weight that is left for signatures.
    pub weight_left: i64,
}

/// SHA256 of an annex as signatures see it.
pub fn annex_hash(annex: &[u8]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    put(&mut engine, &VarInt(annex.len() as u64));
    engine.input(annex);
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// Hash that a taproot signature signs; `None` for a hash type that is not defined, or without the output that it names
/// (Core: `SignatureHashSchnorr`).
pub fn signature_hash(data: &TxData<'_>, input: usize, hash_type: u8, execution: &ExecutionData) -> Option<[u8; 32]> {
    if !matches!(hash_type, 0..=3 | 0x81..=0x83) || data.spent.len() != data.tx.input.len() {
        return None;
    }
    let txin = data.tx.input.get(input)?;
    let anyone = hash_type & 0x80 != 0;
    let mut engine = SIGHASH.engine();
    engine.input(&[0, hash_type]);
    put(&mut engine, &data.tx.version);
    put(&mut engine, &data.tx.lock_time);
    if !anyone {
        engine.input(data.shared().prevouts.as_byte_array());
        engine.input(data.spent_hashes().amounts.as_byte_array());
        engine.input(data.spent_hashes().scripts.as_byte_array());
        engine.input(data.shared().sequences.as_byte_array());
    }
    let outputs = hash_type & 3;
    if matches!(outputs, 0 | 1) {
        engine.input(data.shared().outputs.as_byte_array());
    }
    let extension = u8::from(execution.leaf.is_some());
    engine.input(&[extension << 1 | u8::from(execution.annex.is_some())]);
    if anyone {
        put(&mut engine, &txin.previous_output);
        put(&mut engine, data.spent.get(input)?);
        put(&mut engine, &txin.sequence);
    } else {
        put(&mut engine, &u32::try_from(input).ok()?);
    }
    if let Some(annex) = &execution.annex {
        engine.input(annex);
    }
    if outputs == 3 {
        let mut single = sha256::Hash::engine();
        put(&mut single, data.tx.output.get(input)?);
        engine.input(sha256::Hash::from_engine(single).as_byte_array());
    }
    if let Some(leaf) = &execution.leaf {
        engine.input(leaf);
        // The version of 32 byte public keys.
        engine.input(&[0]);
        put(&mut engine, &execution.code_separator.unwrap_or(u32::MAX));
    }
    Some(sha256::Hash::from_engine(engine).to_byte_array())
}

/// Hash of a leaf of the script tree.
pub fn leaf_hash(version: u8, script: &[u8]) -> [u8; 32] {
    let mut engine = LEAF.engine();
    engine.input(&[version]);
    put(&mut engine, &VarInt(script.len() as u64));
    engine.input(script);
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// Whether a control block has one of the lengths that are possible.
pub fn is_control_size(length: usize) -> bool {
    length.checked_sub(CONTROL_BASE).is_some_and(|path| path % CONTROL_NODE == 0 && path / CONTROL_NODE <= CONTROL_MAX_NODES)
}

/// Whether `program`, an output's key, commits to a leaf by way of a control block (Core: `VerifyTaprootCommitment`).
pub fn commits(control: &[u8], program: &[u8], leaf: [u8; 32]) -> bool {
    let Some((first, rest)) = control.split_first() else { return false };
    let Some((internal, path)) = rest.split_at_checked(32) else { return false };
    let root = path.chunks(CONTROL_NODE).fold(leaf, |hash, node| {
        let mut engine = BRANCH.engine();
        let (low, high) = if hash.as_slice() < node { (hash.as_slice(), node) } else { (node, hash.as_slice()) };
        engine.input(low);
        engine.input(high);
        sha256::Hash::from_engine(engine).to_byte_array()
    });
    let mut engine = TWEAK.engine();
    engine.input(internal);
    engine.input(&root);
    let tweak = sha256::Hash::from_engine(engine).to_byte_array();
    let (Ok(internal), Ok(output)) = (XOnlyPublicKey::from_slice(internal), XOnlyPublicKey::from_slice(program)) else {
        return false;
    };
    let Ok(tweak) = Scalar::from_be_bytes(tweak) else { return false };
    let parity = if first & 1 == 1 { Parity::Odd } else { Parity::Even };
    internal.tweak_add_check(curve(), &output, parity, tweak)
}
