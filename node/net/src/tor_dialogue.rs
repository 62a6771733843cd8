//! What is said on a Tor control port to get an onion service, without a socket (Core: `torcontrol.cpp`).

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use bulkhead_wire::torcontrol::{Reply, mapping, split_line};
use bulkhead_wire::{Endpoint, sanitize};

/// Bytes of the cookie and of the nonces.
const COOKIE_SIZE: usize = 32;
const SERVER_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";
const CLIENT_KEY: &[u8] = b"Tor safe cookie authentication controller-to-server hash";
const OK: u16 = 250;
const UNRECOGNIZED: u16 = 510;
const SYNTAX_ERROR: u16 = 512;
/// Where Tor's SOCKS proxy is when Tor does not say.
const DEFAULT_SOCKS: &str = "127.0.0.1:9050";
const SOCKS_PORT: u16 = 9050;
/// Asks Tor for a key of the only kind that is left.
const NEW_KEY: &str = "NEW:ED25519-V3";

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this line.
    Send(String),
    /// Read the cookie in this file, then call [`Dialogue::cookie`].
    ReadCookie(String),
    /// Onion addresses are reached through this proxy.
    UseProxy(SocketAddr),
    /// Our service is there, under this key.
    Announce {
        /// Where peers reach it.
        service: Endpoint,
        /// To be kept for the next start.
        key: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ProtocolInfo,
    Challenge,
    Authenticate,
    Socks,
    AddOnion { proof_of_work: bool },
}

/// What the dialogue needs to know.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where Tor shall forward to.
    pub target: String,
    /// Port of the service.
    pub port: u16,
    /// `-torpassword`.
    pub password: String,
    /// No proxy for onion addresses was given.
    pub needs_proxy: bool,
}

/// One connection to the control port.
#[derive(Debug)]
pub struct Dialogue {
    wanted: Wanted,
    key: String,
    nonce: [u8; COOKIE_SIZE],
    cookie: Vec<u8>,
    asked: VecDeque<Asked>,
}

fn hmac(key: &[u8], parts: [&[u8]; 3]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    for part in parts {
        engine.input(part);
    }
    Hmac::from_engine(engine).to_byte_array()
}

impl Dialogue {
    /// A new one. `key`: of the service that we had before; empty: none.
    #[must_use]
    pub fn new(wanted: Wanted, key: String, nonce: [u8; COOKIE_SIZE]) -> Self {
        Self { wanted, key, nonce, cookie: Vec::new(), asked: VecDeque::new() }
    }

    fn ask(&mut self, asked: Asked, command: String) -> Vec<Action> {
        self.asked.push_back(asked);
        vec![Action::Send(command)]
    }

    /// The first words.
    #[must_use]
    pub fn start(&mut self) -> Vec<Action> {
        self.ask(Asked::ProtocolInfo, "PROTOCOLINFO 1".to_owned())
    }

    /// A reply came.
    #[must_use]
    pub fn reply(&mut self, reply: &Reply) -> Vec<Action> {
        if reply.code >= 600 {
            tracing::debug!(target: "tor", "Received async notification {}", reply.code);
            return Vec::new();
        }
        match self.asked.pop_front() {
            Some(Asked::ProtocolInfo) => self.on_protocol_info(reply),
            Some(Asked::Challenge) => self.on_challenge(reply),
            Some(Asked::Authenticate) => self.on_authenticated(reply),
            Some(Asked::Socks) => vec![Action::UseProxy(socks_proxy(reply))],
            Some(Asked::AddOnion { proof_of_work }) => self.on_service(reply, proof_of_work),
            None => {
                tracing::debug!(target: "tor", "Received unexpected sync reply {}", reply.code);
                Vec::new()
            }
        }
    }

    fn on_protocol_info(&mut self, reply: &Reply) -> Vec<Action> {
        if reply.code != OK {
            tracing::warn!(target: "net", "tor: Requesting protocol info failed");
            return Vec::new();
        }
        let mut methods = BTreeSet::new();
        let mut cookie_file = String::new();
        for line in &reply.lines {
            let (kind, rest) = split_line(line);
            let mut found = mapping(rest);
            match kind {
                "AUTH" => {
                    if let Some(listed) = found.get("METHODS") {
                        methods = listed.split(',').map(str::to_owned).collect();
                    }
                    if let Some(path) = found.remove("COOKIEFILE") {
                        cookie_file = path;
                    }
                }
                "VERSION" => {
                    if let Some(version) = found.get("Tor") {
                        tracing::debug!(target: "tor", "Connected to Tor version {}", sanitize(version.as_bytes()));
                    }
                }
                _ => {}
            }
        }
        for method in &methods {
            tracing::debug!(target: "tor", "Supported authentication method: {}", sanitize(method.as_bytes()));
        }
        self.authenticate(&methods, cookie_file)
    }

