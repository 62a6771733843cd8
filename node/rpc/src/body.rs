//! The body of a request as JSON, with repeated names of parameters kept: they are an error, not a choice.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parameters of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// By position.
    List(Vec<Value>),
    /// By name, as given.
    Named(Vec<(String, Value)>),
    /// Null, or no such member.
    Absent,
    /// Anything else.
    Wrong,
}

/// A member of a request: a call or something that should have been one.
#[derive(Clone, Debug, PartialEq)]
pub enum Member {
    /// An object: its members but the parameters, and those.
    Object(Map<String, Value>, Params),
    /// No object.
    Other,
}

/// A whole body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// One call.
    Single(Member),
    /// Several.
    Batch(Vec<Member>),
    /// Neither object nor array.
    Other,
}

macro_rules! scalars {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
}

/// The key under which serde_json hands over numbers of arbitrary precision.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// One parameter. An object that repeats a name is handed on as a list of objects with one member each. Outputs may be written
/// in either form, so the method that reads them sees the repetition; every other method refuses a list where it wants an object,
/// instead of choosing one of the members.
struct Argument(Value);

struct ArgumentVisitor;

impl<'de> Visitor<'de> for ArgumentVisitor {
    type Value = Argument;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a parameter")
    }

    fn visit_unit<E>(self) -> Result<Argument, E> {
        Ok(Argument(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Argument, E> {
        Ok(Argument(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Argument, E> {
        Ok(Argument(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Argument, E> {
        Ok(Argument(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Argument, E> {
        Ok(Argument(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Argument, E> {
        Ok(Argument(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Argument, E> {
        Ok(Argument(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Argument, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            list.push(item);
        }
        Ok(Argument(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Argument, A::Error> {
        let mut map = Map::new();
        let mut repeated = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NUMBER_KEY && map.is_empty() {
                let digits: String = members.next_value()?;
                let number: serde_json::Number = digits.parse().map_err(serde::de::Error::custom)?;
                return Ok(Argument(Value::Number(number)));
            }
            let value = members.next_value()?;
            if map.contains_key(&name) {
                repeated.push((name, value));
            } else {
                map.insert(name, value);
            }
        }
        if repeated.is_empty() {
            return Ok(Argument(Value::Object(map)));
        }
        let members = map.into_iter().chain(repeated).map(|member| Value::Object(Map::from_iter([member])));
        Ok(Argument(Value::Array(members.collect())))
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgumentVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("parameters")
    }

    fn visit_unit<E>(self) -> Result<Params, E> {
        Ok(Params::Absent)
    }

    scalars!(Params::Wrong);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Params, A::Error> {
        let mut list = Vec::new();
        while let Some(Argument(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Params::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Params, A::Error> {
        let mut named = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            named.push((name, members.next_value::<Argument>()?.0));
        }
        if matches!(named.as_slice(), [(name, _)] if name == NUMBER_KEY) {
            return Ok(Params::Wrong);
        }
        Ok(Params::Named(named))
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamsVisitor)
    }
}

fn object<'de, A: MapAccess<'de>>(mut members: A) -> Result<Option<Member>, A::Error> {
    let mut rest = Map::new();
    let mut params = Params::Absent;
    let mut is_number = false;
    while let Some(name) = members.next_key::<String>()? {
        if name == "params" {
            params = members.next_value()?;
        } else {
            is_number = name == NUMBER_KEY;
            rest.insert(name, members.next_value()?);
        }
    }
    Ok((!is_number).then_some(Member::Object(rest, params)))
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a call")
    }

    fn visit_unit<E>(self) -> Result<Member, E> {
        Ok(Member::Other)
    }

    scalars!(Member::Other);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Member, A::Error> {
        while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Member, A::Error> {
        Ok(object(members)?.unwrap_or(Member::Other))
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a call or several")
    }

    fn visit_unit<E>(self) -> Result<Body, E> {
        Ok(Body::Other)
    }

    scalars!(Body::Other);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Body, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = items.next_element()? {
            members.push(member);
        }
        Ok(Body::Batch(members))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Body, A::Error> {
        Ok(object(members)?.map_or(Body::Other, Body::Single))
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

/// Reads a body; `None` when it is not JSON.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Body> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn params(text: &str) -> Params {
        match read(text.as_bytes()).unwrap() {
            Body::Single(Member::Object(_, params)) => params,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn repeated_names_are_kept() {
        let given = params(r#"{"method":"x","params":{"a":1,"a":2}}"#);
        assert_eq!(given, Params::Named(vec![("a".into(), json!(1)), ("a".into(), json!(2))]));
    }

    #[test]
    fn an_object_that_repeats_a_name_becomes_a_list_of_members() {
        let list = json!([{"a": 1}, {"b": 2}, {"a": 3}]);
        assert_eq!(params(r#"{"params":[[],{"a":1,"b":2,"a":3}]}"#), Params::List(vec![json!([]), list.clone()]));
        assert_eq!(params(r#"{"params":{"x":{"a":1,"b":2,"a":3}}}"#), Params::Named(vec![("x".into(), list)]));
        let plain = json!([{"a": [1, {"b": null}]}, "s", true, -5, 12.5, null]);
        assert_eq!(params(&format!(r#"{{"params":{plain}}}"#)), Params::List(plain.as_array().unwrap().clone()));
        let long = "12345678901234567890.12345678901234567890";
        assert_eq!(params(&format!(r#"{{"params":[{long}]}}"#)), Params::List(vec![serde_json::from_str(long).unwrap()]));
    }

    #[test]
    fn shapes_are_told_apart() {
        assert_eq!(params(r#"{"params":[1.50]}"#), Params::List(vec![serde_json::from_str("1.50").unwrap()]));
        assert_eq!(params(r#"{"params":null}"#), Params::Absent);
        assert_eq!(params("{}"), Params::Absent);
        for wrong in ["1", "1.5", "\"x\"", "true", "123456789012345678901234567890"] {
            assert_eq!(params(&format!("{{\"params\":{wrong}}}")), Params::Wrong, "{wrong}");
        }
        for other in ["1", "1.5", "\"x\"", "true", "null"] {
            assert_eq!(read(other.as_bytes()), Some(Body::Other), "{other}");
            assert_eq!(
                read(format!("[{other}, []]").as_bytes()),
                Some(Body::Batch(vec![Member::Other, Member::Other])),
                "{other}"
            );
        }
        assert_eq!(read(b"nonsense"), None);
        assert_eq!(read(b""), None);
    }
}
