//! Writes a deterministic regtest chain for `-loadblock`.
//!
//! `bulkhead-chaingen [blocks=600] [transactions=400000] [tail=2100] [seed=1] [out=FILE]`; without `out` the file is kept
//! below `BULKHEAD_CACHE`. Prints its path and the hash of its tip.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_tests::chain::{Recipe, ensure, write};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkhead-chaingen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut recipe = Recipe::default();
    let mut out = None;
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument}: not name=value"))?;
        let number = || value.parse::<u32>().map_err(|error| format!("{argument}: {error}"));
        match name {
            "blocks" => recipe.blocks = number()?,
            "transactions" => recipe.transactions = number()?,
            "tail" => recipe.tail = number()?,
            "seed" => recipe.seed = u64::from(number()?),
            "out" => out = Some(PathBuf::from(value)),
            _ => return Err(format!("{name}: unknown")),
        }
    }
    let (path, made) = match out {
        None => ensure(&recipe)?,
        Some(path) => {
            let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut file = BufWriter::new(file);
            let made = write(&recipe, &mut file)?;
            file.into_inner().map_err(|error| error.to_string())?;
            (path, made)
        }
    };
    println!("{}\nheight {} tip {} inputs {} bytes {}", path.display(), made.height, made.tip, made.inputs, made.bytes);
    Ok(())
}
