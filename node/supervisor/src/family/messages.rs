//! What children say, and who may ask for what.

use super::child::Asked;
use super::{ChildId, Family, State};
use crate::broker::MAX_KEYSTORES;
use bulkhead_config::Chain;
use bulkhead_control::message::{Outcome, ToChild};
use bulkhead_control::{Command, Component, ControlError, FromChild, Request, clock, log};

/// At most this many messages of one child in a row, so that none starves the others.
const BURST: usize = 64;

/// Latest mocked time, seconds: times of blocks have 32 bits.
const LATEST: i64 = u32::MAX as i64;
/// Longest step by which what is planned comes sooner, seconds.
const LONGEST_STEP: i64 = 3600;
/// Longest text that a child may have printed.
const MAX_TEXT: usize = 4096;
/// Most texts of one child: a wallet process that loads as many wallets as it can have says two of each.
const MAX_TEXTS: usize = 2 * MAX_KEYSTORES + 100;
/// Who asked so often for what it may not have does not do so by mistake.
const MAX_REFUSALS: usize = 16;

impl Family {
    /// Handles what a child has said.
    pub(super) fn drain(&mut self, id: ChildId) {
        for _ in 0..BURST {
            let Some(child) = self.by_id(id) else { return };
            match child.channel.receive() {
                Ok(Some(message)) => self.said(id, message),
                Ok(None) => return,
                Err(ControlError::PeerGone) => return self.mute(id),
                Err(error) => {
                    tracing::error!("control channel of {}: {error}", child.component.binary());
                    return self.mute(id);
                }
            }
        }
    }

    fn said(&mut self, id: ChildId, message: FromChild) {
        let Some(child) = self.by_id(id) else { return };
        let component = child.component;
        if let Some(why) = out_of_order(component, child.state, &message) {
            return self.broke_contract(id, why);
        }
        match message {
            FromChild::Report(report) => {
                for layer in &report.missing {
                    tracing::warn!("sandbox of {}: {layer}", component.binary());
                }
                child.report = Some(report);
                child.state = child.state.max(State::Confined);
                if component == Component::Keystore {
                    self.keystore_confined(id);
                }
                if component == Component::Gui {
                    // Its streams exist only now: it is no child of the spawner.
                    if let Err(error) = self.wire_component(Component::Gui) {
                        tracing::error!("{error}");
                    }
                }
                self.flush_wires();
            }
            FromChild::Ready => {
                child.state = State::Ready;
                self.flush_wires();
                self.check_loaded();
            }
            FromChild::Request(request, kind) => {
                self.asked(Asked { child: id, request }, component, kind);
            }
            FromChild::Fatal(text) => self.fatal(&shorten(&text)),
            FromChild::InitError(text) if component == Component::Keystore => child.init_error = Some(text),
            FromChild::InitError(text) => self.fail(&shorten(&text)),
            FromChild::InitMessage(text) if component == Component::Node => self.echoed(id, text),
            FromChild::InitMessage(text) if self.may_speak(id) => tracing::info!("init message: {}", shorten(&text)),
            FromChild::Warning(text) if self.may_speak(id) => {
                let text = shorten(&text);
                tracing::warn!("{text}");
                eprintln!("Warning: {text}");
            }
            FromChild::InitMessage(_) | FromChild::Warning(_) => {}
            FromChild::Notify(command) if may_notify(component, &command.template) => self.notify(command),
            FromChild::Notify(_) => self.refused(id),
            FromChild::Applied => self.confirmed(id, false),
            FromChild::WalletLoaded(_) | FromChild::WalletReleased(_) if component != Component::Wallet => self.refused(id),
            FromChild::WalletLoaded(name) => {
                // More than that it cannot have.
                if !self.loaded_wallets.contains(&name) && self.loaded_wallets.len() < MAX_KEYSTORES {
                    self.loaded_wallets.push(name);
                }
            }
            FromChild::WalletReleased(name) => {
                self.loaded_wallets.retain(|other| *other != name);
                if let Some(wallet) = &mut self.outfit.wallet {
                    wallet.wallet.retain(|other| *other != name);
                }
            }
        }
    }

    /// Whether one more text of a child is shown. The first that is not is told of.
    fn may_speak(&mut self, id: ChildId) -> bool {
        let Some(child) = self.by_id(id) else { return false };
        child.texts = child.texts.saturating_add(1);
        if child.texts == MAX_TEXTS + 1 {
            tracing::error!("{} says too much: no more of its messages are shown", child.component.binary());
        }
        child.texts <= MAX_TEXTS
    }

