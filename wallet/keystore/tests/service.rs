//! The key store from request to file and back.
#![allow(clippy::unwrap_used, clippy::panic)]

use bitcoin::Network;
use bulkhead_keystore_edge::{DescriptorInfo, KeystoreError, Record, Reply, Request, Status};
use bulkhead_wallet_core::record::{self, Locator, kind};
use keystore::database::Location;
use keystore::service::{Cost, Keystore, Settings};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

const NOW: i64 = 1_700_000_000;

fn settings(directory: &Path) -> Settings {
    Settings {
        network: Network::Regtest,
        name: "test".into(),
        location: Some(Location {
            directory: directory.to_owned(),
            file: "wallet.dat".into(),
            magic: Network::Regtest.magic().to_bytes(),
            unsafe_sync: false,
        }),
        keypool: 3,
        cost: Cost::Measured,
        now: || NOW,
    }
}

fn store(directory: &Path) -> Keystore {
    Keystore::new(settings(directory)).unwrap()
}

fn ask(store: &mut Keystore, request: Request) -> Reply {
    store.handle(request, None)
}

fn refused(reply: Reply) -> KeystoreError {
    match reply {
        Reply::Error(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn status(reply: Reply) -> Status {
    match reply {
        Reply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn create(passphrase: &str) -> Request {
    Request::Create {
        blank: false,
        disable_private_keys: false,
        passphrase: passphrase.as_bytes().to_vec().into(),
        flags: 0,
        generate: true,
    }
}

const XPRV: &str =
    "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK";

fn unlock(passphrase: &str, seconds: i64) -> Request {
    Request::Unlock { passphrase: passphrase.as_bytes().to_vec().into(), seconds }
}

fn records(store: &mut Keystore) -> Vec<Record> {
    match ask(store, Request::Records { start: 0, limit: 1000 }) {
        Reply::Records { records, more: false } => records,
        other => panic!("{other:?}"),
    }
}

fn export(store: &mut Keystore, id: [u8; 32]) -> DescriptorInfo {
    match ask(store, Request::ExportDescriptor { id, consent: true }) {
        Reply::Descriptors(mut list) => list.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn descriptor_ids(store: &mut Keystore) -> Vec<[u8; 32]> {
    records(store)
        .iter()
        .filter_map(|raw| match record::Record::decode(&raw.key, &raw.value).unwrap() {
            record::Record::Descriptor(descriptor) => Some(descriptor.id),
            _ => None,
        })
        .collect()
}

/// Private keys of a plain wallet as they stand in its file.
fn plain_keys(directory: &Path) -> Vec<Vec<u8>> {
    let connection = rusqlite::Connection::open(directory.join("wallet.dat")).unwrap();
    let mut statement = connection.prepare("SELECT value FROM main WHERE instr(key, ?) = 2").unwrap();
    let rows = statement.query_map([kind::DESCRIPTOR_KEY.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.map(|value| value.unwrap()[9..41].to_vec()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_new_wallet_is_a_file_as_core_makes_it_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = store(directory.path());
    let made = status(ask(&mut first, create("")));
    assert!(!made.encrypted && !made.locked && made.has_private_keys);
    let before = records(&mut first);
    assert_eq!(descriptor_ids(&mut first).len(), 8);
    let private = descriptor_ids(&mut first).into_iter().map(|id| export(&mut first, id)).collect::<Vec<_>>();
    assert!(private.iter().all(|info| info.private.contains("tprv") && (info.range_end, info.next_index) == (3, 0)));
    assert_eq!(ask(&mut first, Request::Close), Reply::Ok);

    let head = std::fs::read(directory.path().join("wallet.dat")).unwrap();
    assert_eq!(head[68..72], [0xfa, 0xbf, 0xb5, 0xda], "application id");
    assert_eq!(head[60..64], [0; 4], "user version");
    {
        let connection = rusqlite::Connection::open(directory.path().join("wallet.dat")).unwrap();
        let sql: String = connection.query_row("SELECT sql FROM sqlite_master WHERE name='main'", [], |row| row.get(0)).unwrap();
        assert_eq!(sql, "CREATE TABLE main(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no journal stays");

    let mut second = store(directory.path());
    let opened = status(ask(&mut second, Request::Open));
    assert_eq!((opened.flags, opened.has_private_keys), (made.flags, true));
    assert_eq!(records(&mut second), before);
    let again = descriptor_ids(&mut second).into_iter().map(|id| export(&mut second, id)).collect::<Vec<_>>();
    assert_eq!(again, private);
}

#[test]
fn create_never_overwrites_and_open_needs_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let error = refused(ask(&mut store(directory.path()), Request::Open));
    assert_eq!(
        error.message,
        format!("Failed to load database path '{}'. Data is not in recognized format.", directory.path().display())
    );
    std::fs::write(directory.path().join("wallet.dat"), "precious").unwrap();
    let error = refused(ask(&mut store(directory.path()), create("")));
    assert_eq!(
        error.message,
        format!("Failed to create database path '{}'. Database already exists.", directory.path().display())
    );
    let error = refused(ask(&mut store(directory.path()), Request::Open));
    assert!(error.message.ends_with("Data is not in recognized format."));
    assert_eq!(std::fs::read(directory.path().join("wallet.dat")).unwrap(), b"precious");
}

#[test]
fn a_second_store_does_not_get_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = store(directory.path());
    ask(&mut first, create(""));
    // File locks are per process: another process holds it for the second store.
    let path = directory.path().join("wallet.dat");
    let output = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],timeout=0)\ntry:\n c.execute('select * from main')\n print('read')\nexcept sqlite3.OperationalError as e: print(e)"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "database is locked");
}

#[test]
fn a_corrupt_file_is_refused_with_core_s_text_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wallet.dat");
    let mut first = store(directory.path());
    ask(&mut first, create(""));
    ask(&mut first, Request::Close);
    let good = std::fs::read(&path).unwrap();

    let mut wrong_network = good.clone();
    wrong_network[68] ^= 1;
    std::fs::write(&path, &wrong_network).unwrap();
    assert!(refused(ask(&mut store(directory.path()), Request::Open)).message.contains("Data is not in recognized format"));

    let mut broken = good.clone();
    for byte in &mut broken[4096..8192] {
        *byte = 0x5a;
    }
    std::fs::write(&path, &broken).unwrap();
    let error = refused(ask(&mut store(directory.path()), Request::Open));
    assert!(
        error.message.starts_with("Failed to verify database\n") || error.message.starts_with("SQLiteDatabase: "),
        "{}",
        error.message
    );
    assert_eq!(std::fs::read(&path).unwrap(), broken);

    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    refused(ask(&mut store(directory.path()), Request::Open));

    std::fs::write(&path, &good).unwrap();
    {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let changed = connection
            .execute("UPDATE main SET value = X'00' WHERE instr(key, ?) = 2", [kind::DESCRIPTOR_KEY.as_bytes()])
            .unwrap();
        assert_eq!(changed, 8);
    }
    let error = refused(ask(&mut store(directory.path()), Request::Open));
    assert_eq!(error.message, format!("Error loading {}: Wallet corrupted", path.display()));
}

#[test]
fn private_keys_never_leave_in_records_and_can_t_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    ask(&mut store, create("secret"));
    for raw in records(&mut store) {
        assert!(record::is_public(&raw.key));
    }
    for name in [
        kind::DESCRIPTOR_KEY,
        kind::DESCRIPTOR_CRYPTED_KEY,
        kind::MASTER_KEY,
        kind::DESCRIPTOR_CACHE,
        kind::SPENDING_RULES,
        "ckey",
    ] {
        let record = Record { key: record::prefix(name), value: vec![1], erase: false };
        refused(ask(&mut store, Request::Write(vec![record])));
        let record = Record { key: record::prefix(name), value: vec![], erase: true };
        refused(ask(&mut store, Request::Write(vec![record])));
    }
    let malformed = Record { key: record::prefix(kind::FLAGS), value: vec![1, 2], erase: false };
    refused(ask(&mut store, Request::Write(vec![malformed])));
    let id = descriptor_ids(&mut store)[0];
    assert!(refused(ask(&mut store, Request::ExportDescriptor { id, consent: false })).message.contains("consent"));
    assert_eq!(refused(ask(&mut store, Request::ExportDescriptor { id, consent: true })).code, -13);
}

#[test]
fn public_records_are_written_together_and_paged() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    ask(&mut store, create(""));
    let locator = record::Record::BestBlockNoMerkle(Locator::default()).encode();
    let name = record::Record::Name { address: "addr".into(), label: "label".into() }.encode();
    let batch = [locator, name].map(|(key, value)| Record { key, value, erase: false }).to_vec();
    assert_eq!(ask(&mut store, Request::Write(batch.clone())), Reply::Ok);
    let all = records(&mut store);
    assert!(batch.iter().all(|record| all.contains(record)));
    let mut paged = Vec::new();
    loop {
        let Reply::Records { records, more } = ask(&mut store, Request::Records { start: paged.len() as u64, limit: 4 }) else {
            panic!()
        };
        assert!(records.len() <= 4);
        paged.extend(records);
        if !more {
            break;
        }
    }
    assert_eq!(paged, all);
    // One bad record: nothing of the batch is written.
    let other = Record { key: batch[1].key.clone(), value: record::prefix("other"), erase: false };
    let bad = Record { key: record::prefix(kind::MASTER_KEY), value: vec![], erase: false };
    refused(ask(&mut store, Request::Write(vec![other, bad])));
    assert_eq!(records(&mut store), all);
}

#[test]
fn encryption_leaves_no_plain_key_in_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let mut plain = store(directory.path());
    ask(&mut plain, create(""));
    let old_ids = descriptor_ids(&mut plain);
    ask(&mut plain, Request::Close);
    let keys = plain_keys(directory.path());
    let before = std::fs::read(directory.path().join("wallet.dat")).unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| contains(&before, key)), "the search finds what it must find");

    let mut store = store(directory.path());
    ask(&mut store, Request::Open);
    assert_eq!(ask(&mut store, Request::Encrypt(b"pass phrase".to_vec().into())), Reply::Ok);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.as_ref().unwrap().path()).unwrap();
        assert!(keys.iter().all(|key| !contains(&bytes, key)), "{:?} while open", entry.unwrap().file_name());
    }
    let state = status(ask(&mut store, Request::Status));
    assert!(state.encrypted && state.locked);
    assert_eq!(descriptor_ids(&mut store).len(), 16, "a new seed besides the old one");
    ask(&mut store, Request::Close);
    let after = std::fs::read(directory.path().join("wallet.dat")).unwrap();
    assert!(keys.iter().all(|key| !contains(&after, key)));

    ask(&mut store, Request::Open);
    ask(&mut store, unlock("pass phrase", 60));
    assert!(export(&mut store, old_ids[0]).private.contains("tprv"));
    assert_eq!(refused(ask(&mut store, Request::Encrypt(b"x".to_vec().into()))).code, -15);
}

