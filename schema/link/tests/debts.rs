//! Somebody who calls and does not read, and somebody who reads and never gives an answer back.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_link::{Closed, run, serve};
use bulkhead_schema::wire::gui_node_capnp::gui_rpc;
use capnp::message::Builder;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::message;
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
