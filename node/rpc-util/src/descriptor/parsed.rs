//! Descriptors that came with a call, with the private keys that stood in them.

use bitcoin::Network;
use bulkhead_descriptor::{Cache, Expansion, Keys, split_multipath};

/// A parsed descriptor.
#[derive(Debug, Clone)]
pub struct Descriptor {
    parsed: bulkhead_descriptor::Descriptor,
    keys: Keys,
}

impl Descriptor {
    /// Parses a descriptor; one with a `<a;b>` path step gives one for each of the values.
    ///
    /// # Errors
    /// Core's texts.
    pub fn parse(text: &str, network: Network, require_checksum: bool) -> Result<Vec<Self>, String> {
        let texts = split_multipath(text, require_checksum, network).map_err(|error| error.to_string())?;
        let parse = |text: &String| {
            let mut keys = Keys::default();
            let parsed = bulkhead_descriptor::Descriptor::parse(text, &mut keys).map_err(|error| error.to_string())?;
            Ok(Self { parsed, keys })
        };
        texts.iter().map(parse).collect()
    }

    /// Canonical text without private keys, with checksum.
    pub fn public_text(&self) -> String {
        self.parsed.public()
    }

    /// Whether it stands for a row of scripts.
    pub fn is_range(&self) -> bool {
        self.parsed.is_range()
    }

    /// Whether its keys are known, so that it could be signed for: not `addr()` and `raw()`.
    pub fn is_solvable(&self) -> bool {
        self.parsed.is_solvable()
    }

    /// Whether a private key stood in the text.
    pub fn has_private_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether it is `combo()`.
    pub fn is_combo(&self) -> bool {
        !self.parsed.is_single_type()
    }

    /// Output scripts at a position (0 for descriptors without range); `None` if private keys are missing.
    pub fn expand(&self, position: u32) -> Option<Expansion> {
        let mut cache = Cache::default();
        self.parsed.fill_cache(position, &self.keys, &mut cache).ok()?;
        self.parsed.expand(position, &cache).ok()
    }
}
