//! Options of bitcoin-cli and the configuration file.

use std::path::{Path, PathBuf};

use bulkhead_config::options::{CHAIN_SELECTION, HELP};
use bulkhead_config::version::{CLIENT_NAME, FULL_VERSION, license_info};
use bulkhead_config::{ArgsManager, Category, Flags, Opt, RealFiles, join};

const TABLE: &[Opt] = &[
    Opt::new("-version", "", Category::Options, "Print the version and exit"),
    Opt::new("-conf", "=<file>", Category::Options, "Configuration file, relative to the data directory (default: bitcoin.conf)"),
    Opt::new("-datadir", "=<dir>", Category::Options, "Data directory of the node").with(Flags::NO_NEGATION),
    Opt::new(
        "-generate",
        "",
        Category::CliCommands,
        "Get a new address and mine blocks to it. Takes the number of blocks (default: 1) and of tries (default: 1000000)",
    ),
    Opt::new("-addrinfo", "", Category::CliCommands, "Show how many addresses the node knows, by network"),
    Opt::new(
        "-getinfo",
        "",
        Category::CliCommands,
        "Show the state of the node at a glance. It takes several requests, so its parts may be of different moments",
    ),
    Opt::new(
        "-netinfo",
        "",
        Category::CliCommands,
        "Show the connections of the node. Takes a level of detail from 0 to 4 (default: 0), then \"outonly\" for outbound peers only, or \"help\"",
    ),
    Opt::new(
        "-color",
        "=<when>",
        Category::Options,
        "Colours of -getinfo: always, never, or auto for a terminal (default: auto)",
    )
    .with(Flags::NO_NEGATION),
    Opt::new("-named", "", Category::Options, "Arguments are given as name=value (default: 0)"),
    Opt::new("-rpcid", "=<id>", Category::Options, "Id of the request (default: 1)")
        .with(Flags::NO_NEGATION)
        .with(Flags::NO_ELISION),
    Opt::new("-rpcclienttimeout", "=<n>", Category::Options, "Seconds to wait for an HTTP reply, 0 for ever (default: 900)"),
    Opt::new("-rpcconnect", "=<ip>", Category::Options, "Where the node is (default: 127.0.0.1)"),
    Opt::new(
        "-rpccookiefile",
        "=<loc>",
        Category::Options,
        "File with the password of the node's run, relative to the data directory of the chain (default: .cookie)",
    ),
    Opt::new("-rpcpassword", "=<pw>", Category::Options, "Password for RPC"),
    Opt::new(
        "-rpcport",
        "=<port>",
        Category::Options,
        "Port of the node (default: 8332, testnet: 18332, testnet4: 48332, signet: 38332, regtest: 18443)",
    )
    .with(Flags::NETWORK_ONLY),
    Opt::new("-rpcuser", "=<user>", Category::Options, "User for RPC"),
    Opt::new("-rpcwait", "", Category::Options, "Wait until the node answers"),
    Opt::new("-rpcwaittimeout", "=<n>", Category::Options, "Seconds to wait for the node, 0 for ever (default: 0)")
        .with(Flags::NO_NEGATION),
    Opt::new("-rpcwallet", "=<walletname>", Category::Options, "Wallet that the call is for, as it was named when it was loaded"),
    Opt::new(
        "-stdin",
        "",
        Category::Options,
        "Read more arguments from standard input, one per line. The way to pass a passphrase",
    ),
    Opt::new("-stdinrpcpass", "", Category::Options, "Read the RPC password from the first line of standard input"),
    Opt::new("-stdinwalletpassphrase", "", Category::Options, "Read the wallet passphrase from the next line of standard input"),
    Opt::new(
        "-ipcconnect",
        "=<address>",
        Category::Ipc,
        "Use the unix socket of the node: auto for <datadir>/node.sock if it is there, unix to insist on it, unix:<path> for another one; -noipcconnect for HTTP (default: auto)",
    ),
];

/// What the options amount to.
pub enum Start {
    /// Print this and exit with success, or with failure and the second text on stderr.
    Print(String, Option<String>),
    /// Exit with failure and this text on stderr.
    Fail(String),
    /// Go on.
    Run(Box<ArgsManager>),
}

/// Reads the command line (without the program's name) and the configuration file.
#[must_use]
pub fn start(arguments: &[String]) -> Start {
    let mut args = ArgsManager::new(&[HELP, TABLE, CHAIN_SELECTION]);
    if let Err(error) = args.parse_parameters(arguments) {
        return Start::Fail(format!("Error parsing command line arguments: {error}"));
    }
    if arguments.is_empty() || args.help_requested() || args.bool_or("-version", false) {
        let few = arguments.is_empty().then(|| "Error: too few parameters".to_owned());
        return Start::Print(usage(&args), few);
    }
    if !args.datadir_option_is_directory(&RealFiles) {
        return Start::Fail(format!("Error: Specified data directory \"{}\" does not exist.", args.get_or("-datadir", "")));
    }
    if let Err(error) = args.read_config_files(&RealFiles, true) {
        return Start::Fail(format!("Error reading configuration file: {error}"));
    }
    match args.chain() {
        Ok(chain) => args.select_network(chain),
        Err(error) => return Start::Fail(format!("Error: {error}")),
    }
    Start::Run(Box::new(args))
}

fn usage(args: &ArgsManager) -> String {
    let mut text = format!("{CLIENT_NAME} RPC client version {FULL_VERSION}\n");
    if args.bool_or("-version", false) {
        text.push_str(license_info());
    } else {
        text.push_str(
            "\nSends commands to a running node.\n\n\
             Usage: bitcoin-cli [options] <command> [params]\n\
             or:    bitcoin-cli [options] -named <command> [name=value]...\n\
             or:    bitcoin-cli [options] help\n\
             or:    bitcoin-cli [options] help <command>\n\n\n",
        );
        text.push_str(&args.help_message());
    }
    text
}

/// The commands among the options exclude each other.
///
/// # Errors
/// The text that names those that were given together.
pub fn check_single_command(args: &ArgsManager) -> Result<(), String> {
    let mut given: Vec<&str> = TABLE
        .iter()
        .filter(|option| option.category == Category::CliCommands && args.is_set(option.name))
        .map(|option| option.name)
        .collect();
    given.sort_unstable();
    if given.len() > 1 {
        return Err(format!("Only one of {} may be specified.", given.join(", ")));
    }
    Ok(())
}

/// The data directory of the chain.
#[must_use]
pub fn chain_directory(args: &ArgsManager) -> PathBuf {
    let folder = args.chain().unwrap_or_default().folder();
    join(&args.datadir(&RealFiles), Path::new(folder))
}
