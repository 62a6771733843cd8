//! Messages of Cap'n Proto RPC (rpc.capnp) around content that no library would build.

use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, promised_answer};

use super::content::Content;

/// What a call is addressed to.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// A capability that the other side exported.
    Import(u32),
    /// Field `field` of the answer to an earlier question.
    Answer { question: u32, field: Option<u16> },
}

/// A capability that travels beside a message.
#[derive(Debug, Clone, Copy)]
pub enum Capability {
    None,
    Ours(u32),
    OurPromise(u32),
    Theirs(u32),
    TheirAnswer(u32),
}

/// Marks the first word of the place that content will take.
const MARK: u64 = 0x6b72_616d_2064_6572;

fn flat(message: &Builder<HeapAllocator>) -> Vec<u8> {
    capnp::serialize::write_message_to_words(message)
}

fn new(words: usize) -> Builder<HeapAllocator> {
    let words = u32::try_from(words).unwrap_or(u32::MAX);
    Builder::new(HeapAllocator::new().first_segment_words(words))
}

/// The first question of a connection.
pub fn bootstrap(question: u32) -> Vec<u8> {
    let mut message = new(64);
    message.init_root::<message::Builder<'_>>().init_bootstrap().set_question_id(question);
    flat(&message)
}

/// A call.
pub fn call(
    question: u32,
    target: Target,
    (interface, method): (u64, u16),
    content: &Content,
    capabilities: &[Capability],
) -> Vec<u8> {
    let mut message = new(content.words.len() + 512);
    let mut call = message.init_root::<message::Builder<'_>>().init_call();
    call.set_question_id(question);
    call.set_interface_id(interface);
    call.set_method_id(method);
    let mut to = call.reborrow().init_target();
    match target {
        Target::Import(id) => to.set_imported_cap(id),
        Target::Answer { question, field } => {
            let mut answer = to.init_promised_answer();
            answer.set_question_id(question);
            if let Some(field) = field {
                let mut steps = answer.init_transform(1);
                steps.reborrow().get(0).set_get_pointer_field(field);
            }
        }
    }
    fill(call.init_params(), content, capabilities);
    place(flat(&message), content)
}

/// An answer with results.
pub fn results(question: u32, content: &Content, capabilities: &[Capability]) -> Vec<u8> {
    let mut message = new(content.words.len() + 512);
    let mut answer = message.init_root::<message::Builder<'_>>().init_return();
    answer.set_answer_id(question);
    fill(answer.init_results(), content, capabilities);
    place(flat(&message), content)
}

/// The answer to a bootstrap: a capability.
pub fn capability(question: u32, capability: Capability) -> Vec<u8> {
    let content = Content { words: Vec::new(), data: 0, pointers: 0 };
    let mut bytes = results(question, &content, &[capability]);
    // The room stays: its pointer is where an empty struct is pointed to.
    if let Some(at) = (1..bytes.len() / 8).find(|at| word(&bytes, *at) == 0xffff_fffc) {
        put(&mut bytes, at, 3);
    }
    bytes
}

/// The answer of an honest server to a bootstrap.
#[must_use]
pub fn bootstrap_answer(question: u32) -> Vec<u8> {
    capability(question, Capability::Ours(0))
}

/// An answer whose fields all have their default.
#[must_use]
pub fn answer_with_nothing(question: u32) -> Vec<u8> {
    results(question, &Content { words: Vec::new(), data: 0, pointers: 0 }, &[])
}

/// What the other side asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// For the bootstrap capability.
    Bootstrap(u32),
    /// For a call.
    Call(u32),
    /// For nothing.
    Other,
}

/// Takes the first complete message off the front of `received`.
pub fn next_question(received: &mut Vec<u8>) -> Option<Asked> {
    let mut rest = received.as_slice();
    let message = capnp::serialize::read_message_from_flat_slice(&mut rest, capnp::message::ReaderOptions::new()).ok()?;
    let asked = match message.get_root::<message::Reader<'_>>().ok()?.which() {
        Ok(message::Bootstrap(Ok(bootstrap))) => Asked::Bootstrap(bootstrap.get_question_id()),
        Ok(message::Call(Ok(call))) => Asked::Call(call.get_question_id()),
        _ => Asked::Other,
    };
    let left = rest.len();
    received.drain(..received.len() - left);
    Some(asked)
}

/// An answer without results: an exception with this text, or that it was canceled, or that the results went elsewhere.
pub fn no_results(question: u32, kind: usize, text: &str) -> Vec<u8> {
    let mut message = new(256 + text.len() / 8);
    let mut answer = message.init_root::<message::Builder<'_>>().init_return();
    answer.set_answer_id(question);
    match kind {
        0 => answer.init_exception().set_reason(text),
        1 => answer.set_canceled(()),
        2 => answer.set_results_sent_elsewhere(()),
        _ => answer.set_take_from_other_question(question),
    }
    flat(&message)
}

/// The end of a question, asked or not.
pub fn finish(question: u32, release: bool) -> Vec<u8> {
    let mut message = new(64);
    let mut finish = message.init_root::<message::Builder<'_>>().init_finish();
    finish.set_question_id(question);
    finish.set_release_result_caps(release);
    flat(&message)
}

