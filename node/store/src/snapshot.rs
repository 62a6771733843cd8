//! Files that `dumptxoutset` writes and `loadtxoutset` reads (Core: `node/utxo_snapshot.h`, `rpc/blockchain.cpp`): a header,
//! then for each transaction its id, the count of its unspent outputs, and those outputs.
//!
//! A file comes from anywhere: the reader bounds what it buffers, and reads all of the file or fails.

use std::io::{Read, Write};

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Txid};

use crate::codec::{self, CodecError, put_count};
use crate::coin::Coin;

/// Length of the header, in bytes.
pub const HEADER: usize = 51;
const MAGIC: [u8; 5] = *b"utxo\xff";
const VERSION: u16 = 2;
/// Most satoshi that an output may hold.
const MAX_MONEY: u64 = 2_100_000_000_000_000;
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;
/// One output may not take more (Core: `MAX_SIZE`).
const MAX_COIN: usize = 0x0200_0000;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Block that the set belongs to.
    pub base: BlockHash,
    /// Unspent outputs in the file.
    pub coins: u64,
}

/// A header that cannot be used; the texts are Core's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The file ends within the header.
    #[error("AutoFile::read: end of file: iostream error")]
    Truncated,
    /// Not a snapshot.
    #[error(
        "Invalid UTXO set snapshot magic bytes. Please check if this is indeed a snapshot file or if you are using an outdated snapshot format."
    )]
    Magic,
    /// A format that is not known.
    #[error("Version of snapshot {0} does not match any of the supported versions.")]
    Version(u16),
    /// Made on another network.
    #[error("The network of the snapshot ({found}) does not match the network of this node ({expected}).")]
    Network {
        /// Network of the file.
        found: &'static str,
        /// Network of this node.
        expected: &'static str,
    },
    /// Made on a network that is not known.
    #[error(
        "This snapshot has been created for an unrecognized network. This could be a custom signet, a new testnet or possibly caused by data corruption."
    )]
    UnknownNetwork,
}

impl Metadata {
    /// The header for a network with this magic.
    pub fn encode(&self, magic: [u8; 4]) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..5].copy_from_slice(&MAGIC);
        out[5..7].copy_from_slice(&VERSION.to_le_bytes());
        out[7..11].copy_from_slice(&magic);
        out[11..43].copy_from_slice(self.base.as_byte_array());
        out[43..].copy_from_slice(&self.coins.to_le_bytes());
        out
    }

    /// Reads a header. `network`: magic and name of this node's network; `name_of`: name of a network by its magic.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of the bytes.
    pub fn decode(
        bytes: &[u8],
        network: ([u8; 4], &'static str),
        name_of: impl FnOnce([u8; 4]) -> Option<&'static str>,
    ) -> Result<Self, MetadataError> {
        let mut reader = codec::Reader::new(bytes);
        let short = |_: CodecError| MetadataError::Truncated;
        if reader.array().map_err(short)? != MAGIC {
            return Err(MetadataError::Magic);
        }
        let version = u16::from_le_bytes(reader.array().map_err(short)?);
        if version != VERSION {
            return Err(MetadataError::Version(version));
        }
        let magic: [u8; 4] = reader.array().map_err(short)?;
        if magic != network.0 {
            let found = name_of(magic).ok_or(MetadataError::UnknownNetwork)?;
            return Err(MetadataError::Network { found, expected: network.1 });
        }
        let base = BlockHash::from_byte_array(reader.array().map_err(short)?);
        let coins = u64::from_le_bytes(reader.array().map_err(short)?);
        Ok(Self { base, coins })
    }
}

/// Writes outputs behind a header; they must come in the order of the database, all of a transaction together.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Transaction whose outputs are collected.
    current: Txid,
    outputs: Vec<u8>,
    count: usize,
    bytes: Vec<u8>,
    /// Outputs so far.
    total: u64,
}

impl<W: Write> Writer<W> {
    /// Writes outputs to `out`, which stands behind the header.
    pub fn new(out: W) -> Self {
        Self { out, current: Txid::all_zeros(), outputs: Vec::new(), count: 0, bytes: Vec::new(), total: 0 }
    }

    /// Adds an output.
    ///
    /// # Errors
    /// `out` refuses.
    pub fn add(&mut self, outpoint: &OutPoint, coin: &Coin) -> std::io::Result<()> {
        if outpoint.txid != self.current {
            self.write_transaction()?;
            self.current = outpoint.txid;
        }
        put_count(&mut self.outputs, outpoint.vout as usize);
        self.outputs.extend(coin.encode());
        self.count += 1;
        self.total += 1;
        Ok(())
    }

