//! The table of RPC methods: name, category, owner and arguments, one file per family.
//!
//! The front door reads it to route calls, to turn named arguments into positions, to check number and JSON type
//! of arguments, and to print help; `bitcoin-cli` reads it to know which arguments are JSON. It follows the
//! `RPCMethod` descriptions of Core (src/rpc, src/wallet/rpc) argument by argument.

mod blockchain;
mod control;
mod help;
mod mempool;
mod mining;
mod network;
mod psbt;
mod rawtransactions;
mod util;
mod wallet;
mod wallet_files;
mod wallet_spend;

pub use help::{command_list, help_of};

/// Which process answers a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `bitcoin-chain`.
    Chain,
    /// `bitcoin-net`.
    Net,
    /// `bitcoin-wallet`.
    Wallet,
    /// The front door itself.
    Rpc,
}

/// JSON type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// String.
    Str,
    /// String of hex digits.
    Hex,
    /// Number.
    Num,
    /// Amount: number or string.
    Amount,
    /// Number, or array of two numbers.
    Range,
    /// Boolean.
    Bool,
    /// Object with the keys of `inner`.
    Obj,
    /// Object whose keys may also be given as named arguments of the call.
    Named,
    /// Object whose keys the caller chooses.
    UserKeys,
    /// Array.
    Arr,
}

/// Whether an argument must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may be left out; nothing takes its place.
    Optional,
    /// It may be left out; what then happens in words.
    Hint(&'static str),
    /// It may be left out; the JSON value that takes its place.
    Default(&'static str),
}

/// One argument of a method, or one element of such an argument.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Name, and older names behind `|`.
    pub names: &'static str,
    /// JSON type.
    pub kind: Kind,
    /// Whether it must be given.
    pub need: Need,
    /// One line of help.
    pub about: &'static str,
    /// Elements of an array, keys of an object.
    pub inner: &'static [Arg],
    /// Not shown in help.
    pub hidden: bool,
    /// The owner checks the JSON type itself.
    pub unchecked: bool,
    /// How it looks in the usage line, when not derived.
    pub oneline: Option<&'static str>,
    /// How its value and its type are shown, when not derived.
    pub typed: Option<(&'static str, &'static str)>,
}

/// One RPC method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Name.
    pub name: &'static str,
    /// Section of `help`; `hidden` is not listed.
    pub category: &'static str,
    /// Who answers it.
    pub owner: Owner,
    /// Arguments by position.
    pub args: &'static [Arg],
    /// What it does.
    pub about: &'static str,
}

const fn a(names: &'static str, kind: Kind, need: Need, about: &'static str) -> Arg {
    Arg { names, kind, need, about, inner: &[], hidden: false, unchecked: false, oneline: None, typed: None }
}

const fn m(name: &'static str, category: &'static str, owner: Owner, about: &'static str, args: &'static [Arg]) -> Method {
    Method { name, category, owner, args, about }
}

impl Arg {
    const fn inner(mut self, inner: &'static [Arg]) -> Self {
        self.inner = inner;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    const fn oneline(mut self, text: &'static str) -> Self {
        self.oneline = Some(text);
        self
    }

    const fn typed(mut self, value: &'static str, kind: &'static str) -> Self {
        self.typed = Some((value, kind));
        self
    }

    /// The name that help shows.
    #[must_use]
    pub fn first_name(&self) -> &'static str {
        self.names.split('|').next().unwrap_or(self.names)
    }

    /// Whether it may be left out.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.need != Need::Required
    }

    /// Whether `bitcoin-cli` passes it as text; otherwise as JSON.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Str | Kind::Hex)
    }
}

impl Method {
    /// The names that a call by name may use, in the order of positions: pattern (`name|older`) and whether the name
    /// is a key of the options object that follows.
    pub fn argument_names(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.args.iter().flat_map(|arg| {
            let keys: &'static [Arg] = if arg.kind == Kind::Named { arg.inner } else { &[] };
            keys.iter().map(|key| (key.names, true)).chain(core::iter::once((arg.names, false)))
        })
    }

    /// Whether a call may have this number of arguments.
    #[must_use]
    pub fn accepts_count(&self, count: usize) -> bool {
        let required = self.args.iter().rposition(|arg| !arg.is_optional()).map_or(0, |last| last + 1);
        (required..=self.args.len()).contains(&count)
    }
}

const FAMILIES: &[&[Method]] = &[
    blockchain::METHODS,
    control::METHODS,
    mempool::METHODS,
    mining::METHODS,
    network::METHODS,
    psbt::METHODS,
    rawtransactions::METHODS,
    util::METHODS,
    wallet::METHODS,
    wallet_files::METHODS,
    wallet_spend::METHODS,
];

/// Every method, family by family.
pub fn all() -> impl Iterator<Item = &'static Method> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The method with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    all().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_are_unique_and_described() {
        let mut names: Vec<_> = all().map(|method| method.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all().all(|method| !method.about.is_empty()));
        assert!(count > 170, "{count}");
    }

    #[test]
    fn passphrases_and_keys_never_go_to_chain_or_net() {
        for method in all().filter(|method| matches!(method.owner, Owner::Chain | Owner::Net)) {
            for arg in method.args {
                for secret in ["passphrase", "privkey"] {
                    assert!(!arg.names.contains(secret), "{} takes {}", method.name, arg.names);
                }
            }
        }
    }

    #[test]
    fn options_come_before_their_object() {
        let names: Vec<_> = find("send").unwrap().argument_names().collect();
        let object = names.iter().position(|name| *name == ("options", false)).unwrap();
        let key = names.iter().position(|name| *name == ("add_inputs", true)).unwrap();
        assert!(key < object);
    }

    #[test]
    fn counts_are_checked_against_the_last_required_argument() {
        let method = find("getblock").unwrap();
        assert!(!method.accepts_count(0) && method.accepts_count(1) && method.accepts_count(2) && !method.accepts_count(3));
    }
}
