//! What the values of known PSBT fields must look like.

use bitcoin::PublicKey;
use bitcoin::consensus::encode::{self, Decodable, VarInt};

use crate::codec;

/// Names what is wrong, as Core does.
pub(super) type Checked = Result<(), &'static str>;

pub(super) const END_OF_DATA: &str = "SpanReader::read(): end of data";
const NOT_CANONICAL: &str = "non-canonical ReadCompactSize()";
const TOO_LARGE: &str = "ReadCompactSize(): size too large";
/// Largest length that is read.
const MAX_LENGTH: u64 = 0x0200_0000;
/// Lock times from here on are points in time, those below are heights.
const FIRST_TIME: u32 = 500_000_000;
const WRONG_SIZE: &str = "Size of value was not the stated size";
const HASH: usize = 32;
const COMPRESSED_KEY: usize = 33;
const MUSIG2_NONCE: usize = 66;
/// Deepest leaf of a Taproot tree.
const MAX_LEAF_DEPTH: u8 = 128;

/// A length in front of data.
pub(super) fn length(rest: &mut &[u8]) -> Result<usize, &'static str> {
    let value = VarInt::consensus_decode_from_finite_reader(rest).map_err(|error| match error {
        encode::Error::NonMinimalVarInt => NOT_CANONICAL,
        _ => END_OF_DATA,
    })?;
    usize::try_from(value.0).ok().filter(|_| value.0 <= MAX_LENGTH).ok_or(TOO_LARGE)
}

/// A length and as many bytes.
pub(super) fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let length = length(rest)?;
    let (taken, behind) = rest.split_at_checked(length).ok_or(END_OF_DATA)?;
    *rest = behind;
    Ok(taken)
}

fn ensure(holds: bool, problem: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(problem) }
}

fn is_point(key: &[u8]) -> bool {
    PublicKey::from_slice(key).is_ok()
}

/// Anything.
pub(super) fn any(_: &[u8], _: &[u8]) -> Checked {
    Ok(())
}

fn sized(value: &[u8], size: usize) -> Checked {
    ensure(value.len() == size, WRONG_SIZE)
}

pub(super) fn four_bytes(_: &[u8], value: &[u8]) -> Checked {
    sized(value, 4)
}

pub(super) fn hash(_: &[u8], value: &[u8]) -> Checked {
    sized(value, HASH)
}

pub(super) fn one_byte(_: &[u8], value: &[u8]) -> Checked {
    sized(value, 1)
}

pub(super) fn eight_bytes(_: &[u8], value: &[u8]) -> Checked {
    sized(value, 8)
}

/// A number of four bytes, as fields of that size have it.
pub(super) fn number(value: &[u8]) -> Result<u32, &'static str> {
    value.try_into().map(u32::from_le_bytes).map_err(|_| WRONG_SIZE)
}

/// A number of maps.
pub(super) fn count(_: &[u8], value: &[u8]) -> Checked {
    let rest = &mut &value[..];
    length(rest)?;
    ensure(rest.is_empty(), WRONG_SIZE)
}

pub(super) fn version(_: &[u8], value: &[u8]) -> Checked {
    ensure(number(value)? <= 2, "Unsupported version number")
}

pub(super) fn time_lock(_: &[u8], value: &[u8]) -> Checked {
    ensure(number(value)? >= FIRST_TIME, "Required time based locktime is invalid (less than 500000000)")
}

pub(super) fn height_lock(_: &[u8], value: &[u8]) -> Checked {
    let height = number(value)?;
    ensure(height < FIRST_TIME, "Required height based locktime is invalid (greater than or equal to 500000000)")?;
    ensure(height != 0, "Required height based locktime is invalid (0)")
}

pub(super) fn unsigned_transaction(_: &[u8], value: &[u8]) -> Checked {
    let tx = codec::decode_tx(value, true, false).ok_or(WRONG_SIZE)?;
    ensure(
        tx.input.iter().all(|input| input.script_sig.is_empty() && input.witness.is_empty()),
        "Unsigned tx does not have empty scriptSigs and scriptWitnesses.",
    )
}

pub(super) fn transaction(_: &[u8], value: &[u8]) -> Checked {
    codec::decode_witness_tx(value).map(|_| ()).ok_or(WRONG_SIZE)
}

pub(super) fn output(_: &[u8], value: &[u8]) -> Checked {
    let rest = &mut value.get(8..).ok_or(WRONG_SIZE)?; // behind the amount
    bytes(rest).map_err(|_| WRONG_SIZE)?;
    ensure(rest.is_empty(), WRONG_SIZE)
}

pub(super) fn witness(_: &[u8], value: &[u8]) -> Checked {
    let rest = &mut &value[..];
    let count = length(rest).map_err(|_| WRONG_SIZE)?;
    ensure(count <= rest.len(), WRONG_SIZE)?;
    for _ in 0..count {
        bytes(rest).map_err(|_| WRONG_SIZE)?;
    }
    ensure(rest.is_empty(), WRONG_SIZE)
}

/// A key in the key data and an ECDSA signature.
pub(super) fn partial_signature(key: &[u8], value: &[u8]) -> Checked {
    ensure(is_point(key), "Invalid pubkey")?;
    let is_encoded = bitcoin::ecdsa::Signature::from_slice(value).is_ok();
    ensure(is_encoded, "Signature is not a valid encoding")
}

fn origin_length(length: usize) -> Checked {
    ensure(length != 0 && length.is_multiple_of(4), "Invalid length for HD key path")
}

