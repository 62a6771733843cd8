#![allow(clippy::unwrap_used, clippy::panic)]
//! The engine on its own: messages in, effects out.

use bitcoin::pow::Target;
use bulkhead_addrman::{AddrMan, BanList};
use bulkhead_wire::message::Locator;
use bulkhead_wire::skim::header_hash;
use bulkhead_wire::version::Version;
use bulkhead_wire::{Endpoint, Inventory, Message, Network, frame, inventory, services};
use proptest::prelude::*;

use super::chain_view::{Answer, BlockOutcome, ChainView, HeadersOutcome, Question, Tip, Verdict, VerdictKind};
use super::config::EngineConfig;
use super::headers_index::HeaderRef;
use super::kind::ConnectionKind;
use super::peer::{NewPeer, PeerId};
use super::permission::Permissions;
use super::{Effect, Engine, SECOND};

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
pub(super) const START: i64 = 1_700_000_000 * SECOND;
/// Easiest difficulty of regtest.
const EASY: u32 = 0x207f_ffff;

fn config() -> EngineConfig {
    EngineConfig {
        magic: MAGIC,
        pow_limit: Target::MAX_ATTAINABLE_REGTEST,
        rules: bulkhead_consensus::networks::regtest(),
        sampling: super::presync::Sampling::of("regtest"),
        spacing: 600,
        regtest: true,
        default_port: 18444,
        listen_port: 18444,
        subversion: "/Bulkhead:31.99.0/".into(),
        services: services::NETWORK | services::WITNESS | services::NETWORK_LIMITED,
        reachable: vec![Network::Ipv4, Network::Ipv6],
        uses_addrman: true,
        discover: false,
        capture: false,
        tx_reconciliation: false,
        listen: true,
        max_connections: 125,
        prune: false,
        blocks_only: false,
        max_upload: 0,
        peer_timeout: 60,
        bantime: 86400,
        log_ips: false,
        whitelist: Vec::new(),
        whitelist_relay: true,
        whitelist_force_relay: false,
        min_relay_fee: 100,
        max_receive: 5_000_000,
        max_send: 1_000_000,
    }
}

pub(super) fn engine() -> Engine {
    let mut engine = Engine::new(config(), AddrMan::new([1; 32]), BanList::default(), [2; 32], START);
    let mut work = [0; 32];
    work[31] = 2;
    let tip = Tip {
        at: HeaderRef { hash: [1; 32], height: 0, work },
        time: START / SECOND - 10,
        initial_download: false,
        median_time: 0,
        bits: EASY,
    };
    engine.chain_state(ChainView { ready: true, tip, best_header: tip, mempool_min_fee: 100, ..ChainView::default() });
    engine
}

pub(super) fn connect(engine: &mut Engine, kind: ConnectionKind) -> PeerId {
    let new = NewPeer { addr: Endpoint::parse("9.9.9.9:1234", 0).unwrap(), kind, ..NewPeer::inbound(Permissions::NONE) };
    if kind.is_inbound() { engine.accept(new).unwrap() } else { engine.opened(new) }
}

pub(super) fn version() -> Message {
    Message::Version(Box::new(Version {
        version: 70017,
        services: services::NETWORK | services::WITNESS,
        time: START / SECOND,
        receiver_services: 0,
        receiver: Endpoint::NONE,
        nonce: 77,
        user_agent: b"/test/".to_vec(),
        height: 0,
        relay: true,
    }))
}

pub(super) fn push(engine: &mut Engine, id: PeerId, message: &Message) {
    let (command, body) = message.encode();
    engine.received(id, &frame::encode(MAGIC, command, &body));
}

pub(super) fn handshaken(engine: &mut Engine, kind: ConnectionKind) -> PeerId {
    let id = connect(engine, kind);
    push(engine, id, &version());
    push(engine, id, &Message::WtxidRelay);
    push(engine, id, &Message::Verack);
    id
}

pub(super) fn sent(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Send { command, .. } = effect { Some(command.clone()) } else { None })
        .collect()
}

