//! The peer state machine of `bitcoin-net`, driven in-process: connections, messages in any order, answers of chain (right,
//! wrong or none), events and steps of the clock.

use std::collections::VecDeque;

use bitcoin::pow::Target;
use bitcoin_net::engine::chain_view::{
    AcceptedTx, Answer, BlockFilter, BlockOutcome, ChainView, CompactOutcome, CompactStatus, HeaderFacts, HeadersOutcome,
    Question, Tip, TxOutcome, Verdict, VerdictKind,
};
use bitcoin_net::engine::config::EngineConfig;
use bitcoin_net::engine::headers_index::HeaderRef;
use bitcoin_net::engine::kind::ConnectionKind;
use bitcoin_net::engine::peer::NewPeer;
use bitcoin_net::engine::permission::Permissions;
use bitcoin_net::engine::presync::Sampling;
use bitcoin_net::engine::{Effect, Engine, SECOND};
use bulkhead_addrman::{AddrMan, BanList};
use bulkhead_wire::message::KNOWN_COMMANDS;
use bulkhead_wire::skim::header_hash;
use bulkhead_wire::version::Version;
use bulkhead_wire::{Endpoint, Message, Network, frame, services};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
const START: i64 = 1_700_000_000 * SECOND;
/// Steps of one input.
const MAX_STEPS: usize = 300;
/// Connections of one input.
const MAX_PEERS: u64 = 12;
/// What a peer may have sent in advance, bytes: the process stops reading above it.
const MAX_RECEIVE: usize = 100_000;

/// The input as a tape; what lies behind its end is zero.
struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let count = self.below(most + 1).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn hash(&mut self) -> [u8; 32] {
        // Few different ones, so that they meet again.
        [self.byte() % 8; 32]
    }
}

fn config() -> EngineConfig {
    EngineConfig {
        magic: MAGIC,
        pow_limit: Target::MAX_ATTAINABLE_REGTEST,
        rules: bulkhead_consensus::networks::regtest(),
        sampling: Sampling::of("regtest"),
        spacing: 600,
        regtest: true,
        default_port: 18444,
        listen_port: 18444,
        subversion: "/Bulkhead:31.99.0/".into(),
        services: services::NETWORK | services::WITNESS | services::NETWORK_LIMITED | services::BLOOM | services::COMPACT_FILTERS,
        reachable: vec![Network::Ipv4, Network::Ipv6, Network::Onion],
        uses_addrman: true,
        listen: true,
        max_connections: 20,
        prune: false,
        blocks_only: false,
        discover: false,
        capture: false,
        tx_reconciliation: true,
        max_upload: 10_000_000,
        peer_timeout: 60,
        bantime: 86400,
        log_ips: false,
        whitelist: Vec::new(),
        whitelist_relay: true,
        whitelist_force_relay: false,
        min_relay_fee: 100,
        max_receive: MAX_RECEIVE,
        max_send: 1_000_000,
    }
}

fn tip(hash: [u8; 32], height: i32) -> Tip {
    let mut work = [0; 32];
    work[28..].copy_from_slice(&height.saturating_mul(2).to_be_bytes());
    let at = HeaderRef { hash, height, work };
    Tip { at, time: START / SECOND, initial_download: false, median_time: START / SECOND, bits: 0x207f_ffff }
}

/// A transaction with one input and one output.
fn transaction(number: u8) -> Vec<u8> {
    let output = [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x51];
    [&[2, 0, 0, 0, 1][..], &[number; 36], &[0, 0xff, 0xff, 0xff, 0xff], &output, &[0; 4]].concat()
}

fn verdict(tape: &mut Tape<'_>) -> Verdict {
    use VerdictKind as K;
    let kinds = [
        K::None,
        K::Consensus,
        K::Mutated,
        K::InvalidHeader,
        K::CachedInvalid,
        K::MissingPrevious,
        K::InvalidPrevious,
        K::TimeFuture,
        K::LowWork,
        K::Policy,
        K::MissingInputs,
        K::Conflict,
        K::WitnessStripped,
        K::AlreadyHave,
        K::System,
        K::Reconsiderable,
        K::InputsNotStandard,
    ];
    let choice = tape.below(kinds.len() * 2);
    match kinds.get(choice) {
        Some(kind) => Verdict { kind: *kind, reason: "reason".into(), ..Verdict::default() },
        None => Verdict { accepted: true, ..Verdict::default() },
    }
}

fn facts(tape: &mut Tape<'_>, hash: [u8; 32]) -> Option<HeaderFacts> {
    let flags = tape.byte();
    let flag = |bit: u8| flags >> bit & 1 != 0;
    flag(0).then(|| HeaderFacts {
        tip: tip(hash, i32::from(flags >> 4)),
        have_data: flag(1),
        active: flag(2),
        valid: flag(3),
        had_data: flag(1),
    })
}

