//! The connection to a Tor control port (`-torcontrol`, `-listenonion`): kept up for ever, since the onion service
//! lives as long as it does.

use std::fs::File;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_control::NetConfig;
use bulkhead_wire::torcontrol::ReplyReader;
use bulkhead_wire::{Endpoint, Network};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::Node;
use super::proxies::{Proxy, ProxyAddress};
use super::stream::Stream;
use crate::engine::LOCAL_MANUAL;
use crate::tor_dialogue::{Action, Dialogue, Wanted};

const CONTROL_PORT: u16 = 9051;
/// After a failure the next attempt waits, each time half as long again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const READ_SIZE: usize = 4096;
/// More than a cookie has; the dialogue refuses it.
const MAX_COOKIE: u64 = 64;
/// The file with the service's key.
pub const KEY_FILE: &str = "onion_v3_private_key";

/// What the connection is about.
#[derive(Debug)]
pub struct Tor {
    control: String,
    wanted: Wanted,
    key: String,
    /// `-onlynet` leaves onion addresses.
    allowed: bool,
}

impl Tor {
    /// Reads the options; `None`: no onion service is wanted. `key`: as the file has it.
    #[must_use]
    pub fn new(config: &NetConfig, port: u16, key: Option<Vec<u8>>) -> Option<Self> {
        // The socket for the onion service, else the first that listens for everybody (`-bind`).
        let of_kind = |kind| config.listeners.iter().find(|entry| entry.split(' ').nth(1) == Some(kind));
        let target = of_kind("onion").or_else(|| of_kind("clear"))?.split(' ').next()?.to_owned();
        if !config.listen || !config.listenonion {
            return None;
        }
        let wanted = Wanted { target, port, password: config.torpassword.clone(), needs_proxy: config.onion.is_empty() };
        let only_others =
            !config.onlynet.is_empty() && config.onlynet.iter().all(|name| Network::parse(name) != Some(Network::Onion));
        Some(Self {
            control: config.torcontrol.clone(),
            wanted,
            key: key.and_then(|key| String::from_utf8(key).ok()).unwrap_or_default(),
            allowed: !only_others,
        })
    }
}

impl Node {
    /// Keeps the onion service, for ever.
    pub async fn keep_onion_service(self: Rc<Self>, mut tor: Tor) {
        let mut pause = FIRST_PAUSE;
        loop {
            tracing::debug!(target: "tor", "Attempting to connect to Tor control port {}", tor.control);
            if let Some(stream) = self.connect_to_tor(&tor.control).await {
                pause = FIRST_PAUSE;
                let service = self.talk_to_tor(&mut tor, stream).await;
                if let Some(service) = service {
                    self.with(|engine| engine.remove_local(&service));
                }
                tracing::debug!(target: "tor", "Not connected to Tor control port {}, will retry", tor.control);
                sleep(FIRST_PAUSE).await;
                continue;
            }
            tracing::warn!(target: "net", "tor: Initiating connection to Tor control port {} failed", tor.control);
            tracing::debug!(target: "tor", "Retrying in {:.1} seconds", pause.as_secs_f64());
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect_to_tor(&self, control: &str) -> Option<Stream> {
        let Some(socket) = Endpoint::parse(control, CONTROL_PORT).and_then(|endpoint| endpoint.socket()) else {
            tracing::warn!(target: "net", "tor: Failed to look up control center {control}");
            return None;
        };
        let stream = self.directly(socket, true).await;
        match &stream {
            Some(_) => tracing::debug!(target: "tor", "Successfully connected to Tor control port"),
            None => tracing::warn!(target: "net", "tor: Error connecting to address {control}"),
        }
        stream
    }

    /// Talks until the connection is lost; the service that is gone with it.
    async fn talk_to_tor(self: &Rc<Self>, tor: &mut Tor, mut stream: Stream) -> Option<Endpoint> {
        let mut dialogue = Dialogue::new(tor.wanted.clone(), tor.key.clone(), thread_rng().r#gen());
        let mut reader = ReplyReader::default();
        let mut service = None;
        let first = dialogue.start();
        if self.act(tor, &mut dialogue, &mut stream, first, &mut service).await.is_err() {
            return service;
        }
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let count = match stream.read(&mut buffer).await {
                Ok(0) => {
                    tracing::debug!(target: "tor", "End of stream");
                    return service;
                }
                Ok(count) => count,
                Err(error) => {
                    tracing::warn!(target: "net", "tor: Error reading from socket: {error}");
                    return service;
                }
            };
            let mut bytes = &buffer[..count];
            while !bytes.is_empty() {
                match reader.push(&mut bytes) {
                    Ok(Some(reply)) => {
                        let actions = dialogue.reply(&reply);
                        if self.act(tor, &mut dialogue, &mut stream, actions, &mut service).await.is_err() {
                            return service;
                        }
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(target: "net", "tor: Error processing receive buffer: {error}");
                        return service;
                    }
                }
            }
        }
    }

    async fn act(
        self: &Rc<Self>,
        tor: &mut Tor,
        dialogue: &mut Dialogue,
        stream: &mut Stream,
        actions: Vec<Action>,
        service: &mut Option<Endpoint>,
    ) -> std::io::Result<()> {
        let mut waiting = std::collections::VecDeque::from(actions);
        while let Some(action) = waiting.pop_front() {
            match action {
                Action::Send(line) => stream.write_all(format!("{line}\r\n").as_bytes()).await?,
                Action::ReadCookie(path) => {
                    let cookie = self.descriptor("torCookie", &path).await.and_then(|descriptor| {
                        let mut bytes = Vec::new();
                        File::from(descriptor).take(MAX_COOKIE).read_to_end(&mut bytes).ok()?;
                        Some(bytes)
                    });
                    waiting.extend(dialogue.cookie(&path, cookie));
                }
                Action::UseProxy(socket) => {
                    self.proxies.borrow_mut().set_onion(Proxy { address: ProxyAddress::Tcp(socket), isolate: true });
                    if tor.allowed {
                        self.with(|engine| engine.add_reachable(Network::Onion));
                    }
                }
                Action::Announce { service: at, key } => {
                    self.files.borrow().write_key(KEY_FILE, key.clone().into_bytes());
                    tor.key = key;
                    self.with(|engine| engine.add_local(at, LOCAL_MANUAL));
                    *service = Some(at);
                }
            }
        }
        Ok(())
    }
}
