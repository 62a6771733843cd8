//! The first block of each network, built as Core's `CreateGenesisBlock` does.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
};

const TIMES: &[u8] = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
const TESTNET4: &[u8] = b"03/May/2024 000000000000000000001ebd58c244970b3aa9d783bb001011fbe8ea8e98e00e";
const SATOSHI_KEY: [u8; 65] = [
    0x04, 0x67, 0x8a, 0xfd, 0xb0, 0xfe, 0x55, 0x48, 0x27, 0x19, 0x67, 0xf1, 0xa6, 0x71, 0x30, 0xb7, 0x10, 0x5c, 0xd6, 0xa8, 0x28,
    0xe0, 0x39, 0x09, 0xa6, 0x79, 0x62, 0xe0, 0xea, 0x1f, 0x61, 0xde, 0xb6, 0x49, 0xf6, 0xbc, 0x3f, 0x4c, 0xef, 0x38, 0xc4, 0xf3,
    0x55, 0x04, 0xe5, 0x1e, 0xc1, 0x12, 0xde, 0x5c, 0x38, 0x4d, 0xf7, 0xba, 0x0b, 0x8d, 0x57, 0x8a, 0x4c, 0x70, 0x2b, 0x6b, 0xf1,
    0x1d, 0x5f,
];

/// Genesis block of main, testnet3, signet and regtest: they differ in time, nonce and bits only.
pub fn classic(time: u32, nonce: u32, bits: u32) -> Block {
    build(TIMES, &SATOSHI_KEY, time, nonce, bits)
}

/// Genesis block of testnet4.
pub fn testnet4() -> Block {
    build(TESTNET4, &[0; 33], 1_714_777_860, 393_743_547, 0x1d00_ffff)
}

fn build(message: &[u8], key: &[u8], time: u32, nonce: u32, bits: u32) -> Block {
    let mut script_sig = vec![0x04, 0xff, 0xff, 0x00, 0x1d, 0x01, 0x04];
    push(&mut script_sig, message);
    let mut script_pubkey = Vec::new();
    push(&mut script_pubkey, key);
    script_pubkey.push(0xac); // OP_CHECKSIG
    let coinbase = Transaction {
        version: bitcoin::transaction::Version(1),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script_sig),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(5_000_000_000), script_pubkey: ScriptBuf::from_bytes(script_pubkey) }],
    };
    let header = Header {
        version: Version::from_consensus(1),
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::from_raw_hash(coinbase.compute_txid().to_raw_hash()),
        time,
        bits: CompactTarget::from_consensus(bits),
        nonce,
    };
    Block { header, txdata: vec![coinbase] }
}

/// Pushes fewer than 256 bytes the way `CScript << vector` does.
fn push(script: &mut Vec<u8>, data: &[u8]) {
    if data.len() >= 0x4c {
        script.push(0x4c); // OP_PUSHDATA1
    }
    script.push(data.len() as u8); // constants above are shorter than 256 bytes
    script.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genesis_hashes_are_the_known_ones() {
        let cases = [
            (classic(1231006505, 2083236893, 0x1d00ffff), "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
            (classic(1296688602, 414098458, 0x1d00ffff), "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
            (classic(1598918400, 52613770, 0x1e0377ae), "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
            (classic(1296688602, 2, 0x207fffff), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
            (testnet4(), "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
        ];
        for (block, hash) in cases {
            assert_eq!(block.block_hash().to_string(), hash);
        }
    }
}
