//! Everything this process knows: loaded wallets, peers, options. Lives on the event loop's thread.

use bitcoin::Network;
use bulkhead_control::WalletConfig;
use bulkhead_keystore_edge::{Record, Reply, Request, Status};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

use crate::ipc::chain::{Chain, ChainState};
use crate::ipc::keystore::{Keystore, KeystoreError};
use crate::ipc::supervisor::Supervisor;
use crate::records::Change;
use crate::spend::build::BuildOptions;
use crate::spend::fees::FeeOptions;
use crate::state::{OutputType, StateOptions, Wallet};

/// A rescan that is running.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// When it began, seconds.
    pub started: i64,
    /// Between 0 and 1.
    pub progress: f64,
}

/// A loaded wallet and its key store.
pub struct Loaded {
    /// Name.
    pub name: String,
    /// State.
    pub wallet: RefCell<Wallet>,
    /// Key store.
    pub keys: Keystore,
    /// What the key store said last.
    pub status: RefCell<Status>,
    /// Rescan that is running.
    pub scan: Cell<Option<Scan>>,
    /// The rescan shall stop.
    pub abort_scan: Cell<bool>,
    /// Seconds when the tip was processed last.
    pub best_block_time: Cell<i64>,
    /// When our unconfirmed transactions are sent to peers again, seconds.
    pub next_resend: Cell<i64>,
    /// Unlocked by walletpassphrase until then, seconds; and a count that tells its timers apart.
    pub unlocked: Cell<(i64, u64)>,
}

/// Changes as records for the key store, so many at a time as one message takes.
pub fn batches(changes: Vec<Change>) -> Vec<Vec<Record>> {
    const PER_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for change in changes {
        bytes += change.key.len() + change.value.as_ref().map_or(0, Vec::len) + 64;
        batch.push(Record { key: change.key, erase: change.value.is_none(), value: change.value.unwrap_or_default() });
        if bytes > PER_MESSAGE_BYTES {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

impl Loaded {
    /// Writes what changed to the file.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub async fn persist(&self) -> Result<(), KeystoreError> {
        let changes = self.wallet.borrow_mut().take_changes();
        for batch in batches(changes) {
            self.keys.call(Request::Write(batch)).await?;
        }
        Ok(())
    }

    /// Asks the key store how it is.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub async fn refresh_status(&self) -> Result<Status, KeystoreError> {
        if let Reply::Status(status) = self.keys.call(Request::Status).await? {
            *self.status.borrow_mut() = status;
        }
        Ok(self.status.borrow().clone())
    }
}

/// The process.
pub struct App {
    /// Configuration.
    pub config: WalletConfig,
    /// Network.
    pub network: Network,
    /// Options of building.
    pub build: BuildOptions,
    /// Supervisor.
    pub control: Arc<dyn Supervisor>,
    /// Chain.
    pub chain: Chain,
    /// Loaded wallets in the order of loading.
    pub wallets: RefCell<Vec<Rc<Loaded>>>,
    /// Held while blocks are applied or a wallet catches up.
    pub sync: Mutex<()>,
    /// Grows with every event that was applied.
    pub progress: watch::Sender<u64>,
    /// Wallets that settings.json loads at start.
    pub startup: RefCell<Vec<String>>,
    /// Names that are being loaded or created.
    pub opening: RefCell<Vec<String>>,
    /// The wallets of the start are being loaded: calls are refused.
    pub starting: Cell<bool>,
}

/// Network by the name in configuration.
pub fn network_by_name(name: &str) -> Option<Network> {
    Some(match name {
        "main" => Network::Bitcoin,
        "test" => Network::Testnet,
        "testnet4" => Network::Testnet4,
        "signet" => Network::Signet,
        "regtest" => Network::Regtest,
        _ => return None,
    })
}

impl App {
    /// Puts the process together.
    pub fn new(config: WalletConfig, network: Network, control: Arc<dyn Supervisor>, chain: Chain) -> App {
        let fees = FeeOptions {
            fallback: config.fallbackfee,
            min_tx: config.mintxfee,
            discard: config.discardfee,
            consolidate: config.consolidatefeerate,
            max_tx_fee: config.maxtxfee,
            max_aps_fee: config.maxapsfee,
            confirm_target: u32::try_from(config.txconfirmtarget).unwrap_or(6).max(1),
            rbf: config.walletrbf,
        };
        let build = BuildOptions {
            fees,
            address_type: OutputType::parse(&config.addresstype).unwrap_or(OutputType::Bech32),
            change_type: OutputType::parse(&config.changetype),
            reject_long_chains: config.walletrejectlongchains,
            zero_conf: config.spendzeroconfchange,
        };
        App {
            network,
            build,
            control,
            chain,
            wallets: RefCell::new(Vec::new()),
            sync: Mutex::new(()),
            progress: watch::Sender::new(0),
            startup: RefCell::new(config.wallet.clone()),
            opening: RefCell::new(Vec::new()),
            starting: Cell::new(false),
            config,
        }
    }

    /// Options of wallet state.
    pub fn state_options(&self) -> StateOptions {
        StateOptions {
            keypool: i32::try_from(self.config.keypool).unwrap_or(1000).max(1),
            spend_zero_conf_change: self.config.spendzeroconfchange,
        }
    }

    /// A loaded wallet.
    pub fn find(&self, name: &str) -> Option<Rc<Loaded>> {
        self.wallets.borrow().iter().find(|loaded| loaded.name == name).cloned()
    }

    /// All loaded wallets.
    pub fn all(&self) -> Vec<Rc<Loaded>> {
        self.wallets.borrow().clone()
    }

    /// Tells whoever waits that something was applied.
    pub fn advanced(&self) {
        self.progress.send_modify(|count| *count += 1);
    }

    /// Waits until a wallet has seen every block and transaction that chain has (Core: BlockUntilSyncedToCurrentChain).
    pub async fn wait_for_tip(&self, loaded: &Loaded) -> Option<ChainState> {
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
        let mut changes = self.progress.subscribe();
        // The bound only matters when chain dies in between.
        tokio::time::timeout(PATIENCE, async {
            self.chain.barrier().await.ok()?;
            loop {
                // Marked before the question, so that what happens meanwhile is not missed.
                changes.borrow_and_update();
                let state = self.chain.state().await.ok()?;
                let reached = loaded.wallet.borrow().tip.hash == state.tip.block.hash;
                if reached || crate::ipc::events::waits_for_blocks(self, loaded).await.ok()? {
                    return Some(state);
                }
                changes.changed().await.ok()?;
            }
        })
        .await
        .ok()?
    }

    /// Runs the commands of `-walletnotify` for what changed.
    pub fn send_notices(&self, loaded: &Loaded) {
        let notices = loaded.wallet.borrow_mut().take_notices();
        if !self.config.walletnotify {
            return;
        }
        for notice in notices {
            let (block, height) = match notice.block {
                Some(block) => (block.hash.to_string(), block.height.to_string()),
                None => ("unconfirmed".into(), "-1".into()),
            };
            let txid = notice.txid.to_string();
            self.control.notify("walletnotify", &[("s", &txid), ("b", &block), ("h", &height), ("w", &loaded.name)]);
        }
    }
}
