//! `musig()`: several keys that sign as one (BIP327, BIP328, BIP390).

use super::key::{derive_xpub, fingerprint, paths, steps};
use super::{Cache, DerivedKey, DescriptorError, KeyExpression, KeyKind};
use bitcoin::PublicKey;
use bitcoin::bip32::Xpub;
use bitcoin::secp256k1::PublicKey as RawPublicKey;
use core::fmt::Write as _;
use core::ops::Range;
use std::collections::btree_map::Entry;

const HARDENED: u32 = 0x8000_0000;

/// A `musig()` expression. Its participants are key expressions of the descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aggregate {
    /// Positions of the participants.
    pub(super) participants: Range<usize>,
    /// Steps behind it.
    path: Vec<u32>,
    /// `/*` behind the steps.
    pub(super) ranged: bool,
}

/// A `musig()` expression at an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedAggregate {
    /// The aggregate of the participants.
    pub aggregate: RawPublicKey,
    /// Keys of the participants, in the order in which they are aggregated.
    pub participants: Vec<RawPublicKey>,
    /// The key that stands in the script: derived from the aggregate, or the aggregate itself.
    pub key: DerivedKey,
}

fn invalid(text: impl Into<String>) -> DescriptorError {
    DescriptorError::Invalid(text.into())
}

impl Aggregate {
    /// Parses what stands behind the closing bracket; several if one step is `<a;b;...>`. `keys`: the key expressions of the
    /// descriptor so far.
    pub(super) fn parse(text: &str, participants: Range<usize>, keys: &[KeyExpression]) -> Result<Vec<Self>, DescriptorError> {
        let own = keys.get(participants.clone()).unwrap_or_default();
        if own.is_empty() {
            return Err(invalid("musig(): Must contain key expressions"));
        }
        let mut aggregate = Self { participants, path: Vec::new(), ranged: false };
        let Some(derivation) = text.strip_prefix('/') else { return Ok(vec![aggregate]) };
        if !own.iter().all(|key| matches!(key.kind, KeyKind::Extended { .. })) {
            return Err(invalid("musig(): derivation requires all participants to be xpubs or xprvs"));
        }
        if own.iter().any(KeyExpression::is_range) {
            return Err(invalid("musig(): Cannot have ranged participant keys if musig() also has derivation"));
        }
        let mut parts: Vec<&str> = derivation.split('/').collect();
        match parts.last() {
            Some(&"*") => {
                aggregate.ranged = true;
                parts.pop();
            }
            Some(&("*h" | "*'")) => return Err(invalid("musig(): Cannot have hardened child derivation")),
            _ => {}
        }
        let paths = paths(&parts, true, &mut false).map_err(|error| invalid(format!("musig(): {error}")))?;
        if paths.iter().flatten().any(|step| step & HARDENED != 0) {
            return Err(invalid("musig(): cannot have hardened derivation steps"));
        }
        Ok(paths.into_iter().map(|path| Self { path, ..aggregate.clone() }).collect())
    }

    /// The public form.
    pub(super) fn text(&self, keys: &[KeyExpression]) -> String {
        let own: Vec<String> = keys[self.participants.clone()].iter().map(KeyExpression::public_text).collect();
        let mut text = format!("musig({}){}", own.join(","), steps(&self.path, false));
        if self.ranged {
            let _ = write!(text, "/*");
        }
        text
    }

    fn aggregate(&self, keys: &[DerivedKey]) -> Option<(RawPublicKey, Vec<RawPublicKey>)> {
        let mut participants: Vec<RawPublicKey> = keys.get(self.participants.clone())?.iter().map(|key| key.key.inner).collect();
        participants.sort_by_key(RawPublicKey::serialize);
        Some((bulkhead_musig2::aggregate(&participants)?, participants))
    }

    /// The extended key that the last step is derived from; `expressions` tell its network.
    fn parent(&self, aggregate: RawPublicKey, expressions: &[KeyExpression]) -> Option<Xpub> {
        let mut root = bulkhead_musig2::synthetic_xpub(aggregate);
        if let Some(KeyKind::Extended { root: first, .. }) = expressions.get(self.participants.start).map(|key| &key.kind) {
            root.network = first.network;
        }
        derive_xpub(root, &self.path)
    }

    /// The key at `index`, from those of all key expressions at it.
    pub(super) fn derive(&self, keys: &[DerivedKey], expressions: &[KeyExpression], index: u32) -> Option<DerivedAggregate> {
        let (aggregate, participants) = self.aggregate(keys)?;
        let mut path = self.path.clone();
        let mut derived = self.parent(aggregate, expressions)?;
        if self.ranged {
            path.push(index);
            derived = derive_xpub(derived, &[index])?;
        }
        let key = PublicKey::new(derived.public_key);
        let fingerprint = fingerprint(&PublicKey::new(aggregate));
        Some(DerivedAggregate { aggregate, participants, key: DerivedKey { key, fingerprint, path } })
    }

    /// What Core caches of it: the extended key before the last step, if there are any steps.
    pub(super) fn fill_cache(
        &self,
        position: u32,
        keys: &[DerivedKey],
        expressions: &[KeyExpression],
        cache: &mut Cache,
    ) -> Option<()> {
        if let Entry::Vacant(entry) = cache.parent.entry(position)
            && (self.ranged || !self.path.is_empty())
        {
            let (aggregate, _) = self.aggregate(keys)?;
            entry.insert(self.parent(aggregate, expressions)?);
        }
        Some(())
    }
}
