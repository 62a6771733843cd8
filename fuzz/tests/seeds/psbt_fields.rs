//! PSBTs with one kind of field each, right and wrong: what is wrong with one does not hide the others.

use bitcoin::hashes::{Hash, hash160, ripemd160, sha256, sha256d};

use crate::formats::transaction;

/// Number, key behind it, value.
type Field = (u8, Vec<u8>, Vec<u8>);

/// Points of the curve.
const POINT: [u8; 33] = point(0xc6, *b"\x04\x7f\x94\x41\xed\x7d\x6d\x30\x45\x40\x6e\x95\xc0\x7c\xd8\x5c\x77\x8e\x4b\x8c\xef\x3c\xa7\xab\xac\x09\xb9\x5c\x70\x9e\xe5");
const OTHER: [u8; 33] = point(0xf9, *b"\x30\x8a\x01\x92\x58\xc3\x10\x49\x34\x4f\x85\xf8\x9d\x52\x29\xb5\x31\xc8\x45\x83\x6f\x99\xb0\x86\x01\xf1\x13\xbc\xe0\x36\xf9");

const fn point(first: u8, rest: [u8; 31]) -> [u8; 33] {
    let mut point = [2; 33];
    point[1] = first;
    let mut at = 0;
    while at < 31 {
        point[2 + at] = rest[at];
        at += 1;
    }
    point
}

fn map(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, key, value) in fields {
        out.push(1 + u8::try_from(key.len()).unwrap());
        out.push(*number);
        out.extend(key);
        out.extend(bitcoin::consensus::serialize(value));
    }
    out.push(0);
    out
}

/// Version 0, of a transaction with one input and one output.
fn zero(global: &[Field], input: &[Field], output: &[Field]) -> Vec<u8> {
    let mut tx = transaction();
    tx.input.truncate(1);
    tx.output.truncate(1);
    tx.input[0].witness.clear();
    let global = [&[(0, Vec::new(), bitcoin::consensus::serialize(&tx))][..], global].concat();
    [&b"psbt\xff"[..], &map(&global), &map(input), &map(output)].concat()
}

