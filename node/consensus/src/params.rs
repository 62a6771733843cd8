//! Parameters of a chain (Core: `consensus/params.h`, `kernel/chainparams.h`).

use bitcoin::{Block, BlockHash, Target, Work};

/// Consensus changes whose activation height is fixed (BIP90).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buried {
    /// BIP34: the coinbase starts with the block height.
    HeightInCoinbase,
    /// BIP65: CHECKLOCKTIMEVERIFY.
    Cltv,
    /// BIP66: strict DER signatures.
    DerSig,
    /// BIP68, BIP112, BIP113: relative locks and median time.
    Csv,
    /// BIP141, BIP143, BIP147.
    Segwit,
}

impl Buried {
    /// All of them, in the order in which Core lists them in `getdeploymentinfo`.
    pub const ALL: [Buried; 5] = [Buried::HeightInCoinbase, Buried::DerSig, Buried::Cltv, Buried::Csv, Buried::Segwit];

    /// Name used by RPCs.
    pub fn name(self) -> &'static str {
        match self {
            Buried::HeightInCoinbase => "bip34",
            Buried::Cltv => "bip65",
            Buried::DerSig => "bip66",
            Buried::Csv => "csv",
            Buried::Segwit => "segwit",
        }
    }

    /// Looks up a name of `-testactivationheight`, which names rules where RPCs name BIPs.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "bip34" => Buried::HeightInCoinbase,
            "dersig" => Buried::DerSig,
            "cltv" => Buried::Cltv,
            "csv" => Buried::Csv,
            "segwit" => Buried::Segwit,
            _ => return None,
        })
    }
}

/// A deployment by version bits (BIP9). Only the test dummy remains in this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bip9 {
    /// Name used by RPCs and `-vbparams`.
    pub name: &'static str,
    /// Bit of the block version.
    pub bit: u8,
    /// Median time at which signalling starts, in seconds; [`Bip9::ALWAYS_ACTIVE`] or [`Bip9::NEVER_ACTIVE`].
    pub start_time: i64,
    /// Median time at which the attempt fails, in seconds.
    pub timeout: i64,
    /// Activation is delayed at least to this height.
    pub min_activation_height: i32,
    /// Blocks per signalling period.
    pub period: i32,
    /// Signalling blocks that a period needs.
    pub threshold: i32,
}

impl Bip9 {
    /// Active from the first block on.
    pub const ALWAYS_ACTIVE: i64 = -1;
    /// Never active.
    pub const NEVER_ACTIVE: i64 = -2;
    /// No time-out.
    pub const NO_TIMEOUT: i64 = i64::MAX;
}

/// Script rules that do not apply to one historical block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptException {
    /// The block.
    pub hash: BlockHash,
    /// Whether P2SH and witness rules apply in it (taproot rules do not in any exception).
    pub p2sh_and_witness: bool,
}

/// Figures for the estimate of verification progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainTxData {
    /// Time of the last known transaction count, in seconds.
    pub time: i64,
    /// Transactions in the chain up to then.
    pub tx_count: u64,
    /// Estimated transactions per second after it.
    pub tx_rate: f64,
}

/// A UTXO snapshot that may be loaded with `loadtxoutset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssumeUtxo {
    /// Height of the base block.
    pub height: i32,
    /// `hash_serialized_3` of the set, in display order.
    pub hash_serialized: &'static str,
    /// Transactions in the chain up to the base block.
    pub chain_tx_count: u64,
    /// Base block, in display order.
    pub block_hash: &'static str,
}

