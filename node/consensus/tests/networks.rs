//! Rules in which the networks differ: difficulty of the test networks, time warp, versionbits, BIP30, subsidy, relative locks.
#![allow(clippy::unwrap_used, clippy::panic)]

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, OutPoint, Sequence, Transaction, TxIn, TxMerkleNode, Witness};
use bulkhead_consensus::amount::block_subsidy;
use bulkhead_consensus::header::check_contextual;
use bulkhead_consensus::params::Bip9;
use bulkhead_consensus::pow::{is_permitted_transition, next_work_required};
use bulkhead_consensus::sequence::{are_satisfied, sequence_locks};
use bulkhead_consensus::versionbits::{ThresholdState, compute_block_version, state_after};
use bulkhead_consensus::{HeaderFacts, HeaderView, Params, networks};

/// A chain of headers by height.
#[derive(Clone)]
struct Chain(Vec<HeaderFacts>);

impl HeaderView for Chain {
    fn height(&self) -> i32 {
        self.0.len() as i32 - 1
    }

    fn header_at(&self, height: i32) -> Option<HeaderFacts> {
        usize::try_from(height).ok().and_then(|height| self.0.get(height)).copied()
    }
}

const START: u32 = 1_700_000_000;

/// `length` headers, ten minutes apart.
fn steady(length: usize, bits: u32) -> Chain {
    Chain((0..length as u32).map(|height| HeaderFacts { version: 4, time: START + 600 * height, bits }).collect())
}

fn header(time: u32, bits: u32) -> Header {
    Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time,
        bits: CompactTarget::from_consensus(bits),
        nonce: 0,
    }
}

/// Bits of the largest target, and others that are twice as hard.
const EASY: u32 = 0x1d00_ffff;
const HARD: u32 = 0x1c7f_ff80;

#[test]
fn a_late_block_of_a_test_network_may_be_easy_and_the_next_may_not() {
    for params in [networks::testnet3(), networks::testnet4()] {
        let mut chain = steady(2020, HARD);
        let last = chain.0.last().unwrap().time;
        assert_eq!(next_work_required(&chain, last + 1200, &params), HARD, "{}: twenty minutes are not late", params.name);
        assert_eq!(next_work_required(&chain, last + 1201, &params), EASY);
        chain.0.push(HeaderFacts { version: 4, time: last + 1201, bits: EASY });
        chain.0.push(HeaderFacts { version: 4, time: last + 2402, bits: EASY });
        assert_eq!(next_work_required(&chain, last + 2500, &params), HARD, "that of the last ordinary block");
    }
    let chain = steady(2020, HARD);
    assert_eq!(next_work_required(&chain, u32::MAX, &networks::main()), HARD);
    assert_eq!(next_work_required(&chain, u32::MAX, &networks::signet(None)), HARD);
}

#[test]
fn the_search_for_the_last_ordinary_block_ends_at_the_start_of_the_period() {
    let params = networks::testnet3();
    let mut chain = steady(2016, HARD);
    chain.0.extend((0..3).map(|_| HeaderFacts { version: 4, time: START, bits: EASY }));
    // The first block of the period is easy, and what lies before it does not count.
    assert_eq!(next_work_required(&chain, START, &params), EASY);
}

#[test]
fn testnet4_adjusts_from_the_first_block_of_a_period_and_testnet3_from_the_last() {
    let mut chain = steady(2016, HARD);
    chain.0.last_mut().unwrap().bits = EASY;
    let span = chain.0[2015].time - chain.0[0].time;
    assert!(span < 14 * 24 * 60 * 60 && span > 13 * 24 * 60 * 60);
    let next = chain.0[2015].time + 600;
    assert_eq!(next_work_required(&chain, next, &networks::testnet3()) >> 24, EASY >> 24);
    let bits = next_work_required(&chain, next, &networks::testnet4());
    assert!(bits >> 24 == HARD >> 24 && bits < HARD, "{bits:08x} follows from the first block");
}

#[test]
fn difficulty_stays_within_a_factor_of_four_and_the_limit() {
    let params = networks::main();
    let mut seed = 0x1234_5678_9abc_def1u64;
    for _ in 0..2000 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let bits = 0x1b00_0000 + ((seed as u32 & 0x7fff) + 0x100) * 0x100;
        let mut chain = steady(2016, bits);
        chain.0[2015].time = START.wrapping_add((seed >> 32) as u32 % 10_000_000);
        let next = next_work_required(&chain, chain.0[2015].time, &params);
        assert!(is_permitted_transition(&params, 2016, bits, next), "{bits:08x} to {next:08x}");
    }
}

