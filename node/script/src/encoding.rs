//! Forms of signatures and public keys that rules ask for (BIP62, BIP66, BIP143).

use bitcoin::secp256k1::ecdsa::Signature;

use crate::eval::SigVersion;
use crate::{Flags, ScriptError};

/// Strict DER with the hash type behind it (BIP66):
/// `0x30 [length] 0x02 [length of R] [R] 0x02 [length of S] [S] [hash type]`.
pub fn is_strict_der(signature: &[u8]) -> bool {
    if !(9..=73).contains(&signature.len()) {
        return false;
    }
    let Some((_, body)) = signature.split_last() else { return false };
    let [0x30, length, integers @ ..] = body else { return false };
    if usize::from(*length) != integers.len() {
        return false;
    }
    let Some(rest) = strict_integer(integers) else { return false };
    strict_integer(rest) == Some(&[])
}

/// Takes one positive integer in its shortest form from the front.
fn strict_integer(bytes: &[u8]) -> Option<&[u8]> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let (integer, rest) = rest.split_at_checked(usize::from(*length))?;
    match integer {
        [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => None,
        _ => Some(rest),
    }
}

fn has_low_s(signature: &[u8]) -> bool {
    let Some((_, der)) = signature.split_last() else { return false };
    let Ok(parsed) = Signature::from_der_lax(der) else { return false };
    let mut normalized = parsed;
    normalized.normalize_s();
    normalized == parsed
}

fn has_known_hash_type(signature: &[u8]) -> bool {
    signature.last().is_some_and(|last| matches!(last & !0x80, 1..=3))
}

/// Checks the form of a signature with its hash type; an empty one is a signature that is known not to match.
pub fn check_signature(signature: &[u8], flags: Flags) -> Result<(), ScriptError> {
    if signature.is_empty() {
        return Ok(());
    }
    if flags.intersects(Flags::DERSIG | Flags::LOW_S | Flags::STRICTENC) && !is_strict_der(signature) {
        return Err(ScriptError::SigDer);
    }
    if flags.intersects(Flags::LOW_S) && !has_low_s(signature) {
        return Err(ScriptError::SigHighS);
    }
    if flags.intersects(Flags::STRICTENC) && !has_known_hash_type(signature) {
        return Err(ScriptError::SigHashType);
    }
    Ok(())
}

fn is_compressed(key: &[u8]) -> bool {
    key.len() == 33 && matches!(key.first(), Some(2 | 3))
}

/// Checks the form of a public key.
pub fn check_public_key(key: &[u8], flags: Flags, version: SigVersion) -> Result<(), ScriptError> {
    let is_uncompressed = key.len() == 65 && key.first() == Some(&4);
    if flags.intersects(Flags::STRICTENC) && !is_compressed(key) && !is_uncompressed {
        return Err(ScriptError::PubkeyType);
    }
    if flags.intersects(Flags::WITNESS_PUBKEYTYPE) && version == SigVersion::WitnessV0 && !is_compressed(key) {
        return Err(ScriptError::WitnessPubkeyType);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_is_taken_literally() {
        let good = [0x30, 6, 2, 1, 1, 2, 1, 1, 1];
        assert!(is_strict_der(&good));
        for (at, byte) in [(0, 0x31), (1, 7), (2, 3), (3, 0), (3, 2), (4, 0x80), (5, 3), (6, 2), (7, 0x80)] {
            let mut bad = good;
            bad[at] = byte;
            assert!(!is_strict_der(&bad), "{at}");
        }
        assert!(!is_strict_der(&[0x30, 7, 2, 2, 0, 1, 2, 1, 1, 1]), "R has a superfluous zero");
        assert!(is_strict_der(&[0x30, 7, 2, 2, 0, 0x81, 2, 1, 1, 1]));
    }
}
