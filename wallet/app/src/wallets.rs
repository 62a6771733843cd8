//! Life of wallets in this process: create, load, unload (Core: `wallet/load.cpp`, `CWallet::CreateNew`).

use bitcoin::BlockHash;
use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_control::{ControlError, OpenKeystore, Request as ControlRequest, clock};
use bulkhead_keystore_edge::{Record, Reply, Request, Status};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::app::{App, Loaded};
use crate::ipc::chain::ChainError;
use crate::ipc::events::{self, SyncError};
use crate::ipc::keystore::{Keystore, KeystoreError};
use crate::ipc::scan::{Outcome, scan};
use crate::records;
use crate::state::tx::WalletTx;
use crate::state::{Wallet, flags};
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

/// Where opening a wallet failed. RPCs say so in front of the text; at start Core shows the text alone.
#[derive(Debug)]
pub enum OpenError {
    /// The file: its path, its format, its lock.
    File(RpcError),
    /// What is in it, or the chain that it belongs to.
    Content(RpcError),
    /// Something else, with a text of its own.
    Other(RpcError),
}

impl OpenError {
    /// The error without its prefix.
    pub fn bare(self) -> RpcError {
        match self {
            OpenError::File(error) | OpenError::Content(error) | OpenError::Other(error) => error,
        }
    }
}

impl From<OpenError> for RpcError {
    fn from(error: OpenError) -> RpcError {
        let (prefix, error) = match error {
            OpenError::File(error) => ("Wallet file verification failed. ", error),
            OpenError::Content(error) => ("Wallet loading failed. ", error),
            OpenError::Other(error) => return error,
        };
        RpcError::new(error.code, format!("{prefix}{}", error.message))
    }
}

/// A key store for a wallet, not opened yet.
async fn open_keystore(app: &App, open: OpenKeystore) -> Result<Keystore, OpenError> {
    let (control, name) = (app.control.clone(), open.name.clone());
    let stream = match blocking(move || control.open_keystore(open)).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return Err(OpenError::File(keystore_error(&error.into()))),
        None => return Err(OpenError::Other(RpcError::internal("worker thread failed"))),
    };
    let started = Keystore::start(&name, app.control.clone(), stream);
    started.map_err(|error| OpenError::Other(RpcError::internal(error.to_string())))
}

/// Keeps a name reserved while its wallet is being opened.
struct Opening<'a>(&'a App, String);

