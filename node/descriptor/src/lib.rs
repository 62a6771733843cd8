//! Output descriptors with Core's meaning of caches, ids and private forms.
//!
//! A descriptor is kept as text with numbered holes for its key expressions (so it is written back as it was
//! read), and as a miniscript tree over those numbers (so scripts come from `miniscript`). `combo`, `raw`, `addr`,
//! `rawtr` and `unused`, which miniscript does not have, are built here. A `musig()` is one key of that tree and several
//! key expressions of the text.

mod aggregate;
mod cache;
mod grammar;
mod key;
mod keys;
pub mod output_type;
mod parse;
mod sanity;
mod solution;
mod tree;

pub use aggregate::DerivedAggregate;
pub use cache::Cache;
pub use key::{Context, DerivedKey, Form, KeyExpression, KeyKind, SECP, Wildcard};
pub use keys::Keys;
pub use parse::split_multipath;
pub use solution::{Form as SolutionForm, Solution, x_only};
pub use tree::KeyRef;

pub use output_type::OutputType;

use aggregate::Aggregate;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::TweakedPublicKey;
use bitcoin::{NetworkKind, PublicKey, ScriptBuf};
use miniscript::Descriptor as Miniscript;
use thiserror::Error;

/// SHA256 of a descriptor in its compatible form: names it in records.
pub type DescriptorId = [u8; 32];

/// Why a text is not a descriptor, or a descriptor can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// Core's text.
    #[error("{0}")]
    Invalid(String),
    /// A key at this index needs a private key or a cache that are not there.
    #[error("private keys are needed to expand the descriptor")]
    NeedsPrivateKeys,
    /// A cached key differs from the one that was derived.
    #[error("the descriptor cache holds another key")]
    CacheConflict,
    /// The script can't be built at this index.
    #[error("script: {0}")]
    Script(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    Script {
        tree: Box<Miniscript<KeyRef>>,
        /// Keys that are put in order before they are filled in.
        sorted: Vec<Sorted>,
    },
    Combo,
    RawTr,
    /// A key that no script uses.
    Unused,
    /// `raw` and `addr`.
    Fixed(ScriptBuf),
}

/// The keys of one `sortedmulti` or `sortedmulti_a`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sorted {
    keys: std::ops::Range<usize>,
    x_only: bool,
}

/// What stands for a key of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// A key expression.
    Key(usize),
    /// A `musig()`.
    Aggregate(usize),
}

/// A descriptor without private keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// One more piece than keys: piece, key, piece, ..., piece.
    pieces: Vec<String>,
    keys: Vec<KeyExpression>,
    aggregates: Vec<Aggregate>,
    /// The keys of the tree.
    slots: Vec<Slot>,
    body: Body,
}

/// What a descriptor stands for at one index.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// Output scripts: one, or up to four for `combo`.
    pub scripts: Vec<ScriptBuf>,
    /// The same as miniscript descriptors with keys filled in, in the same order; `None` where nothing is known
    /// about how to spend.
    pub solved: Vec<Option<Miniscript<PublicKey>>>,
    /// The key of each key expression.
    pub keys: Vec<DerivedKey>,
    /// Each `musig()`; its participants are among the keys.
    pub aggregates: Vec<DerivedAggregate>,
    /// The descriptor is `rawtr`: its key is the output key itself.
    pub raw_taproot: bool,
}

impl Expansion {
    /// How the output script at a position is spent; `None` when nothing is known about that.
    #[must_use]
    pub fn solution(&self, position: usize) -> Option<Solution> {
        let form = match self.solved.get(position)? {
            Some(solved) => SolutionForm::Script(Box::new(solved.clone())),
            None if self.raw_taproot => {
                let key = self.aggregates.first().map(|aggregate| &aggregate.key).or(self.keys.first())?;
                SolutionForm::RawTaproot(key.key)
            }
            None => return None,
        };
        Some(Solution { form, keys: self.keys.clone(), aggregates: self.aggregates.clone() })
    }
}

impl Descriptor {
    /// Parses a descriptor with or without checksum; private keys go into `keys`.
    ///
    /// # Errors
    /// Core's text.
    pub fn parse(text: &str, keys: &mut Keys) -> Result<Self, DescriptorError> {
        parse::parse(text, keys, false)
    }

    /// Like [`Descriptor::parse`], but the checksum must be there.
    ///
    /// # Errors
    /// Core's text, "Missing checksum" among them.
    pub fn parse_with_checksum(text: &str, keys: &mut Keys) -> Result<Self, DescriptorError> {
        parse::parse(text, keys, true)
    }

