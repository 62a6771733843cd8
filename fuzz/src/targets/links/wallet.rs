//! `bitcoin-wallet` before a real chain: what the front door, the window and chain say to it. Inputs whose first byte is odd find a
//! wallet with coins loaded.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bitcoin::Network;
use bitcoin_wallet::app::App;
use bitcoin_wallet::ipc::chain::Chain;
use bitcoin_wallet::ipc::events::Events;
use bitcoin_wallet::ipc::serve::{Gui, Rpc};
use bitcoin_wallet::ipc::supervisor::Supervisor;
use bitcoin_wallet::wallets;
use bulkhead_control::{Answer, ControlError, OpenKeystore, Request, WalletConfig};
use bulkhead_keystore_edge::{Request as KeyRequest, wire};
use bulkhead_link::{Peer, connect};
use bulkhead_schema::wire::gui_node_capnp::gui_wallet;
use bulkhead_schema::wire::rpc_wallet_capnp::rpc_wallet;
use bulkhead_schema::wire::wallet_chain_capnp::{wallet_chain, wallet_events};
use bulkhead_tests::hostile::Edge;
use capnp::capability::Client;
use keystore::service::{Keystore, Settings};
use tempfile::TempDir;

use super::chain::{Behind, height};
use super::{called_back, converse, known, pair, patiently, run};
use crate::targets::vault;

/// The wallet that may be loaded.
const NAME: &str = "w";
/// A wallet that is so many blocks behind takes too long to catch up in every conversation.
const BEHIND: i32 = 10;
/// Requests that key stores work on.
static ASKED: AtomicUsize = AtomicUsize::new(0);
/// Most wallets in the folder.
const MOST: usize = 4;

/// Runs key stores on threads, of wallets in one folder; refuses whatever else it is asked for.
struct Keeper(TempDir);

impl Keeper {
    fn open(&self, open: OpenKeystore) -> Option<OwnedFd> {
        // The real supervisor knows better which names are paths out of the folder.
        let is_plain = (1..=8).contains(&open.name.len()) && open.name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let folder = self.0.path().join(&open.name);
        if !is_plain || open.create == folder.exists() {
            return None;
        }
        if open.create {
            let there = std::fs::read_dir(self.0.path()).ok()?.count();
            (there < MOST).then_some(())?;
            std::fs::create_dir(&folder).ok()?;
        }
        let (ours, theirs) = pair();
        let settings = vault::settings(&folder);
        std::thread::spawn(move || key_store(&theirs, settings));
        Some(ours)
    }
}

/// Serves until the wallet hangs up.
fn key_store(stream: &OwnedFd, settings: Settings) {
    let mut store = Keystore::new(settings).expect("memory can be locked");
    while let Ok((content, beside)) = wire::receive(stream) {
        let request = KeyRequest::decode(&content).expect("an honest wallet asks");
        ASKED.fetch_add(1, Ordering::AcqRel);
        let reply = store.handle(request, beside).encode().expect("a reply that fits");
        ASKED.fetch_sub(1, Ordering::AcqRel);
        if wire::send(stream, &reply, None).is_err() {
            return;
        }
    }
}

impl Supervisor for Keeper {
    fn request(&self, request: Request) -> Result<Answer, ControlError> {
        let opened = match request {
            Request::OpenKeystore(open) => self.open(open).map(|stream| vec![stream]),
            Request::UpdateSetting { .. } => Some(Vec::new()),
            _ => None,
        };
        let refused = ControlError::Refused { code: -1, message: "not here".into() };
        opened.map(|descriptors| Answer { text: String::new(), descriptors }).ok_or(refused)
    }

