//! Life of wallets in this process: create, load, unload (Core: `wallet/load.cpp`, `CWallet::CreateNew`).

use bitcoin::BlockHash;
use bulkhead_control::{ControlError, Request as ControlRequest, clock};
use bulkhead_keystore_edge::{Record, Reply, Request, Status};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::app::{App, Loaded};
use crate::ipc::chain::ChainError;
use crate::ipc::events::{self, SyncError};
use crate::ipc::keystore::{Keystore, KeystoreError};
use crate::records;
use crate::state::{BlockRef, Wallet, flags};
use bulkhead_rpc_util::RpcError;
use bulkhead_rpc_util::error as code;

/// What we write as the version of the client; RPC clients gate features on the same number.
const CLIENT_VERSION: i32 = 319_900;

/// Seconds that block times may be off.
pub const TIMESTAMP_WINDOW: i64 = 2 * 60 * 60;

/// A failed request to the key store as an RPC error.
pub fn keystore_error(error: &KeystoreError) -> RpcError {
    let (code, message) = error.code_and_message();
    RpcError::new(code, message)
}

/// A failed question to chain as an RPC error.
pub fn chain_error(error: &ChainError) -> RpcError {
    RpcError::new(code::INTERNAL_ERROR, error.to_string())
}

/// Either as an RPC error.
pub fn sync_error(error: &SyncError) -> RpcError {
    match error {
        SyncError::Chain(error) => chain_error(error),
        SyncError::Keystore(error) => keystore_error(error),
    }
}

/// What createwallet may ask for.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// Core's flags.
    pub flags: u64,
    /// Empty: not encrypted.
    pub passphrase: String,
}

/// Runs something that blocks on a thread of its own.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Asks the supervisor for something.
///
/// # Errors
/// Its refusal, or -4 when it is gone.
pub async fn ask_supervisor(app: &App, request: ControlRequest) -> Result<(String, Option<OwnedFd>), RpcError> {
    let control = app.control.clone();
    match blocking(move || control.request(request)).await {
        Some(Ok(mut answer)) => Ok((answer.text, answer.descriptors.pop())),
        Some(Err(ControlError::Refused { code, message })) => {
            Err(RpcError::new(if code == 0 { code::WALLET_ERROR } else { code }, message))
        }
        Some(Err(error)) => Err(RpcError::new(code::WALLET_ERROR, error.to_string())),
        None => Err(RpcError::internal("worker thread failed")),
    }
}

/// A key store for a wallet, not opened yet.
async fn open_keystore(app: &App, name: &str, create: bool) -> Result<Keystore, RpcError> {
    let (control, wanted) = (app.control.clone(), name.to_owned());
    let stream = match blocking(move || control.open_keystore(&wanted, create)).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return Err(keystore_error(&error.into())),
        None => return Err(RpcError::internal("worker thread failed")),
    };
    Keystore::start(name, app.control.clone(), stream).map_err(|error| RpcError::internal(error.to_string()))
}

/// Keeps a name reserved while its wallet is being opened.
struct Opening<'a>(&'a App, String);

