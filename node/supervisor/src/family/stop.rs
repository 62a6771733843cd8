//! An orderly end: the front door first, chain last.

use super::Family;
use super::progress::{LOOK, Progress};
use bulkhead_control::message::ToChild;
use bulkhead_control::{Command, Component};
use std::time::{Duration, Instant};

/// How long a child other than chain may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each step waits for the end of these. Notify comes first only when it has a command to run before the end.
const STEPS: [&[Component]; 6] = [
    &[Component::Notify],
    &[Component::Rpc, Component::Node],
    &[Component::Net, Component::Wallet],
    &[Component::Keystore],
    &[Component::Chain],
    &[Component::Notify, Component::Gui],
];

/// How far the end has come.
#[derive(Debug)]
pub(super) struct Stop {
    step: usize,
    told: bool,
    deadline: Option<Instant>,
    /// What chain does on its way out.
    progress: Progress,
}

impl Family {
    /// Begins the end. Later calls change nothing.
    pub(crate) fn request_stop(&mut self) {
        if self.stop.is_some() {
            return;
        }
        tracing::info!("Shutdown in progress...");
        let mut step = 1;
        if !self.outfit.notify.shutdownnotify.is_empty() {
            step = 0;
            let command = Command { template: "shutdownnotify".into(), values: Vec::new() };
            if let Some(notify) = self.children.iter_mut().find(|child| child.component == Component::Notify) {
                notify.send_unasked(&ToChild::Run(command), &[]);
            }
        }
        self.stop = Some(Stop { step, told: false, deadline: None, progress: Progress::default() });
        self.pending_opens.clear();
        self.pending_ends.clear();
    }

    /// Core's text for an end that nobody asked for.
    pub(crate) fn fatal(&mut self, text: &str) {
        tracing::error!("{text}");
        self.fail(&format!("A fatal internal error occurred, see debug.log for details: {text}"));
    }

    /// Goes on with the end as far as possible. True: everybody is gone.
    pub(super) fn advance_stop(&mut self) -> bool {
        loop {
            let Some(stop) = &mut self.stop else { return false };
            let Some(components) = STEPS.get(stop.step) else { return true };
            let told = std::mem::replace(&mut stop.told, true);
            let mut anybody = false;
            for child in self.children.iter_mut().filter(|child| components.contains(&child.component)) {
                // The window leaves when its channel closes.
                anybody |= child.component != Component::Gui;
                if !told {
                    if !child.wired {
                        // It waits for its edges first; there is no use for them now.
                        child.wires.clear();
                        child.send_wires();
                    }
                    child.send(&ToChild::Shutdown, &[]);
                }
            }
            if anybody {
                let of_chain = components.contains(&Component::Chain);
                let patience = if of_chain { LOOK } else { PATIENCE };
                if !told {
                    stop.deadline = Some(Instant::now() + patience);
                }
                if stop.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    stop.deadline = Some(Instant::now() + patience);
                    // However long it takes, chain is left in peace as long as it works.
                    let chain = self.children.iter().find(|child| of_chain && child.component == Component::Chain);
                    if chain.is_some_and(|chain| stop.progress.look(chain.pid)) {
                        return false;
                    }
                    stop.progress = Progress::default();
                    let late: Vec<(i32, String)> = self
                        .children
                        .iter()
                        .filter(|child| components.contains(&child.component))
                        .map(|child| (child.pid, child.component.binary()))
                        .collect();
                    for (pid, binary) in late {
                        tracing::error!("{binary} does not end and is killed");
                        self.kill(pid);
                    }
                    // What chain had not written is lost: the next start recovers.
                    self.failed |= of_chain;
                }
                return false;
            }
            *stop = Stop { step: stop.step + 1, told: false, deadline: None, progress: Progress::default() };
        }
    }

    pub(super) fn stop_deadline(&self) -> Option<Instant> {
        self.stop.as_ref().and_then(|stop| stop.deadline)
    }
}