    fn authenticate(&mut self, methods: &BTreeSet<String>, cookie_file: String) -> Vec<Action> {
        let offered = |method: &str| methods.contains(method);
        if !self.wanted.password.is_empty() {
            if offered("HASHEDPASSWORD") {
                tracing::debug!(target: "tor", "Using HASHEDPASSWORD authentication");
                let quoted = self.wanted.password.replace('"', "\\\"");
                return self.ask(Asked::Authenticate, format!("AUTHENTICATE \"{quoted}\""));
            }
            tracing::warn!(
                target: "net",
                "tor: Password provided with -torpassword, but HASHEDPASSWORD authentication is not available"
            );
        } else if offered("NULL") {
            tracing::debug!(target: "tor", "Using NULL authentication");
            return self.ask(Asked::Authenticate, "AUTHENTICATE".to_owned());
        } else if offered("SAFECOOKIE") {
            tracing::debug!(
                target: "tor",
                "Using SAFECOOKIE authentication, reading cookie authentication from {}", sanitize(cookie_file.as_bytes())
            );
            return vec![Action::ReadCookie(cookie_file)];
        } else if offered("HASHEDPASSWORD") {
            tracing::warn!(
                target: "net",
                "tor: The only supported authentication mechanism left is password, but no password provided with -torpassword"
            );
        } else {
            tracing::warn!(target: "net", "tor: No supported authentication method");
        }
        Vec::new()
    }

    /// The cookie was read; `None`: it could not be.
    #[must_use]
    pub fn cookie(&mut self, path: &str, cookie: Option<Vec<u8>>) -> Vec<Action> {
        let shown = sanitize(path.as_bytes());
        match cookie {
            Some(cookie) if cookie.len() == COOKIE_SIZE => {
                self.cookie = cookie;
                self.ask(Asked::Challenge, format!("AUTHCHALLENGE SAFECOOKIE {}", hex::encode(self.nonce)))
            }
            Some(_) => {
                tracing::warn!(
                    target: "net",
                    "tor: Authentication cookie {shown} is not exactly {COOKIE_SIZE} bytes, as is required by the spec"
                );
                Vec::new()
            }
            None => {
                tracing::warn!(
                    target: "net",
                    "tor: Authentication cookie {shown} could not be opened (check permissions)"
                );
                Vec::new()
            }
        }
    }

    fn on_challenge(&mut self, reply: &Reply) -> Vec<Action> {
        if reply.code != OK {
            tracing::warn!(target: "net", "tor: SAFECOOKIE authentication challenge failed");
            return Vec::new();
        }
        tracing::debug!(target: "tor", "SAFECOOKIE authentication challenge successful");
        let ("AUTHCHALLENGE", rest) = reply.lines.first().map_or(("", ""), |line| split_line(line)) else {
            tracing::warn!(target: "net", "tor: Invalid reply to AUTHCHALLENGE");
            return Vec::new();
        };
        let found = mapping(rest);
        let bytes = |name: &str| found.get(name).and_then(|text| hex::decode(text).ok()).unwrap_or_default();
        let (server_hash, server_nonce) = (bytes("SERVERHASH"), bytes("SERVERNONCE"));
        if server_nonce.len() != COOKIE_SIZE {
            tracing::warn!(target: "net", "tor: ServerNonce is not 32 bytes, as required by spec");
            return Vec::new();
        }
        // Only who can read the cookie, as we can, may hear what proves that we can.
        if hmac(SERVER_KEY, [&self.cookie, &self.nonce, &server_nonce]).as_slice() != server_hash {
            tracing::warn!(target: "net", "tor: ServerHash does not match expected ServerHash");
            return Vec::new();
        }
        let proof = hmac(CLIENT_KEY, [&self.cookie, &self.nonce, &server_nonce]);
        self.ask(Asked::Authenticate, format!("AUTHENTICATE {}", hex::encode(proof)))
    }

