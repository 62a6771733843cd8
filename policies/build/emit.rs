//! Writes the generated Rust source.

use crate::{
    files::PolicyFile,
    filters::{Filters, Rule},
};
use seccompiler::BpfProgram;
use sha2::{Digest, Sha256};
use std::{error::Error, fmt::Write as _};

const FS_RIGHTS: [(&str, &str); 16] = [
    ("execute", "Execute"),
    ("read_file", "ReadFile"),
    ("write_file", "WriteFile"),
    ("read_dir", "ReadDir"),
    ("remove_file", "RemoveFile"),
    ("remove_dir", "RemoveDir"),
    ("make_reg", "MakeReg"),
    ("make_dir", "MakeDir"),
    ("make_sym", "MakeSym"),
    ("make_char", "MakeChar"),
    ("make_block", "MakeBlock"),
    ("make_fifo", "MakeFifo"),
    ("make_sock", "MakeSock"),
    ("refer", "Refer"),
    ("truncate", "Truncate"),
    ("ioctl_dev", "IoctlDev"),
];
const NAMESPACES: [(&str, &str); 7] =
    [("user", "User"), ("net", "Net"), ("pid", "Pid"), ("ipc", "Ipc"), ("uts", "Uts"), ("mount", "Mount"), ("cgroup", "Cgroup")];
const RESOURCES: [(&str, &str); 7] = [
    ("core", "Core"),
    ("nofile", "Nofile"),
    ("nproc", "Nproc"),
    ("fsize", "Fsize"),
    ("msgqueue", "Msgqueue"),
    ("rtprio", "Rtprio"),
    ("data", "Data"),
];

pub fn source(policies: &[(PolicyFile, Filters)], commands: &BpfProgram) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let mut all = Vec::new();
    for (file, filters) in policies {
        let constant = file.name.to_uppercase();
        writeln!(text, "/// Policy of the {} process: {}.", file.name, file.purpose)?;
        writeln!(text, "pub static {constant}: Policy = {};\n", policy(file, filters)?)?;
        all.push(format!("&{constant}"));
    }
    writeln!(
        text,
        "/// Filter of the processes that run the user's commands, and of the commands: what no notification needs is refused."
    )?;
    writeln!(text, "pub static COMMANDS: &[Instruction] = {};", program(commands))?;
    writeln!(text, "/// SHA-256 over that program, lower-case hex.\npub static COMMANDS_HASH: &str = {:?};\n", hash([commands]))?;
    writeln!(text, "/// Every policy.\npub static ALL: [&Policy; {}] = [{}];", all.len(), all.join(", "))?;
    Ok(text)
}

fn policy(file: &PolicyFile, filters: &Filters) -> Result<String, Box<dyn Error>> {
    let descriptors = list(&file.descriptor, |d| {
        Ok(format!("Descriptor {{ name: {:?}, kind: {:?}, reason: {:?} }}", d.name, d.kind, d.reason))
    })?;
    let paths = list(&file.path, |p| {
        Ok(format!(
            "PathRule {{ name: {:?}, rights: {}, reason: {:?} }}",
            p.name,
            enums("FsRight", &p.rights, &FS_RIGHTS)?,
            p.reason
        ))
    })?;
    let rlimits = list(&file.rlimit, |r| {
        let resource = variant(&r.resource, &RESOURCES)?;
        Ok(format!("Rlimit {{ resource: Resource::{resource}, value: {}, reason: {:?} }}", r.value, r.reason))
    })?;
    let has = |list: &[String], word: &str| list.iter().any(|entry| entry == word);
    for (entries, known) in [(&file.landlock.tcp, ["bind", "connect"]), (&file.landlock.scope, ["signal", "abstract_unix"])] {
        if let Some(entry) = entries.iter().find(|entry| !known.contains(&entry.as_str())) {
            return Err(format!("{}: unknown word {entry}", file.name).into());
        }
    }
    let landlock = format!(
        "Landlock {{ fs: {}, deny_tcp_bind: {}, deny_tcp_connect: {}, scope_signal: {}, scope_abstract_unix: {} }}",
        enums("FsRight", &file.landlock.fs, &FS_RIGHTS)?,
        has(&file.landlock.tcp, "bind"),
        has(&file.landlock.tcp, "connect"),
        has(&file.landlock.scope, "signal"),
        has(&file.landlock.scope, "abstract_unix"),
    );
    Ok(format!(
        "Policy {{ name: {:?}, binary: {:?}, purpose: {:?}, edges: &{:?}, descriptors: {descriptors}, paths: {paths}, \
         capabilities: &{:?}, namespaces: {}, rlimits: {rlimits}, landlock: {landlock}, dies_with_parent: {}, \
         inherit_environment: {}, rules: {}, deadly: {}, allow: {}, kill: {}, filter_hash: {:?}, \
         allowed_syscalls: {}, filtered_syscalls: {} }}",
        file.name,
        file.binary,
        file.purpose,
        file.edges,
        file.capabilities,
        enums("Namespace", &file.namespaces, &NAMESPACES)?,
        file.dies_with_parent.0,
        file.inherit_environment,
        rules(&filters.rules, filters)?,
        rules(&filters.deadly, filters)?,
        program(&filters.allow),
        program(&filters.kill),
        hash([&filters.allow, &filters.kill]),
        filters.allowed(),
        filters.filtered(),
    ))
}

