//! Standard input: lines, and passwords that are not echoed.

use std::io::{BufRead, IsTerminal, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// Restores the terminal when dropped.
struct Silent(Option<Termios>);

impl Silent {
    fn new() -> Self {
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        // Not a terminal, or one that insists on its echo.
        let _ = tcsetattr(&stdin, SetArg::TCSANOW, &silent);
        Self(Some(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

fn line() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.strip_suffix('\n').unwrap_or(&line).to_owned()),
    }
}

/// A password; the prompt is shown on a terminal only.
#[must_use]
pub fn password(prompt: &str) -> Option<String> {
    let on_terminal = std::io::stdin().is_terminal();
    let _silent = on_terminal.then(Silent::new);
    if on_terminal {
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{prompt}> ").and_then(|()| stderr.flush());
    }
    let line = line()?;
    if on_terminal {
        println!();
    }
    Some(line)
}

/// The remaining lines.
#[must_use]
pub fn lines() -> Vec<String> {
    std::iter::from_fn(line).collect()
}
