//! Values of each network (Core: `kernel/chainparams.cpp`).

use bitcoin::consensus::Encodable;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, Target, VarInt, Work};

use crate::genesis;
use crate::params::{AssumeUtxo, Bip9, ChainTxData, Params, ScriptException};

/// Challenge of the default signet.
const SIGNET_CHALLENGE: [u8; 71] = [
    0x51, 0x21, 0x03, 0xad, 0x5e, 0x0e, 0xda, 0xd1, 0x8c, 0xb1, 0xf0, 0xfc, 0x0d, 0x28, 0xa3, 0xd4, 0xf1, 0xf3, 0xe4, 0x45, 0x64,
    0x03, 0x37, 0x48, 0x9a, 0xbb, 0x10, 0x40, 0x4f, 0x2d, 0x1e, 0x08, 0x6b, 0xe4, 0x30, 0x21, 0x03, 0x59, 0xef, 0x50, 0x21, 0x96,
    0x4f, 0xe2, 0x2d, 0x6f, 0x8e, 0x05, 0xb2, 0x46, 0x3c, 0x95, 0x40, 0xce, 0x96, 0x88, 0x3f, 0xe3, 0xb2, 0x78, 0x76, 0x0f, 0x04,
    0x8f, 0x51, 0x89, 0xf2, 0xe6, 0xc4, 0x52, 0xae,
];

/// Parameters by Core's network name; `None` for an unknown one. Signet gets the default challenge.
pub fn by_name(name: &str) -> Option<Params> {
    match name {
        "main" => Some(main()),
        "test" => Some(testnet3()),
        "testnet4" => Some(testnet4()),
        "signet" => Some(signet(None)),
        "regtest" => Some(regtest()),
        _ => None,
    }
}

fn hash(text: &str) -> BlockHash {
    text.parse().expect("constants of this file are 64 hex digits")
}

fn work(text: &str) -> Work {
    Work::from_unprefixed_hex(text).expect("constants of this file are hex numbers")
}

fn limit(text: &str) -> Target {
    Target::from_unprefixed_hex(text).expect("constants of this file are hex numbers")
}

fn test_dummy(start_time: i64, period: i32, threshold: i32) -> Vec<Bip9> {
    vec![Bip9 { name: "testdummy", bit: 28, start_time, timeout: Bip9::NO_TIMEOUT, min_activation_height: 0, period, threshold }]
}

fn snapshot(height: i32, hash_serialized: &'static str, chain_tx_count: u64, block_hash: &'static str) -> AssumeUtxo {
    AssumeUtxo { height, hash_serialized, chain_tx_count, block_hash }
}

