//! One signature of several participants: which key signs what, and the three steps.

use crate::aggregate::{aggregate_of, cache, convert, synthetic_xpub};
use crate::fields::{Contribution, nonces, partial_signatures, participants};
use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint};
use bitcoin::hashes::{Hash, HashEngine, hash160, sha256};
use bitcoin::key::TapTweak;
use bitcoin::psbt::Input;
use bitcoin::script::Instruction;
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{LeafVersion, Signature, TapLeafHash, TapNodeHash, TapTweakHash};
use bitcoin::{Psbt, Script, TxOut, XOnlyPublicKey};
use secp256k1_musig::musig::{self, AggregatedNonce, KeyAggCache, PartialSignature, PublicNonce, Session, SessionSecretRand};
use secp256k1_musig::{Keypair, Scalar};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use zeroize::Zeroizing;

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// What a signature of an input would be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The key path, with the internal key and the root of the scripts.
    InternalKey(XOnlyPublicKey, Option<TapNodeHash>),
    /// The key path, with the output key itself.
    OutputKey(XOnlyPublicKey),
    /// A leaf.
    Leaf(TapLeafHash),
}

/// A tweak of the aggregate key, and whether it is one of the x coordinate.
type Tweak = ([u8; 32], bool);

/// An aggregate key that can sign an input, with what must be known to do so.
#[derive(Clone, Debug)]
pub struct Spend {
    /// What it signs for.
    pub target: Target,
    /// Where its contributions are filed.
    pub contribution: Contribution,
    /// Keys that it consists of.
    pub participants: Vec<PublicKey>,
    /// The key as it stands in the leaf.
    key: XOnlyPublicKey,
    tweaks: Vec<Tweak>,
    message: [u8; 32],
    sighash: TapSighashType,
}

/// A private key of a participant.
#[derive(Clone, Copy, Debug)]
pub struct Secret<'a> {
    /// Its public key, as it stands among the participants.
    pub public: PublicKey,
    /// The private key.
    pub secret: &'a SecretKey,
}

/// The secret half of a nonce. It is used up by one partial signature; a second one with it would give the key away.
#[derive(Debug)]
pub struct SecretNonce(Option<musig::SecretNonce>);

impl Drop for SecretNonce {
    fn drop(&mut self) {
        if let Some(nonce) = &mut self.0 {
            nonce.non_secure_erase();
        }
    }
}

/// A key derived from an aggregate key, and the tweaks of the derivation.
fn derive(aggregate: PublicKey, path: &DerivationPath) -> Option<(PublicKey, Vec<Tweak>)> {
    let (mut xpub, mut tweaks) = (synthetic_xpub(aggregate), Vec::new());
    for step in path {
        let ChildNumber::Normal { .. } = step else { return None };
        tweaks.push((xpub.ckd_pub_tweak(*step).ok()?.0.secret_bytes(), false));
        xpub = xpub.ckd_pub(&SECP, *step).ok()?;
    }
    Some((xpub.public_key, tweaks))
}

fn fingerprint(key: &PublicKey) -> Fingerprint {
    let hash = hash160::Hash::hash(&key.serialize()).to_byte_array();
    Fingerprint::from([hash[0], hash[1], hash[2], hash[3]])
}

/// Whether a script pushes a key, or its hash (miniscript's pkh).
fn mentions(script: &Script, key: &XOnlyPublicKey) -> bool {
    let (bytes, hash) = (key.serialize(), hash160::Hash::hash(&key.serialize()).to_byte_array());
    let mut pushes = script.instructions().map_while(Result::ok).filter_map(|instruction| match instruction {
        Instruction::PushBytes(bytes) => Some(bytes.as_bytes()),
        Instruction::Op(_) => None,
    });
    pushes.any(|push| push == bytes || push == hash)
}

