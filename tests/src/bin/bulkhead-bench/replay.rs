//! Replay of a generated chain, interleaved with Bitcoin Core if `BITCOIND_REFERENCE` names a binary, else beside the run that
//! was recorded last. `BULKHEAD_ROUNDS` sets how often (default 3; the median counts).

use bulkhead_tests::chain::{Recipe, ensure};
use bulkhead_tests::node::binaries;
use bulkhead_tests::replay::{self, Source, Task, replay};

use crate::record::{Figures, HEAD, Recorded, Row};
use crate::{Outcome, reference, rounds};

const MEBIBYTE: f64 = 1_048_576.0;

/// Name of a measurement, and how it is made. Each pair of sources shares a data directory.
pub const SOURCES: [(&str, Source); 2] = [("-loadblock", Source::LoadBlock), ("-reindex-chainstate", Source::ReindexChainstate)];
pub const MODES: [(&str, bool); 2] = [("scripts", false), ("-assumevalid", true)];

/// What counts of a replay.
pub fn figures(outcome: &replay::Outcome) -> Figures {
    Figures { seconds: outcome.seconds, cpu: outcome.usage.cpu, memory: outcome.usage.memory as f64 / MEBIBYTE }
}

/// Measures and prints.
pub fn run() -> Outcome<()> {
    let rounds = rounds()?;
    let recipe = Recipe::default();
    let (file, made) = ensure(&recipe)?;
    let reference = reference();
    let mut nodes = vec![binaries().join("bitcoin-node")];
    nodes.extend(reference.clone());
    // By mode, source and node.
    let mut runs = vec![vec![vec![Vec::new(); nodes.len()]; SOURCES.len()]; MODES.len()];
    let mut stages = vec![vec![Vec::new(); SOURCES.len()]; MODES.len()];
    for _ in 0..rounds {
        for (mode, (_, assume_valid)) in MODES.into_iter().enumerate() {
            let task = Task { file: file.clone(), tip: made.tip.clone(), height: recipe.blocks, assume_valid };
            for (number, binary) in nodes.iter().enumerate() {
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                for (place, (_, source)) in SOURCES.into_iter().enumerate() {
                    let outcome = replay(binary, folder.path(), &task, source, &["-debug=bench"])?;
                    if number == 0 {
                        stages[mode][place].push((outcome.seconds, outcome.stages()));
                    }
                    runs[mode][place][number].push(figures(&outcome));
                }
            }
        }
    }
    let recorded = Recorded::load()?;
    let mut rows = Vec::new();
    for (mode, (mode_name, _)) in MODES.into_iter().enumerate() {
        for (place, (source_name, _)) in SOURCES.into_iter().enumerate() {
            let name = format!("{source_name}, {mode_name}");
            let figures = &runs[mode][place];
            let ours = Figures::median(&figures[0]).ok_or("no rounds")?;
            let core = match figures.get(1) {
                Some(measured) => Figures::median(measured),
                None => recorded.core(&name),
            };
            let measured = &mut stages[mode][place];
            measured.sort_by(|one: &(f64, _), other| one.0.total_cmp(&other.0));
            let stages = measured.swap_remove(measured.len() / 2).1;
            rows.push(Row { before: recorded.ours(&name), name, ours, core, stages });
        }
    }
    let against = if reference.is_some() { "measured now" } else { "as recorded" };
    println!(
        "replay of {} transactions with {} inputs in {} blocks, -dbcache=450, sandbox strict; Core {against}",
        recipe.transactions, made.inputs, recipe.blocks
    );
    let [ours, before, core, times, cpu, core_cpu, memory, core_memory] = HEAD;
    println!("{:<36} {ours:>8} {before:>8} {core:>8} {times:>7} {cpu:>8} {core_cpu:>8} {memory:>8} {core_memory:>8}", "");
    for row in &rows {
        println!("{row}");
    }
    for row in &rows {
        println!("{}: {}", row.name, row.shares());
    }
    if std::env::var_os("BULKHEAD_RECORD").is_some() {
        recorded.with(rows).save()?;
    }
    Ok(())
}
