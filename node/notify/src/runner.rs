//! The process that runs commands. Its standard input is the pipe from the messenger.

use crate::{frame, template};
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};

/// The names of the templates, in the order of the first frame; all further texts are `-shutdownnotify` commands.
pub(crate) const NAMES: [&str; 4] = ["blocknotify", "walletnotify", "alertnotify", "startupnotify"];

/// Reads the templates, then one request per frame until the pipe ends.
pub(crate) fn run() -> io::Result<()> {
    let mut pipe = io::stdin().lock();
    let templates = frame::read(&mut pipe)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let shutdown = serve(&mut pipe, &templates)?;
    // The node's end waits for these, and only for these.
    for mut child in shutdown {
        child.wait()?;
    }
    Ok(())
}

fn serve(pipe: &mut impl Read, templates: &[String]) -> io::Result<Vec<Child>> {
    let mut running: Vec<Child> = Vec::new();
    let mut shutdown = Vec::new();
    while let Some(request) = frame::read(pipe)? {
        running.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
        let mut texts = request.iter().map(String::as_str);
        let Some(name) = texts.next() else { continue };
        if name == "shutdownnotify" {
            let commands = templates.iter().skip(NAMES.len());
            shutdown.extend(commands.filter_map(|command| start(command)));
            continue;
        }
        let Some(command) = NAMES.iter().position(|known| *known == name).and_then(|index| templates.get(index)) else {
            continue;
        };
        let mut values = Vec::new();
        while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
            values.extend(key.chars().next().map(|key| (key, value)));
        }
        if !command.is_empty()
            && let Some(command) = template::fill(name, command, &values)
        {
            running.extend(start(&command));
        }
    }
    Ok(shutdown)
}

fn start(command: &str) -> Option<Child> {
    Command::new("/bin/sh").arg("-c").arg(command).stdin(Stdio::null()).spawn().ok()
}
