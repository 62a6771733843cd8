//! What the walls cost where most calls of the system are made: replay of a generated chain with the sandbox strict and off,
//! interleaved. `BULKHEAD_ROUNDS` sets how often (default 3; the median counts).

use bulkhead_tests::chain::{Recipe, ensure};
use bulkhead_tests::node::binaries;
use bulkhead_tests::replay::{Task, replay};

use crate::record::Figures;
use crate::replay::{MODES, SOURCES, figures};
use crate::{Outcome, rounds};

const WALLS: [&str; 2] = ["-sandbox=strict", "-sandbox=off"];

/// Measures and prints.
pub fn run() -> Outcome<()> {
    let recipe = Recipe::default();
    let (file, made) = ensure(&recipe)?;
    let binary = binaries().join("bitcoin-node");
    // By mode, source and walls.
    let mut runs = vec![vec![vec![Vec::new(); WALLS.len()]; SOURCES.len()]; MODES.len()];
    for round in 0..rounds()? {
        for (mode, (_, assume_valid)) in MODES.into_iter().enumerate() {
            let task = Task { file: file.clone(), tip: made.tip.clone(), height: recipe.blocks, assume_valid };
            for turn in 0..WALLS.len() {
                // Each is first as often as the other.
                let walls = (turn + round) % WALLS.len();
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                for (place, (_, source)) in SOURCES.into_iter().enumerate() {
                    runs[mode][place][walls].push(figures(&replay(&binary, folder.path(), &task, source, &[WALLS[walls]])?));
                }
            }
        }
    }
    println!("{:<36} {:>9} {:>9} {:>12} {:>9} {:>9}", "replay", "strict s", "off s", "strict / off", "cpu s", "off cpu");
    for (mode, (mode_name, _)) in MODES.into_iter().enumerate() {
        for (place, (source_name, _)) in SOURCES.into_iter().enumerate() {
            let [strict, off] = [0, 1].map(|walls| Figures::median(&runs[mode][place][walls]));
            let (strict, off) = strict.zip(off).ok_or("no rounds")?;
            println!(
                "{:<36} {:>9.2} {:>9.2} {:>12.3} {:>9.2} {:>9.2}",
                format!("{source_name}, {mode_name}"),
                strict.seconds,
                off.seconds,
                strict.seconds / off.seconds,
                strict.cpu,
                off.cpu
            );
        }
    }
    Ok(())
}
