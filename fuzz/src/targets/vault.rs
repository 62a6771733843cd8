//! The key store in this process, with a wallet file on disk: a wallet that was taken over asks for anything in any order.
//!
//! What must hold: unless the passphrase unlocked it since it was last locked, the vault is locked, whatever it says of itself:
//! nothing is signed and no private descriptor leaves. Whatever is answered, the private keys of the wallet are in no answer
//! that was not an export with consent.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use bitcoin::bip32::{Xpriv, Xpub};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, Network, OutPoint, Psbt, ScriptBuf, Transaction, TxIn, TxOut, Txid, base58};
use bulkhead_keystore_edge::{OneShotDescriptor, RawTransaction, Record, Reply, Request, SpentCoin};
use bulkhead_tests::hostile::Source;
use bulkhead_wallet_core::descriptor::{Cache, Keys};
use bulkhead_wallet_core::{Descriptor, flags};
use keystore::database::Location;
use keystore::service::{Cost, Keystore, Settings};
use zeroize::Zeroizing;

use crate::{content_of, file};

/// A key of somebody else.
const OTHER_KEY: &str = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA";
/// Passphrase of the wallet.
const PASSPHRASE: &[u8] = b"correct horse";
/// The only HD key of the wallet without a passphrase: always the same, so that an input means the same in every process.
const MASTER: &str =
    "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK";
/// A kind of request: to restore the wallet without a passphrase.
const RESTORE_PLAIN: usize = 34;
/// A kind of request: to make that wallet from its dump, of which a byte may be another.
const CREATE_FROM_OWN_DUMP: usize = 35;
/// Kinds of requests.
const KINDS: usize = 36;
/// Ranges shorter than this are tried, and those that are longer than any key store takes.
const NEAR: i32 = 1000;
const FAR: i32 = 17_000_000;
/// A first byte from here on, which chooses a kind as all others do, finds no file; a multiple of [`KINDS`].
const NO_FILE: u8 = 180;

/// A key store for the wallet in this folder.
pub fn settings(folder: &std::path::Path) -> Settings {
    let location =
        Location { directory: folder.to_owned(), file: "wallet.dat".into(), magic: [0xfa, 0xbf, 0xb5, 0xda], unsafe_sync: true };
    Settings {
        network: Network::Regtest,
        name: "fuzz".into(),
        location: Some(location),
        keypool: 2,
        cost: Cost::Fixed(2),
        now: || 1_700_000_000,
    }
}

fn open(folder: &std::path::Path) -> Keystore {
    Keystore::new(settings(folder)).expect("memory can be locked")
}

/// An encrypted wallet.
struct Wallet {
    /// wallet.dat.
    file: Vec<u8>,
    /// What may leave only as an export with consent: the master key as text and as bytes.
    secrets: Vec<Vec<u8>>,
    /// A script that the wallet signs messages for.
    script: ScriptBuf,
    /// A payment from the wallet that lacks its signature.
    psbt: Vec<u8>,
    /// Its descriptors.
    ids: Vec<[u8; 32]>,
}

/// A wallet without a passphrase, always the same.
pub struct Plain {
    /// wallet.dat.
    pub file: Vec<u8>,
    /// Its first address.
    #[cfg(feature = "engine")]
    pub script: ScriptBuf,
    dump: Vec<u8>,
    ids: Vec<[u8; 32]>,
    xpub: String,
}

