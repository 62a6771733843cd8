//! Calls through the unix socket of a node (Core's `Init` and `Rpc` interfaces).

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bulkhead_config::{ArgsManager, join};
use bulkhead_link::{Connection, connect, run};
use bulkhead_schema::wire::init_capnp::init;
use bulkhead_schema::wire::proxy_capnp::thread_map;
use nix::errno::Errno;

use crate::CliError;
use crate::options::chain_directory;

/// Longest path that the kernel takes for a unix socket.
const MAX_PATH_BYTES: usize = 107;

/// The node may call us back on threads of ours; it never does for `Rpc`.
struct NoThreads;

impl thread_map::Server for NoThreads {}

/// Text of an error of the system, without its number.
fn system_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::from_raw(number).desc().to_owned())
}

/// Connects as `-ipcconnect` says. `None`: use HTTP.
///
/// # Errors
/// The options contradict each other, or the socket that was asked for cannot be used.
pub fn socket(args: &ArgsManager) -> Result<Option<UnixStream>, CliError> {
    let address = args.get_or("-ipcconnect", "auto");
    if address == "0" {
        return Ok(None);
    }
    let automatic = address == "auto";
    if args.is_set("-rpcconnect") && !args.is_negated("-rpcconnect") {
        if automatic {
            return Ok(None);
        }
        return Err(CliError::other("-rpcconnect and -ipcconnect options cannot both be enabled"));
    }
    let unreachable = |text: String| {
        let chain = args.chain().unwrap_or_default().name();
        CliError::Connection(format!(
            "{text}\n\nProbably bitcoin-node is not running or not listening on a unix socket. Can be started with:\n\n    \
             bitcoin-node -chain={chain} -ipcbind=unix"
        ))
    };
    let directory = chain_directory(args);
    let path = match address.as_str() {
        "auto" | "unix" => directory.join("node.sock"),
        other => match other.strip_prefix("unix:") {
            Some("") => directory.join("node.sock"),
            Some(path) => join(&directory, Path::new(path)),
            None => return Err(unreachable(format!("Unrecognized address '{other}'"))),
        },
    };
    if path.as_os_str().len() > MAX_PATH_BYTES {
        if automatic {
            return Ok(None);
        }
        return Err(unreachable(format!("Unix address path \"{}\" exceeded maximum socket path length", path.display())));
    }
    match UnixStream::connect(&path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
            Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTDIR if automatic => Ok(None),
            _ => Err(unreachable(system_text(&error))),
        },
    }
}

/// Sends a request and waits for the reply, both JSON text.
///
/// # Errors
/// The connection broke, or the node refused the call.
pub fn call(stream: UnixStream, request: &str, path: &str, user: &str) -> Result<String, CliError> {
    let outcome = run(async {
        let Connection { client, .. } = connect::<init::Client>(stream.into(), "outside-rpc", None)?;
        exchange(&client, request, path, user).await.map_err(IpcError::from)
    });
    match outcome {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(CliError::other(error.to_string())),
        Err(error) => Err(CliError::other(error.to_string())),
    }
}

#[derive(Debug, thiserror::Error)]
enum IpcError {
    #[error(transparent)]
    Link(#[from] bulkhead_link::LinkError),
    #[error("remote exception: {}", .0.extra)]
    Call(#[from] capnp::Error),
}

async fn exchange(client: &init::Client, request: &str, path: &str, user: &str) -> Result<String, capnp::Error> {
    let mut construct = client.construct_request();
    construct.get().set_thread_map(capnp_rpc::new_client(NoThreads));
    let threads = construct.send().promise.await?.get()?.get_thread_map()?;
    let mut make = threads.make_thread_request();
    make.get().set_name("bitcoin-cli");
    let thread = make.send().promise.await?.get()?.get_result()?;
    let mut make = client.make_rpc_request();
    make.get().init_context().set_thread(thread.clone());
    let rpc = make.send().promise.await?.get()?.get_result()?;
    let mut call = rpc.execute_rpc_request();
    call.get().init_context().set_thread(thread);
    call.get().set_request(request);
    call.get().set_uri(path);
    call.get().set_user(user);
    let response = call.send().promise.await?;
    Ok(response.get()?.get_result()?.to_string()?)
}
