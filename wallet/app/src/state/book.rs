//! Labels of addresses, and addresses that were spent from before.

use bitcoin::{Address, Script};
use bulkhead_rpc_util::decode_address;
use std::collections::{BTreeMap, BTreeSet};

use super::Wallet;
use crate::records;

/// What is known of one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookEntry {
    /// Label; `None` for change addresses that only have data.
    pub label: Option<String>,
    /// "send", "receive" or "refund".
    pub purpose: Option<String>,
    /// The address was spent from.
    pub used: bool,
    /// Payment requests of the window.
    pub requests: BTreeMap<String, String>,
}

impl Wallet {
    /// Address text of a script, if it has one.
    pub fn address(&self, script: &Script) -> Option<String> {
        Address::from_script(script, self.network).ok().map(|address| address.to_string())
    }

    /// The address book in the order in which Core lists it.
    pub fn sorted_book(&self) -> Vec<(&String, &BookEntry)> {
        let mut entries: Vec<_> = self.book.iter().collect();
        entries.sort_by_cached_key(|(address, _)| decode_address(address, self.network).ok());
        entries
    }

    /// Labels an address.
    pub fn set_address_book(&mut self, address: &str, label: &str, purpose: Option<&str>) {
        let entry = self.book.entry(address.to_owned()).or_default();
        entry.label = Some(label.to_owned());
        if let Some(purpose) = purpose {
            entry.purpose = Some(purpose.to_owned());
            self.push(records::write_purpose(address, Some(purpose)));
        }
        self.push(records::write_name(address, Some(label)));
    }

    /// The entry of an address unless it is change.
    pub fn book_entry(&self, address: &str) -> Option<&BookEntry> {
        self.book.get(address).filter(|entry| entry.label.is_some())
    }

    /// Label of a script's address, empty without.
    pub fn label_of(&self, script: &Script) -> Option<&str> {
        self.book_entry(&self.address(script)?).and_then(|entry| entry.label.as_deref())
    }

    /// All labels, of one purpose or of any.
    pub fn labels(&self, purpose: Option<&str>) -> BTreeSet<String> {
        let fits = |entry: &&BookEntry| purpose.is_none() || entry.purpose.as_deref() == purpose;
        self.book.values().filter(fits).filter_map(|entry| entry.label.clone()).collect()
    }

    /// Marks the address of a script as spent from.
    pub fn mark_spent_key(&mut self, script: &Script) {
        let Some(address) = self.address(script) else { return };
        if !self.is_mine(script) {
            return;
        }
        let entry = self.book.entry(address.clone()).or_default();
        if !entry.used {
            entry.used = true;
            self.push(records::write_dest_data(&address, "used", Some("1")));
        }
    }

    /// Whether the address of a script was spent from.
    pub fn is_spent_key(&self, script: &Script) -> bool {
        self.address(script).and_then(|address| self.book.get(&address)).is_some_and(|entry| entry.used)
    }
}
