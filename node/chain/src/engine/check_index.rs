//! Self-check of the block index (`-checkblockindex`; Core: `ChainstateManager::CheckBlockIndex`).

use std::sync::atomic::Ordering;

use bitcoin::BlockHash;

use super::{BlockNode, ChainManager, NodeId, State};

/// What does not hold, and of which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {hash} at height {height}: {fault}")]
pub struct IndexFault {
    /// The block.
    pub hash: BlockHash,
    /// Its height by its own entry.
    pub height: i32,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Rules that entries of the index keep at all times, each named by how it is broken.
#[allow(missing_docs, reason = "the message says what the variant means")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is found under another id")]
    WrongId,
    #[error("has no parent and is not genesis")]
    NotGenesis,
    #[error("comes before its parent")]
    BeforeParent,
    #[error("is not one above its parent")]
    Height,
    #[error("has less work than its parent")]
    Work,
    #[error("has an order of arrival before its chain arrived")]
    Sequence,
    #[error("has data and no transactions, or the reverse, though nothing was pruned")]
    DataAndTransactions,
    #[error("has undo data without data")]
    UndoWithoutData,
    #[error("has transactions and is not marked so, or the reverse")]
    TransactionsLevel,
    #[error("is validated further than its parent")]
    LevelAboveParent,
    #[error("counts the transactions of its chain wrongly")]
    ChainTransactions,
    #[error("is not marked invalid though its parent is")]
    Failed,
    #[error("is valid and has more work than the best header")]
    BetterThanBestHeader,
    #[error("could become the tip and is no candidate")]
    MissingCandidate,
    #[error("is a candidate and cannot become the tip")]
    FalseCandidate,
    #[error("waits for its parent's data and is not noted")]
    MissingUnlinked,
    #[error("is noted to wait for its parent's data and does not")]
    FalseUnlinked,
    #[error("lacks data below it though nothing was pruned")]
    LostData,
}

/// What holds for a block or for one of its ancestors; the base of a snapshot starts anew.
#[derive(Debug, Clone, Copy, Default)]
struct Inherited {
    failed: bool,
    missing: bool,
    unseen: bool,
    not_chain: bool,
    not_scripts: bool,
}

impl State {
    /// Checks every entry against its parent and against what else the engine remembers. Takes time in proportion to the
    /// number of headers.
    ///
    /// # Errors
    /// The first entry that breaks a rule.
    pub fn check_index(&self) -> Result<(), IndexFault> {
        let mut known: Vec<Inherited> = Vec::with_capacity(self.index().len());
        let base = self.snapshot().filter(|snapshot| !snapshot.validated).map(|snapshot| snapshot.base);
        for id in self.index().ids() {
            let node = self.node(id);
            let broken = |fault| IndexFault { hash: node.hash, height: node.height, fault };
            let above = match node.prev {
                None => Inherited::default(),
                // Parents have lower ids.
                Some(prev) => known.get(prev.place()).copied().ok_or_else(|| broken(Fault::BeforeParent))?,
            };
            let own = self.check_place(id, node, above).and_then(|own| {
                self.check_progress(node, own, base == Some(id))?;
                self.check_candidate(id, node, own, base == Some(id))?;
                self.check_unlinked(id, node, own).map(|()| own)
            });
            let own = own.map_err(broken)?;
            known.push(if base == Some(id) { Inherited { failed: own.failed, ..Inherited::default() } } else { own });
        }
        Ok(())
    }

