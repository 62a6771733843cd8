//! `-ipcbind`: Core's own interfaces on unix sockets. Whoever can connect has what the RPC interface gives, without
//! a password; only the user of the node can reach the socket.

mod init;
mod mining;
mod relay;
mod template;
mod threads;

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use bulkhead_link::{Closed, LinkError};
use bulkhead_schema::wire::init_capnp::init as wire;
use tokio::net::UnixListener;

use crate::door::Door;

/// Connections of one socket.
const MAX_CLIENTS: usize = 64;

/// Serves one client.
///
/// # Errors
/// The descriptor is no stream.
pub fn serve_client(door: &Rc<Door>, stream: OwnedFd) -> Result<Closed, LinkError> {
    let bootstrap: wire::Client = capnp_rpc::new_client(init::Init::new(Rc::clone(door)));
    bulkhead_link::serve(stream, "outside-rpc", bootstrap.client)
}

/// Serves one listening socket until the front door stops.
pub async fn serve(door: Rc<Door>, listener: UnixListener) {
    let clients = Rc::new(Cell::new(0));
    let mut stopping = door.stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(target: "ipc", "Cannot accept new connection: {error}");
                // Out of descriptors: others must be closed first.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        if clients.get() >= MAX_CLIENTS {
            tracing::warn!("ipc: IPC server: too many connections, one more is closed");
            continue;
        }
        tracing::info!("ipc: IPC server: socket connected.");
        match serve_client(&door, stream.into()) {
            Ok(mut closed) => {
                let clients = Rc::clone(&clients);
                clients.set(clients.get() + 1);
                tokio::task::spawn_local(async move {
                    closed.wait().await;
                    clients.set(clients.get() - 1);
                    tracing::info!("ipc: IPC server: socket disconnected.");
                });
            }
            Err(error) => tracing::warn!("IPC connection refused: {error}"),
        }
    }
}