impl<'a> Opening<'a> {
    fn reserve(app: &'a App, name: &str) -> Result<Opening<'a>, RpcError> {
        if app.opening.borrow().iter().any(|other| other == name) {
            return Err(RpcError::new(code::WALLET_ERROR, "Wallet already loading."));
        }
        app.opening.borrow_mut().push(name.to_owned());
        Ok(Opening(app, name.to_owned()))
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.borrow_mut().retain(|name| *name != self.1);
    }
}

fn load_error(name: &str, error: &dyn std::fmt::Display) -> RpcError {
    RpcError::new(code::WALLET_ERROR, format!("Wallet loading failed. Error loading {name}: {error}"))
}

/// All public records of a wallet.
///
/// # Errors
/// The key store failed.
pub async fn all_records(keys: &Keystore) -> Result<Vec<Record>, RpcError> {
    const PAGE: u32 = 65_536;
    let mut all: Vec<Record> = Vec::new();
    loop {
        let reply =
            keys.call(Request::Records { start: all.len() as u64, limit: PAGE }).await.map_err(|error| keystore_error(&error))?;
        let Reply::Records { records, more } = reply else {
            return Err(RpcError::internal("key store: unexpected reply to records"));
        };
        if records.is_empty() && more {
            return Err(RpcError::internal("key store: unexpected reply to records"));
        }
        all.extend(records);
        if !more {
            return Ok(all);
        }
    }
}

fn make_loaded(name: &str, wallet: Wallet, keys: Keystore, status: Status) -> Rc<Loaded> {
    Rc::new(Loaded {
        name: name.to_owned(),
        wallet: RefCell::new(wallet),
        keys,
        status: RefCell::new(status),
        scan: Cell::new(None),
        abort_scan: Cell::new(false),
        best_block_time: Cell::new(0),
        unlocked: Cell::new((0, 0)),
    })
}

async fn read_wallet(app: &App, name: &str, keys: &Keystore) -> Result<(Wallet, crate::state::load::Loaded), RpcError> {
    let records = all_records(keys).await?;
    let pairs = records.iter().map(|record| (record.key.as_slice(), record.value.as_slice()));
    Wallet::load(name, app.network, app.state_options(), pairs).map_err(|error| load_error(name, &error))
}

async fn status_of(keys: &Keystore, request: Request) -> Result<Status, RpcError> {
    match keys.call(request).await.map_err(|error| keystore_error(&error))? {
        Reply::Status(status) => Ok(status),
        _ => Err(RpcError::internal("key store: unexpected reply")),
    }
}

/// Creates and loads a wallet. Answers it with warnings.
///
/// # Errors
/// Core's texts.
pub async fn create(app: &App, name: &str, options: CreateOptions) -> Result<Rc<Loaded>, RpcError> {
    let private = options.flags & flags::DISABLE_PRIVATE_KEYS == 0;
    if !private && !options.passphrase.is_empty() {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "Passphrase provided but private keys are disabled. A passphrase is only used to encrypt private keys, so cannot be used for wallets with private keys disabled.",
        ));
    }
    let _opening = Opening::reserve(app, name)?;
    let blank = options.flags & flags::BLANK_WALLET != 0;
    let keys = open_keystore(app, name, true).await?;
    let request = Request::Create {
        blank,
        disable_private_keys: !private,
        passphrase: options.passphrase.into_bytes().into(),
        flags: options.flags | flags::DESCRIPTORS | flags::LAST_HARDENED_XPUB_CACHED,
        generate: private && !blank,
    };
    let status = status_of(&keys, request).await?;
    let (mut wallet, _) = read_wallet(app, name, &keys).await?;
    wallet.top_up_all(0);
    wallet.push(records::write_version(CLIENT_VERSION));
    let loaded = make_loaded(name, wallet, keys, status);
    let _guard = app.sync.lock().await;
    // A new wallet has no history: it starts at the tip.
    if let Ok(state) = app.chain.state().await {
        loaded.wallet.borrow_mut().set_tip(state.tip.block);
        events::write_position(app, &loaded).await;
    }
    loaded.persist().await.map_err(|error| keystore_error(&error))?;
    let _ = loaded.refresh_status().await;
    app.wallets.borrow_mut().push(loaded.clone());
    log_parameters(&loaded);
    Ok(loaded)
}

fn log_parameters(loaded: &Loaded) {
    let wallet = loaded.wallet.borrow();
    let name = wallet.display_name();
    tracing::info!("[{name}] setKeyPool.size() = {}", wallet.count_keys(false) + wallet.count_keys(true));
    tracing::info!("[{name}] mapWallet.size() = {}", wallet.txs.len());
    tracing::info!("[{name}] m_address_book.size() = {}", wallet.book.len());
}

/// Loads a wallet. `keys`: an opened key store, after restorewallet.
///
/// # Errors
/// Core's texts.
pub async fn load(app: &App, name: &str) -> Result<Rc<Loaded>, RpcError> {
    if app.find(name).is_some() {
        return Err(RpcError::new(code::WALLET_ALREADY_LOADED, format!("Wallet \"{name}\" is already loaded.")));
    }
    let _opening = Opening::reserve(app, name)?;
    let keys = open_keystore(app, name, false).await?;
    let status = status_of(&keys, Request::Open).await?;
    attach(app, name, keys, status).await
}

