//! Signing of all kinds of inputs.

use bitcoin::secp256k1::Message;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness, ecdsa, taproot};

use super::coins::Coin;
use super::keys::{Keys, Kind};

/// A transaction with the coins that its inputs spend, in order.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Signed as far as its id depends on it.
    pub transaction: Transaction,
    /// What it spends.
    pub coins: Vec<Coin>,
}

/// Signs the inputs whose signatures are part of the transaction id.
pub fn sign_legacy(draft: &mut Draft, keys: &Keys) -> Result<(), String> {
    for (input, coin) in draft.coins.iter().enumerate().filter(|(_, coin)| coin.kind == Kind::P2pkh) {
        let key = keys.get(coin.key);
        let hash = SighashCache::new(&draft.transaction)
            .legacy_signature_hash(input, key.script(coin.kind), EcdsaSighashType::All.to_u32())
            .map_err(|error| error.to_string())?;
        let signature = ecdsa::Signature::sighash_all(keys.secp.sign_ecdsa(&Message::from(hash), &key.secret));
        let script = bitcoin::script::Builder::new().push_slice(signature.serialize()).push_key(&key.public).into_script();
        draft.transaction.input[input].script_sig = script;
    }
    Ok(())
}

/// Fills in all witnesses.
pub fn sign_witnesses(draft: &mut Draft, keys: &Keys) -> Result<(), String> {
    let spent: Vec<TxOut> = draft
        .coins
        .iter()
        .map(|coin| TxOut { value: Amount::from_sat(coin.value), script_pubkey: keys.get(coin.key).script(coin.kind).clone() })
        .collect();
    let mut cache = SighashCache::new(&draft.transaction);
    let mut witnesses = Vec::with_capacity(spent.len());
    for (input, coin) in draft.coins.iter().enumerate() {
        witnesses.push(witness(&mut cache, input, coin, &spent, keys)?);
    }
    for (input, witness) in draft.transaction.input.iter_mut().zip(witnesses) {
        input.witness = witness;
    }
    Ok(())
}

fn witness(
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    coin: &Coin,
    spent: &[TxOut],
    keys: &Keys,
) -> Result<Witness, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let key = keys.get(coin.key);
    let value = Amount::from_sat(coin.value);
    let all = EcdsaSighashType::All;
    match coin.kind {
        Kind::P2pkh => Ok(Witness::new()),
        Kind::P2wpkh => {
            let hash = cache.p2wpkh_signature_hash(input, key.script(coin.kind), value, all).map_err(|error| text(&error))?;
            let signature = ecdsa::Signature::sighash_all(keys.secp.sign_ecdsa(&Message::from(hash), &key.secret));
            Ok(Witness::p2wpkh(&signature, &key.public.inner))
        }
        Kind::Multisig => {
            let hash = cache.p2wsh_signature_hash(input, &key.multisig, value, all).map_err(|error| text(&error))?;
            let sign = |number: usize| {
                let secret = &keys.get(number).secret;
                ecdsa::Signature::sighash_all(keys.secp.sign_ecdsa(&Message::from(hash), secret)).to_vec()
            };
            // The first and the last of three: the second check of the first signature fails, as it often does.
            Ok(Witness::from_slice(&[vec![], sign(coin.key), sign(coin.key + 2), key.multisig.to_bytes()]))
        }
        Kind::KeyPath => {
            let hash = cache
                .taproot_key_spend_signature_hash(input, &Prevouts::All(spent), TapSighashType::Default)
                .map_err(|error| text(&error))?;
            let signature = keys.secp.sign_schnorr_no_aux_rand(&Message::from(hash), &key.tweaked);
            Ok(Witness::p2tr_key_spend(&taproot::Signature { signature, sighash_type: TapSighashType::Default }))
        }
        Kind::ScriptPath => {
            let hash = cache
                .taproot_script_spend_signature_hash(input, &Prevouts::All(spent), key.leaf_hash, TapSighashType::Default)
                .map_err(|error| text(&error))?;
            let signature = keys.secp.sign_schnorr_no_aux_rand(&Message::from(hash), &key.plain);
            Ok(Witness::from_slice(&[signature.serialize().to_vec(), leaf_bytes(&key.leaf), key.control.clone()]))
        }
    }
}

fn leaf_bytes(leaf: &ScriptBuf) -> Vec<u8> {
    leaf.to_bytes()
}
