//! Net, wallet and front door as honest subscribers of chain, beside one that was taken over: what chain tells anybody is told to
//! them too, and makes sense.

use std::cell::Cell;
use std::rc::Rc;

use bitcoin::consensus::deserialize;
use bitcoin::{Block, Transaction};
use bitcoin_chain::serve::{Node, serve};
use bulkhead_link::{Connection, connect};
use bulkhead_schema::wire::net_chain_capnp::{PrivateOutcome, net_chain, net_events};
use bulkhead_schema::wire::rpc_chain_capnp::{chain_events, rpc_chain};
use bulkhead_schema::wire::wallet_chain_capnp::{wallet_chain, wallet_events};

use super::pair;

type Answer = Result<(), capnp::Error>;

/// Takes every event.
#[derive(Default)]
struct Bystander {
    /// Height of the last block that it was told of.
    height: Cell<Option<i32>>,
}

impl Bystander {
    fn block(&self, hash: &[u8], height: i32, block: &[u8]) {
        let block: Block = deserialize(block).expect("chain tells of whole blocks");
        assert_eq!(bitcoin::hashes::Hash::as_byte_array(&block.block_hash()), hash);
        assert!(height >= 0);
    }

    /// Blocks come and go one by one, the newest first to go.
    fn connected(&self, height: i32) {
        assert!(self.height.get().is_none_or(|last| last + 1 == height), "{:?}, then {height}", self.height);
        self.height.set(Some(height));
    }

    fn disconnected(&self, height: i32) {
        assert!(self.height.get().is_none_or(|last| last == height), "{:?}, then {height} leaves", self.height);
        self.height.set(Some(height - 1));
    }
}

fn transaction(bytes: &[u8]) {
    deserialize::<Transaction>(bytes).expect("chain tells of whole transactions");
}

impl wallet_events::Server for Bystander {
    async fn block_connected(
        self: Rc<Self>,
        params: wallet_events::BlockConnectedParams,
        _: wallet_events::BlockConnectedResults,
    ) -> Answer {
        let params = params.get()?;
        self.block(params.get_hash()?, params.get_height(), params.get_block()?);
        self.connected(params.get_height());
        Ok(())
    }

    async fn block_disconnected(
        self: Rc<Self>,
        params: wallet_events::BlockDisconnectedParams,
        _: wallet_events::BlockDisconnectedResults,
    ) -> Answer {
        let params = params.get()?;
        self.block(params.get_hash()?, params.get_height(), params.get_block()?);
        self.disconnected(params.get_height());
        Ok(())
    }

    async fn transaction_added(
        self: Rc<Self>,
        params: wallet_events::TransactionAddedParams,
        _: wallet_events::TransactionAddedResults,
    ) -> Answer {
        transaction(params.get()?.get_transaction()?);
        Ok(())
    }

    async fn transaction_removed(
        self: Rc<Self>,
        params: wallet_events::TransactionRemovedParams,
        _: wallet_events::TransactionRemovedResults,
    ) -> Answer {
        assert_eq!(params.get()?.get_txid()?.len(), 32);
        Ok(())
    }

    async fn updated_tip(self: Rc<Self>, _: wallet_events::UpdatedTipParams, _: wallet_events::UpdatedTipResults) -> Answer {
        Ok(())
    }
}

impl chain_events::Server for Bystander {
    async fn block_connected(
        self: Rc<Self>,
        params: chain_events::BlockConnectedParams,
        _: chain_events::BlockConnectedResults,
    ) -> Answer {
        let params = params.get()?;
        self.block(params.get_hash()?, params.get_height(), params.get_block()?);
        self.connected(params.get_height());
        Ok(())
    }

    async fn block_disconnected(
        self: Rc<Self>,
        params: chain_events::BlockDisconnectedParams,
        _: chain_events::BlockDisconnectedResults,
    ) -> Answer {
        let params = params.get()?;
        self.block(params.get_hash()?, 0, params.get_block()?);
        self.height.set(self.height.get().map(|height| height - 1));
        Ok(())
    }

