//! Bytes that become calls and answers with a meaning: what each byte chooses is said by `bulkhead_tests::hostile` and by the
//! targets that take a tape.

use bulkhead_schema::methods::{self, Owner};
use bulkhead_tests::hostile::{Fields, Talk, To, methods_of};
use bulkhead_wire::message::KNOWN_COMMANDS;

use crate::{Seeds, with};

/// Answers with this content to the first questions, without capabilities.
pub fn answered(content: &[u8]) -> Vec<u8> {
    (1..8).flat_map(|question| [&[0, 2, question, 1, 0][..], content].concat()).collect()
}

/// A struct with one text.
pub fn text(text: &str) -> Vec<u8> {
    [&[0, 1, 1, 3, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A call of a method of the first interface on the bootstrap, without capabilities.
pub fn called(method: u8, content: &[u8]) -> Vec<u8> {
    [&[9, 0, method, 3, 0], content, &[0]].concat()
}

/// A miner asks for a template without waiting, and hangs up.
#[cfg(feature = "engine")]
pub fn miner() -> Vec<u8> {
    // Of the second interface, on what the question before answers.
    let create = [9, 1, 4, 0, 2, 1, 0, 0, 1, 0, 1, 1, 0];
    [called(3, &[0, 0]), create.to_vec()].concat()
}

/// A peer sends a transaction whose parent nobody has.
pub fn orphan() -> Vec<u8> {
    let tx = [&[2, 0, 0, 0, 1][..], &[7; 36], &[0, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x51], &[0; 4]].concat();
    let command = KNOWN_COMMANDS.iter().position(|known| *known == "tx").and_then(|at| u8::try_from(at).ok()).unwrap();
    let send = [&[3, 0, command, u8::try_from(tx.len()).unwrap()], &tx[..]].concat();
    // An inbound connection and its handshake; chain says nothing to what it is asked before, and that inputs are missing.
    [&[0; 6][..], &[8, 0, 8, 0], &send, &[6, 0, 9, 3, 10]].concat()
}

/// What a wallet may say to a locked key store: unlock, sign and lock in orders that matter.
pub fn key_store() -> Vec<Vec<u8>> {
    const SIGN_MESSAGE: &[u8] = b"\x08twenty letters, sure\0";
    const SIGN: &[u8] = &[7, 0, 0, 0, 0, 0, 0, 0, 1];
    const UNLOCK: &[u8] = &[4, 2, 100, 0, 0, 0];
    const LOCK: &[u8] = &[5];
    const CHANGE: &[u8] = &[6, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    const RULES: &[u8] = &[15, 2];
    const EXPORT: &[u8] = &[10, 0];
    const DUMP: &[u8] = &[24];
    const BACKUP: &[u8] = &[33];
    const WATCH_ONLY: &[u8] = &[27];
    const VERIFY: &[u8] = &[26];
    const GENERATE: &[u8] = &[29, 2, 1];
    const GENERATE_ALL: &[u8] = &[21];
    const SIGN_RAW: &[u8] = &[30, 0, 0, 0, 0, 1];
    const OPEN: &[u8] = &[0];
    const CLOSE: &[u8] = &[1];
    const RECORDS: &[u8] = &[2, 0, 100, 0, 0, 0];
    const STATUS: &[u8] = &[12];
    const RESTORE: &[u8] = &[22, 0];
    const DISCARD: &[u8] = &[23];
    const CREATE: &[u8] = &[20, 1, 1, 0, 0, 0];
    const EXPORT_WITHOUT_CONSENT: &[u8] = &[10, 1];
    vec![
        [UNLOCK, SIGN, LOCK, SIGN, SIGN_MESSAGE].concat(),
        [CHANGE, SIGN_MESSAGE, SIGN].concat(),
        [UNLOCK, EXPORT, EXPORT_WITHOUT_CONSENT, LOCK, EXPORT, EXPORT_WITHOUT_CONSENT].concat(),
        [UNLOCK, &[1, 0], SIGN, RULES].concat(),
        // Copies of three kinds, locked and unlocked; more keys, and a signature without a PSBT.
        [DUMP, BACKUP, WATCH_ONLY, VERIFY].concat(),
        [UNLOCK, GENERATE, GENERATE_ALL, SIGN_RAW, DUMP, BACKUP, WATCH_ONLY].concat(),
        // Away and back.
        [CLOSE, RESTORE, VERIFY, OPEN, STATUS, RECORDS].concat(),
        [DISCARD, RESTORE, OPEN, UNLOCK, SIGN].concat(),
        [&[31][..], &[0; 8], &[32, 0, 0, 0], &[b'x'; 120], &[0; 4]].concat(),
        [CLOSE, CREATE, STATUS, RECORDS, &[17, 1], b"password", STATUS].concat(),
    ]
}

/// A text, and how long it is.
fn counted(text: &[u8]) -> Vec<u8> {
    with(u8::try_from(text.len()).unwrap(), text)
}

/// What a wallet may say to the key store of a wallet without a passphrase, or with one that it knows.
pub fn open_key_store() -> Vec<Vec<u8>> {
    // There is no file yet, and then the other one.
    const NO_FILE: u8 = 180;
    const PLAIN: &[u8] = &[NO_FILE + 34, 0];
    const UNLOCK: &[u8] = &[4, 2, 100, 0, 0, 0];
    const STATUS: &[u8] = &[12];
    const COPIES: &[u8] = &[24, 33, 27];
    const TPRV: &[u8] = crate::texts::TPRV.as_bytes();
    const OTHER: &[u8] =
        b"tprv8ZgxMBicQKsPeDgjzdC36fs6bMjGApWDNLR9erAXMs5skhMv36j9MV5ecvfavji5khqjWaWSFhN3YcCUUdiKH6isR4Pwy3U5y5egddBr16m";
    let encrypt = [&[17, 2][..], STATUS, &[17, 2], &[4, 1], b"mistaken", &[0; 4], UNLOCK, STATUS, COPIES].concat();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let add = |text: &str, range: [u32; 4]| [vec![16], counted(text.as_bytes()), words(&range)].concat();
    let adds = [
        add(&format!("wpkh({}/7/*)", crate::texts::TPRV), [0, 5, 0, 7]),
        add(&format!("wpkh({}/7/*)", crate::texts::TPRV), [0, 9, 2, 7]),
        add(&format!("wpkh({}/7/*)", crate::texts::TPRV), [3, 5, 3, 7]),
        add(&format!("wpkh({}/7h/*h)", crate::texts::TPRV), [5, 2, 0, 7]),
        add(&format!("pkh({})", crate::texts::WIF), [0, 0, 0, 7]),
        add(&format!("pkh({})", crate::texts::KEYS[0]), [0, 0, 0, 7]),
        add(&format!("wpkh({}/*)", crate::texts::TPUB), [0, 5, 0, 7]),
        add("pkh(nonsense)", [0, 1, 0, 7]),
    ]
    .concat();
    let top_ups: Vec<u8> = (0..14).flat_map(|id| [vec![11, id], words(&[7 + u32::from(id)])].concat()).collect();
    let too_much = [vec![11, 8], words(&[0x7fff_ffff]), vec![11, 200], vec![9; 32], words(&[9])].concat();
    let exports: Vec<u8> = (0..14).flat_map(|id| [9, id, id % 2]).collect();
    let keys = [&[28][..], TPRV, &[28], OTHER, &[28], OTHER, &[28], &[b'x'; 111], &[10, 0]].concat();
    let generated: Vec<u8> = (0..5).flat_map(|kind| [29, kind, kind % 2, 0, 29, kind, kind % 2, 1]).collect();
    let named = [vec![29, 2, 0, 2], counted(crate::texts::TPUB.as_bytes()), vec![29, 2, 0, 2], counted(b"x"), vec![21]].concat();
    let one_shot = |descriptor: &str, end: u8| {
        let text = format!("{descriptor:120}");
        [&[32, 0, 0][..], text.as_bytes(), &[end, 0, 0, 0]].concat()
    };
    let tprv = crate::texts::TPRV;
    let one_shots = [
        one_shot(&format!("pkh({tprv}/1/*)"), 9),
        one_shot(&format!("pkh({tprv}/1/*)"), 0),
        one_shot(&format!("wpkh({}/0h/*)", crate::texts::TPUB), 9),
        vec![18],
        crate::texts::WIF.as_bytes().to_vec(),
    ]
    .concat();
    let spending = |rules: &str| [&[15, 2][..], format!("{rules:\n<40}").as_bytes(), &[7, 0, 1, 0, 0, 0, 0, 0, 1]].concat();
    let ruled = [UNLOCK, &spending("velocity-day 100000000"), &spending("velocity-day 5"), &spending("fee-max 1"), &[0]].concat();
    let dump = |text: &str| [vec![NO_FILE + 25], counted(text.as_bytes())].concat();
    let dumps = [
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\nchecksum,00\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\nzz,00\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\n00,zz\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\n00,00\n\n00,\nchecksum,0000000000000000000000000000000000000000000000000000000000000000\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\nchecksum,1111111111111111111111111111111111111111111111111111111111111111\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nformat,bdb\n",
        "BITCOIN_CORE_WALLET_DUMP,1\nmat,bdb\n",
        "BITCOIN_CORE_WALLET_DUMP,2\n",
        "BITCOIN_CORE_WALLET_DUMP,x\n",
        "OTHER_DUMP,1\n",
    ];
    let from_dumps: Vec<u8> = dumps.into_iter().flat_map(dump).collect();
    let own_dump = [&[NO_FILE + 35][..], &[0; 5], &[0], STATUS, &[2, 0, 100, 0, 0, 0]].concat();
    let changed_dump = [&[NO_FILE + 35][..], &words(&[300]), &[1], &[0], STATUS].concat();
    let no_keys = [&[NO_FILE + 20, 0, 0, 4, 4, 1][..], STATUS, &[21, 28], TPRV, &add("pkh(x)", [0, 1, 0, 7]), &[17, 2]].concat();
    let keyless_adds = [&[NO_FILE + 20, 0, 1, 4, 4, 1][..], &adds, &keys, &[17, 2, 29, 2, 0, 0]].concat();
    vec![
        [PLAIN, COPIES, &encrypt].concat(),
        [PLAIN, &adds, &[2, 0, 200, 0, 0, 0]].concat(),
        [UNLOCK, &adds, &[5], &adds].concat(),
        [PLAIN, &top_ups].concat(),
        [UNLOCK, &top_ups, &too_much].concat(),
        [PLAIN, &exports].concat(),
        [UNLOCK, &exports].concat(),
        [PLAIN, &keys].concat(),
        [UNLOCK, &keys].concat(),
        [PLAIN, &generated, &named].concat(),
        [UNLOCK, &generated, &[5], &generated].concat(),
        // A new HD key, without one that is given.
        [PLAIN, &[28]].concat(),
        [PLAIN, &one_shots].concat(),
        ruled,
        from_dumps,
        own_dump,
        changed_dump,
        no_keys,
        keyless_adds,
        // Not encrypted: there is nothing to unlock, to lock or to change.
        [PLAIN, UNLOCK, &[5], &[6, 2, 2], &[15, 2], b"fee-max 5", &[14]].concat(),
        [UNLOCK, &[6, 1], b"mistaken", &[2], &[6, 2, 0], &[15, 2], b"fee-max 1000\nvelocity-day 5\n"].concat(),
    ]
}

/// Records that a wallet may write, and some that it may not, into both wallets.
pub fn writes() -> Vec<Vec<u8>> {
    let written = |kept: &[u8]| {
        let records = crate::texts::records(&crate::formats::transaction());
        let mut out = kept.to_vec();
        for record in &records {
            let (key, value) = record[1..].split_at(usize::from(record[0]));
            if value.len() < 256 && key.len() < 128 {
                out.extend([3, u8::try_from(key.len()).unwrap(), u8::try_from(value.len()).unwrap()]);
                out.extend([key, value, &[0]].concat());
            }
        }
        out
    };
    let whole = written(&[]);
    // A sequence ends after some requests.
    let parts = |first: &[u8]| -> Vec<Vec<u8>> {
        let mut rest = whole.as_slice();
        let mut all = Vec::new();
        while !rest.is_empty() {
            let mut part = first.to_vec();
            for _ in 0..8 {
                if let [3, key, value, ..] = rest {
                    let (record, others) = rest.split_at(4 + usize::from(*key) + usize::from(*value));
                    part.extend(record);
                    // And away with it.
                    part.extend([3, *key, 0]);
                    part.extend(&record[3..3 + usize::from(*key)]);
                    part.push(1);
                    rest = others;
                }
            }
            all.push(part);
        }
        all
    };
    [parts(&[]), parts(&[214, 0])].concat()
}

/// Requests of many methods that one process answers, without parameters.
fn requests(interface: &str, owner: Owner) -> Vec<u8> {
    let mut talk = Talk::default();
    // What ends the node proves nothing, and help is said by another process.
    for method in methods::all().filter(|method| method.owner == owner && method.name != "stop") {
        let request = format!(r#"{{"method":"{}","params":[]}}"#, method.name);
        talk.call(&format!("{interface}.executeRpc"), To::Bootstrap, Fields::Filled(&request));
    }
    talk.bytes
}

/// Every method of an interface on the bootstrap of an edge.
fn all(interface: &str, text: &str) -> Vec<u8> {
    let mut talk = match methods_of(interface).find(|method| method.name.ends_with(".subscribe")) {
        Some(subscribe) => Talk::subscribed(u8::try_from(subscribe.ordinal).unwrap()),
        None => Talk::default(),
    };
    talk.call_all(interface, To::Bootstrap, text);
    talk.bytes
}

/// Every method of a miner's interfaces, on a template that is made without waiting.
#[cfg(feature = "engine")]
fn mining(talk: &mut Talk, mining: u32) {
    talk.call_all("Mining", To::Answer(mining, &[0]), "");
    for _ in 0..2 {
        // Without waiting for better times.
        let template = talk.call("Mining.createNewBlock", To::Answer(mining, &[0]), Fields::No(""));
        // In the order of the schema the first of them destroys it.
        let made = To::Answer(template, &[0]);
        methods_of("BlockTemplate").skip(1).for_each(|method| {
            talk.call(method.name, made, Fields::Filled(""));
        });
        talk.call("BlockTemplate.destroy", made, Fields::Default);
        talk.call("BlockTemplate.getBlock", made, Fields::Default);
    }
}

#[cfg(feature = "engine")]
fn front_door_of_chain() -> Vec<u8> {
    let mut talk = Talk::subscribed(2);
    talk.call_all("RpcChain", To::Bootstrap, r#"{"method":"getblockcount","params":[]}"#);
    let made = talk.call("RpcChain.makeMining", To::Bootstrap, Fields::Default);
    mining(&mut talk, made);
    talk.bytes
}

/// A client of `-ipcbind` that has a pool of threads.
#[cfg(feature = "engine")]
fn outside() -> Vec<u8> {
    let mut talk = Talk::default();
    let made = talk.call("Init.construct", To::Bootstrap, Fields::Default);
    let threads = To::Answer(made, &[0]);
    talk.call("ThreadMap.makePool", threads, Fields::Filled(""));
    let thread = talk.call("ThreadMap.makeThread", threads, Fields::Filled("a"));
    talk.call("Thread.getName", To::Answer(thread, &[0]), Fields::Default);
    talk.call("Init.makeMiningOld2", To::Bootstrap, Fields::Default);
    for (make, interface) in [("Init.makeEcho", "Echo"), ("Init.makeRpc", "Rpc")] {
        let made = talk.call(make, To::Bootstrap, Fields::Default);
        talk.call_all(interface, To::Answer(made, &[0]), r#"{"method":"getblockcount","params":[]}"#);
    }
    let made = talk.call("Init.makeMining", To::Bootstrap, Fields::Default);
    mining(&mut talk, made);
    talk.bytes
}

/// Net announces a block, and brings the transaction that chain lacks.
#[cfg(feature = "engine")]
fn compact_block() -> Vec<u8> {
    let mut talk = Talk::default();
    talk.call("NetChain.submitBlock", To::Bootstrap, Fields::Filled(""));
    let asked = talk.call("NetChain.submitCompactBlock", To::Bootstrap, Fields::Filled(""));
    // Behind the outcome, in its fourth pointer.
    talk.call("PartialBlock.fill", To::Answer(asked, &[0, 3]), Fields::Filled(""));
    talk.bytes
}

/// Answers to the questions that a client asks in this order.
fn answers(interface: &str, methods: &[&str], fields: Fields<'_>) -> Vec<u8> {
    let mut talk = Talk::default();
    for (question, method) in (1..).zip(methods) {
        talk.answer(question, &format!("{interface}.{method}"), fields);
    }
    talk.bytes
}

/// More than there are in any choice of the schemas, so that one is unknown.
const VERDICTS: u16 = 18;

/// What `net_chain_client` and `wallet_chain_client` ask.
pub fn typed_answers() -> Vec<Seeds> {
    let net = [
        "state",
        "locator",
        "submitHeaders",
        "findHeaders",
        "findHashes",
        "missingBlocks",
        "headerInfo",
        "mempoolIds",
        "getBlock",
        "getTransactions",
        "haveTransactions",
        "findHeaders",
        "submitBlock",
        "submitTransaction",
        "submitPackage",
        "submitCompactBlock",
        "blockFilters",
        "blockFilters",
        "blockFilters",
        "testTransaction",
        "broadcastSeen",
    ];
    let wallet = [
        "state",
        "getBlock",
        "findFork",
        "mempool",
        "coins",
        "broadcast",
        "inMempool",
        "estimateFee",
        "barrier",
        "verifyInputs",
        "getBlock",
        "clusters",
        "blocksFrom",
        "blockFilter",
    ];
    // Something in every field; then, of each verdict, outcome and state there is, one.
    let filled = Fields::Filled(r#"{"result":1}"#);
    let judged = (0..VERDICTS).map(|choice| answers("NetChain", &net, Fields::Choice(choice)));
    let net = [answers("NetChain", &net, filled)].into_iter().chain(judged).collect();
    vec![("net_chain_client", net), ("wallet_chain_client", vec![answers("WalletChain", &wallet, filled)])]
}

/// Every method of every edge, said to who serves it.
pub fn every_method() -> Vec<Seeds> {
    vec![
        ("rpc_net_server", vec![all("RpcNet", "{}"), requests("RpcNet", Owner::Net)]),
        ("net_chain_events", vec![all("NetEvents", "a")]),
        #[cfg(feature = "engine")]
        ("net_chain_server", vec![all("NetChain", ""), compact_block()]),
        #[cfg(feature = "engine")]
        ("wallet_chain_server", vec![all("WalletChain", "")]),
        #[cfg(feature = "engine")]
        ("rpc_chain_server", vec![front_door_of_chain(), requests("RpcChain", Owner::Chain)]),
        #[cfg(feature = "engine")]
        ("rpc_chain_events", vec![all("ChainEvents", "a")]),
        #[cfg(feature = "engine")]
        ("rpc_wallet_server", vec![all("RpcWallet", "{}"), requests("RpcWallet", Owner::Wallet)]),
        #[cfg(feature = "engine")]
        ("wallet_chain_events", vec![all("WalletEvents", "a")]),
        #[cfg(feature = "engine")]
        ("gui_rpc_server", vec![all("GuiRpc", "")]),
        #[cfg(feature = "engine")]
        ("gui_wallet_server", vec![all("GuiWallet", "")]),
        #[cfg(feature = "engine")]
        ("outside_rpc_server", vec![outside()]),
    ]
}
