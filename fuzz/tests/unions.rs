//! Among the committed inputs of the edges of plain messages is one for each thing that the schemas let somebody say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use bulkhead_control::{FromChild, ToChild};
use bulkhead_keystore_edge::{Reply, Request};
use bulkhead_schema::wire::control_capnp::{from_child, to_child};
use bulkhead_schema::wire::wallet_keystore_capnp::{reply, request};
use bulkhead_tests::hostile::{members_in, members_within};

/// What the inputs of a target hold that our decoder takes.
fn taken(target: &str, members: impl Fn(&[u8]) -> Option<BTreeSet<String>>) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.filter_map(|input| members(&input)).flatten().collect()
}

#[test]
fn every_member_of_every_union_is_an_input() {
    let found =
        taken("control_to_child", |input| ToChild::decode(input).ok().map(|_| members_in::<to_child::Owned>(input).unwrap()));
    assert_eq!(found, members_within::<to_child::Owned>().unwrap());
    let found = taken("control_from_child", |input| {
        FromChild::decode(input).ok().map(|_| members_in::<from_child::Owned>(input).unwrap())
    });
    assert_eq!(found, members_within::<from_child::Owned>().unwrap());
    let found =
        taken("keystore_request", |input| Request::decode(input).ok().map(|_| members_in::<request::Owned>(input).unwrap()));
    assert_eq!(found, members_within::<request::Owned>().unwrap());
    let found = taken("keystore_reply", |input| Reply::decode(input).ok().map(|_| members_in::<reply::Owned>(input).unwrap()));
    assert_eq!(found, members_within::<reply::Owned>().unwrap());
}