pub(super) fn asked(effects: &[Effect]) -> Vec<(u64, Question)> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Ask { token, question } = effect { Some((*token, question.clone())) } else { None })
        .collect()
}

/// A header on top of the engine's tip that satisfies the easiest target.
pub(super) fn mined(prev: [u8; 32]) -> [u8; 80] {
    let mut raw = [0u8; 80];
    raw[0] = 1;
    raw[4..36].copy_from_slice(&prev);
    raw[72..76].copy_from_slice(&0x207f_ffffu32.to_le_bytes());
    for nonce in 0u32.. {
        raw[76..].copy_from_slice(&nonce.to_le_bytes());
        if header_hash(&raw)[31] < 0x7f {
            return raw;
        }
    }
    raw
}

pub(super) fn tip_of(header: &[u8; 80], height: i32) -> Tip {
    let mut work = [0; 32];
    work[31] = u8::try_from(2 * (height + 1)).unwrap();
    Tip {
        at: HeaderRef { hash: header_hash(header), height, work },
        time: START / SECOND,
        initial_download: false,
        median_time: 0,
        bits: EASY,
    }
}

#[test]
fn inbound_peer_gets_version_only_after_its_own() {
    let mut engine = engine();
    let id = connect(&mut engine, ConnectionKind::Inbound);
    assert!(sent(&engine.take_effects()).is_empty());
    push(&mut engine, id, &version());
    assert_eq!(sent(&engine.take_effects()), ["version", "wtxidrelay", "sendaddrv2", "verack"]);
    push(&mut engine, id, &Message::Verack);
    let commands = sent(&engine.take_effects());
    assert_eq!(commands[..2], ["sendcmpct", "ping"]);
    assert!(commands.contains(&"feefilter".to_owned()));
}

#[test]
fn outbound_peer_gets_version_first_and_getaddr() {
    let mut engine = engine();
    let id = connect(&mut engine, ConnectionKind::OutboundFullRelay);
    assert_eq!(sent(&engine.take_effects()), ["version"]);
    push(&mut engine, id, &version());
    assert_eq!(sent(&engine.take_effects()), ["wtxidrelay", "sendaddrv2", "verack", "getaddr"]);
}

#[test]
fn message_before_version_is_ignored_and_wtxidrelay_after_verack_disconnects() {
    let mut engine = engine();
    let id = connect(&mut engine, ConnectionKind::Inbound);
    push(&mut engine, id, &Message::Ping(Some(1)));
    assert!(sent(&engine.take_effects()).is_empty());
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    push(&mut engine, id, &Message::WtxidRelay);
    assert!(engine.take_effects().contains(&Effect::Close(id)));
}

#[test]
fn connection_to_oneself_is_closed() {
    let mut engine = engine();
    connect(&mut engine, ConnectionKind::OutboundFullRelay);
    let Some(Effect::Send { body, .. }) = engine.take_effects().into_iter().next() else { panic!("no version") };
    let id = connect(&mut engine, ConnectionKind::Inbound);
    engine.received(id, &frame::encode(MAGIC, "version", &body));
    assert_eq!(engine.take_effects(), [Effect::Close(id)]);
}

#[test]
fn pong_waits_for_the_judgement_of_what_came_before() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let _ = engine.take_effects();
    let header = mined([1; 32]);
    push(&mut engine, id, &Message::Headers(Ok(vec![header])));
    push(&mut engine, id, &Message::Ping(Some(5)));
    let effects = engine.take_effects();
    assert!(sent(&effects).is_empty());
    let (token, question) = asked(&effects).remove(0);
    assert_eq!(question, Question::SubmitHeaders(vec![header], false));
    let verdict = Verdict { accepted: true, ..Verdict::default() };
    let outcome = HeadersOutcome { verdict, last: tip_of(&header, 1), is_new: true, ..HeadersOutcome::default() };
    engine.answer(token, Answer::Headers(outcome));
    let (token, question) = asked(&engine.take_effects()).remove(0);
    assert_eq!(question, Question::MissingBlocks(header_hash(&header), 2048));
    engine.answer(token, Answer::MissingBlocks(vec![(header_hash(&header), 1)]));
    let effects = engine.take_effects();
    assert_eq!(sent(&effects)[..2], ["getdata", "pong"]);
}

