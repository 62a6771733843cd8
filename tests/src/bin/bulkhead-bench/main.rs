//! `make bench`: what the split costs, and how fast chain engine and peers are beside Bitcoin Core's.
//!
//! `bulkhead-bench [split] [replay] [walls] [sync] [peers] [flood] [edge]`; without arguments all of them.

mod edge;
mod flood;
mod peers;
mod record;
mod replay;
mod split;
mod sync;
mod walls;

use std::path::PathBuf;
use std::process::ExitCode;

type Outcome<T> = Result<T, String>;
type Part = fn() -> Outcome<()>;

/// Name and what it measures.
const PARTS: [(&str, Part); 7] = [
    ("split", split::run),
    ("replay", replay::run),
    ("walls", walls::run),
    ("sync", sync::run),
    ("peers", peers::run),
    ("flood", flood::run),
    ("edge", edge::run),
];

/// Rounds unless `BULKHEAD_ROUNDS` sets them.
const ROUNDS: usize = 3;

/// The bitcoind to compare with.
fn reference() -> Option<PathBuf> {
    std::env::var_os("BITCOIND_REFERENCE").map(PathBuf::from)
}

/// How often a chain is replayed; the median counts.
fn rounds() -> Outcome<usize> {
    match std::env::var("BULKHEAD_ROUNDS") {
        Ok(text) => text.parse().map_err(|error| format!("BULKHEAD_ROUNDS: {error}")),
        Err(_) => Ok(ROUNDS),
    }
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        eprintln!("bench: {unknown}: choose among {}", PARTS.map(|(part, _)| part).join(", "));
        return ExitCode::FAILURE;
    }
    for (name, part) in PARTS {
        if (wanted.is_empty() || wanted.iter().any(|wanted| wanted == name))
            && let Err(error) = part()
        {
            eprintln!("bench: {name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
