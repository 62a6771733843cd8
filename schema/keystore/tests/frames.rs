//! Frames both ways, and what a hostile peer may send.
#![allow(clippy::unwrap_used, clippy::panic)]

use bulkhead_keystore_edge::wire::{self, WireError};
use bulkhead_keystore_edge::*;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

fn requests() -> Vec<Request> {
    let secret = || b"pass".to_vec().into();
    let text = || "wpkh(x)".to_owned().into();
    let coin = SpentCoin { txid: [7; 32], vout: 2, script: vec![0x51], amount: 9, previous: vec![4; 90], ..SpentCoin::default() };
    let copies = vec![vec![2; 1000], vec![]];
    let raw =
        || RawTransaction { transaction: vec![1; 3_000_000], coins: vec![coin.clone(); 3], sighash: 1, copies: copies.clone() };
    vec![
        Request::Create { blank: true, disable_private_keys: false, passphrase: secret(), flags: 1 << 34, generate: true },
        Request::Open,
        Request::Records { start: 7, limit: 9 },
        Request::Write(vec![
            Record { key: vec![1], value: vec![2; 70_000], erase: false },
            Record { key: vec![], value: vec![], erase: true },
        ]),
        Request::AddDescriptor { descriptor: text(), range_start: -1, range_end: 2, next_index: 3, creation_time: -4 },
        Request::GenerateDescriptors,
        Request::Encrypt(secret()),
        Request::Unlock { passphrase: secret(), seconds: 60 },
        Request::Lock,
        Request::ChangePassphrase { old: secret(), new: b"other".to_vec().into() },
        Request::SignTransaction {
            psbt: vec![1; 3_000_000],
            sighash: 0x81,
            finalize: true,
            bip32_derivations: false,
            update_only: true,
        },
        Request::SignMessage { address: "a".into(), message: "m".into(), script: vec![0x51] },
        Request::ExportDescriptor { id: [3; 32], consent: true },
        Request::Backup,
        Request::Restore,
        Request::Close,
        Request::Discard,
        Request::Dump,
        Request::CreateFromDump,
        Request::Status,
        Request::Flush,
        Request::Hold(true),
        Request::Hold(false),
        Request::TopUp { id: [4; 32], range_end: 10 },
        Request::OneShotSignMessage { wif: text(), message: "m".into() },
        Request::OneShotSignTransaction {
            psbt: vec![5],
            wifs: vec![text(), text()],
            descriptors: vec![OneShotDescriptor { descriptor: text(), range_start: 0, range_end: 1 }],
            sighash: 0,
            finalize: false,
            bip32_derivations: true,
        },
        Request::SignRaw(raw()),
        Request::OneShotSignRaw { raw: raw(), wifs: vec![text()] },
        Request::SetRules { passphrase: secret(), rules: "fee-max 1".into() },
        Request::Rules,
        Request::GenerateDescriptor { hd_key: "xpub".into(), output_type: "bech32".into(), internal: true },
        Request::ExportHdKeys { consent: true },
        Request::Verify,
        Request::AddHdKey("xprv".to_owned().into()),
        Request::ExportWatchOnly,
    ]
}

fn replies() -> Vec<Reply> {
    let info = DescriptorInfo {
        id: [1; 32],
        public: "p".into(),
        private: "q".to_owned().into(),
        range_end: 5,
        active: true,
        output_type: "bech32".into(),
        cache: vec![encode_pair(b"key", b"value"); 100],
        ..DescriptorInfo::default()
    };
    vec![
        Reply::Ok,
        Reply::Error(KeystoreError { code: -14, message: "no".into(), policy: "policy-fee-range".into() }),
        Reply::Records { records: vec![Record { key: vec![1], value: vec![2], erase: false }; 1000], more: true },
        Reply::Descriptors(vec![info; 8]),
        Reply::Signed(Signed { psbt: vec![1; 2_000_000], complete: false, errors: vec![(3, "missing".into())] }),
        Reply::Text("t".into()),
        Reply::Status(Status {
            encrypted: true,
            locked: true,
            unlocked_until: 5,
            has_private_keys: true,
            flags: 3,
            file_bytes: 9,
        }),
        Reply::HdKeys(vec![HdKey {
            xpub: "x".into(),
            xprv: "y".to_owned().into(),
            descriptors: vec![[1; 32], [2; 32]],
            has_private: true,
        }]),
    ]
}

