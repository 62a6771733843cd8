//! What the supervisor says to a child.

use super::common::{
    Command, Edge, Fields, LogLevel, read_command, read_edges, read_fields, read_levels, write_command, write_edges,
    write_fields, write_levels,
};
use super::{bound, from_bytes, length, put_texts, text, texts, to_bytes};
use crate::ControlError;
use bulkhead_schema::wire::control_capnp as wire;
use capnp::message::Builder;

/// How lines of the log look and which are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct LogOptions {
    /// Enabled categories.
    pub levels: Vec<LogLevel>,
    /// `-logtimemicros`.
    pub time_micros: bool,
    /// `-logthreadnames`.
    pub thread_names: bool,
    /// `-logsourcelocations`.
    pub source_locations: bool,
    /// `-logtimestamps`.
    pub timestamps: bool,
    /// `-loglevelalways`.
    pub level_always: bool,
    /// Mocked time in seconds; 0: the real clock.
    pub mock_time: i64,
}

/// The first message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configure {
    /// The component's word.
    pub component: String,
    /// "strict", "degraded" or "off".
    pub sandbox: String,
    /// Bytes of private data that the process may have; `None`: what its policy says.
    pub memory: Option<u64>,
    /// The typed configuration.
    pub fields: Fields,
    /// Log options.
    pub log: LogOptions,
    /// Names of the descriptors beside the message.
    pub descriptors: Vec<String>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The id of the request.
    pub id: u64,
    /// The text, or code and text of an error.
    pub outcome: Outcome,
}

/// Success with a text, or an RPC error code (0: none suits) with its text.
pub type Outcome = Result<String, (i32, String)>;

/// A message from the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub enum ToChild {
    /// First, once.
    Configure(Configure),
    /// Streams for the named edges lie beside the message.
    Wire(Vec<Edge>),
    /// Answer to a request.
    Reply(Reply),
    /// Finish, flush, leave.
    Shutdown,
    /// A new log descriptor lies beside the message.
    ReopenLog,
    /// Run a notification command.
    Run(Command),
    /// Mocked time in seconds; 0: the real clock.
    SetMockTime(i64),
    /// The complete list of enabled categories.
    LogCategories(Vec<LogLevel>),
    /// Seconds by which what is planned for later comes sooner.
    ForwardScheduler(i64),
}

impl ToChild {
    /// One datagram.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, ControlError> {
        let mut message = Builder::new_default();
        let mut root = message.init_root::<wire::to_child::Builder<'_>>();
        match self {
            Self::Configure(configure) => write_configure(root.init_configure(), configure),
            Self::Wire(edges) => write_edges(root.init_wire(length(edges.len())), edges),
            Self::Reply(reply) => {
                let mut builder = root.init_reply();
                builder.set_id(reply.id);
                match &reply.outcome {
                    Ok(text) => builder.set_ok(text),
                    Err((code, text)) => {
                        builder.set_code(*code);
                        builder.set_error(text);
                    }
                }
            }
            Self::Shutdown => root.set_shutdown(()),
            Self::ReopenLog => root.set_reopen_log(()),
            Self::Run(command) => write_command(root.init_run(), command),
            Self::SetMockTime(seconds) => root.set_set_mock_time(*seconds),
            Self::LogCategories(levels) => write_levels(root.init_log_categories(length(levels.len())), levels),
            Self::ForwardScheduler(seconds) => root.set_forward_scheduler(*seconds),
        }
        to_bytes(&message)
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Anything but exactly one well-formed message.
    pub fn decode(bytes: &[u8]) -> Result<Self, ControlError> {
        use wire::to_child::Which;
        let message = from_bytes(bytes)?;
        let root = message.get_root::<wire::to_child::Reader<'_>>()?;
        Ok(match root.which().map_err(|_| ControlError::UnknownKind)? {
            Which::Configure(configure) => Self::Configure(read_configure(configure?)?),
            Which::Wire(edges) => Self::Wire(read_edges(edges?)?),
            Which::Reply(reply) => {
                let reply = reply?;
                let outcome = match reply.which().map_err(|_| ControlError::UnknownKind)? {
                    wire::reply::Which::Ok(value) => Ok(text(value)?),
                    wire::reply::Which::Error(value) => Err((reply.get_code(), text(value)?)),
                };
                Self::Reply(Reply { id: reply.get_id(), outcome })
            }
            Which::Shutdown(()) => Self::Shutdown,
            Which::ReopenLog(()) => Self::ReopenLog,
            Which::Run(command) => Self::Run(read_command(command?)?),
            Which::SetMockTime(seconds) => Self::SetMockTime(seconds),
            Which::LogCategories(levels) => Self::LogCategories(read_levels(levels?)?),
            Which::ForwardScheduler(seconds) => Self::ForwardScheduler(seconds),
        })
    }

