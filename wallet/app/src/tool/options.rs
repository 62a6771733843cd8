//! Options and commands of the tool.

use bulkhead_config::options::{CHAIN_SELECTION, HELP};
use bulkhead_config::version::{CLIENT_NAME, FULL_VERSION, license_info};
use bulkhead_config::{ArgsError, ArgsManager, Category, Flags, Opt, RealFiles, help_option};

const TABLE: &[Opt] = &[
    Opt::new("-version", "", Category::Options, "Print the version and exit"),
    Opt::new("-datadir", "=<dir>", Category::Options, "Data directory").with(Flags::NO_NEGATION),
    Opt::new("-wallet", "=<wallet-name>", Category::Options, "Name of the wallet").with(Flags::NETWORK_ONLY),
    Opt::new(
        "-dumpfile",
        "=<file name>",
        Category::Options,
        "File that 'dump' writes the records of the wallet to, and 'createfromdump' reads them from",
    )
    .with(Flags::NO_NEGATION),
    Opt::new(
        "-sandbox",
        "=<mode>",
        Category::Options,
        "How strictly the processes of the tool must be confined: strict, degraded or off, as for bitcoin-node (default: strict)",
    ),
];

const COMMANDS: &[(&str, &str)] = &[
    ("create", "Create a descriptor wallet"),
    ("createfromdump", "Create a wallet from the records in a dump file"),
    ("dump", "Write all records of the wallet to a dump file"),
    ("info", "Show what a wallet is and how much it holds"),
];

/// What the tool is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Info,
    Create,
    Dump,
    CreateFromDump,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Create => "create",
            Self::Dump => "dump",
            Self::CreateFromDump => "createfromdump",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Info, Self::Create, Self::Dump, Self::CreateFromDump].into_iter().find(|tool| tool.name() == word)
    }

    /// Whether the wallet must not exist.
    pub(super) fn makes_a_wallet(self) -> bool {
        matches!(self, Self::Create | Self::CreateFromDump)
    }
}

/// What the command line amounts to.
pub(super) enum Start {
    /// Print this and exit with success, or with failure and the second text on stderr.
    Print(String, Option<String>),
    /// Exit with failure and this text on stderr.
    Fail(String),
    /// Go on.
    Run(Box<ArgsManager>, Tool),
}

/// Reads the command line (without the program's name). Like Core's tool it reads no configuration file.
pub(super) fn start(arguments: &[String]) -> Start {
    let mut args = ArgsManager::new(&[HELP, TABLE, CHAIN_SELECTION]);
    let parsed = args.parse_parameters(arguments).and_then(|()| match args.command().first() {
        Some(word) => Tool::parse(word).map(Some).ok_or_else(|| ArgsError::InvalidCommand(word.clone())),
        None => Ok(None),
    });
    let tool = match parsed {
        Ok(tool) => tool,
        Err(error) => return Start::Fail(format!("Error parsing command line arguments: {error}")),
    };
    if arguments.is_empty() || args.help_requested() || args.bool_or("-version", false) {
        let few = arguments.is_empty().then(|| "Error: too few parameters".to_owned());
        return Start::Print(usage(&args), few);
    }
    if !args.datadir_option_is_directory(&RealFiles) {
        return Start::Fail(format!("Error: Specified data directory \"{}\" does not exist.", args.get_or("-datadir", "")));
    }
    match args.chain() {
        Ok(chain) => args.select_network(chain),
        Err(error) => return Start::Fail(format!("Error: {error}")),
    }
    let Some(tool) = tool else {
        return Start::Fail("No method provided. Run `bitcoin-wallet -help` for valid methods.".into());
    };
    let more = args.command().get(1..).unwrap_or_default();
    if !more.is_empty() {
        return Start::Fail(format!(
            "Error: Additional arguments provided ({}). Methods do not take arguments. Please refer to `-help`.",
            more.join(", ")
        ));
    }
    if !matches!(tool, Tool::Dump | Tool::CreateFromDump) && args.is_set("-dumpfile") {
        let name = tool.name();
        return Start::Fail(format!(
            "Error: Invalid arguments provided:\n- The -dumpfile option cannot be used with the '{name}' command.\n"
        ));
    }
    Start::Run(Box::new(args), tool)
}

fn usage(args: &ArgsManager) -> String {
    let mut text = format!("{CLIENT_NAME} bitcoin-wallet utility version {FULL_VERSION}\n");
    if args.bool_or("-version", false) {
        text.push_str(license_info());
        return text;
    }
    text.push_str(
        "\nMakes wallet files, shows and dumps them, while no node has them open. Without options it works in the directory\n\
         of the main network's wallets.\n\nUsage: bitcoin-wallet [options] <command>\n\n\n",
    );
    text.push_str(&args.help_message());
    text.push_str("Commands:\n\n");
    for (name, help) in COMMANDS {
        text.push_str(&help_option(name, "", help));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn failure(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match start(&words) {
            Start::Fail(text) => text,
            _ => panic!("{words:?} should have failed"),
        }
    }

    #[test]
    fn wrong_command_lines_fail_with_cores_texts() {
        assert_eq!(failure(&["foo"]), "Error parsing command line arguments: Invalid command 'foo'");
        assert_eq!(failure(&["-foo"]), "Error parsing command line arguments: Invalid parameter -foo");
        assert!(failure(&["info", "create"]).starts_with("Error: Additional arguments provided (create)."));
        assert!(failure(&["-regtest"]).starts_with("No method provided."));
        let text = failure(&["-dumpfile=x", "create"]);
        assert!(text.contains("The -dumpfile option cannot be used with the 'create' command."));
        assert!(failure(&["-datadir=/nonexistent/folder", "info"]).ends_with("does not exist."));
    }

    #[test]
    fn help_is_printed_and_a_bare_call_is_an_error_too() {
        assert!(matches!(start(&["-help".to_owned()]), Start::Print(text, None) if text.contains("createfromdump")));
        assert!(matches!(start(&[]), Start::Print(_, Some(error)) if error == "Error: too few parameters"));
    }
}
