//! Runs every target over its seeds, and over deterministic mutations of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

/// Mutations of each seed.
const MUTATIONS: u64 = 2000;

/// xorshift: the same sequence in every run, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        match random.below(6) {
            0 if !data.is_empty() => {
                let at = random.below(data.len());
                data[at] ^= 1 << random.below(8);
            }
            1 if !data.is_empty() => {
                let at = random.below(data.len());
                data[at] = [0, 1, 0x7f, 0x80, 0xfd, 0xfe, 0xff][random.below(7)];
            }
            2 => data.truncate(random.below(data.len() + 1)),
            3 => {
                let at = random.below(data.len() + 1);
                data.insert(at, random.next().to_le_bytes()[0]);
            }
            4 if !data.is_empty() => {
                let (from, to) = (random.below(data.len()), random.below(data.len()));
                let piece = data[from.min(to)..from.max(to)].to_vec();
                data.splice(from..from, piece);
            }
            _ => data.extend_from_slice(&random.next().to_le_bytes()),
        }
    }
    data
}

#[test]
fn every_target_survives_its_seeds_and_their_mutations() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in bulkhead_fuzz::TARGETS {
        let folder = corpus.join(name);
        let mut seeds = Vec::new();
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is missing", folder.display())) {
            seeds.push(std::fs::read(entry.unwrap().path()).unwrap());
        }
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.sort();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut runs = 0u64;
        for seed in &seeds {
            target(seed);
            for _ in 0..MUTATIONS {
                target(&mutate(seed, &mut random));
                runs += 1;
            }
        }
        println!("{name}: {} seeds, {runs} mutations", seeds.len());
    }
}
