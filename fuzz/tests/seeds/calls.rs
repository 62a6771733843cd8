//! Conversations with chain and with the wallet that change something: blocks, payments, and what is asked of them then. Chain
//! begins with the same blocks in every process (`bulkhead_fuzz::ask`).

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use bulkhead_fuzz::ask;
use bulkhead_tests::hostile::{Fields, Talk, To};
use bulkhead_wire::compact::CompactBlock;
use serde_json::{Value, json};

use crate::Seeds;
use crate::formats::transaction;

/// Height of the tip that conversations find.
const TIP: i32 = 110;
/// An address that nobody waits at.
const ADDRESS: &str = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";

fn block_at(height: i32) -> Block {
    let hash = ask("getblockhash", vec![height.into()]).unwrap();
    let text = ask("getblock", vec![hash, 0.into()]).unwrap();
    deserialize(&hex::decode(text.as_str().unwrap()).unwrap()).unwrap()
}

/// Spends the coinbase of a block below the hundredth: whoever says so may.
fn payment(height: i32, fee: u64) -> Transaction {
    let coinbase = &block_at(height).txdata[0];
    spend(coinbase, fee)
}

fn spend(from: &Transaction, fee: u64) -> Transaction {
    let output = TxOut { value: from.output[0].value - Amount::from_sat(fee), ..from.output[0].clone() };
    let input = TxIn {
        previous_output: OutPoint { txid: from.compute_txid(), vout: 0 },
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[[0x51]]),
        ..TxIn::default()
    };
    let mut tx = Transaction { input: vec![input], output: vec![output], ..from.clone() };
    tx.lock_time = bitcoin::absolute::LockTime::ZERO;
    tx
}

/// A block without payments on top of another; `salt` tells those of one height apart.
fn on(parent: &Block, height: i32, salt: u8, value: u64) -> Block {
    let mut block = parent.clone();
    block.header.prev_blockhash = parent.block_hash();
    block.header.time += 1;
    block.txdata.truncate(1);
    let script = bitcoin::script::Builder::new().push_int(i64::from(height)).push_slice([salt]).into_script();
    block.txdata[0].input[0].script_sig = script;
    block.txdata[0].input[0].witness.clear();
    block.txdata[0].output = vec![TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from(vec![0x51]) }];
    block.txdata[0].lock_time = bitcoin::absolute::LockTime::ZERO;
    mined(block)
}