/// Restores a wallet from a backup into a new file, and loads it.
///
/// # Errors
/// Core's texts.
pub async fn restore(app: &App, name: &str, backup: OwnedFd) -> Result<Rc<Loaded>, RpcError> {
    let _opening = Opening::reserve(app, name)?;
    let keys = open_keystore(app, name, true).await?;
    keys.call_with(Request::Restore, Some(backup)).await.map_err(|error| keystore_error(&error))?;
    let status = status_of(&keys, Request::Open).await?;
    attach(app, name, keys, status).await
}

async fn attach(app: &App, name: &str, keys: Keystore, status: Status) -> Result<Rc<Loaded>, RpcError> {
    let (mut wallet, found) = read_wallet(app, name, &keys).await?;
    if let Some(version) = found.last_client {
        tracing::info!("[{}] Last client version = {version}", wallet.display_name());
    }
    if found.last_client != Some(CLIENT_VERSION) {
        wallet.push(records::write_version(CLIENT_VERSION));
    }
    wallet.top_up_all(0);
    let loaded = make_loaded(name, wallet, keys, status);
    let _guard = app.sync.lock().await;
    place(app, &loaded, &found.locator, &found.blocks).await.map_err(|error| sync_error(&error))?;
    app.wallets.borrow_mut().push(loaded.clone());
    log_parameters(&loaded);
    Ok(loaded)
}

/// Puts a loaded wallet onto the chain: heights of its blocks, what it missed, the mempool.
async fn place(app: &App, loaded: &Loaded, locator: &[BlockHash], blocks: &[BlockHash]) -> Result<(), SyncError> {
    let heights = events::block_heights(app, blocks).await?;
    loaded.wallet.borrow_mut().set_block_heights(&heights);
    if let Some(first) = locator.first()
        && let Some(info) = app.chain.block_by_hash(first).await?
    {
        loaded.wallet.borrow_mut().set_tip(info.at);
    } else {
        loaded.wallet.borrow_mut().set_tip(BlockRef::none());
    }
    let (tip, name) = (app.chain.state().await?.tip.block.height, loaded.wallet.borrow().display_name());
    let from = loaded.wallet.borrow().tip.height;
    if tip > from {
        tracing::info!("[{name}] Rescanning last {} blocks (from block {})...", tip - from, from + 1);
    }
    events::catch_up(app, loaded, locator).await?;
    events::read_mempool(app, loaded).await?;
    resubmit(app, loaded).await;
    Ok(())
}

/// Offers our unconfirmed transactions to the mempool again.
pub async fn resubmit(app: &App, loaded: &Loaded) {
    if !app.config.walletbroadcast {
        return;
    }
    let mut waiting: Vec<(i64, bitcoin::Txid)> = {
        let wallet = loaded.wallet.borrow();
        let open = |wtx: &&crate::state::tx::WalletTx| wtx.is_unconfirmed() && !wtx.in_mempool() && !wtx.is_coinbase();
        wallet.txs.values().filter(open).map(|wtx| (wtx.order, wtx.txid)).collect()
    };
    waiting.sort();
    for (_, txid) in waiting {
        let Some(tx) = loaded.wallet.borrow().txs.get(&txid).map(|wtx| wtx.tx.clone()) else { continue };
        if let Ok(verdict) = app.chain.broadcast(&tx, 0, false).await
            && verdict.accepted
        {
            loaded.wallet.borrow_mut().transaction_added(&tx, clock::now());
        }
    }
    if let Err(error) = loaded.persist().await {
        tracing::error!("[{}] {error}", loaded.wallet.borrow().display_name());
    }
}

/// Takes a wallet out.
///
/// # Errors
/// It is gone already.
pub async fn unload(app: &App, loaded: &Rc<Loaded>) -> Result<(), RpcError> {
    let _guard = app.sync.lock().await;
    let before = app.wallets.borrow().len();
    app.wallets.borrow_mut().retain(|other| !Rc::ptr_eq(other, loaded));
    if app.wallets.borrow().len() == before {
        return Err(RpcError::misc("Requested wallet already unloaded"));
    }
    close(app, loaded).await;
    tracing::info!("[{}] Releasing wallet {}..", loaded.wallet.borrow().display_name(), loaded.name);
    Ok(())
}

