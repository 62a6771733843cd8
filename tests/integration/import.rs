//! What peers may do as soon as the import of blocks is over.

use bitcoin::p2p::message::NetworkMessage;
use bulkhead_tests::node::Node;
use bulkhead_tests::peer::Peer;
use serde_json::json;

use super::crosscheck::call;

/// Until then blocks of peers are ignored, as in Core.
#[test]
fn a_block_is_taken_from_a_peer_as_soon_as_the_node_says_that_it_has_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start_in(folder.path(), &[]).unwrap();
    let address = "bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85";
    call(&node, "generatetoaddress", json!([300, address]));
    let next = call(&node, "generateblock", json!([address, [], false]));
    let next: bitcoin::Block = bitcoin::consensus::encode::deserialize_hex(next["hex"].as_str().unwrap()).unwrap();
    node.stop().unwrap();

    let node = Node::start_in(folder.path(), &["-reindex"]).unwrap();
    node.wait_for("the import", |node| call(node, "getmempoolinfo", json!([]))["loaded"] == true).unwrap();
    let mut peer = Peer::connect(node.p2p_port()).unwrap();
    peer.send(NetworkMessage::Block(next)).unwrap();
    peer.send(NetworkMessage::Ping(7)).unwrap();
    peer.wait_for("pong", |message| matches!(message, NetworkMessage::Pong(7))).unwrap();
    assert_eq!(call(&node, "getblockcount", json!([])), 301);
    node.stop().unwrap();
}
