//! Values of the databases, of block files and of files that chain writes: what decodes encodes to a value that decodes to the same.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, Txid};
use bitcoin_chain::mempool_accept::persist::{self, Contents, ImportOptions};
use bulkhead_store::Coin;
use bulkhead_store::block_index::{BlockRecord, FileInfo};
use bulkhead_store::codec::{compress_amount, decompress_amount};
use bulkhead_store::tx_position::{Salt, TxPosition};
use bulkhead_store::undo::BlockUndo;

/// Amounts above all money, which only a damaged record holds, need not come back; everything else of the coin must.
fn assert_came_back(coin: &Coin, mut again: Coin) {
    if coin.output.value > Amount::MAX_MONEY {
        again.output.value = coin.output.value;
    }
    assert_eq!(again, *coin);
}

/// The bytes and one more: a decoder that took the former refuses the latter.
fn longer(data: &[u8]) -> Vec<u8> {
    [data, &[0]].concat()
}

/// An unspent output, and a key of one.
pub fn coin(data: &[u8]) {
    if let Ok(coin) = Coin::decode(data) {
        assert_came_back(&coin, Coin::decode(&coin.encode()).expect("our own encoding decodes"));
        assert!(Coin::decode(&longer(data)).is_err(), "bytes behind a coin are taken");
    }
    if let Ok(outpoint) = bulkhead_store::coin::decode_key(data) {
        let key = bulkhead_store::coin::key(&outpoint);
        assert_eq!(bulkhead_store::coin::decode_key(&key).expect("our own key decodes"), outpoint);
    }
}

/// Undo data of a block.
pub fn undo(data: &[u8]) {
    if let Ok(undo) = BlockUndo::decode(data) {
        let again = BlockUndo::decode(&undo.encode()).expect("our own encoding decodes");
        let sizes = |undo: &BlockUndo| undo.transactions.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&again), sizes(&undo));
        let coins = again.transactions.into_iter().flatten();
        undo.transactions.iter().flatten().zip(coins).for_each(|(coin, again)| assert_came_back(coin, again));
        assert!(BlockUndo::decode(&longer(data)).is_err(), "bytes behind undo data are taken");
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
    // Whatever the salt of a database is, what is looked up is found where it was put.
    if let Some((salt, rest)) = data.split_first_chunk() {
        let (salt, txid) = (Salt(*salt), Txid::hash(rest));
        assert_eq!(salt.of_txid(&txid), Salt(salt.0).of_txid(&txid));
        let outputs = [0, 1].map(|vout| salt.of_outpoint(&OutPoint { txid, vout }));
        assert_ne!(outputs[0], outputs[1]);
    }
}

/// Core's compression of amounts, over all numbers: compressing a number of satoshi and back gives the number.
pub fn compressed_amount(data: &[u8]) {
    let Some(bytes) = data.first_chunk() else { return };
    let number = u64::from_le_bytes(*bytes);
    // Any number comes out of a damaged record.
    let _ = (compress_amount(number), compress_amount(decompress_amount(number)));
    let satoshi = number % 2_100_000_000_000_001;
    assert_eq!(decompress_amount(compress_amount(satoshi)), satoshi);
}

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// Height of the block that a snapshot is of.
const BASE_HEIGHT: u32 = 1_000_000;

/// mempool.dat.
pub fn mempool_file(data: &[u8]) {
    if let Ok(contents) = Contents::decode(data.to_vec()) {
        for key in [None, Some([7; 8])] {
            assert_eq!(Contents::decode(contents.encode(key)).expect("our own file"), contents);
        }
        imported(data);
    } else if data.len().is_multiple_of(64) {
        // An import that fails costs more than the look at the file.
        imported(data);
    }
}

/// What a start, or a user, does with such a file, and what the node writes then.
fn imported(data: &[u8]) {
    let (context, pool) = (super::links::context(), super::links::empty_pool());
    let bits = data.last().copied().unwrap_or(0);
    let options =
        ImportOptions { use_current_time: bits & 1 != 0, apply_fee_deltas: bits & 2 != 0, apply_unbroadcast: bits & 4 != 0 };
    let taken = persist::import(Some(crate::file(data)), &context.chain, &pool, options);
    assert_eq!(taken, Contents::decode(data.to_vec()).is_ok());
    let written = crate::file(&[]);
    let copy = written.try_clone().expect("descriptors are left");
    persist::save(copy, &pool, bits & 8 != 0).expect("room in memory");
    Contents::decode(crate::content_of(written)).expect("our own file");
}

/// A file of dumptxoutset, header and coins.
pub fn snapshot_file(data: &[u8]) {
    use bulkhead_store::snapshot::{HEADER, Metadata, Reader, Writer};
    let header = data.get(..HEADER).unwrap_or(data);
    let decode = |header: &[u8]| Metadata::decode(header, (MAGIC, "regtest"), |_| None);
    if let Ok(metadata) = decode(header) {
        assert_eq!(decode(&metadata.encode(MAGIC)).expect("our own header"), metadata);
    }
    let coins = data.get(HEADER..).unwrap_or_default();
    let count = data.first().copied().map_or(0, u64::from);
    let mut reader = Reader::new(coins, count, BASE_HEIGHT);
    let mut writer = Writer::new(Vec::new());
    let mut taken = Vec::new();
    while let Ok(Some((outpoint, coin))) = reader.next_coin() {
        assert!(coin.output.value <= Amount::MAX_MONEY && coin.height <= BASE_HEIGHT);
        writer.add(&outpoint, &coin).expect("room in memory");
        taken.push((outpoint, coin));
    }
    assert!(reader.count() <= count);
    let (bytes, total) = writer.finish().expect("room in memory");
    assert_eq!(total, taken.len() as u64);
    let mut reader = Reader::new(bytes.as_slice(), total, BASE_HEIGHT);
    for coin in taken {
        assert_eq!(reader.next_coin().expect("our own file"), Some(coin));
    }
}
