//! Extended public keys that were derived once with private keys (Core's `DescriptorCache`).

use super::DescriptorError;
use bitcoin::bip32::Xpub;
use std::collections::BTreeMap;

/// Keys of the cache: the position of the key expression in the descriptor, and for derived keys the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// The key before the last, unhardened step.
    pub parent: BTreeMap<u32, Xpub>,
    /// The final key of a hardened range, per index.
    pub derived: BTreeMap<(u32, u32), Xpub>,
    /// The key after the last hardened step.
    pub last_hardened: BTreeMap<u32, Xpub>,
}

impl Cache {
    /// Whether nothing is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parent.is_empty() && self.derived.is_empty() && self.last_hardened.is_empty()
    }

    /// Takes over everything that `other` has, and answers what was new.
    ///
    /// # Errors
    /// The same position already holds another key.
    pub fn merge(&mut self, other: &Self) -> Result<Self, DescriptorError> {
        Ok(Self {
            parent: merge(&mut self.parent, &other.parent)?,
            derived: merge(&mut self.derived, &other.derived)?,
            last_hardened: merge(&mut self.last_hardened, &other.last_hardened)?,
        })
    }
}

fn merge<K: Ord + Copy>(into: &mut BTreeMap<K, Xpub>, from: &BTreeMap<K, Xpub>) -> Result<BTreeMap<K, Xpub>, DescriptorError> {
    let mut new = BTreeMap::new();
    for (key, xpub) in from {
        match into.get(key) {
            Some(known) if known == xpub => {}
            Some(_) => return Err(DescriptorError::CacheConflict),
            None => {
                into.insert(*key, *xpub);
                new.insert(*key, *xpub);
            }
        }
    }
    Ok(new)
}
