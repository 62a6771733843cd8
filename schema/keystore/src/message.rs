//! What can be asked of a key store and what it answers. The schema says what each request means.

use crate::raw::RawTransaction;
use zeroize::Zeroizing;

/// Bytes that must not stay in memory: a passphrase.
pub type Secret = Zeroizing<Vec<u8>>;
/// Text that must not stay in memory: a private key, a descriptor that may hold one.
pub type SecretText = Zeroizing<String>;

/// One request. Every one is answered by exactly one [`Reply`].
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Makes a new wallet file; refused when one exists. Answer: status.
    Create {
        /// No keys and no descriptors.
        blank: bool,
        /// The wallet can never hold a private key.
        disable_private_keys: bool,
        /// Empty: not encrypted.
        passphrase: Secret,
        /// Core's wallet flags.
        flags: u64,
        /// Also make Core's eight default descriptors (not for a blank wallet or one without private keys).
        generate: bool,
    },
    /// Opens the existing file. Answer: status.
    Open,
    /// All records that hold no private key, in key order. Answer: records.
    Records {
        /// Number of records to skip.
        start: u64,
        /// Most records to answer; the key store may answer fewer.
        limit: u32,
    },
    /// Writes or erases public records in one transaction. Answer: ok.
    Write(Vec<Record>),
    /// Imports a descriptor, with private keys or without. Answer: descriptors, one.
    AddDescriptor {
        /// With checksum or without, private keys allowed.
        descriptor: SecretText,
        /// First index.
        range_start: i32,
        /// Index after the last.
        range_end: i32,
        /// Next index to hand out.
        next_index: i32,
        /// Seconds.
        creation_time: i64,
    },
    /// A new seed and Core's eight default descriptors, made active. Answer: descriptors.
    GenerateDescriptors,
    /// Encrypts a wallet with this passphrase. Answer: ok. The wallet is locked afterwards.
    Encrypt(Secret),
    /// Answer: status.
    Unlock {
        /// The passphrase.
        passphrase: Secret,
        /// Locks itself after that many seconds.
        seconds: i64,
    },
    /// Forgets the keys. Answer: ok.
    Lock,
    /// Answer: ok.
    ChangePassphrase {
        /// Current passphrase.
        old: Secret,
        /// Next passphrase.
        new: Secret,
    },
    /// Answer: signed.
    SignTransaction {
        /// BIP174 serialization with every spent output.
        psbt: Vec<u8>,
        /// 0: default of the script type.
        sighash: u32,
        /// Also build the final scripts of inputs that are complete.
        finalize: bool,
        /// Add key origins to inputs and outputs.
        bip32_derivations: bool,
        /// Fill in scripts and origins, sign nothing.
        update_only: bool,
    },
    /// Answer: text, the base64 signature.
    SignMessage {
        /// For messages only; `script` decides.
        address: String,
        /// The message.
        message: String,
        /// Output script of the address (pay to public key hash).
        script: Vec<u8>,
    },
    /// Answer: descriptors, one, with its private form.
    ExportDescriptor {
        /// Descriptor id.
        id: [u8; 32],
        /// The user asked for private keys.
        consent: bool,
    },
    /// Copies the file into the descriptor that comes beside the message. Answer: ok.
    Backup,
    /// Fills the file from the descriptor beside the message; before open, never over a file. Answer: ok.
    Restore,
    /// Closes the file. Answer: ok.
    Close,
    /// Closes the file, and removes it if this process restored it from a backup. Answer: ok.
    Discard,
    /// Writes every record as text into the descriptor beside the message; after verify or open. Answer: ok.
    Dump,
    /// Makes the file from such a text in the descriptor beside the message, and closes it. Answer: ok.
    CreateFromDump,
    /// Answer: status.
    Status,
    /// Makes sure that everything is on disk. Answer: ok.
    Flush,
    /// A scan begins or has ended; until then addresses can be derived although the time of unlocking is over. Answer: ok.
    Hold(bool),
    /// Extends a descriptor that needs private keys for each index. Answer: descriptors, one.
    TopUp {
        /// Descriptor id.
        id: [u8; 32],
        /// Index after the last.
        range_end: i32,
    },
    /// signmessagewithprivkey. Answer: text.
    OneShotSignMessage {
        /// Private key.
        wif: SecretText,
        /// The message.
        message: String,
    },
    /// descriptorprocesspsbt. Answer: signed.
    OneShotSignTransaction {
        /// BIP174 serialization with every spent output.
        psbt: Vec<u8>,
        /// Private keys.
        wifs: Vec<SecretText>,
        /// Descriptors, with private keys or without.
        descriptors: Vec<OneShotDescriptor>,
        /// 0: default of the script type.
        sighash: u32,
        /// Also build final scripts.
        finalize: bool,
        /// Add key origins.
        bip32_derivations: bool,
    },
    /// signrawtransactionwithwallet. Answer: signed, with the transaction in place of a PSBT.
    SignRaw(RawTransaction),
    /// signrawtransactionwithkey. Answer: as above.
    OneShotSignRaw {
        /// What to sign.
        raw: RawTransaction,
        /// Private keys.
        wifs: Vec<SecretText>,
    },
    /// Sets the spending rules. Answer: ok.
    SetRules {
        /// Passphrase of an encrypted wallet.
        passphrase: Secret,
        /// One rule per line, see `bulkhead-spend-policy`.
        rules: String,
    },
    /// Answer: text.
    Rules,
    /// createwalletdescriptor. Answer: descriptors, one.
    GenerateDescriptor {
        /// xpub of the key to use; empty: the key of the active descriptors.
        hd_key: String,
        /// legacy, p2sh-segwit, bech32 or bech32m.
        output_type: String,
        /// For change.
        internal: bool,
    },
    /// gethdkeys. Answer: hd keys.
    ExportHdKeys {
        /// The user asked for private keys.
        consent: bool,
    },
    /// Opens the file and checks it, before [`Request::Open`] reads it.
    Verify,
    /// addhdkey: an extended private key, or empty for a fresh one. Answer: descriptors, one.
    AddHdKey(SecretText),
    /// Writes a wallet file without private keys to the descriptor that comes beside the request.
    ExportWatchOnly,
}