    /// Its place in the tree; what it passes on.
    fn check_place(&self, id: NodeId, node: &BlockNode, above: Inherited) -> Result<Inherited, Fault> {
        let parent = node.prev.map(|prev| self.node(prev));
        hold(self.lookup(&node.hash) == Some(id), Fault::WrongId)?;
        hold(parent.is_some() || self.active().at(0).is_none_or(|genesis| genesis == id), Fault::NotGenesis)?;
        hold(node.height == parent.map_or(0, |parent| parent.height + 1), Fault::Height)?;
        hold(parent.is_none_or(|parent| node.chain_work >= parent.chain_work), Fault::Work)?;
        hold(node.status.is_failed() || !above.failed, Fault::Failed)?;
        let best = self.best_header().map(|best| best.chain_work);
        hold(node.status.is_failed() || best.is_some_and(|best| node.chain_work <= best), Fault::BetterThanBestHeader)?;
        let reached = node.status.with_failed(false);
        Ok(Inherited {
            failed: node.status.is_failed(),
            missing: above.missing || !node.have_data(),
            unseen: above.unseen || node.n_tx == 0,
            not_chain: above.not_chain || (parent.is_some() && !reached.is_valid_chain()),
            not_scripts: above.not_scripts || (parent.is_some() && !reached.is_valid_scripts()),
        })
    }

    /// How far it is validated, and what is on disk.
    fn check_progress(&self, node: &BlockNode, own: Inherited, is_base: bool) -> Result<(), Fault> {
        let reached = node.status.with_failed(false);
        hold(node.have_chain_tx() || node.sequence <= super::index::SEQUENCE_FROM_DISK, Fault::Sequence)?;
        hold(if self.is_pruned() { !node.have_data() || node.n_tx > 0 } else { node.have_data() == (node.n_tx > 0) }, {
            Fault::DataAndTransactions
        })?;
        hold(!node.have_undo() || node.have_data(), Fault::UndoWithoutData)?;
        hold(reached.is_valid_transactions() == (node.n_tx > 0), Fault::TransactionsLevel)?;
        hold((!reached.is_valid_chain() || !own.not_chain) && (!reached.is_valid_scripts() || !own.not_scripts), {
            Fault::LevelAboveParent
        })?;
        let below = node.prev.map_or(Some(0), |prev| Some(self.node(prev).chain_tx).filter(|below| *below > 0));
        let sum = below.filter(|_| node.n_tx > 0).map(|below| below + u64::from(node.n_tx));
        hold(sum.map_or(node.have_chain_tx() == is_base, |sum| node.chain_tx == sum), Fault::ChainTransactions)?;
        hold((!own.unseen || is_base) == node.have_chain_tx(), Fault::ChainTransactions)
    }

    fn is_candidate(&self, id: NodeId) -> bool {
        self.candidates.get(&self.index().rank(id)) == Some(&id)
    }

    /// Whether it may become the tip.
    fn check_candidate(&self, id: NodeId, node: &BlockNode, own: Inherited, is_base: bool) -> Result<(), Fault> {
        let Some(tip) = self.active().tip() else { return Ok(()) };
        let is_candidate = self.is_candidate(id);
        if self.index().rank(id) < self.index().rank(tip) || (own.unseen && !is_base) {
            return hold(!is_candidate, Fault::FalseCandidate);
        }
        let ready = !own.missing || id == tip || is_base;
        hold(is_candidate || node.status.is_failed() || !ready, Fault::MissingCandidate)
    }

    /// Whether it waits for data of blocks below it.
    fn check_unlinked(&self, id: NodeId, node: &BlockNode, own: Inherited) -> Result<(), Fault> {
        let noted = node.prev.and_then(|prev| self.unlinked.get(&prev)).is_some_and(|children| children.contains(&id));
        hold(!noted || (node.have_data() && own.missing), Fault::FalseUnlinked)?;
        if node.prev.is_none() || !node.have_data() || !own.missing {
            return Ok(());
        }
        if own.unseen {
            return hold(noted || own.failed, Fault::MissingUnlinked);
        }
        hold(self.is_pruned(), Fault::LostData)?;
        let better = self.active().tip().is_some_and(|tip| self.index().rank(id) >= self.index().rank(tip));
        hold(!better || self.is_candidate(id) || own.failed || noted, Fault::MissingUnlinked)
    }
}

fn hold(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault) }
}

