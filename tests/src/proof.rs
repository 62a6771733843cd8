//! Records against policies: is every rule needed, and is every excuse true?

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bulkhead_policies::{Policy, Proof, SyscallRule};

use crate::record::{Count, Record, Seen};

/// Writes a record as lines of text.
#[must_use]
pub fn to_text(record: &Record) -> String {
    let mut text = String::new();
    for (component, seen) in record {
        for (number, count) in &seen.calls {
            text += &format!("call {component} {number} {} {}\n", count.made, count.refused);
        }
        for index in &seen.rules {
            text += &format!("rule {component} {index}\n");
        }
    }
    text
}

/// Adds the lines of one record to another.
///
/// # Errors
/// The line that is none.
pub fn add_text(record: &mut Record, text: &str) -> Result<(), String> {
    for line in text.lines() {
        let number = |word: &str| word.parse::<u64>().map_err(|error| format!("{line}: {error}"));
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["call", component, call, made, refused] => {
                let call = call.parse().map_err(|error| format!("{line}: {error}"))?;
                let count: &mut Count = record.entry(component.to_owned()).or_default().calls.entry(call).or_default();
                count.made += number(made)?;
                count.refused += number(refused)?;
            }
            ["rule", component, index] => {
                let index = usize::try_from(number(index)?).map_err(|error| format!("{line}: {error}"))?;
                record.entry(component.to_owned()).or_default().rules.insert(index);
            }
            _ => return Err(line.to_owned()),
        }
    }
    Ok(())
}

/// Reads all records of a folder as one.
///
/// # Errors
/// When a file cannot be read or is no record.
pub fn load(folder: &Path) -> Result<Record, String> {
    let mut record = Record::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        add_text(&mut record, &fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)?;
    }
    Ok(record)
}

/// What is wrong with the list of one process, in the light of what it did.
#[must_use]
pub fn complaints(policy: &Policy, seen: &Seen) -> Vec<String> {
    let rules = policy.rules.iter().enumerate();
    rules.filter_map(|(index, rule)| complaint(rule, seen.rules.contains(&index))).collect()
}

fn complaint(rule: &SyscallRule, made: bool) -> Option<String> {
    match (rule.proof, made) {
        (Proof::Exercised, false) => Some(format!("{} is allowed and was never made ({})", describe(rule), rule.reason)),
        (Proof::Unexercised(why), true) => Some(format!("{} was made, in spite of \"{why}\"", describe(rule))),
        _ => None,
    }
}

/// Name and conditions of a rule.
#[must_use]
pub fn describe(rule: &SyscallRule) -> String {
    let conditions: Vec<String> = rule.args.iter().map(|c| format!("arg {} {:?} {}", c.index, c.op, c.value)).collect();
    if conditions.is_empty() { rule.name.to_owned() } else { format!("{}({})", rule.name, conditions.join(", ")) }
}

/// Refused calls of one process, by name where a policy knows it, and whether its own list names them.
#[must_use]
pub fn refusals(policy: &Policy, seen: &Seen) -> Vec<String> {
    let rules = bulkhead_policies::ALL.iter().flat_map(|policy| policy.rules.iter().chain(policy.deadly));
    let names: BTreeMap<i64, &str> = rules.map(|rule| (rule.number, rule.name)).collect();
    let refused = seen.calls.iter().filter(|(_, count)| count.refused > 0);
    let text = refused.map(|(number, count)| {
        let listed = if policy.rules.iter().any(|rule| rule.number == *number) { "listed" } else { "not listed" };
        let name = names.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned());
        format!("{name} ({listed}): {} of {}", count.refused, count.made)
    });
    text.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(proof: Proof) -> SyscallRule {
        SyscallRule { name: "mremap", number: 25, args: &[], reason: "realloc", proof, unmissed: None }
    }

    #[test]
    fn a_surplus_rule_and_a_false_excuse_are_complaints() {
        assert!(complaint(&rule(Proof::Exercised), false).unwrap().contains("mremap is allowed and was never made"));
        assert!(complaint(&rule(Proof::Exercised), true).is_none());
        assert!(complaint(&rule(Proof::Unexercised("no")), true).unwrap().contains("in spite of"));
        assert!(complaint(&rule(Proof::Unexercised("no")), false).is_none());
        for made in [false, true] {
            assert!(complaint(&rule(Proof::ByChance("load")), made).is_none());
            assert!(complaint(&rule(Proof::Inherited), made).is_none());
        }
    }

    #[test]
    fn records_round_trip_and_add_up() {
        let seen = Seen { calls: [(0, Count { made: 2, refused: 1 })].into(), rules: [7].into() };
        let record: Record = [("net".to_owned(), seen)].into();
        let mut sum = Record::new();
        for _ in 0..2 {
            add_text(&mut sum, &to_text(&record)).unwrap();
        }
        assert_eq!(sum["net"].calls[&0], Count { made: 4, refused: 2 });
        assert_eq!(sum["net"].rules, record["net"].rules);
        assert!(add_text(&mut sum, "call net x 1 1").is_err());
        assert!(add_text(&mut sum, "anything").is_err());
    }
}
