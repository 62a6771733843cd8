//! Calls and answers after the schemas: of every method, with a value in every field that its type allows and its name suggests.

use bitcoin::blockdata::constants::genesis_block;
use bitcoin::consensus::serialize;
use bitcoin::{Block, Network, Transaction};
use bulkhead_schema::names::{self, MethodName};
use capnp::introspect::{Type, TypeVariant};
use capnp::message::{Builder, HeapAllocator};
use capnp::{any_pointer, dynamic_list, dynamic_struct, dynamic_value};
use capnp_rpc::rpc_capnp::message;

/// Structs within structs.
const MAX_DEPTH: usize = 6;

/// Whom a call is for.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// The bootstrap.
    Bootstrap,
    /// A capability in the answer to a question, behind these pointers.
    Answer(u32, &'a [u16]),
}

/// What the fields hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields<'a> {
    /// Nothing: their defaults.
    Default,
    /// Something, and in texts this.
    Filled(&'a str),
    /// The same, but what is true or false is false.
    No(&'a str),
    /// Something, and in fields of bytes with these names this.
    Data(&'a [(&'a str, &'a [u8])]),
    /// What is true or false is false, and of what is chosen it is the one with this number.
    Choice(u16),
}

/// A conversation that asks for methods by name, as input of [`conversation`](super::conversation) or
/// [`answers`](super::answers).
#[derive(Debug, Default)]
pub struct Talk {
    /// The input so far.
    pub bytes: Vec<u8>,
    asked: u32,
}

/// The methods of an interface.
pub fn methods_of(interface: &str) -> impl Iterator<Item = &'static MethodName> {
    names::all().iter().filter(move |method| method.name.split_once('.').is_some_and(|(of, _)| of == interface))
}

fn method(name: &str) -> &'static MethodName {
    names::all().iter().find(|method| method.name == name).expect("a name of the schemas")
}

impl Talk {
    /// One whose first call asks to be called back: the method with this ordinal takes that capability and nothing else.
    #[must_use]
    pub fn subscribed(ordinal: u8) -> Self {
        // A call of the first interface on the bootstrap, one capability of ours, one pointer, which is to it, a new number.
        let bytes = vec![9, 0, ordinal, 3, 1, 0, 1, 0, 1, 9, 0, 0, 0, 0, 0];
        Self { bytes, asked: 1 }
    }

    /// Calls a method; answers the number of the question.
    pub fn call(&mut self, name: &str, to: To<'_>, fields: Fields<'_>) -> u32 {
        self.asked += 1;
        let method = method(name);
        let mut message = Builder::new_default();
        let mut call = message.init_root::<message::Builder<'_>>().init_call();
        call.set_question_id(self.asked);
        call.set_interface_id(method.interface);
        call.set_method_id(method.ordinal);
        let mut target = call.reborrow().init_target();
        match to {
            To::Bootstrap => target.set_imported_cap(0),
            To::Answer(question, path) => {
                let mut answer = target.init_promised_answer();
                answer.set_question_id(question);
                let mut steps = answer.init_transform(path.len() as u32);
                for (at, pointer) in (0..).zip(path) {
                    steps.reborrow().get(at).set_get_pointer_field(*pointer);
                }
            }
        }
        // What calls back: a capability of ours, for methods that take one.
        let mut payload = call.init_params();
        payload.reborrow().init_cap_table(1).get(0).set_sender_hosted(0);
        make(method.new_params, payload.get_content(), fields);
        self.say(&message);
        self.asked
    }

    /// Calls every method of an interface, with fields and without.
    pub fn call_all(&mut self, interface: &str, to: To<'_>, text: &str) {
        for fields in [Fields::Default, Fields::Filled(text)] {
            for method in methods_of(interface) {
                self.call(method.name, to, fields);
            }
        }
    }

