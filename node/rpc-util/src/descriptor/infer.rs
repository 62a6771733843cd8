//! The descriptor that best describes an output script when nothing else is known.

use super::with_checksum;
use crate::address::encode_address;
use crate::solver::{ScriptType, solve};
use bitcoin::{Network, Script, XOnlyPublicKey};

/// Keys of the forms 02, 03 and 04; hybrid keys cannot be written in a descriptor.
fn is_plain_key(key: &[u8]) -> bool {
    matches!(key.first(), Some(2..=4))
}

/// Descriptor of a script, with checksum.
pub fn infer_descriptor(script: &Script, network: Network) -> String {
    let kind = solve(script.as_bytes());
    let text = match &kind {
        ScriptType::PubKey(key) if is_plain_key(key) => Some(format!("pk({})", hex::encode(key))),
        ScriptType::MultiSig { required, keys } if keys.iter().all(|key| is_plain_key(key)) => {
            let keys: Vec<String> = keys.iter().map(hex::encode).collect();
            Some(format!("multi({required},{})", keys.join(",")))
        }
        ScriptType::WitnessV1Taproot(key) if XOnlyPublicKey::from_slice(key).is_ok() => {
            Some(format!("rawtr({})", hex::encode(key)))
        }
        _ => kind.destination().map(|destination| format!("addr({})", encode_address(&destination, network))),
    };
    with_checksum(&text.unwrap_or_else(|| format!("raw({})", hex::encode(script))))
}
