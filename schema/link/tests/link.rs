//! Two ends of one edge in one thread: calls, bounds, and the loss of the other side.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use bulkhead_link::{Connection, LinkError, Peer, connect, run, serve};
use bulkhead_schema::wire::rpc_chain_capnp::rpc_chain;
use bulkhead_schema::wire::rpc_net_capnp::rpc_net;
use tokio::sync::Notify;

#[derive(Default)]
struct Chain {
    calls: Cell<usize>,
    /// Calls of `ping` wait for this when it is set.
    hold: Option<Rc<Notify>>,
}

impl rpc_chain::Server for Chain {
    async fn ping(self: Rc<Self>, _: rpc_chain::PingParams, _: rpc_chain::PingResults) -> Result<(), capnp::Error> {
        self.calls.set(self.calls.get() + 1);
        if let Some(hold) = &self.hold {
            hold.notified().await;
        }
        Ok(())
    }

    async fn echo(
        self: Rc<Self>,
        params: rpc_chain::EchoParams,
        mut results: rpc_chain::EchoResults,
    ) -> Result<(), capnp::Error> {
        let data = params.get()?.get_data()?;
        results.get().set_data(data);
        Ok(())
    }
}

fn pair() -> (OwnedFd, OwnedFd) {
    let (a, b) = UnixStream::pair().unwrap();
    (a.into(), b.into())
}

#[test]
fn a_call_reaches_the_other_side_and_its_answer_comes_back() {
    run(async {
        let (ours, theirs) = pair();
        let server: rpc_chain::Client = capnp_rpc::new_client(Chain::default());
        serve(theirs, "rpc-chain", server.client).unwrap();
        let Connection { client, .. } = connect::<rpc_chain::Client>(ours, "rpc-chain", None).unwrap();
        let blob = vec![7u8; 2_000_000];
        let mut request = client.echo_request();
        request.get().set_data(&blob);
        let response = request.send().promise.await.unwrap();
        assert_eq!(response.get().unwrap().get_data().unwrap(), blob);
    })
    .unwrap();
}

#[test]
fn the_loss_of_the_other_side_is_an_error_value() {
    run(async {
        let (ours, theirs) = pair();
        let connection = connect::<rpc_chain::Client>(ours, "rpc-chain", None).unwrap();
        let client = connection.client.clone();
        let mut closed = connection.closed.clone();
        let peer = Peer::new("chain");
        peer.set(connection);
        assert!(peer.get().is_ok());
        let call = client.ping_request().send().promise;
        drop(theirs);
        assert!(call.await.is_err());
        closed.wait().await;
        assert!(matches!(peer.get(), Err(LinkError::PeerGone("chain"))));
        assert!(client.ping_request().send().promise.await.is_err());
    })
    .unwrap();
}

#[test]
fn hostile_bytes_close_the_connection_and_nothing_else() {
    run(async {
        for bytes in [&[0xff; 64][..], &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f], &[0; 4096]] {
            let (ours, theirs) = pair();
            let connection = connect::<rpc_chain::Client>(ours, "rpc-chain", None).unwrap();
            let call = connection.client.ping_request().send().promise;
            let mut other = UnixStream::from(theirs);
            std::io::Write::write_all(&mut other, bytes).unwrap();
            drop(other);
            assert!(call.await.is_err());
        }
    })
    .unwrap();
}

#[test]
fn calls_beyond_the_bound_wait_until_one_was_answered() {
    run(async {
        let limit = bulkhead_schema::limits::edge("rpc-chain").unwrap().max_in_flight;
        let hold = Rc::new(Notify::new());
        let chain = Rc::new(Chain { hold: Some(hold.clone()), ..Chain::default() });
        let (ours, theirs) = pair();
        let server: rpc_chain::Client = capnp_rpc::new_client_from_rc(chain.clone());
        serve(theirs, "rpc-chain", server.client).unwrap();
        let connection = connect::<rpc_chain::Client>(ours, "rpc-chain", None).unwrap();
        let calls: Vec<_> =
            (0..limit * 20).map(|_| tokio::task::spawn_local(connection.client.ping_request().send().promise)).collect();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        // What one read brings may pass the bound (64 KiB of calls), the rest waits in the socket.
        let entered = chain.calls.get();
        assert!(entered >= limit && entered < limit * 20, "{entered} of {} calls entered", limit * 20);
        let releaser = tokio::task::spawn_local(async move {
            loop {
                hold.notify_waiters();
                tokio::task::yield_now().await;
            }
        });
        for call in calls {
            call.await.unwrap().unwrap();
        }
        releaser.abort();
        assert_eq!(chain.calls.get(), limit * 20);
    })
    .unwrap();
}

#[test]
fn a_wrong_interface_is_an_error_and_an_unknown_edge_is_named() {
    run(async {
        let (ours, theirs) = pair();
        let server: rpc_chain::Client = capnp_rpc::new_client(Chain::default());
        serve(theirs, "rpc-chain", server.client).unwrap();
        let connection = connect::<rpc_net::Client>(ours, "rpc-net", None).unwrap();
        let error = connection.client.ping_request().send().promise.await.err().unwrap();
        assert_eq!(error.kind, capnp::ErrorKind::Unimplemented);
        let (ours, _theirs) = pair();
        assert!(matches!(connect::<rpc_net::Client>(ours, "net-wallet", None), Err(LinkError::UnknownEdge(_))));
    })
    .unwrap();
}
