//! What the methods work on.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::Network;
use bulkhead_control::{ChainConfig, ControlError, Handle, OpenFile, Request};
use bulkhead_mempool::FeeRate;
use bulkhead_rpc_util::{RpcError, RpcResult};

use super::scan_control::ScanControl;
use crate::engine::{ChainManager, State};
use crate::indexes::Indexes;
use crate::mempool_accept::Pool;
use crate::mining::TemplateOptions;
use crate::recent::RecentTransactions;
use crate::serve::Relay;
use crate::warnings::Warnings;

/// Everything that RPC methods of this process may touch. Shared by all threads that answer calls.
///
/// # Correctness
/// Lock order: [`Context::state`] before [`Context::pool`], as in the engine.
#[derive(Debug)]
pub struct Context {
    /// The engine.
    pub chain: Arc<ChainManager>,
    /// The mempool.
    pub pool: Arc<Pool>,
    /// Optional indexes.
    pub indexes: Indexes,
    /// Network for addresses.
    pub network: Network,
    /// Options.
    pub config: Arc<ChainConfig>,
    /// Opens files that users name; `None` without a supervisor.
    pub supervisor: Option<Handle>,
    /// Progress of `scantxoutset`.
    pub scan: ScanControl,
    /// Progress of `scanblocks`.
    pub block_scan: ScanControl,
    /// Weight and number of transactions of the last block that was assembled.
    pub last_template: Mutex<Option<(i64, usize)>>,
    /// Warnings about the network or this node, as RPCs show them.
    pub warnings: Arc<Warnings>,
    /// Transactions that were confirmed, refused or replaced lately.
    pub recent: Arc<RecentTransactions>,
    /// The way to net; `None` without one.
    pub relay: Option<Relay>,
}

impl Context {
    /// A context over a running engine.
    pub fn new(
        chain: Arc<ChainManager>,
        pool: Arc<Pool>,
        indexes: Indexes,
        network: Network,
        config: Arc<ChainConfig>,
        supervisor: Option<Handle>,
    ) -> Self {
        Self {
            chain,
            pool,
            indexes,
            network,
            config,
            supervisor,
            scan: ScanControl::default(),
            block_scan: ScanControl::default(),
            last_template: Mutex::new(None),
            warnings: Arc::default(),
            recent: Arc::default(),
            relay: None,
        }
    }

    /// Locks index, active chain and coins.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.chain.lock()
    }

    /// Blocks until net and the wallet have taken every event that happened before, or are too slow: call it without locks.
    pub fn wait_for_others(&self) {
        self.relay.iter().for_each(Relay::wait_until_taken);
    }

    /// Seconds since 1970, mockable.
    pub fn now(&self) -> i64 {
        self.chain.now()
    }

    /// How blocks are assembled here.
    pub fn template_options(&self) -> TemplateOptions {
        let default = TemplateOptions::default();
        let given = |value: i64, default: i64| if value < 0 { default } else { value };
        let is_regtest = self.network == Network::Regtest;
        TemplateOptions {
            reserved_weight: given(self.config.blockreservedweight, default.reserved_weight),
            max_weight: given(self.config.blockmaxweight, default.max_weight),
            min_fee_rate: FeeRate(self.config.blockmintxfee),
            version: (is_regtest && self.config.blockversion >= 0).then_some(self.config.blockversion as i32), // checked at start
            ..default
        }
    }

    /// Asks the supervisor about a file; this process cannot open any. Gives its full path, and the open file if the purpose
    /// comes with one.
    ///
    /// # Errors
    /// The supervisor's text, or that it does not answer.
    pub fn ask_for_file(&self, purpose: &str, path: &str) -> RpcResult<(String, Option<OwnedFd>)> {
        self.ask(Request::OpenFile(OpenFile { purpose: purpose.into(), path: path.into() }))
    }

    /// Asks the supervisor. Gives its text, and the open file if there is one.
    ///
    /// # Errors
    /// The supervisor's text, or that it does not answer.
    pub fn ask(&self, request: Request) -> RpcResult<(String, Option<OwnedFd>)> {
        let gone = || RpcError::internal("the supervisor does not answer");
        match self.supervisor.as_ref().ok_or_else(gone)?.request(request) {
            Ok(mut answer) => Ok((answer.text, answer.descriptors.pop())),
            Err(ControlError::Refused { code, message }) => Err(RpcError::new(code, message)),
            Err(_) => Err(gone()),
        }
    }

    /// Remembers what `getmininginfo` shows of the last template.
    pub fn note_template(&self, weight: i64, transactions: usize) {
        *self.last_template.lock().unwrap_or_else(PoisonError::into_inner) = Some((weight, transactions));
    }
}