impl<'a> Opening<'a> {
    fn reserve(app: &'a App, name: &str) -> Result<Opening<'a>, OpenError> {
        if app.opening.borrow().iter().any(|other| other == name) {
            return Err(OpenError::Other(RpcError::new(code::WALLET_ERROR, "Wallet already loading.")));
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
    RpcError::new(code::WALLET_ERROR, format!("Error loading {name}: {error}"))
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
        next_resend: Cell::new(resend_time()),
        unlocked: Cell::new((0, 0)),
    })
}

/// Twelve to 36 hours from now: rarely, and at no fixed time, so that peers don't learn whose transactions these are.
fn resend_time() -> i64 {
    const HOUR_SECONDS: i64 = 3600;
    clock::now() + thread_rng().gen_range(12 * HOUR_SECONDS..36 * HOUR_SECONDS)
}

/// Sends unconfirmed transactions to peers again when their time has come (Core: `MaybeResendWalletTxs`).
pub async fn resend_when_due(app: &App) {
    let due = |loaded: &Rc<Loaded>| loaded.next_resend.get() <= clock::now();
    let waiting: Vec<Rc<Loaded>> = app.all().into_iter().filter(due).collect();
    if waiting.is_empty() || !app.config.walletbroadcast {
        return;
    }
    // While old blocks come in, transactions that they confirm look unconfirmed.
    if !app.chain.state().await.is_ok_and(|state| !state.tip.syncing) {
        return;
    }
    for loaded in waiting {
        resubmit(app, &loaded, true, false).await;
        loaded.next_resend.set(resend_time());
    }
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

/// Creates and loads a wallet.
///
/// # Errors
/// Core's texts.
pub async fn create(app: &App, name: &str, options: CreateOptions) -> Result<Rc<Loaded>, RpcError> {
    let refuse = |text: &str| Err(RpcError::new(code::WALLET_ERROR, text));
    let private = options.flags & flags::DISABLE_PRIVATE_KEYS == 0;
    if private && options.flags & flags::EXTERNAL_SIGNER != 0 {
        return refuse("Private keys must be disabled when using an external signer");
    }
    if !private && !options.passphrase.is_empty() {
        return refuse(
            "Passphrase provided but private keys are disabled. A passphrase is only used to encrypt private keys, so cannot be used for wallets with private keys disabled.",
        );
    }
    // Whatever is wrong with the file has one code when a wallet is created.
    let as_file = |error: OpenError| RpcError { code: code::WALLET_ERROR, ..RpcError::from(error) };
    let _opening = Opening::reserve(app, name).map_err(as_file)?;
    let blank = options.flags & flags::BLANK_WALLET != 0;
    let keys = open_keystore(app, OpenKeystore { name: name.to_owned(), create: true, ..OpenKeystore::default() })
        .await
        .map_err(as_file)?;
    app.control.init_message("Creating wallet…");
    let request = Request::Create {
        blank,
        disable_private_keys: !private,
        passphrase: options.passphrase.into_bytes().into(),
        flags: options.flags | flags::DESCRIPTORS | flags::LAST_HARDENED_XPUB_CACHED,
        generate: private && !blank,
    };
    let status = status_of(&keys, request).await.map_err(|error| as_file(OpenError::File(error)))?;
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
    add(app, &loaded);
    Ok(loaded)
}

/// The wallet is there, and is to be there again should this process be lost.
fn add(app: &App, loaded: &Rc<Loaded>) {
    app.wallets.borrow_mut().push(loaded.clone());
    app.control.wallet_loaded(&loaded.name, true);
    let wallet = loaded.wallet.borrow();
    let name = wallet.display_name();
    tracing::info!("[{name}] setKeyPool.size() = {}", wallet.count_keys(false) + wallet.count_keys(true));
    tracing::info!("[{name}] mapWallet.size() = {}", wallet.txs.len());
    tracing::info!("[{name}] m_address_book.size() = {}", wallet.book.len());
}

/// Loads a wallet.
///
/// # Errors
/// Core's texts.
pub async fn load(app: &App, name: &str) -> Result<Rc<Loaded>, OpenError> {
    if app.find(name).is_some() {
        let text = format!("Wallet \"{name}\" is already loaded.");
        return Err(OpenError::Other(RpcError::new(code::WALLET_ALREADY_LOADED, text)));
    }
    let _opening = Opening::reserve(app, name)?;
    let keys = open_keystore(app, OpenKeystore { name: name.to_owned(), ..OpenKeystore::default() }).await?;
    keys.call(Request::Verify).await.map_err(|error| OpenError::File(keystore_error(&error)))?;
    app.control.init_message("Loading wallet…");
    read_in(app, name, keys).await
}

/// Restores a wallet from a backup into a new file, and loads it.
///
/// # Errors
/// Core's texts.
pub async fn restore(app: &App, name: &str, backup: OwnedFd) -> Result<Rc<Loaded>, RpcError> {
    let _opening = Opening::reserve(app, name)?;
    let keys = open_keystore(app, OpenKeystore { name: name.to_owned(), create: true, restore: true, ..OpenKeystore::default() })
        .await
        .map_err(OpenError::bare)?;
    let restored = async {
        keys.call_with(Request::Restore, Some(backup)).await.map_err(|error| OpenError::Other(keystore_error(&error)))?;
        keys.call(Request::Verify).await.map_err(|error| OpenError::File(keystore_error(&error)))?;
        read_in(app, name, keys.clone()).await
    };
    match restored.await {
        Ok(loaded) => Ok(loaded),
        Err(error) => {
            // Nothing stays of a wallet that can't be used: the key store removes the file, the supervisor the directory.
            if let Err(error) = keys.call(Request::Discard).await {
                tracing::error!("[{name}] {error}");
            }
            drop(keys);
            if let Err(error) = ask_supervisor(app, ControlRequest::AwaitKeystoreEnd(name.to_owned())).await {
                tracing::error!("[{name}] {}", error.message);
            }
            Err(error.into())
        }
    }
}

/// Reads what a verified file holds, and puts the wallet onto the chain.
async fn read_in(app: &App, name: &str, keys: Keystore) -> Result<Rc<Loaded>, OpenError> {
    let status = status_of(&keys, Request::Open).await.map_err(OpenError::Content)?;
    attach(app, name, keys, status).await.map_err(OpenError::Content)
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
    check_chain(app, &found.locator).await?;
    place(app, &loaded, &found.locator, &found.blocks).await?;
    add(app, &loaded);
    Ok(loaded)
}

/// A wallet of another chain is refused, unless the user insists.
async fn check_chain(app: &App, locator: &[BlockHash]) -> Result<(), RpcError> {
    let Some(oldest) = locator.last().filter(|_| !app.config.walletcrosschain) else { return Ok(()) };
    let genesis = app.chain.block_at(0).await.map_err(|error| chain_error(&error))?;
    if genesis.is_some_and(|genesis| genesis.at.hash != *oldest) {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "Wallet files should not be reused across chains. Restart bitcoind with -walletcrosschain to override.",
        ));
    }
    Ok(())
}