    /// The start is over when everybody serves.
    fn check_loaded(&mut self) {
        let all = self.children.iter().all(|child| {
            child.state == State::Ready || matches!(child.component, Component::Keystore | Component::Gui | Component::Node)
        });
        if !all || self.done_loading || self.stop.is_some() {
            return;
        }
        self.done_loading = true;
        tracing::info!("init message: Done loading");
        if !self.outfit.notify.startupnotify.is_empty() {
            self.notify(Command { template: "startupnotify".into(), values: Vec::new() });
        }
    }

    fn notify(&mut self, command: Command) {
        if let Some(notify) = self.children.iter_mut().find(|child| child.component == Component::Notify) {
            notify.send_unasked(&ToChild::Run(command), &[]);
        }
    }

    fn asked(&mut self, asked: Asked, component: Component, request: Request) {
        if !may_ask(component, &request) {
            self.refused(asked.child);
            return self.answer(asked, Err((-1, "this process may not ask for that".into())));
        }
        if moves_clock(&request) && self.outfit.options.chain != Chain::Regtest {
            self.refused(asked.child);
            return self.answer(asked, Err((-1, "the clock is moved on regtest only".into())));
        }
        match request {
            Request::Stop => {
                self.answer(asked, Ok(String::new()));
                self.request_stop();
            }
            Request::SandboxInfo => {
                let info = crate::broker::sandbox_info(self);
                self.answer(asked, Ok(info));
            }
            Request::OpenKeystore(open) => self.open_keystore(asked, open),
            Request::AwaitKeystoreEnd(name) => self.await_keystore_end(asked, name),
            Request::OpenFile(open) => self.open_file(asked, &open),
            Request::ListWalletDir => {
                let list = crate::broker::list_wallets(&self.outfit.walletdir);
                self.answer(asked, Ok(list));
            }
            Request::SetMockTime(seconds) => {
                if !(0..=LATEST).contains(&seconds) {
                    return self.answer(asked, Err((-8, format!("Mocktime must be in the range [0, {LATEST}], not {seconds}."))));
                }
                clock::set_mock_time(seconds);
                self.outfit.log_options.mock_time = seconds;
                self.broadcast(&ToChild::SetMockTime(seconds), asked);
            }
            Request::ForwardScheduler(seconds) if (1..=LONGEST_STEP).contains(&seconds) => {
                self.broadcast(&ToChild::ForwardScheduler(seconds), asked);
            }
            Request::ForwardScheduler(_) => self.answer(asked, Err((-1, "the step is too long".into()))),
            Request::Logging(levels) => {
                log::set_levels(&levels);
                self.outfit.log_options.levels.clone_from(&levels);
                self.broadcast(&ToChild::LogCategories(levels), asked);
            }
            Request::UpdateSetting { name, values } => self.update_setting(asked, &name, values),
            Request::SpawnEcho(text) => self.spawn_echo(asked, &text),
            Request::ActivateSnapshot => {
                let outcome = crate::broker::activate_snapshot(&self.outfit.options.datadir);
                self.answer(asked, outcome.map(|()| String::new()));
            }
        }
    }

    /// A child wants what it may not have.
    fn refused(&mut self, id: ChildId) {
        let Some(child) = self.by_id(id) else { return };
        child.refusals += 1;
        let (refusals, binary) = (child.refusals, child.component.binary());
        tracing::error!("{binary} asked for what it may not have");
        if refusals >= MAX_REFUSALS {
            self.broke_contract(id, "it asks again and again for what it may not have");
        }
    }

    /// A child does what no honest one does.
    pub(super) fn broke_contract(&mut self, id: ChildId, why: &str) {
        let Some(child) = self.by_id(id).filter(|child| !child.mute) else { return };
        tracing::error!("control: {} broke the contract: {why}", child.component.binary());
        self.mute(id);
    }

    pub(crate) fn answer(&mut self, asked: Asked, outcome: Outcome) {
        self.reply(asked.child, asked.request, outcome, &[]);
    }
}

/// Why a message cannot come from an honest child that has come so far, if so.
fn out_of_order(component: Component, state: State, message: &FromChild) -> Option<&'static str> {
    match message {
        FromChild::Report(_) if state != State::Born => Some("a second report"),
        FromChild::Ready if state != State::Confined => Some("ready, and not just confined"),
        // Chain is ready before its start is over, and it alone knows what the node cannot live with.
        FromChild::InitError(_) if state == State::Ready && component != Component::Chain => Some("a failed start after it"),
        FromChild::Fatal(_) if component != Component::Chain => Some("not its to say that the node must stop"),
        _ => None,
    }
}

/// Who may have which command of the user run.
fn may_notify(component: Component, template: &str) -> bool {
    match template {
        "blocknotify" | "alertnotify" => component == Component::Chain,
        "walletnotify" => component == Component::Wallet,
        _ => false,
    }
}

