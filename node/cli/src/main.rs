//! bitcoin-cli: sends one command to a node and prints the answer.

use std::io::Write;
use std::process::ExitCode;

use bulkhead_cli::connect::{exchange, wallet_name};
use bulkhead_cli::options::{Start, check_single_command, start};
use bulkhead_cli::pretty::pretty;
use bulkhead_cli::request::{batch, batch_replies, call, error_text, plain};
use bulkhead_cli::{CliError, convert, generate, getinfo, netinfo, terminal};
use bulkhead_config::ArgsManager;
use serde_json::{Map, Value, json};

/// What goes to the user: on stdout, or on stderr with an exit code.
enum Output {
    Result(String),
    Error(String, u8),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let mut args = match start(&arguments) {
        Start::Run(args) => args,
        Start::Fail(text) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
        Start::Print(text, error) => {
            print(&text);
            let Some(error) = error else { return ExitCode::SUCCESS };
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let words = arguments.into_iter().skip_while(|word| word.starts_with('-')).collect();
    match run(&mut args, words) {
        Ok(Output::Result(text)) => {
            if !text.is_empty() {
                print(&format!("{text}\n"));
            }
            ExitCode::SUCCESS
        }
        Ok(Output::Error(text, code)) => {
            eprintln!("{text}");
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// To stdout; a reader that has left is no reason to complain.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn run(args: &mut ArgsManager, mut words: Vec<String>) -> Result<Output, CliError> {
    if args.bool_or("-stdinrpcpass", false) {
        let password = terminal::password("RPC password")
            .ok_or_else(|| CliError::other("-stdinrpcpass specified but failed to read from standard input"))?;
        args.force_set("-rpcpassword", &password);
    }
    if args.bool_or("-stdinwalletpassphrase", false) {
        if !words.first().is_some_and(|method| method.starts_with("walletpassphrase")) {
            return Err(CliError::other("-stdinwalletpassphrase is only applicable for walletpassphrase(change)"));
        }
        let passphrase = terminal::password("Wallet passphrase")
            .ok_or_else(|| CliError::other("-stdinwalletpassphrase specified but failed to read from standard input"))?;
        words.insert(1, passphrase);
    }
    if args.bool_or("-stdin", false) {
        words.extend(terminal::lines());
    }
    check_single_command(args).map_err(CliError::other)?;
    let wallet = wallet_name(args);
    if args.bool_or("-getinfo", false) {
        info(args, &words, wallet.as_deref())
    } else if args.bool_or("-netinfo", false) {
        network(args, &words)
    } else if args.bool_or("-generate", false) {
        mine(args, words, wallet.as_deref())
    } else if args.bool_or("-addrinfo", false) {
        addresses(args, &words, wallet.as_deref())
    } else {
        if words.is_empty() {
            return Err(CliError::other("too few parameters (need at least command)"));
        }
        let method = words.remove(0);
        let reply = command(args, &method, &words, wallet.as_deref())?;
        Ok(output(&reply, |result| result.clone()))
    }
}

/// One command with its words.
fn command(args: &ArgsManager, method: &str, words: &[String], wallet: Option<&str>) -> Result<Value, CliError> {
    let named = args.bool_or("-named", false);
    let params =
        if named { convert::named(method, words) } else { convert::positional(method, words) }.map_err(CliError::other)?;
    let id = Value::from(args.get_or("-rpcid", "1"));
    let reply = exchange(args, &call(method, &params, &id), wallet)?;
    match reply.as_object() {
        Some(members) if !members.is_empty() => Ok(reply),
        Some(_) => Err(CliError::other("expected reply to have result, error and id properties")),
        None => Err(CliError::other("JSON value is not an object as expected")),
    }
}

/// What a reply shows, its result through `shown`.
fn output(reply: &Value, shown: impl FnOnce(&Value) -> Value) -> Output {
    if !reply["error"].is_null() {
        let (text, code) = error_text(&reply["error"]);
        return Output::Error(text, code);
    }
    match shown(&reply["result"]) {
        Value::Null => Output::Result(String::new()),
        Value::String(text) => Output::Result(text),
        value => Output::Result(pretty(&value)),
    }
}

fn failed(replies: &[Value], index: usize) -> Option<Output> {
    let error = &replies.get(index)?["error"];
    (!error.is_null()).then(|| {
        let (text, code) = error_text(error);
        Output::Error(text, code)
    })
}

fn info(args: &ArgsManager, words: &[String], wallet: Option<&str>) -> Result<Output, CliError> {
    if !words.is_empty() {
        return Err(CliError::other("-getinfo takes no arguments"));
    }
    let replies = batch_replies(&exchange(args, &batch(getinfo::METHODS), wallet)?, getinfo::METHODS.len())?;
    // The wallet's calls may fail: there may be none.
    if let Some(output) = failed(&replies, 0).or_else(|| failed(&replies, 1)) {
        return Ok(output);
    }
    let balances = if wallet.is_none() { all_balances(args)? } else { None };
    getinfo::text(&replies, balances.as_ref(), &args.get_or("-color", "auto")).map(Output::Result)
}

/// The balances of all wallets when there are several.
fn all_balances(args: &ArgsManager) -> Result<Option<Map<String, Value>>, CliError> {
    let wallets = command(args, "listwallets", &[], None)?;
    let Some(names) = wallets["result"].as_array().filter(|names| names.len() > 1) else { return Ok(None) };
    let mut balances = Map::new();
    for name in names {
        let name = plain(name);
        let reply = command(args, "getbalances", &[], Some(&name))?;
        balances.insert(name, reply["result"]["mine"]["trusted"].clone());
    }
    Ok(Some(balances))
}

fn network(args: &ArgsManager, words: &[String]) -> Result<Output, CliError> {
    if words.first().is_some_and(|word| word == "h" || word == "help") {
        return Ok(Output::Result(netinfo::HELP.to_owned()));
    }
    let options = netinfo::options(words)?;
    let replies = batch_replies(&exchange(args, &batch(netinfo::METHODS), None)?, netinfo::METHODS.len())?;
    if let Some(output) = failed(&replies, 0).or_else(|| failed(&replies, 1)) {
        return Ok(output);
    }
    let chain = args.chain().unwrap_or_default().name();
    Ok(Output::Result(netinfo::text(&replies, options, chain)))
}

fn mine(args: &ArgsManager, words: Vec<String>, wallet: Option<&str>) -> Result<Output, CliError> {
    let reply = command(args, "getnewaddress", &[], wallet)?;
    if !reply["error"].is_null() {
        return Ok(output(&reply, Value::clone));
    }
    let address = plain(&reply["result"]);
    let words = generate::words(&address, words)?;
    let reply = command(args, "generatetoaddress", &words, wallet)?;
    Ok(output(&reply, |blocks| generate::shown(&address, blocks)))
}

fn addresses(args: &ArgsManager, words: &[String], wallet: Option<&str>) -> Result<Output, CliError> {
    if !words.is_empty() {
        return Err(CliError::other("-addrinfo takes no arguments"));
    }
    let reply = command(args, "getaddrmaninfo", &[], wallet)?;
    Ok(output(&reply, |networks| {
        let counts: Map<String, Value> = networks
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, entry)| {
                let name = if name == "all_networks" { "total" } else { name };
                (name.to_owned(), entry["total"].clone())
            })
            .collect();
        json!({"addresses_known": counts})
    }))
}