    /// Writes the descriptor with its checksum. `None`: the private or normalized form needs a key that is missing.
    /// For the private form one known private key is enough, as in Core.
    #[must_use]
    pub fn print(&self, form: Form<'_>, network: NetworkKind) -> Option<String> {
        let mut text = String::new();
        let mut private = false;
        for (index, piece) in self.pieces.iter().enumerate() {
            text.push_str(piece);
            if let Some(key) = self.keys.get(index) {
                let available = key.print(form, self.cache_position(index), network, &mut text);
                private |= available;
                if !available && !matches!(form, Form::Private(_)) {
                    return None;
                }
            }
        }
        if matches!(form, Form::Private(_)) && !private {
            return None;
        }
        Some(with_checksum(&text))
    }

    /// The public form with checksum, as Core stores it.
    #[must_use]
    pub fn public(&self) -> String {
        self.print(Form::Public, NetworkKind::Main).expect("the public form needs no private key")
    }

    /// The id that names the descriptor in records.
    #[must_use]
    pub fn id(&self) -> DescriptorId {
        let text = self.print(Form::Compatible, NetworkKind::Main).expect("the compatible form needs no private key");
        sha256::Hash::hash(text.as_bytes()).to_byte_array()
    }

    /// Key expressions in the order of the text, participants of a `musig()` too.
    #[must_use]
    pub fn keys(&self) -> &[KeyExpression] {
        &self.keys
    }

    /// Core's index of a key expression, which caches are kept by: a `musig()` takes one behind its participants.
    fn cache_position(&self, number: usize) -> u32 {
        position(number + self.aggregates.iter().filter(|aggregate| aggregate.participants.end <= number).count())
    }