/// Made once.
pub fn plain() -> &'static Plain {
    static PLAIN: OnceLock<Plain> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let folder = crate::folder();
        let mut store = open(folder.path());
        let create = Request::Create {
            blank: true,
            disable_private_keys: false,
            passphrase: Zeroizing::default(),
            flags: flags::DESCRIPTORS | flags::LAST_HARDENED_XPUB_CACHED,
            generate: false,
        };
        assert!(!matches!(store.handle(create, None), Reply::Error(_)));
        let xpriv: Xpriv = MASTER.parse().expect("an extended key");
        let xpub = Xpub::from_priv(&Secp256k1::new(), &xpriv).to_string();
        assert!(!matches!(store.handle(Request::AddHdKey(Zeroizing::new(MASTER.into())), None), Reply::Error(_)));
        let mut ids = Vec::new();
        for (output_type, internal) in [("bech32", false), ("bech32", true), ("bech32m", false), ("bech32m", true)] {
            let generate = Request::GenerateDescriptor { hd_key: xpub.clone(), output_type: output_type.into(), internal };
            let Reply::Descriptors(infos) = store.handle(generate, None) else { panic!("no descriptor") };
            ids.extend(infos.iter().map(|info| info.id));
        }
        #[cfg(feature = "engine")]
        let script = first_script(&mut store, ids[0]);
        let dump = file(&[]);
        let copy = dump.as_fd().try_clone_to_owned().expect("descriptors are left");
        assert_eq!(store.handle(Request::Dump, Some(copy)), Reply::Ok);
        assert_eq!(store.handle(Request::Close, None), Reply::Ok);
        let file = std::fs::read(folder.path().join("wallet.dat")).expect("the file that was made");
        Plain {
            file,
            #[cfg(feature = "engine")]
            script,
            dump: content_of(dump),
            ids,
            xpub,
        }
    })
}

/// Made once, because it costs time.
fn wallet() -> &'static Wallet {
    static WALLET: OnceLock<Wallet> = OnceLock::new();
    WALLET.get_or_init(|| {
        let folder = crate::folder();
        let mut store = open(folder.path());
        let create = Request::Create {
            blank: false,
            disable_private_keys: false,
            passphrase: Zeroizing::new(PASSPHRASE.to_vec()),
            flags: 0,
            generate: true,
        };
        assert!(!matches!(store.handle(create, None), Reply::Error(_)));
        assert!(matches!(store.handle(unlock(), None), Reply::Status(status) if !status.locked));
        let Reply::HdKeys(keys) = store.handle(Request::ExportHdKeys { consent: true }, None) else { panic!("no keys") };
        let mut secrets = Vec::new();
        let ids = keys.iter().flat_map(|key| key.descriptors.clone()).collect();
        let (mut pkh, mut wpkh) = (None, None);
        for key in &keys {
            let raw = base58::decode_check(&key.xprv).expect("an extended key");
            secrets.extend([key.xprv.as_bytes().to_vec(), raw[46..78].to_vec()]);
            for id in &key.descriptors {
                let script = first_script(&mut store, *id);
                if script.is_p2pkh() {
                    pkh = Some(script);
                } else if script.is_p2wpkh() {
                    wpkh = Some(script);
                }
            }
        }
        assert_eq!(store.handle(Request::Close, None), Reply::Ok);
        let file = std::fs::read(folder.path().join("wallet.dat")).expect("the file that was made");
        let script = pkh.expect("a legacy descriptor");
        Wallet { file, secrets, psbt: payment(wpkh.expect("a descriptor with witness"), &script), script, ids }
    })
}

fn unlock() -> Request {
    Request::Unlock { passphrase: Zeroizing::new(PASSPHRASE.to_vec()), seconds: 1_000_000 }
}

fn first_script(store: &mut Keystore, id: [u8; 32]) -> ScriptBuf {
    let Reply::Descriptors(infos) = store.handle(Request::ExportDescriptor { id, consent: true }, None) else {
        panic!("no export")
    };
    let (mut keys, mut cache) = (Keys::default(), Cache::default());
    let descriptor = Descriptor::parse(&infos[0].private, &mut keys).expect("our own text");
    descriptor.fill_cache(0, &keys, &mut cache).expect("the keys are there");
    descriptor.expand(0, &cache).expect("the cache was filled").scripts[0].clone()
}

fn payment(from: ScriptBuf, to: &ScriptBuf) -> Vec<u8> {
    let output = |value, script: &ScriptBuf| TxOut { value: Amount::from_sat(value), script_pubkey: script.clone() };
    let input = TxIn { previous_output: OutPoint { txid: Txid::from_byte_array([3; 32]), vout: 0 }, ..TxIn::default() };
    let tx = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![output(90_000, to)],
    };
    let mut psbt = Psbt::from_unsigned_tx(tx).expect("no signatures yet");
    psbt.inputs[0].witness_utxo = Some(output(100_000, &from));
    psbt.serialize()
}

