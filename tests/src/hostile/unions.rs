//! What can be said in plain messages, according to the schemas: the members of their unions.

use std::collections::BTreeSet;

use capnp::dynamic_struct;
use capnp::dynamic_value::Reader as Value;
use capnp::introspect::{Introspect, Type, TypeVariant};
use capnp::message::ReaderOptions;
use capnp::schema::StructSchema;
use capnp::traits::Owned;

/// Members of the union of a struct.
///
/// # Errors
/// The schema in the program is damaged.
pub fn union_members<T: Introspect>() -> capnp::Result<BTreeSet<String>> {
    let mut members = BTreeSet::new();
    if let TypeVariant::Struct(raw) = T::introspect().which() {
        for field in StructSchema::new(raw).get_union_fields()? {
            members.insert(field.get_proto().get_name()?.to_string()?);
        }
    }
    Ok(members)
}

/// Members of all unions that a message of this type may hold, each behind the name of its struct.
///
/// # Errors
/// The schema in the program is damaged.
pub fn members_within<T: Introspect>() -> capnp::Result<BTreeSet<String>> {
    let mut members = BTreeSet::new();
    let (mut open, mut seen) = (vec![T::introspect()], BTreeSet::new());
    while let Some(kind) = open.pop() {
        match kind.which() {
            TypeVariant::List(inner) => open.push(inner),
            TypeVariant::Struct(raw) => {
                let schema = StructSchema::new(raw);
                let name = name(schema)?;
                if seen.insert(name.clone()) {
                    for field in schema.get_union_fields()? {
                        members.insert(format!("{name}.{}", field.get_proto().get_name()?.to_str()?));
                    }
                    let kinds: Vec<Type> = schema.get_fields()?.iter().map(|field| field.get_type()).collect();
                    open.extend(kinds);
                }
            }
            _ => {}
        }
    }
    Ok(members)
}

/// Those of [`members_within`] that this message holds.
///
/// # Errors
/// It is no message of this type.
pub fn members_in<T: Owned>(message: &[u8]) -> capnp::Result<BTreeSet<String>>
where
    for<'a> Value<'a>: From<T::Reader<'a>>,
{
    let mut rest = message;
    let message = capnp::serialize::read_message_from_flat_slice(&mut rest, ReaderOptions::new())?;
    let mut members = BTreeSet::new();
    let mut open = vec![Value::from(message.get_root::<T::Reader<'_>>()?)];
    while let Some(value) = open.pop() {
        match value {
            Value::List(list) => {
                for item in list.iter() {
                    open.push(item?);
                }
            }
            Value::Struct(found) => {
                let chosen = found.which()?;
                if let Some(field) = chosen {
                    members.insert(format!("{}.{}", name(found.get_schema())?, field.get_proto().get_name()?.to_str()?));
                }
                open.extend(content(found, chosen)?);
            }
            _ => {}
        }
    }
    Ok(members)
}

fn content(found: dynamic_struct::Reader<'_>, chosen: Option<capnp::schema::Field>) -> capnp::Result<Vec<Value<'_>>> {
    let outside = found.get_schema().get_non_union_fields()?;
    outside.iter().chain(chosen).map(|field| found.get(field)).collect()
}

/// Without the file that it is in.
fn name(schema: StructSchema) -> capnp::Result<String> {
    let name = schema.get_proto().get_display_name()?.to_str()?;
    Ok(name.rsplit_once(':').map_or(name, |(_, name)| name).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bulkhead_schema::wire::control_capnp::{from_child, to_child};

    use super::*;

    #[test]
    fn unions_are_found_at_every_depth() {
        let members = members_within::<from_child::Owned>().unwrap();
        assert!(members.contains("FromChild.request") && members.contains("Request.openFile"), "{members:?}");
        let mut message = capnp::message::Builder::new_default();
        let root = message.init_root::<from_child::Builder<'_>>();
        root.init_request().set_list_wallet_dir(());
        let bytes = capnp::serialize::write_message_to_words(&message);
        let wanted = ["FromChild.request", "Request.listWalletDir"].map(str::to_owned);
        assert_eq!(members_in::<from_child::Owned>(&bytes).unwrap(), BTreeSet::from(wanted));
        assert!(union_members::<to_child::Owned>().unwrap().contains("configure"));
    }
}
