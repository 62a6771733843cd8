#![allow(clippy::unwrap_used, clippy::panic)]
use super::descriptor::CacheSlot;
use super::*;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use core::str::FromStr;

fn key() -> PublicKey {
    PublicKey::from_str("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap()
}

fn tx() -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::all_zeros(), vout: 3 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[vec![1, 2], vec![]]),
        }],
        output: vec![TxOut { value: Amount::from_sat(5), script_pubkey: ScriptBuf::from(vec![0x51]) }],
    }
}

fn all() -> Vec<Record> {
    let mut wallet_tx = WalletTx::new(tx(), TxState::Confirmed { block: BlockHash::from_byte_array([7; 32]), position: 4 });
    wallet_tx.comment = Some("rent".into());
    wallet_tx.replaces = Some(Txid::from_byte_array([9; 32]));
    wallet_tx.order_pos = 12;
    wallet_tx.time_smart = 1_700_000_000;
    wallet_tx.time_received = 1_700_000_001;
    wallet_tx.messages.push("hello".into());
    let xpub = [3; 74];
    vec![
        Record::Name { address: "a".into(), label: "b".into() },
        Record::Purpose { address: "a".into(), purpose: "receive".into() },
        Record::DestinationData { address: "a".into(), key: "used".into(), value: "1".into() },
        Record::Transaction(Box::new(wallet_tx)),
        Record::OrderPosNext(-5),
        Record::BestBlock(Locator::default()),
        Record::BestBlockNoMerkle(Locator {
            have: vec![BlockHash::from_byte_array([1; 32]), BlockHash::from_byte_array([2; 32])],
        }),
        Record::Flags(crate::flags::DESCRIPTORS),
        Record::MinVersion(169_900),
        Record::Version(319_900),
        Record::LockedUtxo(OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 1 }),
        Record::Active { output_type: 2, internal: true, id: [4; 32] },
        Record::Active { output_type: 3, internal: false, id: [4; 32] },
        Record::Descriptor(Box::new(WalletDescriptor {
            id: [1; 32],
            descriptor: "raw(51)#aaaaaaaa".into(),
            creation_time: 8,
            next_index: 1,
            range_start: 0,
            range_end: 2,
        })),
        Record::Cache(Box::new(CacheRecord { id: [1; 32], position: 0, slot: CacheSlot::Parent, xpub })),
        Record::Cache(Box::new(CacheRecord { id: [1; 32], position: 0, slot: CacheSlot::Derived(9), xpub })),
        Record::Cache(Box::new(CacheRecord { id: [1; 32], position: 2, slot: CacheSlot::LastHardened, xpub })),
        Record::MasterKey(
            1,
            MasterKey { crypted_key: vec![1; 48], salt: vec![2; 8], method: 0, iterations: 25_000, other: vec![] },
        ),
        Record::Key { id: [1; 32], public: key(), der: vec![0x30; 214], checksum: [6; 32] },
        Record::CryptedKey { id: [1; 32], public: key(), secret: vec![1; 48] },
        Record::Other { key: b"\x04what".to_vec(), value: vec![1] },
    ]
}

#[test]
fn every_record_round_trips_and_refuses_surplus_and_missing_bytes() {
    for record in all() {
        let (key, value) = record.encode();
        assert_eq!(Record::decode(&key, &value).unwrap(), record);
        if matches!(record, Record::Other { .. }) {
            continue;
        }
        let mut longer = value.clone();
        longer.push(0);
        assert!(Record::decode(&key, &longer).is_err(), "{record:?} with a surplus byte");
        assert!(Record::decode(&key, &value[..value.len() - 1]).is_err(), "{record:?} cut");
        let mut longer = key.clone();
        longer.push(0);
        assert!(Record::decode(&longer, &value).is_err(), "{record:?} with a longer key");
    }
}

#[test]
fn keys_are_spelt_as_in_core() {
    assert_eq!(Record::Flags(1).encode(), (b"\x05flags".to_vec(), vec![1, 0, 0, 0, 0, 0, 0, 0]));
    let (key, value) = Record::Active { output_type: 1, internal: false, id: [0xab; 32] }.encode();
    assert_eq!(key, b"\x11activeexternalspk\x01");
    assert_eq!(value, [0xab; 32]);
    let (key, value) = Record::CryptedKey { id: [1; 32], public: self::key(), secret: vec![9] }.encode();
    assert!(key.starts_with(b"\x14walletdescriptorckey\x01\x01"));
    assert_eq!((key.len(), key[53]), (21 + 32 + 1 + 33, 33));
    assert_eq!(value, [1, 9]);
    assert_eq!(Record::BestBlock(Locator::default()).encode().1, [0x80, 0x11, 1, 0, 0]);
}

#[test]
fn states_of_a_transaction_have_core_s_numbers() {
    let stored = |state| {
        let (_, value) = Record::Transaction(Box::new(WalletTx::new(tx(), state))).encode();
        let at = bitcoin::consensus::serialize(&tx()).len();
        (value[at], i32::from_le_bytes(value[at + 33..at + 37].try_into().unwrap()))
    };
    assert_eq!(stored(TxState::Inactive { abandoned: false }), (0, 0));
    assert_eq!(stored(TxState::Inactive { abandoned: true }), (1, -1));
    assert_eq!(stored(TxState::BlockConflicted { block: BlockHash::from_byte_array([7; 32]) }), (7, -1));
    assert_eq!(stored(TxState::Confirmed { block: BlockHash::from_byte_array([7; 32]), position: 2 }), (7, 2));
}

#[test]
fn secret_records_are_not_public() {
    for record in all() {
        let (key, _) = record.encode();
        let secret = matches!(record, Record::MasterKey(..) | Record::Key { .. } | Record::CryptedKey { .. });
        assert_eq!(is_public(&key), !secret, "{record:?}");
    }
    assert!(!is_public(&[0xff, 1, 2]));
    assert!(!is_public(&[]));
}