impl Spend {
    /// Every aggregate key that the fields of an input name and that can sign it. `outputs`: what the inputs spend.
    /// `origins`: derived keys besides those of the fields, by x coordinate.
    #[must_use]
    pub fn all(
        psbt: &Psbt,
        index: usize,
        outputs: &[Option<TxOut>],
        sighash: TapSighashType,
        origins: &[(XOnlyPublicKey, (Fingerprint, DerivationPath))],
    ) -> Vec<Self> {
        let mut all = Vec::new();
        let (Some(input), Some(Some(own))) = (psbt.inputs.get(index), outputs.get(index)) else { return all };
        let Some(output_key) = own.script_pubkey.as_bytes().get(2..34).filter(|_| own.script_pubkey.is_p2tr()) else {
            return all;
        };
        let Ok(output_key) = XOnlyPublicKey::from_slice(output_key) else { return all };
        let mut messages = Messages { cache: SighashCache::new(&psbt.unsigned_tx), index, outputs, sighash };
        for (aggregate, participants) in participants(&input.unknown) {
            // The field is somebody's claim.
            if cache(&participants).and_then(|cache| aggregate_of(&cache)) != Some(aggregate) {
                continue;
            }
            for (key, tweaks) in candidates(input, aggregate, origins) {
                for target in targets(input, output_key, &key.x_only_public_key().0) {
                    let Some(message) = messages.of(&target) else { continue };
                    let Some((filed, tweaks)) = filed(&target, key, tweaks.clone()) else { continue };
                    let leaf = if let Target::Leaf(leaf) = target { Some(leaf) } else { None };
                    all.push(Self {
                        target,
                        contribution: Contribution { key: filed, leaf },
                        participants: participants.clone(),
                        key: key.x_only_public_key().0,
                        tweaks,
                        message,
                        sighash,
                    });
                }
            }
        }
        all
    }

    /// Whether the signature is there.
    #[must_use]
    pub fn is_signed(&self, input: &Input) -> bool {
        match self.target {
            Target::Leaf(leaf) => input.tap_script_sigs.contains_key(&(self.key, leaf)),
            Target::InternalKey(..) | Target::OutputKey(_) => input.tap_key_sig.is_some(),
        }
    }

    /// Names this signature by one participant and its nonce: what a secret nonce is kept under.
    #[must_use]
    pub fn session(&self, participant: &PublicKey, nonce: &[u8; 66]) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        for part in [&self.contribution.key.serialize()[..], &participant.serialize(), &self.message, nonce] {
            engine.input(part);
        }
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    fn tweaked(&self) -> Option<KeyAggCache> {
        let mut cache = cache(&self.participants)?;
        for (tweak, x_only) in &self.tweaks {
            let tweak = Scalar::from_be_bytes(*tweak).ok()?;
            if *x_only {
                cache.pubkey_xonly_tweak_add(&tweak).ok()?;
            } else {
                cache.pubkey_ec_tweak_add(&tweak).ok()?;
            }
        }
        Some(cache)
    }

    /// Makes a participant's nonce, files the public half and answers it with the secret one. `random`: 32 bytes that were
    /// never used before and that nobody can guess.
    #[must_use]
    pub fn make_nonce(
        &self,
        input: &mut Input,
        secret: Secret<'_>,
        random: Zeroizing<[u8; 32]>,
    ) -> Option<([u8; 66], SecretNonce)> {
        let cache = cache(&self.participants)?;
        let key = secp256k1_musig::SecretKey::from_secret_bytes(secret.secret.secret_bytes()).ok()?;
        let random = SessionSecretRand::assume_unique_per_nonce_gen(*random, &key);
        let own = convert(&secret.public)?;
        let (secret_nonce, public) = musig::new_nonce_pair(random, Some(&cache), Some(key), own, Some(&self.message), None);
        let public = public.serialize();
        self.contribution.put_nonce(&mut input.unknown, &secret.public, public);
        Some((public, SecretNonce(Some(secret_nonce))))
    }

