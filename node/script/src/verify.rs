//! Checking inputs with the engine that was chosen (`-scriptengine`).

use std::sync::{Arc, OnceLock};

use bitcoin::consensus::serialize;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{KernelError, PrecomputedTransactionData, ScriptPubkey, Transaction, TxOut};
use bulkhead_consensus::PreparedBlock;

use crate::{Flags, Hashes, ScriptError, TxData, interpret};

/// Who judges scripts of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// libbitcoinkernel; the interpreter only names the error.
    #[default]
    Kernel,
    /// The interpreter in Rust.
    Rust,
    /// Both, and they must agree.
    Both,
}

impl Engine {
    /// Reads a value of `-scriptengine`.
    pub fn from_name(name: &str) -> Option<Engine> {
        match name {
            "kernel" => Some(Engine::Kernel),
            "rust" => Some(Engine::Rust),
            "both" => Some(Engine::Both),
            _ => None,
        }
    }
}

/// Why a script check did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The input does not satisfy the script that it spends.
    #[error("script of input {input} is not satisfied: {error}")]
    Script {
        /// Number of the input.
        input: usize,
        /// What was wrong.
        error: ScriptError,
    },
    /// The kernel refused the call; nothing is known about the script.
    #[error("kernel: {0}")]
    Kernel(String),
    /// The engines do not agree: one of them does not implement the rules.
    #[error("script engines disagree about input {input}: kernel says {kernel}, rust says {rust}")]
    Disagreement {
        /// Number of the input.
        input: usize,
        /// Verdict of the kernel.
        kernel: &'static str,
        /// Verdict of the interpreter, in Core's words.
        rust: String,
    },
}

/// A transaction ready for its inputs to be checked, from any thread.
#[derive(Debug)]
pub struct SpendCheck {
    source: Source,
    spent: Vec<bitcoin::TxOut>,
    flags: Flags,
    engine: Engine,
    hashes: Hashes,
    /// Built by the first thread that needs it.
    kernel: OnceLock<Result<Prepared, VerifyError>>,
}

#[derive(Debug)]
enum Source {
    Own(bitcoin::Transaction),
    /// A transaction of a block, by number.
    Block(Arc<PreparedBlock>, usize),
}

struct Prepared {
    transaction: Transaction,
    outputs: Vec<TxOut>,
    data: PrecomputedTransactionData,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl SpendCheck {
    /// `spent` holds the output that each input spends, in order. `flags` must be consensus rules for the kernel to judge.
    pub fn new(transaction: bitcoin::Transaction, spent: Vec<bitcoin::TxOut>, flags: Flags, engine: Engine) -> Self {
        Self::over(Source::Own(transaction), spent, flags, engine)
    }

    /// As [`SpendCheck::new`] for a transaction of a block, by number; `None` if the block has fewer.
    pub fn in_block(
        block: &Arc<PreparedBlock>,
        number: usize,
        spent: Vec<bitcoin::TxOut>,
        flags: Flags,
        engine: Engine,
    ) -> Option<Self> {
        block.block().txdata.get(number)?;
        Some(Self::over(Source::Block(Arc::clone(block), number), spent, flags, engine))
    }

    fn over(source: Source, spent: Vec<bitcoin::TxOut>, flags: Flags, engine: Engine) -> Self {
        Self { source, spent, flags, engine, hashes: Hashes::default(), kernel: OnceLock::new() }
    }

    /// Number of inputs to check.
    pub fn inputs(&self) -> usize {
        self.transaction().input.len()
    }

    /// The transaction.
    pub fn transaction(&self) -> &bitcoin::Transaction {
        match &self.source {
            Source::Own(transaction) => transaction,
            Source::Block(block, number) => &block.block().txdata[*number], // `in_block` has looked
        }
    }

    /// Checks one input.
    pub fn verify(&self, input: usize) -> Result<(), VerifyError> {
        let interpreted = || interpret(&TxData::new(self.transaction(), &self.spent, &self.hashes), input, self.flags);
        let unsatisfied = |error| VerifyError::Script { input, error };
        match self.engine {
            Engine::Rust => interpreted().map_err(unsatisfied),
            Engine::Kernel if self.ask_kernel(input)? => Ok(()),
            Engine::Kernel => Err(unsatisfied(interpreted().err().unwrap_or(ScriptError::UnknownError))),
            Engine::Both => match (self.ask_kernel(input)?, interpreted()) {
                (true, Ok(())) => Ok(()),
                (false, Err(error)) => Err(unsatisfied(error)),
                (valid, rust) => Err(VerifyError::Disagreement {
                    input,
                    kernel: if valid { "valid" } else { "invalid" },
                    rust: rust.err().map_or_else(|| "valid".to_owned(), |error| error.to_string()),
                }),
            },
        }
    }

    fn ask_kernel(&self, input: usize) -> Result<bool, VerifyError> {
        let prepared = self.kernel.get_or_init(|| prepare(self.transaction(), &self.spent));
        let prepared = prepared.as_ref().map_err(Clone::clone)?;
        let output =
            prepared.outputs.get(input).ok_or_else(|| VerifyError::Kernel("more inputs than outputs to spend".into()))?;
        let result = bitcoinkernel::verify(
            &output.script_pubkey(),
            Some(output.value()),
            &prepared.transaction,
            input,
            Some(self.flags.0),
            &prepared.data,
        );
        match result {
            Ok(()) => Ok(true),
            Err(KernelError::ScriptVerify(bitcoinkernel::ScriptVerifyError::Invalid)) => Ok(false),
            Err(other) => Err(VerifyError::Kernel(other.to_string())),
        }
    }
}

fn prepare(transaction: &bitcoin::Transaction, spent: &[bitcoin::TxOut]) -> Result<Prepared, VerifyError> {
    let failed = |error: KernelError| VerifyError::Kernel(error.to_string());
    let transaction = Transaction::new(&serialize(transaction)).map_err(failed)?;
    let outputs = spent
        .iter()
        .map(|output| {
            let script = ScriptPubkey::new(output.script_pubkey.as_bytes())?;
            Ok(TxOut::new(&script, output.value.to_sat() as i64)) // checked to be in the money range
        })
        .collect::<Result<Vec<_>, KernelError>>()
        .map_err(failed)?;
    let data = PrecomputedTransactionData::new(&transaction, &outputs).map_err(failed)?;
    Ok(Prepared { transaction, outputs, data })
}

/// Checks one input of a transaction. `spent` holds the output that each input spends, in order.
pub fn verify_input(
    transaction: &bitcoin::Transaction,
    spent: &[bitcoin::TxOut],
    input: usize,
    flags: Flags,
    engine: Engine,
) -> Result<(), VerifyError> {
    SpendCheck::new(transaction.clone(), spent.to_vec(), flags, engine).verify(input)
}

/// Checks all inputs of a transaction, stopping at the first failure.
pub fn verify_transaction(
    transaction: &bitcoin::Transaction,
    spent: &[bitcoin::TxOut],
    flags: Flags,
    engine: Engine,
) -> Result<(), VerifyError> {
    let check = SpendCheck::new(transaction.clone(), spent.to_vec(), flags, engine);
    (0..check.inputs()).try_for_each(|input| check.verify(input))
}
