//! What files, sockets and users bring.

use bulkhead_wallet_core::record::Record;

use crate::{Seeds, with};

/// A block of regtest with one more transaction, made of the genesis block.
pub fn block() -> bitcoin::Block {
    let mut block = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest);
    block.txdata.push(transaction());
    block
}

pub fn transaction() -> bitcoin::Transaction {
    bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: bitcoin::OutPoint { vout: 1, ..bitcoin::OutPoint::null() },
            witness: bitcoin::Witness::from_slice(&[[7; 64]]),
            ..bitcoin::TxIn::default()
        }],
        output: vec![output(50_000)],
    }
}

pub fn output(value: u64) -> bitcoin::TxOut {
    let script = [&[0x00, 0x14][..], &[5; 20]].concat();
    bitcoin::TxOut { value: bitcoin::Amount::from_sat(value), script_pubkey: script.into() }
}

fn psbt() -> Vec<u8> {
    let mut unsigned = transaction();
    unsigned.input[0].witness.clear();
    let mut psbt = bitcoin::Psbt::from_unsigned_tx(unsigned).unwrap();
    psbt.inputs[0].witness_utxo = Some(output(60_000));
    psbt.serialize()
}

/// A file without the magic in front of it and the checksum behind.
fn inside(file: &[u8]) -> Vec<u8> {
    file[4..file.len() - 32].to_vec()
}

fn peers() -> Vec<u8> {
    let addresses = bulkhead_addrman::AddrMan::deterministic();
    inside(&bulkhead_addrman::encode_peers([0xfa, 0xbf, 0xb5, 0xda], &addresses))
}

fn texts(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const TPUB: &str =
    "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";

pub fn seeds() -> Vec<Seeds> {
    let records = [Record::Name { address: "bcrt1qqqq".into(), label: "coffee".into() }, Record::OrderPosNext(7)];
    let tx = bitcoin::consensus::serialize(&transaction());
    let ban = r#"{"banned_nets":[{"version":1,"ban_created":1,"banned_until":2000000000,"address":"192.0.2.0/24"}]}"#;
    let descriptors = [
        format!("wpkh([d34db33f/84h/0h/0h]{TPUB}/0/*)"),
        format!("tr({TPUB}/<0;1>/*,{{pk({TPUB}/2),multi_a(1,{TPUB}/3,{TPUB}/4)}})"),
        "sh(wsh(sortedmulti(1,02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)))".to_owned(),
        "addr(bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka)".to_owned(),
    ];
    let descriptors = texts(&descriptors.each_ref().map(String::as_str));
    vec![
        (
            "http_request",
            vec![
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
                b"GET /rest/chaininfo.json HTTP/1.0\r\n\r\n".to_vec(),
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_vec(),
            ],
        ),
        (
            "json_rpc",
            vec![
                br#"{"jsonrpc":"2.0","id":1,"method":"getblockcount","params":[]}"#.to_vec(),
                br#"[{"id":"a","method":"echo","params":{"args":[1],"x":2}}]"#.to_vec(),
            ],
        ),
        (
            "config_file",
            vec![
                b"regtest=1\n# comment\n[regtest]\nrpcport=18443\nnolisten=1\nmain.port=5\n".to_vec(),
                b"rpcpassword=a\naddnode=1.2.3.4\n".to_vec(),
            ],
        ),
        ("settings_file", vec![br#"{"_warning_":"text","wallet":["a","b"],"x":{"y":[1,2.5,null,true]}}"#.to_vec()]),
        (
            "wallet_record",
            records
                .iter()
                .map(|record| {
                    let (key, value) = record.encode();
                    with(u8::try_from(key.len()).unwrap(), &[key, value].concat())
                })
                .collect(),
        ),
        ("p2p_skim", vec![tx.clone(), bitcoin::consensus::serialize(&block())]),
        ("rpc_arguments", vec![with(3, b"[1, \"a\", true]"), with(9, b"{\"verbose\":false,\"args\":[0]}")]),
        ("peers_file", vec![peers()]),
        ("anchors_file", vec![vec![0]]),
        ("ban_list", texts(&[ban])),
        ("psbt", vec![psbt()]),
        ("descriptor", descriptors.clone()),
        ("wallet_descriptor", descriptors),
        (
            "address",
            texts(&[
                "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka",
                "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
                "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA",
            ]),
        ),
        ("bech32", texts(&["bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka", "A1LQFN3A"])),
        ("network_address", texts(&["192.0.2.1:8333", "[2001:db8::1]:18444", "10.0.0.0/8", "fc00::/8"])),
        ("raw_transaction", vec![tx]),
        ("script_text", vec![output(1).script_pubkey.into_bytes(), [&[0x21, 2][..], &[9; 32], &[0xac]].concat()]),
        ("amount", texts(&["0.00001000", "\"1e-8\"", "21000000"])),
        ("spending_rules", texts(&["fee-max 1000\nvelocity-day 5\ndestination-allowlist 0014\n"])),
        ("notify_template", texts(&["walletnotify\0echo %w %s\0it's", "alertnotify\0echo %s\0a; rm"])),
    ]
}
