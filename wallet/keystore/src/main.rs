//! `bitcoin-keystore`: owns one wallet file and its private keys. One thread, one stream of requests.

use bitcoin::Network;
use bulkhead_control::{Birth, Component, Control, ControlError, Event, FromChild, KeystoreConfig, PathGrant, clock};
use bulkhead_keystore_edge::wire::{self, WireError};
use bulkhead_keystore_edge::{KeystoreError, Reply, Request};
use keystore::database::Location;
use keystore::service::{Cost, Keystore, Settings};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(ControlError::PeerGone) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("key store: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), ControlError> {
    let birth: Birth<KeystoreConfig> = bulkhead_control::birth(Component::Keystore)?;
    let config = birth.config.clone();
    let directory = PathBuf::from(&config.directory);
    // A one-shot key store has no directory, so nothing of the file system is granted.
    let grants = if config.one_shot { Vec::new() } else { vec![PathGrant { name: "walletdir", path: directory.clone() }] };
    let control = birth.confine(&grants)?;
    let Some(network) = Network::from_core_arg(&config.network).ok() else {
        return Err(fatal(&control, format!("unknown network {}", config.network)));
    };
    let location =
        Location { directory, file: config.file, magic: network.magic().to_bytes(), unsafe_sync: config.unsafesqlitesync };
    let settings = Settings {
        network,
        name: config.name,
        location: (!config.one_shot).then_some(location),
        keypool: i32::try_from(config.keypool).unwrap_or(i32::MAX).max(1),
        cost: Cost::Measured,
        now: clock::now,
    };
    let keystore =
        Keystore::new(settings).map_err(|error| fatal(&control, format!("no memory can be locked for keys: {error}")))?;
    let stream = control
        .receive_wires()?
        .into_iter()
        .find_map(|(edge, stream)| (edge.name == "wallet-keystore").then_some(stream))
        .ok_or(ControlError::OutOfOrder("wire"))?;
    control.send(&FromChild::Ready)?;
    serve(keystore, &control, stream)
}

fn fatal(control: &Control, text: String) -> ControlError {
    tracing::error!("{text}");
    // Only this wallet fails, not the node. The supervisor may be gone: then there is nobody to tell.
    let _ = control.send(&FromChild::InitError(text));
    ControlError::PeerGone
}

/// Answers requests until the wallet or the supervisor closes its end.
fn serve(mut keystore: Keystore, control: &Control, mut stream: OwnedFd) -> Result<(), ControlError> {
    loop {
        let timeout = keystore.deadline().map_or(PollTimeout::NONE, |left| {
            // One millisecond more, so that the moment is over when poll returns; long waits in steps.
            PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut waiting = [PollFd::new(control.as_fd(), PollFlags::POLLIN), PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        let ready = |index: usize| waiting.get(index).and_then(PollFd::any).unwrap_or(false);
        let (from_control, from_wallet) = (ready(0), ready(1));
        keystore.tick();
        if from_control {
            match control.receive_event()? {
                Some(Event::Shutdown) => return Ok(()),
                Some(Event::PeerGone) => return Err(ControlError::PeerGone),
                Some(Event::Wire(edges)) => {
                    // The wallet process was started again. What it was unlocked for is over.
                    if let Some((_, fresh)) = edges.into_iter().find(|(edge, _)| edge.name == "wallet-keystore") {
                        keystore.lock_now();
                        stream = fresh;
                    }
                    continue;
                }
                // The supervisor waits until every process has the new value.
                Some(Event::MockTime(_) | Event::LogLevels(_)) => control.send(&FromChild::Applied)?,
                _ => {}
            }
        }
        if from_wallet && !answer(&mut keystore, &stream) {
            return Ok(());
        }
    }
}

/// One request and its reply; `false` when the stream can't be used any more.
fn answer(keystore: &mut Keystore, stream: &OwnedFd) -> bool {
    let (content, beside) = match wire::receive(stream) {
        Ok(received) => received,
        Err(WireError::Closed) => return false,
        Err(error) => {
            tracing::error!("wallet-keystore: {error}");
            return false;
        }
    };
    let reply = match Request::decode(&content) {
        Ok(request) => keystore.handle(request, beside),
        Err(error) => {
            // A peer that does not speak the protocol is not answered: it could be anything.
            tracing::error!("wallet-keystore: {error}");
            return false;
        }
    };
    drop(content);
    let frame = reply.encode().or_else(|error| {
        let message = format!("key store: the reply is too large: {error}");
        Reply::Error(KeystoreError { code: -4, message, policy: String::new() }).encode()
    });
    match frame {
        Ok(frame) => wire::send(stream, &frame, None).is_ok(),
        Err(_) => false,
    }
}