    fn write_transaction(&mut self) -> std::io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        self.bytes.extend_from_slice(self.current.as_byte_array());
        put_count(&mut self.bytes, self.count);
        self.bytes.append(&mut self.outputs);
        self.count = 0;
        if self.bytes.len() >= CHUNK {
            self.out.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    /// Writes what is left; gives `out` back, and the number of outputs.
    ///
    /// # Errors
    /// `out` refuses.
    pub fn finish(mut self) -> std::io::Result<(W, u64)> {
        self.write_transaction()?;
        self.out.write_all(&self.bytes)?;
        self.out.flush()?;
        Ok((self.out, self.total))
    }
}

/// Outputs that cannot be used; the texts are Core's.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A transaction has more outputs than the header leaves.
    #[error("Mismatch in coins count in snapshot metadata and actual snapshot data")]
    Count,
    /// The file ends early, or holds no output where one should be.
    #[error("Bad snapshot format or truncated snapshot after deserializing {0} coins")]
    Format(u64),
    /// An output from above the base block, or with an impossible number.
    #[error("Bad snapshot data after deserializing {0} coins")]
    Coin(u64),
    /// An amount that cannot exist.
    #[error("Bad snapshot data after deserializing {0} coins - bad tx out value")]
    Amount(u64),
    /// Something stands behind the last output.
    #[error("Bad snapshot - coins left over after deserializing {0} coins")]
    Trailing(u64),
}

/// Reads the outputs behind a header.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    base_height: u32,
    coins: u64,
    read: u64,
    current: Txid,
    /// Outputs of `current` that follow.
    left: u64,
}

impl<R: Read> Reader<R> {
    /// Reads `coins` outputs from `input`, which stands behind the header. None may be from above `base_height`.
    pub fn new(input: R, coins: u64, base_height: u32) -> Self {
        let current = Txid::all_zeros();
        Self { input, buffer: Vec::new(), at: 0, ended: false, base_height, coins, read: 0, current, left: 0 }
    }

    /// Outputs so far.
    pub fn count(&self) -> u64 {
        self.read
    }

    /// The next output; `None` after the last, when nothing is left over.
    ///
    /// # Errors
    /// What Core says about such a file.
    pub fn next_coin(&mut self) -> Result<Option<(OutPoint, Coin)>, SnapshotError> {
        while self.left == 0 {
            if self.read == self.coins {
                return match self.fill() {
                    Ok(false) if self.at == self.buffer.len() => Ok(None),
                    _ => Err(SnapshotError::Trailing(self.coins)),
                };
            }
            let (txid, count) = self.item(|reader| Ok((Txid::from_byte_array(reader.array()?), reader.compact_size()?)))?;
            if count > self.coins - self.read {
                return Err(SnapshotError::Count);
            }
            (self.current, self.left) = (txid, count);
        }
        let (vout, coin) = self.item(|reader| Ok((reader.compact_size()?, Coin::read(reader)?)))?;
        if coin.height > self.base_height {
            return Err(SnapshotError::Coin(self.read));
        }
        if coin.output.value.to_sat() > MAX_MONEY {
            return Err(SnapshotError::Amount(self.read));
        }
        self.left -= 1;
        self.read += 1;
        Ok(Some((OutPoint { txid: self.current, vout: vout as u32 }, coin))) // compact_size is below 2^32
    }

    /// Decodes one item, with more of the input while it is cut short.
    fn item<T>(&mut self, decode: impl Fn(&mut codec::Reader<'_>) -> Result<T, CodecError>) -> Result<T, SnapshotError> {
        loop {
            let rest = &self.buffer[self.at..];
            let mut reader = codec::Reader::new(rest);
            match decode(&mut reader) {
                Ok(value) => {
                    self.at = self.buffer.len() - reader.remaining();
                    return Ok(value);
                }
                Err(CodecError::Truncated) if rest.len() < MAX_COIN && self.fill().unwrap_or(false) => {}
                Err(_) => return Err(SnapshotError::Format(self.read)),
            }
        }
    }

    /// Reads more of the input; gives whether there was more.
    fn fill(&mut self) -> std::io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let old = self.buffer.len();
        let read = (&mut self.input).take(CHUNK as u64).read_to_end(&mut self.buffer)?;
        self.ended = read < CHUNK;
        Ok(self.buffer.len() > old)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxOut};

