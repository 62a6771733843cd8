//! Each bad input gives one clear message on stderr, exit code 1, and nothing is lost or overwritten.

use crate::support::{run, run_binary};
use bulkhead_tests::node::{Node, binaries};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bulkhead-bad").tempdir().unwrap()
}

#[test]
fn unknown_option() {
    let folder = folder();
    run(folder.path(), &["-nonexistentarg"]).is("Error: Error parsing command line arguments: Invalid parameter -nonexistentarg");
    // Nothing was created.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn bad_values() {
    let folder = folder();
    for (option, text) in [
        ("-debug=abc", "Error: Unsupported logging category -debug=abc."),
        ("-prune=-1", "Error: Prune cannot be configured with a negative value."),
        ("-uacomment=/", "Error: User Agent comment (/) contains unsafe characters."),
        ("-rpcport=0", "Error: Invalid port specified in -rpcport: '0'"),
        ("-minrelaytxfee=x", "Error: Invalid amount for -minrelaytxfee=<amount>: 'x'"),
        (
            "-assumevalid=xyz",
            "Error: Invalid assumevalid block hash specified (xyz), must be up to 64 hex digits (or 0 to disable)",
        ),
        ("-limitclustercount=-1", "Error: limitclustercount must be less than or equal to 64"),
        ("-externalip=0.0.0.0", "Error: Cannot resolve -externalip address: '0.0.0.0'"),
        ("-i2psam=0", "Error: Invalid -i2psam address or hostname: '0'"),
        ("-sandbox=soft", "Error: Invalid -sandbox: unknown sandbox mode 'soft', choose strict, degraded or off"),
    ] {
        run(folder.path(), &[option]).is(text);
    }
    run(folder.path(), &["word"])
        .is("Error: Command line contains unexpected token 'word', see bitcoind -h for a list of options.");
    assert!(!folder.path().join("regtest/bitcoind.pid").exists());
    assert!(!folder.path().join("regtest/.cookie").exists());
}

#[test]
fn missing_datadir() {
    let folder = folder();
    let path = folder.path().join("none");
    run(&path, &[]).is(&format!("Error: Specified data directory \"{}\" does not exist.", path.display()));
    assert!(!path.exists());
}

#[test]
fn unreadable_configuration() {
    let folder = folder();
    let conf = folder.path().join("bitcoin.conf");
    fs::write(&conf, "server=1\n\0garbage without value\n").unwrap();
    run(folder.path(), &[]).has("Error reading configuration file: parse error on line 2:");
    fs::write(&conf, "testnet=1\n").unwrap();
    run(folder.path(), &[])
        .is("Error: Invalid combination of -regtest, -signet, -testnet, -testnet4 and -chain. Can use at most one.");
    fs::remove_file(&conf).unwrap();
    fs::create_dir(&conf).unwrap();
    run(folder.path(), &[])
        .is(&format!("Error: Error reading configuration file: Config file \"{}\" is a directory.", conf.display()));
}

#[test]
fn half_written_settings_are_kept() {
    let folder = folder();
    let settings = folder.path().join("regtest/settings.json");
    fs::create_dir(folder.path().join("regtest")).unwrap();
    fs::write(&settings, "{\"wallet\": [\"sav").unwrap();
    run(folder.path(), &[]).has("does not contain valid JSON.");
    assert_eq!(fs::read_to_string(&settings).unwrap(), "{\"wallet\": [\"sav");
}

#[test]
fn occupied_port() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let failure = run(folder.path(), &["-listen=1", &format!("-bind={address}")]);
    failure.is(&format!(
        "Error: Unable to bind to {address} on this computer. Bulkhead is probably already running.\nError: Failed to \
         listen on any port. Use -listen=0 if you want this."
    ));
    assert!(!folder.path().join("regtest/.cookie").exists());
}

#[test]
fn second_node_on_the_same_datadir() {
    let node = Node::start(&["-disablewallet"]).unwrap();
    let cookie = fs::read(node.datadir().join("regtest/.cookie")).unwrap();
    run(node.datadir(), &[]).is(&format!(
        "Error: Cannot obtain a lock on directory {}. Bulkhead is probably already running.",
        node.datadir().join("regtest").display()
    ));
    // The first one's files are untouched.
    assert_eq!(fs::read(node.datadir().join("regtest/.cookie")).unwrap(), cookie);
    assert!(node.datadir().join("regtest/bitcoind.pid").exists());
    assert_eq!(node.stop().unwrap().stderr, "");
}

#[test]
fn read_only_datadir() {
    let folder = folder();
    let path = folder.path();
    fs::create_dir_all(path.join("regtest/blocks")).unwrap();
    if !nix::unistd::geteuid().is_root() {
        fs::set_permissions(path.join("regtest"), fs::Permissions::from_mode(0o500)).unwrap();
        run(path, &["-nosettings"]).has("Cannot write to directory");
        return;
    }
    // Root may write everywhere but to what is mounted for reading only.
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(path)
        .arg(binaries().join("bitcoin-node"))
        .args(["-regtest", "-printtoconsole=0", "-listen=0", "-server=0", "-nosettings"])
        .arg(format!("-datadir={}", path.display()))
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("Error: Cannot write to directory"), "{stderr}");
    assert_eq!(fs::read_dir(path.join("regtest")).unwrap().count(), 1);
}

#[test]
fn chainstate_of_core_is_left_alone() {
    let folder = folder();
    let chainstate = folder.path().join("regtest/chainstate");
    fs::create_dir_all(&chainstate).unwrap();
    fs::write(chainstate.join("CURRENT"), "MANIFEST-000002\n").unwrap();
    fs::write(chainstate.join("MANIFEST-000002"), b"leveldb.BytewiseComparator").unwrap();
    fs::write(chainstate.join("000003.ldb"), b"core").unwrap();
    run(folder.path(), &[]).has("-reindex");
    assert_eq!(fs::read(chainstate.join("000003.ldb")).unwrap(), b"core");
}

#[test]
fn missing_child_binary() {
    let folder = folder();
    let alone = folder.path().join("bin");
    fs::create_dir(&alone).unwrap();
    fs::copy(binaries().join("bitcoin-node"), alone.join("bitcoin-node")).unwrap();
    let datadir = folder.path().join("data");
    fs::create_dir(&datadir).unwrap();
    let failure = run_binary(&alone.join("bitcoin-node"), &datadir, &[]);
    failure.has("bitcoin-chain");
    assert!(!datadir.join("regtest/.cookie").exists() && !datadir.join("regtest/bitcoind.pid").exists());
}

#[test]
fn corrupt_wallet_is_kept() {
    let folder = folder();
    let wallet = folder.path().join("regtest/wallets/w");
    fs::create_dir_all(&wallet).unwrap();
    fs::write(wallet.join("wallet.dat"), b"SQLite format 3\0 and then nonsense").unwrap();
    let failure = run(folder.path(), &["-wallet=w"]);
    failure.has("");
    assert_eq!(fs::read(wallet.join("wallet.dat")).unwrap(), b"SQLite format 3\0 and then nonsense");
}
