//! `-ipcbind`: Core's own interfaces on unix sockets. Whoever can connect has what the RPC interface gives, without
//! a password; only the user of the node can reach the socket.

mod init;
mod mining;
mod template;
mod threads;

use std::rc::Rc;

use bulkhead_schema::wire::init_capnp::init as wire;
use tokio::net::UnixListener;

use crate::door::Door;

/// Serves one listening socket until the front door stops.
pub async fn serve(door: Rc<Door>, listener: UnixListener) {
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
        tracing::info!("ipc: IPC server: socket connected.");
        let bootstrap: wire::Client = capnp_rpc::new_client(init::Init::new(Rc::clone(&door)));
        match bulkhead_link::serve(stream.into(), "outside-rpc", bootstrap.client) {
            Ok(mut closed) => {
                tokio::task::spawn_local(async move {
                    closed.wait().await;
                    tracing::info!("ipc: IPC server: socket disconnected.");
                });
            }
            Err(error) => tracing::warn!("IPC connection refused: {error}"),
        }
    }
}