    async fn transaction_added(
        self: Rc<Self>,
        params: chain_events::TransactionAddedParams,
        _: chain_events::TransactionAddedResults,
    ) -> Answer {
        transaction(params.get()?.get_transaction()?);
        Ok(())
    }

    async fn transaction_removed(
        self: Rc<Self>,
        params: chain_events::TransactionRemovedParams,
        _: chain_events::TransactionRemovedResults,
    ) -> Answer {
        assert_eq!(params.get()?.get_txid()?.len(), 32);
        Ok(())
    }

    async fn updated_tip(self: Rc<Self>, _: chain_events::UpdatedTipParams, _: chain_events::UpdatedTipResults) -> Answer {
        Ok(())
    }
}

impl net_events::Server for Bystander {
    async fn updated_tip(self: Rc<Self>, _: net_events::UpdatedTipParams, _: net_events::UpdatedTipResults) -> Answer {
        Ok(())
    }

    async fn headers_tip(self: Rc<Self>, _: net_events::HeadersTipParams, _: net_events::HeadersTipResults) -> Answer {
        Ok(())
    }

    async fn state_changed(self: Rc<Self>, _: net_events::StateChangedParams, _: net_events::StateChangedResults) -> Answer {
        Ok(())
    }

    async fn block_checked(self: Rc<Self>, _: net_events::BlockCheckedParams, _: net_events::BlockCheckedResults) -> Answer {
        Ok(())
    }

    async fn new_block(self: Rc<Self>, params: net_events::NewBlockParams, _: net_events::NewBlockResults) -> Answer {
        deserialize::<Block>(params.get()?.get_block()?).expect("chain tells of whole blocks");
        Ok(())
    }

    async fn transactions_accepted(
        self: Rc<Self>,
        params: net_events::TransactionsAcceptedParams,
        _: net_events::TransactionsAcceptedResults,
    ) -> Answer {
        for entered in params.get()?.get_accepted()? {
            assert!(entered.get_txid()?.len() == 32 && entered.get_wtxid()?.len() == 32 && entered.get_vsize() > 0);
        }
        Ok(())
    }

    async fn transactions_removed(
        self: Rc<Self>,
        params: net_events::TransactionsRemovedParams,
        _: net_events::TransactionsRemovedResults,
    ) -> Answer {
        assert!(params.get()?.get_wtxids()?.len().is_multiple_of(32));
        Ok(())
    }

    async fn broadcast_privately(
        self: Rc<Self>,
        _: net_events::BroadcastPrivatelyParams,
        mut results: net_events::BroadcastPrivatelyResults,
    ) -> Answer {
        results.get().set_outcome(PrivateOutcome::Unreachable);
        Ok(())
    }
}

/// Connections of bystanders; without them these would end.
pub struct Subscribed {
    _net: Connection<net_chain::Client>,
    _wallet: Connection<wallet_chain::Client>,
    _door: Connection<rpc_chain::Client>,
}

/// Subscribes one of each kind.
pub async fn subscribe(node: &Rc<Node>) -> Subscribed {
    let streams = ["net-chain", "wallet-chain", "rpc-chain"].map(|edge| {
        let (ours, theirs) = pair();
        serve(node, edge, theirs).expect("a stream");
        ours
    });
    let [net, wallet, door] = streams;
    let net = connect::<net_chain::Client>(net, "net-chain", None).expect("a stream");
    let mut request = net.client.subscribe_request();
    request.get().set_events(capnp_rpc::new_client(Bystander::default()));
    request.send().promise.await.expect("chain answers");
    let wallet = connect::<wallet_chain::Client>(wallet, "wallet-chain", None).expect("a stream");
    let mut request = wallet.client.subscribe_request();
    request.get().set_events(capnp_rpc::new_client(Bystander::default()));
    request.send().promise.await.expect("chain answers");
    let door = connect::<rpc_chain::Client>(door, "rpc-chain", None).expect("a stream");
    let mut request = door.client.subscribe_request();
    request.get().set_events(capnp_rpc::new_client(Bystander::default()));
    request.send().promise.await.expect("chain answers");
    Subscribed { _net: net, _wallet: wallet, _door: door }
}