    fn on_authenticated(&mut self, reply: &Reply) -> Vec<Action> {
        if reply.code != OK {
            tracing::warn!(target: "net", "tor: Authentication failed");
            return Vec::new();
        }
        tracing::debug!(target: "tor", "Authentication successful");
        let mut actions = Vec::new();
        if self.wanted.needs_proxy {
            actions.extend(self.ask(Asked::Socks, "GETINFO net/listeners/socks".to_owned()));
        }
        if self.key.is_empty() {
            self.key = NEW_KEY.to_owned();
        }
        actions.extend(self.add_onion(true));
        actions
    }

    fn add_onion(&mut self, proof_of_work: bool) -> Vec<Action> {
        let defence = if proof_of_work { " PoWDefensesEnabled=1" } else { "" };
        let command = format!("ADD_ONION {}{defence} Port={},{}", self.key, self.wanted.port, self.wanted.target);
        self.ask(Asked::AddOnion { proof_of_work }, command)
    }

    fn on_service(&mut self, reply: &Reply, proof_of_work: bool) -> Vec<Action> {
        match reply.code {
            OK => self.on_added(reply, proof_of_work),
            UNRECOGNIZED => {
                tracing::warn!(
                    target: "net",
                    "tor: Add onion failed with unrecognized command (You probably need to upgrade Tor)"
                );
                Vec::new()
            }
            SYNTAX_ERROR if proof_of_work => {
                tracing::debug!(target: "tor", "ADD_ONION failed with PoW defenses, retrying without");
                self.add_onion(false)
            }
            code => {
                tracing::warn!(target: "net", "tor: Add onion failed; error code {code}");
                Vec::new()
            }
        }
    }

    fn on_added(&mut self, reply: &Reply, proof_of_work: bool) -> Vec<Action> {
        let state = if proof_of_work { "enabled" } else { "disabled" };
        tracing::debug!(target: "tor", "ADD_ONION successful (PoW defenses {state})");
        let mut id = String::new();
        for mut found in reply.lines.iter().map(|line| mapping(line)) {
            if let Some(service) = found.remove("ServiceID") {
                id = service;
            }
            if let Some(key) = found.remove("PrivateKey") {
                self.key = key;
            }
        }
        let service = Endpoint::parse(&format!("{id}.onion"), self.wanted.port);
        let Some(service) = service.filter(|_| !id.is_empty()) else {
            tracing::warn!(target: "net", "tor: Error parsing ADD_ONION parameters:");
            for line in &reply.lines {
                tracing::warn!(target: "net", "    {}", sanitize(line.as_bytes()));
            }
            return Vec::new();
        };
        tracing::info!(target: "net", "Got tor service ID {id}, advertising service {service}");
        vec![Action::Announce { service, key: self.key.clone() }]
    }
}

