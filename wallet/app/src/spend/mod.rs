//! Spending without I/O: sizes, coin selection, and transactions without signatures.

pub mod bnb;
pub mod build;
pub mod coins;
pub mod fees;
pub mod grinder;
pub mod groups;
pub mod knapsack;
pub mod pool;
pub mod psbt;
pub mod select;
pub mod size;

use bitcoin::{OutPoint, ScriptBuf};

use crate::state::OutputType;

/// Largest weight of a transaction that nodes relay.
pub const MAX_STANDARD_TX_WEIGHT: i64 = 400_000;
/// Smallest size of a transaction without witness that nodes relay, bytes.
pub const MIN_STANDARD_TX_NONWITNESS_SIZE: i64 = 65;

/// Version of transactions that follow the one-parent-one-child rules (BIP431).
pub const TRUC_VERSION: i32 = 3;

/// Why a transaction cannot be made; the texts are Core's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpendError {
    /// A text for the user (RPC code -4 or -6 is up to the caller).
    #[error("{0}")]
    Message(String),
    /// Not enough money.
    #[error("Insufficient funds")]
    InsufficientFunds,
}

impl SpendError {
    /// The text for a fee above `-maxtxfee`.
    pub const MAX_FEE: &'static str = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";

    pub(crate) fn text(text: impl Into<String>) -> SpendError {
        SpendError::Message(text.into())
    }
}

/// A spendable coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Which output.
    pub outpoint: OutPoint,
    /// Satoshi.
    pub value: i64,
    /// Output script.
    pub script: ScriptBuf,
    /// Confirmations.
    pub depth: i32,
    /// Virtual bytes of the input that spends it; `None` when we don't know how to.
    pub input_bytes: Option<i64>,
    /// We know how to satisfy its script.
    pub solvable: bool,
    /// It can be relied on.
    pub safe: bool,
    /// Its transaction spends coins of ours.
    pub from_me: bool,
    /// Seconds, of its transaction.
    pub time: i64,
    /// For grouping by address type; `None`: other.
    pub kind: Option<OutputType>,
    /// Fee for spending it at the chosen rate, fees for its ancestors included; satoshi.
    pub fee: i64,
    /// What its unconfirmed ancestors lack for that rate, satoshi.
    pub bump_fee: i64,
    /// The same at the long-term rate.
    pub long_term_fee: i64,
    /// Unconfirmed ancestors of its transaction, itself included.
    pub ancestors: u64,
    /// Transactions of its cluster in the mempool.
    pub cluster: u64,
}

impl Coin {
    /// Value after the fee for spending it, satoshi.
    pub fn effective_value(&self) -> i64 {
        self.value - self.fee
    }
}

/// What a user may say about coins and fees (Core: `wallet/coincontrol.h`).
#[derive(Debug, Clone)]
pub struct CoinControl {
    /// Where change goes.
    pub change_script: Option<ScriptBuf>,
    /// Type of a new change address.
    pub change_type: Option<OutputType>,
    /// Coins that must be spent, in order.
    pub selected: Vec<Selected>,
    /// Other coins may be added.
    pub allow_other_inputs: bool,
    /// Unsafe coins may be added.
    pub include_unsafe: bool,
    /// Satoshi per 1000 vbytes.
    pub fee_rate: Option<i64>,
    /// The rate may be below the minimum.
    pub override_fee_rate: bool,
    /// Blocks.
    pub confirm_target: Option<u32>,
    /// Conservative estimate: yes, no, or by RBF.
    pub conservative: Option<bool>,
    /// Signal replacement.
    pub rbf: Option<bool>,
    /// Spend all coins of an address together.
    pub avoid_partial_spends: bool,
    /// Leave out addresses that were spent from.
    pub avoid_address_reuse: bool,
    /// Confirmations at least.
    pub min_depth: i32,
    /// Confirmations at most.
    pub max_depth: i32,
    /// Lock time, else against fee sniping.
    pub locktime: Option<u32>,
    /// Transaction version.
    pub version: i32,
    /// Weight at most.
    pub max_weight: Option<i64>,
}

/// A coin that must be spent.
#[derive(Debug, Clone, Default)]
pub struct Selected {
    /// Which output.
    pub outpoint: OutPoint,
    /// Sequence number to use.
    pub sequence: Option<u32>,
    /// Its output, when the wallet does not have it.
    pub external: Option<bitcoin::TxOut>,
    /// Weight of its input, if the user gave one.
    pub weight: Option<i64>,
    /// How to satisfy it, when the wallet does not know.
    pub solution: Option<bulkhead_wallet_core::descriptor::Solution>,
}

impl Default for CoinControl {
    fn default() -> CoinControl {
        CoinControl {
            change_script: None,
            change_type: None,
            selected: Vec::new(),
            allow_other_inputs: true,
            include_unsafe: false,
            fee_rate: None,
            override_fee_rate: false,
            confirm_target: None,
            conservative: None,
            rbf: None,
            avoid_partial_spends: false,
            avoid_address_reuse: false,
            min_depth: 0,
            max_depth: 9_999_999,
            locktime: None,
            version: 2,
            max_weight: None,
        }
    }
}

/// One payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Output script.
    pub script: ScriptBuf,
    /// Satoshi.
    pub amount: i64,
    /// The fee is taken from it.
    pub subtract_fee: bool,
}
