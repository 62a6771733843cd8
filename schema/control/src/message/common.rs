//! Structures that travel in both directions.

use super::{bound, length, put_texts, text, texts};
use crate::ControlError;
use bulkhead_schema::wire::control_capnp as wire;

/// A configuration value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A boolean.
    Flag(bool),
    /// An integer.
    Integer(i64),
    /// A finite number: what is no number is not even equal to itself.
    Real(f64),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Named values of one configuration.
pub type Fields = Vec<(String, FieldValue)>;

pub(super) fn read_fields(list: capnp::struct_list::Reader<'_, wire::field::Owned>) -> Result<Fields, ControlError> {
    bound(list.len(), "fields")?;
    list.iter()
        .map(|field| {
            use wire::field::Which;
            let value = match field.which().map_err(|_| ControlError::UnknownKind)? {
                Which::Flag(value) => FieldValue::Flag(value),
                Which::Integer(value) => FieldValue::Integer(value),
                Which::Real(value) if value.is_finite() => FieldValue::Real(value),
                Which::Real(_) => return Err(ControlError::NotFinite),
                Which::Text(value) => FieldValue::Text(text(value)?),
                Which::Texts(value) => FieldValue::Texts(texts(value, "texts")?),
                Which::Bytes(value) => FieldValue::Bytes(value?.to_vec()),
            };
            Ok((text(field.get_name())?, value))
        })
        .collect()
}

pub(super) fn write_fields(mut list: capnp::struct_list::Builder<'_, wire::field::Owned>, fields: &Fields) {
    for (index, (name, value)) in (0..).zip(fields) {
        let mut field = list.reborrow().get(index);
        field.set_name(name);
        match value {
            FieldValue::Flag(value) => field.set_flag(*value),
            FieldValue::Integer(value) => field.set_integer(*value),
            FieldValue::Real(value) => field.set_real(*value),
            FieldValue::Text(value) => field.set_text(value),
            FieldValue::Texts(values) => put_texts(field.init_texts(length(values.len())), values),
            FieldValue::Bytes(value) => field.set_bytes(value),
        }
    }
}

/// The level from which a category is written: "debug" or "trace".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel {
    /// Core's category name.
    pub category: String,
    /// "debug" or "trace".
    pub level: String,
}

pub(super) fn read_levels(list: capnp::struct_list::Reader<'_, wire::log_level::Owned>) -> Result<Vec<LogLevel>, ControlError> {
    bound(list.len(), "log levels")?;
    list.iter().map(|entry| Ok(LogLevel { category: text(entry.get_category())?, level: text(entry.get_level())? })).collect()
}

pub(super) fn write_levels(mut list: capnp::struct_list::Builder<'_, wire::log_level::Owned>, levels: &[LogLevel]) {
    for (index, level) in (0..).zip(levels) {
        let mut entry = list.reborrow().get(index);
        entry.set_category(&level.category);
        entry.set_level(&level.level);
    }
}

/// One stream between two components: "net-chain"; the instance is a wallet name for a key store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Edge {
    /// "rpc-chain", "net-chain", ...; the first word is the client side.
    pub name: String,
    /// Wallet name for "wallet-keystore", empty otherwise.
    pub instance: String,
}

impl Edge {
    /// An edge that exists once.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), instance: String::new() }
    }
}

pub(super) fn read_edges(list: capnp::struct_list::Reader<'_, wire::edge::Owned>) -> Result<Vec<Edge>, ControlError> {
    bound(list.len(), "edges")?;
    list.iter().map(|edge| Ok(Edge { name: text(edge.get_name())?, instance: text(edge.get_instance())? })).collect()
}

pub(super) fn write_edges(mut list: capnp::struct_list::Builder<'_, wire::edge::Owned>, edges: &[Edge]) {
    for (index, edge) in (0..).zip(edges) {
        let mut entry = list.reborrow().get(index);
        entry.set_name(&edge.name);
        entry.set_instance(&edge.instance);
    }
}

/// A notification command: which template, and the values to substitute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// "blocknotify", "walletnotify", "alertnotify", "startupnotify" or "shutdownnotify".
    pub template: String,
    /// Placeholder letter and value.
    pub values: Vec<(String, String)>,
}

