//! What may depend on what, read from `cargo metadata`: dependencies point downward only, and the libraries
//! that carry a risk are linked by the processes that need them and no other.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Every workspace package, and the workspace packages that it may name as normal dependencies.
const MAY_USE: &[(&str, &[&str])] = &[
    // Nothing, in a program for users: places where `fuzz/` plants faults.
    ("bulkhead-planted", &[]),
    // Ground floor: data and kernel features.
    ("bulkhead-policies", &[]),
    ("bulkhead-sandbox", &["bulkhead-policies"]),
    ("bulkhead-schema", &[]),
    // Channels.
    ("bulkhead-control", &["bulkhead-schema", "bulkhead-sandbox", "bulkhead-policies", "bulkhead-planted"]),
    ("bulkhead-link", &["bulkhead-schema", "bulkhead-control", "bulkhead-planted"]),
    ("bulkhead-keystore-edge", &["bulkhead-schema", "bulkhead-sandbox"]),
    // Pure logic.
    ("bulkhead-config", &[]),
    ("bulkhead-consensus", &["bulkhead-planted"]),
    ("bulkhead-script", &["bulkhead-consensus", "bulkhead-planted"]),
    ("bulkhead-wire", &["bulkhead-consensus", "bulkhead-planted"]),
    ("bulkhead-asmap", &[]),
    ("bulkhead-addrman", &["bulkhead-wire", "bulkhead-asmap"]),
    ("bulkhead-musig2", &[]),
    ("bulkhead-descriptor", &["bulkhead-musig2", "bulkhead-planted"]),
    ("bulkhead-rpc-util", &["bulkhead-descriptor", "bulkhead-planted"]),
    ("bulkhead-mempool", &["bulkhead-consensus", "bulkhead-rpc-util"]),
    ("bulkhead-store", &["bulkhead-consensus", "bulkhead-planted"]),
    ("bulkhead-wallet-core", &["bulkhead-descriptor", "bulkhead-planted"]),
    ("bulkhead-spend-policy", &["bulkhead-planted"]),
    ("bulkhead-widgets", &[]),
    // Processes.
    (
        "bitcoin-node",
        // The map of autonomous systems: it writes the one that is built in where the user says.
        &["bulkhead-control", "bulkhead-sandbox", "bulkhead-policies", "bulkhead-schema", "bulkhead-config", "bulkhead-asmap"],
    ),
    (
        "bitcoin-chain",
        &[
            "bulkhead-planted",
            "bulkhead-control",
            "bulkhead-sandbox",
            "bulkhead-policies",
            "bulkhead-schema",
            "bulkhead-link",
            "bulkhead-consensus",
            "bulkhead-script",
            "bulkhead-store",
            "bulkhead-mempool",
            "bulkhead-rpc-util",
            // Signatures of several that a PSBT holds in parts.
            "bulkhead-musig2",
        ],
    ),
    (
        "bitcoin-net",
        &[
            "bulkhead-planted",
            "bulkhead-control",
            "bulkhead-sandbox",
            "bulkhead-policies",
            "bulkhead-schema",
            "bulkhead-link",
            "bulkhead-wire",
            "bulkhead-addrman",
            "bulkhead-asmap",
            "bulkhead-rpc-util",
            // Headers of chains with little work are checked here, before chain must keep them.
            "bulkhead-consensus",
        ],
    ),
    (
        "bitcoin-rpc",
        &[
            "bulkhead-planted",
            "bulkhead-control",
            "bulkhead-sandbox",
            "bulkhead-policies",
            "bulkhead-schema",
            "bulkhead-link",
            "bulkhead-rpc-util",
            "bulkhead-keystore-edge",
        ],
    ),
    ("bitcoin-notify", &["bulkhead-control", "bulkhead-sandbox", "bulkhead-policies", "bulkhead-schema", "bulkhead-planted"]),
    ("bitcoin-cli", &["bulkhead-config", "bulkhead-schema", "bulkhead-link"]),
    (
        "bitcoin-wallet",
        &[
            "bulkhead-planted",
            // Options of the offline tool.
            "bulkhead-config",
            "bulkhead-control",
            "bulkhead-sandbox",
            "bulkhead-policies",
            "bulkhead-schema",
            "bulkhead-link",
            "bulkhead-musig2",
            "bulkhead-wallet-core",
            "bulkhead-rpc-util",
            "bulkhead-keystore-edge",
        ],
    ),
    (
        "bitcoin-keystore",
        &[
            "bulkhead-planted",
            "bulkhead-control",
            "bulkhead-sandbox",
            "bulkhead-policies",
            "bulkhead-schema",
            "bulkhead-musig2",
            "bulkhead-wallet-core",
            "bulkhead-spend-policy",
            "bulkhead-keystore-edge",
        ],
    ),
    (
        "bitcoin-gui",
        &["bulkhead-control", "bulkhead-sandbox", "bulkhead-policies", "bulkhead-schema", "bulkhead-link", "bulkhead-widgets"],
    ),
    (
        "bulkhead-tests",
        &[
            "bulkhead-sandbox",
            "bulkhead-policies",
            "bulkhead-schema",
            "bulkhead-control",
            "bulkhead-link",
            // Plays wallets that were taken over.
            "bulkhead-keystore-edge",
        ],
    ),
];

