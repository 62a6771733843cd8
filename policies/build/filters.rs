//! The `.json` half of a policy: system call lists, compiled by seccompiler.

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
};

/// Calls whose numbers are above this one are newer than the list was written for: they answer ENOSYS, and a
/// library falls back to what it did before.
const LAST_KNOWN_CALL: u32 = 462;
const CLONE3: u32 = 435;
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub syscall: String,
    pub comment: String,
    #[serde(default)]
    pub args: Vec<Value>,
    /// Why no test can make a call that this rule admits.
    #[serde(default)]
    pub unexercised: Option<String>,
    /// Why it depends on timing or load whether a test makes one.
    #[serde(default)]
    pub by_chance: Option<String>,
    /// What is lost when the call is refused, though no test can see it.
    #[serde(default)]
    pub unmissed: Option<String>,
    /// Taken over from a child's list.
    #[serde(skip)]
    pub inherited: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    mismatch_action: Value,
    match_action: Value,
    filter: Vec<Rule>,
}

/// Compiled lists of one process.
pub struct Filters {
    pub rules: Vec<Rule>,
    pub deadly: Vec<Rule>,
    pub numbers: BTreeMap<String, i64>,
    pub allow: BpfProgram,
    pub kill: BpfProgram,
}

impl Filters {
    pub fn allowed(&self) -> usize {
        self.rules.iter().map(|rule| &rule.syscall).collect::<BTreeSet<_>>().len()
    }

    /// Calls that no rule allows without conditions.
    pub fn filtered(&self) -> usize {
        let open = self.rules.iter().filter(|r| r.args.is_empty()).map(|r| &r.syscall).collect::<BTreeSet<_>>().len();
        self.allowed() - open
    }
}

/// Reads the only filter of a file, which must be named after it.
pub fn read(name: &str) -> Result<Vec<Rule>, Box<dyn Error>> {
    let path = format!("{name}.json");
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut filters: BTreeMap<String, Filter> = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    let filter = filters.remove(name).ok_or_else(|| format!("{path}: no filter named {name}"))?;
    if !filters.is_empty() {
        return Err(format!("{path}: one filter per file").into());
    }
    let expected = match name {
        "dangerous" => (json!("allow"), json!("kill_process")),
        "commands" => (json!("allow"), json!({"errno": EPERM})),
        _ => (json!({"errno": EPERM}), json!("allow")),
    };
    if (filter.mismatch_action, filter.match_action) != expected {
        return Err(format!("{path}: the actions must be {expected:?}").into());
    }
    for rule in &filter.filter {
        if rule.comment.trim().is_empty() {
            return Err(format!("{path}: {} has no reason", rule.syscall).into());
        }
        let excuses: Vec<_> = rule.unexercised.iter().chain(&rule.by_chance).collect();
        if excuses.len() > 1 || excuses.iter().any(|excuse| excuse.trim().is_empty()) {
            return Err(format!("{path}: {} needs one excuse with words in it, or none", rule.syscall).into());
        }
        if rule.unmissed.as_ref().is_some_and(|loss| loss.trim().is_empty() || !excuses.is_empty()) {
            return Err(format!("{path}: {} is made in tests and says what is lost without it, or neither", rule.syscall).into());
        }
    }
    Ok(filter.filter)
}

/// Adds the calls of other lists, without conditions.
pub fn include<'a>(rules: &mut Vec<Rule>, others: impl Iterator<Item = &'a Vec<Rule>>) {
    for other in others.flatten() {
        if !rules.iter().any(|rule| rule.syscall == other.syscall && rule.args.is_empty()) {
            rules.retain(|rule| rule.syscall != other.syscall);
            let comment = format!("a child may: {}", other.comment);
            rules.push(Rule { syscall: other.syscall.clone(), comment, inherited: true, ..Rule::default() });
        }
    }
}

pub fn compile(name: &str, rules: Vec<Rule>, dangerous: &[Rule]) -> Result<Filters, Box<dyn Error>> {
    let allowed: BTreeSet<&String> = rules.iter().map(|rule| &rule.syscall).collect();
    // What a list names is not deadly there; every conflict is visible in the process's own file.
    let deadly: Vec<Rule> = dangerous.iter().filter(|rule| !allowed.contains(&rule.syscall)).cloned().collect();
    let mut numbers = BTreeMap::new();
    for rule in rules.iter().chain(&deadly) {
        numbers.insert(rule.syscall.clone(), number(&rule.syscall)?);
    }
    let body = program(&rules, &json!({"errno": EPERM}), &json!("allow")).map_err(|error| format!("{name}: {error}"))?;
    let kill = program(&deadly, &json!("allow"), &json!("kill_process")).map_err(|error| format!("{name}: {error}"))?;
    let mut allow = unknown_calls();
    allow.extend(body);
    Ok(Filters { rules, deadly, numbers, allow, kill })
}

/// The filter that commands of the user inherit: all but the listed calls pass. Calls by 32-bit programs are of another
/// architecture, which ends them.
pub fn compile_commands(rules: &[Rule]) -> Result<BpfProgram, Box<dyn Error>> {
    let mut filter = unknown_calls();
    filter.extend(program(rules, &json!("allow"), &json!({"errno": EPERM}))?);
    Ok(filter)
}

fn program(rules: &[Rule], mismatch: &Value, matching: &Value) -> Result<BpfProgram, Box<dyn Error>> {
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            if rule.args.is_empty() {
                json!({"syscall": rule.syscall})
            } else {
                json!({"syscall": rule.syscall, "args": rule.args})
            }
        })
        .collect();
    let text = json!({"f": {"mismatch_action": mismatch, "match_action": matching, "filter": rules}}).to_string();
    let mut compiled = compile_from_json(text.as_bytes(), TargetArch::x86_64)?;
    Ok(compiled.remove("f").expect("the filter was named f above"))
}

/// Number of a call: seccompiler's table is private, its output is not. The second jump of a program with one
/// rule compares the number (the first compares the architecture).
fn number(name: &str) -> Result<i64, Box<dyn Error>> {
    let rule = Rule { syscall: name.to_owned(), ..Rule::default() };
    let program = program(&[rule], &json!("allow"), &json!("trap"))?;
    let jump = program.iter().filter(|i| i.code == JUMP_EQUAL).nth(1).ok_or("no comparison in a compiled filter")?;
    Ok(i64::from(jump.k))
}

const LOAD_ABSOLUTE: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;
const RETURN_ERRNO: u32 = 0x0005_0000;

/// Prologue of the allow-list: calls beyond the known table, x32 numbers and clone3 (its flags are in memory,
/// where a filter cannot look) do not exist. The architecture is checked by the program that follows.
fn unknown_calls() -> BpfProgram {
    let i = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    vec![
        i(LOAD_ABSOLUTE, 0, 0, 0),
        i(JUMP_GREATER, 1, 0, LAST_KNOWN_CALL),
        i(JUMP_EQUAL, 0, 1, CLONE3),
        i(RETURN, 0, 0, RETURN_ERRNO | ENOSYS),
    ]
}