    const REGTEST: ([u8; 4], &str) = ([0xfa, 0xbf, 0xb5, 0xda], "regtest");

    fn sample() -> Vec<(OutPoint, Coin)> {
        let coin = |height, size: usize| Coin {
            output: TxOut { value: Amount::from_sat(u64::from(height)), script_pubkey: ScriptBuf::from_bytes(vec![0x51; size]) },
            height,
            coinbase: height == 3,
        };
        let point = |byte, vout| OutPoint { txid: Txid::from_byte_array([byte; 32]), vout };
        vec![(point(1, 0), coin(3, 4)), (point(1, 300), coin(3, 0)), (point(2, 70_000), coin(9, 9_999))]
    }

    fn file() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (outpoint, coin) in sample() {
            writer.add(&outpoint, &coin).unwrap();
        }
        let (bytes, total) = writer.finish().unwrap();
        assert_eq!(total, 3);
        bytes
    }

    /// Outputs that could be read, and the error in the end.
    fn read(bytes: &[u8], coins: u64, height: u32) -> (Vec<(OutPoint, Coin)>, Option<String>) {
        let mut reader = Reader::new(bytes, coins, height);
        let mut found = Vec::new();
        loop {
            match reader.next_coin() {
                Ok(Some(coin)) => found.push(coin),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn outputs_come_back_and_cut_files_are_refused() {
        let bytes = file();
        assert_eq!(bytes[..34], [[1; 32].as_slice(), &[2, 0]].concat());
        assert_eq!(read(&bytes, 3, 9), (sample(), None));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut], 3, 9).1.unwrap().starts_with("Bad snapshot format or truncated snapshot"), "{cut}");
        }
        assert!(read(&[], 0, 9).1.is_none());
    }

    #[test]
    fn counts_heights_and_amounts_are_checked() {
        let bytes = file();
        let error = |bytes: &[u8], coins, height| read(bytes, coins, height).1.unwrap();
        assert_eq!(error(&[&bytes[..], &[0]].concat(), 3, 9), "Bad snapshot - coins left over after deserializing 3 coins");
        assert_eq!(error(&bytes, 4, 9), "Bad snapshot format or truncated snapshot after deserializing 3 coins");
        assert_eq!(error(&bytes, 1, 9), "Mismatch in coins count in snapshot metadata and actual snapshot data");
        assert_eq!(error(&bytes, 3, 8), "Bad snapshot data after deserializing 2 coins");
        let mut rich = [1u8; 32].to_vec();
        rich.extend([1, 0, 2]);
        codec::put_varint(&mut rich, codec::compress_amount(MAX_MONEY + 1));
        rich.extend([6]);
        assert_eq!(error(&rich, 1, 9), "Bad snapshot data after deserializing 0 coins - bad tx out value");
        // A script that claims more bytes than any file has costs no memory.
        let mut long = [1u8; 32].to_vec();
        long.extend([1, 0, 2, 0]);
        codec::put_varint(&mut long, 1 << 40);
        assert!(error(&long, 1, 9).starts_with("Bad snapshot format"));
    }

    #[test]
    fn headers_are_checked_in_order() {
        let metadata = Metadata { base: BlockHash::from_byte_array([7; 32]), coins: 5 };
        let good = metadata.encode(REGTEST.0);
        let decode =
            |bytes: &[u8]| Metadata::decode(bytes, REGTEST, |magic| (magic == [0xf9, 0xbe, 0xb4, 0xd9]).then_some("main"));
        assert_eq!(decode(&good), Ok(metadata));
        assert_eq!(decode(&good[..50]), Err(MetadataError::Truncated));
        let changed = |at: usize, bytes: &[u8]| {
            let mut header = good;
            header[at..at + bytes.len()].copy_from_slice(bytes);
            decode(&header)
        };
        assert_eq!(changed(0, &[0]), Err(MetadataError::Magic));
        assert_eq!(changed(5, &[3]), Err(MetadataError::Version(3)));
        let network = MetadataError::Network { found: "main", expected: "regtest" };
        assert_eq!(changed(7, &[0xf9, 0xbe, 0xb4, 0xd9]), Err(network));
        assert_eq!(changed(7, &[0; 4]), Err(MetadataError::UnknownNetwork));
    }
}
