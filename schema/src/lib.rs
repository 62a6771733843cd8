//! The vocabulary between processes: one Cap'n Proto file per edge, the limits of each edge, and the table
//! of RPC methods with their owners.

pub mod decode;
pub mod limits;
pub mod methods;
pub mod names;

/// Code generated from the `.capnp` files.
#[allow(missing_docs, unused, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod wire {
    macro_rules! generated {
        ($($module:ident = $path:literal;)*) => {
            $(pub mod $module { include!(concat!(env!("OUT_DIR"), "/", $path, "_capnp.rs")); })*
        };
    }
    generated! {
        proxy_capnp = "core/proxy";
        common_capnp = "core/common";
        echo_capnp = "core/echo";
        rpc_capnp = "core/rpc";
        init_capnp = "core/init";
        mining_capnp = "core/mining";
        types_capnp = "edges/types";
        control_capnp = "edges/control";
        rpc_chain_capnp = "edges/rpc_chain";
        rpc_net_capnp = "edges/rpc_net";
        rpc_wallet_capnp = "edges/rpc_wallet";
        net_chain_capnp = "edges/net_chain";
        wallet_chain_capnp = "edges/wallet_chain";
        wallet_keystore_capnp = "edges/wallet_keystore";
        gui_node_capnp = "edges/gui_node";
    }
}