    fn begin(&self, nonces: &BTreeMap<PublicKey, [u8; 66]>) -> Option<(KeyAggCache, Session, BTreeMap<PublicKey, PublicNonce>)> {
        let parsed: BTreeMap<PublicKey, PublicNonce> = self
            .participants
            .iter()
            .map(|participant| Some((*participant, PublicNonce::from_byte_array(nonces.get(participant)?).ok()?)))
            .collect::<Option<_>>()?;
        let ordered: Vec<&PublicNonce> = self.participants.iter().filter_map(|participant| parsed.get(participant)).collect();
        let cache = self.tweaked()?;
        let session = Session::new(&cache, AggregatedNonce::new(&ordered), &self.message);
        Some((cache, session, parsed))
    }

    /// Signs for a participant when every nonce is there, and files the partial signature. The nonce is used up.
    #[must_use]
    pub fn sign(&self, input: &mut Input, secret: Secret<'_>, mut nonce: SecretNonce) -> bool {
        let Some((cache, session, nonces)) = self.begin(&nonces(&input.unknown, &self.contribution, &self.participants)) else {
            return false;
        };
        let Ok(mut keypair) = Keypair::from_secret_bytes(secret.secret.secret_bytes()) else { return false };
        let Some(nonce) = nonce.0.take() else { return false };
        let signature = session.partial_sign(nonce, &keypair, &cache);
        keypair.non_secure_erase();
        let (Some(own), Some(public)) = (nonces.get(&secret.public), convert(&secret.public)) else { return false };
        // A wrong one would give nothing away, but it would be of no use either.
        let right = session.partial_verify(&cache, &signature, own, public);
        if right {
            self.contribution.put_signature(&mut input.unknown, &secret.public, signature.serialize());
        }
        right
    }

    /// The signature of all, when every partial signature is there and right.
    fn complete(&self, input: &Input) -> Option<Signature> {
        let filed = partial_signatures(&input.unknown, &self.contribution, &self.participants);
        if self.participants.iter().any(|participant| !filed.contains_key(participant)) {
            return None;
        }
        let (cache, session, nonces) = self.begin(&nonces(&input.unknown, &self.contribution, &self.participants))?;
        let mut partial = Vec::with_capacity(self.participants.len());
        for participant in &self.participants {
            let signature = PartialSignature::from_byte_array(filed.get(participant)?).ok()?;
            if !session.partial_verify(&cache, &signature, nonces.get(participant)?, convert(participant)?) {
                return None;
            }
            partial.push(signature);
        }
        let borrowed: Vec<&PartialSignature> = partial.iter().collect();
        let bytes = session.partial_sig_agg(&borrowed).verify(&cache.agg_pk(), &self.message).ok()?.to_byte_array();
        let signature = bitcoin::secp256k1::schnorr::Signature::from_slice(&bytes).ok()?;
        Some(Signature { signature, sighash_type: self.sighash })
    }
}

/// Adds to an input the signatures for which every partial signature is there. What the inputs spend, and the flags of the
/// signatures, are taken from the PSBT.
pub fn aggregate_input(psbt: &mut Psbt, index: usize) {
    let outputs: Vec<Option<TxOut>> = psbt.inputs.iter().zip(&psbt.unsigned_tx.input).map(spent).collect();
    let Some(input) = psbt.inputs.get(index).filter(|input| !participants(&input.unknown).is_empty()) else { return };
    let sighash = input.sighash_type.map_or(Ok(TapSighashType::Default), |sighash| sighash.taproot_hash_ty());
    let Ok(sighash) = sighash else { return };
    let spends = Spend::all(psbt, index, &outputs, sighash, &[]);
    aggregate_signatures(psbt, index, &spends);
}

fn spent((input, unsigned): (&Input, &bitcoin::TxIn)) -> Option<TxOut> {
    let previous = input.non_witness_utxo.as_ref().filter(|tx| tx.compute_txid() == unsigned.previous_output.txid);
    let output = previous.and_then(|tx| tx.output.get(usize::try_from(unsigned.previous_output.vout).ok()?));
    output.or(input.witness_utxo.as_ref()).cloned()
}

