//! A wallet's life with the real key store on a thread and a chain made of a few lines: create, receive, pay,
//! encrypt, lose the key store, load again.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{World, world};
use serde_json::{Value, json};

fn number(value: &Value) -> f64 {
    value.to_string().parse().unwrap()
}

fn run(test: impl AsyncFnOnce(World)) {
    bulkhead_link::run(async move { test(world().await).await }).unwrap();
}

#[test]
fn a_payment_goes_from_one_wallet_to_another() {
    run(async |world| {
        world.ok("", "createwallet", json!(["alice"])).await;
        world.ok("", "createwallet", json!(["bob"])).await;
        let error = world.err("", "getbalance", json!([])).await;
        assert_eq!(error.0, -19);
        let mine = world.ok("alice", "getnewaddress", json!([])).await;
        assert!(mine.as_str().unwrap().starts_with("bcrt1q"));
        world.mine(mine.as_str().unwrap(), 101).await;
        assert_eq!(number(&world.ok("alice", "getbalance", json!([])).await), 50.0);
        let balances = world.ok("alice", "getbalances", json!([])).await;
        assert_eq!(number(&balances["mine"]["immature"]), 5000.0);

        for kind in ["legacy", "p2sh-segwit", "bech32", "bech32m"] {
            let theirs = world.ok("bob", "getnewaddress", json!(["", kind])).await;
            let txid = world.ok("alice", "sendtoaddress", json!([theirs, 1.0])).await;
            let tx = world.ok("alice", "gettransaction", json!([txid])).await;
            assert_eq!(number(&tx["amount"]), -1.0);
            assert!(number(&tx["fee"]) < 0.0);
            // Change is ours and unconfirmed; the next payment may spend it.
        }
        // Bob's pending sum is not looked at: news of the last payment may still be on its way to him. The block
        // comes after it on the same stream.
        world.mine(mine.as_str().unwrap(), 1).await;
        assert_eq!(number(&world.ok("bob", "getbalance", json!([])).await), 4.0);
        assert_eq!(world.ok("bob", "listunspent", json!([])).await.as_array().unwrap().len(), 4);

        // Bob pays back from all four kinds of coins at once; the chain checks every signature.
        let txid = world.ok("bob", "sendall", json!([[mine]])).await["txid"].clone();
        let raw = world.ok("bob", "gettransaction", json!([txid])).await;
        assert_eq!(raw["confirmations"], json!(0));
        assert_eq!(number(&world.ok("bob", "getbalance", json!([])).await), 0.0);
    });
}

#[test]
fn an_encrypted_wallet_signs_only_while_it_is_unlocked() {
    run(async |world| {
        world.ok("", "createwallet", json!(["w"])).await;
        let old = world.ok("w", "listdescriptors", json!([])).await;
        let text = world.ok("w", "encryptwallet", json!(["secret"])).await;
        assert!(text.as_str().unwrap().starts_with("wallet encrypted;"));
        assert_eq!(world.err("w", "listdescriptors", json!([true])).await.0, -13);
        // A new seed: new active descriptors beside the old ones.
        let new = world.ok("w", "listdescriptors", json!([])).await;
        assert_eq!(new["descriptors"].as_array().unwrap().len(), 2 * old["descriptors"].as_array().unwrap().len());
        let address = world.ok("w", "getnewaddress", json!([])).await;
        world.mine(address.as_str().unwrap(), 101).await;
        assert_eq!(world.err("w", "sendtoaddress", json!([address, 1.0])).await.0, -13);
        assert_eq!(
            world.err("w", "walletpassphrase", json!(["wrong", 60])).await,
            (-14, "Error: The wallet passphrase entered was incorrect.".into())
        );
        world.ok("w", "walletpassphrase", json!(["secret", 60])).await;
        world.ok("w", "sendtoaddress", json!([address, 1.0])).await;
        world.ok("w", "walletlock", json!([])).await;
        assert_eq!(world.err("w", "sendtoaddress", json!([address, 1.0])).await.0, -13);
    });
}

