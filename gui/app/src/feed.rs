//! The thread that asks the node and feeds the window. The window never waits for a process.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bulkhead_control::{Edge, Event};
use bulkhead_link::{LinkError, Peer};
use bulkhead_schema::wire::gui_node_capnp::{gui_rpc, gui_wallet};
use bulkhead_widgets::Model;
use futures::channel::mpsc::Sender;

use crate::sandbox_info;

/// How often the figures are asked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// An answer that takes longer is shown as a node that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two edges of the window.
struct Edges {
    rpc: Peer<gui_rpc::Client>,
    wallet: Peer<gui_wallet::Client>,
}

impl Edges {
    fn wire(&self, wires: Vec<(Edge, OwnedFd)>) -> Result<(), LinkError> {
        for (edge, descriptor) in wires {
            match edge.name.as_str() {
                "gui-rpc" => self.rpc.set(bulkhead_link::connect(descriptor, "gui-rpc", None)?),
                "gui-wallet" => self.wallet.set(bulkhead_link::connect(descriptor, "gui-wallet", None)?),
                other => return Err(LinkError::UnknownEdge(other.to_owned())),
            }
        }
        Ok(())
    }
}

/// Starts the thread.
pub(crate) fn start(
    network: String,
    wires: Vec<(Edge, OwnedFd)>,
    events: Receiver<Event>,
    models: Sender<Model>,
) -> std::io::Result<()> {
    std::thread::Builder::new().name("feed".into()).spawn(move || {
        let ended = bulkhead_link::run(async move {
            if let Err(error) = feed(network, wires, events, models).await {
                tracing::error!("{error}");
            }
        });
        if let Err(error) = ended {
            tracing::error!("{error}");
        }
        // The node is gone or the window cannot be fed: there is nothing left to show.
        std::process::exit(0);
    })?;
    Ok(())
}

async fn feed(
    network: String,
    wires: Vec<(Edge, OwnedFd)>,
    events: Receiver<Event>,
    mut models: Sender<Model>,
) -> Result<(), LinkError> {
    let edges = Edges { rpc: Peer::new("rpc"), wallet: Peer::new("wallet") };
    edges.wire(wires)?;
    let shown = Rc::new(RefCell::new(Model { network, ..Model::default() }));
    loop {
        loop {
            match events.try_recv() {
                Ok(Event::Wire(wires)) => edges.wire(wires)?,
                Ok(Event::Shutdown | Event::PeerGone) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
                Ok(_) => {}
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
            }
        }
        let status = match tokio::time::timeout(PATIENCE, refresh(&edges, &shown)).await {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => format!("{error}"),
            Err(_) => "the node does not answer".to_owned(),
        };
        shown.borrow_mut().status = status;
        let model = shown.borrow().clone();
        // A full queue means that the window is slow: it gets the next model.
        if models.try_send(model).is_err_and(|error| error.is_disconnected()) {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn refresh(edges: &Edges, shown: &RefCell<Model>) -> Result<(), Box<dyn std::error::Error>> {
    let response = edges.rpc.get()?.overview_request().send().promise.await?;
    let overview = response.get()?;
    let tip = overview.get_tip()?;
    let hash = tip.get_hash()?;
    {
        let mut model = shown.borrow_mut();
        model.height = Some(i64::from(tip.get_height()));
        // Hashes are shown in reverse byte order.
        model.best_block = hash.iter().rev().take(32).map(|byte| format!("{byte:02x}")).collect();
        model.peers = overview.get_peers();
        model.processes = sandbox_info::rows(overview.get_sandbox()?.to_str()?);
    }
    let Ok(wallet) = edges.wallet.get() else {
        shown.borrow_mut().balance = None;
        return Ok(());
    };
    let response = wallet.balances_request().send().promise.await?;
    let wallets = response.get()?.get_wallets()?;
    let sum = wallets.iter().fold((0i64, 0i64, 0i64), |(trusted, pending, immature), wallet| {
        (
            trusted.saturating_add(wallet.get_trusted()),
            pending.saturating_add(wallet.get_pending()),
            immature.saturating_add(wallet.get_immature()),
        )
    });
    shown.borrow_mut().balance = (!wallets.is_empty()).then_some(sum);
    Ok(())
}
