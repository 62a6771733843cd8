//! Core's own vectors for BIP158 (`blockfilters.json`, which ships inside the crate `libbitcoinkernel-sys`).
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../tests/core_vectors.rs"]
mod core_vectors;

use bitcoin::bip158::{BlockFilter, FilterHeader};
use bitcoin::{Amount, Block, ScriptBuf, TxOut};
use bitcoin_chain::indexes::filters::basic_filter;
use bulkhead_store::Coin;
use bulkhead_store::undo::BlockUndo;
use core_vectors::core_vectors;
use serde_json::Value;

#[test]
fn filters_and_their_headers_are_cores() {
    let cases = core_vectors("blockfilters.json");
    let cases = cases.as_array().unwrap();
    let mut checked = 0;
    // The first line names the columns.
    for case in &cases[1..] {
        let text = |at: usize| case[at].as_str().unwrap();
        let block: Block = bitcoin::consensus::deserialize(&hex::decode(text(2)).unwrap()).unwrap();
        assert_eq!(block.block_hash().to_string(), text(1));
        let coin = |script: &Value| Coin {
            output: TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(hex::decode(script.as_str().unwrap()).unwrap()),
            },
            height: 0,
            coinbase: false,
        };
        let spent = case[3].as_array().unwrap().iter().map(coin).collect();
        let filter = basic_filter(&block, &BlockUndo { transactions: vec![spent] });
        assert_eq!(hex::encode(&filter), text(5), "{}", text(7));
        let previous: FilterHeader = text(4).parse().unwrap();
        assert_eq!(BlockFilter::new(&filter).filter_header(&previous).to_string(), text(6), "{}", text(7));
        checked += 1;
    }
    assert!(checked >= 10, "{checked}");
}
