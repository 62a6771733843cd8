//! Descriptors of a wallet, their scripts and the pool of unused addresses
//! (Core: `wallet/scriptpubkeyman.cpp`).

use bitcoin::{Script, ScriptBuf};
use bulkhead_wallet_core::descriptor::{DescriptorError, Solution};

use super::descriptor::{Expanded, PublicDescriptor};
use super::{OutputType, Wallet, flags};
use crate::records::{self, DescId};

/// One descriptor with its range.
#[derive(Debug, Clone)]
pub struct Spkm {
    /// Id as Core computes it.
    pub id: DescId,
    /// Text of the record, with checksum, unchanged.
    pub stored: String,
    /// Parsed form.
    pub descriptor: PublicDescriptor,
    /// Seconds.
    pub creation: u64,
    /// Next index to hand out.
    pub next: i32,
    /// First index.
    pub start: i32,
    /// Index after the last that is watched.
    pub end: i32,
    /// Indices below are in the script map.
    pub expanded_to: i32,
}

/// Why no address can be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// No active descriptor of that type.
    #[error("Error: No {0} addresses available.")]
    NoneActive(&'static str),
    /// The wallet has no private keys, and the descriptor's public ones make no more addresses.
    #[error("No addresses available")]
    Exhausted,
    /// The descriptor cannot be expanded further before private keys are used.
    #[error("Error: Keypool ran out, please call keypoolrefill first")]
    RanOut,
}

impl Wallet {
    /// Adds a descriptor or replaces it (same id), and watches its range.
    ///
    /// # Errors
    /// The descriptor cannot be expanded.
    pub fn add_descriptor(&mut self, spkm: Spkm) -> Result<(), DescriptorError> {
        let id = spkm.id;
        self.birth_time = self.birth_time.min(i64::try_from(spkm.creation).unwrap_or(i64::MAX));
        self.spkms.insert(id, spkm);
        self.watch(&id)
    }

    fn watch(&mut self, id: &DescId) -> Result<(), DescriptorError> {
        let Some(spkm) = self.spkms.get_mut(id) else { return Ok(()) };
        let end = if spkm.descriptor.is_ranged() { spkm.end } else { spkm.start + 1 };
        let from = spkm.expanded_to.max(spkm.start);
        let mut found = Vec::new();
        for index in from..end {
            found.extend(spkm.descriptor.scripts(index as u32)?.into_iter().map(|script| (script, index as u32)));
        }
        spkm.expanded_to = end.max(spkm.expanded_to);
        for (script, index) in found {
            let owners = self.scripts.entry(script).or_default();
            if !owners.contains(&(*id, index)) {
                owners.push((*id, index));
            }
        }
        Ok(())
    }

    /// Extends the range of one descriptor to `size` unused addresses (0: `-keypool`). Answers whether it could.
    pub fn top_up(&mut self, id: &DescId, size: i32) -> bool {
        let target = if size > 0 { size } else { self.options.keypool.max(1) };
        let Some(spkm) = self.spkms.get_mut(id) else { return false };
        let old = (spkm.start, spkm.end);
        if spkm.descriptor.is_ranged() {
            spkm.end = spkm.end.max(spkm.next.saturating_add(target));
        } else {
            (spkm.start, spkm.end) = (0, 1);
        }
        if self.watch(id).is_err() {
            if let Some(spkm) = self.spkms.get_mut(id) {
                (spkm.start, spkm.end) = (old.0, old.1.min(spkm.expanded_to.max(old.0)));
            }
            return false;
        }
        if self.spkms.get(id).is_some_and(|spkm| (spkm.start, spkm.end) != old) {
            self.write_descriptor(id);
        }
        true
    }

    /// Extends every descriptor. Answers whether all could be.
    pub fn top_up_all(&mut self, size: i32) -> bool {
        let ids: Vec<DescId> = self.spkms.keys().copied().collect();
        let mut all = true;
        for id in &ids {
            // One descriptor that needs the private key must not starve the others.
            all &= self.top_up(id, size);
        }
        all
    }

    /// Queues the record of a descriptor.
    pub fn write_descriptor(&mut self, id: &DescId) {
        if let Some(spkm) = self.spkms.get(id) {
            let change = records::write_descriptor(&spkm.id, &spkm.stored, spkm.creation, spkm.next, spkm.start, spkm.end);
            self.push(change);
        }
    }

    /// Makes a descriptor the one that new addresses of its type come from.
    pub fn activate(&mut self, id: &DescId, kind: OutputType, internal: bool) {
        self.active.insert((internal, kind), *id);
        self.push(records::write_active(internal, kind.number(), Some(id)));
        // A descriptor serves one purpose: Core removes it from the other side.
        if self.active.get(&(!internal, kind)) == Some(id) {
            self.active.remove(&(!internal, kind));
            self.push(records::write_active(!internal, kind.number(), None));
        }
    }

    /// Stops making new addresses from a descriptor.
    pub fn deactivate(&mut self, id: &DescId, kind: OutputType, internal: bool) {
        if self.active.get(&(internal, kind)) == Some(id) {
            self.active.remove(&(internal, kind));
            self.push(records::write_active(internal, kind.number(), None));
        }
    }

    /// Whether a descriptor is active, and for change.
    pub fn is_active(&self, id: &DescId) -> Option<bool> {
        self.active.iter().find(|(_, active)| *active == id).map(|((internal, _), _)| *internal)
    }

