//! What the differential target of scripts reads from its bytes: a spend whose commitments (script hashes, taproot tweaks) are made
//! to fit, so that a mutation of a script still reaches the script, and in which elements can ask for a valid signature.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::key::{Keypair, TapTweak, UntweakedPublicKey};
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{Annex, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{TapLeafHash, TapNodeHash};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bulkhead_script::sighash::{self, MidstateCache};
use bulkhead_script::{Flags, Hashes, TxData};

/// Where the script stands.
pub const MODES: u8 = 7;
/// In the output itself.
pub const BARE: u8 = 0;
/// Behind a script hash.
pub const P2SH: u8 = 1;
/// Behind a witness program of version 0.
pub const P2WSH: u8 = 2;
/// Behind that, behind a script hash.
pub const P2SH_P2WSH: u8 = 3;
/// A leaf of a taproot output.
pub const TAPSCRIPT: u8 = 4;
/// A leaf of another version, with the last bytes as annex.
pub const TAPROOT_LEAF: u8 = 5;
/// Nothing is made to fit: the first element is the input's script, the others are the witness.
pub const RAW: u8 = 6;
/// First byte of an element that asks for a signature: then the hash type, then which key.
pub const SIGN: u8 = 0xf5;

const LOCK_TIMES: [u32; 6] = [0, 1, 100, 499_999_999, 500_000_000, u32::MAX];
const SEQUENCES: [u32; 6] = [u32::MAX, 0, 10, u32::MAX - 1, 1 << 22, (1 << 22) | 10];
const VERSIONS: [i32; 4] = [2, 1, i32::MIN, 3];
const MAX_ELEMENTS: u8 = 24;

/// A spend before its commitments are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// Which rules, one bit each; the highest for all.
    pub flags: u8,
    /// Where the script stands.
    pub mode: u8,
    /// Chooses lock time and version.
    pub times: u8,
    /// Chooses number of inputs, sequence number and the input that is checked.
    pub inputs: u8,
    /// The script.
    pub script: Vec<u8>,
    /// What the script finds on the stack, or what [`RAW`] says.
    pub elements: Vec<Vec<u8>>,
    /// Behind all of that: more of the input's script, or the annex.
    pub rest: Vec<u8>,
}

