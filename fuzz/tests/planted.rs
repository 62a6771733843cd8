//! The table of planted faults names targets that are there, and each fault is asked for at one place of our code.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use bulkhead_planted::{FAULTS, planted};

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_fault_has_a_target_with_inputs() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    // With those that this build leaves out.
    let table = std::fs::read_to_string(own.join("src/targets/mod.rs")).unwrap();
    assert_eq!(FAULTS.len(), 20);
    for row in FAULTS {
        assert!(table.contains(&format!("(\"{}\", ", row.target)), "{}: no target {}", row.name, row.target);
        assert!(own.join("corpus").join(row.target).is_dir(), "{}", row.target);
        assert!(!row.kind.is_empty() && !row.what.is_empty());
        assert!(!planted(row.fault), "{} is there without being asked for", row.name);
    }
}

#[test]
fn every_fault_is_at_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut texts = Vec::new();
    for folder in ["gui", "node", "policies", "sandbox", "schema", "wallet"] {
        sources(&root.join(folder), &mut texts);
    }
    let mut places: BTreeMap<&str, usize> = FAULTS.iter().map(|row| (row.name, 0)).collect();
    for asked in texts.iter().flat_map(|text| text.split("planted(Fault::").skip(1)) {
        let name: String = asked.chars().take_while(char::is_ascii_alphanumeric).collect();
        *places.get_mut(name.as_str()).unwrap_or_else(|| panic!("{name} is in no table")) += 1;
    }
    for (name, count) in places {
        assert_eq!(count, 1, "{name}");
    }
}
