//! Calls into the kernel.

use std::sync::OnceLock;

use bitcoin::consensus::serialize;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{KernelError, PrecomputedTransactionData, ScriptPubkey, Transaction, TxOut};

use crate::Flags;

/// Why a script check did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The input does not satisfy the script that it spends.
    #[error("script of input {input} is not satisfied")]
    Invalid {
        /// Number of the input.
        input: usize,
    },
    /// The kernel refused the call; nothing is known about the script.
    #[error("kernel: {0}")]
    Kernel(String),
}

/// A transaction ready for its inputs to be checked, from any thread.
#[derive(Debug)]
pub struct SpendCheck {
    transaction: bitcoin::Transaction,
    spent: Vec<bitcoin::TxOut>,
    flags: Flags,
    /// Built by the first thread that needs it.
    kernel: OnceLock<Result<Prepared, ScriptError>>,
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
    /// `spent` holds the output that each input spends, in order.
    pub fn new(transaction: bitcoin::Transaction, spent: Vec<bitcoin::TxOut>, flags: Flags) -> Self {
        Self { transaction, spent, flags, kernel: OnceLock::new() }
    }

    /// Number of inputs to check.
    pub fn inputs(&self) -> usize {
        self.transaction.input.len()
    }

    /// The transaction.
    pub fn transaction(&self) -> &bitcoin::Transaction {
        &self.transaction
    }

    /// Checks one input.
    pub fn verify(&self, input: usize) -> Result<(), ScriptError> {
        let prepared = self.kernel.get_or_init(|| prepare(&self.transaction, &self.spent));
        let prepared = prepared.as_ref().map_err(Clone::clone)?;
        let output =
            prepared.outputs.get(input).ok_or_else(|| ScriptError::Kernel("more inputs than outputs to spend".into()))?;
        let result = bitcoinkernel::verify(
            &output.script_pubkey(),
            Some(output.value()),
            &prepared.transaction,
            input,
            Some(self.flags.0),
            &prepared.data,
        );
        result.map_err(|error| match error {
            KernelError::ScriptVerify(bitcoinkernel::ScriptVerifyError::Invalid) => ScriptError::Invalid { input },
            other => ScriptError::Kernel(other.to_string()),
        })
    }
}

fn prepare(transaction: &bitcoin::Transaction, spent: &[bitcoin::TxOut]) -> Result<Prepared, ScriptError> {
    let failed = |error: KernelError| ScriptError::Kernel(error.to_string());
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
) -> Result<(), ScriptError> {
    SpendCheck::new(transaction.clone(), spent.to_vec(), flags).verify(input)
}

/// Checks all inputs of a transaction, stopping at the first failure.
pub fn verify_transaction(transaction: &bitcoin::Transaction, spent: &[bitcoin::TxOut], flags: Flags) -> Result<(), ScriptError> {
    let check = SpendCheck::new(transaction.clone(), spent.to_vec(), flags);
    (0..check.inputs()).try_for_each(|input| check.verify(input))
}