/// Version 2, likewise.
fn two(global: &[Field], input: &[Field], output: &[Field]) -> Vec<u8> {
    let field = |number, value: &[u8]| (number, Vec::new(), value.to_vec());
    let version = [field(0x02, &[2, 0, 0, 0]), field(0x04, &[1]), field(0x05, &[1]), field(0xfb, &[2, 0, 0, 0])];
    let spent = [field(0x0e, &[3; 32]), field(0x0f, &[0; 4])];
    let paid = [field(0x03, &1000u64.to_le_bytes()), field(0x04, &[0x51])];
    let global = [&version[..], global].concat();
    [&b"psbt\xff"[..], &map(&global), &map(&[&spent[..], input].concat()), &map(&[&paid[..], output].concat())].concat()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let x_only = |point: [u8; 33]| point[1..].to_vec();
    let origin =
        |path: &[u32]| [&[0, 0, 0, 7][..], &path.iter().flat_map(|step| step.to_le_bytes()).collect::<Vec<_>>()].concat();
    let with_leaves = |path: &[u32]| [&[1][..], &[5; 32], &origin(path)].concat();
    let two_points = [POINT, OTHER].concat();
    let xpub =
        |last: u8, point: [u8; 33]| [&[0x04, 0x35, 0x87, 0xcf, 1, 0, 0, 0, 7, 0, 0, 0, last][..], &[9; 32], &point].concat();
    let control = |length: usize| [&[0xc0][..], &x_only(POINT), &vec![4; length]].concat();
    let secret = || b"secret".to_vec();
    let inputs: Vec<Vec<Field>> = vec![
        vec![(0x0a, ripemd160::Hash::hash(b"secret").to_byte_array().to_vec(), secret())],
        vec![(0x0b, sha256::Hash::hash(b"secret").to_byte_array().to_vec(), secret())],
        vec![(0x0c, hash160::Hash::hash(b"secret").to_byte_array().to_vec(), secret())],
        vec![(0x0d, sha256d::Hash::hash(b"secret").to_byte_array().to_vec(), secret())],
        vec![(0x0a, vec![1; 20], secret())],
        vec![(0x0b, vec![1; 32], secret())],
        vec![(0x0c, vec![1; 20], secret())],
        vec![(0x0d, vec![1; 32], secret())],
        vec![(0x0d, vec![1; 31], secret())],
        // Keys and signatures in an order that is not that of writing.
        vec![(0x06, OTHER.to_vec(), origin(&[5])), (0x06, POINT.to_vec(), origin(&[0x8000_0000, 1]))],
        vec![(0x06, OTHER.to_vec(), vec![1, 2, 3])],
        vec![
            (0x14, [x_only(OTHER), vec![5; 32]].concat(), vec![6; 64]),
            (0x14, [x_only(POINT), vec![5; 32]].concat(), vec![6; 65]),
        ],
        vec![(0x15, control(32), vec![0x51, 0xc0]), (0x15, control(0), vec![0x51, 0xc0]), (0x15, control(0), vec![0xac, 0xc2])],
        vec![(0x15, control(0), vec![])],
        vec![(0x15, control(5), vec![0xc0])],
        vec![(0x16, x_only(OTHER), with_leaves(&[])), (0x16, x_only(POINT), with_leaves(&[0x8000_0001, 2]))],
        vec![(0x16, x_only(OTHER), vec![9, 1])],
        vec![(0x17, vec![], x_only(POINT)), (0x18, vec![], vec![7; 32])],
        vec![(0x17, vec![], vec![7; 31])],
        vec![(0x1a, OTHER.to_vec(), two_points.clone()), (0x1a, POINT.to_vec(), two_points.clone())],
        vec![(0x1a, POINT.to_vec(), two_points[..40].to_vec())],
        vec![(0x1a, vec![9; 33], two_points.clone())],
        vec![(0x1a, POINT.to_vec(), vec![9; 33])],
        vec![
            (0x1b, [two_points.clone(), vec![8; 32]].concat(), two_points.clone()),
            (0x1b, two_points.clone(), two_points.clone()),
        ],
        vec![(0x1b, two_points.clone(), vec![1; 65])],
        vec![(0x1b, POINT.to_vec(), two_points.clone())],
        vec![(0x1c, two_points.clone(), vec![1; 32]), (0x1c, [two_points.clone(), vec![8; 32]].concat(), vec![2; 32])],
        vec![(0x1c, [POINT, [9; 33]].concat(), vec![1; 32])],
    ];
    let leaf = |depth: u8, script: &[u8]| [&[depth, 0xc0, u8::try_from(script.len()).unwrap()][..], script].concat();
    let outputs: Vec<Vec<Field>> = vec![
        vec![(0x02, OTHER.to_vec(), origin(&[5])), (0x02, POINT.to_vec(), origin(&[]))],
        vec![(0x05, vec![], x_only(POINT)), (0x06, vec![], [leaf(1, &[0x51]), leaf(2, &[0x52]), leaf(2, &[0x53])].concat())],
        vec![(0x06, vec![], [leaf(1, &[0x51]), leaf(2, &[0x52])].concat())],
        vec![(0x06, vec![], [leaf(2, &[0x51]), leaf(1, &[0x52])].concat())],
        vec![(0x06, vec![], leaf(129, &[0x51]))],
        vec![(0x07, x_only(OTHER), with_leaves(&[])), (0x07, x_only(POINT), with_leaves(&[3]))],
        vec![(0x07, x_only(OTHER), vec![1])],
        vec![(0x08, OTHER.to_vec(), two_points.clone()), (0x08, POINT.to_vec(), two_points.clone())],
        vec![(0x08, vec![9; 33], vec![])],
        vec![(0x08, POINT.to_vec(), vec![9; 33])],
        vec![(0x08, POINT.to_vec(), vec![2; 34])],
    ];
    let globals: Vec<Vec<Field>> = vec![
        vec![(0x01, xpub(2, OTHER), origin(&[1])), (0x01, xpub(1, POINT), origin(&[0x8000_0000]))],
        vec![(0x01, xpub(2, [9; 33]), origin(&[1]))],
        vec![(0x01, xpub(2, POINT), vec![1, 2])],
    ];
    let none: &[Field] = &[];
    inputs
        .iter()
        .flat_map(|fields| [zero(none, fields, none), two(none, fields, none)])
        .chain(outputs.iter().flat_map(|fields| [zero(none, none, fields), two(none, none, fields)]))
        .chain(globals.iter().flat_map(|fields| [zero(fields, none, none), two(fields, none, none)]))
        .collect()
}