#[test]
fn invalid_block_disconnects_and_discourages() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let mut block = mined([1; 32]).to_vec();
    block.push(0);
    push(&mut engine, id, &Message::Block(block));
    let effects = engine.take_effects();
    let (token, _) = asked(&effects).into_iter().find(|(_, q)| matches!(q, Question::SubmitBlock(_, false))).unwrap();
    let verdict = Verdict { kind: VerdictKind::Consensus, reason: "bad-blk-length".into(), ..Verdict::default() };
    engine.answer(token, Answer::Block(BlockOutcome { verdict, ..BlockOutcome::default() }));
    assert!(engine.take_effects().contains(&Effect::Close(id)));
    assert!(engine.bans.is_discouraged(&Endpoint::parse("9.9.9.9:1", 0).unwrap().addr));
}

#[test]
fn stored_block_that_turns_out_invalid_disconnects_its_sender() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let header = mined([1; 32]);
    push(&mut engine, id, &Message::Block([&header[..], &[0]].concat()));
    let effects = engine.take_effects();
    let (token, _) = asked(&effects).into_iter().find(|(_, q)| matches!(q, Question::SubmitBlock(_, false))).unwrap();
    let verdict = Verdict { accepted: true, ..Verdict::default() };
    engine.answer(token, Answer::Block(BlockOutcome { verdict, new: true, connected: false }));
    assert!(!engine.take_effects().contains(&Effect::Close(id)));
    let verdict = Verdict { kind: VerdictKind::Consensus, reason: "bad-txns-inputs-missingorspent".into(), ..Verdict::default() };
    engine.block_refused([9; 32], &verdict);
    assert!(!engine.take_effects().contains(&Effect::Close(id)), "another block");
    engine.block_refused(header_hash(&header), &verdict);
    assert!(engine.take_effects().contains(&Effect::Close(id)));
}

#[test]
fn header_without_work_is_misbehaviour() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let _ = engine.take_effects();
    let mut header = mined([1; 32]);
    header[72..76].copy_from_slice(&0x1d00_ffffu32.to_le_bytes());
    push(&mut engine, id, &Message::Headers(Ok(vec![header])));
    assert!(engine.take_effects().contains(&Effect::Close(id)));
}

#[test]
fn new_block_is_announced_by_header_to_who_prefers_it() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let getheaders = Message::GetHeaders(Locator { have: vec![[1; 32]], stop: [0; 32] });
    push(&mut engine, id, &Message::SendHeaders);
    push(&mut engine, id, &getheaders);
    let asked_now = asked(&engine.take_effects());
    let (token, _) = asked_now.into_iter().find(|(_, q)| matches!(q, Question::FindHeaders(..))).unwrap();
    engine.answer(token, Answer::FoundHeaders(vec![]));
    let _ = engine.take_effects();
    let header = mined([1; 32]);
    engine.updated_tip(tip_of(&header, 1), vec![header_hash(&header)]);
    let (token, _) = asked(&engine.take_effects()).into_iter().find(|(_, q)| matches!(q, Question::HeadersByHash(_))).unwrap();
    engine.answer(token, Answer::FoundHeaders(vec![header]));
    assert!(sent(&engine.take_effects()).contains(&"headers".to_owned()));
}