#[test]
fn a_wallet_comes_back_after_its_key_store_died_and_after_loading() {
    run(async |world| {
        world.ok("", "createwallet", json!(["w"])).await;
        let address = world.ok("w", "getnewaddress", json!(["savings"])).await;
        world.mine(address.as_str().unwrap(), 102).await;
        world.kill_keystore("w");
        // The next call finds the stream broken, opens the file again and goes on.
        assert_eq!(number(&world.ok("w", "getbalance", json!([])).await), 100.0);
        world.ok("w", "setlabel", json!([address, "cash"])).await;
        let before = world.ok("w", "listtransactions", json!(["*", 1000])).await;
        world.ok("", "unloadwallet", json!(["w"])).await;
        assert_eq!(world.err("w", "getbalance", json!([])).await.0, -18);
        world.mine("bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw", 2).await;
        world.ok("", "loadwallet", json!(["w"])).await;
        assert_eq!(world.err("", "loadwallet", json!(["w"])).await, (-35, "Wallet \"w\" is already loaded.".into()));
        assert_eq!(number(&world.ok("w", "getbalance", json!([])).await), 200.0);
        assert_eq!(world.ok("w", "listlabels", json!([])).await, json!(["cash"]));
        let after = world.ok("w", "listtransactions", json!(["*", 1000])).await;
        assert_eq!(before.as_array().unwrap().len(), after.as_array().unwrap().len());
        assert_eq!(before[0]["txid"], after[0]["txid"]);
    });
}

#[test]
fn an_imported_key_finds_its_history() {
    run(async |world| {
        // combo(WIF) as the functional suite imports it: the key is 0x01.
        let wif = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA";
        let descriptor = bulkhead_rpc_util::with_checksum(&format!("combo({wif})"));
        world.mine("mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r", 101).await;
        world.ok("", "createwallet", json!(["w"])).await;
        let request = json!([[{"desc": descriptor, "timestamp": 0, "label": "coinbase"}]]);
        let answer = world.ok("w", "importdescriptors", request).await;
        assert_eq!(answer, json!([{"success": true}]));
        assert_eq!(number(&world.ok("w", "getbalance", json!([])).await), 50.0);
        let listed = world.ok("w", "listtransactions", json!(["coinbase", 1])).await;
        assert_eq!(listed[0]["category"], json!("immature"));
        let to = world.ok("w", "getnewaddress", json!([])).await;
        world.ok("w", "sendtoaddress", json!([to, 3.0])).await;
        let refused = world.ok("w", "importdescriptors", json!([[{"desc": "combo(x)#00000000", "timestamp": "now"}]])).await;
        assert_eq!(refused[0]["success"], json!(false));
        assert_eq!(refused[0]["error"]["code"], json!(-5));
    });
}

#[test]
fn a_reorganisation_takes_coins_back() {
    run(async |world| {
        world.ok("", "createwallet", json!(["w"])).await;
        let address = world.ok("w", "getnewaddress", json!([])).await;
        world.mine(address.as_str().unwrap(), 101).await;
        world.disconnect(2).await;
        assert_eq!(number(&world.ok("w", "getbalance", json!([])).await), 0.0);
        let last = world.ok("w", "listtransactions", json!(["*", 1])).await;
        assert_eq!(last[0]["category"], json!("orphan"));
        assert_eq!(last[0]["abandoned"], json!(true));
        world.mine("bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw", 3).await;
        assert_eq!(number(&world.ok("w", "getbalance", json!([])).await), 100.0);
    });
}

#[test]
fn a_wallet_that_cannot_be_loaded_lets_go_of_its_key_store() {
    run(async |world| {
        world.ok("", "createwallet", json!(["w"])).await;
        world.ok("", "unloadwallet", json!(["w"])).await;
        let file = world.file("w");
        let saved = std::fs::read(&file).unwrap();
        std::fs::write(&file, "no wallet").unwrap();
        assert_eq!(world.told(), [("w".to_owned(), true), ("w".to_owned(), false)]);
        assert_eq!(world.err("", "loadwallet", json!(["w"])).await.0, -18);
        assert_eq!(world.told(), [], "it is not loaded");
        std::fs::write(&file, saved).unwrap();
        // A second key store of the wallet starts only when the first has ended.
        world.ok("", "loadwallet", json!(["w"])).await;
    });
}

/// The chain of this test answers with no checks at all.
#[test]
fn a_transaction_that_was_not_checked_is_not_complete() {
    run(async |world| {
        world.ok("", "createwallet", json!(["w"])).await;
        let address = world.ok("w", "getnewaddress", json!([])).await;
        world.mine(address.as_str().unwrap(), 101).await;
        let outputs = json!([{ address.as_str().unwrap(): 1 }]);
        let funded = world.ok("w", "walletcreatefundedpsbt", json!([[], outputs])).await;
        let refused = world.err("w", "walletprocesspsbt", json!([funded["psbt"]])).await;
        assert!(refused.1.contains("number of script errors"), "{refused:?}");
    });
}
