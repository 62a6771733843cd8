//! The children: births, wiring, deaths, and the loop that waits for all of them.
//!
//! One thread, one `poll`. Nothing in here blocks except a birth, which waits for the spawner's answer.

mod births;
mod broadcast;
mod cgroups;
mod child;
mod early;
mod exits;
mod messages;
mod outfit;
mod progress;
mod run;
mod signals;
mod stop;
mod wiring;

pub(crate) use cgroups::Cgroups;
pub(crate) use child::{Asked, Child, KeystoreDirectory, State};
pub(crate) use outfit::Outfit;
pub(crate) use signals::Signals;

use crate::broker::{PendingEnd, PendingOpen};
use broadcast::Broadcast;
use bulkhead_control::message::{Outcome, Reply, ToChild};
use bulkhead_control::{Component, ControlError, Report};
use bulkhead_sandbox::spawner::SpawnerHandle;
use exits::Rebirth;
use std::collections::{BTreeSet, VecDeque};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use stop::Stop;

/// Identity of a child within this run; never used again.
pub(crate) type ChildId = u64;

/// Every child and what is going on with them.
#[derive(Debug)]
pub(crate) struct Family {
    pub outfit: Outfit,
    /// Gives birth to everything but what runs the user's commands.
    spawner: SpawnerHandle,
    /// Gives birth to notify when commands are set.
    commands: Option<SpawnerHandle>,
    cgroups: Option<Cgroups>,
    signals: Signals,
    /// What the supervisor's own confinement achieved.
    pub own_report: Report,
    pub children: Vec<Child>,
    next_id: ChildId,
    rebirths: Vec<Rebirth>,
    broadcasts: Vec<Broadcast>,
    /// Key stores that wait until the last owner of their directory is gone.
    pub pending_opens: VecDeque<PendingOpen>,
    /// Who waits for the end of a key store.
    pub pending_ends: Vec<PendingEnd>,
    /// Files that were opened under a provisional name and may get the name that is kept here.
    pub incomplete_files: BTreeSet<PathBuf>,
    /// Wallets that the wallet process has loaded, in that order: the next one loads them again.
    loaded_wallets: Vec<String>,
    stop: Option<Stop>,
    /// "Error: " texts were printed; exit code 1.
    failed: bool,
    done_loading: bool,
}

/// How the text of every start-up failure ends that a rebuild of the databases may cure.
const REBUILD_QUESTION: &str = "\nPlease restart with -reindex or -reindex-chainstate to recover.";

impl Family {
    pub(crate) fn new(
        outfit: Outfit,
        spawner: SpawnerHandle,
        commands: Option<SpawnerHandle>,
        cgroups: Option<Cgroups>,
        signals: Signals,
        own_report: Report,
    ) -> Self {
        Self {
            outfit,
            spawner,
            commands,
            cgroups,
            signals,
            own_report,
            children: Vec::new(),
            next_id: 1,
            rebirths: Vec::new(),
            broadcasts: Vec::new(),
            pending_opens: VecDeque::new(),
            pending_ends: Vec::new(),
            loaded_wallets: Vec::new(),
            incomplete_files: BTreeSet::new(),
            stop: None,
            failed: false,
            done_loading: false,
        }
    }

    pub(crate) fn child(&self, component: Component) -> Option<&Child> {
        self.children.iter().find(|child| child.component == component)
    }

    pub(crate) fn by_id(&mut self, id: ChildId) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.id == id)
    }

    /// Answers a request. A child that asks and does not read the answers is broken.
    pub(crate) fn reply(&mut self, child: ChildId, id: u64, outcome: Outcome, descriptors: &[BorrowedFd<'_>]) {
        let Some(asker) = self.by_id(child) else { return };
        let mut sent = asker.try_send(&ToChild::Reply(Reply { id, outcome }), descriptors);
        if let Err(error @ ControlError::TooLarge(_)) = sent {
            // Who asked must not wait for ever.
            sent = asker.try_send(&ToChild::Reply(Reply { id, outcome: Err((-1, error.to_string())) }), &[]);
        }
        match sent {
            Ok(()) => {}
            Err(ControlError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.broke_contract(child, "it does not read the answers that it asks for");
            }
            Err(error) => tracing::error!("control channel of {}: {error}", asker.component.binary()),
        }
    }

    /// Process ids of the spawners, for the table of processes.
    pub(crate) fn spawner_pids(&self) -> Vec<(i32, &'static str)> {
        let commands = self.commands.iter().map(|spawner| (spawner.pid(), "command spawner"));
        std::iter::once((self.spawner.pid(), "spawner")).chain(commands).collect()
    }

    /// Prints an error and stops with exit code 1.
    pub(crate) fn fail(&mut self, text: &str) {
        tracing::error!("{text}");
        // After the first error the others are consequences.
        if !self.failed {
            // Core asks whether to rebuild the databases instead of reporting an error; the question has no caption.
            let caption = if text.ends_with(REBUILD_QUESTION) { "" } else { "Error: " };
            eprintln!("{caption}{text}");
        }
        self.failed = true;
        self.request_stop();
    }
}
