//! The front door: one call in, its result out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Instant;

use bulkhead_control::{Handle, RpcConfig};
use bulkhead_schema::methods::{Method, Owner, find};

use crate::arguments;
use crate::auth::{Credentials, Whitelist};
use crate::body::Params;
use crate::http::allow::AllowList;
use crate::jsonrpc::{Call, CallError, CallResult};
use crate::local;
use crate::owners::Owners;
use crate::warmup::Warmup;

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
    /// `None` when a credential is malformed.
    #[must_use]
    pub fn new(config: RpcConfig, owners: Owners, control: Handle) -> Option<Self> {
        Some(Self {
            credentials: Credentials::parse(&config.rpcauth)?,
            whitelist: Whitelist::new(&config.rpcwhitelist, config.rpcwhitelistdefault),
            allowed: AllowList::new(&config.rpcallowip),
            owners,
            warmup: Warmup::default(),
            control,
            active: RefCell::default(),
            next_active: Cell::new(0),
            config,
        })
    }

    /// Whether this node has the method: wallet methods exist only beside a wallet process.
    #[must_use]
    pub fn has(&self, method: &Method) -> bool {
        method.owner != Owner::Wallet || self.config.wallet
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
        self.owners.execute(method.owner, method.name, &params, &caller.uri, &caller.user).await
    }
}
