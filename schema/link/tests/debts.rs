//! Somebody who calls and does not read, who reads and never gives an answer back, whose calls are large and wait for each other,
//! whose messages announce lists that capnp-rpc would copy.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_link::{Closed, run, serve};
use bulkhead_schema::wire::gui_node_capnp::gui_rpc;
use capnp::message::Builder;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::{call, message, promised_answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An edge with small bounds.
const EDGE: &str = "gui-rpc";
/// Ordinals of `overview`, which is never answered here, and of `ping`.
const OVERVIEW: u16 = 0;
const PING: u16 = 1;
/// Largest message of this edge, and half of it.
const MOST: usize = 1 << 20;
const HALF: usize = MOST / 2;
/// So many halves fit into what may be held, a socket and the buffers behind it.
const FEW: u32 = 6;
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

    async fn overview(self: Rc<Self>, _held: gui_rpc::OverviewParams, _: gui_rpc::OverviewResults) -> Result<(), capnp::Error> {
        std::future::pending().await
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

/// A call of `overview` with content that nobody asked for.
fn large(number: u32, of: promised_answer::Reader<'_>) -> Vec<u8> {
    call(|mut call| {
        call.set_question_id(number);
        call.set_method_id(OVERVIEW);
        call.reborrow().init_target().set_promised_answer(of).unwrap();
        call.init_params().get_content().initn_as::<capnp::data::Builder<'_>>(HALF as u32);
    })
}

/// The capability that question 0 asks for.
fn bootstrapped(number: u32) -> Vec<u8> {
    let mut answer = Builder::new_default();
    large(number, answer.init_root::<promised_answer::Builder<'_>>().into_reader())
}

/// A capability in the answer to question 1.
fn promised(number: u32) -> Vec<u8> {
    let mut answer = Builder::new_default();
    let mut promised = answer.init_root::<promised_answer::Builder<'_>>();
    promised.set_question_id(1);
    promised.reborrow().init_transform(1).get(0).set_get_pointer_field(0);
    large(number, promised.into_reader())
}

fn bootstrap(number: u32) -> Vec<u8> {
    message(|message| message.init_bootstrap().set_question_id(number))
}

/// Question 0 is for the capability, the others call `ping` of its answer.
fn question(number: u32) -> Vec<u8> {
    if number == 0 {
        return bootstrap(0);
    }
    call(|mut call| {
        call.set_question_id(number);
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

/// Writes messages until the other side takes no more; how many it took.
async fn flood(stream: &mut (impl AsyncWriteExt + Unpin), mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    for number in 0..MANY {
        match tokio::time::timeout(Duration::from_secs(1), stream.write_all(&next(number))).await {
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
        let done = |number| [question(number), finish(number)].concat();
        let asked = flood(&mut stream, |number| if number == 0 { question(0) } else { done(number) }).await;
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
fn who_has_large_calls_held_is_not_read_until_they_are_let_go() {
    run(async {
        let (server, mut stream, mut closed) = served();
        let asked = flood(&mut stream, |number| if number == 0 { question(0) } else { bootstrapped(number) }).await;
        assert!(asked < FEW, "{asked} were taken");
        // Nothing is read, and yet the end is seen.
        drop(stream);
        tokio::time::timeout(Duration::from_secs(20), closed.wait()).await.unwrap();
        assert_eq!(Rc::strong_count(&server), 1, "calls go on");
    })
    .unwrap();
}

#[test]
fn calls_that_wait_for_an_answer_are_held_too() {
    run(async {
        let (_, mut stream, _) = served();
        let asked = flood(&mut stream, |number| match number {
            0 => question(0),
            1 => call(|mut call| {
                call.set_method_id(OVERVIEW);
                call.init_params();
            }),
            _ => promised(number),
        });
        let asked = asked.await;
        assert!(asked < FEW, "{asked} were taken");
    })
    .unwrap();
}

#[test]
fn calls_that_are_given_up_are_not_held() {
    run(async {
        let (server, mut stream, _closed) = served();
        stream.write_all(&question(0)).await.unwrap();
        for number in 1..100 {
            stream.write_all(&[bootstrapped(number), finish(number)].concat()).await.unwrap();
        }
        stream.write_all(&question(100)).await.unwrap();
        let mut room = vec![0; 1 << 20];
        while server.calls.get() == 0 {
            assert!(stream.read(&mut room).await.unwrap() > 0);
        }
    })
    .unwrap();
}

/// What a flood is, and whether it is hung up on: 100,000 of them are no honest client's.
fn ends(next: impl Fn(u32) -> Vec<u8>) -> bool {
    run(async {
        let (_, stream, mut closed) = served();
        let (mut reader, mut writer) = stream.into_split();
        let reading = tokio::task::spawn_local(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
        let asked = flood(&mut writer, next).await;
        if asked < MANY {
            closed.wait().await;
        }
        reading.abort();
        asked < MANY
    })
    .unwrap()
}

/// Answers without capabilities are kept by nobody.
#[test]
fn who_keeps_every_answer_with_a_capability_is_hung_up_on() {
    assert!(ends(bootstrap));
    assert!(!ends(question));
}

#[test]
fn who_keeps_every_capability_is_hung_up_on() {
    let finish = |number, releases| {
        message(|message| {
            let mut finish = message.init_finish();
            finish.set_question_id(number);
            finish.set_release_result_caps(releases);
        })
    };
    assert!(ends(|number| [bootstrap(number), finish(number, false)].concat()));
    assert!(!ends(|number| [bootstrap(number), finish(number, true)].concat()));
    // The bootstrap is the first and only capability that is exported.
    let release = || {
        message(|message| {
            let mut release = message.init_release();
            release.set_id(0);
            release.set_reference_count(1);
        })
    };
    assert!(!ends(|number| [bootstrap(number), finish(number, false), release()].concat()));
}

#[test]
fn who_gives_up_call_after_call_is_hung_up_on() {
    let overview = |number| {
        call(|mut call| {
            call.set_question_id(number);
            call.set_method_id(OVERVIEW);
            call.init_params();
        })
    };
    assert!(ends(|number| if number == 0 { question(0) } else { [overview(number), finish(number)].concat() }));
}

/// capnp-rpc sends back what it does not know.
#[test]
fn who_does_not_read_its_own_messages_is_not_read() {
    run(async {
        let (_, mut stream, _) = served();
        let unknown = message(|message| {
            message.init_obsolete_save().initn_as::<capnp::data::Builder<'_>>(HALF as u32);
        });
        let said = flood(&mut stream, |_| unknown.clone()).await;
        assert!(said < FEW, "{said} were taken");
    })
    .unwrap();
}

/// Sends a question for the capability, `message` and an honest call; how many calls were served when the stream ended.
fn answered_to(message: &[u8]) -> u32 {
    run(async {
        let (server, mut stream, mut closed) = served();
        stream.write_all(&question(0)).await.unwrap();
        // Who is hung up on may see it at any of these.
        let _ = stream.write_all(&[message, &question(2)].concat()).await;
        let _ = stream.shutdown().await;
        closed.wait().await;
        server.calls.get()
    })
    .unwrap()
}

/// A list in a call is taken with `most` elements, when `served` calls are, and not with one more, written out or only announced.
fn is_bounded(most: u32, served: u32, with: impl Fn(u32) -> Vec<u8>) {
    assert_eq!(answered_to(&with(most)), served);
    assert_eq!(answered_to(&with(most + 1)), 0);
    let mut announced = with(0);
    announce(&mut announced, most + 1);
    assert_eq!(answered_to(&announced), 0);
}

#[test]
fn who_brings_too_many_capabilities_is_hung_up_on() {
    is_bounded(bulkhead_schema::limits::MAX_CAPABILITIES, 2, |count| {
        call(|call| {
            call.init_params().init_cap_table(count);
        })
    });
}

#[test]
fn who_takes_too_long_a_way_to_a_capability_is_hung_up_on() {
    // The way leads nowhere, so only the honest call is served.
    is_bounded(bulkhead_schema::limits::MAX_STEPS, 1, |steps| {
        call(|mut call| {
            call.reborrow().init_params();
            call.init_target().init_promised_answer().init_transform(steps);
        })
    });
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

#[test]
fn who_wants_its_answer_elsewhere_is_hung_up_on() {
    let elsewhere = |elsewhere: bool| {
        call(|mut call| {
            call.reborrow().init_params();
            if elsewhere {
                call.get_send_results_to().set_yourself(());
            }
        })
    };
    assert_eq!(answered_to(&elsewhere(false)), 2);
    assert_eq!(answered_to(&elsewhere(true)), 0);
}

#[test]
fn a_message_has_the_size_of_the_edge_at_most() {
    let sized = |bytes: usize| {
        let filled = |content: usize| {
            call(|call| {
                call.init_params().get_content().initn_as::<capnp::data::Builder<'_>>(content as u32);
            })
        };
        let body = |message: &[u8]| {
            let last_segment = u32::from_le_bytes(*message.first_chunk().unwrap()) as usize;
            message.len() - (last_segment.div_ceil(2) + 1) * 8
        };
        (1..64).map(|around| filled(bytes - around * 8)).find(|message| body(message) == bytes).unwrap()
    };
    assert_eq!(answered_to(&sized(MOST)), 2);
    assert_eq!(answered_to(&sized(MOST + 8)), 0);
}
