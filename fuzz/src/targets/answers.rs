//! What proxies, Tor, I2P routers, gateways and name servers answer.

use std::net::Ipv4Addr;

use bitcoin_net::process::resolve;
use bulkhead_wire::socks5::{Connect, Credentials, Step};
use bulkhead_wire::{NetAddr, pcp, sam, torcontrol};

/// A SOCKS5 proxy; one bit says whether we have a password.
pub fn socks5_reply(data: &[u8]) {
    let Some((choice, mut replies)) = data.split_first() else { return };
    let credentials = Credentials { user: "user".into(), password: "password".into() };
    let credentials = (choice & 1 != 0).then_some(&credentials);
    let (mut connect, mut step) = Connect::new("destination.onion", 8333, credentials).expect("a short name");
    let mut steps = 0;
    while let Step::Continue { send, read } = step {
        assert!(send.len() <= 4 + 256 + 2 && (1..=255 + 2).contains(&read), "{send:?} {read}");
        steps += 1;
        assert!(steps <= 5, "it never ends");
        let Some((reply, rest)) = replies.split_at_checked(read) else { return };
        replies = rest;
        let Ok(next) = connect.advance(reply) else { return };
        step = next;
    }
}

/// A line of an I2P router (SAM), and what its values hold.
pub fn sam_reply(data: &[u8]) {
    let line = String::from_utf8_lossy(data).into_owned();
    let reply = sam::Reply::new(line, "SESSION CREATE secret");
    if let Err(error) = reply.clone().checked() {
        assert!(!error.to_string().contains("secret"), "the private key is in the log");
    }
    for key in ["RESULT", "VERSION", "DESTINATION", "VALUE"] {
        let Ok(bytes) = reply.get(key).and_then(sam::decode_base64) else { continue };
        assert_eq!(sam::decode_base64(&sam::encode_base64(&bytes)).as_ref(), Ok(&bytes));
        if let Ok(destination) = sam::destination(&bytes) {
            assert!(bytes.starts_with(destination));
            let address = sam::address(destination).addr;
            assert_eq!(NetAddr::parse(&address.to_string()), Some(address));
        }
    }
    let _ = sam::destination(data);
}

/// A Tor control port, pushed in two pieces: the split must not change what comes out.
pub fn tor_control_reply(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    // Enough for more lines than a reply may have; long inputs grow longer and say nothing new.
    let stream = &stream[..stream.len().min(8 * 1024)];
    let whole = control_replies(&[stream]);
    let cut = usize::from(*cut).min(stream.len());
    assert_eq!(whole, control_replies(&[&stream[..cut], &stream[cut..]]));
    let Ok(replies) = whole else { return };
    for line in replies.iter().flat_map(|reply| &reply.lines) {
        let (word, rest) = torcontrol::split_line(line);
        assert!(line.starts_with(word) && line.ends_with(rest));
        let _ = torcontrol::mapping(rest);
    }
}

fn control_replies(pieces: &[&[u8]]) -> Result<Vec<torcontrol::Reply>, torcontrol::ReplyError> {
    let mut reader = torcontrol::ReplyReader::default();
    let mut found = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() {
            found.extend(reader.push(&mut input)?);
        }
    }
    Ok(found)
}

/// A datagram of a router, as an answer to each question (PCP, NAT-PMP).
pub fn router_answer(data: &[u8]) {
    const NONCE: [u8; pcp::NONCE_SIZE] = [9; pcp::NONCE_SIZE];
    const PORT: u16 = 8333;
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let refusals = [
        pcp::pcp_answer(data, &NONCE, PORT).map(Result::err),
        pcp::natpmp_address(data).map(Result::err),
        pcp::natpmp_mapping(data, address, PORT).map(Result::err),
    ];
    // No datagram answers PCP and NAT-PMP at once, except that it speaks the older one only.
    let [pcp, old @ ..] = refusals;
    assert!(pcp.is_err() || pcp == Ok(Some(pcp::Refusal::OldProtocol)) || old.iter().all(Result::is_err));
    for refusal in [pcp, old[0], old[1]].into_iter().flatten().flatten() {
        assert!(!refusal.to_string().is_empty());
    }
}

/// An answer of a name server; its first two bytes are the number of the question.
pub fn dns_answer(data: &[u8]) {
    let Some(id) = data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else { return };
    if let Some(addresses) = resolve::addresses(id, data) {
        // A record takes more than ten bytes.
        assert!(addresses.len() * 10 <= data.len());
        assert_eq!(resolve::addresses(id.wrapping_add(1), data), None);
    }
}

/// The files of the system that say where names are looked up, with a zero byte between them; behind another one, a name.
pub fn resolver_files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\0');
    let (Some(conf), Some(hosts), Some(name)) = (parts.next(), parts.next(), parts.next()) else { return };
    let resolver = resolve::Resolver::new(conf, hosts);
    let found = resolver.known(name);
    assert_eq!(resolver.known(&format!("{}.", name.to_ascii_uppercase())).len(), found.len());
    assert!(found.len() <= 2 + hosts.split_whitespace().count());
    // What is asked when the files do not know: as long as it says, and no answer to itself.
    if let Some(question) = resolve::question(7, name) {
        assert_eq!(usize::from(u16::from_be_bytes([question[0], question[1]])), question.len() - 2);
        assert_eq!(resolve::addresses(7, &question[2..]), Some(Vec::new()));
    }
}
