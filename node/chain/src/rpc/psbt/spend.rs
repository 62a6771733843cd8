//! The spend that a PSBT describes: whether an input is satisfied, and how large the signed transaction will be.

use bitcoin::psbt::Input;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, Psbt, PublicKey, Script, ScriptBuf, TxOut, Witness};
use bulkhead_consensus::sigops;
use bulkhead_rpc_util::codec::tx_sizes;
use bulkhead_rpc_util::{ScriptType, solve};
use bulkhead_script::{Engine, Flags, verify_input};
use miniscript::psbt::PsbtExt;

use super::needs::{key_of_hash, redeem_script, witness_script};

/// Bytes of an ECDSA signature with its hash type, numbers of 32 bytes each.
const ECDSA_SIGNATURE: usize = 71;
/// Bytes of a Schnorr signature of the default hash type.
const SCHNORR_SIGNATURE: usize = 64;

/// The output that an input spends, as far as the PSBT tells.
pub(super) fn spent_output(psbt: &Psbt, i: usize) -> Option<&TxOut> {
    let input = psbt.inputs.get(i)?;
    let outpoint = psbt.unsigned_tx.input.get(i)?.previous_output;
    match &input.non_witness_utxo {
        Some(tx) => tx.output.get(outpoint.vout as usize),
        None => input.witness_utxo.as_ref(),
    }
}

/// Whether the final fields of an input, or their absence, satisfy the script that it spends.
pub(super) fn is_satisfied(psbt: &Psbt, i: usize) -> bool {
    if spent_output(psbt, i).is_none() {
        return false;
    }
    // Outputs that are not known count only for Taproot signatures, which then fail.
    let unknown = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() };
    let spent: Vec<TxOut> =
        (0..psbt.inputs.len()).map(|i| spent_output(psbt, i).cloned().unwrap_or_else(|| unknown.clone())).collect();
    let mut tx = psbt.unsigned_tx.clone();
    tx.input[i].script_sig = psbt.inputs[i].final_script_sig.clone().unwrap_or_default();
    tx.input[i].witness = psbt.inputs[i].final_script_witness.clone().unwrap_or_default();
    verify_input(&tx, &spent, i, Flags::CONSENSUS, Engine::Kernel).is_ok()
}

/// Whether all signatures of an input commit to what its sighash field says, or to the default where there is none (Core:
/// `SignPSBTInput`).
pub(super) fn has_agreed_sighashes(psbt: &Psbt, i: usize) -> bool {
    let (Some(input), Some(spent)) = (psbt.inputs.get(i), spent_output(psbt, i)) else { return false };
    let default = u32::from(!spent.script_pubkey.is_p2tr());
    let agreed = input.sighash_type.map_or(default, |stored| stored.to_u32());
    let mut schnorr = input.tap_key_sig.iter().chain(input.tap_script_sigs.values());
    schnorr.all(|signature| signature.sighash_type as u32 == agreed)
        && (agreed == 0 || input.partial_sigs.values().all(|signature| signature.sighash_type as u32 == agreed))
}

/// Finalizes an input whose signature for the key path of Taproot is there and right. The internal key need not be known: an
/// output key may stand for itself (`rawtr`).
pub(super) fn finalize_key_path(psbt: &mut Psbt, i: usize) -> bool {
    let Some(signature) = psbt.inputs.get(i).and_then(|input| input.tap_key_sig) else { return false };
    let open = psbt.inputs[i].clone();
    psbt.inputs[i] = Input {
        non_witness_utxo: open.non_witness_utxo.clone(),
        witness_utxo: open.witness_utxo.clone(),
        final_script_witness: Some(Witness::from_slice(&[signature.to_vec()])),
        proprietary: open.proprietary.clone(),
        unknown: open.unknown.clone(),
        ..Input::default()
    };
    let satisfied = is_satisfied(psbt, i);
    if !satisfied {
        psbt.inputs[i] = open;
    }
    satisfied
}

