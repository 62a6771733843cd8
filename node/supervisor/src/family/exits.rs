//! What happens when a process ends.

use super::cgroups::Leaf;
use super::{ChildId, Family, State};
use bulkhead_control::Component;
use bulkhead_sandbox::spawner::{Exit, Outcome};
use std::time::{Duration, Instant};

/// A child that dies sooner than this after its birth waits longer and longer for the next one.
const SETTLED: Duration = Duration::from_secs(60);
/// The first wait.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// A child that will be born again.
#[derive(Debug)]
pub(super) struct Rebirth {
    pub component: Component,
    /// `None`: it lives.
    pub due: Option<Instant>,
    delay: Duration,
}

/// Names for the next wallet process: what the last one was to load and did not release, and what it had loaded.
fn to_load_again(planned: &[String], loaded: Vec<String>) -> Vec<String> {
    let mut names = planned.to_vec();
    for name in loaded {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn describe(outcome: Outcome) -> String {
    match outcome {
        Outcome::Code(code) => format!("exit code {code}"),
        Outcome::Signal(signal) => format!("signal {signal}"),
    }
}

impl Family {
    /// A process is gone.
    pub(super) fn ended(&mut self, exit: Exit) {
        let Some(position) = self.children.iter().position(|child| child.pid == exit.pid) else { return };
        // What it said last is still in its channel.
        let id = self.children[position].id;
        self.drain(id);
        let Some(position) = self.children.iter().position(|child| child.id == id) else { return };
        let child = self.children.remove(position);
        self.confirmed(id, true);
        let how = describe(exit.outcome);
        tracing::debug!(target: "ipc", "Process {} pid {} ended with {how}", child.component.binary(), exit.pid);
        if child.cgroup.as_ref().is_some_and(Leaf::exceeded) {
            tracing::error!("{} exceeded the memory of its control group", child.component.binary());
        }
        if let Some(asked) = child.asked {
            let text = child.init_error.unwrap_or_else(|| format!("{} ended with {how}", child.component.binary()));
            self.reply(asked.child, asked.request, Err((-4, text)), &[]);
        }
        if child.component == Component::Keystore {
            if let Some(directory) = child.directory.as_ref().filter(|directory| directory.created) {
                // Leave nothing behind of a wallet that never was; a directory with a wallet is not empty and stays.
                let _ = std::fs::remove_dir(&directory.path);
            }
            self.keystores_changed();
        }
        if self.stop.is_some() {
            return;
        }
        let binary = child.component.binary();
        match child.component {
            Component::Node | Component::Keystore => {}
            Component::Gui => self.request_stop(),
            Component::Chain if child.state == State::Ready => {
                self.fatal(&format!("{binary} ended unexpectedly with {how}"));
            }
            _ if child.state != State::Ready && !self.rebirths.iter().any(|r| r.component == child.component) => {
                self.fail(&format!("{binary} could not start ({how}), see debug.log for details"));
            }
            Component::Chain | Component::Net | Component::Rpc | Component::Wallet | Component::Notify => {
                tracing::warn!("{binary} ended with {how} and is started again");
                if child.component == Component::Wallet {
                    self.remember_wallets();
                }
                self.schedule_rebirth(child.component, child.born.elapsed());
            }
        }
    }

    /// The wallets that are loaded now are loaded again, locked, by the next wallet process, and so are those that were to be loaded
    /// and were not: that the one which is gone called itself ready proves nothing.
    fn remember_wallets(&mut self) {
        let loaded = std::mem::take(&mut self.loaded_wallets);
        if let Some(wallet) = &mut self.outfit.wallet {
            wallet.wallet = to_load_again(&wallet.wallet, loaded);
            wallet.again = true;
        }
    }

    fn schedule_rebirth(&mut self, component: Component, age: Duration) {
        let now = Instant::now();
        match self.rebirths.iter_mut().find(|rebirth| rebirth.component == component) {
            Some(rebirth) if age < SETTLED => {
                rebirth.due = Some(now + rebirth.delay);
                rebirth.delay = (rebirth.delay * 2).min(LONGEST_DELAY);
            }
            Some(rebirth) => {
                rebirth.due = Some(now);
                rebirth.delay = FIRST_DELAY;
            }
            None => self.rebirths.push(Rebirth { component, due: Some(now), delay: FIRST_DELAY }),
        }
    }

    /// When the next birth is due.
    pub(super) fn next_rebirth(&self) -> Option<Instant> {
        self.rebirths.iter().filter_map(|rebirth| rebirth.due).min()
    }

    /// Starts what is due.
    pub(super) fn rebirths_due(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for rebirth in &mut self.rebirths {
            if rebirth.due.is_some_and(|due| due <= now) {
                rebirth.due = None;
                due.push(rebirth.component);
            }
        }
        for component in due {
            if self.stop.is_some() {
                return;
            }
            let born = self.bear_single(component).and_then(|_| self.wire_component(component));
            if let Err(error) = born {
                self.fatal(&format!("cannot start {} again: {error}", component.binary()));
            }
        }
    }

    /// The control channel of a child is closed or broken: it can't be trusted to end by itself.
    pub(super) fn mute(&mut self, id: ChildId) {
        let Some(child) = self.by_id(id) else { return };
        child.mute = true;
        let (pid, component) = (child.pid, child.component);
        if component == Component::Gui {
            self.children.retain(|child| child.id != id);
            self.request_stop();
        } else if self.stop.is_none() {
            self.kill(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallets_are_loaded_again_whatever_was_killed_first() {
        let names = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let again = |planned: &[&str], loaded: &[&str]| to_load_again(&names(planned), names(loaded));
        assert_eq!(again(&["b"], &["b"]), ["b"], "a was unloaded");
        assert_eq!(again(&["a", "b"], &["b"]), ["a", "b"], "killed while it loaded a");
        assert_eq!(again(&["a", "b"], &[]), ["a", "b"], "said that it is ready and loaded nothing");
        assert_eq!(again(&["a"], &["a", "c"]), ["a", "c"]);
    }
}