#[test]
fn passphrases_open_lock_and_change() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    ask(&mut store, create("right"));
    let id = descriptor_ids(&mut store)[0];
    let error = refused(ask(&mut store, unlock("wrong", 60)));
    assert_eq!((error.code, error.message.as_str()), (-14, "Error: The wallet passphrase entered was incorrect."));
    assert_eq!(refused(ask(&mut store, unlock("", 60))).code, -8);
    assert_eq!(refused(ask(&mut store, unlock("right", -1))).message, "Timeout cannot be negative.");
    let state = status(ask(&mut store, unlock("right", 60)));
    assert!(!state.locked);
    assert_eq!(state.unlocked_until, NOW + 60);
    assert!(export(&mut store, id).private.contains("tprv"));
    assert_eq!(ask(&mut store, Request::Lock), Reply::Ok);
    assert_eq!(refused(ask(&mut store, Request::ExportDescriptor { id, consent: true })).code, -13);

    let change = |old: &str, new: &str| Request::ChangePassphrase {
        old: old.as_bytes().to_vec().into(),
        new: new.as_bytes().to_vec().into(),
    };
    assert_eq!(refused(ask(&mut store, change("wrong", "next"))).code, -14);
    assert_eq!(ask(&mut store, change("right", "next")), Reply::Ok);
    assert!(status(ask(&mut store, Request::Status)).locked, "stays locked");
    assert_eq!(refused(ask(&mut store, unlock("right", 60))).code, -14);
    assert!(!status(ask(&mut store, unlock("next", 60))).locked);
}