fn block_outcome(tape: &mut Tape<'_>) -> BlockOutcome {
    let flags = tape.byte();
    BlockOutcome { verdict: verdict(tape), new: flags & 1 != 0, connected: flags & 2 != 0 }
}

/// An answer of the right kind, with any content.
fn answer(tape: &mut Tape<'_>, question: &Question) -> Answer {
    let height = i32::from(tape.byte() % 16);
    let hash = tape.hash();
    match question {
        Question::SubmitHeaders(headers, _) => Answer::Headers(HeadersOutcome {
            verdict: verdict(tape),
            last: tip(headers.last().map_or([0; 32], header_hash), height),
            active: height % 2 == 0,
            is_new: height % 3 == 0,
            start: tip(hash, height),
        }),
        Question::SubmitBlock(..) => Answer::Block(block_outcome(tape)),
        Question::SubmitTransaction(_) => {
            let missing_parents = if height > 8 { vec![hash] } else { Vec::new() };
            Answer::Transaction(TxOutcome { verdict: verdict(tape), missing_parents, ..TxOutcome::default() })
        }
        Question::SubmitPackage(..) => {
            let outcomes = (0..2).map(|_| TxOutcome { verdict: verdict(tape), ..TxOutcome::default() }).collect();
            Answer::Package(height % 2 == 0, outcomes)
        }
        Question::CompactBlock(bytes, _) => {
            let states = [CompactStatus::None, CompactStatus::Ok, CompactStatus::Invalid, CompactStatus::Failed];
            Answer::Compact(CompactOutcome {
                verdict: verdict(tape),
                last: tip(bytes.first_chunk::<80>().map_or(hash, header_hash), height),
                is_new: height % 2 == 0,
                have_data: tape.byte() > 200,
                had_data: tape.byte() > 200,
                distance: i32::from(tape.byte() % 4),
                less_work: tape.byte() > 200,
                status: states[tape.below(states.len())],
                missing: (0..u16::from(tape.byte() % 3)).collect(),
            })
        }
        Question::FillBlock(..) => {
            let states = [CompactStatus::Ok, CompactStatus::Invalid, CompactStatus::Failed];
            Answer::Filled(states[tape.below(states.len())], block_outcome(tape))
        }
        Question::Locator(_) => Answer::Locator(vec![hash; tape.below(4)]),
        Question::FindHeaders(..) | Question::HeadersByHash(_) => Answer::FoundHeaders(vec![[tape.byte(); 80]; tape.below(4)]),
        Question::FindHashes(..) => Answer::FoundHashes(vec![hash; tape.below(4)]),
        Question::Block(wanted) => Answer::ServedBlock(facts(tape, *wanted), tape.bytes(120).to_vec()),
        Question::Transactions(names, _) => Answer::Transactions(names.iter().map(|_| tape.bytes(40).to_vec()).collect()),
        Question::HaveTransactions(names) => Answer::HaveTransactions(names.iter().map(|_| tape.byte() > 200).collect()),
        Question::MissingBlocks(best, _) => {
            let blocks = (0..i32::from(tape.byte() % 20)).map(|at| ([at.to_le_bytes()[0] % 8; 32], at + 1)).chain([(*best, 60)]);
            Answer::MissingBlocks(blocks.collect())
        }
        Question::HeaderInfo(hashes) => Answer::HeaderInfo(hashes.iter().map(|hash| facts(tape, *hash)).collect()),
        Question::MempoolIds(_) => Answer::MempoolIds(vec![hash; tape.below(4)]),
        Question::BlockFilters(..) => {
            Answer::BlockFilters(vec![BlockFilter { block: hash, ..BlockFilter::default() }; tape.below(4)])
        }
        Question::BroadcastSeen(_) => Answer::Done,
        Question::TestTransaction(_) => Answer::Tested(verdict(tape)),
    }
}

struct Run {
    engine: Engine,
    now: i64,
    peers: u64,
    waiting: VecDeque<(u64, Question)>,
}

/// An engine that knows a chain and nobody.
pub fn engine() -> Engine {
    let mut engine = Engine::new(config(), AddrMan::new([1; 32]), BanList::default(), [2; 32], START);
    let genesis = tip([1; 32], 1);
    engine.chain_state(ChainView {
        ready: true,
        tip: genesis,
        best_header: genesis,
        mempool_min_fee: 100,
        ..ChainView::default()
    });
    engine
}

impl Run {
    fn new() -> Self {
        Self { engine: engine(), now: START, peers: 0, waiting: VecDeque::new() }
    }