impl Case {
    /// As the target reads it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.flags, self.mode, self.times, self.inputs];
        let put = |out: &mut Vec<u8>, bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u16).to_le_bytes()); // seeds are short
            out.extend_from_slice(bytes);
        };
        put(&mut out, &self.script);
        out.push(self.elements.len() as u8); // seeds are short
        for element in &self.elements {
            put(&mut out, element);
        }
        out.extend_from_slice(&self.rest);
        out
    }

    /// Reads any bytes; what is missing is empty.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let mut byte = || {
            let (first, tail) = rest.split_first().unwrap_or((&0, &[]));
            rest = tail;
            *first
        };
        let (flags, mode, times, inputs) = (byte(), byte(), byte(), byte());
        let script = take(&mut rest);
        let (count, tail) = rest.split_first().unwrap_or((&0, &[]));
        rest = tail;
        let elements = (0..*count % (MAX_ELEMENTS + 1)).map(|_| take(&mut rest)).collect();
        Self { flags, mode: mode % MODES, times, inputs, script, elements, rest: rest.to_vec() }
    }

    /// Rules that can stand together.
    pub fn rules(&self) -> Flags {
        if self.flags & 0x80 != 0 {
            return Flags::CONSENSUS;
        }
        let single = [
            Flags::P2SH,
            Flags::DERSIG,
            Flags::NULLDUMMY,
            Flags::CHECKLOCKTIMEVERIFY,
            Flags::CHECKSEQUENCEVERIFY,
            Flags::P2SH | Flags::WITNESS,
            Flags::P2SH | Flags::WITNESS | Flags::TAPROOT,
        ];
        let chosen = single.into_iter().enumerate().filter(|(bit, _)| self.flags >> bit & 1 == 1);
        chosen.fold(Flags::NONE, |all, (_, flag)| all | flag)
    }

    /// The transaction, the outputs that it spends, and the input in question.
    pub fn build(&self) -> (Transaction, Vec<TxOut>, usize) {
        let count = usize::from(self.inputs % 3) + 1;
        let at = usize::from(self.inputs >> 6) % count;
        let value = |number: usize| Amount::from_sat(10_000 + number as u64);
        let mut spent: Vec<TxOut> =
            (0..count).map(|number| TxOut { value: value(number), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) }).collect();
        spent[at].script_pubkey = self.script_pubkey();
        let input = |number: usize| TxIn {
            previous_output: OutPoint { txid: Txid::from_byte_array([number as u8 + 1; 32]), vout: number as u32 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence(SEQUENCES[usize::from(self.inputs >> 2) % SEQUENCES.len()]),
            witness: Witness::new(),
        };
        let output =
            |number: u64| TxOut { value: Amount::from_sat(1000 + number), script_pubkey: ScriptBuf::from_bytes(vec![0x52]) };
        let mut tx = Transaction {
            version: Version(VERSIONS[usize::from(self.times) % VERSIONS.len()]),
            lock_time: LockTime::from_consensus(LOCK_TIMES[usize::from(self.times >> 2) % LOCK_TIMES.len()]),
            input: (0..count).map(input).collect(),
            output: (0..u64::from(self.times >> 6) + 1).map(output).collect(),
        };
        let elements: Vec<Vec<u8>> = self.elements.iter().map(|element| self.signed(element, &tx, &spent, at)).collect();
        let script_sig = |last: Option<&[u8]>| {
            let pushes = elements.iter().map(Vec::as_slice).chain(last);
            ScriptBuf::from_bytes([pushes.flat_map(push).collect::<Vec<u8>>(), self.rest.clone()].concat())
        };
        let mut stack = elements.clone();
        match self.mode {
            BARE => tx.input[at].script_sig = script_sig(None),
            P2SH => tx.input[at].script_sig = script_sig(Some(&self.script)),
            P2WSH | P2SH_P2WSH => {
                stack.push(self.script.clone());
                if self.mode == P2SH_P2WSH {
                    let program = push(self.witness_program().as_bytes());
                    tx.input[at].script_sig = ScriptBuf::from_bytes([program, self.rest.clone()].concat());
                }
                tx.input[at].witness = Witness::from_slice(&stack);
            }
            TAPSCRIPT | TAPROOT_LEAF => {
                stack.push(self.script.clone());
                stack.push(self.control_block());
                stack.extend(self.annex());
                tx.input[at].witness = Witness::from_slice(&stack);
            }
            _ => {
                let (first, others) = elements.split_first().map_or((&[][..], &[][..]), |(first, rest)| (first.as_slice(), rest));
                tx.input[at].script_sig = ScriptBuf::from_bytes(first.to_vec());
                tx.input[at].witness = Witness::from_slice(others);
            }
        }
        (tx, spent, at)
    }

    fn annex(&self) -> Option<Vec<u8>> {
        let annex = [&[0x50][..], &self.rest].concat();
        (self.mode == TAPROOT_LEAF && !self.rest.is_empty()).then_some(annex)
    }

    fn script_pubkey(&self) -> ScriptBuf {
        let script = ScriptBuf::from_bytes(self.script.clone());
        match self.mode {
            P2SH => ScriptBuf::new_p2sh(&script.script_hash()),
            P2WSH => self.witness_program(),
            P2SH_P2WSH => ScriptBuf::new_p2sh(&self.witness_program().script_hash()),
            TAPSCRIPT | TAPROOT_LEAF => {
                let (key, _) = internal_key().tap_tweak(&curve(), Some(self.merkle_root()));
                ScriptBuf::new_p2tr_tweaked(key)
            }
            _ => script,
        }
    }

    fn witness_program(&self) -> ScriptBuf {
        ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(self.script.clone()).wscript_hash())
    }

    fn leaf_version(&self) -> u8 {
        if self.mode == TAPSCRIPT { 0xc0 } else { [0xc0, 0xc2, 0x66, 0x7e][usize::from(self.flags) % 4] }
    }

    fn leaf_hash(&self) -> TapLeafHash {
        let tag = sha256::Hash::hash(b"TapLeaf");
        let mut engine = sha256::Hash::engine();
        engine.input(tag.as_byte_array());
        engine.input(tag.as_byte_array());
        engine.input(&[self.leaf_version()]);
        engine.input(&bitcoin::consensus::serialize(&ScriptBuf::from_bytes(self.script.clone())));
        TapLeafHash::from_byte_array(sha256::Hash::from_engine(engine).to_byte_array())
    }

    /// Of the leaf and one neighbour.
    fn merkle_root(&self) -> TapNodeHash {
        TapNodeHash::from_node_hashes(self.leaf_hash().into(), neighbour())
    }

    fn control_block(&self) -> Vec<u8> {
        let (_, parity) = internal_key().tap_tweak(&curve(), Some(self.merkle_root()));
        let first = self.leaf_version() | parity.to_u8();
        [&[first][..], &internal_key().serialize(), neighbour().as_byte_array()].concat()
    }

    /// The signature that an element asks for, or the element.
    fn signed(&self, element: &[u8], tx: &Transaction, spent: &[TxOut], at: usize) -> Vec<u8> {
        let [SIGN, hash_type, which, ..] = *element else { return element.to_vec() };
        let (secret, pair) = (secret_key(which), Keypair::from_secret_key(&curve(), &secret_key(which)));
        let hashes = Hashes::default();
        let data = TxData::new(tx, spent, &hashes);
        let cache = MidstateCache::default();
        match self.mode {
            TAPSCRIPT | TAPROOT_LEAF => {
                let kind = TapSighashType::from_consensus_u8(hash_type).unwrap_or(TapSighashType::Default);
                let annex = self.annex();
                let annex = annex.as_deref().and_then(|annex| Annex::new(annex).ok());
                let leaf = Some((self.leaf_hash(), u32::MAX));
                let hash = SighashCache::new(tx).taproot_signature_hash(at, &Prevouts::All(spent), annex, leaf, kind);
                let Ok(hash) = hash else { return element.to_vec() };
                let signature = curve().sign_schnorr_no_aux_rand(&Message::from_digest(hash.to_byte_array()), &pair);
                let mut out = signature.serialize().to_vec();
                if hash_type != 0 {
                    out.push(hash_type);
                }
                out
            }
            mode => {
                let kind = u32::from(hash_type);
                let hash = match mode {
                    P2WSH | P2SH_P2WSH => sighash::segwit_v0(&data, at, &self.script, kind, &cache),
                    _ => sighash::legacy(tx, at, &self.script, kind, &cache),
                };
                let mut out = curve().sign_ecdsa(&Message::from_digest(hash), &secret).serialize_der().to_vec();
                out.push(hash_type);
                out
            }
        }
    }
}

