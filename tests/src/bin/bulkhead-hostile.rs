//! A component that was taken over: it is born, confined and wired like the real one, and then misbehaves with everything that
//! its edges and its control channel allow. `tests/security/hostile.rs` puts it in the place of a component's binary, in a
//! copy of the folder of binaries, and writes into the copy what it shall do.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bulkhead_control::message::Fields;
use bulkhead_control::{
    CONTROL_DESCRIPTOR, Component, ControlError, Event, FromChild, Handle, OpenFile, OpenKeystore, Request, TypedConfig, birth_on,
};
use bulkhead_sandbox::passing::MAX_DESCRIPTORS;
use bulkhead_tests::hostile::{Script, answers, calls, conversation, edge};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, send, sendmsg};

/// Orders are written over this by the test: component, mode and seed.
static ORDERS: [u8; 64] = *b"BULKHEAD-HOSTILE-ORDERS-----------------------------------------";

/// Takes any configuration.
struct Anything;

impl TypedConfig for Anything {
    fn to_fields(&self) -> Fields {
        Vec::new()
    }

    fn from_fields(_: Fields) -> Result<Self, bulkhead_control::config::ConfigError> {
        Ok(Self)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Conversations without end.
    Talk,
    /// Calls, and nobody reads the answers.
    Flood,
    /// Honest calls, whose answers nobody reads.
    Deaf,
    /// Honest calls, whose answers are read and never given back.
    Keep,
    /// Half a message.
    Half,
    /// Nothing.
    Silence,
    /// Messages that claim to be enormous.
    Huge,
    /// Descriptors that nobody asked for.
    Descriptors,
    /// Requests and noise on the control channel.
    Control,
    /// What is said once on the control channel, again and again.
    Again,
    /// Texts for the log and the terminal, without end.
    Warn,
    /// Questions on the control channel, whose answers nobody reads.
    Ask,
    /// Leaves at a message of the control channel, or says half of it and stays.
    Cut(u8),
    /// As a wallet: a real key store, asked for anything.
    Keystore,
}

fn main() -> ExitCode {
    // Behind a black box: the compiler knows the text, the test changes it.
    let orders = String::from_utf8_lossy(std::hint::black_box(&ORDERS)).into_owned();
    let mut words = orders.split_whitespace();
    let (Some(component), Some(mode), Some(seed)) = (words.next(), words.next(), words.next()) else {
        eprintln!("this binary has no orders");
        return ExitCode::FAILURE;
    };
    let component = match component {
        "chain" => Component::Chain,
        "net" => Component::Net,
        "rpc" => Component::Rpc,
        "gui" => Component::Gui,
        _ => Component::Wallet,
    };
    let mode = match mode {
        "talk" => Mode::Talk,
        "flood" => Mode::Flood,
        "deaf" => Mode::Deaf,
        "keep" => Mode::Keep,
        "half" => Mode::Half,
        "silence" => Mode::Silence,
        "huge" => Mode::Huge,
        "descriptors" => Mode::Descriptors,
        "control" => Mode::Control,
        "again" => Mode::Again,
        "ask" => Mode::Ask,
        "warn" => Mode::Warn,
        cut if cut.starts_with("cut") => Mode::Cut(cut.as_bytes()[3] - b'0'),
        _ => Mode::Keystore,
    };
    match run(component, mode, seed.trim_matches('-').parse().unwrap_or(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(component: Component, mode: Mode, seed: u64) -> Result<(), ControlError> {
    let socket =
        if component == Component::Gui { spawn_node()? } else { bulkhead_sandbox::passing::inherited(CONTROL_DESCRIPTOR)? };
    let raw = socket.try_clone()?;
    if let Mode::Cut(at) = mode {
        return cut(component, socket, raw, at);
    }
    let control = birth_on::<Anything>(component, socket)?.confine(&[])?;
    control.send(&FromChild::Ready)?;
    tracing::warn!("{component} misbehaves");
    if matches!(mode, Mode::Again | Mode::Ask | Mode::Warn) {
        let again = [FromChild::Report(bulkhead_control::Report::default()), FromChild::Ready];
        let ask = [FromChild::Request(1, Request::SandboxInfo)];
        let warn = [FromChild::Warning("a warning".into()), FromChild::InitMessage("a message".into())];
        let messages = match mode {
            Mode::Again => &again[..],
            Mode::Ask => &ask[..],
            _ => &warn[..],
        };
        return messages.iter().cycle().try_for_each(|message| control.send(message));
    }
    let (handle, events) = control.split()?;
    match mode {
        Mode::Control => {
            let handle = handle.clone();
            std::thread::spawn(move || abuse_control(&handle, &raw, seed));
        }
        Mode::Keystore => {
            let handle = handle.clone();
            std::thread::spawn(move || abuse_keystore(&handle, seed));
        }
        _ => {}
    }
    // Another conversation in each life.
    let mut count = seed.wrapping_mul(1_000_003) ^ u64::from(std::process::id());
    let open = Arc::new(AtomicUsize::new(0));
    while let Ok(event) = events.recv() {
        match event {
            Event::Wire(edges) => {
                for (wired, stream) in edges {
                    count += 1;
                    let (name, seed) = (wired.name, count);
                    let client = name.split('-').next() == Some(component.word());
                    let stream = UnixStream::from(stream);
                    let open = Arc::clone(&open);
                    open.fetch_add(1, Ordering::SeqCst);
                    std::thread::spawn(move || {
                        abuse(&name, client, stream, mode, seed);
                        // Hung up on everywhere: the supervisor starts us again. The end of chain or of the window would be the node's.
                        let last = open.fetch_sub(1, Ordering::SeqCst) == 1;
                        if last && ![Component::Chain, Component::Gui].contains(&component) {
                            std::process::exit(1);
                        }
                    });
                }
            }
            Event::Shutdown | Event::PeerGone => break,
            _ => {}
        }
    }
    Ok(())
}

/// A life that is cut: 0 before the configuration is read, 1 before the report, 2 amid it, 3 after it, 4 amid "ready", 5 after it, 6
/// amid a request, 7 after it; at 8 the channel is closed by somebody who lives on.
fn cut(component: Component, socket: OwnedFd, raw: OwnedFd, at: u8) -> Result<(), ControlError> {
    let stay = || loop {
        std::thread::park_timeout(Duration::from_secs(60));
    };
    let half = |message: FromChild| -> Result<(), ControlError> {
        let bytes = message.encode()?;
        send(raw.as_raw_fd(), &bytes[..bytes.len() / 2], MsgFlags::MSG_NOSIGNAL).map_err(std::io::Error::from)?;
        stay()
    };
    if at == 0 {
        return Ok(());
    }
    let birth = birth_on::<Anything>(component, socket)?;
    match at {
        1 => return Ok(()),
        2 => return half(FromChild::Report(bulkhead_control::Report::default())),
        _ => {}
    }
    let control = birth.confine(&[])?;
    let request = FromChild::Request(1, Request::SandboxInfo);
    match at {
        3 => return Ok(()),
        4 => return half(FromChild::Ready),
        _ => control.send(&FromChild::Ready)?,
    }
    match at {
        5 => Ok(()),
        6 => half(request),
        7 => control.send(&request),
        _ => {
            drop((control, raw));
            stay()
        }
    }
}

/// The window is not born but gives birth: to the node, with its own arguments. Answers its end of the control channel.
fn spawn_node() -> Result<OwnedFd, ControlError> {
    let (ours, theirs) = bulkhead_control::pair()?;
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).map_err(std::io::Error::from)?;
    let number = theirs.as_raw_fd().to_string();
    let path = std::env::current_exe()?.with_file_name("bitcoin-node");
    Command::new(path).args(["-ipcfd", &number]).args(std::env::args_os().skip(1)).spawn()?;
    Ok(ours)
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend(self.0.to_le_bytes().into_iter().skip(2));
        }
        bytes.truncate(count);
        bytes
    }
}

/// One edge, until it is closed.
fn abuse(name: &str, client: bool, mut stream: UnixStream, mode: Mode, seed: u64) {
    let Some(edge) = edge(name) else { return };
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let script = |random: &mut Random| -> Script {
        let bytes = random.bytes(3000);
        if client { conversation(&bytes, &edge) } else { answers(&bytes, &edge) }
    };
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    match mode {
        Mode::Talk | Mode::Flood => loop {
            for message in script(&mut random).messages {
                if !put(&mut stream, &message, mode == Mode::Talk) {
                    return;
                }
            }
        },
        Mode::Deaf | Mode::Keep if client => {
            let mut script = Script::default();
            loop {
                calls(&mut script, &edge, 1000, mode == Mode::Deaf);
                if !script.messages.iter().all(|message| put(&mut stream, message, mode == Mode::Keep)) {
                    return;
                }
            }
        }
        Mode::Half => {
            for message in script(&mut random).messages.iter().skip(1).take(1) {
                put(&mut stream, &message[..message.len() / 2], true);
            }
        }
        Mode::Huge => {
            for claim in [[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f], [0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 2]] {
                put(&mut stream, &claim, true);
            }
            let block = vec![0; 1 << 20];
            for _ in 0..512 {
                if !put(&mut stream, &block, true) {
                    return;
                }
            }
        }
        // Answers are not read, so the other side stops reading at last and descriptors stay on their way.
        Mode::Descriptors => loop {
            let numbers = [stream.as_raw_fd(); MAX_DESCRIPTORS];
            for message in script(&mut random).messages {
                let rights = [ControlMessage::ScmRights(&numbers)];
                let parts = [std::io::IoSlice::new(&message)];
                match sendmsg::<()>(stream.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None) {
                    Ok(_) => {}
                    Err(Errno::EAGAIN | Errno::ETOOMANYREFS) => std::thread::park_timeout(Duration::from_millis(1)),
                    Err(_) => return,
                }
            }
        },
        _ => {}
    }
    // Keeps the stream open, silently.
    loop {
        std::thread::park_timeout(Duration::from_secs(60));
    }
}

/// Writes all of it; takes what has come meanwhile, if `read`. Whether the other side is still there.
fn put(stream: &mut UnixStream, mut bytes: &[u8], read: bool) -> bool {
    let mut taken = [0; 65536];
    while !bytes.is_empty() {
        if read {
            match stream.read(&mut taken) {
                Ok(0) => return false,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return false,
                _ => {}
            }
        }
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            // No sleep: the filters of the components do not have it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(Duration::from_millis(1)),
            Err(_) => return false,
        }
    }
    true
}

