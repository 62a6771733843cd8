//! bitcoin-wallet: wallet logic in its own process.

use bitcoin_wallet::app::{App, network_by_name};
use bitcoin_wallet::ipc::chain::Chain;
use bitcoin_wallet::ipc::events::{self, Events};
use bitcoin_wallet::ipc::serve::{Gui, Rpc};
use bitcoin_wallet::{tool, wallets};
use bulkhead_control::{Component, ControlError, Edge, Event, WalletConfig, birth};
use bulkhead_link::Peer;
use bulkhead_schema::wire::gui_node_capnp::gui_wallet;
use bulkhead_schema::wire::rpc_wallet_capnp::rpc_wallet;
use bulkhead_schema::wire::wallet_chain_capnp::{wallet_chain, wallet_events};
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;

fn main() -> ExitCode {
    // The supervisor gives no arguments; a user does.
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if !arguments.is_empty() {
        return tool::main(&arguments);
    }
    match start() {
        Ok(code) => code,
        // Nor is there a supervisor: a user without arguments.
        Err(StartError::Control(ControlError::Io(error)))
            if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EBADF | Errno::ENOTSOCK)) =>
        {
            tool::main(&arguments)
        }
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Link(#[from] bulkhead_link::LinkError),
    #[error("unknown network {0}")]
    Network(String),
    #[error("bitcoin-chain has hung up")]
    HungUp,
}

fn start() -> Result<ExitCode, StartError> {
    let birth = birth::<WalletConfig>(Component::Wallet)?;
    if !birth.config.tool.is_empty() {
        return Ok(tool::confined::run(birth)?);
    }
    let config = birth.config.clone();
    let control = birth.confine(&[])?;
    let wires = control.receive_wires()?;
    let (handle, events) = control.split()?;
    let network = network_by_name(&config.network).ok_or_else(|| StartError::Network(config.network.clone()))?;
    // The control channel blocks, so a thread carries its events into the loop.
    let (sender, mut queue) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = events.recv() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    bulkhead_link::run(async move {
        let chain = Chain::new(Peer::new("chain"));
        let app = Rc::new(App::new(config, network, Arc::new(handle.clone()), chain));
        // Whoever is wired before the wallets are there is told to wait.
        app.starting.set(true);
        for (edge, descriptor) in wires {
            wire(&app, &edge, descriptor).await;
        }
        if let Err(text) = wallets::load_at_start(&app).await {
            handle.init_error(&text);
        } else {
            app.starting.set(false);
            if handle.ready().is_err() {
                return Ok(());
            }
        }
        tokio::task::spawn_local(resend(app.clone()));
        let mut hung_up = std::pin::pin!(app.chain.peer().hung_up());
        loop {
            let event = tokio::select! {
                event = queue.recv() => event,
                // What the wallets know is with their key stores, as when we are killed.
                () = &mut hung_up => return Err(StartError::HungUp),
            };
            let Some(event) = event else { return Ok(()) };
            match event {
                Event::Wire(edges) => {
                    for (edge, descriptor) in edges {
                        wire(&app, &edge, descriptor).await;
                    }
                }
                Event::Shutdown => {
                    stop(&app).await;
                    return Ok(());
                }
                Event::PeerGone => return Ok(()),
                _ => {}
            }
        }
    })??;
    Ok(ExitCode::SUCCESS)
}

/// Looks whether transactions are to be sent again. Often, because the clock may be a mocked one.
async fn resend(app: Rc<App>) {
    const PERIOD: std::time::Duration = std::time::Duration::from_secs(1);
    loop {
        tokio::time::sleep(PERIOD).await;
        wallets::resend_when_due(&app).await;
    }
}

async fn stop(app: &App) {
    // Shorter than the supervisor waits for us.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
    let loaded = app.all();
    // What chain has told is taken in first: the next start could find it pruned.
    let caught_up = async {
        for loaded in &loaded {
            app.wait_for_tip(loaded).await;
        }
    };
    if tokio::time::timeout(PATIENCE, caught_up).await.is_err() {
        tracing::warn!("The wallets end before they have seen every block; they are scanned at the next start.");
    }
    for loaded in app.all() {
        wallets::close(app, &loaded).await;
    }
}

async fn wire(app: &Rc<App>, edge: &Edge, descriptor: OwnedFd) {
    let outcome = match edge.name.as_str() {
        "rpc-wallet" => {
            let client: rpc_wallet::Client = capnp_rpc::new_client(Rpc { app: app.clone() });
            bulkhead_link::serve(descriptor, "rpc-wallet", client.client).map(drop)
        }
        "gui-wallet" => {
            let client: gui_wallet::Client = capnp_rpc::new_client(Gui { app: app.clone() });
            bulkhead_link::serve(descriptor, "gui-wallet", client.client).map(drop)
        }
        "wallet-chain" => connect_chain(app, descriptor).await,
        other => {
            tracing::error!("unknown edge {other}");
            return;
        }
    };
    if let Err(error) = outcome {
        tracing::error!("{}: {error}", edge.name);
    }
}

async fn connect_chain(app: &Rc<App>, descriptor: OwnedFd) -> Result<(), bulkhead_link::LinkError> {
    let connection = bulkhead_link::connect::<wallet_chain::Client>(descriptor, "wallet-chain", None)?;
    let client = connection.client.clone();
    app.chain.peer().set(connection);
    let events: wallet_events::Client = capnp_rpc::new_client(Events { app: app.clone() });
    let mut request = client.subscribe_request();
    request.get().set_events(events);
    if let Err(error) = request.send().promise.await {
        tracing::error!("wallet-chain: {error}");
    }
    let _guard = app.sync.lock().await;
    for loaded in app.all() {
        let tip = loaded.wallet.borrow().tip.hash;
        if let Err(error) = events::catch_up(app, &loaded, &[tip]).await {
            tracing::error!("wallet-chain: {error}");
        }
    }
    Ok(())
}
