//! Precedence and texts, as Core's `argsman_tests.cpp` and functional suite want them.

#![allow(clippy::unwrap_used)]

use crate::*;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A file system in memory.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn is_dir(&self, path: &Path) -> bool {
        path == Path::new("/d") || path == Path::new("/d/folder")
    }
    fn working_directory(&self) -> PathBuf {
        "/w".into()
    }
    fn home(&self) -> Option<PathBuf> {
        Some("/home/u".into())
    }
}

fn parse(arguments: &[&str]) -> Result<ArgsManager, ArgsError> {
    let mut args = ArgsManager::new(options::NODE);
    args.parse_parameters(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())?;
    Ok(args)
}

fn with_conf(arguments: &[&str], conf: &str) -> Result<(ArgsManager, Vec<String>), ConfError> {
    let mut all = vec!["-datadir=/d"];
    all.extend(arguments);
    let mut args = parse(&all)?;
    let mut files = Memory::default();
    files.0.insert("/d/bitcoin.conf".into(), conf.into());
    files.0.insert("/d/more.conf".into(), "uacomment=more\nincludeconf=other.conf\n".into());
    let warnings = args.read_config_files(&files, true)?;
    Ok((args, warnings))
}

#[test]
fn test_command_line_texts() {
    let text = |arguments: &[&str]| parse(arguments).unwrap_err().to_string();
    assert_eq!(text(&["-nonexistentarg"]), "Invalid parameter -nonexistentarg");
    assert_eq!(text(&["-dash=1"]), "Invalid parameter -dash=1");
    assert_eq!(text(&["-regtest.port=1"]), "Invalid parameter -regtest.port=1");
    assert_eq!(text(&["-nodatadir"]), "Negating of -datadir is meaningless and therefore forbidden");
    assert_eq!(text(&["-proxy"]), "Can not set -proxy with no value. Please specify value with -proxy=value.");
    assert_eq!(text(&["-includeconf=x"]), "-includeconf cannot be used from commandline; -includeconf=\"x\"");
    assert_eq!(text(&["-noincludeconf=0"]), "-includeconf cannot be used from commandline; -includeconf=true");
}

#[test]
fn test_negation_and_booleans() {
    let args = parse(&["-nolisten", "--server", "-rest=0", "-nodiscover=0", "-dns=yes"]).unwrap();
    assert!(args.is_negated("-listen") && args.is_set("-listen"));
    assert_eq!(args.get_bool("-listen"), Some(false));
    assert_eq!(args.get_bool("-server"), Some(true));
    assert_eq!(args.get_bool("-rest"), Some(false));
    assert_eq!(args.get_bool("-discover"), Some(true));
    assert_eq!(args.get_bool("-dns"), Some(false));
    assert_eq!(args.get_bool("-txindex"), None);
    assert_eq!(args.path_arg("-debuglogfile", "debug.log"), Path::new("debug.log"));
    assert_eq!(parse(&["-nodebuglogfile"]).unwrap().path_arg("-debuglogfile", "x"), Path::new(""));
}

#[test]
fn test_last_on_the_command_line_and_first_in_the_file() {
    let (mut args, _) = with_conf(&["-port=1", "-port=2"], "rpcport=3\nrpcport=4\nport=9\n").unwrap();
    args.select_network(Chain::Main);
    assert_eq!((args.get_int("-port"), args.get_int("-rpcport")), (Some(2), Some(3)));
    assert_eq!(args.get_all("-port"), ["1", "2", "9"]);
}

#[test]
fn test_sections_and_network_only_options() {
    let conf = "regtest=1\nport=1\ntxindex=1\naddnode=a\n[regtest]\nrpcport=2\n";
    let (mut args, _) = with_conf(&[], conf).unwrap();
    assert_eq!(args.chain().unwrap(), Chain::Regtest);
    args.select_network(Chain::Regtest);
    // A network-only option of the default section does not count outside main.
    assert_eq!(args.get_int("-port"), None);
    assert_eq!(args.get_int("-rpcport"), Some(2));
    assert_eq!(args.get_bool("-txindex"), Some(true));
    assert_eq!(args.unsuitable_section_only(), ["-addnode", "-port"]);
    let (args, _) = with_conf(&[], "[testnot]\nx.port=1\n").unwrap();
    let names: Vec<_> = args.unrecognized_sections().into_iter().map(|s| (s.name, s.line)).collect();
    assert_eq!(names, [("testnot".to_owned(), 1), ("testnot.x".to_owned(), 2)]);
}

#[test]
fn test_chain_combinations() {
    assert_eq!(parse(&["-chain=foo"]).unwrap().chain().unwrap_err().to_string(), "Unknown chain foo.");
    assert_eq!(parse(&["-regtest", "-signet"]).unwrap().chain().unwrap_err(), ArgsError::ChainCombination);
    assert_eq!(parse(&["-chain=test", "-noregtest"]).unwrap().chain().unwrap(), Chain::Test);
    assert_eq!(parse(&[]).unwrap().chain().unwrap(), Chain::Main);
}