/// Everything that no component, or not this one, may ask for; then noise.
fn abuse_control(handle: &Handle, raw: &OwnedFd, seed: u64) {
    let open =
        |name: &str, create| Request::OpenKeystore(OpenKeystore { name: name.into(), create, one_shot: false, restore: false });
    let file = |purpose: &str, path: &str| Request::OpenFile(OpenFile { purpose: purpose.into(), path: path.into() });
    let requests = [
        open("../../../../etc", true),
        open("/etc/passwd", false),
        open("w\0x", true),
        file("backupWallet", "/etc/passwd"),
        file("restoreWallet", "/proc/self/mem"),
        file("restoreWallet", "/dev/zero"),
        file("loadTxOutSet", "/etc/shadow"),
        file("dumpTxOutSet", "/tmp/../etc/cron.d/planted"),
        file("exportAsmap", "blocks/planted"),
        file("exportAsmap", "settings.json"),
        file("nonsense", ""),
        Request::UpdateSetting { name: "rpcpassword".into(), values: vec!["planted".into()] },
        Request::SpawnEcho("x".repeat(60_000)),
        Request::SandboxInfo,
        Request::ListWalletDir,
        Request::SetMockTime(i64::MIN),
    ];
    for request in requests {
        // Refusals are what is expected; the test looks at what became of the node.
        let _ = handle.request(request);
    }
    for text in ["\u{1b}[2J", "fake\n2026-01-01T00:00:00Z line"] {
        handle.warning(text);
        handle.init_message(text);
        handle.notify("shutdownnotify", &[("s", "$(touch /tmp/planted)")]);
    }
    let mut random = Random(seed | 1);
    let send = |bytes: &[u8], descriptors: &[i32]| {
        let rights = [ControlMessage::ScmRights(descriptors)];
        let control = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
        sendmsg::<()>(raw.as_raw_fd(), &[std::io::IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None).is_ok()
    };
    let applied = FromChild::Applied.encode().unwrap_or_default();
    for _ in 0..1000 {
        if !send(&applied, &[raw.as_raw_fd()]) {
            return;
        }
    }
    while send(&random.bytes(200), &[]) {}
}

/// The content of one frame.
fn receive(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut content = vec![0; usize::try_from(u32::from_le_bytes(length)).ok()?];
    stream.read_exact(&mut content).ok().map(|()| content)
}

/// Opens the key store of the wallet, as the wallet does, and asks it for signatures, exports and nonsense.
fn abuse_keystore(handle: &Handle, seed: u64) {
    let open = Request::OpenKeystore(OpenKeystore { name: "w".into(), create: false, one_shot: false, restore: false });
    let Ok(mut answer) = handle.request(open) else { return };
    let Some(stream) = answer.descriptors.pop() else { return };
    let mut stream = UnixStream::from(stream);
    let mut random = Random(seed | 1);
    for frame in bulkhead_tests::hostile::keystore_frames(&random.bytes(4000)) {
        // The key store answers one request at a time.
        let answer = stream.write_all(&frame).ok().and_then(|()| receive(&mut stream));
        let Some(answer) = answer else { return };
        if bulkhead_tests::hostile::is_signature(&answer) {
            // The test looks for this.
            tracing::error!("a locked wallet gave a signature");
        }
    }
    // At last a frame that claims more than the edge allows.
    let _ = stream.write_all(&u32::MAX.to_le_bytes());
    loop {
        std::thread::park_timeout(Duration::from_secs(60));
    }
}