/// A sequence of requests, on an encrypted wallet mostly.
pub fn keystore_sequence(data: &[u8]) {
    let folder = crate::folder();
    let mut store = open(folder.path());
    let mut source = Source::new(data);
    if data.first().is_none_or(|first| *first < NO_FILE) {
        std::fs::write(folder.path().join("wallet.dat"), &wallet().file).expect("room in memory");
        let _ = store.handle(Request::Open, None);
    }
    // Somebody who knows the passphrase unlocked it; its time may be over already.
    let mut unlocked = false;
    for _ in 0..24 {
        if source.is_empty() {
            break;
        }
        let (request, beside) = request(&mut source);
        let (export, name) = (exports(&request), request.name());
        // With a key that came along, not with one of the wallet.
        let one_shot = name.starts_with("oneShot");
        let (opens, closes) = (matches!(request, Request::Unlock { .. }), closes(&request));
        let reply = store.handle(request, beside.as_ref().and_then(|file| file.as_fd().try_clone_to_owned().ok()));
        match &reply {
            Reply::Error(_) => {}
            _ if opens => unlocked = true,
            _ if closes => unlocked = false,
            _ => {}
        }
        if !unlocked {
            assert!(one_shot || !is_signature(&reply), "{name} while locked: {reply:?}");
            let status = store.status();
            assert!(status.locked || !status.encrypted, "open after {name}");
        }
        if !export || !unlocked {
            assert!(!holds_secret(&reply), "{name}");
        }
        let written = beside.map(content_of);
        // An encrypted wallet is encrypted in every copy, and a watch-only one has no keys at all.
        assert!(!written.is_some_and(|bytes| is_secret_in(&bytes)), "{name}");
    }
}

/// After these the vault is locked, if it is encrypted.
fn closes(request: &Request) -> bool {
    matches!(request, Request::Lock | Request::Open | Request::Close | Request::Discard | Request::Verify)
}

fn exports(request: &Request) -> bool {
    matches!(request, Request::ExportDescriptor { consent: true, .. } | Request::ExportHdKeys { consent: true })
        || request.name().starts_with("oneShot")
}

/// Whether it holds a signature of the wallet: nobody else could have made one.
fn is_signature(reply: &Reply) -> bool {
    match reply {
        Reply::Text(text) => text.len() == 88 && text.ends_with('='),
        Reply::Signed(signed) => {
            let ours = Psbt::deserialize(&wallet().psbt).expect("our own PSBT").unsigned_tx;
            let signed_psbt = Psbt::deserialize(&signed.psbt).ok().filter(|psbt| psbt.unsigned_tx == ours);
            // What was asked for without a PSBT comes back without one.
            let raw = deserialize::<Transaction>(&signed.psbt).ok();
            let has = |input: &bitcoin::psbt::Input| !input.partial_sigs.is_empty() || input.final_script_witness.is_some();
            signed_psbt.is_some_and(|psbt| psbt.inputs.iter().any(has))
                || raw.is_some_and(|tx| {
                    tx.compute_txid() == ours.compute_txid() && tx.input.iter().any(|input| !input.witness.is_empty())
                })
        }
        _ => false,
    }
}

fn holds_secret(reply: &Reply) -> bool {
    reply.encode().is_ok_and(|bytes| is_secret_in(&bytes))
}

fn is_secret_in(bytes: &[u8]) -> bool {
    wallet().secrets.iter().any(|secret| bytes.windows(secret.len()).any(|piece| piece == secret.as_slice()))
}

/// A request, and the file beside it for those that need one.
fn request(source: &mut Source<'_>) -> (Request, Option<File>) {
    let kind = source.below(KINDS);
    let request = request_alone(kind, source);
    let beside = match request {
        Request::Backup | Request::Dump | Request::ExportWatchOnly => Some(file(&[])),
        Request::Restore if kind == RESTORE_PLAIN => Some(file(&plain().file)),
        Request::CreateFromDump if kind == CREATE_FROM_OWN_DUMP => {
            let mut dump = plain().dump.clone();
            let at = source.word() as usize % dump.len();
            dump[at] ^= source.byte();
            Some(file(&dump))
        }
        Request::Restore if source.below(2) == 0 => Some(file(&wallet().file)),
        Request::Restore | Request::CreateFromDump => {
            let count = source.below(256);
            Some(file(source.take(count)))
        }
        _ => None,
    };
    (request, beside)
}

