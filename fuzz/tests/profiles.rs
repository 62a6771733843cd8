//! Every package of ours that the targets link checks itself, and has products of its own for each engine.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

#[test]
fn every_package_of_ours_has_a_profile() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = std::fs::read_to_string(own.join("Cargo.lock")).unwrap();
    let manifest = std::fs::read_to_string(own.join("Cargo.toml")).unwrap();
    let mut count = 0;
    for package in lock.split("[[package]]").skip(1).filter(|package| !package.contains("\nsource = ")) {
        let name = package.split("name = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let profile = format!("[profile.release.package.{name}]\ndebug-assertions = true\noverflow-checks = true\n");
        assert!(manifest.contains(&profile), "{name} has none in Cargo.toml");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
