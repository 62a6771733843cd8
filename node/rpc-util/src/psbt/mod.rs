//! PSBTs of version 0 (BIP174) and 2 (BIP370). Both are worked on as the `bitcoin` crate has them, in version 0, with what only
//! version 2 holds beside it. The crate reads and writes the fields; before and after that, everything that Core insists on is
//! checked and ordered here, and refused in Core's words, because users and their tools read these.

mod combine;
mod fields;
mod order;
mod preimages;
mod records;
mod values;
mod write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::psbt::Input;
use bitcoin::taproot::TapNodeHash;
use bitcoin::{Psbt, Sequence, Transaction};

use crate::codec;
use crate::error::{RpcError, RpcResult, VERIFY_ERROR};
use fields::{GLOBAL, INPUT, OUTPUT, global};
use preimages::Unproven;
use records::{MAGIC, Record, Records};
use write::{put, put_map};

/// Why bytes are no PSBT, in Core's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field, or the lack of one.
    #[error("{0}")]
    Field(&'static str),
    /// A key of another length than those of its field.
    #[error("Size of key was not {size} for the type {field}")]
    KeySize {
        /// The right length.
        size: usize,
        /// What the field is called.
        field: &'static str,
    },
    /// A key that stands twice in a map.
    #[error("Duplicate Key, {map} key \"{}\" already provided", hex::encode(key))]
    Duplicate {
        /// What maps of this kind are called.
        map: &'static str,
        /// The key with its number.
        key: Vec<u8>,
    },
    /// Bytes behind the last map.
    #[error("extra data after PSBT")]
    ExtraData,
}

impl From<&'static str> for Malformed {
    fn from(problem: &'static str) -> Self {
        Self::Field(problem)
    }
}

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// With the transaction as a whole (BIP174).
    Zero,
    /// With the parts of the transaction beside what belongs to them (BIP370).
    Two,
}

impl Version {
    /// What a caller asks for; version 2 without a wish.
    ///
    /// # Errors
    /// -8 for other versions.
    pub fn wished(number: Option<i64>) -> RpcResult<Self> {
        match number {
            Some(0) => Ok(Self::Zero),
            None | Some(2) => Ok(Self::Two),
            Some(_) => Err(RpcError::parameter("The PSBT version can only be 2 or 0")),
        }
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Two => 2,
        }
    }
}

/// What only version 2 says of an input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputFields {
    /// The sequence; without one it is final.
    pub sequence: Option<Sequence>,
    /// The time that the lock time must have reached.
    pub time_lock: Option<u32>,
    /// The height that the lock time must have reached.
    pub height_lock: Option<u32>,
}

/// What only version 2 holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version2 {
    /// The lock time if no input asks for one.
    pub fallback_lock_time: Option<u32>,
    /// Flags: inputs may change (1), outputs may change (2), a signature binds an input to its output (4).
    pub modifiable: Option<u8>,
    /// For each input.
    pub inputs: Vec<InputFields>,
}

/// The lock time that all inputs agree to, a height rather than a time (BIP370); `None` if they exclude each other.
fn lock_time(version_2: &Version2) -> Option<LockTime> {
    let locked = || version_2.inputs.iter().filter(|input| input.time_lock.is_some() || input.height_lock.is_some());
    // `None` as soon as one input does without.
    let highest = |lock: fn(&InputFields) -> Option<u32>| {
        locked().map(lock).try_fold(0, |highest, lock| lock.map(|lock| highest.max(lock)))
    };
    let time = match locked().next() {
        None => version_2.fallback_lock_time.unwrap_or(0),
        Some(_) => highest(|input| input.height_lock).or_else(|| highest(|input| input.time_lock))?,
    };
    Some(LockTime::from_consensus(time))
}

/// A PSBT of either version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedPsbt {
    /// It in version 0. The unsigned transaction is what the fields of version 2 make; where they make none
    /// ([`Self::lock_time`]), its lock time is 0.
    pub psbt: Psbt,
    /// What version 2 holds besides; `None` in version 0.
    pub version_2: Option<Version2>,
}

impl VersionedPsbt {
    /// A PSBT of a transaction without signatures.
    ///
    /// # Errors
    /// The transaction has signatures.
    pub fn new(tx: Transaction, version: Version) -> Result<Self, bitcoin::psbt::Error> {
        let fields = |input: &bitcoin::TxIn| InputFields { sequence: Some(input.sequence), ..InputFields::default() };
        let version_2 = (version == Version::Two).then(|| Version2 {
            fallback_lock_time: Some(tx.lock_time.to_consensus_u32()),
            modifiable: None,
            inputs: tx.input.iter().map(fields).collect(),
        });
        Ok(Self { psbt: Psbt::from_unsigned_tx(tx)?, version_2 })
    }

