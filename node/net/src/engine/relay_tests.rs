#![allow(clippy::unwrap_used, clippy::panic)]
//! Compact blocks, headers of chains with little work, orphans and packages: messages in, effects out.

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bulkhead_wire::compact::{BlockTransactions, CompactBlock, TransactionsRequest};
use bulkhead_wire::message::MAX_HEADERS;
use bulkhead_wire::skim::{self, header_hash};
use bulkhead_wire::{Inventory, Message, inventory};

use super::chain_view::{
    Answer, BlockOutcome, CompactOutcome, CompactStatus, HeadersOutcome, Question, TxOutcome, Verdict, VerdictKind,
};
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::tests::{START, asked, engine, handshaken, mined, push, sent, tip_of};
use super::{Effect, Engine, SECOND};

fn accepted() -> Verdict {
    Verdict { accepted: true, ..Verdict::default() }
}

fn refused(kind: VerdictKind) -> Verdict {
    Verdict { kind, reason: "reason".into(), ..Verdict::default() }
}

/// The one question that waits.
fn question(engine: &mut Engine, is_it: impl Fn(&Question) -> bool) -> (u64, Question) {
    let effects = engine.take_effects();
    let found = asked(&effects).into_iter().find(|(_, question)| is_it(question));
    found.unwrap_or_else(|| panic!("not asked: {effects:?}"))
}

fn body(effects: &[Effect], wanted: &str) -> Vec<u8> {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Send { command, body, .. } if command == wanted => Some(body.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {wanted}: {effects:?}"))
}

/// A block of two transactions on the engine's tip.
fn block() -> Vec<u8> {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    let mut second = block.txdata[0].clone();
    second.lock_time = bitcoin::absolute::LockTime::from_consensus(9);
    block.txdata.push(second);
    let bytes = serialize(&block);
    [&mined([1; 32])[..], &bytes[80..]].concat()
}

fn outcome(block: &[u8], missing: Vec<u16>) -> CompactOutcome {
    CompactOutcome {
        verdict: accepted(),
        last: tip_of(block.first_chunk().unwrap(), 1),
        is_new: true,
        distance: 1,
        status: CompactStatus::Ok,
        missing,
        ..CompactOutcome::default()
    }
}

/// An outbound peer whose blocks come in compact form.
fn high_bandwidth_peer(engine: &mut Engine) -> u64 {
    let id = handshaken(engine, ConnectionKind::OutboundFullRelay);
    push(engine, id, &Message::SendCompact(0, 2));
    engine.prefer_compact_from(id);
    assert!(sent(&engine.take_effects()).contains(&"sendcmpct".to_owned()));
    id
}

#[test]
fn missing_transactions_of_a_compact_block_are_fetched_and_the_block_is_filled() {
    let mut engine = engine();
    let id = high_bandwidth_peer(&mut engine);
    let block = block();
    let compact = CompactBlock::of_block(&block, 5).unwrap();
    push(&mut engine, id, &Message::CompactBlock(CompactBlock::decode(&compact).unwrap()));
    let (token, asked_for) = question(&mut engine, |question| matches!(question, Question::CompactBlock(..)));
    let Question::CompactBlock(bytes, Some(key)) = asked_for else { panic!("not wanted") };
    assert_eq!(bytes, compact);
    engine.answer(token, Answer::Compact(outcome(&block, vec![1])));
    let hash = header_hash(block.first_chunk().unwrap());
    let request = TransactionsRequest { block: hash, indexes: vec![1] };
    assert_eq!(body(&engine.take_effects(), "getblocktxn"), request.encode());
    let transactions = BlockTransactions::answer(&request, &block).unwrap().unwrap();
    push(&mut engine, id, &Message::BlockTransactions(transactions.clone()));
    let (token, asked_for) = question(&mut engine, |question| matches!(question, Question::FillBlock(..)));
    assert_eq!(asked_for, Question::FillBlock(key, transactions.transactions));
    let judged = BlockOutcome { verdict: accepted(), new: true, connected: true };
    engine.answer(token, Answer::Filled(CompactStatus::Ok, judged));
    assert!(engine.peer_stats()[0].in_flight.is_empty());
    assert!(engine.peer_stats()[0].last_block > 0);
}

#[test]
fn compact_block_that_cannot_be_put_together_is_fetched_whole() {
    let mut engine = engine();
    let id = high_bandwidth_peer(&mut engine);
    let block = block();
    let compact = CompactBlock::decode(&CompactBlock::of_block(&block, 5).unwrap()).unwrap();
    push(&mut engine, id, &Message::CompactBlock(compact));
    let (token, _) = question(&mut engine, |question| matches!(question, Question::CompactBlock(..)));
    engine.answer(token, Answer::Compact(outcome(&block, Vec::new())));
    let (token, _) = question(&mut engine, |question| matches!(question, Question::FillBlock(..)));
    engine.answer(token, Answer::Filled(CompactStatus::Failed, BlockOutcome::default()));
    let effects = engine.take_effects();
    let hash = header_hash(block.first_chunk().unwrap());
    let wanted = Message::GetData(vec![Inventory::new(inventory::BLOCK | inventory::WITNESS_FLAG, hash)]);
    assert_eq!(body(&effects, "getdata"), wanted.encode().1);
    // Its transactions alone are not taken any more.
    push(&mut engine, id, &Message::BlockTransactions(BlockTransactions { block: hash, transactions: Vec::new() }));
    assert!(engine.take_effects().contains(&Effect::Close(id)));
}

#[test]
fn compact_block_that_breaks_the_rules_is_misbehaviour_and_others_are_ignored() {
    let mut engine = engine();
    let block = block();
    let compact = CompactBlock::decode(&CompactBlock::of_block(&block, 5).unwrap()).unwrap();
    let stranger = handshaken(&mut engine, ConnectionKind::Inbound);
    push(&mut engine, stranger, &Message::CompactBlock(compact.clone()));
    assert!(asked(&engine.take_effects()).iter().all(|(_, question)| !matches!(question, Question::CompactBlock(..))));
    let id = high_bandwidth_peer(&mut engine);
    push(&mut engine, id, &Message::CompactBlock(compact));
    let (token, _) = question(&mut engine, |question| matches!(question, Question::CompactBlock(..)));
    engine.answer(token, Answer::Compact(CompactOutcome { status: CompactStatus::Invalid, ..outcome(&block, Vec::new()) }));
    assert!(engine.take_effects().contains(&Effect::Close(id)));
}

#[test]
fn new_block_goes_out_at_once_to_who_asked_for_it() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    push(&mut engine, id, &Message::SendCompact(1, 2));
    push(&mut engine, id, &Message::Inv(vec![Inventory::new(inventory::BLOCK, [1; 32])]));
    let _ = engine.take_effects();
    let block = block();
    engine.new_block(tip_of(block.first_chunk().unwrap(), 1), block.clone());
    let compact = CompactBlock::decode(&body(&engine.take_effects(), "cmpctblock")).unwrap();
    assert_eq!((compact.header, compact.transactions), (*block.first_chunk().unwrap(), 2));
    let request = TransactionsRequest { block: header_hash(&compact.header), indexes: vec![0] };
    push(&mut engine, id, &Message::GetBlockTransactions(request));
    let effects = engine.take_effects();
    assert!(asked(&effects).is_empty());
    assert_eq!(BlockTransactions::decode(&body(&effects, "blocktxn")).unwrap().transactions.len(), 1);
    push(
        &mut engine,
        id,
        &Message::GetBlockTransactions(TransactionsRequest { block: header_hash(&compact.header), indexes: vec![2] }),
    );
    assert!(engine.take_effects().contains(&Effect::Close(id)));
}

