//! The confined part: talks to the key store and prints. It has no files but the dump file that it passes on.

use super::options::Tool;
use crate::app::{batches, network_by_name};
use crate::state::{StateOptions, Wallet};
use bulkhead_control::{Birth, ControlError, WalletConfig};
use bulkhead_keystore_edge::{ClientError, KeystoreClient, Record, Reply, Request, Status};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// Records per request.
const PAGE: u32 = 65_536;

/// Why there is no result; the text is for the user.
#[derive(Debug, thiserror::Error)]
enum ToolError {
    #[error("{}", .0.code_and_message().1.trim_end())]
    Keystore(#[from] ClientError),
    #[error("{0}")]
    Wallet(#[from] crate::state::load::LoadError),
    #[error("key store: unexpected reply")]
    Unexpected,
    #[error("unknown network or command")]
    Configuration,
}

/// Confines this process, does what the configuration says, and prints the outcome.
///
/// # Errors
/// The process cannot be confined, or gets no stream to a key store.
pub fn run(mut birth: Birth<WalletConfig>) -> Result<ExitCode, ControlError> {
    let config = birth.config.clone();
    let dump = birth.take_descriptors().take_optional("dumpfile");
    let control = birth.confine(&[])?;
    let wires = control.receive_wires()?;
    let stream = wires.into_iter().find_map(|(edge, stream)| (edge.name == "wallet-keystore").then_some(stream));
    let stream = stream.ok_or(ControlError::OutOfOrder("wire"))?;
    Ok(match perform(&config, KeystoreClient::new(stream), dump.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

fn perform(config: &WalletConfig, mut keys: KeystoreClient, dump: Option<&OwnedFd>) -> Result<(), ToolError> {
    match Tool::parse(&config.tool).ok_or(ToolError::Configuration)? {
        Tool::Info => {
            keys.call(&Request::Verify, None)?;
            let status = keys.open()?;
            show(config, &mut keys, &status)?;
        }
        Tool::Create => {
            let flags = crate::state::flags::DESCRIPTORS | crate::state::flags::LAST_HARDENED_XPUB_CACHED;
            let status = keys.create(false, false, b"", flags, true)?;
            show(config, &mut keys, &status)?;
        }
        Tool::Dump => {
            keys.call(&Request::Verify, None)?;
            keys.call(&Request::Dump, dump)?;
            println!("The dumpfile may contain private keys. To ensure the safety of your Bitcoin, do not share the dumpfile.");
        }
        Tool::CreateFromDump => {
            keys.call(&Request::CreateFromDump, dump)?;
        }
    }
    keys.call(&Request::Close, None)?;
    Ok(())
}

fn records(keys: &mut KeystoreClient) -> Result<Vec<Record>, ToolError> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let reply = keys.call(&Request::Records { start: all.len() as u64, limit: PAGE }, None)?;
        let Reply::Records { records, more } = reply else { return Err(ToolError::Unexpected) };
        if records.is_empty() && more {
            return Err(ToolError::Unexpected);
        }
        all.extend(records);
        if !more {
            return Ok(all);
        }
    }
}

/// Prints what a wallet is. A new one gets its keys first.
fn show(config: &WalletConfig, keys: &mut KeystoreClient, status: &Status) -> Result<(), ToolError> {
    let network = network_by_name(&config.network).ok_or(ToolError::Configuration)?;
    let name = config.wallet.first().map_or("", String::as_str);
    let options = StateOptions { keypool: i32::try_from(config.keypool).unwrap_or(i32::MAX), spend_zero_conf_change: true };
    let records = records(keys)?;
    let pairs = records.iter().map(|record| (record.key.as_slice(), record.value.as_slice()));
    let (mut wallet, _) = Wallet::load(name, network, options, pairs)?;
    if config.tool == Tool::Create.name() {
        println!("Topping up keypool...");
        wallet.top_up_all(0);
        for batch in batches(wallet.take_changes()) {
            keys.call(&Request::Write(batch), None)?;
        }
    }
    print!("{}", description(&wallet, name, status.encrypted));
    Ok(())
}

/// Whether every active descriptor has a range, and there is one.
fn is_hd(wallet: &Wallet) -> bool {
    let ranged = |id| wallet.spkms.get(id).is_some_and(|spkm| spkm.descriptor.is_ranged());
    !wallet.active.is_empty() && wallet.active.values().all(ranged)
}

fn description(wallet: &Wallet, name: &str, encrypted: bool) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    format!(
        "Wallet info\n===========\nName: {name}\nFormat: sqlite\nDescriptors: {}\nEncrypted: {}\nHD (hd seed available): {}\n\
         Keypool Size: {}\nTransactions: {}\nAddress Book: {}\n",
        yes(wallet.has_flag(crate::state::flags::DESCRIPTORS)),
        yes(encrypted),
        yes(is_hd(wallet)),
        wallet.count_keys(false) + wallet.count_keys(true),
        wallet.txs.len(),
        wallet.book.len(),
    )
}