/// Whether spending `script` takes a witness, as far as the input tells.
pub(super) fn takes_witness(input: &Input, script: &Script) -> bool {
    let is_program = |script: &Script| {
        matches!(
            solve(script.as_bytes()),
            ScriptType::WitnessV0KeyHash(_) | ScriptType::WitnessV0ScriptHash(_) | ScriptType::WitnessV1Taproot(_)
        )
    };
    let redeem_script = input.redeem_script.as_deref();
    let nested = redeem_script.filter(|inner| script.is_p2sh() && ScriptBuf::new_p2sh(&inner.script_hash()) == *script);
    is_program(script) || nested.is_some_and(is_program)
}

/// Whether the amount that an input spends is proven: by the whole previous transaction, or by signatures that cover it.
pub(super) fn is_amount_proven(input: &Input, script: &Script) -> bool {
    input.non_witness_utxo.is_some() || takes_witness(input, script)
}

/// What stands in scriptSig and witness.
#[derive(Debug, Default, PartialEq, Eq)]
struct Satisfaction {
    script_sig: Vec<Vec<u8>>,
    witness: Vec<Vec<u8>>,
}

impl Satisfaction {
    fn in_script_sig(script_sig: Vec<Vec<u8>>) -> Option<Self> {
        Some(Self { script_sig, ..Self::default() })
    }

    fn in_witness(witness: Vec<Vec<u8>>) -> Option<Self> {
        Some(Self { witness, ..Self::default() })
    }
}

fn signature(input: &Input, key: &PublicKey) -> Vec<u8> {
    input.partial_sigs.get(key).map_or_else(|| vec![0; ECDSA_SIGNATURE], |signature| signature.to_vec())
}

/// Items of the size that will satisfy `script` when all signatures are there; `None` when keys or scripts are missing, and
/// for scripts of other forms than the usual ones.
fn expected(input: &Input, script: &Script) -> Option<Satisfaction> {
    match solve(script.as_bytes()) {
        ScriptType::PubKey(key) => Satisfaction::in_script_sig(vec![signature(input, &PublicKey::from_slice(&key).ok()?)]),
        ScriptType::PubKeyHash(hash) => {
            let key = key_of_hash(input, hash)?;
            Satisfaction::in_script_sig(vec![signature(input, &key), key.to_bytes()])
        }
        ScriptType::MultiSig { required, keys } => {
            let keys: Vec<PublicKey> = keys.iter().filter_map(|key| PublicKey::from_slice(key).ok()).collect();
            let signatures = keys.iter().take(usize::from(required)).map(|key| signature(input, key));
            Satisfaction::in_script_sig(std::iter::once(Vec::new()).chain(signatures).collect())
        }
        ScriptType::ScriptHash(hash) => {
            let inner = redeem_script(input, hash)?;
            let mut satisfaction = expected(input, inner)?;
            satisfaction.script_sig.push(inner.to_bytes());
            Some(satisfaction)
        }
        ScriptType::WitnessV0KeyHash(hash) => {
            let key = key_of_hash(input, hash)?;
            Satisfaction::in_witness(vec![signature(input, &key), key.to_bytes()])
        }
        ScriptType::WitnessV0ScriptHash(hash) => {
            let inner = witness_script(input, hash)?;
            let Satisfaction { script_sig: mut items, witness } = expected(input, inner)?;
            items.push(inner.to_bytes());
            if witness.is_empty() { Satisfaction::in_witness(items) } else { None }
        }
        ScriptType::WitnessV1Taproot(_) => {
            input.tap_internal_key?;
            let length = input.tap_key_sig.map_or(SCHNORR_SIGNATURE, |signature| signature.to_vec().len());
            Satisfaction::in_witness(vec![vec![0; length]])
        }
        _ => None,
    }
}

/// Whether an input has all the signatures that it needs.
pub(super) fn can_finalize(psbt: &Psbt, i: usize) -> bool {
    psbt.clone().finalize_inp_mut(&Secp256k1::verification_only(), i).is_ok()
}

