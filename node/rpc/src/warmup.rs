//! Until chain (and the wallet) serve, every call is answered with -28 and the progress text.

use std::time::Duration;

use bulkhead_schema::methods::Owner;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::jsonrpc::{CallError, code};
use crate::owners::Owners;

/// How often an owner that is not ready is asked again.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long an owner may give no proper answer, be it that it serves or how far it is with loading.
const PATIENCE: Duration = Duration::from_secs(30);

/// The state of the start.
#[derive(Debug)]
pub struct Warmup(watch::Sender<Option<String>>);

impl Default for Warmup {
    fn default() -> Self {
        Self(watch::Sender::new(Some("RPC server started".into())))
    }
}

impl Warmup {
    /// Whether calls may be executed.
    ///
    /// # Errors
    /// The -28 error with the progress text while they may not.
    pub fn check(&self) -> Result<(), CallError> {
        match &*self.0.borrow() {
            Some(status) => Err(CallError::new(code::WARMUP, status.clone())),
            None => Ok(()),
        }
    }

    /// Waits until calls are executed.
    pub async fn finished(&self) {
        // The sender is ours, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(Option::is_none).await;
    }

    /// Asks the owners until they serve. They answer -28 themselves, with their progress, while they load. Nothing goes on
    /// without chain; without a wallet that answers all but its own methods can be used.
    pub async fn follow(&self, owners: &Owners, has_wallet: bool) {
        while !self.served(owners, Owner::Chain, "getblockcount").await {
            tracing::error!("rpc-chain: bitcoin-chain has given no proper answer for {} s", PATIENCE.as_secs());
        }
        if has_wallet && !self.served(owners, Owner::Wallet, "listwallets").await {
            let seconds = PATIENCE.as_secs();
            tracing::error!("rpc-wallet: bitcoin-wallet has given no proper answer for {seconds} s; the node goes on without it");
        }
        self.0.send_replace(None);
    }

    /// Whether the owner serves in the end; `false` when it has given no proper answer for too long.
    async fn served(&self, owners: &Owners, owner: Owner, method: &str) -> bool {
        while let Ok(status) = timeout(PATIENCE, progress(owners, owner, method)).await {
            let Some(status) = status else { return true };
            self.0.send_replace(Some(status));
            sleep(INTERVAL).await;
        }
        false
    }
}

/// The next proper answer of an owner: how far it is with loading, or `None` when it serves.
async fn progress(owners: &Owners, owner: Owner, method: &str) -> Option<String> {
    loop {
        // Owners are wired when they are born, so these wait for the first start and for the next.
        match owner {
            Owner::Wallet => drop(owners.wallet.wait().await),
            _ => drop(owners.chain.wait().await),
        }
        match owners.execute(owner, method, &[], "/", "").await {
            Err(error) if error.code == code::WARMUP => return Some(error.message),
            // The process is being started, for the first time or again, or it answers nonsense.
            Err(error) if error.code == code::INTERNAL => sleep(INTERVAL).await,
            _ => return None,
        }
    }
}
