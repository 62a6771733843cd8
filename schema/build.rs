//! Compiles every schema file with the `capnp` compiler of the system, and writes the table that names
//! each method for `-debug=ipc`.

use std::fmt::Write as _;
use std::path::Path;

const FILES: &[&str] = &[
    "core/proxy.capnp",
    "core/common.capnp",
    "core/echo.capnp",
    "core/rpc.capnp",
    "core/init.capnp",
    "core/mining.capnp",
    "edges/types.capnp",
    "edges/control.capnp",
    "edges/rpc_chain.capnp",
    "edges/rpc_net.capnp",
    "edges/rpc_wallet.capnp",
    "edges/net_chain.capnp",
    "edges/wallet_chain.capnp",
    "edges/wallet_keystore.capnp",
    "edges/gui_node.capnp",
];

/// Methods whose parameters and results may hold a passphrase or a private key.
const SECRET: &[&str] = &["RpcWallet.executeRpc", "Rpc.executeRpc"];

fn main() {
    if let Err(error) = run() {
        // A build script has no other way to fail.
        eprintln!("schema: {error}\ninstall the package capnproto (see the Makefile target `deps`)");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::var("OUT_DIR")?;
    let request = Path::new(&out).join("request.bin");
    let mut command = capnpc::CompilerCommand::new();
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
        command.file(file);
    }
    command.default_parent_module(vec!["wire".into()]);
    command.raw_code_generator_request_path(&request);
    command.run()?;
    std::fs::write(Path::new(&out).join("method_names.rs"), method_names(&std::fs::read(&request)?)?)?;
    Ok(())
}

/// One row per method of each interface: id, ordinal, name, and how to print its parameters and results.
fn method_names(request: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let message = capnp::serialize::read_message(request, capnp::message::ReaderOptions::new())?;
    let request: capnp::schema_capnp::code_generator_request::Reader = message.get_root()?;
    let mut rows = String::from("&[\n");
    for node in request.get_nodes()? {
        let capnp::schema_capnp::node::Interface(interface) = node.which()? else { continue };
        let display = node.get_display_name()?.to_str()?;
        let (file, name) = display.split_once(':').ok_or("node without a file")?;
        let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).ok_or("file without a name")?;
        for (ordinal, method) in interface.get_methods()?.iter().enumerate() {
            let method = method.get_name()?.to_str()?;
            let full = format!("{name}.{method}");
            let module = format!("crate::wire::{stem}_capnp::{}::{}", snake(name), snake(method));
            writeln!(
                rows,
                "MethodName {{ interface: {:#x}, ordinal: {ordinal}, name: {full:?}, secret: {}, params: text_of!({module}_params::Owned), results: text_of!({module}_results::Owned), new_params: new_of!({module}_params::Owned), new_results: new_of!({module}_results::Owned) }},",
                node.get_id(),
                SECRET.contains(&full.as_str()),
            )?;
        }
    }
    rows.push(']');
    Ok(rows)
}

/// The module name that the code generator derives from a camel-case name.
fn snake(name: &str) -> String {
    let mut result = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() && index > 0 {
            result.push('_');
        }
        result.extend(character.to_lowercase());
    }
    result
}
