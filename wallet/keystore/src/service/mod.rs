//! Requests to replies: the state of the process, without sockets.

mod descriptors;
mod dump;
mod encryption;
mod file;
mod one_shot;
mod signing;
mod watch_only;

pub use crate::crypter::Cost;
pub(crate) use signing::decode_history;

use crate::database::{Database, Location};
use crate::generate::Draft;
use crate::loaded::Loaded;
use crate::refusal::{WALLET, refuse};
use crate::residue;
use crate::sign::Sessions;
use crate::vault::Vault;
use bitcoin::Network;
use bulkhead_keystore_edge::{KeystoreError, Reply, Request, Status};
use bulkhead_spend_policy::History;
use bulkhead_wallet_core::record::Record;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What is set at birth.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The network.
    pub network: Network,
    /// Name of the wallet, for the log.
    pub name: String,
    /// The file; `None` for a one-shot key store.
    pub location: Option<Location>,
    /// Indexes of a new descriptor (-keypool).
    pub keypool: i32,
    /// What a new passphrase costs.
    pub cost: Cost,
    /// Seconds, mockable.
    pub now: fn() -> i64,
}

/// Longest time that a scan may keep keys beyond the time of unlocking: blocks of all history take less.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The key store.
#[derive(Debug)]
pub struct Keystore {
    settings: Settings,
    vault: Vault,
    loaded: Option<Loaded>,
    /// Opened and found sound, not read yet.
    verified: Option<Database>,
    /// The file was copied from a backup by this process.
    restored: bool,
    history: History,
    /// Signatures of MuSig2 that were begun.
    sessions: Sessions,
    /// When the vault locks itself, and the same moment on the clock that users see.
    relock: Option<(Instant, i64)>,
    /// The wallet scans: until this moment, at most, keys are kept beyond `relock` for the addresses that it may need.
    held: Option<Instant>,
}

type Answer = Result<Reply, KeystoreError>;

impl Keystore {
    /// A key store without an open file.
    ///
    /// # Errors
    /// No memory can be locked.
    pub fn new(settings: Settings) -> io::Result<Self> {
        Ok(Self {
            settings,
            vault: Vault::new()?,
            loaded: None,
            verified: None,
            restored: false,
            history: History::default(),
            sessions: Sessions::default(),
            relock: None,
            held: None,
        })
    }

    /// Answers a request. `beside`: the descriptor that came with it.
    pub fn handle(&mut self, request: Request, beside: Option<OwnedFd>) -> Reply {
        self.tick();
        tracing::debug!(target: "ipc", "[{}] key store request: {}", self.settings.name, request.name());
        // Held beyond its time, a vault extends descriptors and does nothing else.
        let overdue = self.relock.is_some_and(|(at, _)| at <= Instant::now());
        self.vault.suspend(overdue && !matches!(request, Request::TopUp { .. }));
        let reply = self.answer(request, beside).unwrap_or_else(Reply::Error);
        residue::wipe();
        self.vault.suspend(false);
        reply
    }