/// An engine that has begun to sample a chain of `count` headers, the first [`MAX_HEADERS`] of which show too little work.
fn sampling(count: usize) -> (Engine, PeerId, Vec<[u8; 80]>) {
    let mut engine = engine();
    engine.chain.minimum_work = [0; 32];
    engine.chain.minimum_work[29..].copy_from_slice(&[0, 0x10, 0]);
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let mut headers: Vec<[u8; 80]> = Vec::new();
    for _ in 0..count {
        headers.push(mined(headers.last().map_or([1; 32], header_hash)));
    }
    let low = HeadersOutcome { verdict: refused(VerdictKind::LowWork), start: engine.chain.tip, ..HeadersOutcome::default() };
    push(&mut engine, id, &Message::Headers(Ok(headers[..MAX_HEADERS].to_vec())));
    let (token, _) = question(&mut engine, |question| matches!(question, Question::SubmitHeaders(_, false)));
    engine.answer(token, Answer::Headers(low));
    let (token, _) = question(&mut engine, |question| matches!(question, Question::Locator(Some(_))));
    engine.answer(token, Answer::Locator(vec![[1; 32]]));
    (engine, id, headers)
}

#[test]
fn headers_with_little_work_are_sampled_first_and_kept_after_the_second_download() {
    let (mut engine, id, headers) = sampling(MAX_HEADERS + 100);
    assert!(sent(&engine.take_effects()).contains(&"getheaders".to_owned()));
    assert_eq!(engine.peer_stats()[0].presynced_headers, i64::try_from(MAX_HEADERS).unwrap());
    // The rest of the chain shows enough work: all is asked for again, and kept.
    push(&mut engine, id, &Message::Headers(Ok(headers[MAX_HEADERS..].to_vec())));
    assert!(sent(&engine.take_effects()).contains(&"getheaders".to_owned()));
    push(&mut engine, id, &Message::Headers(Ok(headers[..MAX_HEADERS].to_vec())));
    assert!(sent(&engine.take_effects()).contains(&"getheaders".to_owned()));
    push(&mut engine, id, &Message::Headers(Ok(headers[MAX_HEADERS..].to_vec())));
    let submitted: Vec<[u8; 80]> = asked(&engine.take_effects())
        .into_iter()
        .filter_map(|(_, question)| if let Question::SubmitHeaders(headers, true) = question { Some(headers) } else { None })
        .flatten()
        .collect();
    assert_eq!(submitted, headers);
}