/// Libraries, and the workspace packages through which alone they may be reached.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rocksdb", &["bulkhead-store", "bitcoin-chain"]),
    ("rusqlite", &["bitcoin-keystore"]),
    ("bitcoinkernel", &["bulkhead-script", "bitcoin-chain"]),
    ("iced", &["bulkhead-widgets", "bitcoin-gui"]),
];

/// Libraries that a package must not reach by any way.
const NEVER: &[(&str, &[&str])] = &[
    ("bulkhead-consensus", &["capnp", "tokio", "nix"]),
    ("bulkhead-script", &["capnp", "tokio", "nix"]),
    ("bulkhead-wire", &["capnp", "tokio", "nix"]),
    ("bitcoin-keystore", &["capnp-rpc", "tokio", "futures", "mio", "socket2", "hyper", "httparse", "rustls"]),
    ("bitcoin-node", &["bitcoin", "secp256k1", "miniscript", "rocksdb", "rusqlite", "bitcoinkernel", "capnp-rpc", "tokio"]),
    ("bitcoin-notify", &["bitcoin", "secp256k1", "rocksdb", "rusqlite", "bitcoinkernel", "capnp-rpc", "tokio"]),
    ("bitcoin-chain", &["bitcoin-keystore", "bulkhead-keystore-edge", "bulkhead-wallet-core", "bulkhead-spend-policy"]),
    ("bitcoin-net", &["bitcoin-keystore", "bulkhead-keystore-edge", "bulkhead-wallet-core", "bulkhead-spend-policy"]),
    ("bitcoin-rpc", &["bitcoin-keystore", "bulkhead-wallet-core", "bulkhead-spend-policy"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--filter-platform=x86_64-unknown-linux-gnu", "--offline", "--locked"].map(str::to_owned))
        .exec()
        .unwrap()
}

/// Names of all packages that a workspace package links (normal dependencies, transitively).
fn linked(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<&PackageId, _> = metadata.resolve.as_ref().unwrap().nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata
        .packages
        .iter()
        .find(|candidate| candidate.name.as_str() == package)
        .unwrap_or_else(|| panic!("no package {package}"));
    let mut found = BTreeSet::new();
    let mut open = vec![&start.id];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        for dependency in &nodes[id].deps {
            // Procedural macros run in the compiler and are not linked.
            let target = &metadata[&dependency.pkg];
            let is_macro = target.targets.iter().any(cargo_metadata::Target::is_proc_macro);
            if !is_macro
                && dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
                && seen.insert(&dependency.pkg)
            {
                found.insert(target.name.to_string());
                open.push(&dependency.pkg);
            }
        }
    }
    found
}

#[test]
fn workspace_dependencies_point_downward_only() {
    let metadata = metadata();
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let workspace: BTreeSet<String> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let listed: BTreeSet<String> = table.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(workspace, listed, "the table lists every package of the workspace and no other");
    for package in metadata.workspace_packages() {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal) {
            if workspace.contains(&dependency.name) {
                assert!(
                    table[package.name.as_str()].contains(&dependency.name.as_str()),
                    "{} must not use {}",
                    package.name,
                    dependency.name
                );
            }
        }
    }
    // Downward: in the order of the table nothing is used before it is listed.
    let order: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for (index, (name, uses)) in MAY_USE.iter().enumerate() {
        for used in *uses {
            let position = order.iter().position(|other| other == used).unwrap();
            assert!(position < index, "{name} is listed above {used}");
        }
    }
}

