//! What the edges carry.

use bulkhead_control::message::{Configure, Reply as Answered};
use bulkhead_control::{Command, Edge, FieldValue, FromChild, LogLevel, OpenFile, OpenKeystore, Report, Request, ToChild};
use bulkhead_fuzz::content;
use bulkhead_keystore_edge::{DescriptorInfo, HdKey, KeystoreError, Record, Reply, SecretText, Signed, Status, encode_pair};
use bulkhead_tests::hostile::every_request;
use bulkhead_wire::compact::{BlockTransactions, CompactBlock, TransactionsRequest};
use capnp::message::Builder;

use crate::conversations::{self, answered, called, text};
use crate::{Seeds, noise, with};

fn flat<T>(fill: impl FnOnce(&mut Builder<capnp::message::HeapAllocator>) -> T) -> Vec<u8> {
    let mut message = Builder::new_default();
    fill(&mut message);
    capnp::serialize::write_message_to_words(&message)
}

/// One of each kind, with and without witness, and some that are none.
fn inventory(command: u8) -> Vec<u8> {
    let kinds = [0u32, 1, 2, 3, 4, 5, 6].into_iter().flat_map(|kind| [kind, kind | 1 << 30]);
    let entries: Vec<u8> = kinds.flat_map(|kind| [&kind.to_le_bytes()[..], &[9; 32]].concat()).collect();
    [&[command, 14][..], &entries].concat()
}

/// A reply of every kind.
fn replies() -> Vec<Reply> {
    let secret = |text: &str| SecretText::new(text.to_owned());
    let record = Record { key: b"\x04name".to_vec(), value: vec![1], erase: false };
    let info = DescriptorInfo {
        public: "pk(a)".into(),
        private: secret("pk(b)"),
        range_end: 5,
        active: true,
        ..DescriptorInfo::default()
    };
    let cached =
        DescriptorInfo { cache: vec![encode_pair(b"key", b"value")], output_type: "bech32".into(), ..DescriptorInfo::default() };
    let key = HdKey { xpub: "xpub".into(), xprv: secret("xprv"), descriptors: vec![[1; 32]], has_private: true };
    vec![
        Reply::Ok,
        Reply::Error(KeystoreError { code: -4, message: "no".into(), policy: "fee-max".into() }),
        Reply::Records { records: vec![record; 2], more: true },
        Reply::Descriptors(vec![info, cached]),
        Reply::Signed(Signed { psbt: b"psbt\xff\x00".to_vec(), complete: false, errors: vec![(0, "no key".into())] }),
        Reply::Text("text".into()),
        Reply::Status(Status { encrypted: true, unlocked_until: 7, ..Status::default() }),
        Reply::HdKeys(vec![key]),
    ]
}

