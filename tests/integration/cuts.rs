//! Each edge, cut at each of its calls: before the call, while it is being answered, in the middle of the answer, and after
//! it. Whoever calls has a value or an error within a second, and the next call fails at once.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bulkhead_keystore_edge::client::KeystoreClient;
use bulkhead_keystore_edge::{Reply, wire};
use bulkhead_link::Peer;
use bulkhead_schema::names::{self, method_name};
use bulkhead_schema::wire::wallet_keystore_capnp::request;
use bulkhead_tests::hostile::{
    Asked, Edge, Interface, answer_with_nothing, bootstrap_answer, edge, every_request, next_question, union_members,
};
use capnp::any_pointer::Owned as Any;
use capnp::capability::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Time in which a caller must have its value or error.
const PROMPT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The other side is gone when the call is made.
    Before,
    /// It has read the call and is gone.
    During,
    /// It has sent half of its answer and is gone.
    Amid,
    /// It has answered and is gone.
    After,
}

const CUTS: [Cut; 4] = [Cut::Before, Cut::During, Cut::Amid, Cut::After];

fn pair() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours.into(), theirs)
}

/// Serves one call as far as the cut allows.
async fn serve(stream: UnixStream, cut: Cut) {
    stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::UnixStream::from_std(stream).unwrap();
    let mut received = Vec::new();
    loop {
        match next_question(&mut received) {
            Some(Asked::Bootstrap(question)) => stream.write_all(&bootstrap_answer(question)).await.unwrap(),
            Some(Asked::Call(question)) => {
                let answer = answer_with_nothing(question);
                let sent = match cut {
                    Cut::Before | Cut::During => 0,
                    Cut::Amid => answer.len() / 2,
                    Cut::After => answer.len(),
                };
                return stream.write_all(&answer[..sent]).await.unwrap();
            }
            Some(Asked::Other) => {}
            None => {
                if stream.read_buf(&mut received).await.unwrap() == 0 {
                    return;
                }
            }
        }
    }
}

async fn call(client: &Client, interface: Interface, method: u16) -> Result<(), String> {
    let call = client.new_call::<Any, Any>(interface.id, method, None);
    let answered = tokio::time::timeout(PROMPT, call.send().promise).await;
    let answered = answered.map_err(|_| "nothing within a second".to_owned())?;
    answered.map(|_| ()).map_err(|error| format!("error: {error}"))
}

/// What is wrong with one call of one edge, cut there.
fn failure(edge: &Edge, interface: Interface, method: u16, cut: Cut) -> Option<String> {
    let outcome = bulkhead_link::run(async {
        let (ours, theirs) = pair();
        let connection = bulkhead_link::connect::<Client>(ours, edge.name, None).unwrap();
        let peer = Peer::new(edge.name);
        let client = connection.client.clone();
        let mut closed = connection.closed.clone();
        peer.set(connection);
        let server = if cut == Cut::Before {
            drop(theirs);
            None
        } else {
            Some(tokio::task::spawn_local(serve(theirs, cut)))
        };
        let first = call(&client, interface, method).await;
        if let Some(server) = server {
            server.await.map_err(|error| error.to_string())?;
        }
        let expected = match &first {
            Ok(()) => cut == Cut::After,
            // An answer and the end of the connection may be seen at once.
            Err(error) => error.starts_with("error: "),
        };
        if !expected {
            return Err(format!("{first:?}"));
        }
        tokio::time::timeout(PROMPT, closed.wait()).await.map_err(|_| "the end was not seen".to_owned())?;
        if peer.get().is_ok() {
            return Err("the capability is still handed out".to_owned());
        }
        match call(&client, interface, method).await {
            Err(error) if error.starts_with("error: ") => Ok(()),
            other => Err(format!("the next call: {other:?}")),
        }
    });
    outcome.unwrap().err()
}

#[test]
fn every_call_of_every_edge_survives_a_cut() {
    let mut failures = Vec::new();
    let mut cut_at = BTreeSet::new();
    for limits in bulkhead_schema::limits::EDGES {
        // Neither of the two speaks Cap'n Proto RPC; the key store's edge is below.
        let Some(edge) = edge(limits.name) else { continue };
        for interface in edge.served.iter().chain(&edge.called_back) {
            for method in 0..interface.methods {
                let name = method_name(interface.id, method).map_or("?", |method| method.name);
                cut_at.insert(name);
                for cut in CUTS {
                    if let Some(what) = failure(&edge, *interface, method, cut) {
                        failures.push(format!("{} {name} {cut:?}: {what}", edge.name));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    // Those of the schemas, whatever the table of edges says.
    let all: BTreeSet<_> = names::all().iter().map(|method| method.name).collect();
    assert_eq!(cut_at, all);
}

#[test]
fn every_request_to_a_key_store_survives_a_cut() {
    let requests = every_request();
    let names: BTreeSet<_> = requests.iter().map(|request| request.name().to_owned()).collect();
    assert_eq!(names, union_members::<request::Owned>().unwrap());
    for request in requests {
        for cut in CUTS {
            let (ours, mut theirs) = pair();
            let server = std::thread::spawn(move || {
                if cut == Cut::Before {
                    return;
                }
                wire::receive(&theirs).unwrap();
                let reply = Reply::Ok.encode().unwrap();
                let sent = match cut {
                    Cut::Before | Cut::During => 0,
                    Cut::Amid => reply.len() / 2,
                    Cut::After => reply.len(),
                };
                theirs.write_all(&reply[..sent]).unwrap();
            });
            let mut client = KeystoreClient::new(ours);
            let begin = Instant::now();
            let first = client.call(&request, None);
            assert_eq!(first.is_ok(), cut == Cut::After, "{} {cut:?}: {first:?}", request.name());
            assert!(client.call(&request, None).is_err(), "{} {cut:?}", request.name());
            assert!(begin.elapsed() < PROMPT, "{} {cut:?}: {:?}", request.name(), begin.elapsed());
            server.join().unwrap();
        }
    }
}
