//! The window, in a real X server without a screen: it is drawn, it shows the node, and it is confined.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_tests::node::{PATIENCE, binaries};
use bulkhead_tests::port::reserve_port;
use bulkhead_tests::proc::{is_alive, status, threads};

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An X server without a screen, and its display.
fn display() -> (Running, String) {
    let number = 90 + std::process::id() % 400;
    let display = format!(":{number}");
    let server = Command::new("Xvfb")
        .args([&display, "-screen", "0", "1200x700x24", "-nolisten", "tcp"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb is installed (make deps)");
    let server = Running(server);
    wait_for("the X server", || Path::new(&format!("/tmp/.X11-unix/X{number}")).exists().then_some(()));
    (server, display)
}

fn output(display: &str, program: &str, arguments: &[&str]) -> Vec<u8> {
    Command::new(program).args(arguments).env("DISPLAY", display).stderr(Stdio::null()).output().unwrap().stdout
}

/// Number of different colours in a picture of the root window, and how many pixels differ from the first.
fn picture(display: &str) -> (usize, usize) {
    // Plain RGB bytes, so that no picture library is needed here.
    let pixels = output(display, "import", &["-window", "root", "-depth", "8", "rgb:-"]);
    let mut colours = std::collections::BTreeSet::new();
    let mut different = 0;
    for pixel in pixels.chunks_exact(3) {
        colours.insert([pixel[0], pixel[1], pixel[2]]);
        different += usize::from(pixel != &pixels[..3]);
    }
    (colours.len(), different)
}

#[test]
fn the_window_shows_a_node_that_it_spawned_and_is_confined() {
    let (_server, display) = display();
    let datadir = tempfile::tempdir().unwrap();
    let (rpc, p2p) = (reserve_port().unwrap(), reserve_port().unwrap());
    let gui = Command::new(binaries().join("bitcoin-gui"))
        .args(["-regtest", "-listenonion=0", "-dnsseed=0", "-fixedseeds=0", "-discover=0", "-debug=ipc"])
        .arg(format!("-datadir={}", datadir.path().display()))
        .arg(format!("-rpcport={rpc}"))
        .arg(format!("-bind=127.0.0.1:{p2p}"))
        .env("DISPLAY", &display)
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let gui = Running(gui);
    let pid = i32::try_from(gui.0.id()).unwrap();
    wait_for("the window", || {
        assert!(is_alive(pid), "bitcoin-gui ended");
        let tree = String::from_utf8_lossy(&output(&display, "xwininfo", &["-root", "-tree"])).into_owned();
        tree.contains("\"Bulkhead\"").then_some(())
    });
    // The figures come over gui-rpc: the log shows the call and its answer.
    let log = datadir.path().join("regtest/debug.log");
    wait_for("an answer on gui-rpc", || {
        let text = std::fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        text.contains("IPC client recv GuiRpc.overview$Results").then_some(())
    });
    // Text has many shades between its colour and the background; an empty window has one or two colours.
    let (colours, different) = wait_for("a drawn page", || Some(picture(&display)).filter(|(colours, _)| *colours > 20));
    assert!(different > 2000, "{colours} colours, {different} pixels");
    if let Some(path) = std::env::var_os("BULKHEAD_SCREENSHOT") {
        std::fs::write(path, output(&display, "import", &["-window", "root", "png:-"])).unwrap();
    }
    for thread in threads(pid).unwrap() {
        let status = status(pid, thread).unwrap();
        assert_eq!(status["NoNewPrivs"], "1");
        assert_eq!(status["Seccomp"], "2");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set}");
        }
    }
    // The window closes: the node that it spawned goes too.
    let children: Vec<i32> = bulkhead_tests::proc::children(pid).into_iter().map(|(child, _)| child).collect();
    assert!(!children.is_empty(), "bitcoin-gui spawned no node");
    drop(gui);
    wait_for("the end of the node", || children.iter().all(|child| !is_alive(*child)).then_some(()));
}
