//! Bans, made by the user and kept in `banlist.json`, and discouragement, made by us and forgotten at exit.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bulkhead_wire::{NetAddr, Subnet};
use serde_json::{Value, json};

/// Discouraged addresses that are remembered.
const MAX_DISCOURAGED: usize = 50_000;
const VERSION: i64 = 1;

/// One ban. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanEntry {
    /// When it was made.
    pub created: i64,
    /// When it ends.
    pub until: i64,
}

/// All bans.
#[derive(Debug, Default)]
pub struct BanList {
    banned: BTreeMap<Subnet, BanEntry>,
    discouraged: HashSet<NetAddr>,
    order: VecDeque<NetAddr>,
    dirty: bool,
}

impl BanList {
    /// Reads `banlist.json`. `None`: this is no ban list.
    #[must_use]
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let mut list = Self::default();
        for entry in value.get("banned_nets")?.as_array()? {
            let version = entry.get("version")?.as_i64()?;
            if version != VERSION {
                tracing::info!(target: "net", "Dropping entry with unknown version ({version}) from ban list");
                continue;
            }
            let address = entry.get("address")?.as_str()?;
            let Some(subnet) = Subnet::parse(address) else {
                tracing::info!(target: "net", "Dropping entry with unparseable address or subnet ({address}) from ban list");
                continue;
            };
            let ban = BanEntry { created: entry.get("ban_created")?.as_i64()?, until: entry.get("banned_until")?.as_i64()? };
            list.banned.insert(subnet, ban);
        }
        Some(list)
    }

    /// The text of `banlist.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let entries: Vec<Value> = self
            .banned
            .iter()
            .map(|(subnet, ban)| {
                json!({
                    "version": VERSION,
                    "ban_created": ban.created,
                    "banned_until": ban.until,
                    "address": subnet.to_string(),
                })
            })
            .collect();
        let document = json!({ "banned_nets": entries });
        format!("{}\n", serde_json::to_string_pretty(&document).unwrap_or_default())
    }

    /// Forgets bans that are over; whether any were.
    pub fn sweep(&mut self, now: i64) {
        self.banned.retain(|subnet, ban| {
            let keep = now <= ban.until;
            if !keep {
                tracing::debug!(target: "net", "Removed banned node address/subnet: {subnet}");
                self.dirty = true;
            }
            keep
        });
    }

    /// Whether there is something to write; the question counts as written.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Bans in order.
    pub fn banned(&mut self, now: i64) -> Vec<(Subnet, BanEntry)> {
        self.sweep(now);
        self.banned.iter().map(|(subnet, ban)| (*subnet, *ban)).collect()
    }

    /// Number of bans.
    #[must_use]
    pub fn len(&self) -> usize {
        self.banned.len()
    }

    /// Whether there is no ban.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.banned.is_empty()
    }

    /// Whether the address is banned now.
    #[must_use]
    pub fn is_banned(&self, addr: &NetAddr, now: i64) -> bool {
        self.banned.iter().any(|(subnet, ban)| now < ban.until && subnet.contains(addr))
    }

    /// Whether exactly this range is banned now.
    #[must_use]
    pub fn is_banned_subnet(&self, subnet: &Subnet, now: i64) -> bool {
        self.banned.get(subnet).is_some_and(|ban| now < ban.until)
    }

    /// Bans a range until a time. A ban that already lasts longer stays.
    pub fn ban(&mut self, subnet: Subnet, now: i64, until: i64) -> bool {
        if self.banned.get(&subnet).is_some_and(|ban| ban.until >= until) {
            return false;
        }
        self.banned.insert(subnet, BanEntry { created: now, until });
        self.dirty = true;
        true
    }

    /// Lifts a ban; whether there was one.
    pub fn unban(&mut self, subnet: &Subnet) -> bool {
        let found = self.banned.remove(subnet).is_some();
        self.dirty |= found;
        found
    }

    /// Lifts all bans.
    pub fn clear(&mut self) {
        self.banned.clear();
        self.dirty = true;
    }

    /// Remembers that the address misbehaved.
    pub fn discourage(&mut self, addr: &NetAddr) {
        if self.discouraged.insert(*addr) {
            self.order.push_back(*addr);
            if self.order.len() > MAX_DISCOURAGED
                && let Some(oldest) = self.order.pop_front()
            {
                self.discouraged.remove(&oldest);
            }
        }
    }

    /// Whether the address misbehaved.
    #[must_use]
    pub fn is_discouraged(&self, addr: &NetAddr) -> bool {
        self.discouraged.contains(addr)
    }
}
