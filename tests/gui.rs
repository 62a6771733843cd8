//! The window, in a real X server without a screen: it is drawn, it shows the node, and it is confined.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
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

/// An X server without a screen, and its display: one that was free, once clients may connect.
fn display() -> (Running, String) {
    let mut server = Command::new("Xvfb")
        // Without -noreset it starts anew, and cuts off whoever is connecting, when the last client leaves.
        .args(["-displayfd", "1", "-noreset", "-screen", "0", "1200x700x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb is installed (make deps)");
    let told = server.stdout.take().unwrap();
    let server = Running(server);
    let mut number = String::new();
    BufReader::new(told).read_line(&mut number).unwrap();
    assert!(number.ends_with('\n'), "Xvfb found no display: {number:?}");
    (server, format!(":{}", number.trim_end()))
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

/// How a window is started on a data directory, with a node that talks to nobody.
fn program(display: &str, datadir: &Path) -> Command {
    let (rpc, p2p) = (reserve_port().unwrap(), reserve_port().unwrap());
    let mut program = Command::new(binaries().join("bitcoin-gui"));
    program
        .args(["-regtest", "-listenonion=0", "-dnsseed=0", "-fixedseeds=0", "-discover=0", "-debug=ipc"])
        .arg(format!("-datadir={}", datadir.display()))
        .arg(format!("-rpcport={rpc}"))
        .arg(format!("-bind=127.0.0.1:{p2p}"))
        .env("DISPLAY", display)
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    program
}

/// A window with a node on a data directory, when it is there.
fn window(display: &str, datadir: &Path) -> Running {
    let gui = Running(program(display, datadir).spawn().unwrap());
    let pid = i32::try_from(gui.0.id()).unwrap();
    wait_for("the window", || {
        assert!(is_alive(pid), "bitcoin-gui ended; debug.log:\n{}", log(datadir));
        let tree = String::from_utf8_lossy(&output(display, "xwininfo", &["-root", "-tree"])).into_owned();
        tree.contains("\"Bulkhead\"").then_some(())
    });
    // The figures come over gui-rpc: the log shows the call and its answer.
    wait_for("an answer on gui-rpc", || log(datadir).contains("IPC client recv GuiRpc.overview$Results").then_some(()));
    gui
}

fn log(datadir: &Path) -> String {
    let bytes = std::fs::read(datadir.join("regtest/debug.log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_window_shows_a_node_that_it_spawned_and_is_confined() {
    let (_server, display) = display();
    let datadir = tempfile::tempdir().unwrap();
    let gui = window(&display, datadir.path());
    let pid = i32::try_from(gui.0.id()).unwrap();
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

#[test]
fn a_window_that_gets_no_memory_says_so_and_the_node_stops() {
    if !nix::unistd::geteuid().is_root() {
        // Limits of a process that is not dumpable are root's to change.
        return;
    }
    let (_server, display) = display();
    let datadir = tempfile::tempdir().unwrap();
    let mut gui = window(&display, datadir.path());
    // Enough for what is small: libraries of the display that are refused memory end in their own ways.
    let pid = gui.0.id().cast_signed();
    let used: u64 = status(pid, pid).unwrap()["VmData"].trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--data={}", (used + 512) << 10);
    assert!(Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap().success());
    // A larger window takes larger pictures, of 800 KiB each.
    output(&display, "xdotool", &["search", "--name", "Bulkhead", "windowsize", "1190", "690"]);
    let ended = wait_for("the end of the window", || gui.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(134));
    assert!(log(datadir.path()).contains(" [error] bitcoin-gui ends: out of memory: "), "{}", log(datadir.path()));
    wait_for("the end of the node", || log(datadir.path()).contains("Shutdown done").then_some(()));
}

#[test]
fn without_a_display_the_window_says_so_and_starts_no_node() {
    let datadir = tempfile::tempdir().unwrap();
    // No server has so high a number.
    let gui = program(":59999", datadir.path()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = gui.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.starts_with("Error: cannot reach the display :59999: "), "{said}");
    assert!(!datadir.path().join("regtest").exists(), "a node was started: {said}");
}
