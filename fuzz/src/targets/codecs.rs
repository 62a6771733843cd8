//! Bytes from sockets.

use std::sync::OnceLock;

use bitcoin::secp256k1::SecretKey;
use bulkhead_wire::frame::{self, Framer};
use bulkhead_wire::message::Message;
use bulkhead_wire::transport::Transport;
use bulkhead_wire::v2::{Secrets, types};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
const COMMANDS: [&str; 30] = [
    "version",
    "verack",
    "wtxidrelay",
    "sendaddrv2",
    "sendheaders",
    "sendcmpct",
    "feature",
    "feefilter",
    "ping",
    "pong",
    "inv",
    "getdata",
    "notfound",
    "getheaders",
    "getblocks",
    "headers",
    "block",
    "tx",
    "mempool",
    "addr",
    "addrv2",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "filterload",
    "filteradd",
    "filterclear",
    "getcfilters",
    "getcfheaders",
    "getcfcheckpt",
];

/// A stream of v1 messages, pushed in two pieces: the split must not change what comes out, and a message that is taken is what
/// our own sender would have made of it, checksum included.
pub fn p2p_frame(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let (mut framer, mut rest) = (Framer::new(MAGIC), stream);
    while let (false, before) = (rest.is_empty(), rest) {
        match framer.push(&mut rest) {
            Ok(Some(Ok(frame))) => {
                let taken = &before[..before.len() - rest.len()];
                assert_eq!(frame::encode(MAGIC, &frame.command, &frame.body), taken);
            }
            Ok(Some(Err(_))) => {}
            Ok(None) | Err(_) => break,
        }
    }
    let whole = frames(&[stream]);
    let cut = usize::from(*cut).min(stream.len());
    let halves = frames(&[&stream[..cut], &stream[cut..]]);
    assert_eq!(whole, halves);
}

fn frames(pieces: &[&[u8]]) -> Vec<String> {
    let mut framer = Framer::new(MAGIC);
    let mut found = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() {
            match framer.push(&mut input) {
                Ok(Some(frame)) => found.push(format!("{frame:?}")),
                Ok(None) => {}
                Err(error) => {
                    found.push(format!("{error:?}"));
                    return found;
                }
            }
        }
    }
    found
}

/// The end of an encrypted stream that `data` makes up, told in advance what the other end has made up.
/// Bytes of an encrypted stream's input that are used: a message takes at most 258, and more of them take only more time.
const LONGEST_TAPE: usize = 2048;

/// Bytes of garbage that a byte of the input can ask for.
const MOST_GARBAGE: usize = 127;

fn v2_end(initiating: bool, garbage: usize) -> Transport {
    // Half of the time of an execution, if each made its own.
    static SECRETS: OnceLock<Vec<Secrets>> = OnceLock::new();
    let garbage = garbage.min(MOST_GARBAGE);
    let all = SECRETS.get_or_init(|| {
        let key = |opener: u8| SecretKey::from_slice(&[1 + opener; 32]).expect("a number below the order");
        let secrets = |opener, garbage| Secrets::new(key(opener), [4; 32], vec![3; garbage]);
        (0..=1).flat_map(|opener| (0..=MOST_GARBAGE).map(move |garbage| secrets(opener, garbage))).collect()
    });
    Transport::v2(MAGIC, initiating, all[usize::from(initiating) * (MOST_GARBAGE + 1) + garbage].clone())
}

/// Messages through an encrypted stream, and bytes that are changed on the way: what arrives is what was sent, in its order,
/// until the first change, and nothing after it. One byte says who opens and how much garbage there is.
pub fn v2_stream(data: &[u8]) {
    let Some((setup, tape)) = data.split_first() else { return };
    let mut tape = &tape[..tape.len().min(LONGEST_TAPE)];
    let initiating = setup & 1 != 0;
    let mut we = v2_end(initiating, usize::from(setup >> 1));
    if setup & 2 != 0 {
        // Nothing but what came from outside: no keys, no packets, most likely.
        while !tape.is_empty() && we.push(&mut tape).is_ok() {}
        return;
    }
    let mut they = v2_end(!initiating, usize::from(setup >> 4));
    for _ in 0..2 {
        assert!(we.push(&mut they.take_handshake().as_slice()).expect("an honest handshake").is_none());
        assert!(they.push(&mut we.take_handshake().as_slice()).expect("an honest handshake").is_none());
    }
    assert_eq!(we.session_id(), they.session_id());
    while let [choice, length, change, rest @ ..] = tape {
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        tape = rest;
        let command = COMMANDS[usize::from(*choice) % COMMANDS.len()];
        let mut packet = they.encode(command, body).expect("keys are there");
        let changed = *change > 200;
        if changed {
            let at = usize::from(*choice) % packet.len();
            packet[at] ^= change.wrapping_mul(7) | 1;
        }
        let (head, tail) = packet.split_at(usize::from(*change) % packet.len());
        let halves = we.push(&mut &head[..]).and_then(|first| Ok(first.or(we.push(&mut &tail[..])?)));
        match halves {
            Ok(Some(Ok(frame))) if !changed => assert_eq!((frame.command.as_str(), frame.body.as_slice()), (command, body)),
            // A changed length waits for more.
            Ok(None) | Err(_) if changed => return,
            other => panic!("{command}, changed: {changed}: {other:?}"),
        }
    }
}

/// Contents of an encrypted packet: the name that is read is the name that is written.
pub fn v2_contents(data: &[u8]) {
    if let Some((command, size)) = types::get(data) {
        assert!(size <= data.len());
        let mut written = Vec::new();
        types::put(&command, &mut written);
        assert_eq!(types::get(&written).map(|(again, _)| again), Some(command));
    }
}

