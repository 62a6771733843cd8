//! Until chain (and the wallet) serve, every call is answered with -28 and the progress text.

use std::cell::RefCell;
use std::time::Duration;

use bulkhead_schema::methods::Owner;

use crate::jsonrpc::{CallError, code};
use crate::owners::Owners;

/// How often an owner that is not ready is asked again.
const INTERVAL: Duration = Duration::from_millis(20);

/// The state of the start.
#[derive(Debug)]
pub struct Warmup(RefCell<Option<String>>);

impl Default for Warmup {
    fn default() -> Self {
        Self(RefCell::new(Some("RPC server started".into())))
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

    /// Asks the owners until they serve. They answer -28 themselves, with their progress, while they load.
    pub async fn follow(&self, owners: &Owners, has_wallet: bool) {
        owners.chain.wait().await;
        self.until_served(owners, Owner::Chain, "getblockcount").await;
        if has_wallet {
            owners.wallet.wait().await;
            self.until_served(owners, Owner::Wallet, "listwallets").await;
        }
        *self.0.borrow_mut() = None;
    }

    async fn until_served(&self, owners: &Owners, owner: Owner, method: &str) {
        loop {
            match owners.execute(owner, method, &[], "/", "").await {
                Err(error) if error.code == code::WARMUP => *self.0.borrow_mut() = Some(error.message),
                // The process is being restarted.
                Err(error) if error.code == code::INTERNAL => {}
                _ => return,
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
