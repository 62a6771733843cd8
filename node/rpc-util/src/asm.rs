//! Assembly text of scripts.

use crate::opcode::{self, Ops, PUSHDATA4};

/// Name of a defined signature hash type byte.
pub fn sighash_name(byte: u8) -> Option<&'static str> {
    Some(match byte {
        0x01 => "ALL",
        0x02 => "NONE",
        0x03 => "SINGLE",
        0x81 => "ALL|ANYONECANPAY",
        0x82 => "NONE|ANYONECANPAY",
        0x83 => "SINGLE|ANYONECANPAY",
        _ => return None,
    })
}

/// Signature hash type by its name; 0 is `DEFAULT`.
///
/// # Errors
/// Core's text for an unknown name.
pub fn sighash_from_name(name: &str) -> Result<u8, String> {
    Ok(match name {
        "DEFAULT" => 0,
        "ALL" => 0x01,
        "NONE" => 0x02,
        "SINGLE" => 0x03,
        "ALL|ANYONECANPAY" => 0x81,
        "NONE|ANYONECANPAY" => 0x82,
        "SINGLE|ANYONECANPAY" => 0x83,
        _ => return Err(format!("'{name}' is not a valid sighash parameter.")),
    })
}

/// Strict DER of BIP66 with one sighash byte at the end.
pub fn is_strict_der_signature(sig: &[u8]) -> bool {
    if !(9..=73).contains(&sig.len()) || sig[0] != 0x30 || usize::from(sig[1]) != sig.len() - 3 {
        return false;
    }
    let r_len = usize::from(sig[3]);
    if 5 + r_len >= sig.len() {
        return false;
    }
    let s_len = usize::from(sig[5 + r_len]);
    if r_len + s_len + 7 != sig.len() {
        return false;
    }
    let is_integer = |tag: usize, len: usize| {
        let first = tag + 2;
        sig[tag] == 0x02 && len > 0 && sig[first] & 0x80 == 0 && !(len > 1 && sig[first] == 0 && sig[first + 1] & 0x80 == 0)
    };
    is_integer(2, r_len) && is_integer(r_len + 4, s_len)
}

/// Text of a script; with `decode_sighash` a push that is a signature shows its hash type in brackets.
pub fn script_asm(script: &[u8], decode_sighash: bool) -> String {
    let decode_sighash = decode_sighash && !opcode::is_unspendable(script);
    let mut parts = Vec::new();
    for op in Ops::new(script) {
        let Ok(op) = op else {
            parts.push("[error]".into());
            break;
        };
        if op.code > PUSHDATA4 {
            parts.push(opcode::name(op.code));
        } else if op.data.len() <= 4 {
            parts.push(opcode::script_number(op.data).to_string());
        } else {
            parts.push(push_text(op.data, decode_sighash));
        }
    }
    parts.join(" ")
}

fn push_text(data: &[u8], decode_sighash: bool) -> String {
    if decode_sighash
        && is_strict_der_signature(data)
        && let Some((kind, signature)) = data.split_last()
        && let Some(name) = sighash_name(*kind)
    {
        return format!("{}[{name}]", hex::encode(signature));
    }
    hex::encode(data)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn asm(hex: &str, sighash: bool) -> String {
        script_asm(&hex::decode(hex).unwrap(), sighash)
    }

    #[test]
    fn small_pushes_are_numbers_and_bad_pushes_are_errors() {
        assert_eq!(asm("00", false), "0");
        assert_eq!(asm("0181", false), "-1");
        assert_eq!(asm("04ffffff7f", false), "2147483647");
        assert_eq!(asm("76a9140102", false), "OP_DUP OP_HASH160 [error]");
        assert_eq!(asm("4f5160ba", false), "-1 1 16 OP_CHECKSIGADD");
        assert_eq!(asm("bb", false), "OP_UNKNOWN");
    }

    #[test]
    fn signature_in_input_script_shows_its_hash_type() {
        let signature = "304502207fa7a6d1e0ee81132a269ad84e68d695483745cde8b541e3bf630749894e342a022100c1f7ab20e13e22fb95281a870f3dcf38d782e53023ee313d741ad0cfbc0c5090";
        let push = format!("48{signature}01");
        assert_eq!(asm(&push, true), format!("{signature}[ALL]"));
        assert_eq!(asm(&push, false), format!("{signature}01"));
        // Behind OP_RETURN it stays data.
        assert_eq!(asm(&format!("6a{push}"), true), format!("OP_RETURN {signature}01"));
    }
}