    fn connect(&mut self, tape: &mut Tape<'_>) {
        use ConnectionKind as K;
        if self.peers >= MAX_PEERS {
            return;
        }
        let kinds = [K::Inbound, K::Manual, K::OutboundFullRelay, K::BlockRelay, K::Feeler, K::AddrFetch, K::PrivateBroadcast];
        let kind = kinds[tape.below(kinds.len())];
        let permissions = if tape.byte() > 200 { Permissions::ALL } else { Permissions::NONE };
        let new = NewPeer {
            addr: Endpoint::parse(&format!("9.9.9.{}:1234", self.peers), 0).expect("an address"),
            kind,
            ..NewPeer::inbound(permissions)
        };
        if kind == K::Inbound {
            self.engine.accept(new);
        } else {
            self.engine.opened(new);
        }
        self.peers += 1;
    }

    fn push(&mut self, peer: u64, command: &str, body: &[u8]) {
        // The process stops reading there.
        if !self.engine.receive_paused(peer) {
            self.engine.received(peer, &frame::encode(MAGIC, command, body));
        }
    }

    fn handshake(&mut self, peer: u64, tape: &mut Tape<'_>) {
        let version = Message::Version(Box::new(Version {
            version: if tape.byte() > 240 { 70_012 } else { 70_017 },
            services: services::NETWORK | services::WITNESS,
            time: START / SECOND,
            receiver_services: 0,
            receiver: Endpoint::NONE,
            nonce: 77,
            user_agent: b"/fuzz/".to_vec(),
            height: 0,
            relay: tape.byte() < 240,
        }));
        let mut messages = vec![version];
        if tape.byte() < 200 {
            messages.push(Message::WtxidRelay);
        }
        messages.extend([Message::Verack, Message::SendCompact(tape.byte() & 1, 2), Message::SendHeaders]);
        for message in messages {
            let (command, body) = message.encode();
            self.push(peer, command, &body);
        }
    }

    fn step(&mut self, tape: &mut Tape<'_>) {
        let op = tape.below(15);
        let peer = u64::from(tape.byte()) % self.peers.max(1);
        match op {
            0 => self.connect(tape),
            1 | 2 => self.handshake(peer, tape),
            3..=5 => {
                let command = KNOWN_COMMANDS[tape.below(KNOWN_COMMANDS.len())];
                let body = tape.bytes(250);
                self.push(peer, command, body);
            }
            6 | 7 => {
                let Some((token, question)) = self.waiting.pop_front() else { return };
                let answer = answer(tape, &question);
                self.engine.answer(token, answer);
            }
            8 => {
                let Some((token, _)) = self.waiting.pop_front() else { return };
                self.engine.answer(token, Answer::Lost);
            }
            9 => {
                // From a tenth of a second to some hours.
                self.now += (SECOND / 10) << (tape.byte() % 18);
                self.engine.set_now(self.now);
                self.engine.tick();
            }
            10 => {
                let hash = tape.hash();
                self.engine.updated_tip(tip(hash, i32::from(tape.byte() % 16)), vec![hash]);
            }
            11 => {
                let block = tape.bytes(200).to_vec();
                let hash = block.first_chunk::<80>().map_or([0; 32], header_hash);
                self.engine.new_block(tip(hash, i32::from(tape.byte())), block);
            }
            12 => {
                let (txid, wtxid) = (tape.hash(), tape.hash());
                let sequence = u64::from(tape.byte());
                self.engine.transactions_accepted(&[AcceptedTx {
                    txid,
                    wtxid,
                    fee_rate: 1000,
                    vsize: 100,
                    sequence,
                    ancestors: 1,
                }]);
                self.engine.transactions_removed(&[tape.hash()]);
            }
            13 => self.engine.closed(peer, ""),
            _ => {
                // Malformed ones are refused.
                let _ = self.engine.broadcast_privately(transaction(tape.byte()));
                self.engine.retry_private();
                self.engine.abort_private(&tape.hash());
            }
        }
    }

    /// Carries out what the engine wants, as the process does.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let effects = self.engine.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Send { peer, command, body } => {
                        assert!(body.len() <= 4_000_000, "{command} is too long");
                        self.engine.sent(peer, Some(&command), body.len() + 24);
                    }
                    Effect::Close(peer) => self.engine.closed(peer, ""),
                    Effect::Ask { token, question } => self.waiting.push_back((token, question)),
                    _ => {}
                }
            }
        }
        panic!("the engine never comes to rest");
    }
}

/// Any sequence of events: the engine goes on, comes to rest after each, and forgets peers that left.
pub fn peer_state_machine(data: &[u8]) {
    let mut tape = Tape(data);
    let mut run = Run::new();
    run.connect(&mut tape);
    run.handshake(0, &mut tape);
    run.settle();
    for _ in 0..MAX_STEPS {
        if tape.0.is_empty() {
            break;
        }
        run.step(&mut tape);
        run.settle();
    }
    for peer in 0..run.peers {
        run.engine.closed(peer, "");
    }
    run.settle();
    assert_eq!(run.engine.connection_counts(), (0, 0));
    assert_eq!(run.engine.orphans().count(), 0, "orphans leave with those who brought them");
}
