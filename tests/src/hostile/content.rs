//! Parameters and results made by hand, in words of 8 bytes: a struct whose pointers go to values that a caller would send,
//! to nothing, to each other, to themselves, or out of the message.

use super::{Edge, Source};
use bulkhead_schema::methods;

/// Longest content, in words.
const MAX_WORDS: usize = 96 * 1024;
/// 32 bytes that are a block everywhere: the genesis block of regtest, in internal order.
const GENESIS: [u8; 32] = [
    0x06, 0x22, 0x6e, 0x46, 0x11, 0x1a, 0x0b, 0x59, 0xca, 0xaf, 0x12, 0x60, 0x43, 0xeb, 0x5b, 0xbf, 0x28, 0xc3, 0x4f, 0x3a, 0x5e,
    0x33, 0x2a, 0x1f, 0xc7, 0xb2, 0xb7, 0x3c, 0xf1, 0x88, 0x91, 0x0f,
];
const NUMBERS: [u64; 8] = [0, 1, 2, 100, 0x7fff_ffff, u64::MAX, 1 << 63, 0x41ef_ffff_ffe0_0000];

/// A struct: where it is in `words`, and its size.
pub struct Content {
    /// All words, the struct first.
    pub words: Vec<u64>,
    /// Words of data.
    pub data: u16,
    /// Pointers.
    pub pointers: u16,
}

/// Makes one. `capabilities`: how many entries the table of capabilities beside it has.
pub fn content(source: &mut Source<'_>, edge: &Edge, capabilities: u32) -> Content {
    let (data, pointers) = (source.below(4) as u16, source.below(6) as u16);
    let mut words = vec![0; usize::from(data + pointers)];
    for word in &mut words[..usize::from(data)] {
        *word = match source.below(3) {
            0 => 0,
            1 => NUMBERS[source.below(NUMBERS.len())],
            _ => u64::from(source.word()) | u64::from(source.word()) << 32,
        };
    }
    for index in 0..usize::from(pointers) {
        let at = usize::from(data) + index;
        pointer(&mut words, at, source, edge, capabilities);
    }
    Content { words, data, pointers }
}

/// A pointer of kind struct (0) or list (1) at `at` to `to`; `high` is its upper half.
fn link(words: &mut [u64], at: usize, to: usize, kind: u64, high: u32) {
    let offset = to as i64 - at as i64 - 1;
    words[at] = (offset.cast_unsigned() << 2 & 0xffff_fffc) | kind | u64::from(high) << 32;
}

fn pointer(words: &mut Vec<u64>, at: usize, source: &mut Source<'_>, edge: &Edge, capabilities: u32) {
    match source.below(12) {
        0 => {}
        1 | 2 => blob(words, at, &[&bytes(source, edge)[..], &[0]].concat(), true),
        3 => blob(words, at, &bytes(source, edge), false),
        4 => list_of_blobs(words, at, source, edge),
        5 => structs(words, at, source),
        // To another pointer's object, or to the root struct itself.
        6 => {
            let to = source.below(words.len().min(256));
            let high = if source.below(2) == 0 { 0x0001_0001 } else { source.word() };
            link(words, at, to, (source.below(2)) as u64, high);
        }
        // A struct that holds only a pointer to itself.
        7 => {
            let to = words.len();
            words.push(0);
            link(words, at, to, 0, 1 << 16);
            link(words, to, to, 0, 1 << 16);
        }
        8 => deep(words, at, source),
        9 => words[at] = 3 | u64::from(source.word() % (capabilities + 2)) << 32,
        // Claims more than there is, or as many structs without a body as a reader takes: they need no room.
        10 => {
            let (end, choice) = (words.len(), u32::from(source.byte()));
            link(words, at, end, 1, if choice < 128 { 0x7fff_fff8 | (choice % 8) } else { 1 << (3 + choice % 27) });
        }
        _ => words[at] = u64::from(source.word()) | u64::from(source.word()) << 32,
    }
}

/// A list of bytes; `text` counts the zero at its end.
fn blob(words: &mut Vec<u64>, at: usize, bytes: &[u8], text: bool) {
    let bytes = if text || bytes.is_empty() { bytes } else { &bytes[..bytes.len().min(MAX_WORDS * 8)] };
    if words.len() + bytes.len() / 8 > MAX_WORDS {
        return;
    }
    let to = words.len();
    let (whole, rest) = bytes.as_chunks();
    words.extend(whole.iter().map(|chunk| u64::from_le_bytes(*chunk)));
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        words.push(u64::from_le_bytes(word));
    }
    link(words, at, to, 1, (bytes.len() as u32) << 3 | 2);
}

