//! A blocking client: one method per request.

use crate::frame::FrameError;
use crate::message::{
    DescriptorInfo, HdKey, KeystoreError, OneShotDescriptor, Record, Reply, Request, SecretText, Signed, Status,
};
use crate::raw::RawTransaction;
use crate::wire::{self, WireError};
use std::os::fd::OwnedFd;
use thiserror::Error;

/// Why a request has no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The key store refused; code and text are meant for the user.
    #[error(transparent)]
    Refused(#[from] KeystoreError),
    /// The key store is gone or does not speak the protocol: no further request on this stream can succeed.
    #[error("key store: {0}")]
    Wire(#[from] WireError),
    /// The reply has another type than the request allows.
    #[error("key store: unexpected reply to {0}")]
    Unexpected(&'static str),
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        Self::Wire(error.into())
    }
}

impl ClientError {
    /// Code and text for an RPC error: the key store's own, or -4 (`RPC_WALLET_ERROR`) when it is gone.
    #[must_use]
    pub fn code_and_message(&self) -> (i32, String) {
        match self {
            Self::Refused(error) => (error.code, error.message.clone()),
            other => (-4, other.to_string()),
        }
    }
}

/// The wallet's end of the stream to one key store.
#[derive(Debug)]
pub struct KeystoreClient {
    stream: OwnedFd,
}

type Answer<T> = Result<T, ClientError>;

macro_rules! expect {
    ($reply:expr, $name:literal, $pattern:pat => $value:expr) => {
        match $reply {
            $pattern => Ok($value),
            _ => Err(ClientError::Unexpected($name)),
        }
    };
}

impl KeystoreClient {
    /// Takes over the stream.
    #[must_use]
    pub fn new(stream: OwnedFd) -> Self {
        Self { stream }
    }

    /// Sends one request and waits for its reply; a refusal is an error.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call(&mut self, request: &Request, beside: Option<&OwnedFd>) -> Answer<Reply> {
        wire::send(&self.stream, &request.encode()?, beside)?;
        let (content, _) = wire::receive(&self.stream)?;
        match Reply::decode(&content)? {
            Reply::Error(error) => Err(ClientError::Refused(error)),
            reply => Ok(reply),
        }
    }

    fn done(&mut self, request: &Request, beside: Option<&OwnedFd>) -> Answer<()> {
        let name = request.name();
        match self.call(request, beside)? {
            Reply::Ok => Ok(()),
            _ => Err(ClientError::Unexpected(name)),
        }
    }

    fn one_descriptor(&mut self, request: &Request) -> Answer<DescriptorInfo> {
        let name = request.name();
        match self.call(request, None)? {
            Reply::Descriptors(mut list) if list.len() == 1 => list.pop().ok_or(ClientError::Unexpected(name)),
            _ => Err(ClientError::Unexpected(name)),
        }
    }

    /// Makes a new wallet file. `generate`: with the eight default descriptors in the same step.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn create(
        &mut self,
        blank: bool,
        disable_private_keys: bool,
        passphrase: &[u8],
        flags: u64,
        generate: bool,
    ) -> Answer<Status> {
        let passphrase = passphrase.to_vec().into();
        let request = Request::Create { blank, disable_private_keys, passphrase, flags, generate };
        expect!(self.call(&request, None)?, "create", Reply::Status(status) => status)
    }

    /// Opens the existing file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn open(&mut self) -> Answer<Status> {
        expect!(self.call(&Request::Open, None)?, "open", Reply::Status(status) => status)
    }

    /// One page of public records in key order, and whether more follow.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn records(&mut self, start: u64, limit: u32) -> Answer<(Vec<Record>, bool)> {
        expect!(self.call(&Request::Records { start, limit }, None)?, "records", Reply::Records { records, more } => (records, more))
    }

    /// Every public record.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn all_records(&mut self) -> Answer<Vec<Record>> {
        let mut all = Vec::new();
        loop {
            let (page, more) = self.records(all.len() as u64, 65_536)?;
            if page.is_empty() && more {
                return Err(ClientError::Unexpected("records"));
            }
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Writes and erases public records in one transaction.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn write(&mut self, records: Vec<Record>) -> Answer<()> {
        self.done(&Request::Write(records), None)
    }

    /// Imports a descriptor.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn add_descriptor(
        &mut self,
        descriptor: &str,
        range: (i32, i32),
        next_index: i32,
        creation_time: i64,
    ) -> Answer<DescriptorInfo> {
        self.one_descriptor(&Request::AddDescriptor {
            descriptor: descriptor.to_owned().into(),
            range_start: range.0,
            range_end: range.1,
            next_index,
            creation_time,
        })
    }

    /// A new seed and the eight default descriptors.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn generate_descriptors(&mut self) -> Answer<Vec<DescriptorInfo>> {
        expect!(self.call(&Request::GenerateDescriptors, None)?, "generateDescriptors", Reply::Descriptors(list) => list)
    }

    /// One more descriptor of an HD key of the wallet.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn generate_descriptor(&mut self, hd_key: &str, output_type: &str, internal: bool) -> Answer<DescriptorInfo> {
        self.one_descriptor(&Request::GenerateDescriptor {
            hd_key: hd_key.to_owned(),
            output_type: output_type.to_owned(),
            internal,
        })
    }

    /// Encrypts the wallet.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn encrypt(&mut self, passphrase: &[u8]) -> Answer<()> {
        self.done(&Request::Encrypt(passphrase.to_vec().into()), None)
    }

    /// Unlocks the keys for some seconds.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn unlock(&mut self, passphrase: &[u8], seconds: i64) -> Answer<Status> {
        let request = Request::Unlock { passphrase: passphrase.to_vec().into(), seconds };
        expect!(self.call(&request, None)?, "unlock", Reply::Status(status) => status)
    }

    /// Forgets the keys.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn lock(&mut self) -> Answer<()> {
        self.done(&Request::Lock, None)
    }

    /// Changes the passphrase.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn change_passphrase(&mut self, old: &[u8], new: &[u8]) -> Answer<()> {
        self.done(&Request::ChangePassphrase { old: old.to_vec().into(), new: new.to_vec().into() }, None)
    }

    /// Signs what the wallet's keys can sign.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn sign_transaction(&mut self, psbt: Vec<u8>, sighash: u32, finalize: bool, bip32_derivations: bool) -> Answer<Signed> {
        let request = Request::SignTransaction { psbt, sighash, finalize, bip32_derivations, update_only: false };
        expect!(self.call(&request, None)?, "signTransaction", Reply::Signed(signed) => signed)
    }

    /// Adds scripts, and origins if wanted, to a PSBT without signing; works while the wallet is locked.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn update_transaction(&mut self, psbt: Vec<u8>, sighash: u32, bip32_derivations: bool) -> Answer<Signed> {
        let request = Request::SignTransaction { psbt, sighash, finalize: false, bip32_derivations, update_only: true };
        expect!(self.call(&request, None)?, "signTransaction", Reply::Signed(signed) => signed)
    }

    /// One-shot: signs a PSBT with keys and descriptors that come along.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn one_shot_sign_transaction(
        &mut self,
        psbt: Vec<u8>,
        wifs: Vec<SecretText>,
        descriptors: Vec<OneShotDescriptor>,
        sighash: u32,
        finalize: bool,
        bip32_derivations: bool,
    ) -> Answer<Signed> {
        let request = Request::OneShotSignTransaction { psbt, wifs, descriptors, sighash, finalize, bip32_derivations };
        expect!(self.call(&request, None)?, "oneShotSignTransaction", Reply::Signed(signed) => signed)
    }

    /// Signs a message with the key of a pay-to-public-key-hash script; base64.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn sign_message(&mut self, address: &str, message: &str, script: &[u8]) -> Answer<String> {
        let request = Request::SignMessage { address: address.to_owned(), message: message.to_owned(), script: script.to_vec() };
        expect!(self.call(&request, None)?, "signMessage", Reply::Text(text) => text)
    }

    /// A descriptor with its private keys. `consent`: the user asked for them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn export_descriptor(&mut self, id: [u8; 32], consent: bool) -> Answer<DescriptorInfo> {
        self.one_descriptor(&Request::ExportDescriptor { id, consent })
    }

    /// The HD keys of the wallet; private forms only with consent.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn export_hd_keys(&mut self, consent: bool) -> Answer<Vec<HdKey>> {
        expect!(self.call(&Request::ExportHdKeys { consent }, None)?, "exportHdKeys", Reply::HdKeys(keys) => keys)
    }

    /// Copies the wallet file into `target`, an open writable file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn backup(&mut self, target: &OwnedFd) -> Answer<()> {
        self.done(&Request::Backup, Some(target))
    }

    /// Fills a new wallet file from `source`, an open readable file. Call `open` afterwards.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn restore(&mut self, source: &OwnedFd) -> Answer<()> {
        self.done(&Request::Restore, Some(source))
    }

    /// Closes the file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn close(&mut self) -> Answer<()> {
        self.done(&Request::Close, None)
    }

    /// State of the key store.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn status(&mut self) -> Answer<Status> {
        expect!(self.call(&Request::Status, None)?, "status", Reply::Status(status) => status)
    }

    /// Everything is on disk afterwards.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn flush(&mut self) -> Answer<()> {
        self.done(&Request::Flush, None)
    }

    /// Extends a descriptor whose last step is hardened.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn top_up(&mut self, id: [u8; 32], range_end: i32) -> Answer<DescriptorInfo> {
        self.one_descriptor(&Request::TopUp { id, range_end })
    }

    /// Sets the spending rules of the owner.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn set_rules(&mut self, passphrase: &[u8], rules: &str) -> Answer<()> {
        self.done(&Request::SetRules { passphrase: passphrase.to_vec().into(), rules: rules.to_owned() }, None)
    }

    /// The spending rules.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn rules(&mut self) -> Answer<String> {
        expect!(self.call(&Request::Rules, None)?, "rules", Reply::Text(text) => text)
    }

    /// One-shot: signs a raw transaction; the answer's `psbt` is the transaction.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn one_shot_sign_raw(&mut self, raw: RawTransaction, wifs: Vec<SecretText>) -> Answer<Signed> {
        expect!(self.call(&Request::OneShotSignRaw { raw, wifs }, None)?, "oneShotSignRaw", Reply::Signed(signed) => signed)
    }

    /// One-shot: signs a message with a private key; base64.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn one_shot_sign_message(&mut self, wif: &str, message: &str) -> Answer<String> {
        let request = Request::OneShotSignMessage { wif: wif.to_owned().into(), message: message.to_owned() };
        expect!(self.call(&request, None)?, "oneShotSignMessage", Reply::Text(text) => text)
    }
}
