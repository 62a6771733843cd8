//! What files, sockets and users bring.

use crate::{Seeds, texts as more, with};

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

/// Of each version one with little, one with everything, and one that is final.
fn psbts() -> Vec<Vec<u8>> {
    use base64::Engine;
    use bulkhead_rpc_util::psbt::{Version, VersionedPsbt, encode};
    let of_version = |version: Version| {
        let mut unsigned = transaction();
        unsigned.input[0].witness.clear();
        unsigned.input[0].previous_output.txid = transaction().compute_txid();
        let mut made = VersionedPsbt::new(unsigned, version).unwrap();
        made.psbt.inputs[0].witness_utxo = Some(output(60_000));
        let mut texts = vec![encode(&made)];
        more::fill(&mut made.psbt, transaction());
        texts.push(encode(&made));
        more::finish(&mut made.psbt);
        texts.push(encode(&made));
        texts.iter().map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap()).collect::<Vec<_>>()
    };
    [Version::Zero, Version::Two].map(of_version).concat()
}

/// A file without the magic in front of it and the checksum behind.
fn inside(file: &[u8]) -> Vec<u8> {
    file[4..file.len() - 32].to_vec()
}

/// No addresses; some that were heard of, and two that were reached.
fn peers() -> Vec<Vec<u8>> {
    use bulkhead_wire::{Endpoint, PeerAddress};
    const NOW: i64 = 1_700_000_000;
    let magic = [0xfa, 0xbf, 0xb5, 0xda];
    let mut addresses = bulkhead_addrman::AddrMan::deterministic();
    let empty = inside(&bulkhead_addrman::encode_peers(magic, &addresses));
    for (number, text) in
        ["2.0.0.0:8333", "[fc00:1:2:3:4:5:6:7]:8333", "[2803:0:1234:abcd::1]:45324", "1.2.3.4:8333"].iter().enumerate()
    {
        let endpoint = Endpoint::parse(text, 8333).unwrap();
        let address = PeerAddress { time: 1_699_999_000, services: 9, endpoint };
        addresses.add(&[address], &endpoint.addr, 0, NOW);
        if number >= 2 {
            addresses.good(&endpoint, NOW, true);
        }
    }
    vec![empty, inside(&bulkhead_addrman::encode_peers(magic, &addresses))]
}

/// Two anchors.
fn anchors() -> Vec<u8> {
    use bulkhead_wire::{Endpoint, PeerAddress};
    let anchor = |text| PeerAddress { time: 7, services: 9, endpoint: Endpoint::parse(text, 8333).unwrap() };
    inside(&bulkhead_addrman::encode_anchors([0xfa, 0xbf, 0xb5, 0xda], &[anchor("2.0.0.0:8333"), anchor("[2803::1]:1")]))
}

