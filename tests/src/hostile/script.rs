//! Bytes become a conversation: every method in any order, on capabilities that exist, that never did and that are gone, on
//! answers that came, that failed and that were never asked for; canceled, repeated, cut short.

use super::content::content;
use super::message::{self, Capability, Target};
use super::{Edge, Interface, Source};

/// Most messages of one conversation.
const MAX_MESSAGES: usize = 400;

/// Chooses bytes as they are.
pub const LITERAL: u8 = 7;

/// What is sent, message by message; the last may be cut.
#[derive(Debug, Default)]
pub struct Script {
    /// Bytes of each message.
    pub messages: Vec<Vec<u8>>,
    /// Questions that were asked with a well-formed call.
    pub questions: u32,
}

impl Script {
    fn say(&mut self, message: Vec<u8>) {
        self.messages.push(message);
    }
}

/// Calls from the client end of an edge, or of somebody who has taken it.
#[must_use]
pub fn conversation(bytes: &[u8], edge: &Edge) -> Script {
    let mut source = Source::new(bytes);
    let mut script = Script::default();
    script.say(message::bootstrap(0));
    script.questions = 1;
    while !source.is_empty() && script.messages.len() < MAX_MESSAGES {
        step(&mut script, &mut source, edge, &edge.served);
    }
    script
}

/// Calls that any honest client could make, of every method in turn, without parameters. `finish`: whoever asks also says that it is
/// done with the answer, in the same breath. `script` is what was said before, or empty.
pub fn calls(script: &mut Script, edge: &Edge, count: u32, finish: bool) {
    script.messages.clear();
    if script.questions == 0 {
        script.say(message::bootstrap(0));
    }
    let bootstrap = edge.served[0];
    let nothing = super::content::Content { words: Vec::new(), data: 0, pointers: 0 };
    for question in script.questions + 1..=script.questions + count {
        let method = u16::try_from(question % u32::from(bootstrap.methods)).unwrap_or(0);
        let target = Target::Answer { question: 0, field: None };
        script.say(message::call(question, target, (bootstrap.id, method), &nothing, &[]));
        if finish {
            script.say(message::finish(question, true));
        }
    }
    script.questions += count;
}

/// What the serving end of an edge says that has been taken: answers to questions, whether or not they were asked, and calls of
/// the callbacks.
#[must_use]
pub fn answers(bytes: &[u8], edge: &Edge) -> Script {
    let mut source = Source::new(bytes);
    let mut script = Script::default();
    let callbacks: Vec<Interface> = edge.called_back.into_iter().collect();
    // The other side asks for the bootstrap first.
    script.say(message::capability(0, Capability::Ours(0)));
    while !source.is_empty() && script.messages.len() < MAX_MESSAGES {
        if source.below(3) < 2 {
            let question = question(&mut source, 8);
            let answer = if source.below(4) == 0 {
                message::no_results(question, source.below(4), "std::exception: taken over")
            } else {
                let capabilities = capabilities(&mut source);
                let content = content(&mut source, edge, capabilities.len() as u32);
                message::results(question, &content, &capabilities)
            };
            script.say(answer);
        } else {
            step(&mut script, &mut source, edge, &callbacks);
        }
    }
    script
}

/// A question that was asked, mostly.
fn question(source: &mut Source<'_>, asked: u32) -> u32 {
    match source.below(8) {
        0 => source.word(),
        1 => u32::MAX,
        _ => u32::from(source.byte()) % asked.max(1),
    }
}

fn capabilities(source: &mut Source<'_>) -> Vec<Capability> {
    let count = source.below(4);
    (0..count)
        .map(|_| {
            let id = u32::from(source.byte());
            match source.below(6) {
                0 => Capability::None,
                1 | 2 => Capability::Ours(id),
                3 => Capability::OurPromise(id),
                4 => Capability::Theirs(id % 4),
                _ => Capability::TheirAnswer(id % 8),
            }
        })
        .collect()
}

fn step(script: &mut Script, source: &mut Source<'_>, edge: &Edge, interfaces: &[Interface]) {
    match source.below(24) {
        0 => {
            let question = question(source, script.questions);
            script.say(message::finish(question, source.below(2) == 0));
        }
        1 => script.say(message::release(u32::from(source.byte()) % 6, 1 + u32::from(source.byte() / 128) * u32::MAX / 2)),
        2 => {
            let capability = capabilities(source).pop();
            script.say(message::resolve(u32::from(source.byte()), capability));
        }
        3 => script.say(message::disembargo(u32::from(source.byte()) % 4, source.word(), source.below(2) == 0)),
        4 => {
            let question = question(source, script.questions);
            script.say(message::no_results(question, source.below(4), "nobody asked"));
        }
        5 => {
            script.say(message::bootstrap(script.questions));
            script.questions += 1;
        }
        6 if source.below(8) == 0 => script.say(message::abort("enough")),
        // Bytes as they are: half a segment table, a huge one, noise.
        choice if choice == usize::from(LITERAL) => match source.below(4) {
            0 => {
                let count = source.below(64);
                script.say(source.take(count).to_vec());
            }
            // Whole messages; most will be calls.
            1 => {
                let count = u16::from_le_bytes([source.byte(), source.byte()]);
                script.say(source.take(usize::from(count)).to_vec());
                script.questions += 1;
            }
            _ => called(script, source, edge, interfaces),
        },
        // Half a message.
        8 if source.below(8) == 0 => {
            if let Some(last) = script.messages.last_mut() {
                last.truncate(last.len() / 2);
            }
        }
        _ => called(script, source, edge, interfaces),
    }
}

fn called(script: &mut Script, source: &mut Source<'_>, edge: &Edge, interfaces: &[Interface]) {
    let Some(interface) = interfaces.get(source.below(interfaces.len())) else { return };
    // One ordinal more than there is.
    let method = u16::from(source.byte()) % (interface.methods + 1);
    let target = match source.below(6) {
        0 => Target::Answer { question: question(source, script.questions), field: Some(source.below(3) as u16) },
        1 => Target::Import(u32::from(source.byte()) % 5),
        2 => Target::Answer { question: question(source, script.questions), field: None },
        _ => Target::Import(0),
    };
    let capabilities = capabilities(source);
    let content = content(source, edge, capabilities.len() as u32);
    // A number that is still in use, seldom.
    let question = if source.below(16) == 15 { question(source, script.questions) } else { script.questions };
    script.say(message::call(question, target, (interface.id, method), &content, &capabilities));
    script.questions += 1;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn any_bytes_are_a_conversation_and_most_messages_are_whole() {
        let edge = crate::hostile::edge("net-chain").unwrap();
        let mut whole = 0;
        let mut all = 0;
        for seed in 0..200u64 {
            let bytes: Vec<u8> = (0..600)
                .scan(seed * 2 + 1, |state, _| {
                    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    Some(state.to_le_bytes()[7])
                })
                .collect();
            for message in conversation(&bytes, &edge).messages.iter().chain(&answers(&bytes, &edge).messages) {
                all += 1;
                let mut rest = message.as_slice();
                let options = capnp::message::ReaderOptions::new();
                whole += usize::from(capnp::serialize::read_message_from_flat_slice(&mut rest, options).is_ok());
            }
        }
        assert!(all > 2000 && whole * 10 > all * 9, "{whole} of {all}");
    }
}
