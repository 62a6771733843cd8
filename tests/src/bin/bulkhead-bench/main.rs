//! `make bench`: what the split costs, and how fast the chain engine is beside Bitcoin Core's.
//!
//! `bulkhead-bench [split] [replay]`; without arguments both.

mod record;
mod replay;
mod split;

use std::process::ExitCode;

type Outcome<T> = Result<T, String>;
type Part = fn() -> Outcome<()>;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let parts: [(&str, Part); 2] = [("split", split::run), ("replay", replay::run)];
    if let Some(unknown) = wanted.iter().find(|name| parts.iter().all(|(part, _)| part != name)) {
        eprintln!("bench: {unknown}: choose among split and replay");
        return ExitCode::FAILURE;
    }
    for (name, part) in parts {
        if (wanted.is_empty() || wanted.iter().any(|wanted| wanted == name))
            && let Err(error) = part()
        {
            eprintln!("bench: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