/// Puts a loaded wallet onto the chain: heights of its blocks, what it missed, the mempool (Core: `AttachChain`).
async fn place(app: &App, loaded: &Loaded, locator: &[BlockHash], blocks: &[BlockHash]) -> Result<(), RpcError> {
    let failed = |error: SyncError| sync_error(&error);
    let asked = |error: ChainError| chain_error(&error);
    // Before the heights are asked: what chain connects in between is above the fork, and read below.
    let fork = if locator.is_empty() { None } else { app.chain.find_fork(locator).await.map_err(asked)? };
    let heights = events::block_heights(app, blocks).await.map_err(failed)?;
    loaded.wallet.borrow_mut().set_block_heights(&heights);
    let state = app.chain.state().await.map_err(asked)?;
    let (tip, mut from) = (state.tip.block.height, fork.map_or(0, |fork| fork.height));
    if tip >= 0 && tip != from {
        // Blocks before the first key cannot hold anything of ours.
        let birth = loaded.wallet.borrow().birth_time;
        if birth != i64::MAX {
            from = first_block_since(app, birth - TIMESTAMP_WINDOW, from, tip).await.map_err(asked)?.unwrap_or(tip);
        }
        check_blocks(app, from, tip, state.pruned).await?;
        app.control.init_message("Rescanning…");
        let name = loaded.wallet.borrow().display_name();
        tracing::info!("[{name}] Rescanning last {} blocks (from block {from})...", tip - from);
    }
    loaded.wallet.borrow_mut().set_tip(state.tip.block);
    if tip >= 0 && tip != from {
        let outcome = scan(app, loaded, from, None).await.map_err(failed)?;
        if !matches!(outcome, Outcome::Done(_)) {
            return Err(RpcError::new(code::WALLET_ERROR, "Failed to rescan the wallet during initialization"));
        }
        events::write_position(app, loaded).await;
        loaded.persist().await.map_err(|error| keystore_error(&error))?;
    }
    resubmit(app, loaded, false, true).await;
    events::read_mempool(app, loaded).await.map_err(failed)
}