    /// How many descriptors must lie beside this message; `None`: any number (an answer).
    #[must_use]
    pub fn descriptors(&self) -> Option<usize> {
        match self {
            Self::Configure(configure) => Some(configure.descriptors.len()),
            Self::Wire(edges) => Some(edges.len()),
            Self::Reply(_) => None,
            Self::ReopenLog => Some(1),
            Self::Shutdown | Self::Run(_) | Self::SetMockTime(_) | Self::LogCategories(_) | Self::ForwardScheduler(_) => Some(0),
        }
    }
}

fn write_configure(mut builder: wire::config::Builder<'_>, configure: &Configure) {
    builder.set_component(&configure.component);
    builder.set_sandbox(&configure.sandbox);
    builder.set_memory(configure.memory.unwrap_or(0));
    write_fields(builder.reborrow().init_fields(length(configure.fields.len())), &configure.fields);
    let names = builder.reborrow().init_descriptors(length(configure.descriptors.len()));
    put_texts(names, &configure.descriptors);
    let mut log = builder.init_log();
    log.set_time_micros(configure.log.time_micros);
    log.set_thread_names(configure.log.thread_names);
    log.set_source_locations(configure.log.source_locations);
    log.set_timestamps(configure.log.timestamps);
    log.set_level_always(configure.log.level_always);
    log.set_mock_time(configure.log.mock_time);
    write_levels(log.init_levels(length(configure.log.levels.len())), &configure.log.levels);
}

fn read_configure(configure: wire::config::Reader<'_>) -> Result<Configure, ControlError> {
    let log = configure.get_log()?;
    let fields = configure.get_fields()?;
    bound(fields.len(), "fields")?;
    Ok(Configure {
        component: text(configure.get_component())?,
        sandbox: text(configure.get_sandbox())?,
        memory: Some(configure.get_memory()).filter(|bytes| *bytes != 0),
        fields: read_fields(fields)?,
        log: LogOptions {
            levels: read_levels(log.get_levels()?)?,
            time_micros: log.get_time_micros(),
            thread_names: log.get_thread_names(),
            source_locations: log.get_source_locations(),
            timestamps: log.get_timestamps(),
            level_always: log.get_level_always(),
            mock_time: log.get_mock_time(),
        },
        descriptors: texts(configure.get_descriptors(), "descriptors")?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::message::FieldValue;

    fn samples() -> Vec<ToChild> {
        vec![
            ToChild::Configure(Configure {
                component: "chain".into(),
                sandbox: "strict".into(),
                memory: Some(1 << 20),
                fields: vec![
                    ("a".into(), FieldValue::Flag(true)),
                    ("b".into(), FieldValue::Integer(-1)),
                    ("c".into(), FieldValue::Texts(vec!["x".into(), String::new()])),
                    ("d".into(), FieldValue::Bytes(vec![0, 255])),
                ],
                log: LogOptions { mock_time: 7, time_micros: true, ..LogOptions::default() },
                descriptors: vec!["log".into()],
            }),
            ToChild::Wire(vec![Edge::new("rpc-chain")]),
            ToChild::Reply(Reply { id: 3, outcome: Err((-4, "no".into())) }),
            ToChild::Reply(Reply { id: 4, outcome: Ok(String::new()) }),
            ToChild::Shutdown,
            ToChild::ReopenLog,
            ToChild::Run(Command { template: "blocknotify".into(), values: vec![("s".into(), "00".into())] }),
            ToChild::SetMockTime(i64::MAX),
            ToChild::ForwardScheduler(3600),
            ToChild::LogCategories(vec![LogLevel { category: "net".into(), level: "trace".into() }]),
        ]
    }

    #[test]
    fn test_to_child_round_trip() {
        for sample in samples() {
            assert_eq!(ToChild::decode(&sample.encode().unwrap()).unwrap(), sample);
        }
    }

    #[test]
    fn test_to_child_trailing_truncated_or_large_datagram_is_an_error() {
        for sample in samples() {
            let mut bytes = sample.encode().unwrap();
            for end in 0..bytes.len() {
                assert!(ToChild::decode(&bytes[..end]).is_err());
            }
            bytes.extend([0; 8]);
            assert!(matches!(ToChild::decode(&bytes), Err(ControlError::Trailing(8))));
        }
        let large = ToChild::Reply(Reply { id: 0, outcome: Ok("x".repeat(super::super::MAX_MESSAGE)) });
        assert!(matches!(large.encode(), Err(ControlError::TooLarge(_))));
    }

    #[test]
    fn test_to_child_number_that_is_not_finite_is_an_error() {
        let real = |value| {
            let fields = vec![("feerate".into(), FieldValue::Real(value))];
            let ToChild::Configure(configure) = samples().remove(0) else { unreachable!() };
            ToChild::Configure(Configure { fields, ..configure })
        };
        assert_eq!(ToChild::decode(&real(-0.5).encode().unwrap()).unwrap(), real(-0.5));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(ToChild::decode(&real(value).encode().unwrap()), Err(ControlError::NotFinite)));
        }
    }

    #[test]
    fn test_to_child_any_single_byte_change_does_not_panic() {
        for sample in samples() {
            let bytes = sample.encode().unwrap();
            for position in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = bytes.clone();
                    changed[position] = value;
                    let _ = ToChild::decode(&changed);
                }
            }
        }
    }
}