/// The main network.
pub fn main() -> Params {
    let genesis = genesis::classic(1231006505, 2083236893, 0x1d00ffff);
    Params {
        name: "main",
        magic: [0xf9, 0xbe, 0xb4, 0xd9],
        genesis_hash: genesis.block_hash(),
        genesis,
        subsidy_halving_interval: 210_000,
        script_exceptions: vec![
            ScriptException {
                hash: hash("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22"),
                p2sh_and_witness: false,
            },
            ScriptException {
                hash: hash("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad"),
                p2sh_and_witness: true,
            },
        ],
        bip34_height: 227_931,
        bip34_hash: Some(hash("000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8")),
        bip65_height: 388_381,
        bip66_height: 363_725,
        csv_height: 419_328,
        segwit_height: 481_824,
        min_bip9_warning_height: 711_648,
        deployments: test_dummy(Bip9::NEVER_ACTIVE, 2016, 1815),
        pow_limit: limit("00000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        allow_min_difficulty: false,
        enforce_bip94: false,
        no_retargeting: false,
        target_spacing: 600,
        target_timespan: 14 * 24 * 60 * 60,
        minimum_chain_work: work("0000000000000000000000000000000000000001128750f82f4c366153a3a030"),
        assume_valid: Some(hash("00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac")),
        signet_challenge: None,
        prune_after_height: 100_000,
        chain_tx_data: ChainTxData { time: 1_772_055_173, tx_count: 1_315_805_869, tx_rate: 5.40111006496122 },
        assume_utxo: vec![
            snapshot(
                840_000,
                "a2a5521b1b5ab65f67818e5e8eccabb7171a517f9e2382208f77687310768f96",
                991_032_194,
                "0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5",
            ),
            snapshot(
                880_000,
                "dbd190983eaf433ef7c15f78a278ae42c00ef52e0fd2a54953782175fbadcea9",
                1_145_604_538,
                "000000000000000000010b17283c3c400507969a9c2afd1dcf2082ec5cca2880",
            ),
            snapshot(
                910_000,
                "4daf8a17b4902498c5787966a2b51c613acdab5df5db73f196fa59a4da2f1568",
                1_226_586_151,
                "0000000000000000000108970acb9522ffd516eae17acddcb1bd16469194a821",
            ),
            snapshot(
                935_000,
                "e4b90ef9eae834f56c4b64d2d50143cee10ad87994c614d7d04125e2a6025050",
                1_305_397_408,
                "0000000000000000000147034958af1652b2b91bba607beacc5e72a56f0fb5ee",
            ),
        ],
    }
}

/// Testnet version 3.
pub fn testnet3() -> Params {
    let genesis = genesis::classic(1296688602, 414098458, 0x1d00ffff);
    Params {
        name: "test",
        magic: [0x0b, 0x11, 0x09, 0x07],
        genesis_hash: genesis.block_hash(),
        genesis,
        script_exceptions: vec![ScriptException {
            hash: hash("00000000dd30457c001f4095d208cc1296b0eed002427aa599874af7a432b105"),
            p2sh_and_witness: false,
        }],
        bip34_height: 21_111,
        bip34_hash: Some(hash("0000000023b3a96d3484e5abb3755c413e7d41500f8e2a5c3f0dd01299cd8ef8")),
        bip65_height: 581_885,
        bip66_height: 330_776,
        csv_height: 770_112,
        segwit_height: 834_624,
        min_bip9_warning_height: 2_013_984,
        deployments: test_dummy(Bip9::NEVER_ACTIVE, 2016, 1512),
        allow_min_difficulty: true,
        minimum_chain_work: work("0000000000000000000000000000000000000000000017dde1c649f3708d14b6"),
        assume_valid: Some(hash("000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4")),
        prune_after_height: 1000,
        chain_tx_data: ChainTxData { time: 1_772_051_651, tx_count: 536_108_416, tx_rate: 0.02691479016257117 },
        assume_utxo: vec![
            snapshot(
                2_500_000,
                "f841584909f68e47897952345234e37fcd9128cd818f41ee6c3ca68db8071be7",
                66_484_552,
                "0000000000000093bcb68c03a9a168ae252572d348a2eaeba2cdf9231d73206f",
            ),
            snapshot(
                4_840_000,
                "ce6bb677bb2ee9789c4a1c9d73e6683c53fc20e8fdbedbdaaf468982a0c8db2a",
                536_078_574,
                "00000000000000f4971a7fb37fbdff89315b69a2e1920c467654a382f0d64786",
            ),
        ],
        ..main()
    }
}

/// Testnet version 4 (BIP94).
pub fn testnet4() -> Params {
    let genesis = genesis::testnet4();
    Params {
        name: "testnet4",
        magic: [0x1c, 0x16, 0x3f, 0x28],
        genesis_hash: genesis.block_hash(),
        genesis,
        script_exceptions: Vec::new(),
        bip34_height: 1,
        bip34_hash: None,
        bip65_height: 1,
        bip66_height: 1,
        csv_height: 1,
        segwit_height: 1,
        min_bip9_warning_height: 0,
        deployments: test_dummy(Bip9::NEVER_ACTIVE, 2016, 1512),
        allow_min_difficulty: true,
        enforce_bip94: true,
        minimum_chain_work: work("0000000000000000000000000000000000000000000009a0fe15d0177d086304"),
        assume_valid: Some(hash("0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a")),
        prune_after_height: 1000,
        chain_tx_data: ChainTxData { time: 1_772_013_387, tx_count: 14_191_421, tx_rate: 0.01848579579528412 },
        assume_utxo: vec![
            snapshot(
                90_000,
                "784fb5e98241de66fdd429f4392155c9e7db5c017148e66e8fdbc95746f8b9b5",
                11_347_043,
                "0000000002ebe8bcda020e0dd6ccfbdfac531d2f6a81457191b99fc2df2dbe3b",
            ),
            snapshot(
                120_000,
                "10b05d05ad468d0971162e1b222a4aa66caca89da2bb2a93f8f37fb29c4794b0",
                14_141_057,
                "000000000bd2317e51b3c5794981c35ba894ce27d3e772d5c39ecd9cbce01dc8",
            ),
        ],
        ..main()
    }
}

/// Signet; with `challenge` a custom one.
pub fn signet(challenge: Option<Vec<u8>>) -> Params {
    let genesis = genesis::classic(1598918400, 52613770, 0x1e0377ae);
    let is_default = challenge.is_none();
    let challenge = challenge.unwrap_or_else(|| SIGNET_CHALLENGE.to_vec());
    let (minimum, assume_valid, chain_tx_data) = if is_default {
        (
            "00000000000000000000000000000000000000000000000000000b463ea0a4b8",
            Some(hash("00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329")),
            ChainTxData { time: 1_772_055_248, tx_count: 28_676_833, tx_rate: 0.06736623436338929 },
        )
    } else {
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            None,
            ChainTxData { time: 0, tx_count: 0, tx_rate: 0.0 },
        )
    };
    Params {
        name: "signet",
        magic: signet_magic(&challenge),
        genesis_hash: genesis.block_hash(),
        genesis,
        pow_limit: limit("00000377ae000000000000000000000000000000000000000000000000000000"),
        allow_min_difficulty: false,
        enforce_bip94: false,
        deployments: test_dummy(Bip9::NEVER_ACTIVE, 2016, 1815),
        minimum_chain_work: work(minimum),
        assume_valid,
        signet_challenge: Some(challenge),
        chain_tx_data,
        assume_utxo: vec![
            snapshot(
                160_000,
                "fe0a44309b74d6b5883d246cb419c6221bcccf0b308c9b59b7d70783dbdf928a",
                2_289_496,
                "0000003ca3c99aff040f2563c2ad8f8ec88bd0fd6b8f0895cfaf1ef90353a62c",
            ),
            snapshot(
                290_000,
                "97267e000b4b876800167e71b9123f1529d13b14308abec2888bbd2160d14545",
                28_547_497,
                "0000000577f2741bb30cd9d39d6d71b023afbeb9764f6260786a97969d5c9ac0",
            ),
        ],
        ..testnet4()
    }
}