#[test]
fn regtest_never_adjusts() {
    let mut chain = steady(144, 0x207f_ffff);
    chain.0[143].time = u32::MAX;
    assert_eq!(next_work_required(&chain, u32::MAX, &networks::regtest()), 0x207f_ffff);
}

/// Verdict on a header after a whole period whose last block has this time.
fn after_period(params: &Params, last: u32, time: u32) -> Option<String> {
    let mut chain = steady(2016, EASY);
    chain.0[2015].time = last;
    let bits = next_work_required(&chain, time, params);
    check_contextual(&header(time, bits), &chain, params, i64::from(u32::MAX)).err().map(|reject| reject.reason)
}

#[test]
fn time_may_not_be_warped_where_bip94_holds() {
    let last = START + 600 * 2015 + 50_000;
    let testnet4 = networks::testnet4();
    assert_eq!(after_period(&testnet4, last, last - 600), None);
    assert_eq!(after_period(&testnet4, last, last - 601).as_deref(), Some("time-timewarp-attack"));
    for params in [networks::main(), networks::testnet3()] {
        assert_eq!(after_period(&params, last, last - 601), None, "{}", params.name);
    }
    let mut chain = steady(2017, EASY);
    chain.0[2016].time = last;
    let bits = next_work_required(&chain, last - 601, &testnet4);
    assert!(check_contextual(&header(last - 601, bits), &chain, &testnet4, i64::from(u32::MAX)).is_ok(), "inside a period");
}

#[test]
fn times_lie_above_the_median_and_near_the_clock() {
    let params = networks::main();
    let chain = steady(20, EASY);
    let median = chain.median_time_past(19) as u32;
    let verdict =
        |time: u32, now: i64| check_contextual(&header(time, EASY), &chain, &params, now).err().map(|reject| reject.reason);
    assert_eq!(verdict(median, i64::from(median)).as_deref(), Some("time-too-old"));
    assert_eq!(verdict(median + 1, i64::from(median)), None);
    assert_eq!(verdict(median + 7201, i64::from(median)).as_deref(), Some("time-too-new"));
    assert_eq!(verdict(median + 7200, i64::from(median)), None);
}

#[test]
fn old_block_versions_end_where_their_rule_begins() {
    let mut params = networks::regtest();
    params.bip34_height = 3;
    params.bip66_height = 5;
    params.bip65_height = 7;
    let verdict = |length: usize, version: i32| {
        let header = Header { version: Version::from_consensus(version), ..header(START + 600 * length as u32, 0x207f_ffff) };
        check_contextual(&header, &steady(length, 0x207f_ffff), &params, i64::from(u32::MAX)).err().map(|reject| reject.reason)
    };
    for (version, last) in [(1, 2), (2, 4), (3, 6)] {
        assert_eq!(verdict(last, version), None);
        assert_eq!(verdict(last + 1, version), Some(format!("bad-version(0x{version:08x})")));
    }
    assert_eq!(verdict(100, 4), None);
}

const DUMMY: Bip9 = Bip9 {
    name: "testdummy",
    bit: 28,
    start_time: START as i64,
    timeout: START as i64 + 600 * 144 * 3,
    min_activation_height: 0,
    period: 144,
    threshold: 108,
};

fn signalling(length: usize, from: usize) -> Chain {
    let mut chain = steady(length, EASY);
    for facts in &mut chain.0[from.min(length)..] {
        facts.version = 0x3000_0000;
    }
    chain
}

