//! Threads that check scripts of a block next to the validation thread (`-par`), from the moment on when its first transaction
//! has its coins.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bulkhead_script::{SpendCheck, VerifyError};

/// Inputs that a thread takes at a time: about a millisecond of work.
const BATCH: usize = 16;

/// The first check of a block, in block order, that was found to fail.
#[derive(Debug, Clone)]
pub struct ScriptFailure {
    /// Which input of which transaction.
    pub debug: String,
    /// What was wrong.
    pub error: VerifyError,
}

/// Some inputs of one transaction.
#[derive(Debug)]
struct Piece {
    check: Arc<SpendCheck>,
    /// Place of the transaction in the block.
    number: usize,
    inputs: Range<usize>,
}

#[derive(Debug)]
struct Failed {
    number: usize,
    input: usize,
    check: Arc<SpendCheck>,
    error: VerifyError,
}

#[derive(Debug, Default)]
struct Work {
    batches: VecDeque<Vec<Piece>>,
    /// Threads that are at a batch.
    busy: usize,
    failed: Option<Failed>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    added: Condvar,
    idle: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the next batch; gives the lock back, and whether there was one.
    fn run_next<'a>(&'a self, mut work: MutexGuard<'a, Work>) -> (MutexGuard<'a, Work>, bool) {
        let Some(batch) = work.batches.pop_front() else { return (work, false) };
        work.busy += 1;
        drop(work);
        let failed = first_failure(&batch);
        drop(batch);
        let mut work = self.lock();
        work.busy -= 1;
        if let Some(failed) = failed {
            // The rest matters no more.
            work.batches.clear();
            if work.failed.as_ref().is_none_or(|known| failed.number < known.number) {
                work.failed = Some(failed);
            }
        }
        if work.busy == 0 && work.batches.is_empty() {
            self.idle.notify_all();
        }
        (work, true)
    }

    fn serve(&self) {
        let mut work = self.lock();
        loop {
            let ran;
            (work, ran) = self.run_next(work);
            if ran {
                continue;
            }
            if work.closed {
                return;
            }
            work = self.added.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn first_failure(batch: &[Piece]) -> Option<Failed> {
    batch.iter().find_map(|piece| {
        piece.inputs.clone().find_map(|input| {
            let error = piece.check.verify(input).err()?;
            Some(Failed { number: piece.number, input, check: Arc::clone(&piece.check), error })
        })
    })
}

/// The threads. They end when the pool is dropped.
#[derive(Debug)]
pub struct ScriptPool {
    shared: Arc<Shared>,
    threads: usize,
    /// Held while one block is checked.
    turn: Mutex<()>,
}

impl ScriptPool {
    /// Starts `threads` threads; with none, the caller does all the work.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let start = |number: &usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("scriptch.{number}")).spawn(move || shared.serve()).is_ok()
        };
        let threads = (0..threads).filter(start).count();
        Self { shared, threads, turn: Mutex::new(()) }
    }

    /// Starts the checks of a block, once those of another are over.
    pub fn begin(&self) -> Checking<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Checking { pool: self, next: Vec::new(), inputs: 0, _turn: turn }
    }
}

impl Drop for ScriptPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.added.notify_all();
    }
}

/// The checks of one block. Dropped before the end, those that were not made are forgotten.
#[derive(Debug)]
pub struct Checking<'a> {
    pool: &'a ScriptPool,
    /// What is too little yet to be handed over.
    next: Vec<Piece>,
    inputs: usize,
    _turn: MutexGuard<'a, ()>,
}

impl Checking<'_> {
    /// Adds the inputs of the transaction at place `number` of the block. The threads begin at once.
    pub fn add(&mut self, number: usize, check: SpendCheck) {
        let check = Arc::new(check);
        let mut from = 0;
        while from < check.inputs() {
            let until = check.inputs().min(from + BATCH - self.inputs);
            self.next.push(Piece { check: Arc::clone(&check), number, inputs: from..until });
            self.inputs += until - from;
            from = until;
            if self.inputs == BATCH {
                self.hand_over();
            }
        }
    }

    fn hand_over(&mut self) {
        self.inputs = 0;
        let batch = std::mem::take(&mut self.next);
        let mut work = self.pool.shared.lock();
        if work.failed.is_none() {
            work.batches.push_back(batch);
        }
        drop(work);
        if self.pool.threads > 0 {
            self.pool.shared.added.notify_one();
        }
    }

    /// Takes part in the rest; returns when each check was made or one has failed.
    pub fn finish(mut self) -> Result<(), ScriptFailure> {
        if !self.next.is_empty() {
            self.hand_over();
        }
        let shared = &self.pool.shared;
        let mut work = shared.lock();
        loop {
            let ran;
            (work, ran) = shared.run_next(work);
            if !ran && work.busy == 0 {
                break;
            }
            if !ran {
                work = shared.idle.wait(work).unwrap_or_else(PoisonError::into_inner);
            }
        }
        work.failed.take().map_or(Ok(()), |failed| Err(describe(&failed)))
    }
}

impl Drop for Checking<'_> {
    fn drop(&mut self) {
        let shared = &self.pool.shared;
        let mut work = shared.lock();
        work.batches.clear();
        while work.busy > 0 {
            work = shared.idle.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        work.failed = None;
    }
}

fn describe(failed: &Failed) -> ScriptFailure {
    let tx = failed.check.transaction();
    let input = failed.input;
    let spent = tx.input.get(input).map(|input| input.previous_output).unwrap_or_default();
    let debug =
        format!("input {input} of {} (wtxid {}), spending {}:{}", tx.compute_txid(), tx.compute_wtxid(), spent.txid, spent.vout);
    ScriptFailure { debug, error: failed.error.clone() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute};
    use bulkhead_script::{Engine, Flags};

    /// A transaction that spends outputs whose scripts are OP_TRUE, or OP_RETURN where `bad`.
    fn check(bad: &[bool]) -> SpendCheck {
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let tx = Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input; bad.len()],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }],
        };
        let script = |bad: &bool| ScriptBuf::from_bytes(vec![if *bad { 0x6a } else { 0x51 }]);
        let spent = bad.iter().map(|bad| TxOut { value: Amount::from_sat(1), script_pubkey: script(bad) }).collect();
        SpendCheck::new(tx, spent, Flags::CONSENSUS, Engine::Rust)
    }

    #[test]
    fn every_input_is_checked_with_any_number_of_threads() {
        for threads in [0, 1, 3] {
            let pool = ScriptPool::new(threads);
            for _ in 0..20 {
                let mut good = pool.begin();
                for number in 0..50 {
                    good.add(number, check(&vec![false; number % 40 + 1]));
                }
                good.finish().unwrap();
                for place in [0, 15, 16, 99] {
                    let mut inputs = vec![false; 100];
                    inputs[place] = true;
                    let mut bad = pool.begin();
                    bad.add(0, check(&[false; 5]));
                    bad.add(1, check(&inputs));
                    bad.add(2, check(&[false; 5]));
                    let failure = bad.finish().unwrap_err();
                    assert!(failure.debug.starts_with(&format!("input {place} of ")), "{failure:?}");
                }
            }
        }
    }

    #[test]
    fn checks_that_are_given_up_leave_nothing_behind() {
        let pool = ScriptPool::new(2);
        for _ in 0..50 {
            let mut given_up = pool.begin();
            for number in 0..20 {
                given_up.add(number, check(&[true; 16]));
            }
            drop(given_up);
            let mut good = pool.begin();
            good.add(0, check(&[false; 3]));
            good.finish().unwrap();
        }
    }
}
