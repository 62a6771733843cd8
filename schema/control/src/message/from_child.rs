//! What a child says to the supervisor.

use super::common::{
    Command, LogLevel, Report, read_command, read_levels, read_report, write_command, write_levels, write_report,
};
use super::{from_bytes, length, put_texts, text, texts, to_bytes};
use crate::ControlError;
use bulkhead_schema::wire::control_capnp as wire;
use capnp::message::Builder;

/// Ask for a key store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenKeystore {
    /// Wallet name: a path relative to the wallet directory, or absolute.
    pub name: String,
    /// The file must not exist; otherwise it must.
    pub create: bool,
    /// No file at all.
    pub one_shot: bool,
    /// With `create`: the file will come from a backup.
    pub restore: bool,
}

/// Ask for a file that the user named at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenFile {
    /// "backupWallet", "restoreWallet", "exportWallet", "finishExport", "dumpTxOutSet", "finishTxOutSet", "loadTxOutSet",
    /// "importMempool" or "loadBlock"; of net: "writeNetFile", "finishNetFile", "captureFile", "connectProxy", "torCookie",
    /// "exportAsmap".
    pub purpose: String,
    /// The path as the user wrote it.
    pub path: String,
}

/// A request that the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The `stop` RPC. Answer: empty.
    Stop,
    /// Answer: JSON.
    SandboxInfo,
    /// Answer: one descriptor, the stream to the new key store.
    OpenKeystore(OpenKeystore),
    /// Answer: one descriptor.
    OpenFile(OpenFile),
    /// Answer: JSON array of wallet names.
    ListWalletDir,
    /// Answer: empty.
    SetMockTime(i64),
    /// The complete list of enabled categories. Answer: empty.
    Logging(Vec<LogLevel>),
    /// settings.json, only the key "wallet": its complete list. Answer: empty.
    UpdateSetting {
        /// "wallet".
        name: String,
        /// The complete list.
        values: Vec<String>,
    },
    /// Answer: the text, come back through a second process.
    SpawnEcho(String),
    /// The directory of a snapshot of coins that is filled in becomes the one in use. Answer: empty.
    ActivateSnapshot,
    /// Seconds by which what is planned for later comes sooner, in every component. Answer: empty.
    ForwardScheduler(i64),
    /// The name of a wallet whose key store was let go. Answer: empty, when it has ended.
    AwaitKeystoreEnd(String),
}

/// A message to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromChild {
    /// Once, after confinement.
    Report(Report),
    /// Once: the component serves its edges.
    Ready,
    /// A request with its id.
    Request(u64, Request),
    /// The node must stop with this text, exit code 1.
    Fatal(String),
    /// Start-up failed with this text.
    InitError(String),
    /// Progress text.
    InitMessage(String),
    /// Shown once on stderr.
    Warning(String),
    /// Run a notification command.
    Notify(Command),
    /// A mocked time or log categories are in force here.
    Applied,
    /// A wallet of this name is loaded: the next wallet process loads it if this one is lost.
    WalletLoaded(String),
    /// It is not loaded any more.
    WalletReleased(String),
}

impl FromChild {
    /// One datagram.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, ControlError> {
        let mut message = Builder::new_default();
        let mut root = message.init_root::<wire::from_child::Builder<'_>>();
        match self {
            Self::Report(report) => write_report(root.init_report(), report),
            Self::Ready => root.set_ready(()),
            Self::Request(id, request) => write_request(root.init_request(), *id, request),
            Self::Fatal(text) => root.set_fatal(text),
            Self::InitError(text) => root.set_init_error(text),
            Self::InitMessage(text) => root.set_init_message(text),
            Self::Warning(text) => root.set_warning(text),
            Self::Notify(command) => write_command(root.init_notify(), command),
            Self::Applied => root.set_applied(()),
            Self::WalletLoaded(name) => root.set_wallet_loaded(name),
            Self::WalletReleased(name) => root.set_wallet_released(name),
        }
        to_bytes(&message)
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Anything but exactly one well-formed message.
    pub fn decode(bytes: &[u8]) -> Result<Self, ControlError> {
        use wire::from_child::Which;
        let message = from_bytes(bytes)?;
        let root = message.get_root::<wire::from_child::Reader<'_>>()?;
        Ok(match root.which().map_err(|_| ControlError::UnknownKind)? {
            Which::Report(report) => Self::Report(read_report(report?)?),
            Which::Ready(()) => Self::Ready,
            Which::Request(request) => {
                let request = request?;
                Self::Request(request.get_id(), read_request(request)?)
            }
            Which::Fatal(value) => Self::Fatal(text(value)?),
            Which::InitError(value) => Self::InitError(text(value)?),
            Which::InitMessage(value) => Self::InitMessage(text(value)?),
            Which::Warning(value) => Self::Warning(text(value)?),
            Which::Notify(command) => Self::Notify(read_command(command?)?),
            Which::Applied(()) => Self::Applied,
            Which::WalletLoaded(name) => Self::WalletLoaded(text(name)?),
            Which::WalletReleased(name) => Self::WalletReleased(text(name)?),
        })
    }
}

