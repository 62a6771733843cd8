//! Deterministic regtest chains for benchmarks and crash tests: the same recipe always gives the same bytes.

mod coins;
mod file;
mod keys;
mod plan;
mod random;
mod sign;

pub use file::{Made, ensure, write};

/// Blocks before the first spend: coinbases must mature.
pub const FIRST_SPEND: u32 = 101;
/// Transactions that fit into a block of 4,000,000 weight units with room to spare.
pub const MAX_PER_BLOCK: u32 = 3_000;

/// What chain to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Height of the last block with transactions.
    pub blocks: u32,
    /// Transactions besides coinbases, spread evenly over the blocks that can spend.
    pub transactions: u32,
    /// Blocks after them with nothing but a coinbase; more than 2016 let `-assumevalid` take effect.
    pub tail: u32,
    /// Another seed gives another chain.
    pub seed: u64,
}

impl Default for Recipe {
    /// The chain of `make bench`.
    fn default() -> Self {
        Self { blocks: 600, transactions: 400_000, tail: 2_100, seed: 1 }
    }
}

impl Recipe {
    /// Height of the tip.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.blocks + self.tail
    }

    /// Transactions of the block at `height` besides its coinbase.
    #[must_use]
    pub fn transactions_at(&self, height: u32) -> u32 {
        if !(FIRST_SPEND..=self.blocks).contains(&height) {
            return 0;
        }
        let spending = u64::from(self.blocks - FIRST_SPEND + 1);
        let until = |block: u64| u64::from(self.transactions) * block / spending;
        let place = u64::from(height - FIRST_SPEND);
        (until(place + 1) - until(place)) as u32 // at most `transactions`
    }

    /// # Errors
    /// When blocks would be too large, or no block can spend.
    fn check(&self) -> Result<(), String> {
        if self.transactions == 0 {
            return Ok(());
        }
        if self.blocks < FIRST_SPEND {
            return Err(format!("transactions need at least {FIRST_SPEND} blocks"));
        }
        let most = self.transactions.div_ceil(self.blocks - FIRST_SPEND + 1);
        if most > MAX_PER_BLOCK {
            return Err(format!("{most} transactions per block; at most {MAX_PER_BLOCK} fit"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn transactions_are_spread_without_loss() {
        for recipe in [Recipe::default(), Recipe { blocks: 107, transactions: 1000, tail: 3, seed: 0 }] {
            let total: u32 = (0..=recipe.height()).map(|height| recipe.transactions_at(height)).sum();
            assert_eq!(total, recipe.transactions);
            assert_eq!(recipe.transactions_at(100), 0);
            assert_eq!(recipe.transactions_at(recipe.blocks + 1), 0);
        }
    }

    #[test]
    fn recipes_that_cannot_be_made_are_refused() {
        let recipe = |blocks, transactions| Recipe { blocks, transactions, tail: 0, seed: 0 };
        assert!(recipe(100, 1).check().is_err());
        assert!(recipe(101, MAX_PER_BLOCK + 1).check().is_err());
        assert!(recipe(101, MAX_PER_BLOCK).check().is_ok());
        assert!(recipe(5, 0).check().is_ok());
    }

    #[test]
    fn the_same_recipe_gives_the_same_bytes_and_another_seed_others() {
        let recipe = Recipe { blocks: 104, transactions: 60, tail: 2, seed: 7 };
        let bytes = |recipe| {
            let mut out = Vec::new();
            let made = write(&recipe, &mut out).unwrap();
            (out, made)
        };
        let (one, made) = bytes(recipe);
        assert_eq!((one.clone(), made.clone()), bytes(recipe));
        assert_ne!(one, bytes(Recipe { seed: 8, ..recipe }).0);
        assert_eq!(made.height, 106);
        assert!(made.inputs >= 60);
    }
}
