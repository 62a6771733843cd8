//! Coins that the generator can still spend, and which it picks.

use bitcoin::OutPoint;

use super::keys::Kind;
use super::random::Random;

/// A spendable output.
#[derive(Debug, Clone, Copy)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Satoshi.
    pub value: u64,
    /// How it is spent.
    pub kind: Kind,
    /// Which key spends it.
    pub key: usize,
}

/// Share of the spends, in percent, that take one of the newest [`NEWEST`] coins (often of the same block), one of the
/// newest [`RECENT`] coins (some blocks back), or any coin.
const AGES: [u64; 3] = [25, 35, 40];
const NEWEST: usize = 300;
const RECENT: usize = 8_000;
/// Tries before a gap is left by walking.
const TRIES: usize = 16;

/// Coins in order of birth; spent ones leave gaps until there are too many.
#[derive(Debug, Default)]
pub struct Coins {
    coins: Vec<Option<Coin>>,
    alive: usize,
}

impl Coins {
    /// Adds the youngest.
    pub fn add(&mut self, coin: Coin) {
        self.coins.push(Some(coin));
        self.alive += 1;
    }

    /// Takes the coin that was added last, if it was not picked yet.
    pub fn youngest(&mut self) -> Option<Coin> {
        let coin = self.coins.last_mut()?.take()?;
        self.alive -= 1;
        Some(coin)
    }

    /// Takes a coin of random age.
    pub fn pick(&mut self, random: &mut Random) -> Option<Coin> {
        if self.alive == 0 {
            return None;
        }
        let window = [NEWEST, RECENT, usize::MAX][random.choose(&AGES)].min(self.coins.len());
        let first = self.coins.len() - window;
        let mut place = first;
        for _ in 0..TRIES {
            place = first + random.below(window as u64) as usize; // below the window
            if self.coins[place].is_some() {
                break;
            }
        }
        let count = self.coins.len();
        let coin = (0..count).find_map(|step| self.coins[(place + count - step) % count].take())?;
        self.alive -= 1;
        if count > 10_000 && self.alive < count / 2 {
            self.coins.retain(Option::is_some);
        }
        Some(coin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coin_is_picked_once() {
        let mut coins = Coins::default();
        for vout in 0..500 {
            let outpoint = OutPoint { vout, ..OutPoint::null() };
            coins.add(Coin { outpoint, value: 1, kind: Kind::P2pkh, key: 0 });
        }
        let mut random = Random::new(3);
        let mut seen: Vec<u32> = std::iter::from_fn(|| coins.pick(&mut random)).map(|coin| coin.outpoint.vout).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
    }
}