/// The first block not below `height` whose time is not before `time`.
async fn first_block_since(app: &App, time: i64, height: i32, tip: i32) -> Result<Option<i32>, ChainError> {
    let (mut low, mut high) = (height, tip + 1);
    // Single block times need not grow with the height, but the wanted time has two hours of slack.
    while low < high {
        let middle = low + (high - low) / 2;
        match app.chain.block_at(middle).await? {
            Some(info) if info.time < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok((low <= tip).then_some(low))
}

/// Blocks that a wallet missed must still be on disk.
async fn check_blocks(app: &App, from: i32, tip: i32, pruned: bool) -> Result<(), RpcError> {
    let lowest = app.chain.blocks_from().await.map_err(|error| chain_error(&error))?;
    if from >= lowest || from == tip {
        return Ok(());
    }
    let text = if pruned {
        "Prune: last wallet synchronisation goes beyond pruned data. You need to -reindex (download the whole blockchain again in case of a pruned node)".to_owned()
    } else {
        format!(
            "Error loading wallet. Wallet requires blocks to be downloaded, and software does not currently support loading wallets while blocks are being downloaded out of order when using assumeutxo snapshots. Wallet should be able to load successfully after node sync reaches height {lowest}"
        )
    };
    Err(RpcError::new(code::WALLET_ERROR, text))
}

/// Hands one transaction of a wallet to the mempool, and to peers with `relay` (Core: `SubmitTxMemoryPoolAndRelay`).
///
/// # Errors
/// Why it was refused.
pub async fn submit(app: &App, loaded: &Loaded, txid: &bitcoin::Txid, relay: bool) -> Result<(), String> {
    let found = {
        let wallet = loaded.wallet.borrow();
        let open = |wtx: &&WalletTx| !wtx.is_abandoned() && !wtx.is_coinbase() && wallet.depth(wtx) == 0;
        wallet.txs.get(txid).filter(open).map(|wtx| (wtx.tx.clone(), wallet.display_name()))
    };
    let Some((tx, name)) = found else { return Err(String::new()) };
    let how = if relay { "to mempool and for broadcast to peers" } else { "to mempool without broadcast" };
    tracing::info!("[{name}] Submitting wtx {txid} {how}");
    let verdict = app.chain.broadcast(&tx, app.build.fees.max_tx_fee, relay).await.map_err(|error| error.to_string())?;
    if !verdict.accepted {
        return Err(verdict.reason);
    }
    // Chain tells as well, but a caller may spend the change at once.
    loaded.wallet.borrow_mut().transaction_added(&tx, clock::now());
    Ok(())
}

/// Offers our unconfirmed transactions to the mempool again: with `force` all, else those that are older than the last
/// block by five minutes (Core: `ResubmitWalletTransactions`).
pub async fn resubmit(app: &App, loaded: &Loaded, relay: bool, force: bool) {
    const GRACE_SECONDS: i64 = 5 * 60;
    if !app.config.walletbroadcast {
        return;
    }
    let mut waiting: Vec<(i64, bitcoin::Txid)> = {
        let wallet = loaded.wallet.borrow();
        let newest = loaded.best_block_time.get() - GRACE_SECONDS;
        let due = |wtx: &&WalletTx| wtx.is_unconfirmed() && (force || i64::from(wtx.time_received) <= newest);
        wallet.txs.values().filter(due).map(|wtx| (wtx.order, wtx.txid)).collect()
    };
    waiting.sort();
    let mut submitted = 0;
    for (_, txid) in waiting {
        submitted += u32::from(submit(app, loaded, &txid, relay).await.is_ok());
    }
    let name = loaded.wallet.borrow().display_name();
    if submitted > 0 {
        tracing::info!("[{name}] ResubmitWalletTransactions: resubmit {submitted} unconfirmed transactions");
    }
    if let Err(error) = loaded.persist().await {
        tracing::error!("[{name}] {error}");
    }
    app.send_notices(loaded);
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
    app.control.wallet_loaded(&loaded.name, false);
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

/// Wallets in the wallet directory: names, and whether they are of an old version.
///
/// # Errors
/// The supervisor does not answer, or sends something else.
pub async fn list_directory(app: &App) -> Result<Vec<(String, bool)>, RpcError> {
    let (text, _) = ask_supervisor(app, ControlRequest::ListWalletDir).await?;
    let list: Option<Vec<serde_json::Value>> = serde_json::from_str(&text).ok();
    let entry = |entry: &serde_json::Value| Some((entry.get("name")?.as_str()?.to_owned(), entry.get("legacy")?.as_bool()?));
    let entries = list.and_then(|list| list.iter().map(entry).collect::<Option<Vec<_>>>());
    entries.ok_or_else(|| RpcError::internal("the supervisor sent a bad list of wallets"))
}

async fn has_unnamed(app: &App) -> bool {
    list_directory(app).await.is_ok_and(|list| list.iter().any(|(name, legacy)| name.is_empty() && !legacy))
}

/// What options deserve a warning whenever a wallet is made or loaded.
pub fn option_warnings(app: &App) -> Vec<String> {
    const HIGH_TX_FEE_PER_KB: i64 = 1_000_000;
    const HIGH_APS_FEE: i64 = 10_000;
    const HIGH_MAX_TX_FEE: i64 = 100 * HIGH_TX_FEE_PER_KB;
    let fees = &app.build.fees;
    let high = |name: &str| format!("{name} is set very high!");
    let mut warnings = Vec::new();
    if fees.min_tx > HIGH_TX_FEE_PER_KB {
        warnings.push(format!("{} This is the minimum transaction fee you pay on every transaction.", high("-mintxfee")));
    }
    if fees.max_aps_fee > HIGH_APS_FEE {
        warnings.push(format!(
            "{} This is the maximum transaction fee you pay (in addition to the normal fee) to prioritize partial spend avoidance over regular coin selection.",
            high("-maxapsfee")
        ));
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
    if app.config.minrelaytxfee > HIGH_TX_FEE_PER_KB {
        warnings.push(format!("{} The wallet will avoid paying less than the minimum relay fee.", high("-minrelaytxfee")));
    }
    if app.config.walletrbf_given {
        warnings.push("-walletrbf is deprecated and will be fully removed in the next release.".into());
    }
    warnings
}

/// Loads what options and settings.json name. A failure stops the start.
///
/// # Errors
/// The text for the user.
pub async fn load_at_start(app: &App) -> Result<(), String> {
    let mut names = app.config.wallet.clone();
    // For old data directories: a wallet without a name is loaded when nothing else is asked for.
    if names.is_empty() && has_unnamed(app).await {
        names.push(String::new());
        app.startup.borrow_mut().push(String::new());
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            app.control.warning(&format!("Ignoring duplicate -wallet {name}."));
            continue;
        }
        match load_patiently(app, &name).await {
            Ok(_) => {
                let warnings = option_warnings(app);
                if !warnings.is_empty() {
                    app.control.warning(&warnings.join("\n"));
                }
            }
            Err(OpenError::File(error))
                if error.code == code::WALLET_NOT_FOUND && error.message.ends_with("Path does not exist.") =>
            {
                // One RPC code covers "no such path", "not a database" and "a legacy wallet"; at start Core skips the first and
                // the last (wallet/load.cpp), and only the text tells them apart.
                app.control.warning(&format!("Skipping -wallet path that doesn't exist. {}", error.message));
            }
            Err(OpenError::File(error)) if error.message.contains("appears to be a Legacy wallet") => {
                app.control.warning(&error.message);
            }
            // The node goes on without a wallet that it went on with before.
            Err(error) if app.config.again => tracing::error!("[{name}] is not loaded again: {}", error.bare().message),
            Err(error) => return Err(error.bare().message),
        }
    }
    Ok(())
}

/// Loads a wallet of the start. One that was loaded before gets more attempts: its key store may have been lost too.
async fn load_patiently(app: &App, name: &str) -> Result<Rc<Loaded>, OpenError> {
    const MORE_ATTEMPTS: usize = 3;
    for _ in 0..if app.config.again { MORE_ATTEMPTS } else { 0 } {
        match load(app, name).await {
            Ok(loaded) => return Ok(loaded),
            Err(error) => tracing::warn!("[{name}] {}, loading it once more", error.bare().message),
        }
    }
    load(app, name).await
}
