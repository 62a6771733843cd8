//! Whole conversations on a live edge in memory: real servers behind the real link, and what a process that was taken over
//! could say at the other end (`bulkhead_tests::hostile` turns any bytes into such a conversation).

#[cfg(feature = "engine")]
mod chain;
mod clients;
mod echo;

#[cfg(feature = "engine")]
pub use chain::{net_chain_server, rpc_chain_server, wallet_chain_server};
pub use clients::{gui_client, net_chain_client, rpc_chain_client, rpc_net_client, rpc_wallet_client, wallet_chain_client};
pub use echo::echo_server;

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bulkhead_tests::hostile::{Edge, edge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that has said nothing for so long has said all.
const QUIET: Duration = Duration::from_millis(2);
/// Longest that one conversation may take; a server that is still busy then does not bound its work.
const PATIENCE: Duration = Duration::from_secs(8);
/// Most bytes that the answers to one conversation may have: 400 messages, a few of them with blocks or lists.
const MAX_ANSWERS: usize = 256 << 20;

fn known(name: &str) -> Edge {
    edge(name).expect("the edge is in the table")
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

/// Says all messages and takes what comes back until the other side is quiet, then hangs up. Answers how many bytes came.
async fn say(ours: OwnedFd, messages: Vec<Vec<u8>>) -> usize {
    let (mut reader, mut writer) = watched(ours).into_split();
    let writing = async move {
        for message in messages {
            if writer.write_all(&message).await.is_err() {
                return None;
            }
        }
        Some(writer)
    };
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        let mut total = 0;
        loop {
            match tokio::time::timeout(QUIET, reader.read(&mut buffer)).await {
                Ok(Ok(0)) => return total,
                Ok(Ok(count)) => total += count,
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