#[test]
fn unlocking_ends_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    ask(&mut store, create("right"));
    assert_eq!(store.deadline(), None);
    ask(&mut store, unlock("right", 1000));
    assert!(store.deadline().unwrap() > Duration::from_secs(900));
    // No time at all: the next request finds it locked.
    ask(&mut store, unlock("right", 0));
    assert_eq!(store.deadline(), Some(Duration::ZERO));
    assert!(status(ask(&mut store, Request::Status)).locked);
    assert_eq!(store.deadline(), None);
}

#[test]
fn a_scan_that_outlasts_the_unlocking_extends_descriptors_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    ask(&mut store, create("right"));
    ask(&mut store, unlock("right", 1000));
    let import = Request::AddDescriptor {
        descriptor: format!("wpkh({XPRV}/1h/*h)").into(),
        range_start: 0,
        range_end: 5,
        next_index: 0,
        creation_time: 1,
    };
    let Reply::Descriptors(list) = ask(&mut store, import) else { panic!() };
    let id = list[0].id;
    let top_up = |range_end| Request::TopUp { id, range_end };
    ask(&mut store, Request::Hold(true));
    ask(&mut store, unlock("right", 0));
    assert!(matches!(ask(&mut store, top_up(8)), Reply::Descriptors(_)));
    assert!(status(ask(&mut store, Request::Status)).locked);
    assert_eq!(refused(ask(&mut store, Request::ExportDescriptor { id, consent: true })).code, -13);
    assert_eq!(refused(ask(&mut store, Request::ExportHdKeys { consent: true })).code, -13);
    assert!(matches!(ask(&mut store, top_up(9)), Reply::Descriptors(_)), "after what was refused");
    assert!(store.deadline().unwrap() > Duration::from_secs(3600));
    ask(&mut store, Request::Hold(false));
    assert_eq!(refused(ask(&mut store, top_up(12))).code, -13);
    assert_eq!(store.deadline(), None);
}

