//! Raw bytes into the readers of each edge.

use bulkhead_control::{FromChild, ToChild};
use bulkhead_keystore_edge::{Reply, Request};
use capnp::message::ReaderOptions;

/// What the supervisor says to a child.
pub fn control_to_child(data: &[u8]) {
    if let Ok(message) = ToChild::decode(data) {
        let encoded = message.encode().expect("what was decoded fits into a datagram");
        assert_eq!(ToChild::decode(&encoded).expect("our own encoding decodes"), message);
    }
}

/// What a child, possibly taken over, says to the supervisor.
pub fn control_from_child(data: &[u8]) {
    if let Ok(message) = FromChild::decode(data) {
        let encoded = message.encode().expect("what was decoded fits into a datagram");
        assert_eq!(FromChild::decode(&encoded).expect("our own encoding decodes"), message);
    }
}

/// What a wallet, possibly taken over, says to a key store.
pub fn keystore_request(data: &[u8]) {
    if let Ok(request) = Request::decode(data)
        && let Ok(encoded) = request.encode()
    {
        assert_eq!(Request::decode(crate::content(&encoded)).expect("our own encoding decodes"), request);
    }
}

/// What a key store, possibly taken over, answers.
pub fn keystore_reply(data: &[u8]) {
    if let Ok(reply) = Reply::decode(data)
        && let Ok(encoded) = reply.encode()
    {
        assert_eq!(Reply::decode(crate::content(&encoded)).expect("our own encoding decodes"), reply);
    }
}

fn read<T: capnp::traits::Owned>(edge: &str, data: &[u8], look: impl Fn(T::Reader<'_>)) {
    let limits = bulkhead_schema::limits::edge(edge).expect("the table has every edge");
    let options = *ReaderOptions::new().traversal_limit_in_words(Some(limits.traversal_words)).nesting_limit(limits.nesting);
    let mut rest = data;
    if let Ok(message) = capnp::serialize::read_message_from_flat_slice(&mut rest, options)
        && let Ok(root) = message.get_root::<T::Reader<'_>>()
    {
        look(root);
    }
}

/// Parameters of net's calls, read as chain reads them.
pub fn net_chain_frames(data: &[u8]) {
    use bulkhead_schema::wire::net_chain_capnp::net_chain as n;
    read::<n::submit_headers_params::Owned>("net-chain", data, |params| {
        let _ = params.get_headers().map(<[u8]>::len);
    });
    read::<n::find_headers_params::Owned>("net-chain", data, |params| {
        if let Ok(locator) = params.get_locator() {
            for hash in locator.iter().take(101).flatten() {
                let _ = bulkhead_schema::decode::hash32("locator", hash);
            }
        }
    });
}

/// Text of an RPC call between processes.
pub fn rpc_chain_frames(data: &[u8]) {
    use bulkhead_schema::wire::rpc_chain_capnp::rpc_chain as r;
    read::<r::execute_rpc_params::Owned>("rpc-chain", data, |params| {
        if let Ok(Ok(text)) = params.get_request().map(|text| text.to_str()) {
            let _ = serde_json::from_str::<serde_json::Value>(text);
        }
    });
}

#[path = "../../../node/notify/src/frame.rs"]
#[allow(dead_code, reason = "its tests are the other user")]
mod notify_frame;

/// Lists of texts between the messenger and the runner of commands.
pub fn notify_frames(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(texts)) = notify_frame::read(&mut rest) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut pipe = Vec::new();
        notify_frame::write(&mut pipe, &texts).expect("a vector takes everything");
        let again = notify_frame::read(&mut pipe.as_slice()).expect("our own frame").expect("one frame");
        assert_eq!(again, texts);
    }
}
