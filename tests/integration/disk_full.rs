//! A disk that fills up: Core's text, exit code 1, and all is well again once there is room. Needs the right to mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_tests::node::Node;
use serde_json::json;

use crate::support::run;

const ADDRESS: &str = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";

/// A small file system of its own.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None` where mounting is not permitted.
    fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-full").tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "bulkhead"]).arg(folder.path());
        command.status().is_ok_and(|status| status.success()).then_some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes `mebibytes` of the room; gives the file that does.
    fn fill(&self, mebibytes: usize) -> PathBuf {
        let path = self.path().join("filler");
        fs::write(&path, vec![1u8; mebibytes << 20]).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What cannot be unmounted now goes with the machine.
        let _ = Command::new("umount").args(["-l"]).arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_stops_the_node_and_loses_nothing() {
    let Some(disk) = Disk::mount(128) else {
        eprintln!("SKIPPED: a_full_disk_stops_the_node_and_loses_nothing: mounting a tmpfs is not permitted here");
        return;
    };
    let mut node = Node::start_in(disk.path(), &["-disablewallet"]).unwrap();
    node.call("generatetoaddress", json!([20, ADDRESS])).unwrap();
    let before = node.call("gettxoutsetinfo", json!(["muhash"])).unwrap();
    let filler = disk.fill(90);
    // What the call asks for is written first, and cannot be.
    node.call("generatetoaddress", json!([1, ADDRESS])).unwrap();
    assert!(node.call("gettxoutsetinfo", json!(["muhash"])).is_err());
    let ended = node.wait_for_end().unwrap();
    let text = "Error: A fatal internal error occurred, see debug.log for details: Disk space is too low!";
    assert_eq!((ended.status.code(), ended.stderr.trim_end()), (Some(1), text));
    let low = format!("Error: Error: Disk space is low for \"{}\"", disk.path().join("regtest").display());
    run(disk.path(), &["-disablewallet"]).is(&low);
    fs::remove_file(filler).unwrap();
    let node = Node::start_in(disk.path(), &["-disablewallet"]).unwrap();
    // The block that could not be noted may be gone; those before it are not.
    let height = node.call("getblockcount", json!([])).unwrap().as_i64().unwrap();
    assert!((20..=21).contains(&height), "{height}");
    if height == 20 {
        let after = node.call("gettxoutsetinfo", json!(["muhash"])).unwrap();
        assert_eq!((&after["bestblock"], &after["muhash"]), (&before["bestblock"], &before["muhash"]));
    }
    node.call("generatetoaddress", json!([5, ADDRESS])).unwrap();
    assert!(node.call("getblockcount", json!([])).unwrap().as_i64() >= Some(25));
    assert_eq!(node.stop().unwrap().status.code(), Some(0));
}
