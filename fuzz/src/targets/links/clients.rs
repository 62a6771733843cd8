//! The other direction: a server that was taken over answers the calls of its clients. Calls go out, the hostile answers come
//! back, the connection ends; every caller must have a value or an error then.

use std::os::fd::OwnedFd;

use bitcoin_net::engine::chain_view::{FilterPart, Question};
use bitcoin_net::process::chain::{Partials, ask, state};
use bitcoin_wallet::ipc::chain::Chain;
use bulkhead_link::{Peer, connect};
use bulkhead_rpc::owners::Owners;
use bulkhead_schema::methods::Owner;
use bulkhead_schema::wire::gui_node_capnp::{gui_rpc, gui_wallet};
use bulkhead_tests::hostile::answers;
use futures::future::join_all;
use tokio::io::AsyncWriteExt;

use super::net;
use super::shown::Shown;
use super::{known, pair, patiently, quiet, read, run, watched};

/// Runs the calls that `client` makes on its end against answers made of `data`.
fn answer<F: Future<Output = ()>>(edge: &str, data: &[u8], client: impl FnOnce(OwnedFd) -> F) {
    let script = answers(data, &known(edge));
    let _shown = Shown::some(data);
    run(async move {
        let (ours, theirs) = pair();
        let server = async move {
            let (mut reader, mut writer) = watched(ours).into_split();
            // Answers that come before their questions would end the connection at once.
            let mut buffer = vec![0; 64 * 1024];
            while read(&mut reader, &mut buffer, quiet(false, None)).await > 0 {}
            for message in script.messages {
                if writer.write_all(&message).await.is_err() {
                    break;
                }
            }
        };
        let both = futures::future::join(server, client(theirs));
        patiently(both, "a caller gets neither a value nor an error").await;
    });
}

/// Chain was taken over: answers to net.
pub fn net_chain_client(data: &[u8]) {
    if data.len() % 4 == 3 {
        return following(data);
    }
    answer("net-chain", data, async |stream| {
        let chain = connect(stream, "net-chain", None).expect("a stream").client;
        let hash = [7; 32];
        let questions = vec![
            Question::Locator(None),
            Question::SubmitHeaders(vec![[1; 80]], false),
            Question::FindHeaders(vec![hash], hash, 2000),
            Question::FindHashes(vec![hash], hash, 500),
            Question::MissingBlocks(hash, 16),
            Question::HeaderInfo(vec![hash, hash]),
            Question::MempoolIds(0),
            Question::Block(hash),
            Question::Transactions(vec![(hash, true)], 0),
            Question::HaveTransactions(vec![(hash, false)]),
            Question::HeadersByHash(vec![hash]),
            Question::SubmitBlock(vec![2; 100], true),
            Question::SubmitTransaction(vec![2; 60]),
            Question::SubmitPackage(vec![2; 60], vec![3; 60]),
            Question::CompactBlock(vec![4; 120], Some(1)),
            Question::FillBlock(1, vec![vec![5; 60]]),
            Question::BlockFilters(0, hash, FilterPart::Contents),
            Question::BlockFilters(0, hash, FilterPart::Hashes),
            Question::BlockFilters(0, hash, FilterPart::Checkpoints),
            Question::TestTransaction(vec![2; 60]),
            Question::BroadcastSeen(vec![hash]),
        ];
        let partials = Partials::default();
        let asked = join_all(questions.into_iter().map(|question| ask(&chain, &partials, question)));
        let _ = futures::future::join(state(&chain), asked).await;
        // The block under construction is there now, if chain has one.
        let _ = ask(&chain, &partials, Question::FillBlock(1, vec![vec![5; 60]])).await;
        partials.drop_one(1);
    });
}

/// Net itself, which follows such a chain.
fn following(data: &[u8]) {
    answer("net-chain", data, async |stream| {
        let node = net::node();
        node.wire_chain(stream).expect("a stream");
        let mut closed = node.chain.closed().expect("it is there");
        closed.wait().await;
    });
}

