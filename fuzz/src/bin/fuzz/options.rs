//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
usage: fuzz TARGET [--seconds N] [--runs N] [--jobs N] [--seed N] [--memory MIB] [--timeout SECONDS] [--work DIR]
       fuzz TARGET --replay FILE...    run the target over these inputs, in this process
       fuzz TARGET --stdin             run the target over the standard input (for AFL++)
       fuzz --list                     names of all targets
       fuzz --all [--seconds N] ...    each target in turn, N seconds each
       fuzz --selftest [--seconds N]   each planted fault in turn, at most N seconds each (see `make fuzz-selftest`)
       fuzz TARGET ... --fault NAME    with a planted fault";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    List,
    All,
    Campaign(String),
    Worker(String),
    Replay(String, Vec<PathBuf>),
    Stdin(String),
    /// Every planted fault must be found.
    SelfTest,
}

/// The whole command line.
#[derive(Debug, Clone)]
pub struct Options {
    pub task: Task,
    /// End after this time.
    pub seconds: Option<u64>,
    /// End after so many executions per job.
    pub runs: Option<u64>,
    pub jobs: u32,
    pub seed: u64,
    /// Address space of a worker, in MiB.
    pub memory: u64,
    /// Processor time that one execution may take.
    pub timeout: Duration,
    /// Holds the growing corpus and the findings.
    pub work: PathBuf,
    /// The planted fault that is there.
    pub fault: Option<String>,
}

/// # Errors
/// What is wrong with the command line.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        task: Task::List,
        seconds: None,
        runs: None,
        jobs: 1,
        seed: 1,
        memory: 3072,
        timeout: Duration::from_secs(10),
        work: default_work(),
        fault: None,
    };
    let (mut target, mut list, mut all, mut stdin, mut worker, mut selftest) = (None, false, false, false, false, false);
    let mut replay = None;
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64, String> {
            let text = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            text.parse().map_err(|_| format!("{argument}: {text} is not a number"))
        };
        match argument.as_str() {
            "--list" => list = true,
            "--all" => all = true,
            "--stdin" => stdin = true,
            "--worker" => worker = true,
            "--selftest" => selftest = true,
            "--fault" => options.fault = Some(arguments.next().ok_or("--fault needs a name")?),
            "--seconds" => options.seconds = Some(number()?),
            "--runs" => options.runs = Some(number()?),
            "--jobs" => options.jobs = u32::try_from(number()?.clamp(1, 256)).map_err(|error| error.to_string())?,
            "--seed" => options.seed = number()?,
            "--memory" => options.memory = number()?,
            "--timeout" => options.timeout = Duration::from_secs(number()?),
            "--work" => options.work = arguments.next().ok_or("--work needs a folder")?.into(),
            "--replay" => replay = Some(arguments.by_ref().map(PathBuf::from).collect()),
            name if target.is_none() && !name.starts_with('-') => target = Some(name.to_owned()),
            other => return Err(format!("{other} is not understood")),
        }
    }
    options.task = match target {
        None if list => Task::List,
        None if all => Task::All,
        None if selftest => Task::SelfTest,
        None => return Err("no target is named".into()),
        Some(name) if bulkhead_fuzz::target(&name).is_none() => return Err(format!("there is no target {name}; see --list")),
        Some(name) if worker => Task::Worker(name),
        Some(name) if stdin => Task::Stdin(name),
        Some(name) => match replay {
            Some(files) => Task::Replay(name, files),
            None => Task::Campaign(name),
        },
    };
    Ok(options)
}

fn default_work() -> PathBuf {
    let cache = std::env::var_os("BULKHEAD_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/bulkhead"));
    cache.or_else(home).unwrap_or_else(|| PathBuf::from(".")).join("fuzz")
}