pub fn seeds() -> Vec<Seeds> {
    let block = bitcoin::consensus::serialize(&bitcoin::constants::genesis_block(bitcoin::Network::Regtest));
    let compact = CompactBlock::of_block(&block, 7).unwrap();
    let command = Command { template: "blocknotify".into(), values: vec![("s".into(), "00".repeat(32))] };
    let configure = Configure {
        component: "net".into(),
        sandbox: "strict".into(),
        fields: vec![
            ("network".into(), FieldValue::Text("regtest".into())),
            ("listen".into(), FieldValue::Flag(true)),
            ("a".into(), FieldValue::Integer(-1)),
            ("b".into(), FieldValue::Real(0.5)),
            ("c".into(), FieldValue::Texts(vec!["d".into(), "e".into()])),
            ("f".into(), FieldValue::Bytes(vec![1, 2, 3])),
        ],
        descriptors: vec!["log".into()],
        ..Configure::default()
    };
    let level = LogLevel { category: "net".into(), level: "debug".into() };
    let to_child = [
        ToChild::Configure(configure),
        ToChild::Wire(vec![Edge { name: "net-chain".into(), instance: String::new() }]),
        ToChild::Shutdown,
        ToChild::Run(command.clone()),
        ToChild::SetMockTime(1_600_000_000),
        ToChild::Reply(Answered { id: 7, outcome: Ok("{}".into()) }),
        ToChild::Reply(Answered { id: 8, outcome: Err((-4, "no".into())) }),
        ToChild::ReopenLog,
        ToChild::LogCategories(vec![level.clone()]),
        ToChild::ForwardScheduler(60),
    ];
    let open = OpenKeystore { name: "alice".into(), create: true, one_shot: false, restore: false };
    let questions = [
        Request::OpenKeystore(open),
        Request::Stop,
        Request::Logging(vec![level; 2]),
        Request::SandboxInfo,
        Request::OpenFile(OpenFile { purpose: "backupWallet".into(), path: "/a".into() }),
        Request::ListWalletDir,
        Request::SetMockTime(7),
        Request::UpdateSetting { name: "wallet".into(), values: vec!["a".into()] },
        Request::SpawnEcho("a".into()),
        Request::ActivateSnapshot,
        Request::ForwardScheduler(60),
        Request::AwaitKeystoreEnd("alice".into()),
    ];
    let from_child = [
        FromChild::Ready,
        FromChild::Report(Report::default()),
        FromChild::Fatal("disk full".into()),
        FromChild::Notify(command),
        FromChild::InitError("a".into()),
        FromChild::InitMessage("b".into()),
        FromChild::Warning("c".into()),
        FromChild::Applied,
        FromChild::WalletLoaded("alice".into()),
        FromChild::WalletReleased("alice".into()),
    ];
    let from_child = from_child.into_iter().chain((7..).zip(questions).map(|(id, question)| FromChild::Request(id, question)));
    let headers = flat(|message| {
        let mut root =
            message.init_root::<bulkhead_schema::wire::net_chain_capnp::net_chain::submit_headers_params::Builder<'_>>();
        root.set_headers(&[1; 160]);
    });
    let locator = flat(|message| {
        let root = message.init_root::<bulkhead_schema::wire::net_chain_capnp::net_chain::find_headers_params::Builder<'_>>();
        let mut list = root.init_locator(2);
        list.set(0, &[2; 32]);
        list.set(1, &[3; 32]);
    });
    let call = flat(|message| {
        let mut root = message.init_root::<bulkhead_schema::wire::rpc_chain_capnp::rpc_chain::execute_rpc_params::Builder<'_>>();
        root.set_request(r#"{"method":"getblockhash","params":[0]}"#);
    });
    let magic = [0xfa, 0xbf, 0xb5, 0xda];
    let ping = bulkhead_wire::frame::encode(magic, "ping", &7u64.to_le_bytes());
    let verack = bulkhead_wire::frame::encode(magic, "verack", &[]);
    vec![
        ("control_to_child", to_child.iter().map(|message| message.encode().unwrap()).collect()),
        ("control_from_child", from_child.map(|message| message.encode().unwrap()).collect()),
        ("keystore_request", every_request().iter().map(|request| content(&request.encode().unwrap()).to_vec()).collect()),
        ("keystore_reply", replies().iter().map(|reply| content(&reply.encode().unwrap()).to_vec()).collect()),
        ("net_chain_frames", vec![headers, locator]),
        ("rpc_chain_frames", vec![call]),
        ("p2p_frame", vec![with(5, &ping), with(24, &[verack, ping].concat())]),
        (
            "p2p_message",
            vec![
                with(8, &7u64.to_le_bytes()),
                with(10, &[&[1, 1, 0, 0, 0][..], &[9; 32]].concat()),
                with(13, &[&[0x7f, 0x11, 1, 0, 1][..], &[4; 32], &[0; 32]].concat()),
                with(15, &[&[1][..], &[6; 80], &[0]].concat()),
                with(19, &[&[1][..], &[1; 30]].concat()),
                with(21, &CompactBlock::of_block(&block, 7).unwrap()),
                with(22, &TransactionsRequest { block: [4; 32], indexes: vec![1, 3, 400] }.encode()),
                with(23, &BlockTransactions { block: [4; 32], transactions: vec![block[81..].to_vec()] }.encode()),
                with(24, &[3, 0x61, 0x4e, 0x9b, 5, 0, 0, 0, 0, 0, 0, 0, 1]),
                with(25, &[2, 7, 8]),
                with(27, &[&[0, 1, 0, 0, 0][..], &[9; 32]].concat()),
                with(29, &[&[0][..], &[9; 32]].concat()),
                with(28, &[&[0, 1, 0, 0, 0][..], &[9; 32]].concat()),
                inventory(10),
                inventory(11),
                inventory(12),
                // Filters that follow everything, keys, and nothing.
                with(24, &[3, 0x61, 0x4e, 0x9b, 5, 0, 0, 0, 0, 0, 0, 0, 0]),
                with(24, &[&[8][..], &[0xff; 8], &[3, 0, 0, 0, 9, 0, 0, 0, 1]].concat()),
                with(24, &[&[8][..], &[0xff; 8], &[3, 0, 0, 0, 9, 0, 0, 0, 2]].concat()),
                with(24, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            ],
        ),
        (
            "peer_state_machine",
            vec![
                // An inbound peer sends a header, chain takes it, its block is fetched.
                [&[0, 0, 0, 0, 0, 3, 0, 15, 82, 1][..], &block[..80], &[0, 6, 0, 5, 1, 40, 0, 9, 0, 3, 6, 0, 2, 1, 30]].concat(),
                // Three peers, compact blocks and transactions, clock steps.
                [
                    &[0, 0, 2, 0, 0, 2, 0, 0, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 3, 1, 7, 200][..],
                    &compact,
                    &[6, 0, 1, 1, 40, 0, 0, 0, 1, 1, 1, 9, 0, 5],
                ]
                .concat(),
                (0u8..200).collect(),
                conversations::orphan(),
            ],
        ),
        ("notify_frames", vec![[&2u32.to_le_bytes()[..], &4u32.to_le_bytes(), b"true", &2u32.to_le_bytes(), b"00"].concat()]),
        (
            "keystore_sequence",
            [noise(4), conversations::key_store(), conversations::open_key_store(), conversations::writes()].concat(),
        ),
        ("net_chain_client", [noise(3), vec![answered(&[0, 0])]].concat()),
        ("wallet_chain_client", [noise(3), vec![answered(&[0, 0])]].concat()),
        ("rpc_chain_client", [noise(3), vec![answered(&text(r#"{"result":[1,null]}"#))]].concat()),
        ("rpc_net_client", [noise(3), vec![answered(&text(r#"{"result":"a"}"#))]].concat()),
        ("rpc_wallet_client", [noise(3), vec![answered(&text(r#"{"error":{"code":-4,"message":"b"}}"#))]].concat()),
        ("gui_client", noise(4)),
        // A null call, and one that echoes 200 KiB.
        ("echo_server", [noise(3), vec![[called(4, &[0, 0]), called(5, &[0, 1, 3, 6, 7, 200])].concat()]].concat()),
    ]
}