/// What a proxy refuses with, and addresses of other kinds.
fn refusals() -> Vec<Vec<u8>> {
    let refused = (1..=9).map(|code| vec![0, 5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    let other = [
        vec![0, 4, 0],
        vec![0, 5, 0xff],
        vec![1, 5, 2, 1, 1],
        vec![1, 5, 2, 2, 0],
        [&[0, 5, 0, 5, 0, 0, 4][..], &[1; 18]].concat(),
        vec![0, 5, 0, 5, 0, 0, 9],
        vec![0, 5, 0, 5, 0, 1, 1],
        vec![0, 5, 0, 4, 0, 0, 1],
    ];
    refused.chain(other).collect()
}

fn texts(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A router that forwards (PCP), one that speaks NAT-PMP only, and the two answers of that one.
fn router_answers() -> Vec<Vec<u8>> {
    let here = std::net::IpAddr::from([192, 168, 0, 6]);
    let mut forwarded = bulkhead_wire::pcp::pcp_request(&[9; 12], here, here, 8333, 2400);
    forwarded[1] |= 0x80;
    let old = vec![0, 0x81, 0, 1, 0, 0, 0, 0];
    let address = vec![0, 0x80, 0, 0, 0, 0, 0, 1, 5, 6, 7, 8];
    let mapping = vec![0, 0x82, 0, 0, 0, 0, 0, 1, 0x20, 0x8d, 0x04, 0xd2, 0, 0, 9, 0x60];
    vec![forwarded, old, address, mapping]
}

/// One question, its alias and two addresses.
fn dns_answer() -> Vec<u8> {
    let head = [0, 7, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0];
    let question = [&b"\x04seed\x07example\0"[..], &[0, 1, 0, 1]].concat();
    let record = |kind: u8, data: &[u8]| [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 9, 0], &[data.len() as u8][..], data].concat();
    let alias = record(5, b"\x01a\xc0\x11");
    [&head[..], &question, &alias, &record(1, &[192, 0, 2, 1]), &record(28, &[0x20; 16])].concat()
}

pub const TPUB: &str =
    "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";

const KEY_HASH: &str = "wpkh(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)";

pub fn seeds() -> Vec<Seeds> {
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
            [
                more::bodies(),
                vec![
                    br#"{"jsonrpc":"2.0","id":1,"method":"getblockcount","params":[]}"#.to_vec(),
                    br#"[{"id":"a","method":"echo","params":{"args":[1],"x":2}}]"#.to_vec(),
                ],
            ]
            .concat(),
        ),
        (
            "config_file",
            [
                more::config_lines(),
                vec![
                    b"regtest=1\n# comment\n[regtest]\nrpcport=18443\nnolisten=1\nmain.port=5\n".to_vec(),
                    b"rpcpassword=a\naddnode=1.2.3.4\n".to_vec(),
                ],
            ]
            .concat(),
        ),
        ("settings_file", vec![br#"{"_warning_":"text","wallet":["a","b"],"x":{"y":[1,2.5,null,true]}}"#.to_vec()]),
        ("wallet_record", more::records(&transaction())),
        ("p2p_skim", vec![tx.clone(), bitcoin::consensus::serialize(&block())]),
        (
            "v2_stream",
            vec![
                vec![0, 8, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 99, 0, 3, 250, 7, 7, 7],
                vec![3; 80],
                with(2, b"\xfa\xbf\xb5\xdaversion"),
            ],
        ),
        ("v2_contents", vec![with(18, &[1; 8]), with(0, b"wtxidrelay\0\0"), with(28, &[0])]),
        (
            "socks5_reply",
            vec![
                vec![0, 5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80],
                vec![1, 5, 2, 1, 0, 5, 0, 0, 3, 2, b'a', b'b', 0, 80],
                vec![0, 5, 0, 5, 4, 0, 1],
            ]
            .into_iter()
            .chain(refusals())
            .collect(),
        ),
        (
            "sam_reply",
            vec![
                b"HELLO REPLY RESULT=OK VERSION=3.1".to_vec(),
                b"SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"x\"".to_vec(),
                format!("DEST REPLY VALUE={}", bulkhead_wire::sam::encode_base64(&[0; 390])).into_bytes(),
            ],
        ),
        (
            "tor_control_reply",
            vec![
                with(9, b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE=\"/a\\\\b\\057\"\r\n250 OK\r\n"),
                with(0, b"250-ServiceID=abc\n250-PrivateKey=ED25519-V3:x\n250 OK\n510 Unrecognized\n"),
            ],
        ),
        ("router_answer", router_answers()),
        ("dns_answer", vec![dns_answer()]),
        (
            "resolver_files",
            texts(&[
                "# x\nnameserver 10.0.0.1\nnameserver ::1\noptions x\x00127.0.0.1 localhost\n1.2.3.4 here HERE.example # there\nbad\0here",
                "\0\0localhost",
                "nameserver x\0::1 a b c\0seed.example",
                "\0\0a..b",
            ]),
        ),
        ("rpc_arguments", vec![with(3, b"[1, \"a\", true]"), with(9, b"{\"verbose\":false,\"args\":[0]}")]),
        ("peers_file", peers()),
        ("anchors_file", vec![vec![0], anchors()]),
        // One system; a jump on the first bit; a default before eight bits that must match.
        (
            "asmap_file",
            vec![
                vec![0x00, 0x00, 0x00],
                vec![0x01, 0x00, 0x00, 0x01, 0x00, 0x01],
                vec![0x07, 0x00, 0xdc, 0x9f, 0x00, 0x00, 0x30],
            ],
        ),
        (
            "ban_list",
            texts(&[
                ban,
                r#"{"banned_nets":[{"version":2,"address":"2001:db8::/32"},{"version":1,"address":"x"},{"a":[1]},7]}"#,
                r#"{"banned_nets":{}}"#,
                r#"{"banned_nets":[{"version":1,"address":"10.0.0.0/8","ban_created":1,"banned_until":1600000000},{"version":1,"address":"203.0.113.0/24","ban_created":1,"banned_until":9000000000},{"version":1,"address":"203.0.114.0/24","ban_created":1,"banned_until":1700000005}]}"#,
            ]),
        ),
        ("psbt", [psbts(), crate::psbt_fields::seeds()].concat()),
        ("descriptor", [descriptors.clone(), more::descriptors()].concat()),
        ("wallet_descriptor", [descriptors, more::descriptors(), texts(&[&bulkhead_rpc_util::with_checksum(KEY_HASH)])].concat()),
        (
            "address",
            texts(&[
                "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka",
                "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
                "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA",
                "main",
                "test",
                "testnet4",
                "signet",
                "regtest",
                "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
                "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
                "2N2JD6wb56AfK4tfmM6PwdVmoYk2dCKf4Br",
                "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
                "91avARGdfge8E4tZfYLoxeJ5sGBdNJQH4kvjJoQFacbgwmaKkrx",
                "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
                "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
                "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3x",
                "bcrt1sw50qgdz25j",
                "bc1gmk9yu",
            ]),
        ),
        ("bech32", texts(&["bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka", "A1LQFN3A"])),
        (
            "network_address",
            texts(&[
                "192.0.2.1:8333",
                "[2001:db8::1]:18444",
                "10.0.0.0/8",
                "fc00::/8",
                "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:8333",
                "c4gfnttsuwqomiygupdqqqyy5y5emnk5c73hrfvatri67prd7vyq.b32.i2p:0",
                "2002:102:304::1",
                "2001:0:1:2:3:4:5:6",
                "64:ff9b::1.2.3.4",
                "169.254.0.1/255.255.0.0",
                "::1",
                "fe80::1/64",
                "0.0.0.0",
                "1.2.3.4/255.0.255.0",
                "fd6b:88c0:8724:1:2:3:4:5",
                "fc00::1",
                "ipv4",
                "Onion",
                "cjdns",
                "i2p",
                "not_publicly_routable",
                "2001:db8::/129",
                "::ffff:1.2.3.4",
                "name.example",
                "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion/8",
                "[::1",
                "1.2.3.4:99999",
            ]),
        ),
        ("raw_transaction", vec![tx]),
        ("script_text", vec![output(1).script_pubkey.into_bytes(), [&[0x21, 2][..], &[9; 32], &[0xac]].concat()]),
        (
            "amount",
            texts(&["0.00001000", "\"1e-8\"", "21000000", "[0,5]", "[5,0]", "[-1,2]", "[0,2000000]", "[0,4294967296]", "[1]"]),
        ),
        (
            "spending_rules",
            texts(&[
                "fee-max 1000\nvelocity-day 5\ndestination-allowlist 0014\n",
                "destination-allowlist 51\ndestination-allowlist 52\n",
            ]),
        ),
        ("notify_template", texts(&["walletnotify\0echo %w %s\0it's", "alertnotify\0echo %s\0a; rm"])),
    ]
}
