//! The `.toml` half of a policy.

use crate::filters::Filters;
use serde::Deserialize;
use std::{error::Error, fs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    pub name: String,
    pub binary: String,
    pub purpose: String,
    pub edges: Vec<String>,
    pub capabilities: Vec<String>,
    pub namespaces: Vec<String>,
    pub limits: Limits,
    pub landlock: Landlock,
    #[serde(default)]
    pub dies_with_parent: Loose<true>,
    #[serde(default)]
    pub inherit_environment: bool,
    /// Add the lists of all other processes, without their conditions: filters are inherited.
    #[serde(default)]
    pub include_all: bool,
    #[serde(default)]
    pub descriptor: Vec<Descriptor>,
    #[serde(default)]
    pub path: Vec<PathRule>,
    #[serde(default)]
    pub rlimit: Vec<Rlimit>,
}

/// A flag whose default is `DEFAULT`.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Loose<const DEFAULT: bool>(pub bool);

impl<const DEFAULT: bool> Default for Loose<DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

/// Most calls on the list, and fewest of them with conditions on arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub allowed: usize,
    pub filtered: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landlock {
    pub fs: Vec<String>,
    pub tcp: Vec<String>,
    pub scope: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    pub name: String,
    pub kind: String,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    pub name: String,
    pub rights: Vec<String>,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    pub resource: String,
    pub value: u64,
    pub reason: String,
}

pub fn read(component: &str) -> Result<PolicyFile, Box<dyn Error>> {
    let path = format!("{component}.toml");
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let file: PolicyFile = toml::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    if file.name != component {
        return Err(format!("{path}: name is {}", file.name).into());
    }
    Ok(file)
}

/// The promises of the file about its own lists.
pub fn check(file: &PolicyFile, filters: &Filters) -> Result<(), Box<dyn Error>> {
    let name = &file.name;
    let (allowed, filtered) = (filters.allowed(), filters.filtered());
    if allowed > file.limits.allowed {
        return Err(format!("{name}: {allowed} system calls are allowed, the limit is {}", file.limits.allowed).into());
    }
    if filtered < file.limits.filtered {
        return Err(format!("{name}: {filtered} calls have conditions, at least {} must", file.limits.filtered).into());
    }
    let reasons = file.descriptor.iter().map(|d| (&d.name, &d.reason));
    let reasons = reasons.chain(file.path.iter().map(|p| (&p.name, &p.reason)));
    let mut reasons = reasons.chain(file.rlimit.iter().map(|r| (&r.resource, &r.reason)));
    match reasons.find(|(_, reason)| reason.trim().is_empty()) {
        Some((entry, _)) => Err(format!("{name}.toml: {entry} has no reason").into()),
        None => Ok(()),
    }
}