/// The end of a range: as given when it is near or so far that it must be refused. Core permits a million, and a hardened step costs a
/// derivation for each: a minute that proves nothing.
fn near(start: i32, end: i32) -> i32 {
    let length = end.saturating_sub(start);
    if (NEAR..FAR).contains(&length) { start + length % NEAR } else { end }
}

fn request_alone(kind: usize, source: &mut Source<'_>) -> Request {
    let secret = |source: &mut Source<'_>| match source.below(3) {
        0 => Zeroizing::new(Vec::new()),
        1 => Zeroizing::new(source.take(8).to_vec()),
        _ => Zeroizing::new(PASSPHRASE.to_vec()),
    };
    let id = |source: &mut Source<'_>| {
        let choice = source.byte();
        let known = wallet().ids.iter().chain(&plain().ids);
        if let Some(known) = known.cycle().nth(usize::from(choice)).filter(|_| choice < 128) {
            return *known;
        }
        let mut id = [0; 32];
        let bytes = source.take(32);
        id[..bytes.len()].copy_from_slice(bytes);
        id
    };
    let text = |source: &mut Source<'_>| {
        let count = source.below(256);
        String::from_utf8_lossy(source.take(count)).into_owned()
    };
    match kind {
        0 => Request::Open,
        1 => Request::Close,
        2 => Request::Records { start: u64::from(source.byte()), limit: source.word() },
        3 => {
            let (key, value) = (source.below(128), source.below(256));
            let (key, value) = (source.take(key).to_vec(), source.take(value).to_vec());
            Request::Write(vec![Record { key, value, erase: source.below(2) == 1 }])
        }
        4 => Request::Unlock { passphrase: secret(source), seconds: i64::from(source.word().cast_signed()) },
        5 => Request::Lock,
        6 => Request::ChangePassphrase { old: secret(source), new: secret(source) },
        7 => Request::SignTransaction {
            psbt: if source.below(2) == 0 { wallet().psbt.clone() } else { source.take(200).to_vec() },
            sighash: source.word(),
            finalize: source.below(2) == 0,
            bip32_derivations: source.below(2) == 0,
            update_only: source.below(2) == 0,
        },
        8 => Request::SignMessage {
            address: "bcrt1q".into(),
            message: String::from_utf8_lossy(source.take(20)).into_owned(),
            script: if source.below(2) == 0 { wallet().script.to_bytes() } else { source.take(25).to_vec() },
        },
        9 => Request::ExportDescriptor { id: id(source), consent: source.below(2) == 0 },
        10 => Request::ExportHdKeys { consent: source.below(2) == 0 },
        11 => Request::TopUp { id: id(source), range_end: near(0, source.word().cast_signed()) },
        12 => Request::Status,
        13 => Request::Flush,
        14 => Request::Rules,
        15 => Request::SetRules { passphrase: secret(source), rules: String::from_utf8_lossy(source.take(40)).into_owned() },
        16 => {
            let (descriptor, range_start) = (Zeroizing::new(text(source)), source.word().cast_signed());
            Request::AddDescriptor {
                descriptor,
                range_start,
                range_end: near(range_start, source.word().cast_signed()),
                next_index: source.word().cast_signed(),
                creation_time: i64::from(source.word()),
            }
        }
        17 => Request::Encrypt(secret(source)),
        18 => Request::OneShotSignMessage {
            wif: Zeroizing::new(String::from_utf8_lossy(source.take(52)).into_owned()),
            message: "text".into(),
        },
        19 => Request::Hold(source.below(2) == 0),
        20 => Request::Create {
            blank: source.below(2) == 0,
            disable_private_keys: source.below(2) == 0,
            passphrase: Zeroizing::new(Vec::new()),
            flags: u64::from(source.byte()) << 32 | u64::from(source.byte()),
            generate: source.below(2) == 0,
        },
        21 => Request::GenerateDescriptors,
        22 | RESTORE_PLAIN => Request::Restore,
        23 => Request::Discard,
        24 => Request::Dump,
        25 | CREATE_FROM_OWN_DUMP => Request::CreateFromDump,
        26 => Request::Verify,
        27 => Request::ExportWatchOnly,
        28 => Request::AddHdKey(Zeroizing::new(String::from_utf8_lossy(source.take(111)).into_owned())),
        29 => Request::GenerateDescriptor {
            output_type: ["legacy", "p2sh-segwit", "bech32", "bech32m", "x"][source.below(5)].into(),
            internal: source.below(2) == 0,
            hd_key: match source.below(3) {
                0 => String::new(),
                1 => plain().xpub.clone(),
                _ => text(source),
            },
        },
        30 => Request::SignRaw(raw(source)),
        31 => Request::OneShotSignRaw { raw: raw(source), wifs: vec![wif(source)] },
        32 => Request::OneShotSignTransaction {
            psbt: if source.below(2) == 0 { wallet().psbt.clone() } else { source.take(200).to_vec() },
            wifs: vec![wif(source)],
            descriptors: vec![OneShotDescriptor {
                descriptor: Zeroizing::new(String::from_utf8_lossy(source.take(120)).into_owned()),
                range_start: 0,
                range_end: i32::from(source.byte()),
            }],
            sighash: u32::from(source.byte()),
            finalize: source.below(2) == 0,
            bip32_derivations: source.below(2) == 0,
        },
        _ => Request::Backup,
    }
}

