//! A node under test: real binaries, a temporary data directory, free ports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::port::reserve_port;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The node answered with an error.
    Rpc {
        /// RPC error code.
        code: i64,
        /// RPC error text.
        message: String,
    },
    /// The node did not answer.
    Transport(std::io::Error),
}

/// What is left of a node that ended.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything that it wrote to standard error.
    pub stderr: String,
}

/// A running `bitcoin-node` on regtest. Killed when dropped.
pub struct Node {
    child: Child,
    datadir: PathBuf,
    owned: Option<TempDir>,
    rpc_port: u16,
    p2p_port: u16,
}

/// The folder that holds our binaries: `BULKHEAD_BIN`, or the folder above this test's own binary.
///
/// # Panics
/// When the test binary has no path.
#[must_use]
#[allow(clippy::panic)]
pub fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("BULKHEAD_BIN") {
        return folder.into();
    }
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("no path of the test binary: {error}"));
    let folder = own.parent().unwrap_or(Path::new("/"));
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() }
}

fn new_folder() -> Result<TempDir, String> {
    tempfile::Builder::new().prefix("bulkhead-test").tempdir().map_err(|error| error.to_string())
}

impl Node {
    /// Starts a node in a new data directory and waits until it answers.
    ///
    /// # Errors
    /// When it ends instead, with what it wrote to standard error.
    pub fn start(arguments: &[&str]) -> Result<Self, String> {
        let folder = new_folder()?;
        let path = folder.path().to_owned();
        let mut node = Self::start_in(&path, arguments)?;
        node.owned = Some(folder);
        Ok(node)
    }