    /// How long until the vault locks itself.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let (at, _) = self.relock?;
        Some(self.held.map_or(at, |held| held.max(at)).saturating_duration_since(Instant::now()))
    }

    /// Locks the vault when its time has come.
    pub fn tick(&mut self) {
        if self.deadline().is_some_and(|left| left.is_zero()) {
            self.lock_vault();
        }
    }

    /// Forgets the master key of an encrypted wallet.
    pub fn lock_now(&mut self) {
        if self.loaded.as_ref().is_some_and(Loaded::is_encrypted) {
            self.lock_vault();
        }
    }

    fn lock_vault(&mut self) {
        self.relock = None;
        self.vault.lock();
    }

    fn answer(&mut self, request: Request, beside: Option<OwnedFd>) -> Answer {
        match request {
            Request::OneShotSignMessage { wif, message } => one_shot::message(&wif, &message),
            Request::OneShotSignTransaction { psbt, wifs, descriptors, sighash, finalize, bip32_derivations } => {
                one_shot::transaction(&psbt, &wifs, &descriptors, sighash, finalize, bip32_derivations)
            }
            Request::OneShotSignRaw { raw, wifs } => one_shot::raw(&raw, &wifs),
            _ if self.settings.location.is_none() => Err(refuse(WALLET, "key store: this one has no file")),
            Request::Create { blank, disable_private_keys, passphrase, flags, generate } => {
                self.create(blank, disable_private_keys, &passphrase, flags, generate)
            }
            Request::Verify => self.verify(),
            Request::Open => self.open(),
            Request::Restore => self.restore(beside),
            Request::Status => Ok(Reply::Status(self.status())),
            Request::Records { start, limit } => self.records(start, limit),
            Request::Write(records) => self.write(&records),
            Request::AddDescriptor { descriptor, range_start, range_end, next_index, creation_time } => {
                self.add_descriptor(&descriptor, (range_start, range_end), next_index, creation_time)
            }
            Request::GenerateDescriptors => self.generate_descriptors(),
            Request::GenerateDescriptor { hd_key, output_type, internal } => {
                self.generate_descriptor(&hd_key, &output_type, internal)
            }
            Request::Encrypt(passphrase) => self.encrypt(&passphrase),
            Request::Unlock { passphrase, seconds } => self.unlock(&passphrase, seconds),
            Request::Lock => self.lock(),
            Request::ChangePassphrase { old, new } => self.change_passphrase(&old, &new),
            Request::SignTransaction { psbt, sighash, finalize, bip32_derivations, update_only } => {
                self.sign_transaction(&psbt, sighash, finalize, bip32_derivations, update_only)
            }
            Request::SignRaw(raw) => self.sign_raw(&raw),
            Request::SignMessage { address: _, message, script } => self.sign_message(&message, script),
            Request::ExportDescriptor { id, consent } => self.export_descriptor(id, consent),
            Request::ExportHdKeys { consent } => self.export_hd_keys(consent),
            Request::AddHdKey(key) => self.add_hd_key(&key),
            Request::ExportWatchOnly => self.export_watch_only(beside),
            Request::Hold(on) => {
                self.held = on.then(|| Instant::now() + LONGEST_HOLD);
                self.tick();
                Ok(Reply::Ok)
            }
            Request::TopUp { id, range_end } => self.top_up(id, range_end),
            Request::SetRules { passphrase, rules } => self.set_rules(&passphrase, &rules),
            Request::Rules => Ok(Reply::Text(self.loaded()?.rules.to_string())),
            Request::Backup => self.backup(beside),
            Request::Close => self.close(),
            Request::Discard => self.discard(),
            Request::Dump => self.dump(beside),
            Request::CreateFromDump => self.create_from_dump(beside),
            // Every write is committed before it is answered.
            Request::Flush => Ok(Reply::Ok),
        }
    }

    fn loaded(&self) -> Result<&Loaded, KeystoreError> {
        self.loaded.as_ref().ok_or_else(|| refuse(WALLET, "key store: no wallet file is open"))
    }

    fn parts(&mut self) -> Result<(&mut Loaded, &mut Vault), KeystoreError> {
        let loaded = self.loaded.as_mut().ok_or_else(|| refuse(WALLET, "key store: no wallet file is open"))?;
        Ok((loaded, &mut self.vault))
    }

    fn now(&self) -> i64 {
        (self.settings.now)()
    }

    /// State for the wallet.
    #[must_use]
    pub fn status(&self) -> Status {
        let Some(loaded) = &self.loaded else { return Status::default() };
        let locked = !self.vault.is_open();
        Status {
            encrypted: loaded.is_encrypted(),
            locked,
            unlocked_until: self.relock.filter(|_| !locked).map_or(0, |(_, until)| until),
            has_private_keys: !self.vault.is_empty(),
            flags: loaded.flags,
            file_bytes: loaded.database.file_bytes(),
        }
    }

    /// Writes a draft and takes it over; when the file can't be written the wallet is read again, because the vault
    /// already holds keys of the draft.
    fn commit(&mut self, draft: Draft) -> Result<(), KeystoreError> {
        let network = self.settings.network;
        let (loaded, _) = self.parts()?;
        if let Err(error) = loaded.database.write(&draft.records) {
            let _ = self.reload();
            return Err(error);
        }
        for entry in draft.entries {
            loaded.entries.insert(entry.record.id, entry);
        }
        for raw in &draft.records {
            if let (false, Ok(record @ (Record::Active { .. } | Record::Flags(_)))) =
                (raw.erase, Record::decode(&raw.key, &raw.value))
            {
                loaded.apply_written(record, network);
            }
        }
        loaded.forget_scripts();
        Ok(())
    }

    /// Reads the open file again. An encrypted wallet is locked afterwards.
    fn reload(&mut self) -> Result<(), KeystoreError> {
        let network = self.settings.network;
        if let Some(loaded) = self.loaded.take() {
            self.relock = None;
            self.loaded = Some(Loaded::load(loaded.database, network, &mut self.vault)?);
        }
        Ok(())
    }
}
