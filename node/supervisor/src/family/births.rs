//! Starting a child: channel, spawn, configuration.

use super::cgroups::Bounds;
use super::child::{Asked, Child, State};
use super::early::Early;
use super::outfit::chosen;
use super::{ChildId, Family};
use crate::error::NodeError;
use bulkhead_control::message::{Fields, ToChild};
use bulkhead_control::{CONTROL_DESCRIPTOR, Component, GuiConfig, Parent, TypedConfig, pair};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// The children that exist once, in the order of their birth. The slowest comes first.
const SINGLES: [Component; 5] = [Component::Chain, Component::Rpc, Component::Net, Component::Wallet, Component::Notify];

impl Family {
    /// Starts every child that exists once, and wires them.
    pub(crate) fn bear_all(&mut self) -> Result<(), NodeError> {
        for component in SINGLES {
            if component == Component::Wallet && self.outfit.wallet.is_none() {
                continue;
            }
            self.bear_single(component)?;
        }
        // Chain has them now; a file may be large and is of no use here.
        self.outfit.load_block.clear();
        self.wire_all()
    }

    /// Starts one of them.
    pub(crate) fn bear_single(&mut self, component: Component) -> Result<ChildId, NodeError> {
        let (ours, theirs) = pair().map_err(|error| NodeError::system("cannot make a control channel", error))?;
        let channel = Parent::new(ours);
        if let Some((configure, descriptors)) = self.outfit.dress(component) {
            // The message waits in the channel until the child reads it.
            channel.send(&ToChild::Configure(configure), &descriptors)?;
        }
        self.bear(component, channel, theirs, &[])
    }

    /// Starts a key store. It is answered to the asker when it reports.
    pub(crate) fn bear_keystore(
        &mut self,
        fields: Fields,
        instance: &str,
        directory: Option<super::KeystoreDirectory>,
        asked: Asked,
    ) -> Result<(), NodeError> {
        let (ours, theirs) = pair().map_err(|error| NodeError::system("cannot make a control channel", error))?;
        let channel = Parent::new(ours);
        let (configure, descriptors) = self.outfit.with_log(Component::Keystore, fields, Vec::new());
        channel.send(&ToChild::Configure(configure), &descriptors)?;
        let id = self.bear(Component::Keystore, channel, theirs, &[])?;
        if let Some(child) = self.by_id(id) {
            instance.clone_into(&mut child.instance);
            child.directory = directory;
            child.asked = Some(asked);
        }
        Ok(())
    }

    /// Starts a second `bitcoin-node` that only answers with a text.
    pub(crate) fn bear_echo(&mut self, message: &ToChild, asked: Asked) -> Result<(), NodeError> {
        let (ours, theirs) = pair().map_err(|error| NodeError::system("cannot make a control channel", error))?;
        let channel = Parent::new(ours);
        channel.send(message, &[])?;
        let sandbox = self.outfit.sandbox.name();
        let id = self.bear(Component::Node, channel, theirs, &[crate::broker::ECHO_ARGUMENT, sandbox])?;
        if let Some(child) = self.by_id(id) {
            child.asked = Some(asked);
        }
        Ok(())
    }

    /// Takes the window that started us in as a child.
    pub(crate) fn adopt_gui(&mut self, socket: OwnedFd) -> Result<(), NodeError> {
        let channel = Parent::new(socket);
        let config = GuiConfig { network: self.outfit.options.chain.name().into() };
        let (configure, descriptors) = self.outfit.with_log(Component::Gui, config.to_fields(), Vec::new());
        channel.send(&ToChild::Configure(configure), &descriptors)?;
        self.add(Component::Gui, 0, channel);
        Ok(())
    }

    fn bear(&mut self, component: Component, channel: Parent, theirs: OwnedFd, arguments: &[&str]) -> Result<ChildId, NodeError> {
        let spawner = match &mut self.commands {
            Some(commands) if component == Component::Notify => commands,
            _ => &mut self.spawner,
        };
        let pid = spawner.spawn(component.word(), arguments, vec![(theirs, CONTROL_DESCRIPTOR)])?;
        tracing::debug!(target: "ipc", "Process {} spawned with pid {pid}", component.binary());
        let id = self.add(component, pid, channel);
        self.bound(id);
        Ok(id)
    }

    /// Puts a child into a control group of its own. It has no streams yet.
    fn bound(&mut self, id: ChildId) {
        let Some(cgroups) = &self.cgroups else { return };
        let Some(child) = self.children.iter_mut().find(|child| child.id == id) else { return };
        let component = child.component;
        let bounds = Bounds::of(component, chosen(&self.outfit.memory, component), chosen(&self.outfit.cpu, component));
        match cgroups.put(component, id, child.pid, &bounds) {
            Ok(leaf) => child.cgroup = Some(leaf),
            Err(error) => tracing::warn!("{} has no control group: {error}", component.binary()),
        }
    }

    fn add(&mut self, component: Component, pid: i32, channel: Parent) -> ChildId {
        let id = self.next_id;
        self.next_id += 1;
        self.children.push(Child {
            id,
            component,
            instance: String::new(),
            directory: None,
            pid,
            channel,
            state: State::Born,
            report: None,
            born: Instant::now(),
            mute: false,
            refusals: 0,
            wired: false,
            early: Early::default(),
            wires: Vec::new(),
            asked: None,
            init_error: None,
            cgroup: None,
            texts: 0,
        });
        id
    }

    /// Ends a process that must not live on.
    pub(crate) fn kill(&self, pid: i32) {
        for spawner in std::iter::once(&self.spawner).chain(&self.commands) {
            // A spawner that is gone has taken its children along.
            let _ = spawner.kill(pid);
        }
    }
}