pub(super) fn read_command(command: wire::command::Reader<'_>) -> Result<Command, ControlError> {
    let list = command.get_values()?;
    bound(list.len(), "values")?;
    let values =
        list.iter().map(|value| Ok((text(value.get_key())?, text(value.get_value())?))).collect::<Result<_, ControlError>>()?;
    Ok(Command { template: text(command.get_template())?, values })
}

pub(super) fn write_command(mut builder: wire::command::Builder<'_>, command: &Command) {
    builder.set_template(&command.template);
    let mut list = builder.init_values(length(command.values.len()));
    for (index, (key, value)) in (0..).zip(&command.values) {
        let mut entry = list.reborrow().get(index);
        entry.set_key(key);
        entry.set_value(value);
    }
}

/// What confinement a process achieved; a row of `getsandboxinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct Report {
    /// Process id in the supervisor's namespace, as the child sees it.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// "strict", "degraded" or "off".
    pub mode: String,
    /// `no_new_privs` is set.
    pub no_new_privs: bool,
    /// 0 none, 2 filter.
    pub seccomp_mode: u32,
    /// SHA-256 of the installed BPF programs, hex.
    pub filter_hash: String,
    /// System calls on the allow list.
    pub allowed_syscalls: u32,
    /// Of these, how many are allowed only with certain arguments.
    pub filtered_syscalls: u32,
    /// Landlock ABI of the kernel.
    pub landlock_abi: u32,
    /// Landlock rights that are handled, and the granted paths.
    pub landlock_rights: Vec<String>,
    /// Namespaces of its own.
    pub namespaces: Vec<String>,
    /// Open descriptors, "3 socket control".
    pub descriptors: Vec<String>,
    /// Layers that the kernel did not grant.
    pub missing: Vec<String>,
    /// Effective capabilities, hex.
    pub capabilities: String,
    /// The dumpable flag.
    pub dumpable: bool,
}

pub(super) fn read_report(report: wire::report::Reader<'_>) -> Result<Report, ControlError> {
    Ok(Report {
        pid: report.get_pid(),
        uid: report.get_uid(),
        mode: text(report.get_mode())?,
        no_new_privs: report.get_no_new_privs(),
        seccomp_mode: report.get_seccomp_mode(),
        filter_hash: text(report.get_filter_hash())?,
        allowed_syscalls: report.get_allowed_syscalls(),
        filtered_syscalls: report.get_filtered_syscalls(),
        landlock_abi: report.get_landlock_abi(),
        landlock_rights: texts(report.get_landlock_rights(), "landlock rights")?,
        namespaces: texts(report.get_namespaces(), "namespaces")?,
        descriptors: texts(report.get_descriptors(), "descriptors")?,
        missing: texts(report.get_missing(), "missing")?,
        capabilities: text(report.get_capabilities())?,
        dumpable: report.get_dumpable(),
    })
}

pub(super) fn write_report(mut builder: wire::report::Builder<'_>, report: &Report) {
    builder.set_pid(report.pid);
    builder.set_uid(report.uid);
    builder.set_mode(&report.mode);
    builder.set_no_new_privs(report.no_new_privs);
    builder.set_seccomp_mode(report.seccomp_mode);
    builder.set_filter_hash(&report.filter_hash);
    builder.set_allowed_syscalls(report.allowed_syscalls);
    builder.set_filtered_syscalls(report.filtered_syscalls);
    builder.set_landlock_abi(report.landlock_abi);
    builder.set_capabilities(&report.capabilities);
    builder.set_dumpable(report.dumpable);
    put_texts(builder.reborrow().init_landlock_rights(length(report.landlock_rights.len())), &report.landlock_rights);
    put_texts(builder.reborrow().init_namespaces(length(report.namespaces.len())), &report.namespaces);
    put_texts(builder.reborrow().init_descriptors(length(report.descriptors.len())), &report.descriptors);
    put_texts(builder.reborrow().init_missing(length(report.missing.len())), &report.missing);
}
