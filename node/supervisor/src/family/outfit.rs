//! What children get at birth, kept for the day when one must be born again.

use crate::listen::{http, ipc, p2p, zmq};
use crate::startup::arguments::Options;
use crate::startup::auth::Credentials;
use crate::startup::limits::ByProcess;
use bulkhead_control::message::{Configure, LogOptions};
use bulkhead_control::{ChainConfig, Component, NetConfig, NotifyConfig, RpcConfig, TypedConfig, WalletConfig};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Everything that was parsed and opened.
#[derive(Debug)]
pub(crate) struct Outfit {
    pub options: Options,
    pub sandbox: bulkhead_sandbox::Mode,
    /// Limits of memory that the user chose, bytes.
    pub memory: ByProcess,
    /// Limits of processor time that the user chose, percent of one processor.
    pub cpu: ByProcess,
    pub log_options: LogOptions,
    pub log_path: Option<PathBuf>,
    pub log: Option<OwnedFd>,
    pub console: Option<OwnedFd>,
    pub pid_file: Option<PathBuf>,
    pub credentials: Credentials,
    pub blocksdir: PathBuf,
    pub walletdir: PathBuf,
    pub chain: ChainConfig,
    pub net: NetConfig,
    pub rpc: RpcConfig,
    pub wallet: Option<WalletConfig>,
    pub notify: NotifyConfig,
    pub p2p: Vec<p2p::Listener>,
    pub http: Vec<http::Listener>,
    pub ipc: Vec<ipc::Listener>,
    pub zmq: zmq::Publishers,
    pub asmap: Option<File>,
    /// Sockets towards routers.
    pub gateways: Vec<OwnedFd>,
    pub load_block: Vec<(String, File)>,
    /// Locks on directories, held until the end.
    #[expect(dead_code, reason = "a lock works by being open")]
    pub locks: Vec<File>,
}

/// The last choice for a process counts.
pub(super) fn chosen(choices: &ByProcess, component: Component) -> Option<u64> {
    choices.iter().rev().find(|(of, _)| *of == component).map(|(_, choice)| *choice)
}

/// A configuration with the descriptors beside it.
pub(crate) type Dressed<'a> = (Configure, Vec<BorrowedFd<'a>>);

impl Outfit {
    /// The first message of a child that exists once.
    pub(crate) fn dress(&self, component: Component) -> Option<Dressed<'_>> {
        let mut named: Vec<(String, BorrowedFd<'_>)> = Vec::new();
        let fields = match component {
            Component::Chain => {
                named.extend(self.load_block.iter().map(|(name, file)| (name.clone(), file.as_fd())));
                self.chain.to_fields()
            }
            Component::Net => {
                let p2p = self.p2p.iter().enumerate();
                named.extend(p2p.map(|(index, listener)| (format!("p2p/{index}"), listener.socket.as_fd())));
                let gateways = self.gateways.iter().enumerate();
                named.extend(gateways.map(|(index, socket)| (format!("gateway/{index}"), socket.as_fd())));
                named.extend(self.asmap.iter().map(|file| ("asmap".to_owned(), file.as_fd())));
                self.net.to_fields()
            }
            Component::Rpc => {
                let http = self.http.iter().enumerate();
                named.extend(http.map(|(index, listener)| (format!("http/{index}"), listener.socket.as_fd())));
                let ipc = self.ipc.iter().enumerate();
                named.extend(ipc.map(|(index, listener)| (format!("ipc/{index}"), listener.socket.as_fd())));
                let zmq = self.zmq.sockets.iter().enumerate();
                named.extend(zmq.map(|(index, (_, socket))| (format!("zmq/{index}"), socket.as_fd())));
                self.rpc.to_fields()
            }
            Component::Wallet => self.wallet.as_ref()?.to_fields(),
            Component::Notify => self.notify.to_fields(),
            Component::Node | Component::Keystore | Component::Gui => return None,
        };
        Some(self.with_log(component, fields, named))
    }

    /// Adds what every child gets: log and console.
    pub(crate) fn with_log<'a>(
        &'a self,
        component: Component,
        fields: bulkhead_control::message::Fields,
        mut named: Vec<(String, BorrowedFd<'a>)>,
    ) -> Dressed<'a> {
        named.extend(self.log.iter().map(|log| ("log".to_owned(), log.as_fd())));
        named.extend(self.console.iter().map(|console| ("console".to_owned(), console.as_fd())));
        let (descriptors, borrowed) = named.into_iter().unzip();
        let configure = Configure {
            component: component.word().to_owned(),
            sandbox: self.sandbox.name().to_owned(),
            memory: chosen(&self.memory, component),
            fields,
            log: self.log_options.clone(),
            descriptors,
        };
        (configure, borrowed)
    }
}