/// Message start of a signet: the first four bytes of the double SHA-256 of its serialized challenge.
fn signet_magic(challenge: &[u8]) -> [u8; 4] {
    let mut engine = sha256d::Hash::engine();
    VarInt::from(challenge.len()).consensus_encode(&mut engine).expect("hash engines never fail");
    bitcoin::hashes::HashEngine::input(&mut engine, challenge);
    let digest = sha256d::Hash::from_engine(engine).to_byte_array();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The regression test network.
pub fn regtest() -> Params {
    let genesis = genesis::classic(1296688602, 2, 0x207fffff);
    Params {
        name: "regtest",
        magic: [0xfa, 0xbf, 0xb5, 0xda],
        genesis_hash: genesis.block_hash(),
        genesis,
        subsidy_halving_interval: 150,
        segwit_height: 0,
        deployments: test_dummy(0, 144, 108),
        pow_limit: limit("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        allow_min_difficulty: true,
        enforce_bip94: false,
        no_retargeting: true,
        target_timespan: 24 * 60 * 60,
        minimum_chain_work: Work::from_be_bytes([0; 32]),
        assume_valid: None,
        chain_tx_data: ChainTxData { time: 0, tx_count: 0, tx_rate: 0.001 },
        assume_utxo: vec![
            snapshot(
                110,
                "86e9a1205b418b16dde3a18a78c730e30137e28466bda5dbf6b33ab8fc05447c",
                111,
                "135eec25a6fb277884e5824e7aa7d052c4868161c99a5122170b5266f86c273d",
            ),
            snapshot(
                200,
                "17dcc016d188d16068907cdeb38b75691a118d43053b8cd6a25969419381d13a",
                201,
                "385901ccbd69dff6bbd00065d01fb8a9e464dede7cfe0372443884f9b1dcf6b9",
            ),
            snapshot(
                299,
                "106b2c56233e378a824cf0d5ff2be42ed32c72f1605c9be288d00942908a40ac",
                334,
                "0c552ced4721c249a389eb9b08cb8da261cd46f0e7b5f9d064d48f3113406853",
            ),
        ],
        ..testnet4()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn default_signet_magic_is_the_known_one() {
        assert_eq!(signet(None).magic, [0x0a, 0x03, 0xcf, 0x40]);
    }

    #[test]
    fn networks_are_found_by_their_core_names() {
        for name in ["main", "test", "testnet4", "signet", "regtest"] {
            assert_eq!(by_name(name).unwrap().name, name);
        }
        assert!(by_name("mainnet").is_none());
    }

    #[test]
    fn every_chain_but_the_main_one_is_for_tests() {
        assert!(!main().is_test_chain());
        assert!([testnet3(), testnet4(), signet(None), regtest()].iter().all(Params::is_test_chain));
    }

    #[test]
    fn regtest_does_not_inherit_testnet4_rules() {
        let params = regtest();
        assert!(!params.enforce_bip94);
        assert!(params.no_retargeting);
        assert_eq!(params.difficulty_interval(), 144);
    }
}