    /// Answers a question with the results of a method.
    pub fn answer(&mut self, question: u32, name: &str, fields: Fields<'_>) {
        let mut message = Builder::new_default();
        let mut answer = message.init_root::<message::Builder<'_>>().init_return();
        answer.set_answer_id(question);
        let mut payload = answer.init_results();
        payload.reborrow().init_cap_table(1).get(0).set_sender_hosted(0);
        make(method(name).new_results, payload.get_content(), fields);
        // One of three choices of the answering end.
        self.bytes.push(2);
        self.say(&message);
    }

    /// The message as it is.
    fn say(&mut self, message: &Builder<HeapAllocator>) {
        let words = capnp::serialize::write_message_to_words(message);
        let length = u16::try_from(words.len()).expect("a short message");
        self.bytes.extend([super::script::LITERAL, 1]);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(words);
    }
}

/// What fields hold.
#[derive(Clone, Copy)]
struct Values<'a> {
    text: &'a str,
    truth: bool,
    choice: u16,
    data: &'a [(&'a str, &'a [u8])],
}

impl Values<'_> {
    fn bytes(&self, name: &str) -> Vec<u8> {
        let given = self.data.iter().find(|(known, _)| *known == name);
        given.map_or_else(|| bytes(name), |(_, bytes)| bytes.to_vec())
    }
}

fn make(new: fn(any_pointer::Builder<'_>, names::Fill<'_>), pointer: any_pointer::Builder<'_>, fields: Fields<'_>) {
    new(pointer, &mut |value| {
        let values = match fields {
            Fields::Default => return,
            Fields::Filled(text) => Values { text, truth: true, choice: 0, data: &[] },
            Fields::No(text) => Values { text, truth: false, choice: 0, data: &[] },
            Fields::Data(data) => Values { text: "", truth: true, choice: 0, data },
            Fields::Choice(choice) => Values { text: "", truth: false, choice, data: &[] },
        };
        if let dynamic_value::Builder::Struct(made) = value {
            fill(made, values, 0).expect("fields as the schema has them");
        }
    });
}

fn fill(mut made: dynamic_struct::Builder<'_>, values: Values<'_>, depth: usize) -> capnp::Result<()> {
    let schema = made.get_schema();
    for field in schema.get_non_union_fields()? {
        let name = field.get_proto().get_name()?.to_str()?;
        match field.get_type().which() {
            TypeVariant::Struct(_) if depth < MAX_DEPTH => {
                if let dynamic_value::Builder::Struct(inner) = made.reborrow().init(field)? {
                    fill(inner, values, depth + 1)?;
                }
            }
            TypeVariant::List(of) if depth < MAX_DEPTH => {
                if let dynamic_value::Builder::List(list) = made.reborrow().initn(field, 1)? {
                    fill_list(list, of, name, values, depth + 1)?;
                }
            }
            // A template needs room for what is around its transactions.
            TypeVariant::UInt64 if name == "blockReservedWeight" => made.set(field, dynamic_value::Reader::UInt64(8000))?,
            kind => {
                let bytes = values.bytes(name);
                if let Some(value) = plain(kind, &bytes, values) {
                    made.set(field, value)?;
                }
            }
        }
    }
    Ok(())
}

fn fill_list(mut list: dynamic_list::Builder<'_>, of: Type, name: &str, values: Values<'_>, depth: usize) -> capnp::Result<()> {
    if let TypeVariant::Struct(_) = of.which() {
        if let dynamic_value::Builder::Struct(inner) = list.get(0)? {
            fill(inner, values, depth)?;
        }
        return Ok(());
    }
    let bytes = values.bytes(name);
    match plain(of.which(), &bytes, values) {
        Some(value) => list.set(0, value),
        None => Ok(()),
    }
}

/// A value of a type without fields; capabilities and what has no bound stay as they are.
fn plain<'a>(kind: TypeVariant, bytes: &'a [u8], values: Values<'a>) -> Option<dynamic_value::Reader<'a>> {
    use dynamic_value::Reader as Value;
    Some(match kind {
        TypeVariant::Bool => Value::Bool(values.truth),
        TypeVariant::Int32 => Value::Int32(1),
        TypeVariant::Int64 => Value::Int64(1),
        TypeVariant::UInt16 => Value::UInt16(1),
        TypeVariant::UInt32 => Value::UInt32(1),
        TypeVariant::UInt64 => Value::UInt64(1),
        TypeVariant::Float64 => Value::Float64(0.001),
        TypeVariant::Text => Value::Text(values.text.into()),
        TypeVariant::Data => Value::Data(bytes),
        TypeVariant::Enum(schema) => Value::Enum(dynamic_value::Enum::new(values.choice, schema.into())),
        _ => return None,
    })
}

