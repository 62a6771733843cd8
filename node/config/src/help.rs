//! `-help`: layout of Core, own words.

use crate::{ArgsManager, Category, Flags};

const WIDTH: usize = 79;

/// Breaks a text at blanks so that no line is longer than `width`; later lines are indented.
#[must_use]
pub fn format_paragraph(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let mut column = 0;
        for (position, word) in line.split(' ').enumerate() {
            let length = word.chars().count();
            if position > 0 {
                if column + 1 + length > width {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent));
                    column = 0;
                } else {
                    out.push(' ');
                    column += 1;
                }
            }
            out.push_str(word);
            column += length;
        }
    }
    out
}

/// One option with its text.
#[must_use]
pub fn help_option(name: &str, parameter: &str, text: &str) -> String {
    format!("  {name}{parameter}\n       {}\n\n", format_paragraph(text, WIDTH - 7, 7))
}

fn heading(category: Category) -> Option<&'static str> {
    Some(match category {
        Category::Options => "Options:",
        Category::Connection => "Connection options:",
        Category::Wallet => "Wallet options:",
        Category::WalletDebugTest => "Wallet debugging/testing options:",
        Category::Zmq => "ZeroMQ notification options:",
        Category::DebugTest => "Debugging/Testing options:",
        Category::ChainParams => "Chain selection options:",
        Category::NodeRelay => "Node relay options:",
        Category::BlockCreation => "Block creation options:",
        Category::Rpc => "RPC server options:",
        Category::CliCommands => "CLI Commands:",
        Category::Ipc => "IPC interprocess connection options:",
        Category::Hidden => return None,
    })
}

impl ArgsManager {
    /// Whether any spelling of help was given.
    #[must_use]
    pub fn help_requested(&self) -> bool {
        ["-?", "-h", "-help", "-help-debug"].iter().any(|name| self.is_set(name))
    }

    /// The list of options; with `-help-debug` those for developers too.
    #[must_use]
    pub fn help_message(&self) -> String {
        let debug = self.bool_or("-help-debug", false);
        let mut out = String::new();
        for (category, options) in &self.options {
            let Some(heading) = heading(*category) else { continue };
            if *category == Category::WalletDebugTest && !debug {
                continue;
            }
            out += &format!("{heading}\n\n");
            for option in options.values().filter(|option| debug || !option.flags.contains(Flags::DEBUG_ONLY)) {
                out += &help_option(option.name, option.parameter, option.help);
            }
        }
        out
    }
}