fn write_request(mut builder: wire::request::Builder<'_>, id: u64, request: &Request) {
    builder.set_id(id);
    match request {
        Request::Stop => builder.set_stop(()),
        Request::SandboxInfo => builder.set_sandbox_info(()),
        Request::OpenKeystore(open) => {
            let mut inner = builder.init_open_keystore();
            inner.set_name(&open.name);
            inner.set_create(open.create);
            inner.set_one_shot(open.one_shot);
            inner.set_restore(open.restore);
        }
        Request::OpenFile(open) => {
            let mut inner = builder.init_open_file();
            inner.set_purpose(&open.purpose);
            inner.set_path(&open.path);
        }
        Request::ListWalletDir => builder.set_list_wallet_dir(()),
        Request::SetMockTime(seconds) => builder.set_set_mock_time(*seconds),
        Request::Logging(levels) => write_levels(builder.init_logging(length(levels.len())), levels),
        Request::UpdateSetting { name, values } => {
            let mut inner = builder.init_update_setting();
            inner.set_name(name);
            put_texts(inner.init_values(length(values.len())), values);
        }
        Request::SpawnEcho(text) => builder.set_spawn_echo(text),
        Request::ActivateSnapshot => builder.set_activate_snapshot(()),
        Request::ForwardScheduler(seconds) => builder.set_forward_scheduler(*seconds),
        Request::AwaitKeystoreEnd(name) => builder.set_await_keystore_end(name),
    }
}

fn read_request(request: wire::request::Reader<'_>) -> Result<Request, ControlError> {
    use wire::request::Which;
    Ok(match request.which().map_err(|_| ControlError::UnknownKind)? {
        Which::Stop(()) => Request::Stop,
        Which::SandboxInfo(()) => Request::SandboxInfo,
        Which::OpenKeystore(open) => {
            let open = open?;
            Request::OpenKeystore(OpenKeystore {
                name: text(open.get_name())?,
                create: open.get_create(),
                one_shot: open.get_one_shot(),
                restore: open.get_restore(),
            })
        }
        Which::OpenFile(open) => {
            let open = open?;
            Request::OpenFile(OpenFile { purpose: text(open.get_purpose())?, path: text(open.get_path())? })
        }
        Which::ListWalletDir(()) => Request::ListWalletDir,
        Which::SetMockTime(seconds) => Request::SetMockTime(seconds),
        Which::Logging(levels) => Request::Logging(read_levels(levels?)?),
        Which::UpdateSetting(update) => {
            let update = update?;
            Request::UpdateSetting { name: text(update.get_name())?, values: texts(update.get_values(), "values")? }
        }
        Which::SpawnEcho(value) => Request::SpawnEcho(text(value)?),
        Which::ActivateSnapshot(()) => Request::ActivateSnapshot,
        Which::ForwardScheduler(seconds) => Request::ForwardScheduler(seconds),
        Which::AwaitKeystoreEnd(name) => Request::AwaitKeystoreEnd(text(name)?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_from_child_round_trip() {
        let requests = vec![
            Request::Stop,
            Request::SandboxInfo,
            Request::OpenKeystore(OpenKeystore { name: "w".into(), create: true, one_shot: false, restore: false }),
            Request::OpenFile(OpenFile { purpose: "backupWallet".into(), path: "/x".into() }),
            Request::ListWalletDir,
            Request::SetMockTime(5),
            Request::ForwardScheduler(60),
            Request::Logging(vec![LogLevel { category: "net".into(), level: "debug".into() }]),
            Request::UpdateSetting { name: "wallet".into(), values: vec!["a".into()] },
            Request::SpawnEcho("hello".into()),
            Request::ActivateSnapshot,
            Request::AwaitKeystoreEnd("w".into()),
        ];
        let mut samples: Vec<_> = (0..).zip(requests).map(|(id, request)| FromChild::Request(id, request)).collect();
        samples.extend([
            FromChild::Report(Report { missing: vec!["landlock".into()], pid: 9, ..Report::default() }),
            FromChild::Ready,
            FromChild::Fatal("f".into()),
            FromChild::InitError("e".into()),
            FromChild::InitMessage("m".into()),
            FromChild::Warning("w".into()),
            FromChild::Notify(Command { template: "alertnotify".into(), values: vec![] }),
            FromChild::Applied,
            FromChild::WalletLoaded("w".into()),
            FromChild::WalletReleased("w".into()),
        ]);
        for sample in samples {
            assert_eq!(FromChild::decode(&sample.encode().unwrap()).unwrap(), sample);
        }
    }
}
