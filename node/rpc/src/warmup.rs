//! Until chain (and the wallet) serve, every call is answered with -28 and the progress text.

use std::time::Duration;

use bulkhead_schema::methods::Owner;

use tokio::sync::watch;

use crate::jsonrpc::{CallError, code};
use crate::owners::Owners;

/// How often an owner that is not ready is asked again.
const INTERVAL: Duration = Duration::from_millis(20);

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

    /// Asks the owners until they serve. They answer -28 themselves, with their progress, while they load.
    pub async fn follow(&self, owners: &Owners, has_wallet: bool) {
        owners.chain.wait().await;
        self.until_served(owners, Owner::Chain, "getblockcount").await;
        if has_wallet {
            owners.wallet.wait().await;
            self.until_served(owners, Owner::Wallet, "listwallets").await;
        }
        self.0.send_replace(None);
    }

    async fn until_served(&self, owners: &Owners, owner: Owner, method: &str) {
        loop {
            match owners.execute(owner, method, &[], "/", "").await {
                Err(error) if error.code == code::WARMUP => {
                    self.0.send_replace(Some(error.message));
                }
                // The process is being restarted.
                Err(error) if error.code == code::INTERNAL => {}
                _ => return,
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
