//! Runs every target over its seeds, and over deterministic mutations of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, Instant};

use bulkhead_fuzz::mutate::{Random, mutate};

/// Mutations of each seed, if there is time.
const MUTATIONS: u64 = 2000;
/// Time for the mutations of one target.
const BUDGET: Duration = Duration::from_millis(700);

#[test]
fn every_target_survives_its_seeds_and_their_mutations() {
    bulkhead_fuzz::count_panics();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in bulkhead_fuzz::TARGETS {
        let folder = corpus.join(name);
        let mut seeds = Vec::new();
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is missing", folder.display())) {
            seeds.push(std::fs::read(entry.unwrap().path()).unwrap());
        }
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.sort();
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let mut runs = 0u64;
        seeds.iter().for_each(|seed| target(seed));
        let begin = Instant::now();
        for seed in seeds.iter().cycle().take(seeds.len() * MUTATIONS as usize) {
            if begin.elapsed() < BUDGET {
                let other = &seeds[random.below(seeds.len())];
                target(&mutate(seed, other, &[], &mut random));
                runs += 1;
            }
        }
        assert_eq!(bulkhead_fuzz::panics(), 0, "{name}");
        println!("{name}: {} seeds, {runs} mutations", seeds.len());
    }
}
