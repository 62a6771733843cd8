//! I2P through a SAM bridge: sessions, outgoing and incoming connections.
//!
//! With `-i2pacceptincoming` there is one session with a lasting address, whose private key is kept in
//! `i2p_private_key`; all connections share it. Without, each connection has a session of its own, so that peers can't
//! tell that two connections come from the same node.

use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_wire::Endpoint;
use bulkhead_wire::sam::{self, Reply, SamError};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Node;
use super::connect::{Reached, Unreached};
use super::proxies::Proxy;
use super::stream::Stream;
use crate::engine::LOCAL_MANUAL;
use crate::engine::kind::ConnectionKind;
use crate::engine::peer::NewPeer;
use crate::engine::permission::Permissions;

/// The bridge may take this long for an answer: it asks the network.
const ANSWER: Duration = Duration::from_secs(3 * 60);
/// Sessions without a connection that are kept for the next one.
const MAX_UNUSED: usize = 10;
/// After a failure the next attempt to listen waits, each time longer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The file with the lasting key.
pub const KEY_FILE: &str = "i2p_private_key";

#[derive(Debug, Error)]
enum SessionError {
    #[error(transparent)]
    Sam(#[from] SamError),
    #[error("Cannot connect to {0}")]
    Bridge(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the bridge does not answer")]
    Timeout,
    #[error("Received too many bytes without a terminator ({} bytes)", sam::MAX_LINE)]
    LongLine,
    #[error("a line that is not UTF-8")]
    NotUtf8,
    #[error("Invalid session id")]
    InvalidId,
    #[error("\"{0}\"")]
    Unreachable(String),
    #[error("\"{0}\"")]
    Answer(String),
    #[error("unexpected reply that hints the session is unusable: {0}")]
    Unusable(String),
}

/// A session, as long as its control stream lives.
#[derive(Debug)]
struct Open {
    control: Stream,
    id: String,
    me: Endpoint,
}

/// A session that is made when it is needed.
#[derive(Debug)]
pub struct Session {
    bridge: Proxy,
    transient: bool,
    /// The lasting key.
    key: Option<Vec<u8>>,
    open: Option<Open>,
}

/// Everything about I2P.
#[derive(Debug, Default)]
pub struct I2p {
    /// With the lasting address.
    lasting: tokio::sync::Mutex<Option<Session>>,
    unused: std::cell::RefCell<Vec<Session>>,
}

impl I2p {
    /// `lasting`: connections come in, too; `key`: as the file has it.
    #[must_use]
    pub fn new(bridge: Option<&Proxy>, lasting: bool, key: Option<Vec<u8>>) -> Self {
        let session =
            bridge.filter(|_| lasting).map(|bridge| Session { bridge: bridge.clone(), transient: false, key, open: None });
        Self { lasting: tokio::sync::Mutex::new(session), unused: std::cell::RefCell::default() }
    }
}

/// A line without its newline. Byte by byte, because what follows may belong to the peer.
async fn read_line(stream: &mut Stream) -> Result<String, SessionError> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return String::from_utf8(line).map_err(|_| SessionError::NotUtf8),
            _ if line.len() == sam::MAX_LINE => return Err(SessionError::LongLine),
            byte => line.push(byte),
        }
    }
}

async fn ask(stream: &mut Stream, request: &str) -> Result<Reply, SessionError> {
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let line = timeout(ANSWER, read_line(stream)).await.map_err(|_| SessionError::Timeout)??;
    Ok(Reply::new(line, request))
}

async fn ask_ok(stream: &mut Stream, request: &str) -> Result<Reply, SessionError> {
    Ok(ask(stream, request).await?.checked()?)
}

async fn hello(node: &Rc<Node>, bridge: &Proxy) -> Result<Stream, SessionError> {
    let mut stream = node.to_proxy(bridge).await.ok_or_else(|| SessionError::Bridge(bridge.to_string()))?;
    ask_ok(&mut stream, "HELLO VERSION MIN=3.1 MAX=3.1").await?;
    Ok(stream)
}

/// Whether the other end hung up.
async fn is_lost(stream: &mut Stream) -> bool {
    // Nothing is ever said on it, so waiting for a byte shows only the end.
    matches!(timeout(Duration::ZERO, stream.read_u8()).await, Ok(Err(_)))
}