    /// Whether it stands for different scripts at different indexes.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.keys.iter().any(KeyExpression::is_range) || self.aggregates.iter().any(|aggregate| aggregate.ranged)
    }

    /// Everything but `combo` has one script per index.
    #[must_use]
    pub fn is_single_type(&self) -> bool {
        self.body != Body::Combo
    }

    /// Whether it makes scripts at all: not `unused`.
    #[must_use]
    pub fn has_scripts(&self) -> bool {
        self.body != Body::Unused
    }

    /// What Core warns of when such a descriptor is imported: relative lock times that count less than they say.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match &self.body {
            Body::Script { tree, .. } => sanity::warnings(tree),
            _ => Vec::new(),
        }
    }

    /// Whether it says how to spend: not `raw` and `addr`.
    #[must_use]
    pub fn is_solvable(&self) -> bool {
        !matches!(self.body, Body::Fixed(_))
    }

    /// Whether public information is enough to expand at every index (ignoring caches).
    #[must_use]
    pub fn can_self_expand(&self) -> bool {
        !self.keys.iter().any(KeyExpression::is_hardened)
    }

    /// A range whose last step is hardened: a private key is needed for each index.
    #[must_use]
    pub fn is_hardened_range(&self) -> bool {
        self.keys.iter().any(|key| matches!(key.kind, KeyKind::Extended { wildcard: Wildcard::Hardened, .. }))
    }

    /// The address type; `None` for bare scripts and `combo`.
    #[must_use]
    pub fn output_type(&self) -> Option<OutputType> {
        use miniscript::descriptor::ShInner;
        match &self.body {
            Body::Combo | Body::Unused => None,
            Body::RawTr => Some(OutputType::Bech32m),
            Body::Fixed(script) => OutputType::of_script(script),
            Body::Script { tree, .. } => match tree.as_ref() {
                Miniscript::Bare(_) => None,
                Miniscript::Pkh(_) => Some(OutputType::Legacy),
                Miniscript::Wpkh(_) | Miniscript::Wsh(_) => Some(OutputType::Bech32),
                Miniscript::Tr(_) => Some(OutputType::Bech32m),
                Miniscript::Sh(sh) => Some(match sh.as_inner() {
                    ShInner::Wpkh(_) | ShInner::Wsh(_) => OutputType::P2shSegwit,
                    ShInner::SortedMulti(_) | ShInner::Ms(_) => OutputType::Legacy,
                }),
            },
        }
    }

    /// Expands at `index` from cached keys.
    ///
    /// # Errors
    /// [`DescriptorError::NeedsPrivateKeys`] when the cache does not reach.
    pub fn expand(&self, index: u32, cache: &Cache) -> Result<Expansion, DescriptorError> {
        let keys = self.derive_keys(index, cache)?;
        let aggregates: Option<Vec<_>> =
            self.aggregates.iter().map(|aggregate| aggregate.derive(&keys, &self.keys, index)).collect();
        let aggregates = aggregates.ok_or_else(|| DescriptorError::Script("keys that do not aggregate".into()))?;
        self.solve(keys, aggregates)
    }

    fn derive_keys(&self, index: u32, cache: &Cache) -> Result<Vec<DerivedKey>, DescriptorError> {
        let derive = |(number, key): (usize, &KeyExpression)| key.derive_public(self.cache_position(number), index, cache);
        self.keys.iter().enumerate().map(derive).collect::<Option<_>>().ok_or(DescriptorError::NeedsPrivateKeys)
    }

    /// Derives with private keys whatever the cache lacks at `index`, as Core does when it tops up.
    ///
    /// # Errors
    /// [`DescriptorError::NeedsPrivateKeys`].
    pub fn fill_cache(&self, index: u32, keys: &Keys, cache: &mut Cache) -> Result<(), DescriptorError> {
        for (number, key) in self.keys.iter().enumerate() {
            key.fill_cache(self.cache_position(number), index, keys, cache).ok_or(DescriptorError::NeedsPrivateKeys)?;
        }
        if !self.aggregates.is_empty() {
            let derived = self.derive_keys(index, cache)?;
            for (number, aggregate) in self.aggregates.iter().enumerate() {
                let own = position(aggregate.participants.end + number);
                aggregate
                    .fill_cache(own, &derived, &self.keys, cache)
                    .ok_or_else(|| DescriptorError::Script("keys that do not aggregate".into()))?;
            }
        }
        Ok(())
    }

    fn solve(&self, keys: Vec<DerivedKey>, aggregates: Vec<DerivedAggregate>) -> Result<Expansion, DescriptorError> {
        let filled: Option<Vec<DerivedKey>> = self
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Key(number) => keys.get(*number).cloned(),
                Slot::Aggregate(number) => aggregates.get(*number).map(|aggregate| aggregate.key.clone()),
            })
            .collect();
        let filled = filled.ok_or_else(|| DescriptorError::Script("key number out of range".into()))?;
        let raw_taproot = self.body == Body::RawTr;
        let (scripts, solved) = match &self.body {
            Body::Fixed(script) => (vec![script.clone()], vec![None]),
            Body::Unused => (Vec::new(), Vec::new()),
            Body::Script { tree, sorted } => {
                let solved = if sorted.is_empty() {
                    tree::fill(tree, &filled)?
                } else {
                    let mut ordered = filled;
                    for Sorted { keys, x_only } in sorted {
                        if let Some(part) = ordered.get_mut(keys.clone()) {
                            part.sort_by_cached_key(|derived| derived.key.to_bytes().split_off(usize::from(*x_only)));
                        }
                    }
                    tree::fill(tree, &ordered)?
                };
                (vec![solved.script_pubkey()], vec![Some(solved)])
            }
            Body::RawTr => {
                let key = filled.first().ok_or_else(|| DescriptorError::Script("rawtr without key".into()))?;
                let output = TweakedPublicKey::dangerous_assume_tweaked(key.key.inner.x_only_public_key().0);
                (vec![ScriptBuf::new_p2tr_tweaked(output)], vec![None])
            }
            Body::Combo => {
                let key = filled.first().ok_or_else(|| DescriptorError::Script("combo without key".into()))?;
                let solved = tree::combo(key.key)?;
                (solved.iter().map(Miniscript::script_pubkey).collect(), solved.into_iter().map(Some).collect())
            }
        };
        Ok(Expansion { scripts, solved, keys, aggregates, raw_taproot })
    }
}

fn position(index: usize) -> u32 {
    u32::try_from(index).expect("a descriptor has far fewer keys")
}

/// Appends `#` and the eight characters of the checksum.
#[must_use]
pub fn with_checksum(text: &str) -> String {
    match checksum(text) {
        Some(checksum) => format!("{text}#{checksum}"),
        None => text.to_owned(),
    }
}

/// The checksum of a descriptor without checksum; `None` when a character can't be in a descriptor.
#[must_use]
pub fn checksum(text: &str) -> Option<String> {
    let mut engine = miniscript::descriptor::checksum::Engine::new();
    engine.input(text).ok()?;
    Some(engine.checksum())
}