#[test]
fn risky_libraries_are_linked_only_where_they_are_needed() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let linked = linked(&metadata, &package.name);
        for (library, homes) in ONLY_IN {
            assert!(!linked.contains(*library) || homes.contains(&package.name.as_str()), "{} links {library}", package.name);
        }
    }
    for (package, libraries) in NEVER {
        let linked = linked(&metadata, package);
        for library in *libraries {
            assert!(!linked.contains(*library), "{package} links {library}");
        }
    }
}

#[test]
fn the_window_links_neither_node_nor_wallet() {
    let metadata = metadata();
    for name in linked(&metadata, "bitcoin-gui") {
        let Some(package) = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name) else {
            continue;
        };
        let folder = package.manifest_path.strip_prefix(root().to_str().unwrap()).unwrap().to_string();
        assert!(!folder.starts_with("node/") && !folder.starts_with("wallet/"), "bitcoin-gui links {name} in {folder}");
    }
}

#[test]
fn the_key_store_links_exactly_the_listed_crates() {
    let metadata = metadata();
    let linked: Vec<String> = linked(&metadata, "bitcoin-keystore").into_iter().collect();
    let list = std::fs::read_to_string(root().join("wallet/keystore/linked-crates.txt")).unwrap();
    let listed: Vec<String> = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(linked, listed, "a new crate beside the keys needs a reason and a line in wallet/keystore/linked-crates.txt");
}

/// The feature has one name, in one manifest; a build for users that asks for it all the same does not compile.
#[test]
fn no_program_for_users_holds_planted_faults() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let planted = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == "bulkhead-planted").unwrap();
    let node = resolve.nodes.iter().find(|node| node.id == planted.id).unwrap();
    assert!(node.features.is_empty(), "{:?}", node.features);
    for package in metadata.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert_eq!(manifest.contains("planted-faults"), package.id == planted.id, "{}", package.name);
    }
    let main = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(!main.contains("planted-faults") && !main.contains("debug-assertions"));
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("tests/planted/src/lib.rs");
    let compile = |feature: &[&str]| {
        let mut rustc = std::process::Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "lib", "-O", "--out-dir"]).arg(folder.path());
        rustc.args(feature).arg(&source).output().unwrap()
    };
    assert!(compile(&[]).status.success());
    let refused = compile(&["--cfg", "feature=\"planted-faults\""]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no program that users run may have them"));
}

#[test]
fn top_level_folders_are_those_of_the_design() {
    let found: BTreeSet<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let expected =
        ["fuzz", "gui", "node", "policies", "sandbox", "schema", "tests", "wallet"].map(str::to_owned).into_iter().collect();
    assert_eq!(found, expected);
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "corpus" {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_source_file_is_a_hall() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 50);
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines", file.display());
    }
}

#[test]
fn only_the_sandbox_may_be_unsafe() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let inherits = manifest.contains("[lints]\nworkspace = true");
        assert_eq!(inherits, package.name.as_str() != "bulkhead-sandbox", "{}", package.name);
    }
    let mut files = Vec::new();
    sources(&root().join("sandbox/src"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            if code.contains("unsafe {") || code.contains("unsafe fn") {
                let nearby = lines[index.saturating_sub(6)..=index].iter().any(|line| line.contains("SAFETY"));
                assert!(nearby, "{}:{} has no SAFETY comment", file.display(), index + 1);
            }
        }
    }
}