/// A key in the key data and where it comes from.
pub(super) fn derivation(key: &[u8], value: &[u8]) -> Checked {
    ensure(is_point(key), "Invalid pubkey")?;
    origin_length(value.len())
}

/// An extended key in the key data and where it comes from.
pub(super) fn xpub(key: &[u8], value: &[u8]) -> Checked {
    // version, depth, fingerprint, number and chain code stand before the key
    ensure(key.get(45..).is_some_and(is_point), "Invalid pubkey")?;
    origin_length(value.len())
}

fn leaf_hashes_and_origin(value: &[u8], problem: &'static str) -> Checked {
    let rest = &mut &value[..];
    let count = length(rest).map_err(|_| problem)?;
    let hashes = count.checked_mul(HASH).filter(|hashes| *hashes <= rest.len()).ok_or(problem)?;
    origin_length(rest.len() - hashes)
}

pub(super) fn input_tap_derivation(_: &[u8], value: &[u8]) -> Checked {
    leaf_hashes_and_origin(value, "Input Taproot BIP32 keypath has an invalid length")
}

pub(super) fn output_tap_derivation(_: &[u8], value: &[u8]) -> Checked {
    leaf_hashes_and_origin(value, "Output Taproot BIP32 keypath has an invalid length")
}

pub(super) fn key_path_signature(_: &[u8], value: &[u8]) -> Checked {
    ensure(value.len() >= 64, "Input Taproot key path signature is shorter than 64 bytes")?;
    ensure(value.len() <= 65, "Input Taproot key path signature is longer than 65 bytes")
}

pub(super) fn script_path_signature(_: &[u8], value: &[u8]) -> Checked {
    ensure(value.len() >= 64, "Input Taproot script path signature is shorter than 64 bytes")?;
    ensure(value.len() <= 65, "Input Taproot script path signature is longer than 65 bytes")
}

pub(super) fn leaf_script(_: &[u8], value: &[u8]) -> Checked {
    ensure(!value.is_empty(), "Input Taproot leaf script must be at least 1 byte")
}

/// Leaves in depth-first order: depth, version and script of each. Two siblings make a node one level above them; a whole
/// tree leaves one node at the top.
pub(super) fn tap_tree(_: &[u8], value: &[u8]) -> Checked {
    ensure(!value.is_empty(), "Output Taproot tree must not be empty")?;
    let rest = &mut &value[..];
    let mut open: Vec<u8> = Vec::new();
    let mut is_ordered = true;
    while !rest.is_empty() {
        let (&[mut depth, version], behind) = rest.split_first_chunk::<2>().ok_or(END_OF_DATA)?;
        *rest = behind;
        bytes(rest)?;
        ensure(depth <= MAX_LEAF_DEPTH, "Output Taproot tree has as leaf greater than Taproot maximum depth")?;
        ensure(version & 1 == 0, "Output Taproot tree has a leaf with an invalid leaf version")?;
        while open.last() == Some(&depth) {
            open.pop();
            match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => is_ordered = false,
            }
        }
        is_ordered &= open.last().is_none_or(|last| *last < depth);
        open.push(depth);
    }
    ensure(is_ordered && open == [0], "Output Taproot tree is malformed")
}

fn participants(key: &[u8], value: &[u8], problems: [&'static str; 3]) -> Checked {
    let [aggregate, participant, size] = problems;
    ensure(is_point(key), aggregate)?;
    let (keys, rest) = value.as_chunks::<COMPRESSED_KEY>();
    ensure(keys.iter().all(|key| is_point(key)), participant)?;
    ensure(rest.is_empty(), size)
}

pub(super) fn input_participants(key: &[u8], value: &[u8]) -> Checked {
    let problems = [
        "Input musig2 aggregate pubkey is invalid",
        "Input musig2 participant pubkey is invalid",
        "Input musig2 participants pubkeys value size is not a multiple of 33",
    ];
    participants(key, value, problems)
}

pub(super) fn output_participants(key: &[u8], value: &[u8]) -> Checked {
    let problems = [
        "Output musig2 aggregate pubkey is invalid",
        "Output musig2 participant pubkey is invalid",
        "Output musig2 participants pubkeys value size is not a multiple of 33",
    ];
    participants(key, value, problems)
}

/// Participant and aggregate key in the key data.
fn musig2_keys(key: &[u8]) -> Checked {
    let (participant, rest) = key.split_at_checked(COMPRESSED_KEY).ok_or(END_OF_DATA)?;
    let aggregate = rest.get(..COMPRESSED_KEY).ok_or(END_OF_DATA)?;
    ensure(is_point(aggregate), "musig2 aggregate pubkey is invalid")?;
    ensure(is_point(participant), "musig2 participant pubkey is invalid")
}

pub(super) fn public_nonce(key: &[u8], value: &[u8]) -> Checked {
    musig2_keys(key)?;
    ensure(value.len() == MUSIG2_NONCE, "Input musig2 pubnonce value is not 66 bytes")
}

pub(super) fn musig2_partial_signature(key: &[u8], value: &[u8]) -> Checked {
    musig2_keys(key)?;
    sized(value, HASH)
}

/// Identifier and subtype in the key data.
pub(super) fn proprietary(key: &[u8], _: &[u8]) -> Checked {
    let rest = &mut &key[..];
    bytes(rest)?;
    length(rest).map(|_| ())
}
