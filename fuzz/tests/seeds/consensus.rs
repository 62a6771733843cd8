//! What both engines judge: spends, transactions and blocks.

use crate::{Seeds, with};

/// Scripts of every kind, with what satisfies them.
fn script_cases() -> Vec<Vec<u8>> {
    use bulkhead_fuzz::script_case::{BARE, Case, P2SH, P2SH_P2WSH, P2WSH, RAW, SIGN, TAPROOT_LEAF, TAPSCRIPT, public_key, push};
    let key = |which: u8| push(&public_key(which));
    let x_only = |which: u8| push(&public_key(which)[1..]);
    let sign = |hash_type: u8, which: u8| vec![SIGN, hash_type, which];
    let plain = |script: Vec<u8>, elements: &[&[u8]]| Case {
        flags: 0x80,
        script,
        elements: elements.iter().map(|element| element.to_vec()).collect(),
        ..Case::default()
    };
    let signed =
        |mode: u8, script: Vec<u8>, elements: Vec<Vec<u8>>| Case { flags: 0x80, mode, script, elements, ..Case::default() };
    let multisig = [&[0x52][..], &key(0), &key(1), &key(2), &[0x53, 0xae]].concat();
    let both = vec![Vec::new(), sign(1, 0), sign(1, 2)];
    let add = [&x_only(0)[..], &[0xac], &x_only(1), &[0xba], &x_only(2), &[0xba, 0x52, 0x9c]].concat();
    let mut cases = vec![
        plain(vec![0x51], &[]),
        plain(vec![0x93, 0x55, 0x9c], &[&[2], &[3]]),
        plain(vec![0x63, 0x51, 0x67, 0x00, 0x68], &[&[1]]),
        plain(vec![0x76, 0x82, 0x77, 0xa8, 0xa9, 0x75, 0x51], &[b"abc"]),
        plain(vec![0x6b, 0x6c, 0x7c, 0x7b, 0x78, 0x79, 0x7a, 0x6e, 0x6f], &[&[1], &[2], &[3]]),
        plain(vec![0xb1, 0x75, 0x51], &[&[10]]),
        plain(vec![0xb2, 0x75, 0x51], &[&[1]]),
        plain(vec![0x61, 0xb0, 0xb3, 0x50, 0x51], &[]),
        plain([vec![0x4c, 3], b"abc".to_vec(), vec![0x4d, 1, 0, 7, 0x6d, 0x51]].concat(), &[]),
        signed(BARE, [&key(0)[..], &[0xac]].concat(), vec![sign(1, 0)]),
        signed(BARE, [&[0xab][..], &key(1), &[0xad, 0xab, 0x51]].concat(), vec![sign(0x83, 1)]),
        signed(BARE, multisig.clone(), both.clone()),
        signed(P2SH, multisig.clone(), both.clone()),
        signed(P2WSH, multisig.clone(), both.clone()),
        signed(P2SH_P2WSH, multisig, both),
        signed(P2WSH, [&key(2)[..], &[0xab, 0xac]].concat(), vec![sign(0x82, 2)]),
        signed(TAPSCRIPT, [&x_only(1)[..], &[0xac]].concat(), vec![sign(0, 1)]),
        signed(TAPSCRIPT, add, vec![sign(1, 2), Vec::new(), sign(0x81, 0)]),
        signed(TAPSCRIPT, vec![0x50, 0x6a, 0x7e], vec![vec![1]]),
        signed(TAPSCRIPT, [&[0xab][..], &x_only(0), &[0xad, 0x51]].concat(), vec![sign(3, 0)]),
    ];
    let annexed = signed(TAPROOT_LEAF, [&x_only(0)[..], &[0xac]].concat(), vec![sign(1, 0)]);
    cases.push(Case { flags: 0x80, rest: vec![1, 2, 3], ..annexed.clone() });
    cases.push(Case { flags: 0x81, ..annexed });
    let program = [&[0x00, 0x14][..], &[7; 20]].concat();
    cases.push(Case { mode: RAW, ..plain(program, &[&[], &[0x30, 0x45], &public_key(0)]) });
    let taproot = [&[0x51, 0x20][..], &public_key(1)[1..]].concat();
    cases.push(Case { mode: RAW, ..plain(taproot, &[&[], &[5; 64]]) });
    cases.push(Case { inputs: 0x46, times: 0x45, ..signed(P2WSH, [&key(0)[..], &[0xac]].concat(), vec![sign(0x81, 0)]) });
    cases.push(Case { flags: 0x03, ..signed(P2SH, [&key(0)[..], &[0xac]].concat(), vec![sign(1, 0)]) });
    // A number within bounds.
    cases.push(plain(vec![0xa5], &[&[3], &[1], &[5]]));
    cases.iter().map(Case::encode).collect()
}

/// A payment with and without witness, and blocks around it.
fn transactions_and_blocks() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    use bitcoin::consensus::serialize;
    use bulkhead_fuzz::script_case::Case;
    let genesis = bulkhead_consensus::networks::regtest().genesis;
    let case = Case { flags: 0x80, mode: 2, inputs: 1, script: vec![0x51], elements: vec![vec![1; 70]], ..Case::default() };
    let (payment, ..) = case.build();
    let (bare, ..) = Case { mode: 0, elements: vec![vec![1; 9]], ..case }.build();
    let coinbase = genesis.txdata[0].clone();
    let mut block = genesis.clone();
    block.txdata = vec![coinbase.clone(), payment.clone(), bare.clone()];
    // Eight outputs of one transaction are spent; then only the first, with a witness of one empty element.
    let mut siblings = payment.clone();
    siblings.input = vec![payment.input[0].clone(); 8];
    for (vout, input) in (0..).zip(&mut siblings.input) {
        input.previous_output.vout = vout;
        input.witness.clear();
    }
    let family = bitcoin::Block { txdata: vec![coinbase.clone(), siblings.clone()], ..genesis.clone() };
    siblings.input.truncate(1);
    siblings.input[0].witness.push([]);
    let blocks =
        [with(3, &serialize(&genesis)), with(6, &serialize(&block)), with(0, &serialize(&block)), with(6, &serialize(&family))];
    let transactions = [serialize(&coinbase), serialize(&payment), serialize(&bare), serialize(&siblings)];
    (transactions.to_vec(), blocks.to_vec())
}

pub fn seeds() -> Vec<Seeds> {
    let (transactions, blocks) = transactions_and_blocks();
    vec![("script_engines", script_cases()), ("transaction_codec", transactions), ("block_checks", blocks)]
}