/// With the root of its transactions, and proof of work.
fn mined(mut block: Block) -> Block {
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

fn with_one_more(mut block: Block, tx: Transaction) -> Block {
    block.txdata.push(tx);
    mined(block)
}

/// Net brings blocks of two branches, the second of which wins, one that breaks a rule, and payments.
fn net() -> Vec<u8> {
    const SUBSIDY: u64 = 50 * 100_000_000;
    let tip = block_at(TIP);
    let first = on(&tip, TIP + 1, 1, SUBSIDY);
    let second = on(&tip, TIP + 1, 2, SUBSIDY);
    let third = on(&second, TIP + 2, 3, SUBSIDY);
    let rich = on(&third, TIP + 3, 4, 2 * SUBSIDY);
    let (paid, replacing) = (payment(6, 10_000), payment(6, 50_000));
    let txid = replacing.compute_txid();
    let (paid, child, replacing) = (serialize(&paid), serialize(&spend(&replacing, 5_000)), serialize(&replacing));
    let mut talk = Talk::subscribed(0);
    let send = |talk: &mut Talk, method: &str, data: &[(&str, &[u8])]| {
        talk.call(&format!("NetChain.{method}"), To::Bootstrap, Fields::Data(data))
    };
    send(&mut talk, "submitTransaction", &[("transaction", &paid)]);
    send(&mut talk, "submitPackage", &[("parent", &replacing), ("child", &child)]);
    send(&mut talk, "getTransactions", &[("ids", &[&[0][..], &txid[..]].concat())]);
    send(&mut talk, "haveTransactions", &[("ids", &[&[0][..], &txid[..]].concat())]);
    send(&mut talk, "mempoolIds", &[]);
    for block in [&first, &second, &third, &rich] {
        send(&mut talk, "submitHeaders", &[("headers", &serialize(&block.header))]);
        send(&mut talk, "submitBlock", &[("block", &serialize(block))]);
    }
    let hash = tip.block_hash();
    for method in ["getBlock", "headerInfo", "findHeaders", "findHashes", "missingBlocks", "blockFilters"] {
        let hash = hash.as_ref() as &[u8];
        let names = ["hash", "hashes", "locator", "stop", "tip"].map(|name| (name, hash));
        send(&mut talk, method, &names);
    }
    send(&mut talk, "submitTransaction", &[("transaction", &serialize(&payment(7, 1)))]);
    // A block of which chain lacks a transaction.
    let lacking = serialize(&transaction());
    let announced = serialize(&with_one_more(on(&third, TIP + 3, 5, SUBSIDY), transaction()));
    let compact = CompactBlock::of_block(&announced, 7).unwrap();
    let asked = send(&mut talk, "submitCompactBlock", &[("compactBlock", &compact)]);
    // Behind the outcome, in its fourth pointer.
    talk.call("PartialBlock.fill", To::Answer(asked, &[0, 3]), Fields::Data(&[("transactions", &lacking)]));
    talk.bytes
}

/// A wallet that pays, and asks what became of it.
fn wallet() -> Vec<u8> {
    let tx = payment(8, 20_000);
    let (bytes, txid) = (serialize(&tx), tx.compute_txid());
    let hash = block_at(TIP).block_hash();
    let data: [(&str, &[u8]); 7] = [
        ("transaction", &bytes),
        ("txid", txid.as_ref()),
        ("txids", txid.as_ref()),
        ("hash", hash.as_ref()),
        ("locator", hash.as_ref()),
        ("coin", txid.as_ref()),
        ("outpoints", txid.as_ref()),
    ];
    let mut talk = Talk::subscribed(0);
    for method in bulkhead_tests::hostile::methods_of("WalletChain").filter(|method| !method.name.ends_with(".subscribe")) {
        talk.call(method.name, To::Bootstrap, Fields::Data(&data));
    }
    talk.call("WalletChain.clusters", To::Bootstrap, Fields::Data(&data));
    talk.call("WalletChain.mempool", To::Bootstrap, Fields::Default);
    talk.call("WalletChain.barrier", To::Bootstrap, Fields::Default);
    talk.bytes
}

fn executed(mut talk: Talk, interface: &str, requests: &[(&str, Value)]) -> Vec<u8> {
    for (method, params) in requests {
        let request = json!({"method": method, "params": params}).to_string();
        talk.call(&format!("{interface}.executeRpc"), To::Bootstrap, Fields::Filled(&request));
    }
    talk.bytes
}

/// A front door that mines, pays, and takes blocks back.
fn door() -> Vec<u8> {
    let paid = hex::encode(serialize(&payment(9, 10_000)));
    let other = hex::encode(serialize(&payment(10, 10)));
    let txid = payment(9, 10_000).compute_txid().to_string();
    let hash = block_at(TIP).block_hash().to_string();
    let requests = [
        ("testmempoolaccept", json!([[paid]])),
        ("sendrawtransaction", json!([paid])),
        ("sendrawtransaction", json!([other])),
        ("prioritisetransaction", json!([txid, 0, 100])),
        ("getmempoolentry", json!([txid])),
        ("getrawmempool", json!([true])),
        ("gettxspendingprevout", json!([[{"txid": txid, "vout": 0}]])),
        ("generatetodescriptor", json!([1, "raw(51)"])),
        ("getblock", json!([hash, 3])),
        ("getblockstats", json!([TIP])),
        ("getblockfilter", json!([hash])),
        ("getrawtransaction", json!([txid, 1])),
        ("gettxout", json!([txid, 0])),
        ("gettxoutsetinfo", json!(["muhash"])),
        ("scantxoutset", json!(["start", ["raw(51)"]])),
        ("invalidateblock", json!([hash])),
        ("getchaintips", json!([])),
        ("reconsiderblock", json!([hash])),
        ("generateblock", json!(["raw(51)", []])),
        ("syncwithvalidationinterfacequeue", json!([])),
        ("savemempool", json!([])),
    ];
    executed(Talk::subscribed(2), "RpcChain", &requests)
}

/// What a user asks of a wallet with coins.
fn purse() -> Vec<u8> {
    let requests = [
        ("getbalances", json!([])),
        ("listunspent", json!([])),
        ("getnewaddress", json!(["label"])),
        ("getrawchangeaddress", json!([])),
        ("sendtoaddress", json!([ADDRESS, 1])),
        ("send", json!([{ADDRESS: 0.5}])),
        ("sendall", json!([[ADDRESS]])),
        ("walletcreatefundedpsbt", json!([[], [{ADDRESS: 0.1}]])),
        ("listtransactions", json!([])),
        ("listsinceblock", json!([])),
        ("listdescriptors", json!([])),
        ("rescanblockchain", json!([0])),
        ("lockunspent", json!([false])),
        ("setlabel", json!([ADDRESS, "a"])),
        ("listlabels", json!([])),
        ("getaddressinfo", json!([ADDRESS])),
        ("signmessage", json!([ADDRESS, "text"])),
        ("keypoolrefill", json!([5])),
        ("gethdkeys", json!([])),
        ("encryptwallet", json!(["secret"])),
        ("walletpassphrase", json!(["secret", 60])),
        ("createwallet", json!(["other"])),
        ("listwallets", json!([])),
        ("unloadwallet", json!(["other"])),
        ("unloadwallet", json!(["w"])),
        ("loadwallet", json!(["w"])),
    ];
    executed(Talk::default(), "RpcWallet", &requests)
}

/// Chain tells a wallet of blocks and payments.
fn told() -> Vec<u8> {
    let tip = block_at(TIP);
    let block = on(&tip, TIP + 1, 1, 50 * 100_000_000);
    let (tx, bytes) = (payment(6, 10_000), serialize(&block));
    let (hash, txid, parent) = (block.block_hash(), tx.compute_txid(), tip.block_hash());
    let mut talk = Talk::default();
    let mut tell = |method: &str, data: &[(&str, &[u8])]| {
        talk.call(&format!("WalletEvents.{method}"), To::Bootstrap, Fields::Data(data));
    };
    tell("transactionAdded", &[("transaction", &serialize(&tx))]);
    tell("transactionRemoved", &[("txid", txid.as_ref())]);
    tell("blockConnected", &[("hash", hash.as_ref()), ("block", &bytes)]);
    tell("blockDisconnected", &[("hash", hash.as_ref()), ("block", &bytes)]);
    tell("updatedTip", &[("hash", parent.as_ref())]);
    // The newest that the wallet has seen is taken back.
    tell("blockDisconnected", &[("hash", parent.as_ref()), ("block", &serialize(&tip))]);
    tell("blockConnected", &[("hash", hash.as_ref()), ("block", &bytes)]);
    tell("updatedTip", &[("hash", parent.as_ref())]);
    talk.bytes
}

pub fn seeds() -> Vec<Seeds> {
    vec![
        ("net_chain_server", vec![net()]),
        ("wallet_chain_server", vec![wallet()]),
        ("rpc_chain_server", vec![door()]),
        ("rpc_wallet_server", vec![purse()]),
        ("wallet_chain_events", vec![told()]),
    ]
}
