//! Typed configuration: what the supervisor parsed once and hands to a child, field by field.
//!
//! A child sees only its own struct. Decoding is strict: a missing, surplus, repeated or mistyped field is an
//! error, so a supervisor and a child of different versions notice it at birth.

mod chain;
mod gui;
mod keystore;
mod net;
mod notify;
mod rpc;
mod wallet;

pub use chain::ChainConfig;
pub use gui::GuiConfig;
pub use keystore::KeystoreConfig;
pub use net::NetConfig;
pub use notify::NotifyConfig;
pub use rpc::RpcConfig;
pub use wallet::WalletConfig;

use crate::message::{FieldValue, Fields};
use thiserror::Error;

/// Why a configuration could not be decoded.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The struct has a field that the message lacks.
    #[error("configuration field {0} is missing")]
    Missing(&'static str),
    /// The message has a field that the struct lacks.
    #[error("configuration field {0} is unknown")]
    Unknown(String),
    /// The same field twice.
    #[error("configuration field {0} is repeated")]
    Repeated(String),
    /// The value has another type, or does not fit.
    #[error("configuration field {0} has a value of the wrong type or range")]
    Mistyped(&'static str),
}

/// A struct that travels as a list of named values; made by [`config!`](crate::config!).
pub trait TypedConfig: Sized {
    /// Every field in declaration order.
    fn to_fields(&self) -> Fields;
    /// The inverse of [`to_fields`](Self::to_fields).
    ///
    /// # Errors
    /// The first field that is missing, surplus, repeated or mistyped.
    fn from_fields(fields: Fields) -> Result<Self, ConfigError>;
}

/// A type that a configuration field may have.
pub trait ConfigValue: Sized {
    /// The value as it travels.
    fn to_value(&self) -> FieldValue;
    /// `None` when the value has another type or does not fit.
    fn from_value(value: FieldValue) -> Option<Self>;
}

macro_rules! value {
    ($type:ty, $variant:ident) => {
        impl ConfigValue for $type {
            fn to_value(&self) -> FieldValue {
                FieldValue::$variant(self.clone())
            }
            fn from_value(value: FieldValue) -> Option<Self> {
                match value {
                    FieldValue::$variant(inner) => Some(inner),
                    _ => None,
                }
            }
        }
    };
}
value!(bool, Flag);
value!(i64, Integer);
value!(f64, Real);
value!(String, Text);
value!(Vec<String>, Texts);
value!(Vec<u8>, Bytes);

impl ConfigValue for u32 {
    fn to_value(&self) -> FieldValue {
        FieldValue::Integer(i64::from(*self))
    }
    fn from_value(value: FieldValue) -> Option<Self> {
        i64::from_value(value).and_then(|inner| inner.try_into().ok())
    }
}

impl ConfigValue for u64 {
    /// Travels bit for bit in the signed integer.
    fn to_value(&self) -> FieldValue {
        FieldValue::Integer(self.cast_signed())
    }
    fn from_value(value: FieldValue) -> Option<Self> {
        i64::from_value(value).map(i64::cast_unsigned)
    }
}

/// Takes one field out of the list; used by [`config!`](crate::config!).
#[doc(hidden)]
pub fn take<T: ConfigValue>(fields: &mut Fields, name: &'static str) -> Result<T, ConfigError> {
    let position = fields.iter().position(|(have, _)| have == name).ok_or(ConfigError::Missing(name))?;
    let (_, value) = fields.swap_remove(position);
    if fields.iter().any(|(have, _)| have == name) {
        return Err(ConfigError::Repeated(name.into()));
    }
    T::from_value(value).ok_or(ConfigError::Mistyped(name))
}

/// Declares a configuration struct with its encoding. Field types: bool, i64, u32, u64, f64, String,
/// `Vec<String>`, `Vec<u8>`.
#[macro_export]
macro_rules! config {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::config::TypedConfig for $name {
            fn to_fields(&self) -> $crate::message::Fields {
                vec![$((stringify!($field).to_owned(), $crate::config::ConfigValue::to_value(&self.$field)),)*]
            }
            fn from_fields(mut fields: $crate::message::Fields) -> Result<Self, $crate::config::ConfigError> {
                let decoded = Self { $($field: $crate::config::take::<$type>(&mut fields, stringify!($field))?,)* };
                match fields.into_iter().next() {
                    Some((name, _)) => Err($crate::config::ConfigError::Unknown(name)),
                    None => Ok(decoded),
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> NotifyConfig {
        NotifyConfig { blocknotify: "echo %s".into(), ..NotifyConfig::default() }
    }

    #[test]
    fn test_config_round_trip() {
        assert_eq!(NotifyConfig::from_fields(sample().to_fields()).unwrap(), sample());
        let chain = ChainConfig { maxmempool_bytes: u64::MAX, ..ChainConfig::default() };
        assert_eq!(ChainConfig::from_fields(chain.to_fields()).unwrap(), chain);
    }

    #[test]
    fn test_config_missing_surplus_repeated_and_mistyped_fields_are_errors() {
        let mut missing = sample().to_fields();
        missing.remove(0);
        assert!(matches!(NotifyConfig::from_fields(missing), Err(ConfigError::Missing(_))));
        let mut surplus = sample().to_fields();
        surplus.push(("other".into(), FieldValue::Flag(true)));
        assert_eq!(NotifyConfig::from_fields(surplus), Err(ConfigError::Unknown("other".into())));
        let mut repeated = sample().to_fields();
        repeated.push(repeated[0].clone());
        assert!(matches!(NotifyConfig::from_fields(repeated), Err(ConfigError::Repeated(_))));
        let mut mistyped = sample().to_fields();
        mistyped[0].1 = FieldValue::Integer(1);
        assert!(matches!(NotifyConfig::from_fields(mistyped), Err(ConfigError::Mistyped(_))));
    }
}