#[test]
fn backup_and_restore_give_the_same_wallet() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut first = store(directory.path());
    ask(&mut first, create(""));
    let expected = records(&mut first);
    let copy = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(first.handle(Request::Backup, Some(copy.reopen().unwrap().into())), Reply::Ok);
    assert_eq!(records(&mut first), expected, "still open");

    let mut second = store(other.path());
    assert_eq!(second.handle(Request::Restore, Some(File::open(copy.path()).unwrap().into())), Reply::Ok);
    ask(&mut second, Request::Open);
    assert_eq!(records(&mut second), expected);
    let mut third = store(other.path());
    let error = refused(third.handle(Request::Restore, Some(File::open(copy.path()).unwrap().into())));
    assert_eq!(
        error.message,
        format!("Failed to restore wallet. Database file exists in '{}'.", other.path().join("wallet.dat").display())
    );
    assert!(matches!(first.handle(Request::Backup, None), Reply::Error(_)));
}

#[test]
fn imports_follow_core_s_rules() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    ask(&mut store, create(""));
    let add = |text: &str| Request::AddDescriptor {
        descriptor: text.to_owned().into(),
        range_start: 0,
        range_end: 5,
        next_index: 0,
        creation_time: 1,
    };
    let xprv = XPRV;
    let Reply::Descriptors(list) = ask(&mut store, add(&format!("wpkh({xprv}/1h/*h)"))) else { panic!() };
    assert_eq!(list[0].cache.len(), 5, "one cached key per hardened index");
    let id = list[0].id;
    let Reply::Descriptors(list) = ask(&mut store, Request::TopUp { id, range_end: 8 }) else { panic!() };
    assert_eq!((list[0].range_end, list[0].cache.len()), (8, 3));
    let Reply::Descriptors(list) = ask(
        &mut store,
        add(&format!("wsh(sortedmulti(1,{xprv}/7/*,0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798))")),
    ) else {
        panic!()
    };
    assert_eq!(list[0].output_type, "bech32");
    let public = "pkh(0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798)";
    assert_eq!(
        refused(ask(&mut store, add(public))).message,
        "Cannot import descriptor without private keys to a wallet with private keys enabled"
    );
    assert_eq!(refused(ask(&mut store, add("nonsense(1)"))).code, -5);

    let watching = tempfile::tempdir().unwrap();
    let mut watch = self::store(watching.path());
    ask(
        &mut watch,
        Request::Create { blank: true, disable_private_keys: true, passphrase: vec![].into(), flags: 0, generate: false },
    );
    assert!(matches!(ask(&mut watch, add(public)), Reply::Descriptors(_)));
    assert_eq!(
        refused(ask(&mut watch, add(&format!("pkh({xprv})")))).message,
        "Cannot import private keys to a wallet with private keys disabled"
    );
    let xpub = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";
    let error = refused(ask(&mut watch, add(&format!("wpkh({xpub}/1h/*)"))));
    assert!(error.message.starts_with("Cannot expand descriptor."), "{}", error.message);
    assert_eq!(refused(ask(&mut watch, Request::Encrypt(b"x".to_vec().into()))).code, -16);
}

