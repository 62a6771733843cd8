#![allow(clippy::unwrap_used, clippy::panic)]
use bulkhead_wire::{Endpoint, NetAddr, Network, PeerAddress, Subnet};
use proptest::prelude::*;

use crate::{AddrMan, BanList, FileError, decode_anchors, decode_peers, encode_anchors, encode_peers};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
const NOW: i64 = 1_700_000_000;

fn address(text: &str) -> PeerAddress {
    PeerAddress { time: u32::try_from(NOW).unwrap(), services: 9, endpoint: Endpoint::parse(text, 8333).unwrap() }
}

fn filled() -> AddrMan {
    let mut addrman = AddrMan::new([7; 32]);
    for index in 0..200 {
        let one = address(&format!("{}.{index}.1.1:8333", 11 + index % 60));
        addrman.add(&[one], &NetAddr::parse("250.1.1.1").unwrap(), 0, NOW);
        if index % 3 == 0 {
            addrman.good(&one.endpoint, NOW, true);
        }
    }
    addrman
}

#[test]
fn entries_move_from_new_to_tried() {
    let mut addrman = AddrMan::new([1; 32]);
    let one = address("8.8.8.8:8333");
    assert!(addrman.add(&[one], &one.endpoint.addr, 0, NOW));
    assert_eq!((addrman.size(None, Some(true)), addrman.size(None, Some(false))), (1, 0));
    assert!(addrman.good(&one.endpoint, NOW, true));
    assert_eq!((addrman.size(None, Some(true)), addrman.size(None, Some(false))), (0, 1));
    assert_eq!(addrman.select(false, &[], NOW + 1000).unwrap().0.endpoint, one.endpoint);
    assert!(addrman.select(true, &[], NOW).is_none());
}

#[test]
fn networks_are_counted_as_entries_come_move_and_go() {
    let mut addrman = filled();
    let onion = address("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:8333");
    assert!(addrman.add(&[onion], &onion.endpoint.addr, 0, NOW));
    assert!(addrman.good(&onion.endpoint, NOW, true));
    assert_eq!(addrman.check(), None);
    let sizes = [None, Some(true), Some(false)].map(|in_new| addrman.size(Some(Network::Onion), in_new));
    assert_eq!(sizes, [1, 0, 1]);
    assert_eq!(addrman.size(None, None), 1 + addrman.size(Some(Network::Ipv4), None));
    assert_eq!(addrman.select(false, &[Network::Onion], NOW + 1000).unwrap().0.endpoint, onion.endpoint);
    assert!(addrman.select(true, &[Network::Onion], NOW).is_none() && addrman.select(false, &[Network::I2p], NOW).is_none());
    addrman.counts.get_mut(&Network::Onion).unwrap().tried = 0;
    addrman.counts.get_mut(&Network::Ipv4).unwrap().tried += 1;
    assert_eq!(addrman.check(), Some(-21));
}

#[test]
fn unroutable_address_is_not_kept() {
    let mut addrman = AddrMan::new([1; 32]);
    let one = address("127.0.0.1:8333");
    assert!(!addrman.add(&[one], &one.endpoint.addr, 0, NOW));
    assert!(addrman.select(false, &[], NOW).is_none());
}

