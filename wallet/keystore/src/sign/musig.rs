//! MuSig2 (BIP327): nonces and partial signatures of our keys, and the whole signature when every part is there.

use super::Material;
use bitcoin::bip32::{ChildNumber, DerivationPath};
use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::sighash::TapSighashType;
use bitcoin::{Psbt, PublicKey, TxOut};
use bulkhead_musig2::{Secret, SecretNonce, Spend, aggregate_signatures, nonces, partial_signatures, participants};
use bulkhead_wallet_core::descriptor::x_only;
use std::collections::{BTreeMap, VecDeque};
use zeroize::Zeroizing;

/// More secret nonces than this are not kept: the oldest goes.
const MAX_SESSIONS: usize = 1000;

/// Secret nonces that wait for those of the other participants. They are in memory only, as in Core: whoever could bring an
/// old one back could make a key sign twice with it.
#[derive(Debug, Default)]
pub struct Sessions {
    nonces: BTreeMap<[u8; 32], SecretNonce>,
    order: VecDeque<[u8; 32]>,
}

impl Sessions {
    fn keep(&mut self, session: [u8; 32], nonce: SecretNonce) {
        while self.order.len() >= MAX_SESSIONS {
            if let Some(oldest) = self.order.pop_front() {
                self.nonces.remove(&oldest);
            }
        }
        self.order.push_back(session);
        self.nonces.insert(session, nonce);
    }

    fn take(&mut self, session: &[u8; 32]) -> Option<SecretNonce> {
        self.order.retain(|kept| kept != session);
        self.nonces.remove(session)
    }
}

/// Does what can be done for an input, as Core: the whole signature; else partial signatures; else nonces. Without
/// `sessions` there is only the first.
pub(super) fn sign_input(
    psbt: &mut Psbt,
    index: usize,
    outputs: &[Option<TxOut>],
    sighash: TapSighashType,
    material: &Material,
    sessions: Option<&mut Sessions>,
) {
    if participants(&psbt.inputs[index].unknown).is_empty() {
        return;
    }
    let aggregates = material.solution.iter().flat_map(|solution| &solution.aggregates);
    let origins: Vec<_> = aggregates
        .map(|aggregate| {
            let path: Vec<ChildNumber> = aggregate.key.path.iter().map(|step| ChildNumber::from(*step)).collect();
            (x_only(&aggregate.key.key), (aggregate.key.fingerprint, DerivationPath::from(path)))
        })
        .collect();
    let spends = Spend::all(psbt, index, outputs, sighash, &origins);
    aggregate_signatures(psbt, index, &spends);
    let Some(sessions) = sessions else { return };
    let input = &mut psbt.inputs[index];
    for spend in spends.iter().filter(|spend| !spend.is_signed(input)).collect::<Vec<_>>() {
        let secret = |public: &bitcoin::secp256k1::PublicKey| material.secrets.secret(&PublicKey::new(*public));
        let filed = nonces(&input.unknown, &spend.contribution, &spend.participants);
        if spend.participants.iter().all(|participant| filed.contains_key(participant)) {
            for (public, nonce) in &filed {
                let Some(mut key) = secret(public) else { continue };
                if let Some(kept) = sessions.take(&spend.session(public, nonce))
                    && !spend.sign(input, Secret { public: *public, secret: &key }, kept)
                {
                    tracing::warn!("a partial MuSig2 signature failed");
                }
                key.non_secure_erase();
            }
        }
        if !partial_signatures(&input.unknown, &spend.contribution, &spend.participants).is_empty() {
            continue;
        }
        for public in spend.participants.iter().filter(|participant| !filed.contains_key(participant)) {
            let Some(mut key) = secret(public) else { continue };
            let mut random = Zeroizing::new([0; 32]);
            OsRng.fill_bytes(random.as_mut_slice());
            let made = spend.make_nonce(input, Secret { public: *public, secret: &key }, random);
            if let Some((nonce, kept)) = made {
                sessions.keep(spend.session(public, &nonce), kept);
            }
            key.non_secure_erase();
        }
    }
}