#[test]
fn a_one_shot_store_has_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Keystore::new(Settings { location: None, ..settings(directory.path()) }).unwrap();
    assert!(refused(ask(&mut store, create(""))).message.contains("no file"));
    assert!(refused(ask(&mut store, Request::Open)).message.contains("no file"));
    let wif = "cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N";
    let Reply::Text(signature) = ask(
        &mut store,
        Request::OneShotSignMessage { wif: wif.to_owned().into(), message: "This is just a test message".into() },
    ) else {
        panic!()
    };
    assert_eq!(signature, "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0=");
    assert_eq!(
        refused(ask(&mut store, Request::OneShotSignMessage { wif: "x".to_owned().into(), message: String::new() })).message,
        "Invalid private key"
    );
}

#[test]
fn an_added_hd_key_belongs_to_the_wallet_and_makes_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    status(ask(&mut store, create("")));
    let added = |reply| match reply {
        Reply::Descriptors(mut list) => list.pop().unwrap(),
        other => panic!("{other:?}"),
    };
    let fresh = added(ask(&mut store, Request::AddHdKey(String::new().into())));
    assert!(fresh.public.starts_with("unused(tpub") && !fresh.active);
    let Reply::HdKeys(keys) = ask(&mut store, Request::ExportHdKeys { consent: true }) else { panic!("no keys") };
    assert_eq!(keys.len(), 2);
    let new = keys.iter().find(|key| key.descriptors == [fresh.id]).unwrap();
    assert!(new.has_private && !new.xprv.is_empty());
    let again = refused(ask(&mut store, Request::AddHdKey(new.xprv.clone())));
    assert_eq!(again.message, "HD key already exists");
    let public = refused(ask(&mut store, Request::AddHdKey(new.xpub.clone().into())));
    assert!(public.message.starts_with("Extended public key (xpub) provided"), "{public}");
    let generate = Request::GenerateDescriptor { hd_key: new.xpub.clone(), output_type: "bech32".into(), internal: false };
    assert!(added(ask(&mut store, generate.clone())).public.contains(&new.xpub));
    assert!(matches!(ask(&mut store, generate), Reply::Descriptors(list) if list.is_empty()));
}