/// Places that Core's functional test rpc_net.py expects with the fixed secret.
#[test]
fn deterministic_tables_put_addresses_where_core_does() {
    let expected = [
        ("2.0.0.0:8333", false, (82, 8)),
        ("[fc00:1:2:3:4:5:6:7]:8333", false, (336, 24)),
        ("c4gfnttsuwqomiygupdqqqyy5y5emnk5c73hrfvatri67prd7vyq.b32.i2p:8333", false, (963, 46)),
        ("[2803:0:1234:abcd::1]:45324", false, (613, 6)),
        ("1.2.3.4:8333", true, (6, 33)),
        ("[1233:3432:2434:2343:3234:2345:6546:4534]:8333", true, (197, 34)),
        ("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:8333", true, (72, 61)),
        ("nrfj6inpyf73gpkyool35hcmne5zwfmse3jl3aw23vk7chdemalyaqad.onion:45324", true, (139, 46)),
    ];
    let mut addrman = AddrMan::deterministic();
    for (text, tried, at) in expected {
        let mut one = address(text);
        one.endpoint.addr = one.endpoint.addr.flipped_to_cjdns();
        assert!(addrman.add(&[one], &one.endpoint.addr, 0, NOW));
        assert_eq!(tried, tried && addrman.good(&one.endpoint, NOW, true));
        let found = addrman.table(tried).into_iter().find(|(entry, _)| entry.address.endpoint == one.endpoint);
        assert_eq!(found.map(|(_, at)| at), Some(at), "{text}");
    }
    // An address that falls onto 1.2.3.4's place stays in the new table.
    let colliding = address("1.2.5.45:8333");
    assert!(addrman.add(&[colliding], &colliding.endpoint.addr, 0, NOW));
    assert!(!addrman.good(&colliding.endpoint, NOW, true));
    assert_eq!(addrman.size(None, Some(true)), 5);
}

#[test]
fn peers_file_round_trips() {
    let addrman = filled();
    let file = encode_peers(MAGIC, &addrman);
    let again = decode_peers(MAGIC, &file, AddrMan::new([9; 32])).unwrap();
    assert_eq!(again.size(None, None), addrman.size(None, None));
    assert_eq!(again.size(None, Some(false)), addrman.size(None, Some(false)));
    let places = |addrman: &AddrMan, tried| {
        let mut all: Vec<_> = addrman.table(tried).into_iter().map(|(entry, at)| (entry.address.endpoint, at)).collect();
        all.sort();
        all
    };
    assert_eq!(places(&again, true), places(&addrman, true));
    assert_eq!(places(&again, false), places(&addrman, false));
}

#[test]
fn damaged_peers_file_is_refused() {
    let file = encode_peers(MAGIC, &filled());
    let read = |file: &[u8]| decode_peers(MAGIC, file, AddrMan::new([9; 32])).map(|_| ());
    assert_eq!(read(&file[..file.len() - 1]), Err(FileError::Decode(bulkhead_wire::DecodeError::EndOfData)));
    let mut changed = file.clone();
    changed[200] ^= 1;
    assert!(read(&changed).is_err());
    let mut newer = file.clone();
    newer[5] = 32 + 5;
    assert_eq!(read(&newer), Err(FileError::Version { format: 4, lowest: 5 }));
    assert_eq!(decode_peers([0; 4], &file, AddrMan::new([9; 32])).map(|_| ()), Err(FileError::Magic));
}

#[test]
fn anchors_round_trip() {
    let anchors = vec![address("1.2.3.4:5"), address("[2a01:db9::1]:6")];
    let file = encode_anchors(MAGIC, &anchors);
    assert_eq!(decode_anchors(MAGIC, &file), Ok(anchors));
    assert_eq!(decode_anchors(MAGIC, &file[..20]), Err(FileError::Decode(bulkhead_wire::DecodeError::EndOfData)));
}

#[test]
fn bans_end_and_survive_the_file() {
    let mut bans = BanList::default();
    let subnet = Subnet::parse("10.0.0.0/8").unwrap();
    assert!(bans.ban(subnet, NOW, NOW + 100));
    assert!(!bans.ban(subnet, NOW, NOW + 50));
    let mut again = BanList::from_json(bans.to_json().as_bytes()).unwrap();
    let inside = NetAddr::parse("10.1.2.3").unwrap();
    assert!(again.is_banned(&inside, NOW + 99));
    assert!(!again.is_banned(&inside, NOW + 100));
    assert!(again.banned(NOW + 101).is_empty());
    assert!(BanList::from_json(b"{}").is_none());
}

proptest! {
    #[test]
    fn any_peers_file_is_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..500, value: u8) {
        let mut file = encode_peers(MAGIC, &filled());
        file[at] = value;
        let _ = decode_peers(MAGIC, &file, AddrMan::new([9; 32]));
        let mut short = MAGIC.to_vec();
        short.extend([4, 36]);
        short.extend(tail);
        let _ = decode_peers(MAGIC, &short, AddrMan::new([9; 32]));
    }
}
