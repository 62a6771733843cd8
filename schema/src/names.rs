//! Names of IPC methods, and how to print what they carry, for `-debug=ipc`; how to make it, for tests that try all of them.

use capnp::{any_pointer, dynamic_value};

/// Is given a new struct.
pub type Fill<'a> = &'a mut dyn FnMut(dynamic_value::Builder<'_>);

/// A method of one interface.
pub struct MethodName {
    /// Cap'n Proto id of the interface.
    pub interface: u64,
    /// Ordinal of the method.
    pub ordinal: u16,
    /// `Interface.method`.
    pub name: &'static str,
    /// Parameters and results may hold a passphrase or a private key and are never printed.
    pub secret: bool,
    /// Prints parameters.
    pub params: fn(any_pointer::Reader<'_>) -> String,
    /// Prints results.
    pub results: fn(any_pointer::Reader<'_>) -> String,
    /// Makes parameters.
    pub new_params: fn(any_pointer::Builder<'_>, Fill<'_>),
    /// Makes results.
    pub new_results: fn(any_pointer::Builder<'_>, Fill<'_>),
}

/// Longest text of one payload, in characters (Core prints as much).
pub const MAX_PAYLOAD_CHARACTERS: usize = 200;

macro_rules! text_of {
    ($owned:ty) => {
        |pointer| match pointer.get_as::<<$owned as capnp::traits::Owned>::Reader<'_>>() {
            Ok(reader) => shortened(reader),
            Err(_) => String::from("<malformed>"),
        }
    };
}

macro_rules! new_of {
    ($owned:ty) => {
        |pointer, fill| fill(pointer.init_as::<<$owned as capnp::traits::Owned>::Builder<'_>>().into())
    };
}

static METHODS: &[MethodName] = include!(concat!(env!("OUT_DIR"), "/method_names.rs"));

/// Every method of every schema file.
#[must_use]
pub fn all() -> &'static [MethodName] {
    METHODS
}

/// The method with this interface id and ordinal.
#[must_use]
pub fn method_name(interface: u64, ordinal: u16) -> Option<&'static MethodName> {
    METHODS.iter().find(|method| method.interface == interface && method.ordinal == ordinal)
}

/// Prints a value, cut after [`MAX_PAYLOAD_CHARACTERS`]. Formatting stops at the bound, so that a block of
/// megabytes is not turned into text first.
fn shortened(value: impl std::fmt::Debug) -> String {
    struct Bounded(String, usize);
    impl std::fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for character in text.chars() {
                if self.1 == 0 {
                    self.0.push_str("...");
                    return Err(std::fmt::Error);
                }
                self.0.push(character);
                self.1 -= 1;
            }
            Ok(())
        }
    }
    let mut bounded = Bounded(String::new(), MAX_PAYLOAD_CHARACTERS);
    // The only error is the bound itself.
    let _ = std::fmt::Write::write_fmt(&mut bounded, format_args!("{value:?}"));
    bounded.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_method_has_one_name() {
        for (index, method) in METHODS.iter().enumerate() {
            assert!(METHODS[..index].iter().all(|other| (other.interface, other.ordinal) != (method.interface, method.ordinal)));
        }
        // Core's wire: Mining is 0xc77d03df6a41b505's child; its ordinals are fixed.
        let submit = METHODS.iter().find(|method| method.name == "BlockTemplate.submitSolution").unwrap();
        assert_eq!(submit.ordinal, 7);
        assert_eq!(METHODS.iter().find(|method| method.name == "BlockTemplate.submitSolutionReason").unwrap().ordinal, 10);
    }

    #[test]
    fn wallet_requests_are_secret_and_node_requests_are_not() {
        assert!(METHODS.iter().any(|method| method.name == "RpcWallet.executeRpc" && method.secret));
        assert!(METHODS.iter().any(|method| method.name == "RpcChain.executeRpc" && !method.secret));
    }

    #[test]
    fn long_values_are_cut() {
        let text = shortened("x".repeat(1_000_000));
        assert_eq!(text.chars().count(), MAX_PAYLOAD_CHARACTERS + 3);
        assert!(text.ends_with("..."));
    }
}
