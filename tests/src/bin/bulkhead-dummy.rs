//! A process that confines itself and then waits: what the tests of the sandbox look at.
//!
//! Started by a spawner under the name of a component's binary; the first argument is the component, the
//! second the mode, further ones are grants as name=path. Descriptor 3 is a socket: the report goes there, and
//! end of file on it ends the process.
//!
//! `supervise FOLDER MODE COMPONENT...` is the other half: forks a spawner, has it start the components, confines
//! itself as the supervisor does, writes "born COMPONENT PID REPORT" lines, and obeys "kill PID" lines until its
//! standard input ends. Exits of children are written as "exit PID OUTCOME".

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use bulkhead_sandbox::spawner::{self, Options};
use bulkhead_sandbox::{Mode, PathGrant, enter, passing, policy};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|word| word == "supervise") {
        return supervise(&args[2..]);
    }
    // As a file: the key store may read and write, not send and receive.
    let mut channel = File::from(passing::inherited(3)?);
    let (Some(component), Some(mode)) = (args.get(1), args.get(2)) else { return Err("component and mode".into()) };
    let policy = policy(component).ok_or("no such component")?;
    let mut grants = Vec::new();
    for grant in &args[3..] {
        let (name, path) = grant.split_once('=').ok_or("a grant is name=path")?;
        let rule = policy.paths.iter().find(|rule| rule.name == name).ok_or("no such path name")?;
        grants.push(PathGrant { name: rule.name, path: path.into() });
    }
    match enter(policy, &grants, mode.parse()?) {
        Ok(report) => writeln!(channel, "{report:?}")?,
        Err(error) => {
            writeln!(channel, "{error}")?;
            return Err(error.into());
        }
    }
    // Ends when the test drops its end.
    let _ = channel.read(&mut [0]);
    Ok(())
}

fn supervise(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [folder, mode, components @ ..] = args else { return Err("folder, mode and components".into()) };
    let mode: Mode = mode.parse()?;
    let mut handle = spawner::start(Options { binaries: folder.into(), mode, runs_commands: false })?;
    let mut out = std::io::stdout();
    let mut channels = Vec::new();
    for component in components {
        let (ours, theirs) = UnixStream::pair()?;
        match handle.spawn(component, &[component, mode.name()], vec![(theirs.into(), 3)]) {
            Ok(pid) => {
                let mut report = String::new();
                BufReader::new(ours.try_clone()?).read_line(&mut report)?;
                writeln!(out, "born {component} {pid} {}", report.trim_end())?;
                channels.push(ours);
            }
            Err(error) => writeln!(out, "refused {component} {error}")?,
        }
    }
    let policy = policy("node").ok_or("no policy for the supervisor")?;
    let report = enter(policy, &[], mode)?;
    writeln!(out, "born node {} {report:?}", std::process::id())?;
    for line in std::io::stdin().lines() {
        let pid: i32 = line?.strip_prefix("kill ").ok_or("an order is: kill PID")?.parse()?;
        handle.kill(pid)?;
        let exit = handle.next_exit(true)?.ok_or("no exit")?;
        writeln!(out, "exit {} {:?}", exit.pid, exit.outcome)?;
    }
    Ok(())
}
