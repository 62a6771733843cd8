//! Sync of a generated chain from one local peer, a node of ours; interleaved with Bitcoin Core from the same peer if
//! `BITCOIND_REFERENCE` names a binary.

use bulkhead_tests::chain::{Recipe, ensure};
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::replay::{Source, Task, replay};

use crate::record::{Figures, HEAD, Recorded, Row};
use crate::replay::figures;
use crate::{Outcome, reference, rounds};

/// Without scripts the transport weighs most, so both are measured there.
const RUNS: [(&str, bool, bool); 3] =
    [("v2, scripts", true, false), ("v2, -assumevalid", true, true), ("v1, -assumevalid", false, true)];

/// Measures and prints.
pub fn run() -> Outcome<()> {
    let rounds = rounds()?;
    let recipe = Recipe::default();
    let (file, made) = ensure(&recipe)?;
    let task = |height, assume_valid| Task { file: file.clone(), tip: made.tip.clone(), height, assume_valid };
    let mut nodes = vec![binaries().join("bitcoin-node")];
    nodes.extend(reference());
    let folder = || tempfile::tempdir().map_err(|error| error.to_string());
    let source = folder()?;
    replay(&nodes[0], source.path(), &task(recipe.height(), true), Source::LoadBlock, &[])?;
    let source = Node::start_in(source.path(), &["-connect=0", "-checkblockindex=0"]).map(|node| (node, source))?;
    let mut runs = vec![vec![Vec::new(); nodes.len()]; RUNS.len()];
    let mut stages = vec![Vec::new(); RUNS.len()];
    for _ in 0..rounds {
        for (place, (_, encrypted, assume_valid)) in RUNS.into_iter().enumerate() {
            for (number, binary) in nodes.iter().enumerate() {
                let peer = Source::Peer { port: source.0.p2p_port(), encrypted };
                let outcome = replay(binary, folder()?.path(), &task(recipe.blocks, assume_valid), peer, &["-debug=bench"])?;
                if number == 0 {
                    stages[place].push((outcome.seconds, outcome.stages()));
                }
                runs[place][number].push(figures(&outcome));
            }
        }
    }
    source.0.stop()?;
    let recorded = Recorded::load()?;
    println!("sync of {} transactions with {} inputs from one node of ours", recipe.transactions, made.inputs);
    let [ours, before, core, times, cpu, core_cpu, memory, core_memory] = HEAD;
    println!("{:<36} {ours:>8} {before:>8} {core:>8} {times:>7} {cpu:>8} {core_cpu:>8} {memory:>8} {core_memory:>8}", "");
    let mut rows = Vec::new();
    for (place, (name, ..)) in RUNS.into_iter().enumerate() {
        let name = format!("sync, {name}");
        let ours = Figures::median(&runs[place][0]).ok_or("no rounds")?;
        let core = runs[place].get(1).map_or_else(|| recorded.core(&name), |measured| Figures::median(measured));
        let measured = &mut stages[place];
        measured.sort_by(|one: &(f64, _), other| one.0.total_cmp(&other.0));
        let stages = measured.swap_remove(measured.len() / 2).1;
        rows.push(Row { before: recorded.ours(&name), name, ours, core, stages });
    }
    rows.iter().for_each(|row| println!("{row}"));
    rows.iter().for_each(|row| println!("{}: {}", row.name, row.shares()));
    if std::env::var_os("BULKHEAD_RECORD").is_some() {
        recorded.with(rows).save()?;
    }
    Ok(())
}