impl Request {
    /// Name of the request for logs: never its content.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Open => "open",
            Self::Records { .. } => "records",
            Self::Write(_) => "write",
            Self::AddDescriptor { .. } => "addDescriptor",
            Self::GenerateDescriptors => "generateDescriptors",
            Self::Encrypt(_) => "encrypt",
            Self::Unlock { .. } => "unlock",
            Self::Lock => "lock",
            Self::ChangePassphrase { .. } => "changePassphrase",
            Self::SignTransaction { .. } => "signTransaction",
            Self::SignMessage { .. } => "signMessage",
            Self::ExportDescriptor { .. } => "exportDescriptor",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Close => "close",
            Self::Discard => "discard",
            Self::Dump => "dump",
            Self::CreateFromDump => "createFromDump",
            Self::Status => "status",
            Self::Flush => "flush",
            Self::Hold(_) => "hold",
            Self::TopUp { .. } => "topUp",
            Self::OneShotSignMessage { .. } => "oneShotSignMessage",
            Self::OneShotSignTransaction { .. } => "oneShotSignTransaction",
            Self::SignRaw(_) => "signRaw",
            Self::OneShotSignRaw { .. } => "oneShotSignRaw",
            Self::SetRules { .. } => "setRules",
            Self::Rules => "rules",
            Self::GenerateDescriptor { .. } => "generateDescriptor",
            Self::ExportHdKeys { .. } => "exportHdKeys",
            Self::Verify => "verify",
            Self::AddHdKey(_) => "addHdKey",
            Self::ExportWatchOnly => "exportWatchOnly",
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Most requests carry a secret or could: none shows its content.
        write!(formatter, "{}(<redacted>)", self.name())
    }
}