/// Gives references to an import back.
pub fn release(id: u32, count: u32) -> Vec<u8> {
    let mut message = new(64);
    let mut release = message.init_root::<message::Builder<'_>>().init_release();
    release.set_id(id);
    release.set_reference_count(count);
    flat(&message)
}

/// A promise that became a capability or failed.
pub fn resolve(promise: u32, capability: Option<Capability>) -> Vec<u8> {
    let mut message = new(128);
    let mut resolve = message.init_root::<message::Builder<'_>>().init_resolve();
    resolve.set_promise_id(promise);
    match capability {
        Some(capability) => describe(resolve.init_cap(), capability),
        None => resolve.init_exception().set_reason("broken"),
    }
    flat(&message)
}

/// An end of an embargo, of the sender's or of the receiver's.
pub fn disembargo(target: u32, embargo: u32, sender: bool) -> Vec<u8> {
    let mut message = new(128);
    let mut disembargo = message.init_root::<message::Builder<'_>>().init_disembargo();
    disembargo.reborrow().init_target().set_imported_cap(target);
    let mut context = disembargo.init_context();
    if sender {
        context.set_sender_loopback(embargo)
    } else {
        context.set_receiver_loopback(embargo)
    }
    flat(&message)
}

/// The end of the connection, with a reason.
pub fn abort(text: &str) -> Vec<u8> {
    let mut message = new(128 + text.len() / 8);
    message.init_root::<message::Builder<'_>>().init_abort().set_reason(text);
    flat(&message)
}

fn fill(mut payload: payload::Builder<'_>, content: &Content, capabilities: &[Capability]) {
    let mut table = payload.reborrow().init_cap_table(u32::try_from(capabilities.len()).unwrap_or(0));
    for (index, capability) in (0..).zip(capabilities) {
        describe(table.reborrow().get(index), *capability);
    }
    let bytes = content.words.len().max(1) * 8;
    let room = payload.get_content().initn_as::<capnp::data::Builder<'_>>(u32::try_from(bytes).unwrap_or(8));
    room[..8].copy_from_slice(&MARK.to_le_bytes());
}

fn describe(mut descriptor: cap_descriptor::Builder<'_>, capability: Capability) {
    match capability {
        Capability::None => descriptor.set_none(()),
        Capability::Ours(id) => descriptor.set_sender_hosted(id),
        Capability::OurPromise(id) => descriptor.set_sender_promise(id),
        Capability::Theirs(id) => descriptor.set_receiver_hosted(id),
        Capability::TheirAnswer(question) => {
            let mut answer: promised_answer::Builder<'_> = descriptor.init_receiver_answer();
            answer.set_question_id(question);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap_or_default())
}

fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
}

/// Where the room for content begins, and where the pointer to it is.
fn room(bytes: &[u8]) -> Option<(usize, usize)> {
    let room = (0..bytes.len() / 8).find(|at| word(bytes, *at) == MARK)?;
    let points_there = |at: &usize| {
        let offset = (word(bytes, *at) as u32).cast_signed() >> 2;
        word(bytes, *at) & 3 == 1 && *at as i64 + 1 + i64::from(offset) == room as i64
    };
    Some((room, (1..room).find(points_there)?))
}

/// Puts the content's words where the message has room for them, and makes the pointer to the room one to a struct.
fn place(mut bytes: Vec<u8>, content: &Content) -> Vec<u8> {
    let Some((room, pointer)) = room(&bytes) else { return bytes };
    let offset = (word(&bytes, pointer) as u32) & !3;
    let size = u64::from(content.data) | u64::from(content.pointers) << 16;
    // An empty struct would be a null pointer with an offset; Cap'n Proto writes -1 for those.
    put(&mut bytes, pointer, if size == 0 { 0xffff_fffc } else { u64::from(offset) | size << 32 });
    let (places, _) = bytes[room * 8..].as_chunks_mut();
    for (place, word) in places.iter_mut().zip(&content.words) {
        *place = word.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bulkhead_schema::wire::net_chain_capnp::net_chain::get_block_params;

    #[test]
    fn hand_made_content_is_read_as_parameters() {
        // One pointer, to 32 bytes.
        let content = Content { words: vec![(32 << 3 | 2) << 32 | 1, 7, 7, 7, 9], data: 0, pointers: 1 };
        let bytes = call(3, Target::Import(0), (1, 2), &content, &[Capability::Ours(5), Capability::None]);
        let mut rest = bytes.as_slice();
        let message = capnp::serialize::read_message_from_flat_slice(&mut rest, capnp::message::ReaderOptions::new()).unwrap();
        let message::Call(call) = message.get_root::<message::Reader<'_>>().unwrap().which().unwrap() else { unreachable!() };
        let call = call.unwrap();
        assert_eq!((call.get_question_id(), call.get_interface_id(), call.get_method_id()), (3, 1, 2));
        let params = call.get_params().unwrap();
        assert_eq!(params.get_cap_table().unwrap().len(), 2);
        let hash = params.get_content().get_as::<get_block_params::Reader<'_>>().unwrap();
        let wanted = [7u64, 7, 7, 9].map(u64::to_le_bytes).concat();
        assert_eq!(hash.get_hash().unwrap(), wanted);
    }
}