    /// Its version.
    pub fn version(&self) -> Version {
        if self.version_2.is_some() { Version::Two } else { Version::Zero }
    }

    /// The lock time of the transaction; `None` if the inputs ask for lock times that exclude each other.
    pub fn lock_time(&self) -> Option<LockTime> {
        self.version_2.as_ref().map_or(Some(self.psbt.unsigned_tx.lock_time), lock_time)
    }

    /// Refuses a PSBT that no transaction can be made of.
    ///
    /// # Errors
    /// -25 if it is one.
    pub fn ensure_transaction(&self) -> RpcResult<()> {
        let impossible = || RpcError::new(VERIFY_ERROR, "The transaction cannot be valid");
        self.lock_time().map(|_| ()).ok_or_else(impossible)
    }

    /// Takes sequences and lock time from the fields of version 2.
    fn refresh_transaction(&mut self) {
        let Some(version_2) = &self.version_2 else { return };
        self.psbt.unsigned_tx.lock_time = lock_time(version_2).unwrap_or(LockTime::ZERO);
        for (input, fields) in self.psbt.unsigned_tx.input.iter_mut().zip(&version_2.inputs) {
            input.sequence = fields.sequence.unwrap_or(Sequence::MAX);
        }
    }
}

/// Whether an input has a final script or witness.
pub fn is_final(input: &Input) -> bool {
    input.final_script_sig.is_some() || input.final_script_witness.is_some()
}

/// Leaves out what Core takes for absent, and sorts what it keeps sorted.
fn normalize(psbt: &mut Psbt) {
    for input in &mut psbt.inputs {
        input.redeem_script.take_if(|script| script.is_empty());
        input.witness_script.take_if(|script| script.is_empty());
        input.final_script_sig.take_if(|script| script.is_empty());
        input.final_script_witness.take_if(|witness| witness.is_empty());
        input.tap_merkle_root.take_if(|root| *root == TapNodeHash::all_zeros());
    }
    for output in &mut psbt.outputs {
        output.redeem_script.take_if(|script| script.is_empty());
        output.witness_script.take_if(|script| script.is_empty());
    }
    let inputs = psbt.inputs.iter_mut().map(|input| &mut input.tap_key_origins);
    let outputs = psbt.outputs.iter_mut().map(|output| &mut output.tap_key_origins);
    for (leaves, _) in inputs.chain(outputs).flat_map(|origins| origins.values_mut()) {
        leaves.sort_unstable();
        leaves.dedup();
    }
}

/// A PSBT from base64.
///
/// # Errors
/// -22 with what is wrong.
pub fn decode(text: &str) -> RpcResult<VersionedPsbt> {
    let fail = |what: String| RpcError::deserialization(format!("TX decode failed {what}"));
    let bytes = STANDARD.decode(text).map_err(|_| fail("invalid base64".into()))?;
    let records = records::read(&bytes).map_err(|problem| match problem {
        Malformed::ExtraData => fail(problem.to_string()),
        _ => fail(format!("{problem}: iostream error")), // what Core's stream exceptions say
    })?;
    let psbt = to_psbt(&records).map_err(|error| fail(error.to_string()))?;
    Ok(VersionedPsbt { psbt, version_2: records.version_2 })
}

/// The PSBT in version 0, which the `bitcoin` crate reads.
fn to_psbt(records: &Records<'_>) -> Result<Psbt, bitcoin::psbt::Error> {
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, &[global::UNSIGNED_TX]);
    put(&mut bytes, &codec::encode_tx(&records.transaction, false));
    let is_frame = |key: &[u8]| key == [global::UNSIGNED_TX] || key == [global::VERSION] || GLOBAL.is_only_in_2(key);
    put_map(&mut bytes, records.global.iter().filter(|(key, _)| !is_frame(key)));
    let mut unproven = Vec::new();
    for (i, map) in records.inputs.iter().enumerate() {
        unproven.extend(map.iter().filter_map(Unproven::of).map(|found| (i, found)));
        let is_readable = |record: &&Record<'_>| !INPUT.is_only_in_2(record.0) && Unproven::of(record).is_none();
        put_map(&mut bytes, map.iter().filter(is_readable));
    }
    for map in &records.outputs {
        put_map(&mut bytes, map.iter().filter(|(key, _)| !OUTPUT.is_only_in_2(key)));
    }
    let mut psbt = Psbt::deserialize(&bytes)?;
    for (i, unproven) in unproven {
        psbt.inputs.get_mut(i).into_iter().for_each(|input| unproven.insert(input));
    }
    normalize(&mut psbt);
    Ok(psbt)
}

/// A PSBT as base64, as Core would write it.
pub fn encode(psbt: &VersionedPsbt) -> String {
    STANDARD.encode(write::to_bytes(psbt))
}

#[cfg(test)]
mod tests;
