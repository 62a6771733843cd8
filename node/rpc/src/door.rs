//! The front door: one call in, its result out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bulkhead_control::{Handle, RpcConfig};
use bulkhead_schema::methods::{Method, Owner, find};
use serde_json::Value;
use tokio::sync::watch;

use crate::arguments;
use crate::auth::{Credentials, Whitelist};
use crate::body::Params;
use crate::http::allow::AllowList;
use crate::jsonrpc::{Call, CallError, CallResult, code};
use crate::local;
use crate::owners::Owners;
use crate::warmup::Warmup;

/// Methods that wait for something to happen.
const WAITING: &[&str] = &["getblocktemplate", "waitforblock", "waitforblockheight", "waitfornewblock"];
/// How long other calls may take when the node stops.
const GRACE: Duration = Duration::from_secs(5);

/// Who calls, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User name as authenticated.
    pub user: String,
    /// Path of the request; names the wallet.
    pub uri: String,
}

/// Everything that calls share.
pub struct Door {
    /// Configuration.
    pub config: RpcConfig,
    /// Credentials.
    pub credentials: Credentials,
    /// Who may call what.
    pub whitelist: Whitelist,
    /// Who may connect.
    pub allowed: AllowList,
    /// The other processes.
    pub owners: Owners,
    /// Whether calls are executed yet.
    pub warmup: Warmup,
    /// The supervisor.
    pub control: Handle,
    /// Becomes true when the node stops.
    pub stop: watch::Sender<bool>,
    active: RefCell<BTreeMap<u64, (String, Instant)>>,
    next_active: Cell<u64>,
}

/// A call that is being executed; leaves the list when dropped.
struct Active<'a> {
    door: &'a Door,
    number: u64,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.door.active.borrow_mut().remove(&self.number);
    }
}

impl Door {
    /// A door that lets in who has one of the `credentials`; those of `config` are not looked at.
    #[must_use]
    pub fn new(config: RpcConfig, credentials: Credentials, owners: Owners, control: Handle) -> Self {
        Self {
            credentials,
            whitelist: Whitelist::new(&config.rpcwhitelist, config.rpcwhitelistdefault),
            allowed: AllowList::new(&config.rpcallowip),
            owners,
            warmup: Warmup::default(),
            control,
            stop: watch::Sender::new(false),
            active: RefCell::default(),
            next_active: Cell::new(0),
            config,
        }
    }

    /// Whether this node has the method: wallet methods exist only beside a wallet process, and external signers are
    /// not supported.
    #[must_use]
    pub fn has(&self, method: &Method) -> bool {
        method.category != "signer" && (method.owner != Owner::Wallet || self.config.wallet)
    }

    /// Calls that are being executed: method and microseconds so far.
    #[must_use]
    pub fn active(&self) -> Vec<(String, u128)> {
        self.active.borrow().values().map(|(method, start)| (method.clone(), start.elapsed().as_micros())).collect()
    }

    fn enter(&self, method: &str) -> Active<'_> {
        let number = self.next_active.get();
        self.next_active.set(number + 1);
        self.active.borrow_mut().insert(number, (method.to_owned(), Instant::now()));
        Active { door: self, number }
    }

    /// Executes one call.
    ///
    /// # Errors
    /// Whatever goes to the client as the error of this call.
    pub async fn execute(&self, call: &Call, caller: &Caller) -> CallResult {
        self.warmup.check()?;
        let method = find(&call.method).filter(|method| self.has(method)).ok_or_else(CallError::method_not_found)?;
        let _active = self.enter(&call.method);
        let params = match &call.params {
            Params::Named(named) => arguments::positional(method, named)?,
            Params::List(params) => params.clone(),
            Params::Absent | Params::Wrong => Vec::new(),
        };
        arguments::check(method, &params)?;
        if method.owner == Owner::Rpc {
            return local::execute(self, method, &params, caller).await;
        }
        let call = self.owners.execute(method.owner, method.name, &params, &caller.uri, &caller.user);
        tokio::select! {
            result = call => result,
            () = self.interruption(method) => self.interrupted(method).await,
        }
    }

    /// Resolves when the node stops and this call should not be waited for any longer.
    async fn interruption(&self, method: &Method) {
        // The sender is ours, so it cannot be gone.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
        if !WAITING.contains(&method.name) {
            tokio::time::sleep(GRACE).await;
        }
    }

    /// What a call that waited is answered when the node stops: the tip as it is.
    async fn interrupted(&self, method: &Method) -> CallResult {
        let shutting_down = CallError::new(code::NOT_CONNECTED, "Shutting down");
        if !method.name.starts_with("waitfor") {
            return Err(shutting_down);
        }
        // Every height is at least 0, so this answers at once.
        let lowest = [Value::from(0)];
        let tip = self.owners.execute(Owner::Chain, "waitforblockheight", &lowest, "/", "");
        tokio::time::timeout(GRACE, tip).await.unwrap_or(Err(shutting_down))
    }
}