/// A descriptor that a one-shot request brings along.
#[derive(Clone, PartialEq, Eq)]
pub struct OneShotDescriptor {
    /// With private keys or without.
    pub descriptor: SecretText,
    /// First index.
    pub range_start: i32,
    /// Index after the last.
    pub range_end: i32,
}

/// One record of `wallet.dat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Key, as stored.
    pub key: Vec<u8>,
    /// Value, as stored; empty with `erase`.
    pub value: Vec<u8>,
    /// Remove the record.
    pub erase: bool,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Ok,
    /// Not done.
    Error(KeystoreError),
    /// Records in key order.
    Records {
        /// The page.
        records: Vec<Record>,
        /// There are more after it.
        more: bool,
    },
    /// Descriptors.
    Descriptors(Vec<DescriptorInfo>),
    /// A PSBT with what could be added.
    Signed(Signed),
    /// A text.
    Text(String),
    /// State of the key store.
    Status(Status),
    /// HD keys.
    HdKeys(Vec<HdKey>),
}

/// Why a key store refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KeystoreError {
    /// RPC error code of Core that suits it.
    pub code: i32,
    /// Text for the user, Core's where Core has one.
    pub message: String,
    /// Tag of the spending rule that was violated, or empty.
    pub policy: String,
}

/// What the key store says about one descriptor.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DescriptorInfo {
    /// SHA256 of the descriptor in Core's compatible form.
    pub id: [u8; 32],
    /// Public form as stored, with checksum.
    pub public: String,
    /// Private form, only as an answer to export.
    pub private: SecretText,
    /// First index.
    pub range_start: i32,
    /// Index after the last.
    pub range_end: i32,
    /// Next index to hand out.
    pub next_index: i32,
    /// Seconds.
    pub creation_time: i64,
    /// Addresses are taken from it.
    pub active: bool,
    /// Change addresses are taken from it.
    pub internal: bool,
    /// legacy, p2sh-segwit, bech32, bech32m, or empty.
    pub output_type: String,
    /// Cache records, each the key record and the value record with their lengths: see [`encode_pair`].
    pub cache: Vec<Vec<u8>>,
}

impl std::fmt::Debug for DescriptorInfo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DescriptorInfo")
            .field("public", &self.public)
            .field("private", if self.private.is_empty() { &"" } else { &"<redacted>" })
            .field("range", &(self.range_start, self.range_end, self.next_index))
            .finish_non_exhaustive()
    }
}

/// Result of signing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Signed {
    /// BIP174 serialization.
    pub psbt: Vec<u8>,
    /// Every input is final.
    pub complete: bool,
    /// Inputs that are not, with Core's words.
    pub errors: Vec<(u32, String)>,
}

/// State of a key store.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// A master key record exists.
    pub encrypted: bool,
    /// Encrypted and the keys are not in memory.
    pub locked: bool,
    /// Seconds; 0: locked or not encrypted.
    pub unlocked_until: i64,
    /// At least one descriptor has a private key.
    pub has_private_keys: bool,
    /// Core's wallet flags.
    pub flags: u64,
    /// Size of the file.
    pub file_bytes: u64,
}

/// An HD key.
#[derive(Clone, PartialEq, Eq)]
pub struct HdKey {
    /// Root of descriptors, public.
    pub xpub: String,
    /// Private; empty without consent or when the wallet does not hold it.
    pub xprv: SecretText,
    /// Ids of the descriptors that use it.
    pub descriptors: Vec<[u8; 32]>,
    /// The wallet holds its private key, locked or not.
    pub has_private: bool,
}

impl std::fmt::Debug for HdKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HdKey").field("xpub", &self.xpub).finish_non_exhaustive()
    }
}

/// One cache record as it travels in [`DescriptorInfo::cache`]: 4-byte little-endian length of the key, key, value.
#[must_use]
pub fn encode_pair(key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(key.len()).expect("record keys are far below 4 GiB");
    let mut pair = length.to_le_bytes().to_vec();
    pair.extend_from_slice(key);
    pair.extend_from_slice(value);
    pair
}

/// Key and value of [`encode_pair`], or nothing when the lengths do not fit.
#[must_use]
pub fn decode_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = pair.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}
