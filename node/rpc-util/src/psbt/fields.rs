//! The fields that are known, in the order in which they are written, with what Core says when one is malformed (BIP174,
//! BIP370, BIP371, BIP373).

use super::Malformed;
use super::order::{self, Place};
use super::values::{self as value, Checked};

/// Which maps a table of fields is for.
pub(super) struct Maps {
    /// What Core calls such a map.
    pub(super) name: &'static str,
    /// Its fields, in the order in which they are written.
    pub(super) fields: &'static [Field],
    /// Said when such a map does not end.
    pub(super) no_separator: &'static str,
}

impl Maps {
    /// The field with a number.
    pub(super) fn field(&self, number: u64) -> &'static Field {
        self.fields.iter().find(|field| field.number == number).unwrap_or(&UNKNOWN)
    }

    /// Whether a key is that of a field which only version 2 has.
    pub(super) fn is_only_in_2(&self, key: &[u8]) -> bool {
        self.fields.iter().any(|field| field.not_in_0.is_some() && field.has_key(key))
    }

    /// Where fields of a number stand among the others.
    pub(super) fn rank(&self, number: u64) -> usize {
        self.fields.iter().position(|field| field.number == number).unwrap_or(self.fields.len())
    }
}

/// How long keys may be, their number included, and what is said of others.
pub(super) enum KeySize {
    /// One length; the name of the field is said.
    One(usize, &'static str),
    /// One of two lengths.
    Either(usize, usize, &'static str),
    /// A number and a control block.
    ControlBlock,
    /// Any length.
    Any,
}

impl KeySize {
    /// Judges a length.
    pub(super) fn check(&self, length: usize) -> Result<(), Malformed> {
        match *self {
            Self::One(size, field) if length != size => Err(Malformed::KeySize { size, field }),
            Self::Either(first, second, problem) if length != first && length != second => Err(problem.into()),
            Self::ControlBlock if length < 34 => Err("Input Taproot leaf script key is not at least 34 bytes".into()),
            Self::ControlBlock if !(length - 2).is_multiple_of(32) => {
                Err("Input Taproot leaf script key's control block size is not valid".into())
            }
            _ => Ok(()),
        }
    }
}

/// A kind of field.
pub(super) struct Field {
    /// Number that keys start with.
    pub(super) number: u64,
    /// Lengths of keys.
    pub(super) key_size: KeySize,
    /// Judges key (without number) and value.
    pub(super) check: fn(&[u8], &[u8]) -> Checked,
    /// Place of a record among others of the field, by key and value.
    pub(super) place: fn(&[u8], &[u8]) -> Place,
    /// Said when it stands in version 0; `None` where it may.
    pub(super) not_in_0: Option<&'static str>,
    /// Said when version 2 lacks it; `None` where it may.
    pub(super) needed_in_2: Option<&'static str>,
}

impl Field {
    /// Whether a key starts with the field's number.
    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        key.first().is_some_and(|first| u64::from(*first) == self.number)
    }

    const fn placed(mut self, place: fn(&[u8], &[u8]) -> Place) -> Self {
        self.place = place;
        self
    }

    const fn only_in_2(mut self, not_in_0: &'static str) -> Self {
        self.not_in_0 = Some(not_in_0);
        self
    }

    const fn needed(mut self, needed_in_2: &'static str) -> Self {
        self.needed_in_2 = Some(needed_in_2);
        self
    }
}

const fn field(number: u8, key_size: KeySize, check: fn(&[u8], &[u8]) -> Checked) -> Field {
    Field { number: number as u64, key_size, check, place: order::by_key, not_in_0: None, needed_in_2: None }
}

/// A field whose key is its number alone.
const fn single(number: u8, name: &'static str, check: fn(&[u8], &[u8]) -> Checked) -> Field {
    field(number, KeySize::One(1, name), check)
}

/// Numbers of global fields that others need to know.
pub(super) mod global {
    pub(in crate::psbt) const UNSIGNED_TX: u8 = 0x00;
    pub(in crate::psbt) const TX_VERSION: u8 = 0x02;
    pub(in crate::psbt) const FALLBACK_LOCK_TIME: u8 = 0x03;
    pub(in crate::psbt) const INPUT_COUNT: u8 = 0x04;
    pub(in crate::psbt) const OUTPUT_COUNT: u8 = 0x05;
    pub(in crate::psbt) const MODIFIABLE: u8 = 0x06;
    pub(in crate::psbt) const VERSION: u8 = 0xfb;
}

/// Numbers of fields of inputs that others need to know.
pub(super) mod input {
    pub(in crate::psbt) const NON_WITNESS_UTXO: u8 = 0x00;
    pub(in crate::psbt) const PREVIOUS_TXID: u8 = 0x0e;
    pub(in crate::psbt) const OUTPUT_INDEX: u8 = 0x0f;
    pub(in crate::psbt) const SEQUENCE: u8 = 0x10;
    pub(in crate::psbt) const TIME_LOCK: u8 = 0x11;
    pub(in crate::psbt) const HEIGHT_LOCK: u8 = 0x12;

