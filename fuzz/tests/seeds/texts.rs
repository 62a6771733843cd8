//! Texts and records with all that they may hold, and with what is wrong in them.

use bitcoin::hashes::{Hash, hash160, ripemd160, sha256, sha256d};
use bitcoin::psbt::raw;
use bitcoin::{Psbt, ScriptBuf, Transaction, Witness};
use bulkhead_wallet_core::record::{CacheRecord, CacheSlot, Locator, MasterKey, Record, TxState, WalletDescriptor, WalletTx};

use crate::with;

pub const KEYS: [&str; 3] = [
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
    "0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
];
pub const WIF: &str = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA";
pub const TPUB: &str = crate::formats::TPUB;
pub const TPRV: &str =
    "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK";

/// Descriptors of every kind, and some that are none.
pub fn descriptors() -> Vec<Vec<u8>> {
    let [a, b, c] = KEYS;
    let (x, y) = (&a[2..], &b[2..]);
    let hash = "00".repeat(32);
    let texts = [
        format!("pk({a})"),
        format!("pkh({WIF})"),
        format!("combo({b})"),
        "raw(512102)".to_owned(),
        format!("rawtr({x})"),
        format!("multi(2,{a},{b},{c})"),
        format!("sh(multi(1,{a},{b}))"),
        format!("sh(wpkh({a}))"),
        format!("wpkh({TPRV}/0h/1/*h)"),
        format!("wsh(multi(2,{a},{b},{c}))"),
        format!("wsh(and_v(v:pk({a}),or_d(pk({b}),older(12960))))"),
        format!("wsh(thresh(2,pk({a}),s:pk({b}),sln:after(1000)))"),
        format!("wsh(andor(pk({a}),sha256({hash}),and_v(v:hash160({}),pk({b}))))", &hash[..40]),
        format!("wsh(or_i(and_v(v:pkh({a}),hash256({hash})),or_b(pk({b}),a:ripemd160({}))))", &hash[..40]),
        format!("tr({x},{{and_v(v:pk({y}),older(5)),sortedmulti_a(2,{x},{y})}})"),
        format!("tr(musig({a},{b}))"),
        format!("tr(musig({TPUB},{TPUB}/1)/0/*,pk(musig({a},{c})))"),
        format!("unused({TPUB})"),
        format!("tr([00000000/86h/1h/0h]{TPUB}/<0;1;2>/*)"),
        // Wrong ones.
        format!("wpkh({a}"),
        format!("multi(3,{a})"),
        format!("sh(sh(pk({a})))"),
        format!("wsh(wpkh({a}))"),
        format!("pk([zzzzzzzz]{a})"),
        format!("wsh(and_v(pk({a}),after(0)))"),
        format!("wsh(thresh(3,pk({a}),pk({a})))"),
        format!("pkh({TPUB}/<0>/*/1h)"),
        format!("tr({x},{{pk({y})}})#aaaaaaaa"),
        format!("tr(musig({a})/0h/*)"),
        "unknown()".to_owned(),
        // What multipath, musig, trees and limits are about.
        format!("wpkh({TPUB}/<0;0>/*)"),
        format!("wpkh({TPUB}/<0;1>/<2;3>/*)"),
        format!("multi(2,{TPUB}/<0;1>/*,{TPUB}/<2;3;4>/*)"),
        format!("multi(2,{TPUB}/<0;1>/*,{TPUB}/<2;3>/*)"),
        format!("wpkh([00000000/<0;1>]{TPUB}/*)"),
        format!("wpkh({TPUB}/<0;1/*)"),
        format!("wpkh({TPUB}/4294967296)"),
        format!("wpkh({TPUB}/x)"),
        format!("wpkh(musig({a},{b}))"),
        format!("rawtr(musig({a},{b}))"),
        format!("wsh(and_v(v:pk({a}),older(70000)))"),
        format!("wsh(and_v(v:pk({a}),older(4259840)))"),
        format!("sh(wsh(and_v(v:pk({a}),older(70000))))"),
        format!("tr({x},and_v(v:pk({y}),older(70000)))"),
        "wsh(or_i(after(1000),after(600000000)))".to_owned(),
        format!("wsh(and_v(v:pk({a}),and_v(v:after(1000),after(600000000))))"),
        format!("wsh(and_v(v:pk({a}),pk({a})))"),
        "wsh(after(5))".to_owned(),
        format!("wsh(and_v(v:pk({a}),0))"),
        format!("wsh(sortedmulti(1,{a},{b}))"),
        format!("sh(sortedmulti(2,{a},{b}))"),
        format!("sh(wsh(sortedmulti(1,{a},{b})))"),
        format!("sh(pkh({a}))"),
        format!("multi(0,{a})"),
        format!("multi(1,{a},{b},{c},{a})"),
        format!("multi(x,{a})"),
        "multi(1)".to_owned(),
        format!("sh(multi(1,{a}"),
        format!("sh(combo({a}))"),
        "wsh(addr(x))".to_owned(),
        format!("sh(tr({x}))"),
        format!("sh(rawtr({x}))"),
        format!("rawtr({x},{y})"),
        "sh(raw(51))".to_owned(),
        format!("multi_a(1,{x})"),
        format!("tr({x},multi(1,{y}))"),
        format!("tr({x}"),
        format!("tr({x},pk({y})"),
        format!("tr({x},{{pk({y}),{{pk({x}),multi_a(1,{y})}}}})"),
        format!("tr({TPRV}/1,pk({TPRV}/2h/*h))"),
        format!("sh(multi(1{}))", format!(",{a}").repeat(16)),
        format!("tr({x},{}pk({y}){})", "{".repeat(130), "}".repeat(130)),
        format!("wsh(and_v(v:pk({TPRV}/0h/*h),or_d(pk({WIF}),hash160({}))))", &hash[..40]),
        format!("wsh(and_v(v:pk([00000001/5h]{TPUB}/*),or_c(pk({b}),v:ripemd160({}))))", &hash[..40]),
        format!(
            "pkh(04{})",
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
        ),
        format!(
            "wpkh(04{})",
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
        ),
        format!(
            "pkh(06{})",
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
        ),
        "raw(zz)".to_owned(),
        "addr(mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn)".to_owned(),
        "addr(bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka)".to_owned(),
        format!("pk({a})#"),
        format!("pk({a})#aaaaaaaa#b"),
        format!("pk([d34db33f/44'/0h]{a})"),
        format!("pk([d34db33f/44'/0h){a}"),
        format!("pk([d34db33f]]{a})"),
    ];
    texts.map(String::into_bytes).to_vec()
}