/// Virtual size of the transaction once it is signed; `None` if that cannot be told.
pub(super) fn estimated_vsize(psbt: &Psbt, bytes_per_sigop: i64) -> Option<usize> {
    let mut tx = psbt.unsigned_tx.clone();
    let mut scripts = Vec::with_capacity(psbt.inputs.len());
    for (i, input) in psbt.inputs.iter().enumerate() {
        let spent = spent_output(psbt, i)?;
        scripts.push(spent.script_pubkey.as_script());
        // Core checks signatures without the other inputs here, which those of taproot cover; it goes on only where the
        // previous transaction proves the coin.
        let is_satisfied = is_satisfied(psbt, i);
        let unproven = spent.script_pubkey.is_p2tr() && input.non_witness_utxo.is_none();
        if unproven && (is_satisfied || can_finalize(psbt, i)) {
            return None;
        }
        if is_satisfied {
            tx.input[i].script_sig = input.final_script_sig.clone().unwrap_or_default();
            tx.input[i].witness = input.final_script_witness.clone().unwrap_or_default();
            continue;
        }
        let satisfaction = expected(input, &spent.script_pubkey).filter(|_| is_amount_proven(input, &spent.script_pubkey))?;
        let mut script_sig = Builder::new();
        for item in satisfaction.script_sig {
            script_sig = script_sig.push_slice(PushBytesBuf::try_from(item).ok()?);
        }
        tx.input[i].script_sig = script_sig.into_script();
        tx.input[i].witness = Witness::from_slice(&satisfaction.witness);
    }
    let cost = sigops::transaction_cost(&tx, scripts, true);
    let adjusted = usize::try_from(bytes_per_sigop).ok()?.checked_mul(cost)?;
    let (base, total) = tx_sizes(&tx);
    Some((3 * base + total).max(adjusted).div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::transaction::Version;
    use bitcoin::{OutPoint, Transaction, TxIn, absolute::LockTime};

    fn spending(script_pubkey: ScriptBuf) -> Psbt {
        let value = Amount::from_sat(1000);
        let tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: OutPoint { vout: 1, ..OutPoint::null() }, ..TxIn::default() }],
            output: vec![TxOut { value, script_pubkey: ScriptBuf::new_p2sh(&ScriptBuf::new().script_hash()) }],
        };
        let mut psbt = Psbt::from_unsigned_tx(tx).expect("nothing is signed");
        psbt.inputs[0].witness_utxo = Some(TxOut { value, script_pubkey });
        psbt
    }

    #[test]
    fn signatures_must_commit_to_what_the_field_says() {
        let key: PublicKey = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("the generator");
        let mut psbt = spending(ScriptBuf::new_p2wpkh(&key.wpubkey_hash().expect("compressed")));
        assert!(has_agreed_sighashes(&psbt, 0));
        let signature = "300602010102010181";
        psbt.inputs[0].partial_sigs.insert(key, signature.parse().expect("a signature for ALL|ANYONECANPAY"));
        assert!(!has_agreed_sighashes(&psbt, 0), "ALL without the field");
        for (field, agreed) in [("SIGHASH_ALL|SIGHASH_ANYONECANPAY", true), ("SIGHASH_ALL", false)] {
            psbt.inputs[0].sighash_type = Some(field.parse().expect("a type"));
            assert_eq!(has_agreed_sighashes(&psbt, 0), agreed, "{field}");
        }
    }

    #[test]
    fn a_nested_key_hash_is_estimated_at_134_vbytes() {
        let key: PublicKey = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("the generator");
        let inner = ScriptBuf::new_p2wpkh(&key.wpubkey_hash().expect("compressed"));
        let mut psbt = spending(ScriptBuf::new_p2sh(&inner.script_hash()));
        assert_eq!(estimated_vsize(&psbt, 20), None);
        psbt.inputs[0].redeem_script = Some(inner);
        psbt.inputs[0].bip32_derivation.insert(key.inner, Default::default());
        assert_eq!(estimated_vsize(&psbt, 20), Some(134));
    }

    #[test]
    fn an_input_that_anyone_can_spend_is_satisfied() {
        assert!(is_satisfied(&spending(ScriptBuf::from_bytes(vec![0x51])), 0));
        assert!(!is_satisfied(&spending(ScriptBuf::from_bytes(vec![0x00])), 0));
    }
}
