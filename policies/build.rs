//! Compiles the policy files into static data. Fails on a missing reason and on a list beyond its limit.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/files.rs"]
mod files;
#[path = "build/filters.rs"]
mod filters;

use std::{env, error::Error, fs, path::Path};

/// Every process that has a policy. `spawner` comes last: its list includes those of the others.
const COMPONENTS: [&str; 9] = ["node", "chain", "net", "rpc", "wallet", "keystore", "notify", "gui", "spawner"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    let deadly = filters::read("dangerous")?;
    let mut policies: Vec<(files::PolicyFile, filters::Filters)> = Vec::new();
    for component in COMPONENTS {
        let file = files::read(component)?;
        let mut rules = filters::read(component)?;
        if file.include_all {
            filters::include(&mut rules, policies.iter().map(|(_, filters)| &filters.rules));
        }
        let compiled = filters::compile(component, rules, &deadly)?;
        files::check(&file, &compiled)?;
        policies.push((file, compiled));
    }
    let commands = filters::compile_commands(&filters::read("commands")?)?;
    let text = emit::source(&policies, &commands)?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("policies.rs"), text)?;
    Ok(())
}