/// Turns a stream to the bridge into one to a peer.
async fn connect(stream: &mut Stream, id: &str, to: &Endpoint) -> Result<(), SessionError> {
    let lookup = ask_ok(stream, &format!("NAMING LOOKUP NAME={}", to.addr)).await?;
    let destination = lookup.get("VALUE")?;
    let reply = ask(stream, &format!("STREAM CONNECT ID={id} DESTINATION={destination} SILENT=false")).await?;
    match reply.get("RESULT")? {
        "OK" => Ok(()),
        "INVALID_ID" => Err(SessionError::InvalidId),
        "CANT_REACH_PEER" | "TIMEOUT" => Err(SessionError::Unreachable(reply.full)),
        _ => Err(SessionError::Answer(reply.full)),
    }
}

async fn connect_on(
    begun: Result<(Stream, String, Endpoint), SessionError>,
    to: &Endpoint,
) -> Result<(Stream, Endpoint), SessionError> {
    let (mut stream, id, me) = begun?;
    connect(&mut stream, &id, to).await?;
    Ok((stream, me))
}

fn unreached(to: &Endpoint, error: &SessionError) -> Unreached {
    tracing::debug!(target: "i2p", "Error connecting to {to}: {error}");
    if matches!(error, SessionError::Unreachable(_)) { Unreached::Peer } else { Unreached::Proxy }
}

impl Session {
    fn new(bridge: &Proxy) -> Self {
        Self { bridge: bridge.clone(), transient: true, key: None, open: None }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            tracing::info!(target: "net", "Destroying I2P SAM session {}", open.id);
        }
    }

    /// A request failed: the session may be of no more use.
    async fn after(&mut self, error: &SessionError) {
        if matches!(error, SessionError::InvalidId) {
            self.close();
        }
        self.check().await;
    }

    async fn check(&mut self) {
        if let Some(open) = &mut self.open
            && is_lost(&mut open.control).await
        {
            tracing::debug!(target: "i2p", "Control socket error: not connected");
            self.close();
        }
    }

    /// Id and own address; makes the session if there is none.
    async fn opened(&mut self, node: &Rc<Node>) -> Result<(String, Endpoint), SessionError> {
        self.check().await;
        if self.open.is_none() {
            self.create(node).await?;
        }
        self.open.as_ref().map(|open| (open.id.clone(), open.me)).ok_or(SessionError::InvalidId)
    }

    async fn create(&mut self, node: &Rc<Node>) -> Result<(), SessionError> {
        let kind = if self.transient { "transient" } else { "persistent" };
        let id = format!("{:010x}", thread_rng().r#gen::<u64>() >> 24);
        tracing::debug!(target: "i2p", "Creating {kind} I2P SAM session {id} with {}", self.bridge);
        let mut control = hello(node, &self.bridge).await?;
        let key = if self.transient {
            let request = format!(
                "SESSION CREATE STYLE=STREAM ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0 \
                 inbound.quantity=1 outbound.quantity=1"
            );
            sam::decode_base64(ask_ok(&mut control, &request).await?.get("DESTINATION")?)?
        } else {
            let key = match self.key.take() {
                Some(key) => key,
                None => {
                    let reply = ask(&mut control, "DEST GENERATE SIGNATURE_TYPE=7").await?;
                    let key = sam::decode_base64(reply.get("PRIV")?)?;
                    node.files.borrow().write_key(KEY_FILE, key.clone());
                    key
                }
            };
            self.key = Some(key.clone());
            let request = format!(
                "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={} i2cp.leaseSetEncType=4,0 inbound.quantity=3 \
                 outbound.quantity=3",
                sam::encode_base64(&key)
            );
            ask_ok(&mut control, &request).await?;
            key
        };
        let me = sam::address(sam::destination(&key)?);
        let shown = if self.transient { "Transient" } else { "Persistent" };
        tracing::info!(target: "net", "{shown} I2P SAM session {id} created, my address={me}");
        self.open = Some(Open { control, id, me });
        Ok(())
    }

    /// A stream to the bridge on which to ask for a connection, with id and own address.
    async fn begin(&mut self, node: &Rc<Node>) -> Result<(Stream, String, Endpoint), SessionError> {
        let (id, me) = self.opened(node).await?;
        Ok((hello(node, &self.bridge).await?, id, me))
    }

    /// A stream on which the next incoming connection will appear.
    async fn listen(&mut self, node: &Rc<Node>) -> Result<(Stream, Endpoint), SessionError> {
        let (mut stream, id, me) = self.begin(node).await?;
        let reply = ask(&mut stream, &format!("STREAM ACCEPT ID={id} SILENT=false")).await?;
        match reply.get("RESULT")? {
            "OK" => Ok((stream, me)),
            result => {
                if result == "INVALID_ID" {
                    self.close();
                }
                Err(SessionError::Answer(reply.full))
            }
        }
    }
}

