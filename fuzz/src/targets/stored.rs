//! Values of the databases, of block files and of files that chain writes: what decodes encodes to a value that decodes to the same.

use bulkhead_store::Coin;
use bulkhead_store::block_index::{BlockRecord, FileInfo};
use bulkhead_store::codec::{compress_amount, decompress_amount};
use bulkhead_store::tx_position::TxPosition;
use bulkhead_store::undo::BlockUndo;

/// An unspent output, and a key of one.
pub fn coin(data: &[u8]) {
    if let Ok(coin) = Coin::decode(data) {
        let encoded = coin.encode();
        assert_eq!(Coin::decode(&encoded).expect("our own encoding decodes"), coin);
    }
    if let Ok(outpoint) = bulkhead_store::coin::decode_key(data) {
        let key = bulkhead_store::coin::key(&outpoint);
        assert_eq!(bulkhead_store::coin::decode_key(&key).expect("our own key decodes"), outpoint);
    }
}

/// Undo data of a block.
pub fn undo(data: &[u8]) {
    if let Ok(undo) = BlockUndo::decode(data) {
        assert_eq!(BlockUndo::decode(&undo.encode()).expect("our own encoding decodes"), undo);
    }
}

/// What the database keeps of a block and of a block file.
pub fn block_record(data: &[u8]) {
    if let Ok(record) = BlockRecord::decode(data) {
        assert_eq!(BlockRecord::decode(&record.encode()).expect("our own encoding decodes"), record);
    }
    if let Ok(info) = FileInfo::decode(data) {
        assert_eq!(FileInfo::decode(&info.encode()).expect("our own encoding decodes"), info);
    }
}

/// Key of the indexes of transactions and spenders.
pub fn tx_position(data: &[u8]) {
    if let Ok(position) = TxPosition::decode_key(data) {
        let prefix = *data.first_chunk().expect("a key that decodes begins with its prefix");
        assert_eq!(TxPosition::decode_key(&position.key(prefix)).expect("our own key decodes"), position);
    }
}

/// Core's compression of amounts, over all numbers: compressing a number of satoshi and back gives the number.
pub fn compressed_amount(data: &[u8]) {
    let Some(bytes) = data.first_chunk() else { return };
    let number = u64::from_le_bytes(*bytes);
    let _ = decompress_amount(number);
    let satoshi = number % 2_100_000_000_000_001;
    assert_eq!(decompress_amount(compress_amount(satoshi)), satoshi);
}

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// mempool.dat.
pub fn mempool_file(data: &[u8]) {
    use bitcoin_chain::mempool_accept::persist::Contents;
    if let Ok(contents) = Contents::decode(data.to_vec()) {
        for key in [None, Some([7; 8])] {
            assert_eq!(Contents::decode(contents.encode(key)).expect("our own file"), contents);
        }
    }
}

/// A file of dumptxoutset, header and coins.
pub fn snapshot_file(data: &[u8]) {
    use bulkhead_store::snapshot::{HEADER, Metadata, Reader};
    let header = data.get(..HEADER).unwrap_or(data);
    let decode = |header: &[u8]| Metadata::decode(header, (MAGIC, "regtest"), |_| None);
    if let Ok(metadata) = decode(header) {
        assert_eq!(decode(&metadata.encode(MAGIC)).expect("our own header"), metadata);
    }
    let coins = data.get(HEADER..).unwrap_or_default();
    let count = data.first().copied().map_or(0, u64::from);
    let mut reader = Reader::new(coins, count, 1_000_000);
    while let Ok(Some(_)) = reader.next_coin() {}
    assert!(reader.count() <= count);
}
