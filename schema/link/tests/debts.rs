//! Somebody who calls and does not read, somebody who reads and never gives an answer back, and somebody whose messages announce
//! lists that capnp-rpc would copy.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_link::{Closed, run, serve};
use bulkhead_schema::wire::gui_node_capnp::gui_rpc;
use capnp::message::Builder;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::{call, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An edge with small bounds.
const EDGE: &str = "gui-rpc";
/// Ordinal of `ping`.
const PING: u16 = 1;
/// Nobody's bound: who takes so many takes any number.
const MANY: u32 = 100_000;

#[derive(Default)]
struct Served {
    calls: Cell<u32>,
}

impl gui_rpc::Server for Served {
    async fn ping(self: Rc<Self>, _: gui_rpc::PingParams, _: gui_rpc::PingResults) -> Result<(), capnp::Error> {
        self.calls.set(self.calls.get() + 1);
        Ok(())
    }
}

fn message(fill: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    fill(message.init_root());
    capnp::serialize::write_message_to_words(&message)
}

/// A call with what is beside its content filled in.
fn call(fill: impl FnOnce(call::Builder<'_>)) -> Vec<u8> {
    message(|message| {
        let mut call = message.init_call();
        call.set_question_id(1);
        call.set_interface_id(gui_rpc::Client::TYPE_ID);
        call.set_method_id(PING);
        call.reborrow().init_target().init_promised_answer().set_question_id(0);
        fill(call);
    })
}

/// Turns the only list of no structs in a message into one of `count` elements without a body: it takes no room.
fn announce(message: &mut [u8], count: u32) {
    // Lower half: kind 1 (list) in two bits, then the offset. Upper half: element size 7 (structs) in three bits, then no words.
    let mut pointers = message.chunks_exact_mut(8).filter(|word| word[0] & 3 == 1 && word[4..] == [7, 0, 0, 0]);
    let pointer = pointers.next().unwrap();
    pointer[4..].copy_from_slice(&(count << 3).to_le_bytes());
    assert!(pointers.next().is_none());
}

/// Question 0 is for the capability, the others call `ping` of its answer.
fn question(number: u32) -> Vec<u8> {
    message(|message| {
        if number == 0 {
            return message.init_bootstrap().set_question_id(0);
        }
        let mut call = message.init_call();
        call.set_question_id(number);
        call.set_interface_id(gui_rpc::Client::TYPE_ID);
        call.set_method_id(PING);
        call.reborrow().init_target().init_promised_answer().set_question_id(0);
        call.init_params();
    })
}

fn finish(number: u32) -> Vec<u8> {
    message(|message| message.init_finish().set_question_id(number))
}

fn served() -> (Rc<Served>, tokio::net::UnixStream, Closed) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let server = Rc::new(Served::default());
    let client: gui_rpc::Client = capnp_rpc::new_client_from_rc(Rc::clone(&server));
    let closed = serve(theirs.into(), EDGE, client.client).unwrap();
    (server, tokio::net::UnixStream::from_std(ours).unwrap(), closed)
}

/// Writes questions until the other side takes no more; how many it took.
async fn ask(stream: &mut (impl AsyncWriteExt + Unpin), finished: bool) -> u32 {
    for number in 0..MANY {
        let mut bytes = question(number);
        if finished && number > 1 {
            bytes.extend(finish(number - 1));
        }
        match tokio::time::timeout(Duration::from_secs(1), stream.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return number,
        }
    }
    MANY
}

#[test]
fn who_does_not_read_answers_is_not_read_until_it_does() {
    run(async {
        let (server, mut stream, mut closed) = served();
        let asked = ask(&mut stream, true).await;
        assert!(asked < MANY, "all questions were taken");
        let served = server.calls.get();
        let mut room = vec![0; 1 << 20];
        let mut read = 0;
        // Reading lets the other side go on: it takes the rest of what it was sent.
        while server.calls.get() == served {
            read += stream.read(&mut room).await.unwrap();
        }
        assert!(read > 0);
        drop(stream);
        closed.wait().await;
    })
    .unwrap();
}

#[test]
fn who_keeps_every_answer_is_hung_up_on() {
    run(async {
        let (server, stream, mut closed) = served();
        let (mut reader, mut writer) = stream.into_split();
        let reading = tokio::task::spawn_local(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
        let asked = ask(&mut writer, false).await;
        assert!(asked < MANY && server.calls.get() < MANY / 10, "{asked} asked, {} served", server.calls.get());
        closed.wait().await;
        reading.abort();
    })
    .unwrap();
}

/// Sends a question for the capability, `message` and an honest call; how many calls were served when the stream ended.
fn answered_to(message: &[u8]) -> u32 {
    run(async {
        let (server, mut stream, mut closed) = served();
        stream.write_all(&question(0)).await.unwrap();
        stream.write_all(message).await.unwrap();
        stream.write_all(&question(2)).await.unwrap();
        stream.shutdown().await.unwrap();
        closed.wait().await;
        server.calls.get()
    })
    .unwrap()
}

/// The largest number of capabilities, and one more.
#[test]
fn who_brings_too_many_capabilities_is_hung_up_on() {
    let brings = |count| {
        call(|call| {
            call.init_params().init_cap_table(count);
        })
    };
    let most = bulkhead_schema::limits::MAX_CAPABILITIES;
    assert_eq!(answered_to(&brings(most)), 2);
    assert_eq!(answered_to(&brings(most + 1)), 0);
    let mut announced = brings(0);
    announce(&mut announced, most + 1);
    assert_eq!(answered_to(&announced), 0);
}

#[test]
fn who_takes_too_long_a_way_to_a_capability_is_hung_up_on() {
    let way = |steps| {
        call(|mut call| {
            call.reborrow().init_params();
            call.init_target().init_promised_answer().init_transform(steps);
        })
    };
    let most = bulkhead_schema::limits::MAX_STEPS;
    // The way leads nowhere, so only the honest call is served.
    assert_eq!(answered_to(&way(most)), 1);
    assert_eq!(answered_to(&way(most + 1)), 0);
    let mut announced = way(0);
    announce(&mut announced, most + 1);
    assert_eq!(answered_to(&announced), 0);
}

/// A descriptor of a capability can have such a way too.
#[test]
fn the_way_of_a_capability_that_is_brought_is_bounded() {
    let way = |steps| {
        call(|call| {
            let descriptor = call.init_params().init_cap_table(1).get(0);
            descriptor.init_receiver_answer().init_transform(steps);
        })
    };
    assert_eq!(answered_to(&way(bulkhead_schema::limits::MAX_STEPS)), 2);
    assert_eq!(answered_to(&way(bulkhead_schema::limits::MAX_STEPS + 1)), 0);
}