/// Everything that tells one chain from another as far as consensus is concerned.
#[derive(Debug, Clone)]
pub struct Params {
    /// Core's name: `main`, `test`, `testnet4`, `signet`, `regtest`.
    pub name: &'static str,
    /// Bytes in front of P2P messages and of blocks in block files.
    pub magic: [u8; 4],
    /// First block.
    pub genesis: Block,
    /// Its hash.
    pub genesis_hash: BlockHash,
    /// Blocks between two halvings of the subsidy.
    pub subsidy_halving_interval: u32,
    /// Historical blocks that break script rules.
    pub script_exceptions: Vec<ScriptException>,
    /// Height at which BIP34 becomes active.
    pub bip34_height: i32,
    /// Block at that height, if BIP30 checks may be skipped after it.
    pub bip34_hash: Option<BlockHash>,
    /// Height at which BIP65 becomes active.
    pub bip65_height: i32,
    /// Height at which BIP66 becomes active.
    pub bip66_height: i32,
    /// Height at which BIP68, BIP112 and BIP113 become active.
    pub csv_height: i32,
    /// Height at which witness commitments become active.
    pub segwit_height: i32,
    /// No warnings about unknown version bits below this height.
    pub min_bip9_warning_height: i32,
    /// Deployments by version bits.
    pub deployments: Vec<Bip9>,
    /// Largest target.
    pub pow_limit: Target,
    /// Test networks: a late block may have the largest target.
    pub allow_min_difficulty: bool,
    /// BIP94 rules.
    pub enforce_bip94: bool,
    /// Regtest: difficulty never changes.
    pub no_retargeting: bool,
    /// Wanted seconds between blocks.
    pub target_spacing: u32,
    /// Wanted seconds per difficulty period.
    pub target_timespan: u32,
    /// The best chain should have at least this much work.
    pub minimum_chain_work: Work,
    /// Scripts below this block are assumed valid by default.
    pub assume_valid: Option<BlockHash>,
    /// Signet's challenge script.
    pub signet_challenge: Option<Vec<u8>>,
    /// Pruning may start above this height.
    pub prune_after_height: i32,
    /// Progress estimate.
    pub chain_tx_data: ChainTxData,
    /// Loadable snapshots.
    pub assume_utxo: Vec<AssumeUtxo>,
}

impl Params {
    /// Whether this is any other chain than the main one.
    pub fn is_test_chain(&self) -> bool {
        self.name != "main"
    }

    /// Blocks per difficulty period.
    pub fn difficulty_interval(&self) -> i32 {
        (self.target_timespan / self.target_spacing) as i32 // 144 or 2016
    }

    /// Activation height of a buried deployment.
    pub fn buried_height(&self, deployment: Buried) -> i32 {
        match deployment {
            Buried::HeightInCoinbase => self.bip34_height,
            Buried::Cltv => self.bip65_height,
            Buried::DerSig => self.bip66_height,
            Buried::Csv => self.csv_height,
            Buried::Segwit => self.segwit_height,
        }
    }

    /// Changes an activation height (`-testactivationheight`).
    pub fn set_buried_height(&mut self, deployment: Buried, height: i32) {
        match deployment {
            Buried::HeightInCoinbase => self.bip34_height = height,
            Buried::Cltv => self.bip65_height = height,
            Buried::DerSig => self.bip66_height = height,
            Buried::Csv => self.csv_height = height,
            Buried::Segwit => self.segwit_height = height,
        }
    }

    /// Whether the rules of `deployment` apply to the block at `height`.
    pub fn is_active_at(&self, deployment: Buried, height: i32) -> bool {
        height >= self.buried_height(deployment)
    }

    /// Whether BIP30 (no overwriting of unspent transactions) must be checked for this block. Skipped for the two
    /// historical exceptions, and where BIP34 makes duplicates impossible; above height 1,983,702 they are possible again.
    pub fn must_check_bip30(&self, height: i32, hash: BlockHash, bip34_block_is_ancestor: bool) -> bool {
        const BIP34_IMPLIES_BIP30_LIMIT: i32 = 1_983_702;
        if self.is_bip30_exception(height, hash) {
            return false;
        }
        !bip34_block_is_ancestor || height >= BIP34_IMPLIES_BIP30_LIMIT
    }

    /// The two main-chain blocks whose coinbase repeats an earlier one.
    pub fn is_bip30_exception(&self, height: i32, hash: BlockHash) -> bool {
        const REPEATS: [(i32, &str); 2] = [
            (91_842, "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"),
            (91_880, "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"),
        ];
        REPEATS.iter().any(|(at, text)| *at == height && hash.to_string() == *text)
    }

    /// The two main-chain blocks whose coinbase outputs were overwritten by a repetition (Core: `IsBIP30Unspendable`).
    pub fn is_bip30_unspendable(&self, height: i32, hash: BlockHash) -> bool {
        const LOST: [(i32, &str); 2] = [
            (91_722, "00000000000271a2dc26e7667f8419f2e15416dc6955e5a6c6cdf3f2574dd08e"),
            (91_812, "00000000000af0aed4792b1acee3d966af36cf5def14935db8de83d6f9306f2f"),
        ];
        LOST.iter().any(|(at, text)| *at == height && hash.to_string() == *text)
    }

    /// The snapshot of the coins at a block that may be loaded.
    pub fn snapshot_of(&self, base: BlockHash) -> Option<AssumeUtxo> {
        let text = base.to_string();
        self.assume_utxo.iter().copied().find(|snapshot| snapshot.block_hash == text)
    }

    /// The exception for a block, if it is one.
    pub fn script_exception(&self, hash: BlockHash) -> Option<ScriptException> {
        self.script_exceptions.iter().copied().find(|exception| exception.hash == hash)
    }
}