/// Fills in what an input and an output of a PSBT may have.
pub fn fill(psbt: &mut Psbt, previous: Transaction) {
    let key: bitcoin::PublicKey = KEYS[0].parse().unwrap();
    let (x_only, _) = key.inner.x_only_public_key();
    let script = || ScriptBuf::from(vec![0x51]);
    let source = || ("00000007".parse().unwrap(), "m/84h/0/5".parse().unwrap());
    let unknown = raw::Key { type_value: 0xf0, key: vec![1, 2] };
    let proprietary = raw::ProprietaryKey { prefix: b"bulkhead".to_vec(), subtype: 1, key: vec![3] };
    let leaf = bitcoin::TapLeafHash::from_byte_array([5; 32]);
    let signature = bitcoin::secp256k1::schnorr::Signature::from_slice(&[6; 64]).unwrap();
    let taproot = bitcoin::taproot::Signature { signature, sighash_type: bitcoin::TapSighashType::All };
    let der = "3045022100c5bbd3cc0b66ddb6ce6d5e4ab9b1a0b6fd2c5f3bd9a0a1c2f9d5d7b3b1a1c1d1022012345678901234567890123456789012345678901234567890123456789012ab";
    let input = &mut psbt.inputs[0];
    input.non_witness_utxo = Some(previous);
    input.sighash_type = Some(bitcoin::psbt::PsbtSighashType::from_u32(1));
    input.redeem_script = Some(script());
    input.witness_script = Some(script());
    input.bip32_derivation.insert(key.inner, source());
    if let Ok(signature) = der.parse() {
        let ecdsa = bitcoin::ecdsa::Signature { signature, sighash_type: bitcoin::EcdsaSighashType::All };
        input.partial_sigs.insert(key, ecdsa);
    }
    input.ripemd160_preimages.insert(ripemd160::Hash::hash(b"a"), b"a".to_vec());
    input.sha256_preimages.insert(sha256::Hash::hash(b"b"), b"b".to_vec());
    input.hash160_preimages.insert(hash160::Hash::hash(b"c"), b"c".to_vec());
    input.hash256_preimages.insert(sha256d::Hash::hash(b"d"), b"d".to_vec());
    input.tap_key_sig = Some(taproot);
    input.tap_script_sigs.insert((x_only, leaf), taproot);
    input.tap_key_origins.insert(x_only, (vec![leaf], source()));
    input.tap_internal_key = Some(x_only);
    input.tap_merkle_root = Some(bitcoin::TapNodeHash::from_byte_array([7; 32]));
    input.proprietary.insert(proprietary.clone(), vec![4]);
    input.unknown.insert(unknown.clone(), vec![5]);
    let output = &mut psbt.outputs[0];
    output.redeem_script = Some(script());
    output.witness_script = Some(script());
    output.bip32_derivation.insert(key.inner, source());
    output.tap_internal_key = Some(x_only);
    output.tap_key_origins.insert(x_only, (vec![leaf], source()));
    output.proprietary.insert(proprietary.clone(), vec![4]);
    output.unknown.insert(unknown.clone(), vec![5]);
    psbt.proprietary.insert(proprietary, vec![6]);
    psbt.unknown.insert(unknown, vec![7]);
}