/// Chain was taken over: answers to the wallet.
pub fn wallet_chain_client(data: &[u8]) {
    use bitcoin::hashes::Hash;
    answer("wallet-chain", data, async |stream| {
        let peer = Peer::new("bitcoin-chain");
        peer.set(connect(stream, "wallet-chain", None).expect("a stream"));
        let chain = Chain::new(peer);
        let txid = bitcoin::Txid::from_byte_array([7; 32]);
        let tx = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest).txdata.remove(0);
        let outpoint = bitcoin::OutPoint { txid, vout: 0 };
        let first = futures::future::join5(
            chain.state(),
            chain.block_at(5),
            chain.find_fork(&[]),
            chain.mempool(),
            chain.coins(std::slice::from_ref(&outpoint)),
        );
        let second = futures::future::join5(
            chain.broadcast(&tx, 0, true),
            chain.in_mempool(&txid),
            chain.estimate_fee(6, true),
            chain.barrier(),
            chain.verify_inputs(&tx, &[None]),
        );
        let hash = bitcoin::BlockHash::from_byte_array([7; 32]);
        let third = futures::future::join4(
            chain.block_by_hash(&hash),
            chain.clusters(std::slice::from_ref(&txid)),
            chain.blocks_from(),
            chain.block_filter(Some(&hash), 0),
        );
        let ((_, block, .., coins), (.., errors), (by_hash, ..)) = futures::future::join3(first, second, third).await;
        if let Ok(Some(found)) = by_hash {
            assert_eq!(found.at.hash, hash, "another block than was asked for");
        }
        if let Ok(Some(found)) = block {
            assert!(found.block.is_none_or(|block| block.block_hash() == found.at.hash), "another block than chain says");
        }
        if let Ok(coins) = coins {
            assert_eq!(coins.len(), 1, "one answer for each coin");
        }
        if let Ok(errors) = errors {
            assert_eq!(errors.len(), 1, "one answer for each input");
        }
    });
}

/// The front door asks an owner that was taken over; what it passes on must be JSON.
fn owner(edge: &'static str, data: &[u8], owner: Owner, set: impl FnOnce(&Owners, OwnedFd)) {
    answer(edge, data, async |stream| {
        let owners = Owners::default();
        set(&owners, stream);
        let calls = (0..8).map(|_| owners.execute(owner, "help", &[], "/", ""));
        for text in join_all(calls).await.into_iter().flatten() {
            serde_json::from_str::<serde_json::Value>(&text).expect("a result is JSON");
        }
    });
}

/// Chain was taken over: answers to the front door.
pub fn rpc_chain_client(data: &[u8]) {
    owner("rpc-chain", data, Owner::Chain, |owners, stream| {
        owners.chain.set(connect(stream, "rpc-chain", None).expect("a stream"));
    });
}

/// Net was taken over: answers to the front door.
pub fn rpc_net_client(data: &[u8]) {
    owner("rpc-net", data, Owner::Net, |owners, stream| {
        owners.net.set(connect(stream, "rpc-net", None).expect("a stream"));
    });
}

/// The wallet was taken over: answers to the front door.
pub fn rpc_wallet_client(data: &[u8]) {
    owner("rpc-wallet", data, Owner::Wallet, |owners, stream| {
        owners.wallet.set(connect(stream, "rpc-wallet", None).expect("a stream"));
    });
}

/// The front door or the wallet was taken over: answers to the window, read field by field. The first byte chooses.
pub fn gui_client(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    if choice % 2 == 0 {
        answer("gui-rpc", data, async |stream| {
            let client: gui_rpc::Client = connect(stream, "gui-rpc", None).expect("a stream").client;
            let calls = (0..4).map(|_| client.overview_request().send().promise);
            for response in join_all(calls).await.into_iter().flatten() {
                let _ = response.get().and_then(|overview| {
                    overview.get_sandbox()?.to_str()?;
                    Ok(overview.get_tip()?.get_hash()?.len())
                });
            }
        });
    } else {
        answer("gui-wallet", data, async |stream| {
            let client: gui_wallet::Client = connect(stream, "gui-wallet", None).expect("a stream").client;
            let calls = (0..4).map(|_| client.balances_request().send().promise);
            for response in join_all(calls).await.into_iter().flatten() {
                let _ = response
                    .get()
                    .and_then(|balances| balances.get_wallets()?.iter().try_for_each(|wallet| wallet.get_name().map(|_| ())));
            }
        });
    }
}
