//! Checks that need the transaction: signatures and lock times (Core: `GenericTransactionSignatureChecker`).

use std::sync::OnceLock;

use bitcoin::secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, XOnlyPublicKey, ecdsa, schnorr};

use crate::ScriptError;
use crate::eval::SigVersion;
use crate::sighash::{self, MidstateCache, TxData};
use crate::taproot::{self, ExecutionData};

/// Lock times below are heights, from here on they are seconds since 1970.
const LOCK_TIME_THRESHOLD: i64 = 500_000_000;
/// The sequence number that switches lock times off.
const SEQUENCE_FINAL: u32 = 0xffff_ffff;
/// Bit of a sequence number that switches relative lock times off (BIP68).
pub(crate) const SEQUENCE_DISABLE: i64 = 1 << 31;
const SEQUENCE_TIME: i64 = 1 << 22;
const SEQUENCE_MASK: i64 = 0xffff;

/// Tables for the verification of signatures.
pub(crate) fn curve() -> &'static Secp256k1<VerifyOnly> {
    static CURVE: OnceLock<Secp256k1<VerifyOnly>> = OnceLock::new();
    CURVE.get_or_init(Secp256k1::verification_only)
}

/// One input of a transaction.
#[derive(Debug)]
pub struct Checker<'a> {
    data: &'a TxData<'a>,
    input: usize,
    midstates: MidstateCache,
}

impl<'a> Checker<'a> {
    /// For `input` of the transaction.
    pub fn new(data: &'a TxData<'a>, input: usize) -> Self {
        Self { data, input, midstates: MidstateCache::default() }
    }

    /// Whether an ECDSA signature, with its hash type behind it, matches. One that can't be read does not match.
    pub fn ecdsa(&self, signature: &[u8], key: &[u8], script: &[u8], version: SigVersion) -> bool {
        let Some((hash_type, der)) = signature.split_last() else { return false };
        if !has_key_length(key) {
            return false;
        }
        let hash_type = u32::from(*hash_type);
        let hash = match version {
            SigVersion::WitnessV0 => sighash::segwit_v0(self.data, self.input, script, hash_type, &self.midstates),
            _ => sighash::legacy(self.data.tx, self.input, script, hash_type, &self.midstates),
        };
        let (Ok(key), Ok(mut parsed)) = (PublicKey::from_slice(key), ecdsa::Signature::from_der_lax(der)) else {
            return false;
        };
        // The curve library takes low S only; before BIP146 both were good.
        parsed.normalize_s();
        curve().verify_ecdsa(&Message::from_digest(hash), &parsed, &key).is_ok()
    }

    /// Checks a Schnorr signature, of 64 bytes or with its hash type behind them (BIP340, BIP341). `key` has 32 bytes.
    pub fn schnorr(&self, signature: &[u8], key: &[u8], execution: &ExecutionData) -> Result<(), ScriptError> {
        let (signature, hash_type) = match signature.len() {
            64 => (signature, 0),
            65 => match signature[64] {
                0 => return Err(ScriptError::SchnorrSigHashType),
                hash_type => (&signature[..64], hash_type),
            },
            _ => return Err(ScriptError::SchnorrSigSize),
        };
        let hash = taproot::signature_hash(self.data, self.input, hash_type, execution).ok_or(ScriptError::SchnorrSigHashType)?;
        let (Ok(key), Ok(parsed)) = (XOnlyPublicKey::from_slice(key), schnorr::Signature::from_slice(signature)) else {
            return Err(ScriptError::SchnorrSig);
        };
        curve().verify_schnorr(&parsed, &Message::from_digest(hash), &key).map_err(|_| ScriptError::SchnorrSig)
    }

    /// Whether the transaction may not be in a block before `lock_time` (BIP65).
    pub fn lock_time(&self, lock_time: i64) -> bool {
        let own = i64::from(self.data.tx.lock_time.to_consensus_u32());
        let same_kind = (own < LOCK_TIME_THRESHOLD) == (lock_time < LOCK_TIME_THRESHOLD);
        same_kind && lock_time <= own && self.sequence_number() != SEQUENCE_FINAL
    }

    /// Whether the input may not be spent before the relative lock time `sequence` (BIP112).
    pub fn sequence(&self, sequence: i64) -> bool {
        let own = i64::from(self.sequence_number());
        // Versions are compared without their sign.
        if (self.data.tx.version.0 as u32) < 2 || own & SEQUENCE_DISABLE != 0 {
            return false;
        }
        let mask = SEQUENCE_TIME | SEQUENCE_MASK;
        let (own, sequence) = (own & mask, sequence & mask);
        let same_kind = (own < SEQUENCE_TIME) == (sequence < SEQUENCE_TIME);
        same_kind && sequence <= own
    }

    fn sequence_number(&self) -> u32 {
        self.data.tx.input.get(self.input).map_or(SEQUENCE_FINAL, |input| input.sequence.to_consensus_u32())
    }
}

/// Whether a public key's length is what its first byte announces (Core: `CPubKey::GetLen`).
fn has_key_length(key: &[u8]) -> bool {
    match key.first() {
        Some(2 | 3) => key.len() == 33,
        Some(4 | 6 | 7) => key.len() == 65,
        _ => false,
    }
}