/// A body: the first byte chooses the command. What decodes must encode, and decode to the same again.
pub fn p2p_message(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let command = COMMANDS[usize::from(*choice) % COMMANDS.len()];
    if let Ok(message) = Message::decode(command, body) {
        // Malformed ones of which only what the log says is kept; they have no encoding.
        if matches!(message, Message::Pong(_, length) if length != 8)
            || matches!(message, Message::Headers(Err(_)) | Message::Feature(None))
        {
            return;
        }
        let (name, encoded) = message.encode();
        assert_eq!(name, command);
        let again = Message::decode(command, &encoded).expect("our own encoding decodes");
        assert_eq!(format!("{again:?}"), format!("{message:?}"));
        let _ = frame::encode(MAGIC, command, &encoded);
        used(message, body);
    }
}

/// What is done with a message that was taken.
fn used(message: Message, body: &[u8]) {
    use bulkhead_wire::{Reader, filters};
    match message {
        Message::FilterLoad(mut filter) if filter.is_allowed() => {
            let genesis = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest);
            let coinbase = &genesis.txdata[0];
            let before = filter.matches(coinbase);
            filter.insert(body);
            assert!(filter.contains(body), "what was inserted is not found");
            filter.insert(bitcoin::hashes::Hash::as_byte_array(&coinbase.compute_txid()));
            assert!(filter.matches(coinbase) || !before, "a filter that grew finds less");
        }
        Message::Inv(list) | Message::GetData(list) | Message::NotFound(list) => {
            for wanted in &list {
                assert!(!wanted.is_block() || !wanted.is_transaction(), "{wanted}");
            }
        }
        Message::GetFilters(request) => {
            let answer = filters::filter(&request.stop, body);
            let mut reader = Reader::new(&answer[33..]);
            assert_eq!((&answer[1..33], reader.bytes()), (&request.stop[..], Ok(body)));
        }
        Message::GetFilterHashes(request) => {
            let answer = filters::hashes(&request.stop, &[7; 32], &[request.stop]);
            assert_eq!(answer.len(), 1 + 32 + 32 + 1 + 32);
        }
        Message::GetFilterCheckpoints(request) => {
            assert_eq!(filters::checkpoints(&request.stop, &[[7; 32]; 300]).len(), 1 + 32 + 3 + 300 * 32);
        }
        _ => {}
    }
}

/// Bytes on the RPC port.
pub fn http_request(data: &[u8]) {
    use bulkhead_rpc::http::parse::{Parser, Request};

    // All requests of the bytes, in pieces of a given size: the pieces must not matter.
    let read = |piece: usize| {
        let mut parser = Parser::default();
        let mut requests: Vec<Request> = Vec::new();
        for bytes in data.chunks(piece) {
            parser.buffer.extend_from_slice(bytes);
            loop {
                match parser.next_request() {
                    Ok(Some(request)) => requests.push(request),
                    Ok(None) => break,
                    Err(_) => return (requests, true),
                }
            }
        }
        (requests, false)
    };
    let (whole, whole_failed) = read(data.len().max(1));
    let (bytewise, bytewise_failed) = read(1);
    assert_eq!(whole, bytewise);
    assert_eq!(whole_failed, bytewise_failed);
}

/// A JSON-RPC body.
pub fn json_rpc(data: &[u8]) {
    use bulkhead_rpc::body::{Body, read};
    use bulkhead_rpc::jsonrpc;

    if let Some(Body::Single(member)) = read(data) {
        let mut seen = jsonrpc::Partial::default();
        if let Err(error) = jsonrpc::parse(member, &mut seen) {
            let text = jsonrpc::reply(&Err(error), seen.id.as_ref(), seen.version);
            serde_json::from_str::<serde_json::Value>(&text).expect("a reply is JSON");
        }
    }
}

/// Transactions and blocks as net looks at them, without taking them apart. Chain's reader is the judge, which `transaction_codec`
/// and `block_checks` compare with the kernel's; the bitcoin crate's takes a witness of no inputs.
pub fn p2p_skim(data: &[u8]) {
    use bitcoin::hashes::{Hash, sha256d};
    use bulkhead_rpc_util::codec::{decode_block, decode_witness_tx, encode_tx};
    use bulkhead_wire::skim;
    if let Some(tx) = decode_witness_tx(data) {
        let names = skim::transaction(data).expect("a transaction that decodes is skimmed");
        assert_eq!(names.txid, tx.compute_txid().to_byte_array());
        assert_eq!(names.wtxid, sha256d::Hash::hash(&encode_tx(&tx, true)).to_byte_array());
        assert_eq!(skim::strip_transaction(data).expect("what was skimmed is stripped"), encode_tx(&tx, false));
    }
    if decode_block(data).is_some_and(|block| !block.txdata.is_empty()) {
        assert_eq!(skim::block_length(data).expect("a block that decodes is skimmed"), data.len());
    }
    let _ = skim::strip_block(data);
}

/// Parameters of a method, by place or by name, against the table of methods: one byte chooses the method.
pub fn rpc_arguments(data: &[u8]) {
    use bulkhead_rpc::arguments;
    use serde_json::Value;
    let Some((choice, body)) = data.split_first() else { return };
    let number = usize::from(*choice) % bulkhead_schema::methods::all().count();
    let Some(method) = bulkhead_schema::methods::all().nth(number) else { return };
    let params = match serde_json::from_slice(body) {
        Ok(Value::Array(list)) => list,
        Ok(Value::Object(named)) => {
            let given: Vec<(String, Value)> = named.into_iter().collect();
            arguments::positional(method, &given).unwrap_or_default()
        }
        _ => return,
    };
    let _ = arguments::check(method, &params);
}
