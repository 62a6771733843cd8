//! The control channel between the supervisor and a child: typed configuration, descriptors, log, clock.
//!
//! Blocking, without an async runtime and without Cap'n Proto RPC, because the key store links it too.
//!
//! A child: [`birth`], open what must be opened, [`Birth::confine`], [`Control::receive_wires`],
//! [`Control::split`], [`Handle::ready`]. The supervisor: [`pair`], [`Parent`].

mod birth;
mod channel;
pub mod clock;
mod component;
pub mod config;
mod confine;
mod descriptors;
mod echo;
mod error;
mod handle;
pub mod log;
pub mod message;
pub mod panic;
mod parent;

pub use birth::{Birth, CONTROL_DESCRIPTOR, Control, birth, birth_on};
pub use channel::{pair, stream_pair};
pub use component::Component;
pub use config::{ChainConfig, GuiConfig, KeystoreConfig, NetConfig, NotifyConfig, RpcConfig, TypedConfig, WalletConfig};
pub use confine::{PathGrant, enter};
pub use descriptors::Descriptors;
pub use echo::Echo;
pub use error::ControlError;
pub use handle::{Answer, Event, Handle};
pub use message::{Command, Edge, FieldValue, FromChild, LogLevel, OpenFile, OpenKeystore, Report, Request, ToChild};
pub use parent::Parent;
