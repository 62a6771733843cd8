//! bitcoin-rpc: the front door.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::Receiver;

use bulkhead_control::{Component, ControlError, Edge, Event, RpcConfig};
use bulkhead_link::{Connection, LinkError, connect};
use bulkhead_rpc::auth::{CredentialError, Credentials};
use bulkhead_rpc::door::Door;
use bulkhead_rpc::gui::Gui;
use bulkhead_rpc::http::server::Server;
use bulkhead_rpc::ipc;
use bulkhead_rpc::owners::Owners;
use bulkhead_rpc::zmq::{Events, Publisher};
use bulkhead_schema::wire::gui_node_capnp::gui_rpc;
use bulkhead_schema::wire::rpc_chain_capnp::rpc_chain;
use tokio::sync::mpsc;
use zeroize::Zeroize;

/// Why the front door cannot run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("cannot use a listening socket: {0}")]
    Listener(std::io::Error),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("bitcoin-chain has hung up")]
    HungUp,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Control(ControlError::PeerGone)) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("bitcoin-rpc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), RunError> {
    let mut birth = bulkhead_control::birth::<RpcConfig>(Component::Rpc)?;
    // Before the walls: locking memory is not allowed inside.
    let credentials = Credentials::parse(&birth.config.rpcauth)?;
    birth.config.rpcauth.zeroize();
    let config = birth.config.clone();
    let mut descriptors = birth.take_descriptors();
    let listeners = descriptors.take_all("http");
    let sockets = descriptors.take_all("ipc");
    let publishers = descriptors.take_all("zmq");
    let control = birth.confine(&[])?;
    let wires = control.receive_wires()?;
    let (control, events) = control.split()?;

    bulkhead_link::run(async move {
        let owners = Owners::default();
        let publisher = Publisher::start(&config.zmq, publishers).map_err(RunError::Listener)?;
        let door = Rc::new(Door::new(config, credentials, owners.clone(), control.clone()));
        for (edge, descriptor) in wires {
            wire(&door, publisher.as_ref(), &edge, descriptor)?;
        }
        let server = Server::new(Rc::clone(&door));
        for (_, descriptor) in listeners {
            let listener = TcpListener::from(descriptor);
            listener.set_nonblocking(true).map_err(RunError::Listener)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(RunError::Listener)?;
            tokio::task::spawn_local(Rc::clone(&server).accept(listener));
        }
        for (_, descriptor) in sockets {
            let listener = UnixListener::from(descriptor);
            listener.set_nonblocking(true).map_err(RunError::Listener)?;
            let listener = tokio::net::UnixListener::from_std(listener).map_err(RunError::Listener)?;
            tokio::task::spawn_local(ipc::serve(Rc::clone(&door), listener));
        }
        let waking = Rc::clone(&door);
        // Ready means that calls are executed, so that "Done loading" is true when the supervisor logs it.
        tokio::task::spawn_local(async move {
            waking.warmup.follow(&waking.owners, waking.config.wallet).await;
            if let Err(error) = waking.control.ready() {
                tracing::debug!(target: "ipc", "not told that we are ready: {error}");
            }
        });

        let mut events = forward(events);
        let mut hung_up = std::pin::pin!(owners.chain.hung_up());
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = &mut hung_up => return Err(RunError::HungUp),
            };
            let Some(event) = event else { break };
            match event {
                Event::Wire(wires) => {
                    for (edge, descriptor) in wires {
                        wire(&door, publisher.as_ref(), &edge, descriptor)?;
                    }
                }
                Event::Shutdown => break,
                Event::PeerGone => return Err(ControlError::PeerGone.into()),
                _ => {}
            }
        }
        door.stop.send_replace(true);
        server.drained().await;
        Ok(())
    })?
}

/// Puts a new stream to another process into its slot.
fn wire(door: &Rc<Door>, publisher: Option<&Rc<Publisher>>, edge: &Edge, descriptor: OwnedFd) -> Result<(), LinkError> {
    match edge.name.as_str() {
        "rpc-chain" => {
            let chain: Connection<rpc_chain::Client> = connect(descriptor, "rpc-chain", None)?;
            if let Some(publisher) = publisher {
                let mut call = chain.client.subscribe_request();
                call.get().set_events(capnp_rpc::new_client(Events(Rc::clone(publisher))));
                tokio::task::spawn_local(async move {
                    if let Err(error) = call.send().promise.await {
                        tracing::warn!("zmq: chain sends no notifications: {}", error.extra);
                    }
                });
            }
            door.owners.chain.set(chain);
        }
        "rpc-net" => door.owners.net.set(connect(descriptor, "rpc-net", None)?),
        "rpc-wallet" => door.owners.wallet.set(connect(descriptor, "rpc-wallet", None)?),
        "gui-rpc" => {
            let served: gui_rpc::Client = capnp_rpc::new_client(Gui(Rc::clone(door)));
            bulkhead_link::serve(descriptor, "gui-rpc", served.client)?;
        }
        other => return Err(LinkError::UnknownEdge(other.to_owned())),
    }
    Ok(())
}

/// Events of the control channel, for the async side.
fn forward(events: Receiver<Event>) -> mpsc::UnboundedReceiver<Event> {
    // Unbounded, but the supervisor sends an event per restart or command only.
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = events.recv() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}
