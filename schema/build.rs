//! Compiles every schema file with the `capnp` compiler of the system.

const FILES: &[&str] = &[
    "core/proxy.capnp", "core/common.capnp", "core/echo.capnp", "core/rpc.capnp", "core/init.capnp", "core/mining.capnp",
    "edges/types.capnp", "edges/control.capnp", "edges/rpc_chain.capnp", "edges/rpc_net.capnp", "edges/rpc_wallet.capnp",
    "edges/net_chain.capnp", "edges/wallet_chain.capnp", "edges/wallet_keystore.capnp", "edges/gui_node.capnp",
];

fn main() {
    let mut command = capnpc::CompilerCommand::new();
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
        command.file(file);
    }
    command.default_parent_module(vec!["wire".into()]);
    if let Err(error) = command.run() {
        // A build script has no other way to fail.
        eprintln!("schema: {error}\ninstall the package capnproto (see the Makefile target `deps`)");
        std::process::exit(1);
    }
}