/// A private key that is not of the wallet.
fn wif(source: &mut Source<'_>) -> Zeroizing<String> {
    let text = if source.below(2) == 0 { OTHER_KEY.to_owned() } else { String::from_utf8_lossy(source.take(52)).into_owned() };
    Zeroizing::new(text)
}

/// The payment that lacks its signature, or any bytes.
fn raw(source: &mut Source<'_>) -> RawTransaction {
    let psbt = Psbt::deserialize(&wallet().psbt).expect("our own PSBT");
    let spent = psbt.inputs[0].witness_utxo.as_ref().expect("it has one");
    let tx = if source.below(2) == 0 { serialize(&psbt.unsigned_tx) } else { source.take(120).to_vec() };
    let coin = SpentCoin {
        txid: [3; 32],
        vout: u32::from(source.byte()),
        script: if source.below(2) == 0 { spent.script_pubkey.to_bytes() } else { source.take(34).to_vec() },
        amount: spent.value.to_sat(),
        ..SpentCoin::default()
    };
    let copies = if source.below(2) == 0 { Vec::new() } else { vec![tx.clone()] };
    RawTransaction { transaction: tx, coins: vec![coin], sighash: u32::from(source.byte()), copies }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the target could not fail.
    #[test]
    fn signatures_and_secrets_are_seen_where_they_are() {
        let folder = crate::folder();
        std::fs::write(folder.path().join("wallet.dat"), &wallet().file).expect("room on disk");
        let mut store = open(folder.path());
        let _ = store.handle(Request::Open, None);
        let sign = || Request::SignTransaction {
            psbt: wallet().psbt.clone(),
            sighash: 0,
            finalize: true,
            bip32_derivations: false,
            update_only: false,
        };
        let message = || Request::SignMessage { address: "a".into(), message: "text".into(), script: wallet().script.to_bytes() };
        let raw = || Request::SignRaw(raw(&mut Source::new(&[])));
        assert!(!is_signature(&store.handle(sign(), None)) && !is_signature(&store.handle(message(), None)));
        assert!(!is_signature(&store.handle(raw(), None)));
        assert!(matches!(store.handle(unlock(), None), Reply::Status(status) if !status.locked));
        assert!(is_signature(&store.handle(sign(), None)) && is_signature(&store.handle(message(), None)));
        assert!(is_signature(&store.handle(raw(), None)));
        assert!(holds_secret(&store.handle(Request::ExportHdKeys { consent: true }, None)));
        assert!(!holds_secret(&store.handle(Request::ExportHdKeys { consent: false }, None)));
    }
}