/// Puts the end of an input in place of what led to it.
pub fn finish(psbt: &mut Psbt) {
    psbt.inputs[0].final_script_sig = Some(vec![0x51].into());
    psbt.inputs[0].final_script_witness = Some(Witness::from_slice(&[[1; 3]]));
}

/// A record of every kind that is read.
pub fn records(tx: &Transaction) -> Vec<Vec<u8>> {
    let block = bitcoin::BlockHash::from_byte_array([3; 32]);
    let (id, public) = ([7; 32], KEYS[0].parse().unwrap());
    let address = || "bcrt1qqqq".to_owned();
    let of_state = |state| Record::Transaction(Box::new(WalletTx::new(tx.clone(), state)));
    let told = WalletTx {
        from: Some("a".into()),
        message: Some("b".into()),
        comment: Some("c".into()),
        comment_to: Some("d".into()),
        replaces: Some(tx.compute_txid()),
        replaced_by: Some(tx.compute_txid()),
        order_pos: 5,
        time_smart: 7,
        messages: vec!["e".into()],
        payment_requests: vec![vec![1]],
        ..WalletTx::new(tx.clone(), TxState::Inactive { abandoned: false })
    };
    let cached = |slot| Record::Cache(Box::new(CacheRecord { id, position: 1, slot, xpub: [2; 74] }));
    let master = MasterKey { crypted_key: vec![1; 48], salt: vec![2; 8], method: 0, iterations: 25_000, other: Vec::new() };
    let descriptor = WalletDescriptor {
        id,
        descriptor: bulkhead_rpc_util::with_checksum(&format!("pk({})", KEYS[0])),
        creation_time: 7,
        next_index: 0,
        range_start: 0,
        range_end: 1,
    };
    let records = [
        Record::Name { address: address(), label: "coffee".into() },
        Record::Purpose { address: address(), purpose: "send".into() },
        Record::DestinationData { address: address(), key: "rr0".into(), value: "x".into() },
        of_state(TxState::Confirmed { block, position: 2 }),
        of_state(TxState::BlockConflicted { block }),
        of_state(TxState::Inactive { abandoned: true }),
        Record::Transaction(Box::new(told)),
        Record::OrderPosNext(7),
        Record::BestBlock(Locator { have: vec![block] }),
        Record::BestBlockNoMerkle(Locator { have: vec![block; 3] }),
        Record::Flags(1 << 34),
        Record::MinVersion(169_900),
        Record::Version(319_900),
        Record::LockedUtxo(bitcoin::OutPoint { txid: tx.compute_txid(), vout: 1 }),
        Record::Active { output_type: 2, internal: true, id },
        Record::Descriptor(Box::new(descriptor)),
        cached(CacheSlot::Parent),
        cached(CacheSlot::Derived(5)),
        cached(CacheSlot::LastHardened),
        Record::MasterKey(1, master),
        Record::Key { id, public, der: vec![9; 214], checksum: [1; 32] },
        Record::CryptedKey { id, public, secret: vec![8; 48] },
    ];
    let encoded = records.iter().map(|record| {
        let (key, value) = record.encode();
        with(u8::try_from(key.len()).unwrap(), &[key, value].concat())
    });
    encoded.collect()
}