    fn notify(&self, _: &str, _: &[(&str, &str)]) {}
    fn init_message(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn wallet_loaded(&self, _: &str, _: bool) {}
}

fn config() -> WalletConfig {
    WalletConfig {
        network: "regtest".into(),
        keypool: 2,
        fallbackfee: 20_000,
        mintxfee: 1000,
        discardfee: 10_000,
        maxtxfee: 10_000_000,
        txconfirmtarget: 6,
        walletrbf: true,
        spendzeroconfchange: true,
        walletbroadcast: true,
        limitancestorcount: 25,
        limitdescendantcount: 25,
        limitclustercount: 64,
        limitclustersize: 101_000,
        ..WalletConfig::default()
    }
}

/// A wallet process over a folder, and the chain that it talks to.
async fn start(folder: TempDir) -> (Rc<App>, Behind) {
    let peer = Peer::new("bitcoin-chain");
    let (chain, stream) = Behind::new("wallet-chain");
    let connection = connect::<wallet_chain::Client>(stream, "wallet-chain", None).expect("a stream");
    let mut request = connection.client.subscribe_request();
    peer.set(connection);
    let app = Rc::new(App::new(config(), Network::Regtest, Arc::new(Keeper(folder)), Chain::new(peer)));
    request.get().set_events(capnp_rpc::new_client(Events { app: Rc::clone(&app) }));
    request.send().promise.await.expect("chain answers");
    (app, chain)
}

/// Ends such a process. Its connection and itself hold each other, and so do a wallet and its key store.
async fn end(app: Rc<App>, chain: Behind) {
    let unloaded = async {
        for loaded in app.all() {
            // It may be away by now.
            let _ = wallets::unload(&app, &loaded).await;
        }
    };
    patiently(unloaded, "a wallet is never let go").await;
    chain.end().await;
    app.chain.peer().set(connect(pair().0, "wallet-chain", None).expect("a stream"));
}

/// The folder with a wallet.
fn with_file(file: &[u8]) -> TempDir {
    let folder = crate::folder();
    let path = folder.path().join(NAME);
    std::fs::create_dir(&path).and_then(|()| std::fs::write(path.join("wallet.dat"), file)).expect("room in memory");
    folder
}

/// The file of a wallet that knows its coins, up to a block that is not long ago.
async fn file() -> Vec<u8> {
    thread_local! {
        static FILE: RefCell<(Vec<u8>, i32)> = const { RefCell::new((Vec::new(), i32::MIN)) };
    }
    let now = height();
    let known = FILE.with_borrow(|(file, made)| (*made..=*made + BEHIND).contains(&now).then(|| file.clone()));
    if let Some(file) = known {
        return file;
    }
    let folder = with_file(&vault::plain().file);
    let path = folder.path().join(NAME).join("wallet.dat");
    let (app, chain) = start(folder).await;
    let loaded = wallets::load(&app, NAME).await.map_err(wallets::OpenError::bare).expect("a good file");
    wallets::unload(&app, &loaded).await.expect("it is loaded");
    let file = read(&path);
    drop(loaded);
    end(app, chain).await;
    FILE.set((file.clone(), now));
    file
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the file that was closed")
}

/// A wallet process that serves what `make` makes of it.
fn wallet(edge: &Edge, data: &[u8], make: impl FnOnce(Rc<App>) -> Client) {
    let with_coins = data.first().is_some_and(|first| first % 2 == 1);
    run(async {
        let folder = if with_coins { with_file(&file().await) } else { crate::folder() };
        let (app, chain) = start(folder).await;
        if with_coins {
            wallets::load(&app, NAME).await.map_err(wallets::OpenError::bare).expect("a good file");
        }
        let served = make(Rc::clone(&app));
        let works = || chain.works() || ASKED.load(Ordering::Acquire) > 0;
        converse(edge, data, Some(&works), |stream| {
            bulkhead_link::serve(stream, edge.name, served.clone()).expect("a stream");
        })
        .await;
        end(app, chain).await;
    });
}

/// The front door was taken over.
pub fn rpc_wallet_server(data: &[u8]) {
    wallet(&known("rpc-wallet"), data, |app| capnp_rpc::new_client::<rpc_wallet::Client, _>(Rpc { app }).client);
}

/// The window was taken over.
pub fn gui_wallet_server(data: &[u8]) {
    wallet(&known("gui-wallet"), data, |app| capnp_rpc::new_client::<gui_wallet::Client, _>(Gui { app }).client);
}

/// Chain was taken over: what it tells the wallet, which asked for it.
pub fn wallet_chain_events(data: &[u8]) {
    wallet(&called_back("wallet-chain"), data, |app| capnp_rpc::new_client::<wallet_events::Client, _>(Events { app }).client);
}
