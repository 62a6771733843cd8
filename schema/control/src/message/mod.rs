//! The messages as Rust values, and their strict encoding (`schema/edges/control.capnp`).
//!
//! One message is one datagram. Decoding bounds lists before it allocates, refuses unknown union members, and
//! refuses trailing bytes.

mod common;
mod from_child;
mod to_child;

pub use common::{Command, Edge, FieldValue, Fields, LogLevel, Report};
pub use from_child::{FromChild, OpenFile, OpenKeystore, Request};
pub use to_child::{Configure, LogOptions, Outcome, Reply, ToChild};

use crate::ControlError;
use bulkhead_planted::{Fault, planted};
use capnp::message::{Builder, HeapAllocator, ReaderOptions};

/// The longest datagram, bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The longest list in a message.
pub const MAX_LIST: u32 = 1024;

/// Serialises into one datagram.
pub(crate) fn to_bytes(builder: &Builder<HeapAllocator>) -> Result<Vec<u8>, ControlError> {
    let bytes = capnp::serialize::write_message_to_words(builder);
    if bytes.len() > MAX_MESSAGE {
        return Err(ControlError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Parses one datagram, which must be consumed completely.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<capnp::message::Reader<capnp::serialize::OwnedSegments>, ControlError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(ControlError::TooLarge(bytes.len()));
    }
    // Twice the datagram: the decoder reads each part once, some lists twice.
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(2 * MAX_MESSAGE / 8)).nesting_limit(12);
    let mut rest = bytes;
    let reader = capnp::serialize::read_message(&mut rest, options)?;
    if rest.is_empty() { Ok(reader) } else { Err(ControlError::Trailing(rest.len())) }
}

/// A text as an owned string.
pub(crate) fn text(reader: capnp::Result<capnp::text::Reader<'_>>) -> Result<String, ControlError> {
    Ok(reader?.to_str().map_err(|_| ControlError::NotUtf8)?.to_owned())
}

/// A list of texts, bounded.
pub(crate) fn texts(list: capnp::Result<capnp::text_list::Reader<'_>>, name: &'static str) -> Result<Vec<String>, ControlError> {
    let list = list?;
    bound(list.len(), name)?;
    list.iter().map(text).collect()
}

/// Refuses a list that is longer than [`MAX_LIST`].
pub(crate) fn bound(length: u32, name: &'static str) -> Result<(), ControlError> {
    if length > MAX_LIST && !planted(Fault::ListUnbounded) { Err(ControlError::ListTooLong(name)) } else { Ok(()) }
}

/// Length of a list as the builder wants it; a longer one is cut by the datagram limit anyway.
pub(crate) fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Writes a list of texts.
pub(crate) fn put_texts(mut list: capnp::text_list::Builder<'_>, values: &[String]) {
    for (index, value) in (0..).zip(values) {
        list.set(index, value);
    }
}