impl ChainManager {
    /// Checks the index if it is time to (`-checkblockindex=<n>`: each n-th call); a fault ends the node.
    pub(super) fn check_block_index(&self, state: &State) {
        let every = self.options().check_block_index;
        if every == 0 || !self.index_checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(u64::from(every)) {
            return;
        }
        // Core does not look before the active chain has begun.
        if state.active().tip().is_none() {
            return;
        }
        if let Err(fault) = state.check_index() {
            tracing::error!("CheckBlockIndex: {fault}");
            self.fatal("The block index is inconsistent.");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::engine::{EngineOptions, ImportSource, Silent};
    use bulkhead_consensus::networks;

    /// An engine that has imported the chain that Core made, branches and invalid blocks included, and checked itself at each
    /// change.
    fn imported(directory: &Path) -> Arc<ChainManager> {
        std::fs::create_dir_all(directory.join("blocks")).unwrap();
        let mut options = EngineOptions::new(networks::regtest(), directory.to_path_buf(), || 1_700_000_000);
        options.check_block_index = 1;
        let manager = ChainManager::open(options, Arc::new(Silent)).unwrap();
        manager.activate().unwrap();
        let chain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/crosscheck/blocks.dat");
        let reader = Box::new(std::fs::File::open(chain).unwrap());
        manager.import(vec![ImportSource { name: "blocks.dat".into(), reader }]).unwrap();
        manager
    }

    #[test]
    fn an_index_that_is_whole_passes_and_each_fault_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let manager = imported(folder.path());
        assert!(!manager.is_interrupted(), "a check during the import found a fault");
        assert!(manager.index_checks.load(Ordering::Relaxed) > 100);
        let mut state = manager.lock();
        assert_eq!(state.check_index(), Ok(()));
        let (tip, below) = (state.active().tip().unwrap(), state.active().at(50).unwrap());
        type Damage = fn(&mut State, NodeId, NodeId);
        let damages: [(Fault, Damage); 13] = [
            (Fault::Height, |state, _, below| state.index.get_volatile(below).height += 1),
            (Fault::Work, |state, _, below| {
                let less = state.node(state.active().at(3).unwrap()).chain_work;
                state.index.get_volatile(below).chain_work = less;
            }),
            (Fault::Failed, |state, _, below| {
                let node = state.index.get_volatile(below);
                node.status = node.status.with_failed(true);
            }),
            (Fault::BetterThanBestHeader, |state, _, below| state.best_header = Some(below)),
            (Fault::Sequence, |state, _, below| {
                let node = state.index.get_volatile(below);
                (node.chain_tx, node.sequence) = (0, 7);
            }),
            (Fault::DataAndTransactions, |state, _, below| state.index.get_volatile(below).n_tx = 0),
            (Fault::UndoWithoutData, |state, _, below| {
                state.pruned = true;
                let node = state.index.get_volatile(below);
                node.status = node.status.with_data(false, true);
            }),
            (Fault::TransactionsLevel, |state, _, below| {
                state.pruned = true;
                let node = state.index.get_volatile(below);
                node.status = node.status.with_data(false, true).with_undo(false);
                node.n_tx = 0;
            }),
            (Fault::LevelAboveParent, |state, _, below| {
                let node = state.index.get_volatile(below);
                node.status = bulkhead_store::block_index::Status::VALID_TREE.with_data(true, true).with_valid_transactions();
            }),
            (Fault::ChainTransactions, |state, _, below| state.index.get_volatile(below).chain_tx += 1),
            (Fault::MissingCandidate, |state, tip, _| state.remove_candidate(tip)),
            (Fault::FalseCandidate, |state, _, below| state.add_candidate(below)),
            (Fault::FalseUnlinked, |state, _, below| {
                let prev = state.node(below).prev.unwrap();
                state.unlinked.entry(prev).or_default().insert(below);
            }),
        ];
        for (fault, damage) in damages {
            let (node, sets) = (state.node(below).clone(), (state.candidates.clone(), state.unlinked.clone()));
            let (best, pruned) = (state.best_header, state.pruned);
            damage(&mut state, tip, below);
            assert_eq!(state.check_index().map_err(|found| found.fault), Err(fault));
            *state.index.get_volatile(below) = node;
            (state.candidates, state.unlinked) = sets;
            (state.best_header, state.pruned) = (best, pruned);
        }
        assert_eq!(state.check_index(), Ok(()));
    }
}