#[test]
fn test_conf_texts() {
    let text = |conf: &str| with_conf(&[], conf).unwrap_err().to_string();
    assert_eq!(text("garbage"), "parse error on line 1: garbage");
    assert_eq!(
        text("\n-dash=1"),
        "parse error on line 2: -dash=1, options in configuration file must be specified without leading -"
    );
    assert_eq!(text("nono"), "parse error on line 1: nono, if you intended to specify a negated option, use nono=1 instead");
    assert_eq!(
        text("[main]\nrpcpassword=a#b"),
        "parse error on line 2, using # in rpcpassword can be ambiguous and should be avoided"
    );
    assert!(text("conf=x").starts_with("conf cannot be set in the configuration file;"));
    assert_eq!(text("includeconf=none.conf"), "Failed to include configuration file none.conf");
    assert_eq!(text("includeconf=folder"), "Included config file \"/d/folder\" is a directory.");
    let error = with_conf(&["-conf=none"], "").unwrap_err().to_string();
    assert_eq!(error, "specified config file \"/d/none\" could not be opened.");
}

#[test]
fn test_includeconf_once_and_never_from_an_included_file() {
    let (args, warnings) = with_conf(&[], "uacomment=main # comment\nincludeconf=more.conf\n").unwrap();
    assert_eq!(args.get_all("-uacomment"), ["main", "more"]);
    assert_eq!(warnings, ["warning: -includeconf cannot be used from included files; ignoring -includeconf=other.conf"]);
    let (args, _) = with_conf(&["-noincludeconf"], "includeconf=more.conf\n").unwrap();
    assert!(args.get_all("-uacomment").is_empty());
}

#[test]
fn test_soft_set_and_settings_precedence() {
    let (mut args, _) = with_conf(&["-keypool=5"], "wallet=c\ndbcache=7\n").unwrap();
    assert!(!args.soft_set("-keypool", "9") && args.soft_set_bool("-listen", false));
    args.set_read_write_settings(BTreeMap::from([
        ("wallet".into(), serde_json::json!(["a", "b"])),
        ("dbcache".into(), serde_json::json!(6)),
        ("unknown".into(), serde_json::json!(1)),
    ]));
    args.select_network(Chain::Main);
    assert_eq!(args.get_all("-wallet"), ["a", "b", "c"]);
    assert_eq!(args.get_int("-dbcache"), Some(6));
    assert_eq!(args.persistent_setting("-keypool"), None);
    let messages = args.take_messages();
    assert_eq!(messages.last().unwrap().text, "Ignoring unknown rw_settings value unknown");
}

#[test]
fn test_log_lines_hide_secrets() {
    let (args, _) = with_conf(&["-rpcpassword=secret", "-addnode=n"], "rpcuser=me\n[regtest]\nserver=1\n").unwrap();
    let text = args.log_lines().join("\n");
    assert!(text.contains("Command-line arg: rpcpassword=****") && text.contains("Command-line arg: addnode=\"n\""));
    assert!(text.contains("Config file arg: rpcuser=****") && text.contains("Config file arg: [regtest] server=\"1\""));
    assert!(!text.contains("secret"));
}

#[test]
fn test_help_hides_developer_options_unless_asked() {
    let help = parse(&["-help"]).unwrap();
    assert!(help.help_requested() && !help.help_message().contains("-checkblocks"));
    assert!(parse(&["-help-debug"]).unwrap().help_message().contains("-checkblocks=<n>"));
    assert!(help.help_message().lines().all(|line| line.chars().count() <= 79 || !line.contains(' ')));
}

#[test]
fn test_any_command_line_or_file_never_panics() {
    // Deterministic junk: every pair of awkward pieces.
    let pieces = ["-", "--", "=", "no", ".", "[", "]", "#", "\u{1F3C3}", "\0", "port", "\n", " "];
    for one in pieces {
        for other in pieces {
            let text = format!("{one}{other}");
            let _ = parse(&[&text, "-x"]);
            let _ = with_conf(&[], &text);
            let _ = parse_settings("p", &text);
        }
    }
}

#[test]
fn test_config_file_stays_where_it_was_read_when_it_moves_the_data_directory() {
    let mut args = parse(&[]).unwrap();
    let mut files = Memory::default();
    files.0.insert("/home/u/.bitcoin/bitcoin.conf".into(), "datadir=/d\n".into());
    assert_eq!(args.config_file(&files), Path::new("/home/u/.bitcoin/bitcoin.conf"));
    args.read_config_files(&files, true).unwrap();
    assert_eq!(args.datadir(&files), Path::new("/d"));
    assert_eq!(args.config_file(&files), Path::new("/home/u/.bitcoin/bitcoin.conf"));
}
