//! The vectors of BIP370, in `data/bip370.txt`.
#![allow(clippy::unwrap_used, clippy::panic)]

use bulkhead_rpc_util::psbt::{Version, decode, encode};

/// Kind, case and PSBT.
fn vectors(kind: &str) -> Vec<(&'static str, &'static str, &'static str)> {
    let lines = include_str!("data/bip370.txt").lines().filter(|line| !line.starts_with('#'));
    let columns = lines.map(|line| {
        let mut columns = line.splitn(3, '\t');
        (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap())
    });
    columns.filter(|(of, _, _)| of.split(' ').next() == Some(kind)).collect()
}

#[test]
fn invalid_psbts_are_refused_in_cores_words() {
    let words = [
        "PSBT_GLOBAL_TX_VERSION is required in PSBTv2",
        "PSBT_GLOBAL_TX_VERSION is not allowed in PSBTv0",
        "PSBT_GLOBAL_FALLBACK_LOCKTIME is not allowed in PSBTv0",
        "PSBT_GLOBAL_INPUT_COUNT is not allowed in PSBTv0",
        "PSBT_GLOBAL_OUTPUT_COUNT is not allowed in PSBTv0",
        "PSBT_GLOBAL_TX_MODIFIABLE is not allowed in PSBTv0",
        "Previous txid is not allowed in PSBTv0",
        "Previous output's index is not allowed in PSBTv0",
        "Sequence is not allowed in PSBTv0",
        "Required time based locktime is not allowed in PSBTv0",
        "Required height based locktime is not allowed in PSBTv0",
        "Output amount is not allowed in PSBTv0",
        "Output script is not allowed in PSBTv0",
        "PSBT_GLOBAL_UNSIGNED_TX is not allowed in PSBTv2",
        "PSBT_GLOBAL_INPUT_COUNT is required in PSBTv2",
        "PSBT_GLOBAL_OUTPUT_COUNT is required in PSBTv2",
        "PSBT_GLOBAL_TX_VERSION is required in PSBTv2",
        "Previous TXID is required in PSBTv2",
        "Previous output's index is required in PSBTv2",
        "Output amount is required in PSBTv2",
        "Output script is required in PSBTv2",
        "Required time based locktime is invalid (less than 500000000)",
        "Required height based locktime is invalid (greater than or equal to 500000000)",
        "Required height based locktime is invalid (0)",
    ];
    let cases = vectors("invalid");
    assert_eq!(cases.len(), words.len());
    for ((_, case, psbt), words) in cases.into_iter().zip(words) {
        let refused = decode(psbt).unwrap_err();
        assert_eq!((refused.code, refused.message), (-22, format!("TX decode failed {words}: iostream error")), "{case}");
    }
}

#[test]
fn valid_psbts_are_read_and_written() {
    let cases = vectors("valid");
    assert_eq!(cases.len(), 14);
    for (_, case, psbt) in cases {
        let read = decode(psbt).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read.version(), Version::Two, "{case}");
        // The vectors order some records otherwise than Core writes them; nothing but the order may change.
        let written = encode(&read);
        assert_eq!(decode(&written).unwrap(), read, "{case}");
        assert_eq!(encode(&decode(&written).unwrap()), written, "{case}");
        if case.starts_with("1 input, 2 output PSBTv2, required fields only") {
            assert_eq!(written, psbt, "{case}");
        }
    }
}

#[test]
fn lock_times_are_computed() {
    let cases = vectors("lock");
    assert_eq!(cases.len(), 10);
    for (kind, case, psbt) in cases {
        let found = decode(psbt).unwrap().lock_time().map_or("none".to_owned(), |time| time.to_consensus_u32().to_string());
        assert_eq!(kind.split(' ').nth(1), Some(found.as_str()), "{case}");
    }
}
