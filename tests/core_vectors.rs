//! Where Core's own vectors are: the crate `libbitcoinkernel-sys` ships them. For tests of several packages, each of which names
//! this file with `#[path]`, because a package of its own would be one more dependency for every one of them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The content of `src/test/data/<name>` of Core's tree. Asks cargo without the network, and only for packages of this
/// platform: the others were never downloaded.
pub fn core_vectors(name: &str) -> Value {
    let arguments = ["metadata", "--format-version", "1", "--offline", "--filter-platform", "host-tuple"];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|it| it["name"] == "libbitcoinkernel-sys").unwrap();
    let folder = PathBuf::from(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("bitcoin/src/test/data");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}
