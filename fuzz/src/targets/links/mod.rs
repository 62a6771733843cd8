//! Whole conversations on a live edge in memory: real servers behind the real link, and what a process that was taken over
//! could say at the other end (`bulkhead_tests::hostile` turns any bytes into such a conversation).

#[cfg(feature = "engine")]
mod bystanders;
#[cfg(feature = "engine")]
mod chain;
mod clients;
mod echo;
#[cfg(feature = "engine")]
mod front_door;
mod net;
mod shown;
#[cfg(feature = "engine")]
mod wallet;

#[cfg(feature = "engine")]
pub use chain::{ask, context, empty_pool, net_chain_server, rpc_chain_server, wallet_chain_server};
pub use clients::{gui_client, net_chain_client, rpc_chain_client, rpc_net_client, rpc_wallet_client, wallet_chain_client};
pub use echo::echo_server;
#[cfg(feature = "engine")]
pub use front_door::{gui_rpc_server, outside_rpc_server, rpc_chain_events};
pub use net::{net_chain_events, rpc_net_server};
#[cfg(feature = "engine")]
pub use wallet::{gui_wallet_server, rpc_wallet_server, wallet_chain_events};

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bulkhead_link::connect;
use bulkhead_tests::hostile::{Edge, Script, answer_with_nothing, conversation, edge};
use capnp::any_pointer::Owned as Any;
use capnp::capability::Client;
use capnp::message::ReaderOptions;
use capnp_rpc::rpc_capnp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedReadHalf;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// A server that has said nothing for so many turns of the event loop has said all. In each turn everything that can go on does.
const TURNS: u32 = 64;
/// As long as it owes answers it is given more time: some are made by other threads.
const OWING: Duration = Duration::from_millis(4);
/// And more when it is known that they work.
const WORKING: Duration = Duration::from_millis(20);
/// Between two looks at what other threads do.
const WINK: Duration = Duration::from_micros(20);
/// Longest that one conversation may take; a server that is still busy then does not bound its work. In looks at the clock, because
/// somebody may stop the process for a while.
const PATIENCE: u32 = 80;
const LOOK: Duration = Duration::from_millis(100);
/// Most bytes that the answers to one conversation may have: 400 messages, a few of them with blocks or lists.
const MAX_ANSWERS: usize = 256 << 20;

/// Most segments of one answer: as many as Cap'n Proto itself reads.
const MAX_SEGMENTS: usize = 512;

/// As [`bulkhead_link::run`], on a runtime that is made once.
fn run<T>(conversation: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: &'static Runtime = Box::leak(Box::new(
            Builder::new_current_thread().enable_io().enable_time().build().expect("an event loop"),
        ));
    }
    LocalSet::new().block_on(RUNTIME.with(|runtime| *runtime), conversation)
}

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
async fn converse(edge: &Edge, data: &[u8], works: Works<'_>, serve: impl Fn(OwnedFd)) {
    let (ours, theirs) = pair();
    serve(theirs);
    say(ours, conversation(data, edge), works).await;
    let (ours, theirs) = pair();
    serve(theirs);
    let next: Client = connect(ours, edge.name, None).expect("a stream").client;
    let call = next.new_call::<Any, Any>(edge.served[0].id, 0, None).send().promise;
    let answer = patiently(call, "no answer in time").await;
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

/// Reads what has come; 0: nothing comes before `quiet`, or ever.
async fn read(reader: &mut OwnedReadHalf, buffer: &mut [u8], quiet: impl Future<Output = ()>) -> usize {
    tokio::select! {
        biased;
        count = reader.read(buffer) => count.unwrap_or(0),
        () = quiet => 0,
    }
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

/// Whether other threads are known to work for a server; `None`: it does everything on this thread.
type Works<'a> = Option<&'a dyn Fn() -> bool>;

/// Resolves when the server has nothing to say any more. `owed`: it has been asked something that it has not answered.
async fn quiet(owed: bool, works: Works<'_>) {
    let begin = Instant::now();
    let mut turns = 0;
    while turns < TURNS {
        tokio::task::yield_now().await;
        turns += 1;
        let Some(works) = works else { continue };
        let waited = begin.elapsed();
        if waited < WORKING && works() || waited < OWING && owed {
            turns = 0;
            std::thread::sleep(WINK);
        }
    }
}

/// Waits for what other threads do.
#[cfg(feature = "engine")]
async fn until(done: impl Fn() -> bool, otherwise: &str) {
    let waiting = async {
        while !done() {
            std::thread::sleep(WINK);
            tokio::task::yield_now().await;
        }
    };
    patiently(waiting, otherwise).await;
}

/// What `future` resolves to; that it never does is a finding.
async fn patiently<T>(future: impl Future<Output = T>, otherwise: &str) -> T {
    let looks = async {
        for _ in 0..PATIENCE {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        value = future => value,
        () = looks => panic!("{otherwise}"),
    }
}

/// Says all messages and takes what comes back until the other side is quiet, then hangs up. Answers how many bytes came.
async fn say(ours: OwnedFd, script: Script, works: Works<'_>) -> usize {
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
            match read(&mut reader, &mut buffer, quiet(answers.returned < questions, works)).await {
                0 => return total,
                count => {
                    total += count;
                    answers.take(&buffer[..count]);
                }
            }
            assert!(total <= MAX_ANSWERS, "{total} bytes of answers");
        }
    };
    // The writing half stays open until the answers were taken.
    let (writer, total) = patiently(futures::future::join(writing, reading), "no end in time").await;
    drop(writer);
    total
}