#[test]
fn a_watch_only_export_opens_with_the_same_scripts_and_without_keys() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = store(directory.path());
    status(ask(&mut first, create("")));
    let other = tempfile::tempdir().unwrap();
    let target = File::create_new(other.path().join("wallet.dat")).unwrap();
    assert_eq!(first.handle(Request::ExportWatchOnly, Some(target.into())), Reply::Ok);
    let bytes = std::fs::read(other.path().join("wallet.dat")).unwrap();
    // The store keeps its file locked.
    drop(first);
    let keys = plain_keys(directory.path());
    assert_eq!(keys.len(), 8);
    for key in keys {
        assert!(!contains(&bytes, &key));
    }
    let mut second = store(other.path());
    assert_eq!(ask(&mut second, Request::Verify), Reply::Ok);
    let opened = status(ask(&mut second, Request::Open));
    assert!(!opened.has_private_keys);
    assert_ne!(opened.flags & bulkhead_wallet_core::flags::DISABLE_PRIVATE_KEYS, 0);
    assert_eq!(descriptor_ids(&mut second).len(), 8);
}

#[test]
fn a_backup_that_is_no_wallet_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("backup");
    std::fs::write(&source, "not a wallet").unwrap();
    let mut store = store(directory.path());
    assert_eq!(store.handle(Request::Restore, Some(File::open(&source).unwrap().into())), Reply::Ok);
    assert!(directory.path().join("wallet.dat").exists());
    assert!(refused(ask(&mut store, Request::Verify)).message.ends_with("Data is not in recognized format."));
    assert!(!directory.path().join("wallet.dat").exists());
}

#[test]
fn a_restored_file_is_discarded_and_any_other_stays() {
    let (made, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = store(made.path());
    ask(&mut first, create(""));
    assert_eq!(ask(&mut first, Request::Discard), Reply::Ok);
    let file = made.path().join("wallet.dat");
    assert!(file.exists());
    let mut second = store(other.path());
    assert_eq!(second.handle(Request::Restore, Some(File::open(&file).unwrap().into())), Reply::Ok);
    assert_eq!(ask(&mut second, Request::Verify), Reply::Ok);
    ask(&mut second, Request::Open);
    assert!(other.path().join("wallet.dat").exists());
    assert_eq!(ask(&mut second, Request::Discard), Reply::Ok);
    assert!(!other.path().join("wallet.dat").exists());
}

#[test]
fn a_dump_makes_the_same_wallet_again_and_a_damaged_one_none() {
    let (made, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dump = made.path().join("dump");
    let mut first = store(made.path());
    ask(&mut first, create(""));
    let before = records(&mut first);
    assert_eq!(first.handle(Request::Dump, Some(File::create(&dump).unwrap().into())), Reply::Ok);
    let mut second = store(other.path());
    assert_eq!(second.handle(Request::CreateFromDump, Some(File::open(&dump).unwrap().into())), Reply::Ok);
    assert_eq!(ask(&mut second, Request::Verify), Reply::Ok);
    assert!(status(ask(&mut second, Request::Open)).has_private_keys);
    assert_eq!(records(&mut second), before);
    ask(&mut first, Request::Close);
    ask(&mut second, Request::Close);
    assert_eq!(plain_keys(made.path()), plain_keys(other.path()));

    let text = std::fs::read_to_string(&dump).unwrap();
    std::fs::write(&dump, text.replacen("00,", "01,", 1)).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let mut third = store(empty.path());
    let error = refused(third.handle(Request::CreateFromDump, Some(File::open(&dump).unwrap().into())));
    assert!(error.message.starts_with("Error: Dumpfile checksum does not match."), "{}", error.message);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}