impl Node {
    /// `apart`: on a session of its own even if there is a lasting one, whose address others know as ours.
    pub(super) async fn reach_i2p(self: &Rc<Self>, bridge: &Proxy, to: &Endpoint, apart: bool) -> Result<Reached, Unreached> {
        if to.port != sam::PORT {
            tracing::debug!(
                target: "i2p",
                "Error connecting to {to}, connection refused due to arbitrary port {}", to.port
            );
            return Err(Unreached::Peer);
        }
        // The session is held only while it is made: a connection may take minutes.
        let begun = match self.i2p.lasting.lock().await.as_mut() {
            Some(session) if !apart => Some(session.begin(self).await),
            _ => None,
        };
        if let Some(begun) = begun {
            return match connect_on(begun, to).await {
                Ok((stream, me)) => Ok(Reached { stream, local: Some(me), session: None }),
                Err(error) => {
                    if let Some(session) = self.i2p.lasting.lock().await.as_mut() {
                        session.after(&error).await;
                    }
                    Err(unreached(to, &error))
                }
            };
        }
        let kept = self.i2p.unused.borrow_mut().pop();
        let mut session = kept.unwrap_or_else(|| Session::new(bridge));
        let begun = session.begin(self).await;
        match connect_on(begun, to).await {
            Ok((stream, me)) => Ok(Reached { stream, local: Some(me), session: Some(session) }),
            Err(error) => {
                session.after(&error).await;
                let mut unused = self.i2p.unused.borrow_mut();
                if unused.len() < MAX_UNUSED {
                    unused.push(session);
                }
                Err(unreached(to, &error))
            }
        }
    }

    /// Takes connections that come through I2P, for ever.
    pub async fn accept_i2p(self: Rc<Self>) {
        let mut pause = FIRST_PAUSE;
        let mut announced = false;
        loop {
            let listening = match self.i2p.lasting.lock().await.as_mut() {
                Some(session) => session.listen(&self).await,
                None => return,
            };
            let outcome = match listening {
                Ok((stream, me)) => {
                    if !std::mem::replace(&mut announced, true) {
                        self.with(|engine| engine.add_local(me, LOCAL_MANUAL));
                    }
                    self.take_i2p(stream, me).await
                }
                Err(error) => {
                    tracing::error!(target: "net", "Couldn't listen: {error}");
                    self.forget_lost_session().await;
                    Err(())
                }
            };
            if outcome.is_ok() {
                pause = FIRST_PAUSE;
                continue;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn take_i2p(self: &Rc<Self>, mut stream: Stream, me: Endpoint) -> Result<(), ()> {
        let peer = match read_line(&mut stream).await {
            Ok(line) if line.contains("RESULT=I2P_ERROR") => Err(SessionError::Unusable(line)),
            Ok(line) => sam::decode_base64(&line).map_err(SessionError::from),
            Err(error) => Err(error),
        };
        match peer {
            Ok(destination) => {
                let (reader, writer) = stream.split();
                let new =
                    NewPeer { addr: sam::address(&destination), addr_bind: Some(me), ..NewPeer::inbound(Permissions::NONE) };
                debug_assert_eq!(new.kind, ConnectionKind::Inbound);
                self.adopt(new, reader, writer);
                Ok(())
            }
            Err(error) => {
                let closing = matches!(error, SessionError::Unusable(_));
                let shown = if closing { " (will close the session)" } else { "" };
                tracing::debug!(target: "i2p", "Error accepting{shown}: {error}");
                if closing && let Some(session) = self.i2p.lasting.lock().await.as_mut() {
                    session.close();
                }
                self.forget_lost_session().await;
                Err(())
            }
        }
    }

    async fn forget_lost_session(&self) {
        if let Some(session) = self.i2p.lasting.lock().await.as_mut() {
            session.check().await;
        }
    }
}
