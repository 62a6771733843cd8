#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
}

#[test]
fn spawn_request_round_trip_keeps_descriptors_and_numbers() {
    let (a, b) = pair();
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    send_spawn(&a, "chain", &["one", ""], &[(file, 3)]).unwrap();
    let Some(Request::Spawn { component, args, keep }) = receive_request(&b).unwrap() else { panic!("other") };
    assert_eq!((component.as_str(), args, keep.len(), keep[0].1), ("chain", vec!["one".into(), String::new()], 1, 3));
}

#[test]
fn answers_round_trip() {
    let (a, b) = pair();
    for answer in [
        Answer::Born(7),
        Answer::Refused("no".into()),
        Answer::Exited(Exit { pid: 9, outcome: Outcome::Signal(31) }),
        Answer::Exited(Exit { pid: 9, outcome: Outcome::Code(1) }),
    ] {
        send_answer(&a, &answer).unwrap();
        assert_eq!(receive_answer(&b, true).unwrap(), Some(answer));
    }
    assert_eq!(receive_answer(&b, false).unwrap(), None);
}

#[test]
fn every_truncation_and_any_surplus_byte_is_malformed() {
    let mut bytes = vec![SPAWN];
    put_text(&mut bytes, "net").unwrap();
    put_count(&mut bytes, 1).unwrap();
    put_text(&mut bytes, "x").unwrap();
    put_count(&mut bytes, 0).unwrap();
    assert!(parse_request(&bytes, Vec::new()).is_ok());
    for length in 0..bytes.len() {
        assert!(parse_request(&bytes[..length], Vec::new()).is_err(), "length {length}");
    }
    bytes.push(0);
    assert!(parse_request(&bytes, Vec::new()).is_err());
}

#[test]
fn closed_channel_is_an_error_value() {
    let (a, b) = pair();
    drop(b);
    assert!(matches!(send_kill(&a, 1), Err(SandboxError::SpawnerGone)));
    assert!(matches!(receive_answer(&a, true), Err(SandboxError::SpawnerGone)));
}
