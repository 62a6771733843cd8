//! The driver that needs nothing installed: runs a target in worker processes and keeps what it finds.

mod corpus;
mod coverage;
mod options;
#[cfg(feature = "planted-faults")]
mod selftest;
mod worker;

use std::fs;
use std::io::{self, Read};
use std::process::{Command, ExitCode};

use options::{Options, Task};

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn run(options: &Options) -> io::Result<bool> {
    if let Some(fault) = &options.fault {
        plant(fault)?;
    }
    let run = |name: &str, input: &[u8]| bulkhead_fuzz::target(name).into_iter().for_each(|target| target(input));
    match &options.task {
        Task::List => bulkhead_fuzz::TARGETS.iter().for_each(|(name, _)| println!("{name}")),
        Task::Replay(name, files) => {
            bulkhead_fuzz::count_panics();
            for file in files {
                println!("{}", file.display());
                run(name, &fs::read(file)?);
            }
            return Ok(bulkhead_fuzz::panics() == 0);
        }
        Task::Stdin(name) => {
            let mut input = Vec::new();
            io::stdin().read_to_end(&mut input)?;
            run(name, &input);
        }
        Task::Worker(name) => {
            if let Some(target) = bulkhead_fuzz::target(name) {
                worker::work(name, target, options)?;
            }
        }
        #[cfg(feature = "planted-faults")]
        Task::SelfTest => return selftest::run(options),
        #[cfg(not(feature = "planted-faults"))]
        Task::SelfTest => return Err(without_faults()),
        Task::Campaign(name) => return campaign(name, options),
        Task::All => {
            let mut clean = true;
            for (name, _) in bulkhead_fuzz::TARGETS {
                clean &= campaign(name, options)?;
            }
            return Ok(clean);
        }
    }
    Ok(true)
}

#[cfg(feature = "planted-faults")]
fn plant(name: &str) -> io::Result<()> {
    let row = bulkhead_planted::row(name).ok_or_else(|| io::Error::other(format!("no fault is named {name}")))?;
    bulkhead_planted::plant(row.fault);
    Ok(())
}

#[cfg(not(feature = "planted-faults"))]
fn plant(_: &str) -> io::Result<()> {
    Err(without_faults())
}

#[cfg(not(feature = "planted-faults"))]
fn without_faults() -> io::Error {
    io::Error::other("this driver was built without planted faults: run `make fuzz-selftest`")
}

/// Runs all jobs of one target to their end.
fn campaign(name: &str, options: &Options) -> io::Result<bool> {
    let jobs = (0..u64::from(options.jobs)).map(|job| Options { seed: options.seed + job, ..options.clone() });
    let start = |options: Options| {
        let current = worker::current()?;
        Ok((worker_command(name, &options)?.stdin(current.try_clone()?).spawn()?, current))
    };
    let workers = jobs.map(start).collect::<io::Result<Vec<_>>>()?;
    let mut clean = true;
    for (mut child, current) in workers {
        let status = child.wait()?;
        if !status.success() {
            clean = false;
            let (_, input) = worker::read_current(&current)?;
            let path = corpus::keep_finding(&options.work, name, &input)?;
            println!("{name}: FINDING ({status}), {} bytes: {}", input.len(), path.display());
        }
    }
    Ok(clean)
}

/// One job as a process of its own; its standard input is for [`worker::current`].
fn worker_command(name: &str, options: &Options) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([name, "--worker"]).arg("--work").arg(&options.work);
    command.args(["--seed", &options.seed.to_string(), "--memory", &options.memory.to_string()]);
    command.args(["--timeout", &options.timeout.as_secs().to_string()]);
    for (option, value) in [("--seconds", options.seconds), ("--runs", options.runs)] {
        if let Some(value) = value {
            command.arg(option).arg(value.to_string());
        }
    }
    if let Some(fault) = &options.fault {
        command.args(["--fault", fault]);
    }
    Ok(command)
}
