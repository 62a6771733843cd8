//! The control channel from the child's end, cut at each message of a life: before it, in the middle of it, after it. The child
//! has an error value or the end of the channel within a second, whatever it was waiting for. (The supervisor's end:
//! `tests/security/control_cuts.rs`.)

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::channel;
use std::time::Duration;

use bulkhead_control::message::{Configure, LogOptions, Reply};
use bulkhead_control::{
    Component, ControlError, Edge, Event, GuiConfig, Parent, Request, ToChild, TypedConfig, birth_on, pair, stream_pair,
};
use nix::sys::socket::{MsgFlags, send};

/// Time in which a child must know.
const PROMPT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Cut {
    Before,
    During,
    After,
}

/// What the supervisor says, in this order; the third answers a request.
fn life() -> Vec<ToChild> {
    let config = GuiConfig { network: "regtest".into() };
    let configure = Configure {
        component: "gui".into(),
        sandbox: "off".into(),
        memory: None,
        fields: config.to_fields(),
        log: LogOptions::default(),
        descriptors: Vec::new(),
    };
    vec![
        ToChild::Configure(configure),
        ToChild::Wire(vec![Edge::new("gui-rpc")]),
        ToChild::Reply(Reply { id: 1, outcome: Ok("{}".into()) }),
        ToChild::SetMockTime(5),
        ToChild::Shutdown,
    ]
}

/// How far a child comes, and what ends it.
fn child(socket: OwnedFd) -> (usize, Result<(), ControlError>) {
    let mut heard = 0;
    let live = || {
        let birth = birth_on::<GuiConfig>(Component::Gui, socket)?;
        heard = 1;
        let control = birth.confine(&[])?;
        control.receive_wires()?;
        heard = 2;
        let (handle, events) = control.split()?;
        handle.ready()?;
        handle.request(Request::SandboxInfo)?;
        heard = 3;
        loop {
            match events.recv().unwrap_or(Event::PeerGone) {
                Event::MockTime(5) => heard = 4,
                Event::Shutdown => {
                    heard = 5;
                    return Ok(());
                }
                Event::PeerGone => {
                    // Whoever asks now must not wait.
                    assert!(matches!(handle.request(Request::SandboxInfo), Err(ControlError::PeerGone)));
                    return Err(ControlError::PeerGone);
                }
                _ => {}
            }
        }
    };
    let result = live();
    (heard, result)
}

/// A life that is cut at one message; how far the child came.
fn cut_at(index: usize, cut: Cut) -> (usize, Result<(), ControlError>) {
    let (ours, theirs) = pair().unwrap();
    let (sender, ended) = channel();
    std::thread::spawn(move || drop(sender.send(child(theirs))));
    let (_stream, other) = stream_pair().unwrap();
    let raw = ours.try_clone().unwrap();
    let parent = Parent::new(ours);
    let whole = index + usize::from(matches!(cut, Cut::After));
    for message in &life()[..whole] {
        let beside = [other.as_fd()];
        let beside = if matches!(message, ToChild::Wire(_)) { &beside[..] } else { &[] };
        parent.send(message, beside).unwrap();
        if matches!(message, ToChild::Wire(_)) {
            // The answer must not come before the question: that is another mistake.
            while parent.receive().unwrap().is_none_or(|said| !matches!(said, bulkhead_control::FromChild::Request(..))) {
                std::thread::yield_now();
            }
        }
    }
    if matches!(cut, Cut::During) {
        let bytes = life()[index].encode().unwrap();
        send(raw.as_raw_fd(), &bytes[..bytes.len() / 2], MsgFlags::empty()).unwrap();
    } else {
        drop((parent, raw));
        return ended.recv_timeout(PROMPT).unwrap_or_else(|_| panic!("{index} {cut:?}: no end"));
    }
    // Half a message ends the channel for the child, though the supervisor still holds it.
    ended.recv_timeout(PROMPT).unwrap_or_else(|_| panic!("{index} {cut:?}: no end"))
}

#[test]
fn a_child_knows_within_a_second_wherever_its_channel_is_cut() {
    let last = life().len();
    for index in 0..last {
        for cut in [Cut::Before, Cut::During, Cut::After] {
            let (heard, result) = cut_at(index, cut);
            let expected = index + usize::from(matches!(cut, Cut::After));
            assert_eq!(heard, expected, "{index} {cut:?}: {result:?}");
            assert_eq!(result.is_ok(), expected == last, "{index} {cut:?}: {result:?}");
        }
    }
}