    /// Starts a node in an existing data directory and waits until it answers.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_in(datadir: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut node = Self::spawn_in(datadir, arguments)?;
        node.wait_until_ready()?;
        Ok(node)
    }

    /// Starts a node and does not wait.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn spawn_in(datadir: &Path, arguments: &[&str]) -> Result<Self, String> {
        Self::spawn(Command::new(binaries().join("bitcoin-node")), datadir, arguments)
    }

    /// Starts a node in a new data directory by a command that ends in `bitcoin-node`, and waits until it answers.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_by(command: Command, arguments: &[&str]) -> Result<Self, String> {
        let folder = new_folder()?;
        let mut node = Self::spawn(command, folder.path(), arguments)?;
        node.wait_until_ready()?;
        node.owned = Some(folder);
        Ok(node)
    }

    /// Starts a node whose binaries are in another folder, in its data directory, and does not wait.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn spawn_from(binaries: &Path, datadir: &Path, arguments: &[&str]) -> Result<Self, String> {
        let program = std::path::absolute(binaries.join("bitcoin-node")).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.current_dir(datadir);
        Self::spawn(command, datadir, arguments)
    }

    /// Starts the window of a folder of binaries, which starts the node, and does not wait. [`Node::pid`] is the window's.
    /// `descriptors`: how many it may have.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn spawn_window_from(binaries: &Path, datadir: &Path, descriptors: u32, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]).arg(binaries.join("bitcoin-gui"));
        Self::spawn(command, datadir, arguments)
    }

    /// Starts a node under the recorder of system calls and waits until it answers. [`Node::pid`] is the
    /// recorder's, which leaves its record in `records` when the node ends.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_recorded(recorder: &Path, records: &Path, datadir: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(recorder);
        command.arg(records).arg(binaries().join("bitcoin-node"));
        let mut node = Self::spawn(command, datadir, arguments)?;
        node.wait_until_ready()?;
        Ok(node)
    }

    fn spawn(mut command: Command, datadir: &Path, arguments: &[&str]) -> Result<Self, String> {
        let port = || reserve_port().map_err(|error| error.to_string());
        let (rpc_port, p2p_port) = (port()?, port()?);
        let child = command
            .args([
                "-regtest",
                "-printtoconsole=0",
                "-listenonion=0",
                "-dnsseed=0",
                "-fixedseeds=0",
                "-discover=0",
                "-natpmp=0",
                "-fallbackfee=0.0002",
            ])
            .arg(format!("-datadir={}", datadir.display()))
            .arg(format!("-rpcport={rpc_port}"))
            .arg(format!("-bind=127.0.0.1:{p2p_port}"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start bitcoin-node: {error}"))?;
        Ok(Self { child, datadir: datadir.to_owned(), owned: None, rpc_port, p2p_port })
    }

    /// Waits until the node is past its warm-up.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            match self.call("getblockcount", json!([])) {
                Ok(_) => return Ok(()),
                Err(CallError::Rpc { code, message }) if code != -28 => return Err(format!("{code}: {message}")),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("{status}: {}", self.stderr_text()));
            }
            if start.elapsed() > PATIENCE {
                return Err("the node does not become ready".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stderr_text(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            // A node that cannot be read has said nothing.
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Process id of the supervisor.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory given with `-datadir`.
    #[must_use]
    pub fn datadir(&self) -> &Path {
        &self.datadir
    }

    /// Port of the P2P listener.
    #[must_use]
    pub fn p2p_port(&self) -> u16 {
        self.p2p_port
    }

    /// Port of the RPC listener.
    #[must_use]
    pub fn rpc_port(&self) -> u16 {
        self.rpc_port
    }

    /// The text of debug.log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.datadir.join("regtest/debug.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Calls a method on `/`.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        self.call_at("/", method, params)
    }

    /// Calls a method of a wallet.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn wallet(&self, name: &str, method: &str, params: Value) -> Result<Value, CallError> {
        self.call_at(&format!("/wallet/{name}"), method, params)
    }

    fn call_at(&self, path: &str, method: &str, params: Value) -> Result<Value, CallError> {
        let cookie = std::fs::read_to_string(self.datadir.join("regtest/.cookie")).map_err(CallError::Transport)?;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let body = post(self.rpc_port, path, &cookie, &request).map_err(CallError::Transport)?;
        let mut answer: Value =
            serde_json::from_slice(&body).map_err(|error| CallError::Transport(std::io::Error::other(error)))?;
        match answer.get("error") {
            None | Some(Value::Null) => Ok(answer["result"].take()),
            Some(error) => Err(CallError::Rpc {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Polls until a condition holds.
    ///
    /// # Errors
    /// `what`, when it does not hold in time.
    pub fn wait_for(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !condition(self) {
            if start.elapsed() > PATIENCE {
                return Err(format!("not in time: {what}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether the supervisor has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Calls `stop` and waits for the end.
    ///
    /// # Errors
    /// When the node does not end.
    pub fn stop(mut self) -> Result<Ended, String> {
        self.call("stop", json!([])).map_err(|error| format!("{error:?}"))?;
        self.wait_for_end()
    }

    /// Waits for the end of the supervisor.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn wait_for_end(&mut self) -> Result<Ended, String> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Ok(Ended { status, stderr: self.stderr_text() });
            }
            if start.elapsed() > PATIENCE {
                return Err("the node does not end".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The rows of `getsandboxinfo`.
    ///
    /// # Errors
    /// When the call fails.
    pub fn processes(&self) -> Result<Vec<Value>, String> {
        let info = self.call("getsandboxinfo", json!([])).map_err(|error| format!("{error:?}"))?;
        info["processes"].as_array().cloned().ok_or_else(|| format!("no processes in {info}"))
    }

    /// Process id of the first process of a component.
    ///
    /// # Errors
    /// When there is none.
    pub fn pid_of(&self, component: &str) -> Result<i32, String> {
        let processes = self.processes()?;
        let row = processes
            .iter()
            .find(|row| row["process"] == component)
            .ok_or_else(|| format!("no process {component} in {processes:?}"))?;
        row["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(|| format!("no pid in {row}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn post(port: u16, path: &str, credentials: &str, body: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        base64(credentials.as_bytes()),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok(answer.split_off(end + 4))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            text.push(if position <= chunk.len() {
                char::from(ALPHABET[(number >> (18 - 6 * position) & 63) as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_pads() {
        assert_eq!(super::base64(b"user:pass"), "dXNlcjpwYXNz");
        assert_eq!(super::base64(b"a"), "YQ==");
        assert_eq!(super::base64(b"ab"), "YWI=");
    }
}
