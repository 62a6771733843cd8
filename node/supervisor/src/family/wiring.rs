//! Streams between children. The first word of an edge is the client side.

use super::{Family, State};
use crate::error::NodeError;
use bulkhead_control::{Component, Edge, stream_pair};

const EDGES: [(&str, Component, Component); 7] = [
    ("rpc-chain", Component::Rpc, Component::Chain),
    ("rpc-net", Component::Rpc, Component::Net),
    ("rpc-wallet", Component::Rpc, Component::Wallet),
    ("net-chain", Component::Net, Component::Chain),
    ("wallet-chain", Component::Wallet, Component::Chain),
    ("gui-rpc", Component::Gui, Component::Rpc),
    ("gui-wallet", Component::Gui, Component::Wallet),
];

impl Family {
    /// Makes a stream for every edge.
    pub(super) fn wire_all(&mut self) -> Result<(), NodeError> {
        for edge in EDGES {
            self.wire_edge(edge)?;
        }
        Ok(())
    }

    /// Makes new streams for every edge of one component: it was born again.
    pub(super) fn wire_component(&mut self, component: Component) -> Result<(), NodeError> {
        for edge in EDGES.into_iter().filter(|(_, client, server)| [*client, *server].contains(&component)) {
            self.wire_edge(edge)?;
        }
        self.flush_wires();
        Ok(())
    }

    fn wire_edge(&mut self, (name, client, server): (&str, Component, Component)) -> Result<(), NodeError> {
        // A peer that is being restarted makes the edge itself when it comes back.
        if self.child(client).is_none() || self.child(server).is_none() {
            return Ok(());
        }
        let (one, other) = stream_pair().map_err(|error| NodeError::system("cannot make a stream", error))?;
        for (component, stream) in [(client, one), (server, other)] {
            if let Some(child) = self.children.iter_mut().find(|child| child.component == component) {
                // An older stream that was never sent is of no use.
                child.wires.retain(|(edge, _)| edge.name != name);
                child.wires.push((Edge::new(name), stream));
            }
        }
        Ok(())
    }

    /// Sends waiting streams to whom may have them: a child that is confined, and net and wallet only when chain
    /// serves.
    pub(super) fn flush_wires(&mut self) {
        let chain_ready = self.child(Component::Chain).is_some_and(|chain| chain.state == State::Ready);
        for child in &mut self.children {
            let gated = matches!(child.component, Component::Net | Component::Wallet) && !chain_ready;
            if child.state == State::Born || gated || matches!(child.component, Component::Keystore | Component::Node) {
                continue;
            }
            if !child.wired || !child.wires.is_empty() {
                child.send_wires();
            }
        }
    }
}
