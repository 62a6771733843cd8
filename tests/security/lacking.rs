//! Kernels that lack a feature: strict refuses and says what is missing and what helps, degraded starts and reports.

use std::process::Command;

use bulkhead_tests::node::{Node, binaries};

/// Feature as the mask knows it, how messages name it, and a word of the remedy.
const FEATURES: [(&str, &str, &str); 3] = [
    ("landlock", "Landlock", "CONFIG_SECURITY_LANDLOCK"),
    ("namespaces", "namespaces", "user.max_user_namespaces"),
    ("filters", "seccomp", "CONFIG_SECCOMP_FILTER"),
];

fn masked(feature: &str) -> Command {
    let mut command = Command::new(binaries().join("bulkhead-mask"));
    command.arg(feature).arg(binaries().join("bitcoin-node"));
    command
}

#[test]
fn strict_refuses_a_kernel_without_a_feature_and_names_the_remedy() {
    for (feature, name, remedy) in FEATURES {
        let datadir = tempfile::tempdir().unwrap();
        let output = masked(feature)
            .args(["-regtest", "-printtoconsole=0", "-server=0", "-listen=0"])
            .arg(format!("-datadir={}", datadir.path().display()))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{feature}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{feature}: {stderr}");
        assert!(stderr.starts_with("Error: ") && stderr.contains(name) && stderr.contains(remedy), "{feature}: {stderr}");
        assert!(stderr.contains("-sandbox=degraded"), "{feature}: {stderr}");
    }
}

#[test]
fn degraded_starts_without_a_feature_and_reports_what_is_missing() {
    for (feature, name, _) in FEATURES {
        let node = Node::start_by(masked(feature), &["-sandbox=degraded"]).unwrap();
        for row in node.processes().unwrap() {
            let process = row["process"].as_str().unwrap();
            let has_namespaces = !bulkhead_policies::policy(process).is_none_or(|policy| policy.namespaces.is_empty());
            // A spawner has no report of its own, and a layer that a process never had is not missing.
            if process == "spawner" || feature == "namespaces" && !has_namespaces {
                continue;
            }
            let missing = row["missing"].to_string();
            assert!(missing.contains(name), "{feature}: {process} reports {missing}");
        }
        let log = node.log();
        assert!(log.contains(name), "{feature}: the log does not say what is missing");
        node.stop().unwrap();
    }
}