    /// Whether new addresses can be made.
    pub fn can_get_addresses(&self, internal: bool) -> bool {
        OutputType::ALL.iter().any(|kind| self.active.contains_key(&(internal, *kind)))
    }

    /// Unused addresses left of all active external descriptors.
    pub fn external_keys(&self) -> i32 {
        self.count_keys(false)
    }

    /// Unused addresses left of active descriptors, for change or not.
    pub fn count_keys(&self, internal: bool) -> i32 {
        let left = |id: &DescId| self.spkms.get(id).map_or(0, |spkm| spkm.end - spkm.next);
        self.active.iter().filter(|((side, _), _)| *side == internal).map(|(_, id)| left(id)).sum()
    }

    /// A new script of a type.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new_script(&mut self, kind: OutputType, internal: bool) -> Result<ScriptBuf, KeyError> {
        let id = *self.active.get(&(internal, kind)).ok_or(KeyError::NoneActive(kind.name()))?;
        self.top_up(&id, 0);
        let ran_out = if self.has_flag(flags::DISABLE_PRIVATE_KEYS) { KeyError::Exhausted } else { KeyError::RanOut };
        let spkm = self.spkms.get_mut(&id).ok_or(KeyError::NoneActive(kind.name()))?;
        if spkm.next >= spkm.end || spkm.next >= spkm.expanded_to {
            return Err(ran_out);
        }
        let scripts = spkm.descriptor.scripts(spkm.next as u32).map_err(|_| KeyError::RanOut)?;
        let first = scripts.into_iter().next().ok_or(KeyError::RanOut)?;
        spkm.next += 1;
        self.write_descriptor(&id);
        Ok(first)
    }

    /// Peeks at the next script of a type without using it up.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn reserve_script(&mut self, kind: OutputType, internal: bool) -> Result<(ScriptBuf, DescId, i32), KeyError> {
        let script = self.new_script(kind, internal)?;
        let id = *self.active.get(&(internal, kind)).ok_or(KeyError::NoneActive(kind.name()))?;
        let index = self.spkms.get(&id).map_or(0, |spkm| spkm.next - 1);
        Ok((script, id, index))
    }

    /// Gives a reserved script back if nothing was taken after it.
    pub fn return_script(&mut self, id: &DescId, index: i32) {
        if let Some(spkm) = self.spkms.get_mut(id)
            && spkm.next - 1 == index
        {
            spkm.next -= 1;
            self.write_descriptor(id);
        }
    }

    /// Whether a script is ours.
    pub fn is_mine(&self, script: &Script) -> bool {
        self.scripts.contains_key(script)
    }

    /// How a script of ours is satisfied, with the id of its descriptor.
    pub fn solve(&self, script: &Script) -> Option<(DescId, u32, Expanded)> {
        let mut watch_only = None;
        for (id, index) in self.scripts.get(script)? {
            let expanded = self.spkms.get(id)?.descriptor.expand(*index).ok()?;
            let Some(found) = expanded.into_iter().find(|found| found.script.as_script() == script) else { continue };
            if found.solution.is_some() {
                return Some((*id, *index, found));
            }
            watch_only = Some((*id, *index, found));
        }
        watch_only
    }

    /// How a script of ours is satisfied.
    pub fn solution(&self, script: &Script) -> Option<Solution> {
        self.solve(script)?.2.solution
    }

    /// Normalized descriptors that make a script.
    pub fn parent_descriptors(&self, script: &Script) -> Vec<String> {
        let mut ids: Vec<&DescId> = self.scripts.get(script).into_iter().flatten().map(|(id, _)| id).collect();
        ids.sort();
        ids.dedup();
        ids.into_iter().filter_map(|id| self.spkms.get(id)).map(|spkm| spkm.descriptor.normalized()).collect()
    }

    /// A script of ours appeared in a transaction: everything up to it counts as used. Answers the scripts that
    /// are newly used, each with whether its descriptor is for change (unknown when it is not active).
    pub fn mark_used(&mut self, script: &Script) -> Vec<(ScriptBuf, Option<bool>)> {
        let mut out = Vec::new();
        let owners = self.scripts.get(script).cloned().unwrap_or_default();
        for (id, index) in owners {
            let internal = self.is_active(&id);
            let Some(spkm) = self.spkms.get_mut(&id) else { continue };
            let before = spkm.next;
            while i64::from(spkm.next) <= i64::from(index) {
                if let Ok(scripts) = spkm.descriptor.scripts(spkm.next as u32)
                    && let Some(first) = scripts.into_iter().next()
                {
                    out.push((first, internal));
                }
                spkm.next += 1;
            }
            if before != spkm.next {
                tracing::info!(
                    "[{}] MarkUnusedAddresses: Detected a used keypool item at index {index}, mark all keypool items up to this item as used",
                    self.display_name()
                );
                if self.spkms.get(&id).is_some_and(|spkm| spkm.descriptor.is_ranged()) {
                    self.write_descriptor(&id);
                }
            }
            if !self.top_up(&id, 0) {
                tracing::info!("[{}] MarkUnusedAddresses: Topping up keypool failed (locked wallet)", self.display_name());
            }
        }
        out
    }

    /// Whether the wallet may hold private keys.
    pub fn private_keys_enabled(&self) -> bool {
        !self.has_flag(flags::DISABLE_PRIVATE_KEYS)
    }
}