/// Adds the signatures of an input for which every partial signature is there.
pub fn aggregate_signatures(psbt: &mut Psbt, index: usize, spends: &[Spend]) {
    let Some(input) = psbt.inputs.get_mut(index) else { return };
    for spend in spends {
        let Some(signature) = spend.complete(input) else { continue };
        match spend.target {
            Target::Leaf(leaf) => drop(input.tap_script_sigs.insert((spend.key, leaf), signature)),
            Target::InternalKey(..) | Target::OutputKey(_) => input.tap_key_sig = Some(signature),
        }
    }
}

/// The aggregate key, and keys derived from it of which the origin is told.
fn candidates(
    input: &Input,
    aggregate: PublicKey,
    origins: &[(XOnlyPublicKey, (Fingerprint, DerivationPath))],
) -> Vec<(PublicKey, Vec<Tweak>)> {
    let own = fingerprint(&aggregate);
    let told = input.tap_key_origins.iter().map(|(key, (_, source))| (key, source));
    let known = origins.iter().map(|(key, source)| (key, source));
    let mut out = vec![(aggregate, Vec::new())];
    for (key, (fingerprint, path)) in told.chain(known) {
        if *fingerprint == own
            && !path.is_empty()
            && let Some((derived, tweaks)) = derive(aggregate, path)
            && derived.x_only_public_key().0 == *key
            && !out.iter().any(|(seen, _)| *seen == derived)
        {
            out.push((derived, tweaks));
        }
    }
    out
}

/// What a key could sign for in an input.
fn targets(input: &Input, output_key: XOnlyPublicKey, key: &XOnlyPublicKey) -> Vec<Target> {
    let mut out = Vec::new();
    if input.tap_internal_key == Some(*key) && key.tap_tweak(&SECP, input.tap_merkle_root).0.to_x_only_public_key() == output_key
    {
        out.push(Target::InternalKey(*key, input.tap_merkle_root));
    }
    if *key == output_key {
        out.push(Target::OutputKey(*key));
    }
    for (block, (script, version)) in &input.tap_scripts {
        if *version == LeafVersion::TapScript
            && mentions(script, key)
            && block.verify_taproot_commitment(&SECP, output_key, script)
        {
            out.push(Target::Leaf(TapLeafHash::from_script(script, *version)));
        }
    }
    out
}

/// The key that contributions are filed under, and all tweaks.
fn filed(target: &Target, key: PublicKey, mut tweaks: Vec<Tweak>) -> Option<(PublicKey, Vec<Tweak>)> {
    let Target::InternalKey(internal, root) = target else { return Some((key, tweaks)) };
    tweaks.push((TapTweakHash::from_key_and_tweak(*internal, *root).to_byte_array(), true));
    let (output, parity) = internal.tap_tweak(&SECP, *root);
    Some((output.to_x_only_public_key().public_key(parity), tweaks))
}

struct Messages<'a> {
    cache: SighashCache<&'a bitcoin::Transaction>,
    index: usize,
    outputs: &'a [Option<TxOut>],
    sighash: TapSighashType,
}

impl Messages<'_> {
    fn of(&mut self, target: &Target) -> Option<[u8; 32]> {
        let known: Option<Vec<&TxOut>> = self.outputs.iter().map(Option::as_ref).collect();
        let prevouts = if self.sighash as u8 & 0x80 != 0 {
            Prevouts::One(self.index, self.outputs.get(self.index)?.as_ref()?)
        } else {
            Prevouts::All(known.as_deref()?)
        };
        let hash = match target {
            Target::Leaf(leaf) => self.cache.taproot_script_spend_signature_hash(self.index, &prevouts, *leaf, self.sighash),
            Target::InternalKey(..) | Target::OutputKey(_) => {
                self.cache.taproot_key_spend_signature_hash(self.index, &prevouts, self.sighash)
            }
        };
        Some(hash.ok()?.to_byte_array())
    }
}