#[test]
fn every_message_round_trips() {
    for request in requests() {
        let frame = request.encode().unwrap();
        let length = u32::from_le_bytes(frame[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap() + 4, frame.len());
        assert!(Request::decode(&frame[4..]).unwrap() == request, "{}", request.name());
    }
    for reply in replies() {
        let frame = reply.encode().unwrap();
        assert_eq!(Reply::decode(&frame[4..]).unwrap(), reply);
    }
}

#[test]
fn debug_output_shows_no_secret() {
    for request in requests() {
        assert!(!format!("{request:?}").contains("pass"), "{request:?}");
    }
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

#[test]
fn hostile_frames_are_errors_or_messages_but_never_panics() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let frames: Vec<Vec<u8>> = requests()
        .iter()
        .map(|request| request.encode().unwrap().to_vec())
        .chain(replies().iter().map(|reply| reply.encode().unwrap().to_vec()))
        .filter(|frame| frame.len() < 10_000)
        .collect();
    for frame in &frames {
        for _ in 0..2_000 {
            let mut content = frame[4..].to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(content.len());
                content[at] = u8::try_from(random.below(256)).unwrap();
            }
            if random.below(4) == 0 {
                content.truncate(random.below(content.len()));
            }
            let _ = Request::decode(&content);
            let _ = Reply::decode(&content);
        }
    }
    for length in 0..200 {
        let content: Vec<u8> = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        let _ = Request::decode(&content);
    }
}

#[test]
fn layout_and_bounds_are_checked() {
    let good = Request::Status.encode().unwrap();
    let content = &good[4..];
    assert!(Request::decode(&[]).is_err());
    assert!(Request::decode(&content[..8]).is_err());
    let mut surplus = content.to_vec();
    surplus.extend_from_slice(&[0; 8]);
    assert!(Request::decode(&surplus).is_err());
    let mut two_segments = content.to_vec();
    two_segments[0] = 1;
    assert!(Request::decode(&two_segments).is_err());
    // A small request may not be large.
    let big = Request::Encrypt(vec![1; 2 * MAX_SMALL_FRAME_BYTES].into());
    assert!(matches!(big.encode(), Err(FrameError::TooLong { .. })));
    let huge = Request::Write(vec![Record { key: vec![1], value: vec![0; MAX_FRAME_BYTES], erase: false }]);
    assert!(matches!(huge.encode(), Err(FrameError::TooLong { .. })));
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap()
}

#[test]
fn the_wire_bounds_before_it_allocates_and_knows_where_it_ended() {
    let (a, b) = pair();
    File::from(a.try_clone().unwrap()).write_all(&u32::MAX.to_le_bytes()).unwrap();
    assert!(matches!(wire::receive(&b), Err(WireError::Frame(FrameError::TooLong { .. }))));
    let (a, b) = pair();
    File::from(a.try_clone().unwrap()).write_all(&[8, 0, 0, 0, 1]).unwrap();
    drop(a);
    assert!(matches!(wire::receive(&b), Err(WireError::Truncated)));
    let (a, b) = pair();
    drop(a);
    assert!(matches!(wire::receive(&b), Err(WireError::Closed)));
    assert!(matches!(wire::send(&b, &[1, 2, 3], None), Err(WireError::Closed)));
}

#[test]
fn a_descriptor_travels_beside_a_frame() {
    let (a, b) = pair();
    let (file, other) = pair();
    wire::send(&a, &Request::Backup.encode().unwrap(), Some(&file)).unwrap();
    let (content, beside) = wire::receive(&b).unwrap();
    assert!(Request::decode(&content).unwrap() == Request::Backup);
    File::from(beside.unwrap()).write_all(b"x").unwrap();
    let mut byte = [0; 1];
    nix::unistd::read(&other, &mut byte).unwrap();
    assert_eq!(&byte, b"x");
    wire::send(&a, &Request::Status.encode().unwrap(), None).unwrap();
    assert!(wire::receive(&b).unwrap().1.is_none());
}

#[test]
fn a_client_tells_refusal_from_loss() {
    let (a, b) = pair();
    let answer = std::thread::spawn(move || {
        wire::receive(&b).unwrap();
        let error = KeystoreError { code: -13, message: "locked".into(), policy: String::new() };
        wire::send(&b, &Reply::Error(error).encode().unwrap(), None).unwrap();
        wire::receive(&b).unwrap();
        wire::send(&b, &Reply::Text("x".into()).encode().unwrap(), None).unwrap();
    });
    let mut client = KeystoreClient::new(a);
    assert_eq!(client.lock().unwrap_err().code_and_message(), (-13, "locked".to_owned()));
    assert!(matches!(client.lock(), Err(ClientError::Unexpected("lock"))));
    answer.join().unwrap();
    assert!(matches!(client.status(), Err(ClientError::Wire(WireError::Closed))));
}
