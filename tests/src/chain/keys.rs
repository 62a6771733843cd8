//! Keys of the chain and the scripts that they own. Anyone can derive them: the coins exist on regtest only.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::{Keypair, TapTweak, UntweakedKeypair};
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_CHECKSIG, OP_PUSHNUM_2, OP_PUSHNUM_3};
use bitcoin::script::Builder;
use bitcoin::secp256k1::{All, Secp256k1, SecretKey};
use bitcoin::taproot::{LeafVersion, TapLeafHash, TaprootBuilder};
use bitcoin::{CompressedPublicKey, PublicKey, ScriptBuf};

/// How an output is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pay to public key hash.
    P2pkh,
    /// Pay to witness public key hash.
    P2wpkh,
    /// Pay to witness script hash: two of three keys.
    Multisig,
    /// Taproot, by key.
    KeyPath,
    /// Taproot, by the only leaf of its tree.
    ScriptPath,
}

/// All kinds with their share of the outputs, in percent: about what blocks held in 2025.
pub const MIX: [(Kind, u64); 5] =
    [(Kind::P2pkh, 15), (Kind::P2wpkh, 45), (Kind::Multisig, 10), (Kind::KeyPath, 22), (Kind::ScriptPath, 8)];

/// One key with everything that signing needs, computed once.
pub struct Key {
    /// The secret.
    pub secret: SecretKey,
    /// Public key, compressed.
    pub public: PublicKey,
    /// The pair that signs for [`Kind::KeyPath`].
    pub tweaked: Keypair,
    /// The pair that signs for [`Kind::ScriptPath`].
    pub plain: Keypair,
    /// Script of a leaf: this key must sign.
    pub leaf: ScriptBuf,
    /// Hash of that leaf.
    pub leaf_hash: TapLeafHash,
    /// Proof that the leaf is in the output.
    pub control: Vec<u8>,
    /// Two of this key and its two neighbours.
    pub multisig: ScriptBuf,
    scripts: [ScriptBuf; 5],
}

/// All keys.
pub struct Keys {
    keys: Vec<Key>,
    /// Context of all signing.
    pub secp: Secp256k1<All>,
}

impl Keys {
    /// Derives `count` keys, which must be at least three.
    pub fn new(seed: u64, count: u64) -> Result<Self, String> {
        let secp = Secp256k1::new();
        let secret = |number: u64| {
            let bytes = sha256::Hash::hash(&[seed.to_le_bytes(), (number % count).to_le_bytes()].concat());
            SecretKey::from_slice(bytes.as_byte_array()).map_err(|error| error.to_string())
        };
        let public = |secret: &SecretKey| PublicKey::new(secret.public_key(&secp));
        let mut keys = Vec::new();
        for number in 0..count {
            let own = secret(number)?;
            let trio = [public(&own), public(&secret(number + 1)?), public(&secret(number + 2)?)];
            keys.push(derive(&secp, own, trio)?);
        }
        Ok(Self { keys, secp })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.keys.len() as u64
    }

    /// A key; numbers wrap around.
    pub fn get(&self, number: usize) -> &Key {
        &self.keys[number % self.keys.len()]
    }
}

impl Key {
    /// The output script of a kind.
    pub fn script(&self, kind: Kind) -> &ScriptBuf {
        &self.scripts[kind as usize]
    }
}

fn derive(secp: &Secp256k1<All>, secret: SecretKey, trio: [PublicKey; 3]) -> Result<Key, String> {
    let public = trio[0];
    let compressed = CompressedPublicKey(public.inner);
    let plain = UntweakedKeypair::from_secret_key(secp, &secret);
    let (x_only, _) = plain.x_only_public_key();
    let leaf = Builder::new().push_x_only_key(&x_only).push_opcode(OP_CHECKSIG).into_script();
    let tree = TaprootBuilder::new()
        .add_leaf(0, leaf.clone())
        .map_err(|error| error.to_string())?
        .finalize(secp, x_only)
        .map_err(|_| "the tree is not complete")?;
    let control = tree.control_block(&(leaf.clone(), LeafVersion::TapScript)).ok_or("the leaf is not in its tree")?.serialize();
    let multisig = trio
        .iter()
        .fold(Builder::new().push_opcode(OP_PUSHNUM_2), |script, key| script.push_key(key))
        .push_opcode(OP_PUSHNUM_3)
        .push_opcode(OP_CHECKMULTISIG)
        .into_script();
    let scripts = [
        ScriptBuf::new_p2pkh(&public.pubkey_hash()),
        ScriptBuf::new_p2wpkh(&compressed.wpubkey_hash()),
        multisig.to_p2wsh(),
        ScriptBuf::new_p2tr(secp, x_only, None),
        ScriptBuf::new_p2tr_tweaked(tree.output_key()),
    ];
    Ok(Key {
        secret,
        public,
        tweaked: plain.tap_tweak(secp, None).to_keypair(),
        plain,
        leaf_hash: leaf.tapscript_leaf_hash(),
        leaf,
        control,
        multisig,
        scripts,
    })
}