/// Bytes that suit a field of this name.
fn bytes(name: &str) -> Vec<u8> {
    let genesis = genesis_block(Network::Regtest);
    match name {
        "block" => serialize(&first()),
        "headers" => serialize(&first().header),
        // On top of the above.
        "compactBlock" => compact(&child(&first(), 2, &[payment()])),
        "transaction" | "transactions" | "parent" | "child" | "coinbase" => serialize(&payment()),
        "script" => vec![0x51],
        "data" | "body" | "filter" | "content" => vec![7; 20],
        "ids" => [&[0][..], &payment().compute_txid()[..]].concat(),
        "txid" | "txids" | "wtxids" => payment().compute_txid()[..].to_vec(),
        _ => genesis.block_hash()[..].to_vec(),
    }
}

/// Spends what is not there.
fn payment() -> Transaction {
    let mut tx = genesis_block(Network::Regtest).txdata.remove(0);
    tx.input[0].previous_output = bitcoin::OutPoint { txid: tx.compute_txid(), vout: 0 };
    tx
}

/// The block behind the genesis block.
fn first() -> Block {
    child(&genesis_block(Network::Regtest), 1, &[])
}

/// A block on top of another, at this height, with proof of work and these transactions behind its own.
fn child(parent: &Block, height: u8, transactions: &[Transaction]) -> Block {
    let mut block = genesis_block(Network::Regtest);
    block.header.prev_blockhash = parent.block_hash();
    block.header.time = parent.header.time + 600;
    block.header.version = bitcoin::block::Version::from_consensus(0x2000_0000);
    // The height as an opcode, and a byte more: shorter is not allowed.
    block.txdata[0].input[0].script_sig = vec![0x50 + height, 0x51].into();
    block.txdata.extend_from_slice(transactions);
    block.header.merkle_root = block.compute_merkle_root().expect("there are transactions");
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

/// Announces a block of two transactions with the first of them.
fn compact(block: &Block) -> Vec<u8> {
    let first = serialize(&block.txdata[0]);
    // Header, nonce, one short name that nobody has, one transaction at the first place.
    [&serialize(&block.header)[..], &7u64.to_le_bytes(), &[1], &[9; 6], &[1, 0], &first].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bulkhead_schema::wire::net_chain_capnp::net_events::updated_tip_params;
    use capnp::message::ReaderOptions;

    use super::*;
    use crate::hostile::{conversation, edge};

    #[test]
    fn every_method_can_be_called_with_every_field() {
        let mut talk = Talk::default();
        for method in names::all() {
            talk.call(method.name, To::Bootstrap, Fields::Filled("text"));
        }
        let script = conversation(&talk.bytes, &edge("net-chain").unwrap());
        assert_eq!(script.messages.len(), names::all().len() + 1);
        let tips: Vec<_> = script
            .messages
            .iter()
            .filter_map(|bytes| {
                let message =
                    capnp::serialize::read_message_from_flat_slice(&mut bytes.as_slice(), ReaderOptions::new()).unwrap();
                let message::Call(call) = message.get_root::<message::Reader<'_>>().unwrap().which().unwrap() else {
                    return None;
                };
                let call = call.unwrap();
                let wanted = method("NetEvents.updatedTip");
                ((call.get_interface_id(), call.get_method_id()) == (wanted.interface, wanted.ordinal)).then(|| {
                    let params = call.get_params().unwrap().get_content().get_as::<updated_tip_params::Reader<'_>>().unwrap();
                    (params.get_tip().unwrap().get_chain_work().unwrap().len(), params.get_headers().unwrap().len())
                })
            })
            .collect();
        assert_eq!(tips, [(32, 1)]);
    }
}