/// Where Tor's SOCKS proxy is: on this machine, if it says so.
fn socks_proxy(reply: &Reply) -> SocketAddr {
    let mut location = String::new();
    if reply.code == OK {
        let listed = reply.lines.iter().filter_map(|line| line.strip_prefix("net/listeners/socks="));
        for place in listed.flat_map(|list| list.split(' ')) {
            let place = place.trim_matches(['"', '\'']);
            if !place.is_empty() && !location.starts_with("127.0.0.1:") {
                location = place.to_owned();
            }
        }
        if location.is_empty() {
            tracing::warn!(target: "net", "tor: Get SOCKS port command returned nothing");
        } else {
            tracing::debug!(target: "tor", "Get SOCKS port command yielded {}", sanitize(location.as_bytes()));
        }
    } else if reply.code == UNRECOGNIZED {
        tracing::warn!(
            target: "net",
            "tor: Get SOCKS port command failed with unrecognized command (You probably should upgrade Tor)"
        );
    } else {
        tracing::warn!(target: "net", "tor: Get SOCKS port command failed; error code {}", reply.code);
    }
    let named = Endpoint::parse(&location, SOCKS_PORT).and_then(|endpoint| endpoint.socket());
    let proxy = named.unwrap_or_else(|| DEFAULT_SOCKS.parse().expect("a constant address"));
    tracing::debug!(target: "tor", "Configuring onion proxy for {proxy}");
    proxy
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// A service name with a right checksum.
    const SERVICE: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd";

    fn dialogue(password: &str) -> Dialogue {
        let wanted = Wanted { target: "127.0.0.1:8334".into(), port: 8333, password: password.into(), needs_proxy: true };
        let mut dialogue = Dialogue::new(wanted, String::new(), [3; 32]);
        assert_eq!(dialogue.start(), [Action::Send("PROTOCOLINFO 1".into())]);
        dialogue
    }

    fn reply(code: u16, lines: &[&str]) -> Reply {
        Reply { code, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    fn send(text: &str) -> Action {
        Action::Send(text.to_owned())
    }

    #[test]
    fn service_is_made_and_announced() {
        let mut dialogue = dialogue("");
        let info = reply(250, &["PROTOCOLINFO 1", "AUTH METHODS=NULL", "VERSION Tor=\"0.4\"", "OK"]);
        assert_eq!(dialogue.reply(&info), [send("AUTHENTICATE")]);
        let onion = "ADD_ONION NEW:ED25519-V3 PoWDefensesEnabled=1 Port=8333,127.0.0.1:8334";
        assert_eq!(dialogue.reply(&reply(250, &["OK"])), [send("GETINFO net/listeners/socks"), send(onion)]);
        let socks = reply(250, &["net/listeners/socks=\"10.0.0.1:1\" \"127.0.0.1:9150\" \"10.0.0.2:2\"", "OK"]);
        assert_eq!(dialogue.reply(&socks), [Action::UseProxy("127.0.0.1:9150".parse().unwrap())]);
        let retried = dialogue.reply(&reply(512, &["Unrecognized option"]));
        assert_eq!(retried, [send("ADD_ONION NEW:ED25519-V3 Port=8333,127.0.0.1:8334")]);
        let added = reply(250, &[&format!("ServiceID={SERVICE}"), "PrivateKey=ED25519-V3:abc", "OK"]);
        let service = Endpoint::parse(&format!("{SERVICE}.onion:8333"), 0).unwrap();
        assert_eq!(dialogue.reply(&added), [Action::Announce { service, key: "ED25519-V3:abc".into() }]);
        assert_eq!(dialogue.reply(&added), []);
    }

    #[test]
    fn password_goes_quoted_and_only_where_it_is_wanted() {
        let info = reply(250, &["AUTH METHODS=NULL,HASHEDPASSWORD", "OK"]);
        assert_eq!(dialogue("a\"b").reply(&info), [send("AUTHENTICATE \"a\\\"b\"")]);
        assert_eq!(dialogue("a").reply(&reply(250, &["AUTH METHODS=NULL", "OK"])), []);
        assert_eq!(dialogue("").reply(&reply(250, &["AUTH METHODS=HASHEDPASSWORD", "OK"])), []);
    }

    #[test]
    fn cookie_is_proved_only_to_who_knows_it() {
        let info = reply(250, &["AUTH METHODS=SAFECOOKIE COOKIEFILE=\"/run/control_auth_cookie\"", "OK"]);
        let begin = || {
            let mut dialogue = dialogue("");
            assert_eq!(dialogue.reply(&info), [Action::ReadCookie("/run/control_auth_cookie".into())]);
            let challenge = dialogue.cookie("x", Some(vec![1; 32]));
            assert_eq!(challenge, [send(&format!("AUTHCHALLENGE SAFECOOKIE {}", "03".repeat(32)))]);
            dialogue
        };
        let (nonce, cookie) = ([9; 32], [1; 32]);
        let answer = |hash: [u8; 32]| {
            let text = format!("AUTHCHALLENGE SERVERHASH={} SERVERNONCE={}", hex::encode(hash), hex::encode(nonce));
            reply(250, &[&text])
        };
        let proof = hmac(CLIENT_KEY, [&cookie, &[3; 32], &nonce]);
        let right = hmac(SERVER_KEY, [&cookie, &[3; 32], &nonce]);
        assert_eq!(begin().reply(&answer(right)), [send(&format!("AUTHENTICATE {}", hex::encode(proof)))]);
        assert_eq!(begin().reply(&answer([0; 32])), []);
        assert_eq!(dialogue("").cookie("x", Some(vec![1; 31])), []);
        assert_eq!(dialogue("").cookie("x", None), []);
    }
}
