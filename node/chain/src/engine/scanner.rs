//! Records of blocks in a stream: pure reading, nothing is checked (Core: `LoadExternalBlockFile`).

use std::io::{Read, Seek, SeekFrom};

const HEADER: usize = 80;
const MAX_BLOCK: usize = 4_000_000;
/// Bytes read at a time, and when only headers are wanted.
const CHUNK: usize = 1 << 20;
const SMALL_CHUNK: usize = 1 << 12;

/// Finds records (magic, length, payload) in a stream that may hold other things between them.
pub(super) struct Scanner<R> {
    reader: R,
    magic: [u8; 4],
    /// Bytes read at a time.
    chunk: usize,
    buffer: Vec<u8>,
    /// Place in `buffer` where the search goes on.
    at: usize,
    /// Offset of `buffer` in the stream.
    base: u64,
    ended: bool,
}

impl<R: Read> Scanner<R> {
    pub fn new(reader: R, magic: [u8; 4]) -> Self {
        Self { reader, magic, chunk: CHUNK, buffer: Vec::new(), at: 0, base: 0, ended: false }
    }

    /// Makes at least `count` bytes available after `at`, if the stream has them.
    fn fill(&mut self, count: usize) -> std::io::Result<bool> {
        while !self.ended && self.buffer.len() - self.at < count {
            if self.at > self.chunk {
                self.buffer.drain(..self.at);
                self.base += self.at as u64;
                self.at = 0;
            }
            let old = self.buffer.len();
            self.buffer.resize(old + self.chunk, 0);
            let read = self.reader.read(&mut self.buffer[old..])?;
            self.buffer.truncate(old + read);
            self.ended = read == 0;
        }
        Ok(self.buffer.len() - self.at >= count)
    }

    /// Moves to the next magic that a length of a block follows, and gives that length.
    fn find(&mut self) -> std::io::Result<Option<usize>> {
        while self.fill(8)? {
            let window = &self.buffer[self.at..];
            let Some(skip) = window.windows(4).position(|bytes| bytes == self.magic) else {
                self.at = self.buffer.len() - 3;
                continue;
            };
            self.at += skip;
            if !self.fill(8)? {
                return Ok(None);
            }
            let length =
                self.buffer[self.at + 4..self.at + 8].iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
            if (HEADER..=MAX_BLOCK).contains(&length) {
                return Ok(Some(length));
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// The next record: offset of the payload in the stream, and the payload.
    pub fn next(&mut self) -> std::io::Result<Option<(u64, Vec<u8>)>> {
        while let Some(length) = self.find()? {
            if !self.fill(8 + length)? {
                self.at += 1;
                continue;
            }
            let start = self.at + 8;
            let payload = self.buffer[start..start + length].to_vec();
            let offset = self.base + start as u64;
            self.at = start + length;
            return Ok(Some((offset, payload)));
        }
        Ok(None)
    }
}

/// Gives the first 80 bytes of each record to `each`, without reading the rest. The stream is at its start afterwards.
pub(super) fn each_header(reader: &mut (impl Read + Seek), magic: [u8; 4], mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    let end = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    let mut scanner = Scanner { chunk: SMALL_CHUNK, ..Scanner::new(&mut *reader, magic) };
    while let Some(length) = scanner.find()? {
        let start = scanner.at + 8;
        if scanner.base + (start + length) as u64 > end || !scanner.fill(8 + HEADER)? {
            scanner.at += 1;
            continue;
        }
        // What `fill` threw away is before `at`.
        let start = scanner.at + 8;
        each(&scanner.buffer[start..start + HEADER]);
        let next = start + length;
        if next <= scanner.buffer.len() {
            scanner.at = next;
        } else {
            scanner.base = scanner.reader.seek(SeekFrom::Start(scanner.base + next as u64))?;
            scanner.buffer.clear();
            scanner.at = 0;
        }
    }
    reader.rewind()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(magic: [u8; 4], payload: &[u8]) -> Vec<u8> {
        [&magic[..], &(payload.len() as u32).to_le_bytes(), payload].concat()
    }

    #[test]
    fn records_are_found_between_other_bytes_and_cut_ones_are_skipped() {
        let magic = [1, 2, 3, 4];
        let one = vec![7u8; 100];
        let two = vec![8u8; 90];
        let mut stream = vec![0, 1, 2, 1, 2, 3];
        stream.extend(record(magic, &one));
        stream.extend([1, 2, 3, 4, 1, 0, 0, 0]); // too short to be a block
        stream.extend([1, 2, 3, 4, 0xff, 0xff, 0, 0]); // longer than the stream
        stream.extend(record(magic, &two));
        stream.extend([1, 2, 3]);
        let mut scanner = Scanner::new(stream.as_slice(), magic);
        assert_eq!(scanner.next().unwrap(), Some((14, one)));
        assert_eq!(scanner.next().unwrap().map(|(_, payload)| payload), Some(two));
        assert_eq!(scanner.next().unwrap(), None);
    }

    #[test]
    fn headers_are_those_of_the_records() {
        let magic = [9, 9, 3, 4];
        let payloads: Vec<Vec<u8>> =
            [80, 81, 5_000, 300_000, 4_096, 88].iter().enumerate().map(|(place, length)| vec![place as u8; *length]).collect();
        let mut stream = vec![9, 9, 3, 9, 9];
        for payload in &payloads {
            stream.extend(record(magic, payload));
            stream.extend([magic[0]; 3]);
            stream.extend([9, 9, 3, 4, 7, 0, 0, 0]); // too short to be a block
        }
        stream.extend(&record(magic, &[7; 500])[..300]); // cut off
        let mut cursor = std::io::Cursor::new(stream);
        let mut headers = Vec::new();
        each_header(&mut cursor, magic, |header| headers.push(header.to_vec())).unwrap();
        assert_eq!(cursor.position(), 0);
        let mut scanner = Scanner::new(cursor, magic);
        let mut records = Vec::new();
        while let Some((_, payload)) = scanner.next().unwrap() {
            records.push(payload);
        }
        assert_eq!(records, payloads);
        assert_eq!(headers, payloads.iter().map(|payload| payload[..80].to_vec()).collect::<Vec<_>>());
    }
}
