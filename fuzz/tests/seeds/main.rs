//! Writes seeds: real encodings of what each boundary carries. `BULKHEAD_WRITE_SEEDS=1` rewrites them; without it the
//! test checks that the committed ones are those. Files of other names beside them (inputs that once failed) stay.

#![allow(clippy::unwrap_used, clippy::panic)]

#[cfg(feature = "engine")]
mod calls;
#[cfg(feature = "engine")]
mod consensus;
mod conversations;
mod edges;
#[cfg(feature = "engine")]
mod engine;
mod formats;
mod psbt_fields;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;

/// Name of a target and its seeds.
type Seeds = (&'static str, Vec<Vec<u8>>);

fn with(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// Bytes without meaning for targets that make a conversation of any bytes.
fn noise(count: u64) -> Vec<Vec<u8>> {
    (1..=count)
        .map(|seed| {
            let mut random = bulkhead_fuzz::mutate::Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            (0..400).map(|_| random.number().to_le_bytes()[5]).collect()
        })
        .collect()
}

/// Seeds of one target may come from several places.
fn together(seeds: Vec<Seeds>) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, contents) in seeds {
        all.entry(name).or_default().extend(contents);
    }
    all
}

#[test]
fn the_corpus_holds_real_encodings() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    #[allow(unused_mut, reason = "one feature adds more")]
    let mut seeds = [edges::seeds(), formats::seeds()].concat();
    #[cfg(feature = "engine")]
    seeds.extend([engine::seeds(), consensus::seeds()].concat());
    // Behind all others: what they name a seed does not change.
    #[cfg(feature = "engine")]
    let late = calls::seeds();
    #[cfg(not(feature = "engine"))]
    let late = Vec::new();
    seeds.extend([conversations::typed_answers(), conversations::every_method(), late].concat());
    for (name, contents) in together(seeds) {
        assert!(bulkhead_fuzz::target(name).is_some(), "seeds for {name}, which is no target");
        for (index, content) in contents.iter().enumerate() {
            let path = corpus.join(name).join(format!("seed-{index}"));
            if std::env::var_os("BULKHEAD_WRITE_SEEDS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, content).unwrap();
            }
            let written =
                std::fs::read(&path).unwrap_or_else(|_| panic!("{} is missing: run with BULKHEAD_WRITE_SEEDS=1", path.display()));
            assert_eq!(&written, content, "{}", path.display());
        }
    }
}