/// Lines of bitcoin.conf, right and wrong.
pub fn config_lines() -> Vec<Vec<u8>> {
    let texts = [
        "-server=1\n",
        "rpcpassword=a#b\n",
        "noserver\n",
        "server\n",
        "noserver=0\nrpcport=1\nrpcport=2\n",
        "conf=x\n",
        "[test\nx=1\n",
        "includeconf=x\n[main]\nincludeconf=y\nwallet=a\n",
        "chain=regtest\nsignet=1\n",
        "  spaces = kept # comment \n\n[signet]\nunknown=1\n",
        "includeconf=more.conf\n\0server=1\nincludeconf=other.conf\n",
        "regtest=1\n[regtest]\nincludeconf=more.conf\n\0[regtest]\nserver=1\nincludeconf=x\nchain=test\n",
        "includeconf=more.conf\n\0reindex=1\ntestnet=1\n",
        "includeconf=folder\n",
        "includeconf=none.conf\n",
        "datadir=/none.dir\n",
        "datadir=/folder\nnoincludeconf=1\nincludeconf=more.conf\n",
        "-server=1\n\0",
        "nonsense=1\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Bodies that are no calls, or calls of another kind.
pub fn bodies() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"jsonrpc":"2.0","method":"help","params":{"command":"x"}}"#,
        r#"{"jsonrpc":"1.0","id":"a","method":"help","params":null}"#,
        r#"{"jsonrpc":2,"id":1,"method":"help"}"#,
        r#"{"jsonrpc":"3.0","id":1,"method":"help"}"#,
        r#"{"id":{},"method":"help"}"#,
        r#"{"method":1}"#,
        r#"{"id":1}"#,
        r#"{"method":"help","params":"x"}"#,
        r#"{"method":"a","method":"b","params":[],"params":{}}"#,
        "[]",
        "[1,{},[]]",
        "7",
        r#"{"method":"help" "#,
        r#"{"id":1.5,"method":"help","params":[null,true,1.5,-1,18446744073709551616,"a",{"b":[]},[[]]]}"#,
        r#"{"id":true,"method":false,"params":null}"#,
        r#"{"jsonrpc":null,"id":null,"method":"help","params":{"a":null,"b":true,"c":1.5,"d":-1,"e":{},"f":[]}}"#,
        r#"{"jsonrpc":true,"method":1.5,"params":7}"#,
        r#"{"jsonrpc":[],"method":{},"params":"x"}"#,
        r#"[null,true,1.5,-1,"a",{"method":"help"}]"#,
        "null",
        "true",
        "1.5",
        "-1",
        "\"text\"",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
