//! Blocks that pruning must leave alone because somebody still needs them (Core: `BlockManager::m_prune_locks`).

use std::collections::BTreeMap;

use super::State;

/// Blocks kept below the first one that is needed, so that its owner can go back in a reorganisation.
const BUFFER: i32 = 10;

/// Height of the first block that each owner needs.
#[derive(Debug, Default)]
pub(super) struct PruneLocks(BTreeMap<&'static str, i32>);

impl PruneLocks {
    /// Highest block that may be pruned in a chain of `height`.
    pub fn limit(&self, height: i32) -> i32 {
        let mut last = height;
        let mut limited_by = None;
        for (name, first) in &self.0 {
            let below = first - BUFFER - 1;
            last = last.min(below).max(1);
            if last == below {
                limited_by = Some(name);
            }
        }
        if let Some(name) = limited_by {
            tracing::debug!(target: "prune", "{name} limited pruning to height {last}");
        }
        last
    }

    /// The tip went back to `height`: owners that had reached more go back as well.
    pub fn move_back(&mut self, height: i32) {
        for (name, first) in self.0.iter_mut().filter(|(_, first)| **first > height) {
            *first = height;
            tracing::debug!(target: "prune", "{name} prune lock moved back to {height}");
        }
    }
}

impl State {
    /// Keeps pruning away from the block at height `first` and those above.
    pub fn set_prune_lock(&mut self, name: &'static str, first: i32) {
        self.prune_locks.0.insert(name, first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_that_is_furthest_behind_limits_pruning() {
        let mut locks = PruneLocks::default();
        assert_eq!(locks.limit(700), 700);
        locks.0.extend([("ahead", 700), ("behind", 500)]);
        assert_eq!(locks.limit(700), 489);
        locks.move_back(600);
        assert_eq!(locks.0[&"ahead"], 600);
        assert_eq!(locks.0[&"behind"], 500);
        locks.0.insert("new", 0);
        assert_eq!(locks.limit(700), 1);
    }
}