#[test]
fn no_block_is_announced_before_its_parent() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    push(&mut engine, id, &Message::SendHeaders);
    let first = mined([1; 32]);
    let second = mined(header_hash(&first));
    engine.headers.insert_run(&[second], tip_of(&second, 2).at);
    let _ = engine.take_effects();
    engine.updated_tip(tip_of(&first, 1), vec![header_hash(&first)]);
    engine.updated_tip(tip_of(&second, 2), vec![header_hash(&second)]);
    let effects = engine.take_effects();
    assert!(!sent(&effects).iter().any(|command| command == "headers" || command == "inv"));
    let (token, _) = asked(&effects).into_iter().find(|(_, q)| matches!(q, Question::HeadersByHash(_))).unwrap();
    engine.answer(token, Answer::FoundHeaders(vec![first]));
    let queued = |engine: &Engine| engine.announcements.0.len();
    assert_eq!(queued(&engine), 0);
    assert!(sent(&engine.take_effects()).iter().any(|command| command == "headers" || command == "inv"));
}

#[test]
fn patience_with_slow_peers_wears_off_whoever_tells_of_the_blocks_first() {
    let mut engine = engine();
    engine.stalling_timeout = 8 * SECOND;
    let tip = tip_of(&mined([1; 32]), 50);
    engine.chain_state(ChainView { ready: true, tip, best_header: tip, ..ChainView::default() });
    assert_eq!(engine.stalling_timeout, 2 * SECOND);
    engine.stalling_timeout = 8 * SECOND;
    engine.updated_tip(tip, Vec::new());
    assert_eq!(engine.stalling_timeout, 8 * SECOND);
}

#[test]
fn transaction_is_announced_requested_and_served() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let other = [3; 32];
    push(&mut engine, id, &Message::Inv(vec![Inventory::new(inventory::WTX, other)]));
    let (token, _) = asked(&engine.take_effects()).into_iter().find(|(_, q)| matches!(q, Question::HaveTransactions(_))).unwrap();
    engine.answer(token, Answer::HaveTransactions(vec![false]));
    engine.set_now(START + 3 * SECOND);
    engine.tick();
    assert!(sent(&engine.take_effects()).contains(&"getdata".to_owned()));
    let accepted =
        super::chain_view::AcceptedTx { txid: [4; 32], wtxid: [5; 32], fee_rate: 1000, vsize: 100, sequence: 1, ancestors: 1 };
    engine.transactions_accepted(&[accepted]);
    engine.set_now(START + 40 * SECOND);
    engine.tick();
    assert!(sent(&engine.take_effects()).contains(&"inv".to_owned()));
}

#[test]
fn lost_answers_leave_the_peer_usable() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    push(&mut engine, id, &Message::Headers(Ok(vec![mined([1; 32])])));
    push(&mut engine, id, &Message::Ping(Some(5)));
    for (token, _) in asked(&engine.take_effects()) {
        engine.answer(token, Answer::Lost);
    }
    assert!(sent(&engine.take_effects()).contains(&"pong".to_owned()));
}

#[test]
fn silent_peer_is_dropped_after_the_timeout() {
    let mut engine = engine();
    let id = connect(&mut engine, ConnectionKind::Inbound);
    engine.set_now(START + 61 * SECOND);
    engine.tick();
    assert_eq!(engine.take_effects(), [Effect::Close(id)]);
}

proptest! {
    /// Any bytes of a peer, and any loss of answers, leave the engine alive and its sends well formed.
    #[test]
    fn any_conversation_is_survived(
        messages in proptest::collection::vec((0usize..bulkhead_wire::message::KNOWN_COMMANDS.len(), proptest::collection::vec(any::<u8>(), 0..120)), 0..40),
        handshake: bool,
    ) {
        let mut engine = engine();
        let id = if handshake { handshaken(&mut engine, ConnectionKind::Inbound) } else { connect(&mut engine, ConnectionKind::Inbound) };
        for (index, body) in messages {
            engine.received(id, &frame::encode(MAGIC, bulkhead_wire::message::KNOWN_COMMANDS[index], &body));
            for (token, _) in asked(&engine.take_effects()) {
                engine.answer(token, Answer::Lost);
            }
        }
        engine.set_now(START + SECOND);
        engine.tick();
        engine.closed(id, "");
        prop_assert_eq!(engine.connection_counts(), (0, 0));
    }
}
