//! Who may say what on which edge.

use bulkhead_schema::methods::Owner;
use bulkhead_schema::names::method_name;
use bulkhead_schema::wire;
use capnp::traits::HasTypeId;

/// An interface and how many methods it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Id on the wire.
    pub id: u64,
    /// Ordinals are below this.
    pub methods: u16,
}

/// An edge as somebody sees it who sits at its client end.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Name in the table of limits.
    pub name: &'static str,
    /// Interfaces of the serving end: first the bootstrap, then those that its answers hand out.
    pub served: Vec<Interface>,
    /// Interface that the serving end calls back, if any.
    pub called_back: Option<Interface>,
    /// Who answers `executeRpc` here.
    pub owner: Option<Owner>,
}

fn interface<C: HasTypeId>() -> Interface {
    let methods = (0..).take_while(|ordinal| method_name(C::TYPE_ID, *ordinal).is_some()).count();
    Interface { id: C::TYPE_ID, methods: u16::try_from(methods).unwrap_or(0) }
}

/// The edge with this name. Control channel and key store speak in plain messages and are not here.
#[must_use]
pub fn edge(name: &str) -> Option<Edge> {
    let mining =
        || [interface::<wire::mining_capnp::mining::Client>(), interface::<wire::mining_capnp::block_template::Client>()];
    Some(match name {
        "net-chain" => Edge {
            name: "net-chain",
            served: vec![
                interface::<wire::net_chain_capnp::net_chain::Client>(),
                interface::<wire::net_chain_capnp::partial_block::Client>(),
            ],
            called_back: Some(interface::<wire::net_chain_capnp::net_events::Client>()),
            owner: None,
        },
        "rpc-chain" => Edge {
            name: "rpc-chain",
            served: [interface::<wire::rpc_chain_capnp::rpc_chain::Client>()].into_iter().chain(mining()).collect(),
            called_back: Some(interface::<wire::rpc_chain_capnp::chain_events::Client>()),
            owner: Some(Owner::Chain),
        },
        "rpc-net" => Edge {
            name: "rpc-net",
            served: vec![interface::<wire::rpc_net_capnp::rpc_net::Client>()],
            called_back: None,
            owner: Some(Owner::Net),
        },
        "rpc-wallet" => Edge {
            name: "rpc-wallet",
            served: vec![interface::<wire::rpc_wallet_capnp::rpc_wallet::Client>()],
            called_back: None,
            owner: Some(Owner::Wallet),
        },
        "wallet-chain" => Edge {
            name: "wallet-chain",
            served: vec![interface::<wire::wallet_chain_capnp::wallet_chain::Client>()],
            called_back: Some(interface::<wire::wallet_chain_capnp::wallet_events::Client>()),
            owner: None,
        },
        "gui-rpc" => Edge {
            name: "gui-rpc",
            served: vec![interface::<wire::gui_node_capnp::gui_rpc::Client>()],
            called_back: None,
            owner: None,
        },
        "gui-wallet" => Edge {
            name: "gui-wallet",
            served: vec![interface::<wire::gui_node_capnp::gui_wallet::Client>()],
            called_back: None,
            owner: None,
        },
        "outside-rpc" => Edge {
            name: "outside-rpc",
            served: [
                interface::<wire::init_capnp::init::Client>(),
                interface::<wire::proxy_capnp::thread_map::Client>(),
                interface::<wire::proxy_capnp::thread::Client>(),
                interface::<wire::echo_capnp::echo::Client>(),
                interface::<wire::rpc_capnp::rpc::Client>(),
            ]
            .into_iter()
            .chain(mining())
            .collect(),
            called_back: None,
            owner: Some(Owner::Chain),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::edge;

    /// The schemas say which methods there are; an interface that no edge has would be tried by nobody.
    #[test]
    fn every_method_belongs_to_an_edge() {
        let edges: Vec<_> = bulkhead_schema::limits::EDGES.iter().filter_map(|limits| edge(limits.name)).collect();
        let interfaces: Vec<_> = edges.iter().flat_map(|edge| edge.served.iter().chain(&edge.called_back)).collect();
        for method in bulkhead_schema::names::all() {
            let known = interfaces.iter().any(|known| known.id == method.interface && method.ordinal < known.methods);
            assert!(known, "{}", method.name);
        }
    }

    #[test]
    fn every_edge_of_capnp_rpc_has_methods() {
        for limits in bulkhead_schema::limits::EDGES {
            if ["control", "wallet-keystore"].contains(&limits.name) {
                continue;
            }
            let edge = edge(limits.name).unwrap();
            assert!(edge.served.iter().chain(&edge.called_back).all(|interface| interface.methods > 0), "{}", limits.name);
        }
        assert!(edge("net-chain").unwrap().served[0].methods >= 15);
    }
}