    /// Whether a field serves to sign. It is of no use, and not written, once the input is final.
    pub(in crate::psbt) fn is_for_signing(number: u64) -> bool {
        matches!(number, 0x02..=0x06 | 0x0a..=0x0d | 0x13..=0x18 | 0x1a..=0x1c)
    }
}

/// Numbers of fields of outputs that others need to know.
pub(super) mod output {
    pub(in crate::psbt) const AMOUNT: u8 = 0x03;
    pub(in crate::psbt) const SCRIPT: u8 = 0x04;
}

const PROPRIETARY: Field = field(0xfc, KeySize::Any, value::proprietary);
/// A field that this release does not know.
const UNKNOWN: Field = Field { number: u64::MAX, ..field(0, KeySize::Any, value::any) };
const PUBKEY: KeySize = KeySize::Either(34, 66, "Size of key was not the expected size for the type partial signature pubkey");
const DERIVED: KeySize = KeySize::Either(34, 66, "Size of key was not the expected size for the type BIP32 keypath");
const NONCE: KeySize = KeySize::Either(67, 99, "Input musig2 pubnonce key is not expected size of 67 or 99 bytes");
const PART: KeySize = KeySize::Either(67, 99, "Input musig2 partial sig key is not expected size of 67 or 99 bytes");

#[rustfmt::skip]
pub(super) const GLOBAL: Maps = Maps {
    name: "global",
    no_separator: "Separator is missing at the end of the global map",
    fields: &[
        single(global::UNSIGNED_TX, "Global Unsigned TX", value::unsigned_transaction),
        field(0x01, KeySize::One(79, "Global XPUB"), value::xpub).placed(order::by_origin),
        single(global::TX_VERSION, "Global Transaction Version", value::four_bytes)
            .only_in_2("PSBT_GLOBAL_TX_VERSION is not allowed in PSBTv0")
            .needed("PSBT_GLOBAL_TX_VERSION is required in PSBTv2"),
        single(global::FALLBACK_LOCK_TIME, "Global Fallback Locktime", value::four_bytes)
            .only_in_2("PSBT_GLOBAL_FALLBACK_LOCKTIME is not allowed in PSBTv0"),
        single(global::INPUT_COUNT, "Global Input Count", value::count)
            .only_in_2("PSBT_GLOBAL_INPUT_COUNT is not allowed in PSBTv0")
            .needed("PSBT_GLOBAL_INPUT_COUNT is required in PSBTv2"),
        single(global::OUTPUT_COUNT, "Global Output Count", value::count)
            .only_in_2("PSBT_GLOBAL_OUTPUT_COUNT is not allowed in PSBTv0")
            .needed("PSBT_GLOBAL_OUTPUT_COUNT is required in PSBTv2"),
        single(global::MODIFIABLE, "Global TX Modifiable Flags", value::one_byte)
            .only_in_2("PSBT_GLOBAL_TX_MODIFIABLE is not allowed in PSBTv0"),
        single(global::VERSION, "Global PSBT Version", value::version),
        PROPRIETARY,
    ],
};

#[rustfmt::skip]
pub(super) const INPUT: Maps = Maps {
    name: "input",
    no_separator: "Separator is missing at the end of an input map",
    fields: &[
        single(input::NON_WITNESS_UTXO, "Input Non-witness UTXO", value::transaction),
        single(0x01, "Input Witness UTXO", value::output),
        field(0x02, PUBKEY, value::partial_signature).placed(order::by_key_hash),
        single(0x03, "Input Sighash Type", value::four_bytes),
        single(0x04, "Input redeemScript", value::any),
        single(0x05, "Input witnessScript", value::any),
        field(0x06, DERIVED, value::derivation),
        field(0x0a, KeySize::One(21, "Input RIPEMD160 Preimage"), value::any),
        field(0x0b, KeySize::One(33, "Input SHA256 Preimage"), value::any),
        field(0x0c, KeySize::One(21, "Input Hash160 Preimage"), value::any),
        field(0x0d, KeySize::One(33, "Input Hash256 Preimage"), value::any),
        single(0x13, "Input Taproot Key Path Signature", value::key_path_signature),
        field(0x14, KeySize::One(65, "Input Taproot Script Path Signature"), value::script_path_signature),
        field(0x15, KeySize::ControlBlock, value::leaf_script).placed(order::by_leaf),
        field(0x16, KeySize::One(33, "Input Taproot BIP32 Keypath"), value::input_tap_derivation),
        single(0x17, "Input Taproot Internal Key", value::hash),
        single(0x18, "Input Taproot Merkle Root", value::hash),
        field(0x1a, KeySize::One(34, "Input MuSig2 Participants Pubkeys"), value::input_participants),
        field(0x1b, NONCE, value::public_nonce).placed(order::by_aggregate),
        field(0x1c, PART, value::musig2_partial_signature).placed(order::by_aggregate),
        single(0x07, "Input Final scriptSig", value::any),
        single(0x08, "Input Final scriptWitness", value::witness),
        single(input::PREVIOUS_TXID, "Input Previous TXID", value::hash)
            .only_in_2("Previous txid is not allowed in PSBTv0")
            .needed("Previous TXID is required in PSBTv2"),
        single(input::OUTPUT_INDEX, "Input Previous Output's Index", value::four_bytes)
            .only_in_2("Previous output's index is not allowed in PSBTv0")
            .needed("Previous output's index is required in PSBTv2"),
        single(input::SEQUENCE, "Input Sequence", value::four_bytes)
            .only_in_2("Sequence is not allowed in PSBTv0"),
        single(input::TIME_LOCK, "Input Required Time Based Locktime", value::time_lock)
            .only_in_2("Required time based locktime is not allowed in PSBTv0"),
        single(input::HEIGHT_LOCK, "Input Required Height Based Locktime", value::height_lock)
            .only_in_2("Required height based locktime is not allowed in PSBTv0"),
        PROPRIETARY,
    ],
};

#[rustfmt::skip]
pub(super) const OUTPUT: Maps = Maps {
    name: "output",
    no_separator: "Separator is missing at the end of an output map",
    fields: &[
        single(0x00, "Output redeemScript", value::any),
        single(0x01, "Output witnessScript", value::any),
        field(0x02, DERIVED, value::derivation),
        single(output::AMOUNT, "Output Amount", value::eight_bytes)
            .only_in_2("Output amount is not allowed in PSBTv0")
            .needed("Output amount is required in PSBTv2"),
        single(output::SCRIPT, "Output Script", value::any)
            .only_in_2("Output script is not allowed in PSBTv0")
            .needed("Output script is required in PSBTv2"),
        PROPRIETARY,
        single(0x05, "Output Taproot Internal Key", value::hash),
        single(0x06, "Output Taproot Tree Key", value::tap_tree),
        field(0x07, KeySize::One(33, "Output Taproot BIP32 Keypath"), value::output_tap_derivation),
        field(0x08, KeySize::One(34, "Output MuSig2 Participants Pubkeys"), value::output_participants),
    ],
};
