//! What chain keeps on disk, and conversations with it.

use bulkhead_store::undo::BlockUndo;

use crate::formats::{block, output, transaction};
use crate::{Seeds, noise};

fn coin(value: u64) -> bulkhead_store::Coin {
    bulkhead_store::Coin { output: output(value), height: 100, coinbase: value % 2 == 1 }
}

fn snapshot() -> Vec<u8> {
    use bulkhead_store::snapshot::{Metadata, Writer};
    let base = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest).block_hash();
    let mut writer = Writer::new(Metadata { base, coins: 2 }.encode([0xfa, 0xbf, 0xb5, 0xda]).to_vec());
    for vout in 0..2 {
        writer.add(&bitcoin::OutPoint { vout, ..bitcoin::OutPoint::null() }, &coin(7 + u64::from(vout))).unwrap();
    }
    writer.finish().unwrap().0
}

fn mempool() -> Vec<u8> {
    use bitcoin_chain::mempool_accept::persist::{Contents, Saved};
    let saved = Saved { tx: transaction(), time: 1_600_000_000, fee_delta: -5 };
    let txid = saved.tx.compute_txid();
    Contents { transactions: vec![saved], deltas: vec![(txid, 9)], unbroadcast: vec![txid] }.encode(None)
}

fn block_record() -> Vec<u8> {
    use bulkhead_store::block_index::{BlockRecord, Status};
    let header = block().header;
    let status = Status::VALID_TREE.with_valid_transactions().with_data(true, true);
    BlockRecord { header, height: 1, status, n_tx: 2, file: 0, data_pos: 8, undo_pos: 0 }.encode()
}

pub fn seeds() -> Vec<Seeds> {
    let undo = BlockUndo { transactions: vec![vec![coin(1), coin(2)], vec![coin(3)]] }.encode();
    let key = bulkhead_store::coin::key(&bitcoin::OutPoint { vout: 3, ..bitcoin::OutPoint::null() });
    vec![
        ("mempool_file", vec![mempool()]),
        ("snapshot_file", vec![snapshot()]),
        ("stored_coin", vec![coin(12_345).encode(), key]),
        ("stored_undo", vec![undo]),
        ("stored_block_record", vec![block_record()]),
        ("stored_tx_position", vec![[&[7; 5][..], &[1; 8]].concat()]),
        ("compressed_amount", vec![5_000_000_000u64.to_le_bytes().to_vec()]),
        ("net_chain_server", noise(3)),
        ("rpc_chain_server", [noise(3), vec![crate::conversations::miner()]].concat()),
        ("wallet_chain_server", noise(3)),
    ]
}