fn take(rest: &mut &[u8]) -> Vec<u8> {
    let Some((length, tail)) = rest.split_first_chunk::<2>() else { return std::mem::take(rest).to_vec() };
    let length = usize::from(u16::from_le_bytes(*length)).min(tail.len());
    let (taken, tail) = tail.split_at(length);
    *rest = tail;
    taken.to_vec()
}

/// The shortest push that Core's `CScript << vector` makes of data.
pub fn push(data: &[u8]) -> Vec<u8> {
    let head = match data.len() {
        length @ 0..=0x4b => vec![length as u8],
        length @ 0x4c..=0xff => vec![0x4c, length as u8],
        length => [&[0x4d][..], &(length as u16).to_le_bytes()].concat(), // cases are shorter than 64 KiB
    };
    [head.as_slice(), data].concat()
}

fn curve() -> Secp256k1<All> {
    thread_local!(static CURVE: Secp256k1<All> = Secp256k1::new());
    CURVE.with(Clone::clone)
}

fn secret_key(which: u8) -> SecretKey {
    SecretKey::from_slice(&[which % 3 + 1; 32]).expect("small numbers are keys")
}

/// Public key to the signatures that elements ask for, compressed.
pub fn public_key(which: u8) -> [u8; 33] {
    secret_key(which).public_key(&curve()).serialize()
}

fn internal_key() -> UntweakedPublicKey {
    secret_key(0).x_only_public_key(&curve()).0
}

fn neighbour() -> TapNodeHash {
    TapNodeHash::from_byte_array([9; 32])
}