/// Writes the position and closes the file.
pub async fn close(app: &App, loaded: &Loaded) {
    events::write_position(app, loaded).await;
    if let Err(error) = loaded.persist().await {
        tracing::error!("[{}] {error}", loaded.wallet.borrow().display_name());
    }
    if let Err(error) = loaded.keys.call(Request::Close).await {
        tracing::error!("[{}] {error}", loaded.wallet.borrow().display_name());
    }
}

/// Rewrites the list of wallets that settings.json loads at start. Answers a warning when that failed.
pub async fn remember(app: &App, name: &str, load_on_startup: Option<bool>) -> Option<String> {
    let load = load_on_startup?;
    let mut list = app.startup.borrow().clone();
    let listed = list.iter().any(|other| other == name);
    if load == listed {
        return None;
    }
    if load {
        list.push(name.to_owned());
    } else {
        list.retain(|other| other != name);
    }
    app.startup.borrow_mut().clone_from(&list);
    let request = ControlRequest::UpdateSetting { name: "wallet".into(), values: list };
    match ask_supervisor(app, request).await {
        Ok(_) => None,
        Err(_) if load => {
            Some("Wallet load on startup setting could not be updated, so wallet may not be loaded next node startup.".into())
        }
        Err(_) => {
            Some("Wallet load on startup setting could not be updated, so wallet may still be loaded next node startup.".into())
        }
    }
}

async fn has_unnamed(app: &App) -> bool {
    let Ok((text, _)) = ask_supervisor(app, ControlRequest::ListWalletDir).await else { return false };
    serde_json::from_str::<Vec<String>>(&text).is_ok_and(|names| names.iter().any(String::is_empty))
}

/// Options that make payments expensive are shown once.
fn warn_of_high_fees(app: &App) {
    const HIGH_TX_FEE_PER_KB: i64 = 1_000_000;
    const HIGH_MAX_TX_FEE: i64 = 100 * HIGH_TX_FEE_PER_KB;
    let fees = &app.build.fees;
    let high = |name: &str| format!("{name} is set very high!");
    let mut warnings = Vec::new();
    if fees.min_tx > HIGH_TX_FEE_PER_KB {
        warnings.push(format!("{} This is the minimum transaction fee you pay on every transaction.", high("-mintxfee")));
    }
    if fees.fallback > HIGH_TX_FEE_PER_KB {
        warnings.push(format!(
            "{} This is the transaction fee you may pay when fee estimates are not available.",
            high("-fallbackfee")
        ));
    }
    if fees.discard > HIGH_TX_FEE_PER_KB {
        warnings.push(format!(
            "{} This is the transaction fee you may discard if change is smaller than dust at this level",
            high("-discardfee")
        ));
    }
    if fees.max_tx_fee > HIGH_MAX_TX_FEE {
        warnings.push(format!("{} Fees this large could be paid on a single transaction.", high("-maxtxfee")));
    }
    for warning in warnings {
        app.control.warning(&warning);
    }
}

/// Loads what options and settings.json name. A failure stops the start.
pub async fn load_at_start(app: &App) -> Result<(), String> {
    let mut names = app.config.wallet.clone();
    // For old data directories: a wallet without a name is loaded when nothing else is asked for.
    if names.is_empty() && has_unnamed(app).await {
        names.push(String::new());
        app.startup.borrow_mut().push(String::new());
    }
    if !names.is_empty() {
        warn_of_high_fees(app);
    }
    names.dedup();
    for name in names {
        app.control.init_message("Loading wallet…");
        match load(app, &name).await {
            Ok(_) => {}
            Err(error) if error.code == code::WALLET_ALREADY_LOADED => {
                app.control.warning(&format!("Ignoring duplicate -wallet {name}."))
            }
            // One RPC code covers both "no such path" and "not a database"; at start Core skips the first and stops at the
            // second (wallet/load.cpp), and only the text tells them apart.
            Err(error) if error.code == code::WALLET_NOT_FOUND && error.message.ends_with("Path does not exist.") => {
                app.control.warning(&format!("Skipping -wallet path that doesn't exist. {}", error.message));
            }
            Err(error) => return Err(error.message),
        }
    }
    Ok(())
}