/// Who may ask for what. A process cannot get through the supervisor what its own walls refuse.
fn may_ask(component: Component, request: &Request) -> bool {
    match request {
        Request::Stop => matches!(component, Component::Rpc | Component::Chain | Component::Gui),
        Request::SandboxInfo => matches!(component, Component::Rpc | Component::Gui),
        Request::OpenKeystore(open) => match component {
            Component::Wallet => true,
            Component::Rpc => open.one_shot,
            _ => false,
        },
        Request::OpenFile(open) => match open.purpose.as_str() {
            "backupWallet" | "restoreWallet" | "exportWallet" | "finishExport" => component == Component::Wallet,
            "writeNetFile" | "finishNetFile" | "captureFile" | "connectProxy" | "torCookie" | "exportAsmap" => {
                component == Component::Net
            }
            "dumpTxOutSet" | "finishTxOutSet" | "loadTxOutSet" | "importMempool" | "loadBlock" | "saveMempool"
            | "finishMempool" | "saveFeeEstimates" => component == Component::Chain,
            _ => false,
        },
        Request::ActivateSnapshot => component == Component::Chain,
        Request::ListWalletDir | Request::UpdateSetting { .. } | Request::AwaitKeystoreEnd(_) => component == Component::Wallet,
        Request::SetMockTime(_) | Request::ForwardScheduler(_) | Request::Logging(_) | Request::SpawnEcho(_) => {
            component == Component::Rpc
        }
    }
}

/// The front door refuses these itself on other networks, but it may have been taken over.
fn moves_clock(request: &Request) -> bool {
    matches!(request, Request::SetMockTime(_) | Request::ForwardScheduler(_))
}

/// A text of another process, bounded and without what a terminal would obey.
fn shorten(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control() || *letter == '\n').take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_control::{OpenFile, OpenKeystore};

    #[test]
    fn a_text_of_another_process_is_bounded_and_obeyed_by_no_terminal() {
        assert_eq!(shorten("\u{1b}[2Jtwo\nlines\u{9b}\r"), "[2Jtwo\nlines");
        assert_eq!(shorten(&"x".repeat(MAX_TEXT + 1)).len(), MAX_TEXT);
    }

    #[test]
    fn test_may_ask_refuses_what_the_walls_refuse() {
        let open = |one_shot| Request::OpenKeystore(OpenKeystore { one_shot, ..OpenKeystore::default() });
        let file = |purpose: &str| Request::OpenFile(OpenFile { purpose: purpose.into(), path: "/x".into() });
        for component in [Component::Net, Component::Keystore, Component::Notify, Component::Node] {
            for request in [Request::Stop, open(true), file("backupWallet"), Request::ListWalletDir, Request::ActivateSnapshot] {
                assert!(!may_ask(component, &request), "{component} {request:?}");
            }
        }
        assert!(may_ask(Component::Rpc, &open(true)) && !may_ask(Component::Rpc, &open(false)));
        assert!(may_ask(Component::Net, &file("writeNetFile")) && !may_ask(Component::Chain, &file("writeNetFile")));
        assert!(may_ask(Component::Net, &file("exportAsmap")) && !may_ask(Component::Rpc, &file("exportAsmap")));
        assert!(!may_ask(Component::Wallet, &file("connectProxy")));
        assert!(!may_ask(Component::Chain, &file("backupWallet")));
        assert!(!may_ask(Component::Wallet, &file("dumpTxOutSet")));
        assert!(may_ask(Component::Chain, &Request::ActivateSnapshot) && !may_ask(Component::Wallet, &Request::ActivateSnapshot));
        assert!(!may_ask(Component::Chain, &file("anything")));
        for component in Component::ALL {
            for template in ["shutdownnotify", "startupnotify", "signer", ""] {
                assert!(!may_notify(component, template), "{component} {template}");
            }
            let others = ["blocknotify", "alertnotify", "walletnotify"].iter().filter(|name| may_notify(component, name)).count();
            let expected = match component {
                Component::Chain => 2,
                Component::Wallet => 1,
                _ => 0,
            };
            assert_eq!(others, expected, "{component}");
        }
    }

    #[test]
    fn what_is_said_once_is_said_in_its_time() {
        let report = FromChild::Report(bulkhead_control::Report::default());
        let (failed, fatal) = (FromChild::InitError(String::new()), FromChild::Fatal(String::new()));
        for component in Component::ALL {
            let refused = |state, message: &FromChild| out_of_order(component, state, message).is_some();
            let states = [State::Born, State::Confined, State::Ready];
            assert_eq!(states.map(|state| refused(state, &report)), [false, true, true]);
            assert_eq!(states.map(|state| refused(state, &FromChild::Ready)), [true, false, true]);
            let chain = component == Component::Chain;
            assert_eq!(states.map(|state| refused(state, &failed)), [false, false, !chain]);
            assert_eq!(states.map(|state| refused(state, &fatal)), [!chain; 3]);
        }
    }
}
