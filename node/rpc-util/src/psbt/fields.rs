//! The fields of PSBT version 0 that are known, with what Core says when one is malformed (BIP174, BIP371, BIP373).

use super::values::{self as value, Checked};

/// A kind of field.
pub(super) struct Field {
    /// Number that keys start with.
    pub(super) number: u64,
    /// Lengths that keys may have, number included.
    pub(super) lengths: fn(usize) -> bool,
    /// Said when a key has another length.
    pub(super) bad_length: &'static str,
    /// Said when a key stands twice.
    pub(super) duplicate: &'static str,
    /// Judges key (without number) and value.
    pub(super) check: fn(&[u8], &[u8]) -> Checked,
}

const fn field(
    number: u64,
    lengths: fn(usize) -> bool,
    bad_length: &'static str,
    duplicate: &'static str,
    check: fn(&[u8], &[u8]) -> Checked,
) -> Field {
    Field { number, lengths, bad_length, duplicate, check }
}

fn one(length: usize) -> bool {
    length == 1
}

fn with_pubkey(length: usize) -> bool {
    length == 34 || length == 66
}

fn with_hash160(length: usize) -> bool {
    length == 21
}

fn with_hash256(length: usize) -> bool {
    length == 33
}

fn with_compressed_key(length: usize) -> bool {
    length == 34
}

fn with_key_and_leaf(length: usize) -> bool {
    length == 65
}

fn with_control_block(length: usize) -> bool {
    length >= 34 && (length - 2).is_multiple_of(32)
}

fn with_xpub(length: usize) -> bool {
    length == 79
}

fn with_two_keys(length: usize) -> bool {
    length == 67 || length == 99
}

fn of_any_length(_: usize) -> bool {
    true
}

const PROPRIETARY: Field = field(0xfc, of_any_length, "", "Duplicate Key, proprietary key already found", value::proprietary);
/// A field that this release does not know.
pub(super) const UNKNOWN: Field =
    field(u64::MAX, of_any_length, "", "Duplicate Key, key for unknown value already provided", value::any);
const DERIVATION_LENGTH: &str = "Size of key was not the expected size for the type BIP32 keypath";
const DERIVATION_TWICE: &str = "Duplicate Key, pubkey derivation path already provided";

#[rustfmt::skip]
pub(super) const GLOBAL: &[Field] = &[
    field(0x00, one, "Global unsigned tx key is more than one byte type", "Duplicate Key, unsigned tx already provided", value::unsigned_transaction),
    field(0x01, with_xpub, "Size of key was not the expected size for the type global xpub", "Duplicate key, global xpub already provided", value::xpub),
    field(0xfb, one, "Global version key is more than one byte type", "Duplicate Key, version already provided", value::version),
    PROPRIETARY,
];

#[rustfmt::skip]
pub(super) const INPUT: &[Field] = &[
    field(0x00, one, "Non-witness utxo key is more than one byte type", "Duplicate Key, input non-witness utxo already provided", value::transaction),
    field(0x01, one, "Witness utxo key is more than one byte type", "Duplicate Key, input witness utxo already provided", value::output),
    field(0x02, with_pubkey, "Size of key was not the expected size for the type partial signature pubkey", "Duplicate Key, input partial signature for pubkey already provided", value::partial_signature),
    field(0x03, one, "Sighash type key is more than one byte type", "Duplicate Key, input sighash type already provided", value::four_bytes),
    field(0x04, one, "Input redeemScript key is more than one byte type", "Duplicate Key, input redeemScript already provided", value::any),
    field(0x05, one, "Input witnessScript key is more than one byte type", "Duplicate Key, input witnessScript already provided", value::any),
    field(0x06, with_pubkey, DERIVATION_LENGTH, DERIVATION_TWICE, value::derivation),
    field(0x07, one, "Final scriptSig key is more than one byte type", "Duplicate Key, input final scriptSig already provided", value::any),
    field(0x08, one, "Final scriptWitness key is more than one byte type", "Duplicate Key, input final scriptWitness already provided", value::witness),
    field(0x0a, with_hash160, "Size of key was not the expected size for the type ripemd160 preimage", "Duplicate Key, input ripemd160 preimage already provided", value::any),
    field(0x0b, with_hash256, "Size of key was not the expected size for the type sha256 preimage", "Duplicate Key, input sha256 preimage already provided", value::any),
    field(0x0c, with_hash160, "Size of key was not the expected size for the type hash160 preimage", "Duplicate Key, input hash160 preimage already provided", value::any),
    field(0x0d, with_hash256, "Size of key was not the expected size for the type hash256 preimage", "Duplicate Key, input hash256 preimage already provided", value::any),
    field(0x13, one, "Input Taproot key signature key is more than one byte type", "Duplicate Key, input Taproot key signature already provided", value::key_path_signature),
    field(0x14, with_key_and_leaf, "Input Taproot script signature key is not 65 bytes", "Duplicate Key, input Taproot script signature already provided", value::script_path_signature),
    field(0x15, with_control_block, "Input Taproot leaf script key's control block size is not valid", "Duplicate Key, input Taproot leaf script already provided", value::leaf_script),
    field(0x16, with_hash256, "Input Taproot BIP32 keypath key is not at 33 bytes", "Duplicate Key, input Taproot BIP32 keypath already provided", value::input_tap_derivation),
    field(0x17, one, "Input Taproot internal key key is more than one byte type", "Duplicate Key, input Taproot internal key already provided", value::hash),
    field(0x18, one, "Input Taproot merkle root key is more than one byte type", "Duplicate Key, input Taproot merkle root already provided", value::hash),
    field(0x1a, with_compressed_key, "Input musig2 participants pubkeys aggregate key is not 34 bytes", "Duplicate Key, input participant pubkeys for an aggregate key already provided", value::input_participants),
    field(0x1b, with_two_keys, "Input musig2 pubnonce key is not expected size of 67 or 99 bytes", "Duplicate Key, input musig2 pubnonce already provided", value::public_nonce),
    field(0x1c, with_two_keys, "Input musig2 partial sig key is not expected size of 67 or 99 bytes", "Duplicate Key, input musig2 partial sig already provided", value::musig2_partial_signature),
    PROPRIETARY,
];

#[rustfmt::skip]
pub(super) const OUTPUT: &[Field] = &[
    field(0x00, one, "Output redeemScript key is more than one byte type", "Duplicate Key, output redeemScript already provided", value::any),
    field(0x01, one, "Output witnessScript key is more than one byte type", "Duplicate Key, output witnessScript already provided", value::any),
    field(0x02, with_pubkey, DERIVATION_LENGTH, DERIVATION_TWICE, value::derivation),
    field(0x05, one, "Output Taproot internal key key is more than one byte type", "Duplicate Key, output Taproot internal key already provided", value::hash),
    field(0x06, one, "Output Taproot tree key is more than one byte type", "Duplicate Key, output Taproot tree already provided", value::tap_tree),
    field(0x07, with_hash256, "Output Taproot BIP32 keypath key is not at 33 bytes", "Duplicate Key, output Taproot BIP32 keypath already provided", value::output_tap_derivation),
    field(0x08, with_compressed_key, "Output musig2 participants pubkeys aggregate key is not 34 bytes", "Duplicate Key, output participant pubkeys for an aggregate key already provided", value::output_participants),
    PROPRIETARY,
];
