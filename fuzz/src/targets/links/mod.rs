//! Whole conversations on a live edge in memory: real servers behind the real link, and what a process that was taken over
//! could say at the other end (`bulkhead_tests::hostile` turns any bytes into such a conversation).

#[cfg(feature = "engine")]
mod chain;
mod clients;
mod echo;
#[cfg(feature = "engine")]
mod front_door;
mod net;
#[cfg(feature = "engine")]
mod wallet;

#[cfg(feature = "engine")]
pub use chain::{net_chain_server, rpc_chain_server, wallet_chain_server};
pub use clients::{gui_client, net_chain_client, rpc_chain_client, rpc_net_client, rpc_wallet_client, wallet_chain_client};
pub use echo::echo_server;
#[cfg(feature = "engine")]
pub use front_door::{gui_rpc_server, outside_rpc_server, rpc_chain_events};
pub use net::{net_chain_events, rpc_net_server};
#[cfg(feature = "engine")]
pub use wallet::{gui_wallet_server, rpc_wallet_server, wallet_chain_events};

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bulkhead_link::connect;
use bulkhead_tests::hostile::{Edge, Script, answer_with_nothing, conversation, edge};
use capnp::any_pointer::Owned as Any;
use capnp::capability::Client;
use capnp::message::ReaderOptions;
use capnp_rpc::rpc_capnp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A server that has said nothing for so long has said all.
const QUIET: Duration = Duration::from_millis(2);
/// As long as it owes answers it is given more time: chain has them made by other threads.
const OWING: Duration = Duration::from_millis(20);
/// Longest that one conversation may take; a server that is still busy then does not bound its work.
const PATIENCE: Duration = Duration::from_secs(8);
/// Most bytes that the answers to one conversation may have: 400 messages, a few of them with blocks or lists.
const MAX_ANSWERS: usize = 256 << 20;

/// Most segments of one answer: as many as Cap'n Proto itself reads.
const MAX_SEGMENTS: usize = 512;

fn known(name: &str) -> Edge {
    edge(name).expect("the edge is in the table")
}

/// The edge as its calling end serves it: what the other end calls back.
fn called_back(name: &str) -> Edge {
    let edge = known(name);
    Edge { served: edge.called_back.into_iter().collect(), called_back: None, ..edge }
}

/// Says to a server what `data` makes up, hangs up, and asks it something on a new connection: it must answer, if only that it
/// does not want to.
async fn converse(edge: &Edge, data: &[u8], serve: impl Fn(OwnedFd)) {
    let (ours, theirs) = pair();
    serve(theirs);
    say(ours, conversation(data, edge)).await;
    let (ours, theirs) = pair();
    serve(theirs);
    let next: Client = connect(ours, edge.name, None).expect("a stream").client;
    let call = next.new_call::<Any, Any>(edge.served[0].id, 0, None).send().promise;
    let answer = tokio::time::timeout(PATIENCE, call).await.expect("an answer in time");
    let lost = answer.err().filter(|error| error.kind == capnp::ErrorKind::Disconnected);
    assert!(lost.is_none(), "{lost:?}");
}

fn pair() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().expect("descriptors are left");
    (ours.into(), theirs.into())
}

/// A stream that the runtime of this thread watches.
fn watched(descriptor: OwnedFd) -> tokio::net::UnixStream {
    let stream = UnixStream::from(descriptor);
    stream.set_nonblocking(true).expect("a fresh socket");
    tokio::net::UnixStream::from_std(stream).expect("a stream of this runtime")
}

/// What a server says: whole messages, one behind the other.
struct Answers {
    /// The beginning of a message.
    waiting: Vec<u8>,
    /// Questions that were answered.
    returned: u32,
    /// What calls us back is answered with nothing.
    replies: UnboundedSender<Vec<u8>>,
}

impl Answers {
    fn take(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        let mut rest = self.waiting.as_slice();
        while message_length(rest).is_some_and(|length| length <= rest.len()) {
            let options = ReaderOptions::new();
            let message = capnp::serialize::read_message_from_flat_slice(&mut rest, options).expect("segments as announced");
            let root = message.get_root::<rpc_capnp::message::Reader<'_>>().expect("an answer is a message");
            let kind = root.which().expect("a message of a known kind");
            match kind {
                rpc_capnp::message::Return(_) => self.returned += 1,
                rpc_capnp::message::Call(call) => {
                    let question = call.expect("a call of the server's own").get_question_id();
                    // The writer may have found nobody to write to.
                    let _ = self.replies.send(answer_with_nothing(question));
                }
                _ => {}
            }
        }
        let left = rest.len();
        self.waiting.drain(..self.waiting.len() - left);
    }
}

/// Bytes of the message that begins here, by its table of segments; `None`: the table is not there yet.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let segments = number(0)? + 1;
    assert!(segments <= MAX_SEGMENTS, "an answer of {segments} segments");
    let words = (0..segments).map(|at| number(4 + 4 * at)).sum::<Option<usize>>()?;
    assert!(words * 8 <= MAX_ANSWERS, "an answer of {words} words");
    Some((segments / 2 + 1 + words) * 8)
}

/// Says all messages and takes what comes back until the other side is quiet, then hangs up. Answers how many bytes came.
async fn say(ours: OwnedFd, script: Script) -> usize {
    let Script { messages, questions } = script;
    let (mut reader, mut writer) = watched(ours).into_split();
    let (replies, mut waiting) = unbounded_channel::<Vec<u8>>();
    let writing = async move {
        for message in messages {
            if writer.write_all(&message).await.is_err() {
                return None;
            }
        }
        while let Some(reply) = waiting.recv().await {
            if writer.write_all(&reply).await.is_err() {
                return None;
            }
        }
        Some(writer)
    };
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        let mut total = 0;
        let mut answers = Answers { waiting: Vec::new(), returned: 0, replies };
        loop {
            let quiet = if answers.returned < questions { OWING } else { QUIET };
            match tokio::time::timeout(quiet, reader.read(&mut buffer)).await {
                Ok(Ok(0)) => return total,
                Ok(Ok(count)) => {
                    total += count;
                    answers.take(&buffer[..count]);
                }
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(Err(_)) | Err(_) => return total,
            }
            assert!(total <= MAX_ANSWERS, "{total} bytes of answers");
        }
    };
    // The writing half stays open until the answers were taken.
    let (writer, total) = tokio::time::timeout(PATIENCE, futures::future::join(writing, reading)).await.expect("an end in time");
    drop(writer);
    total
}