fn list<T>(entries: &[T], each: impl Fn(&T) -> Result<String, Box<dyn Error>>) -> Result<String, Box<dyn Error>> {
    let entries = entries.iter().map(each).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("&[{}]", entries.join(", ")))
}

fn enums(kind: &str, words: &[String], table: &[(&str, &str)]) -> Result<String, Box<dyn Error>> {
    list(words, |word| Ok(format!("{kind}::{}", variant(word, table)?)))
}

fn variant<'a>(word: &str, table: &[(&str, &'a str)]) -> Result<&'a str, Box<dyn Error>> {
    let found = table.iter().find(|(name, _)| *name == word);
    found.map(|(_, variant)| *variant).ok_or_else(|| format!("unknown word {word}").into())
}

fn rules(entries: &[Rule], filters: &Filters) -> Result<String, Box<dyn Error>> {
    list(entries, |rule| {
        let number = filters.numbers[&rule.syscall];
        let args = list(&rule.args, condition)?;
        Ok(format!(
            "SyscallRule {{ name: {:?}, number: {number}, args: {args}, reason: {:?}, proof: Proof::{}, unmissed: {:?} }}",
            rule.syscall,
            rule.comment,
            proof(rule),
            rule.unmissed
        ))
    })
}

fn proof(rule: &Rule) -> String {
    match (&rule.unexercised, &rule.by_chance) {
        (Some(why), _) => format!("Unexercised({why:?})"),
        (None, Some(why)) => format!("ByChance({why:?})"),
        (None, None) if rule.inherited => "Inherited".to_owned(),
        (None, None) => "Exercised".to_owned(),
    }
}

fn condition(arg: &serde_json::Value) -> Result<String, Box<dyn Error>> {
    let field = |name: &str| arg.get(name).ok_or_else(|| format!("a condition lacks {name}"));
    let op = match field("op")? {
        serde_json::Value::Object(map) => {
            let mask = map.get("masked_eq").and_then(serde_json::Value::as_u64).ok_or("unknown comparison")?;
            format!("MaskedEq({mask})")
        }
        word => match word.as_str() {
            Some("eq") => "Eq",
            Some("ne") => "Ne",
            Some("lt") => "Lt",
            Some("le") => "Le",
            Some("gt") => "Gt",
            Some("ge") => "Ge",
            _ => return Err(format!("unknown comparison {word}").into()),
        }
        .to_owned(),
    };
    let qword = field("type")?.as_str() == Some("qword");
    Ok(format!("Condition {{ index: {}, qword: {qword}, op: Op::{op}, value: {} }}", field("index")?, field("val")?))
}

fn program(program: &BpfProgram) -> String {
    let lines: Vec<String> =
        program.iter().map(|i| format!("Instruction {{ code: {}, jt: {}, jf: {}, k: {} }}", i.code, i.jt, i.jf, i.k)).collect();
    format!("&[{}]", lines.join(", "))
}

fn hash<const N: usize>(programs: [&BpfProgram; N]) -> String {
    let mut hasher = Sha256::new();
    for program in programs {
        for i in program {
            hasher.update(i.code.to_le_bytes());
            hasher.update([i.jt, i.jf]);
            hasher.update(i.k.to_le_bytes());
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