#[test]
fn a_deployment_fails_after_its_time_and_waits_for_its_height() {
    let states = |deployment: &Bip9, chain: &Chain| -> Vec<ThresholdState> {
        (0..6).map(|period| state_after(deployment, chain, 144 * (period + 1) - 1).0).collect()
    };
    use ThresholdState::{Active, Failed, LockedIn, Started};
    let silent = signalling(900, usize::MAX);
    assert_eq!(states(&DUMMY, &silent), [Started, Started, Started, Failed, Failed, Failed]);
    // Signals lock in even when time is up in the same period.
    let late = signalling(900, 432);
    assert_eq!(states(&DUMMY, &late), [Started, Started, Started, LockedIn, Active, Active]);
    let high = Bip9 { min_activation_height: 144 * 5, ..DUMMY };
    assert_eq!(states(&high, &signalling(900, 144)), [Started, LockedIn, LockedIn, LockedIn, Active, Active]);
    for (start_time, state) in [(Bip9::ALWAYS_ACTIVE, Active), (Bip9::NEVER_ACTIVE, Failed)] {
        assert_eq!(state_after(&Bip9 { start_time, ..DUMMY }, &silent, 500), (state, 0));
    }
}

#[test]
fn templates_signal_from_start_to_activation() {
    let mut params = networks::regtest();
    params.deployments = vec![DUMMY];
    let version = |length: usize| compute_block_version(&params, &signalling(length, 144));
    assert_eq!(version(100), 0x2000_0000);
    assert_eq!(version(144), 0x3000_0000);
    assert_eq!(version(300), 0x3000_0000);
    assert_eq!(version(432), 0x2000_0000);
}

#[test]
fn bip30_is_checked_but_for_two_blocks_and_where_bip34_makes_it_needless() {
    let main = networks::main();
    let known = |text: &str| text.parse::<BlockHash>().unwrap();
    let repeat = known("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec");
    assert!(!main.must_check_bip30(91_842, repeat, false));
    assert!(main.must_check_bip30(91_843, repeat, false) && main.must_check_bip30(91_842, BlockHash::all_zeros(), false));
    assert!(!main.must_check_bip30(500_000, BlockHash::all_zeros(), true));
    assert!(main.must_check_bip30(1_983_702, BlockHash::all_zeros(), true));
    let lost = known("00000000000271a2dc26e7667f8419f2e15416dc6955e5a6c6cdf3f2574dd08e");
    assert!(main.is_bip30_unspendable(91_722, lost) && !main.is_bip30_unspendable(91_842, repeat));
}

#[test]
fn scripts_of_historical_blocks_are_excused_on_their_network_only() {
    let block = "00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22".parse().unwrap();
    assert!(!networks::main().script_exception(block).unwrap().p2sh_and_witness);
    assert!(networks::testnet3().script_exception(block).is_none() && networks::regtest().script_exceptions.is_empty());
    let taproot = "0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad".parse().unwrap();
    assert!(networks::main().script_exception(taproot).unwrap().p2sh_and_witness);
}

#[test]
fn all_subsidies_together_stay_below_the_limit_of_money() {
    let params = networks::main();
    let interval = i64::from(params.subsidy_halving_interval);
    let total: i64 = (0..70).map(|halving| block_subsidy((halving * interval) as i32, &params) * interval).sum();
    assert_eq!(total, 2_099_999_997_690_000);
}

#[test]
fn relative_locks_count_from_the_coin() {
    let chain = steady(200, EASY);
    let spend = |sequence: u32, version: i32| Transaction {
        version: bitcoin::transaction::Version(version),
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { vout: 0, ..OutPoint::null() },
            script_sig: bitcoin::ScriptBuf::new(),
            sequence: Sequence(sequence),
            witness: Witness::new(),
        }],
        output: Vec::new(),
    };
    let allowed = |tx: &Transaction, height: i32, enforce: bool| {
        let locks = sequence_locks(tx, &[100], &chain, enforce);
        are_satisfied(locks, height, chain.median_time_past(height - 1))
    };
    let ten_blocks = spend(10, 2);
    assert!(!allowed(&ten_blocks, 109, true) && allowed(&ten_blocks, 110, true));
    assert!(allowed(&ten_blocks, 101, false), "before the rule");
    assert!(allowed(&spend(10, 1), 101, true), "version 1");
    assert!(allowed(&spend((1 << 31) | 10, 2), 101, true), "switched off");
    // Three units of 512 seconds after the median time of the block before the coin.
    let time = spend((1 << 22) | 3, 2);
    let first = (101..200).find(|height| allowed(&time, *height, true)).unwrap();
    let wanted = chain.median_time_past(99) + 3 * 512;
    assert!(chain.median_time_past(first - 1) >= wanted && chain.median_time_past(first - 2) < wanted);
}