#[test]
fn a_full_message_that_releases_sampled_headers_leads_to_the_next() {
    let (mut engine, id, headers) = sampling(2 * MAX_HEADERS);
    let (first, second) = headers.split_at(MAX_HEADERS);
    for part in [second, first, second] {
        let _ = engine.take_effects();
        push(&mut engine, id, &Message::Headers(Ok(part.to_vec())));
    }
    let last = header_hash(&headers[headers.len() - 1]);
    let mut kept = 0;
    let mut asked_on = Vec::new();
    // One batch of headers after the other is kept; the last of them says where to go on.
    loop {
        let questions = asked(&engine.take_effects());
        if questions.is_empty() {
            break;
        }
        for (token, question) in questions {
            match question {
                Question::SubmitHeaders(part, true) => {
                    kept += part.len();
                    let verdict = Verdict { accepted: true, ..Verdict::default() };
                    let last = tip_of(&part[part.len() - 1], i32::try_from(kept / MAX_HEADERS).unwrap());
                    engine.answer(
                        token,
                        Answer::Headers(HeadersOutcome { verdict, last, is_new: true, ..HeadersOutcome::default() }),
                    );
                }
                Question::Locator(from) => asked_on.push(from),
                _ => {}
            }
        }
    }
    assert_eq!((kept, asked_on), (2 * MAX_HEADERS, vec![Some(last)]));
}

/// A transaction that spends output 0 of another.
fn spender(parent: [u8; 32], lock: u32) -> Vec<u8> {
    let mut tx = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).txdata.remove(0);
    tx.input[0].previous_output = bitcoin::OutPoint { txid: bitcoin::Txid::from_byte_array(parent), vout: 0 };
    tx.lock_time = bitcoin::absolute::LockTime::from_consensus(lock);
    serialize(&tx)
}

fn judge(engine: &mut Engine, verdict: Verdict, missing: Vec<[u8; 32]>) -> Vec<u8> {
    let (token, asked_for) = question(engine, |question| matches!(question, Question::SubmitTransaction(_)));
    engine.answer(token, Answer::Transaction(TxOutcome { verdict, missing_parents: missing, ..TxOutcome::default() }));
    let Question::SubmitTransaction(bytes) = asked_for else { panic!("another question") };
    bytes
}

#[test]
fn parent_of_an_orphan_is_fetched_and_the_orphan_judged_again() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let _ = engine.take_effects();
    let parent = spender([7; 32], 1);
    let parent_id = skim::transaction(&parent).unwrap().txid;
    let child = spender(parent_id, 2);
    push(&mut engine, id, &Message::Tx(child.clone()));
    judge(&mut engine, refused(VerdictKind::MissingInputs), vec![parent_id]);
    assert_eq!(engine.orphans().count(), 1);
    engine.set_now(START + 5 * SECOND);
    engine.tick();
    let wanted = Message::GetData(vec![Inventory::new(inventory::TX | inventory::WITNESS_FLAG, parent_id)]);
    assert_eq!(body(&engine.take_effects(), "getdata"), wanted.encode().1);
    push(&mut engine, id, &Message::Tx(parent.clone()));
    assert_eq!(judge(&mut engine, accepted(), Vec::new()), parent);
    assert_eq!(judge(&mut engine, accepted(), Vec::new()), child);
    assert_eq!(engine.orphans().count(), 0);
}

#[test]
fn parent_that_pays_too_little_is_tried_with_its_child() {
    let mut engine = engine();
    let id = handshaken(&mut engine, ConnectionKind::Inbound);
    let _ = engine.take_effects();
    let parent = spender([7; 32], 1);
    let parent_id = skim::transaction(&parent).unwrap().txid;
    let child = spender(parent_id, 2);
    push(&mut engine, id, &Message::Tx(child.clone()));
    judge(&mut engine, refused(VerdictKind::MissingInputs), vec![parent_id]);
    push(&mut engine, id, &Message::Tx(parent.clone()));
    judge(&mut engine, refused(VerdictKind::Reconsiderable), Vec::new());
    let (token, asked_for) = question(&mut engine, |question| matches!(question, Question::SubmitPackage(..)));
    assert_eq!(asked_for, Question::SubmitPackage(parent.clone(), child));
    let one = TxOutcome { verdict: accepted(), ..TxOutcome::default() };
    engine.answer(token, Answer::Package(true, vec![one.clone(), one]));
    assert_eq!(engine.orphans().count(), 0);
    // The same pair is not tried alone again before the tip changes.
    push(&mut engine, id, &Message::Tx(parent));
    assert!(asked(&engine.take_effects()).iter().all(|(_, question)| !matches!(question, Question::SubmitTransaction(_))));
}
