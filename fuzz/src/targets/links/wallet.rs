//! `bitcoin-wallet` before a real chain: what the front door, the window and chain say to it.

use std::rc::Rc;
use std::sync::Arc;

use bitcoin::Network;
use bitcoin_wallet::app::App;
use bitcoin_wallet::ipc::chain::Chain;
use bitcoin_wallet::ipc::events::Events;
use bitcoin_wallet::ipc::serve::{Gui, Rpc};
use bitcoin_wallet::ipc::supervisor::Supervisor;
use bulkhead_control::{Answer, ControlError, Request, WalletConfig};
use bulkhead_link::{Peer, connect};
use bulkhead_schema::wire::gui_node_capnp::gui_wallet;
use bulkhead_schema::wire::rpc_wallet_capnp::rpc_wallet;
use bulkhead_schema::wire::wallet_chain_capnp::wallet_events;
use bulkhead_tests::hostile::Edge;
use capnp::capability::Client;

use super::chain::Behind;
use super::{called_back, converse, known};

/// Refuses whatever it is asked for.
struct Nobody;

impl Supervisor for Nobody {
    fn request(&self, _: Request) -> Result<Answer, ControlError> {
        Err(ControlError::Refused { code: -1, message: "not here".into() })
    }

    fn notify(&self, _: &str, _: &[(&str, &str)]) {}
    fn init_message(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn wallet_loaded(&self, _: &str, _: bool) {}
}

/// A wallet process that serves what `make` makes of it.
fn wallet(edge: &Edge, data: &[u8], make: impl FnOnce(Rc<App>) -> Client) {
    bulkhead_link::run(async {
        let peer = Peer::new("bitcoin-chain");
        let (chain, stream) = Behind::new("wallet-chain");
        peer.set(connect(stream, "wallet-chain", None).expect("a stream"));
        let app = App::new(WalletConfig::default(), Network::Regtest, Arc::new(Nobody), Chain::new(peer));
        let served = make(Rc::new(app));
        converse(edge, data, |stream| {
            bulkhead_link::serve(stream, edge.name, served.clone()).expect("a stream");
        })
        .await;
        chain.end().await;
    })
    .expect("an event loop");
}

/// The front door was taken over.
pub fn rpc_wallet_server(data: &[u8]) {
    wallet(&known("rpc-wallet"), data, |app| capnp_rpc::new_client::<rpc_wallet::Client, _>(Rpc { app }).client);
}

/// The window was taken over.
pub fn gui_wallet_server(data: &[u8]) {
    wallet(&known("gui-wallet"), data, |app| capnp_rpc::new_client::<gui_wallet::Client, _>(Gui { app }).client);
}

/// Chain was taken over: what it tells the wallet, which asked for it.
pub fn wallet_chain_events(data: &[u8]) {
    wallet(&called_back("wallet-chain"), data, |app| capnp_rpc::new_client::<wallet_events::Client, _>(Events { app }).client);
}