/// A list of pointers to lists of bytes; with some chance all to the same one.
fn list_of_blobs(words: &mut Vec<u64>, at: usize, source: &mut Source<'_>, edge: &Edge) {
    let (count, aliased) = (source.below(130), source.below(3) == 0);
    let to = words.len();
    words.resize(to + count, 0);
    link(words, at, to, 1, (count as u32) << 3 | 6);
    for index in to..to + count {
        if aliased && index > to {
            // The same object: the offset shrinks by one word for each step.
            words[index] = words[to].wrapping_sub((4 * (index - to) as u64) & 0xffff_fffc);
        } else {
            let bytes = if source.is_empty() { GENESIS.to_vec() } else { bytes(source, edge) };
            blob(words, index, &bytes, false);
        }
    }
}

/// A list of structs with two words of data and two pointers each.
fn structs(words: &mut Vec<u64>, at: usize, source: &mut Source<'_>) {
    let count = source.below(200);
    let to = words.len();
    link(words, at, to, 1, (count as u32 * 4) << 3 | 7);
    words.push((count as u64) << 2 | (0x0002_0002 << 32));
    for _ in 0..count {
        words.extend([u64::from(source.word()), NUMBERS[source.below(NUMBERS.len())], 0, 0]);
    }
    let hash = words.len();
    words.extend(GENESIS.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))));
    for index in 0..count {
        link(words, to + 1 + index * 4 + 2, hash, 1, 32 << 3 | 2);
    }
}

/// Structs in structs.
fn deep(words: &mut Vec<u64>, at: usize, source: &mut Source<'_>) {
    let mut from = at;
    for _ in 0..source.below(80) {
        let to = words.len();
        words.push(0);
        link(words, from, to, 0, 1 << 16);
        from = to;
    }
}

/// Bytes that somebody might send here.
fn bytes(source: &mut Source<'_>, edge: &Edge) -> Vec<u8> {
    match source.below(8) {
        0 => Vec::new(),
        1 => GENESIS.to_vec(),
        2 => source.take(32).to_vec(),
        3 => {
            let count = source.below(200);
            source.take(count).to_vec()
        }
        // Headers, whole ones mostly.
        4 => {
            let genesis = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest);
            let header = bitcoin::consensus::serialize(&genesis.header);
            let mut headers = header.repeat(source.below(30));
            headers.truncate(headers.len() - headers.len().min(source.below(3)));
            headers
        }
        5 => bitcoin::consensus::serialize(&bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest)),
        6 => vec![source.byte(); source.below(256) * 1024],
        _ => request(source, edge).into_bytes(),
    }
}

/// The text of an RPC request to who answers here; another one with some chance.
fn request(source: &mut Source<'_>, edge: &Edge) -> String {
    let own: Vec<&str> = methods::all()
        .filter(|method| edge.owner.is_none_or(|owner| method.owner == owner))
        .map(|method| method.name)
        // What ends the node is allowed and proves nothing.
        .filter(|name| *name != "stop")
        .collect();
    let index = usize::from(u16::from_le_bytes([source.byte(), source.byte()])) % own.len().max(1);
    let name = own.get(index).copied().unwrap_or("help");
    let mut params = String::new();
    for at in 0..source.below(5) {
        if at > 0 {
            params.push(',');
        }
        params.push_str(match source.below(14) {
            0 => "null",
            1 => "0",
            2 => "-1",
            3 => "1e9999",
            4 => "true",
            5 => "\"\"",
            6 => "\"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206\"",
            7 => "\"bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka\"",
            8 => "[]",
            9 => "{}",
            10 => "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
            11 => "21000000.00000001",
            12 => "\"\\u0000\\ud800\"",
            _ => "4294967296",
        });
    }
    match source.below(6) {
        0 => format!("{{\"method\":\"{name}\",\"params\":{{\"{name}\":[{params}]}}}}"),
        1 => format!("{{\"method\":\"{name}\",\"params\":[{params}"),
        _ => format!("{{\"method\":\"{name}\",\"params\":[{params}]}}"),
    }
}
