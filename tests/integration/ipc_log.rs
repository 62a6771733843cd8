//! What `-debug=ipc` shows of the edges, and what it must never show.

use bulkhead_tests::node::Node;
use serde_json::json;

#[test]
fn calls_are_named_on_every_edge_and_passphrases_are_not_shown() {
    const PASSPHRASE: &str = "correct horse battery staple";
    let node = Node::start(&["-debug=ipc", "-loglevel=ipc:trace"]).unwrap();
    node.call("createwallet", json!(["w"])).unwrap();
    node.wallet("w", "encryptwallet", json!([PASSPHRASE])).unwrap();
    node.wallet("w", "walletpassphrase", json!([PASSPHRASE, 60])).unwrap();
    node.call("getblockhash", json!([0])).unwrap();
    node.call("getconnectioncount", json!([])).unwrap();
    let log = node.log();
    for words in [
        "IPC client send RpcChain.executeRpc$Params",
        "IPC client recv RpcChain.executeRpc$Results",
        "IPC client send RpcNet.executeRpc$Params",
        "IPC client send RpcWallet.executeRpc$Params",
        "IPC client send WalletChain.",
        "IPC client send NetChain.",
        "send data: <redacted>",
        "getblockhash",
    ] {
        assert!(log.contains(words), "{words} is not in the log");
    }
    assert!(log.contains("IPC server recv request  #") && log.contains("IPC server send response #"));
    assert!(!log.contains(PASSPHRASE), "the passphrase is in the log");
    // Neither chain nor net is asked anything about a wallet.
    for line in log.lines().filter(|line| line.contains("data: ")) {
        assert!(!line.contains("encryptwallet") && !line.contains("walletpassphrase"), "{line}");
    }
    node.stop().unwrap();
}
