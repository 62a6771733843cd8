//! -getinfo: the state of the node at a glance.

use std::io::IsTerminal;

use serde_json::{Map, Value};

use crate::CliError;
use crate::request::plain;

/// The calls behind it.
pub const METHODS: &[&str] = &["getnetworkinfo", "getblockchaininfo", "getwalletinfo", "getbalances"];

/// Steps of a progress bar.
const BAR_STEPS: f64 = 20.0;

/// Escape codes, or nothing.
struct Colours(bool);

impl Colours {
    fn from_option(setting: &str) -> Result<Self, CliError> {
        match setting {
            "always" => Ok(Self(true)),
            "never" => Ok(Self(false)),
            "auto" => Ok(Self(std::io::stdout().is_terminal())),
            _ => Err(CliError::other("Invalid value for -color option. Valid values: always, auto, never.")),
        }
    }

    fn paint(&self, colour: u8, text: &str) -> String {
        if self.0 { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;
const MAGENTA: u8 = 35;
const CYAN: u8 = 36;

/// A bar from empty to full, in steps of 5 %.
fn progress_bar(progress: f64) -> String {
    if !(0.0..=1.0).contains(&progress) {
        return String::new();
    }
    // Between 0 and 20.
    let full = (progress * BAR_STEPS).ceil() as usize;
    let empty = ((1.0 - progress) * BAR_STEPS).ceil() as usize;
    "\u{2592}".repeat(full) + &"\u{2591}".repeat(empty)
}

/// The proxies with the networks that use them, in order of appearance.
fn proxies(networks: &Value) -> String {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for network in networks.as_array().into_iter().flatten() {
        let (proxy, name) = (plain(&network["proxy"]), plain(&network["name"]));
        if proxy.is_empty() {
            continue;
        }
        match found.iter_mut().find(|(known, _)| *known == proxy) {
            Some((_, names)) => names.push(name),
            None => found.push((proxy, vec![name])),
        }
    }
    if found.is_empty() {
        return "n/a".into();
    }
    found.into_iter().map(|(proxy, names)| format!("{proxy} ({})", names.join(", "))).collect::<Vec<_>>().join(", ")
}

/// The text for four replies; `balances` are those of all wallets when there are several.
///
/// # Errors
/// A bad `-color`.
pub fn text(replies: &[Value], balances: Option<&Map<String, Value>>, colour: &str) -> Result<String, CliError> {
    let nothing = Value::Null;
    let result = |index: usize| replies.get(index).map_or(&nothing, |reply| &reply["result"]);
    let (network, chain, wallet, own) = (result(0), result(1), result(2), result(3));
    let colours = Colours::from_option(colour)?;

    let progress = chain["verificationprogress"].as_f64().unwrap_or(0.0);
    let bar = if progress < 0.99 { progress_bar(progress) + " " } else { String::new() };
    let mut text = colours.paint(BLUE, &format!("Chain: {}", plain(&chain["chain"])));
    text.push_str(&format!(
        "\nBlocks: {}\nHeaders: {}\nVerification progress: {bar}{:.4}%\nDifficulty: {}\n\n",
        plain(&chain["blocks"]),
        plain(&chain["headers"]),
        progress * 100.0,
        plain(&chain["difficulty"])
    ));
    let connections = format!(
        "Network: in {}, out {}, total {}",
        plain(&network["connections_in"]),
        plain(&network["connections_out"]),
        plain(&network["connections"])
    );
    text.push_str(&colours.paint(GREEN, &connections));
    text.push_str(&format!(
        "\nVersion: {}\nTime offset (s): {}\nProxies: {}\nMin tx relay fee rate (BTC/kvB): {}\n\n",
        plain(&network["version"]),
        plain(&network["timeoffset"]),
        proxies(&network["networks"]),
        plain(&network["relayfee"])
    ));
    if !wallet.is_null() {
        let name = Some(plain(&wallet["walletname"])).filter(|name| !name.is_empty()).unwrap_or_else(|| "\"\"".into());
        text.push_str(&colours.paint(MAGENTA, &format!("Wallet: {name}")));
        text.push_str(&format!("\nKeypool size: {}\n", plain(&wallet["keypoolsize"])));
        if !wallet["unlocked_until"].is_null() {
            text.push_str(&format!("Unlocked until: {}\n", plain(&wallet["unlocked_until"])));
        }
    }
    let balance = &own["mine"]["trusted"];
    if !balance.is_null() {
        text.push_str(&format!("{} {}\n\n", colours.paint(CYAN, "Balance:"), plain(balance)));
    }
    if let Some(balances) = balances {
        text.push_str(&colours.paint(CYAN, "Balances"));
        text.push('\n');
        let width = balances.values().map(|balance| plain(balance).len()).max().unwrap_or(0).max(10);
        for (name, balance) in balances {
            let name = if name.is_empty() { "\"\"" } else { name };
            text.push_str(&format!("{:>width$} {name}\n", plain(balance)));
        }
        text.push('\n');
    }
    let warnings = match &network["warnings"] {
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join("; "),
        other => plain(other),
    };
    let warnings = if warnings.is_empty() { "(none)".to_owned() } else { warnings };
    text.push_str(&format!("{} {warnings}", colours.paint(YELLOW, "Warnings:")));
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn no_reply() -> Value {
        json!({"result": null})
    }

    fn replies() -> Vec<Value> {
        vec![
            json!({"result": {"version": 319_900, "timeoffset": 0, "connections_in": 1, "connections_out": 2, "connections": 3, "relayfee": 0.00001,
                "networks": [{"name": "ipv4", "proxy": "p:1"}, {"name": "ipv6", "proxy": "p:1"}, {"name": "i2p", "proxy": ""}], "warnings": []}}),
            json!({"result": {"chain": "regtest", "blocks": 5, "headers": 6, "verificationprogress": 1.0, "difficulty": 1}}),
            no_reply(),
            no_reply(),
        ]
    }

    #[test]
    fn the_overview_has_cores_lines() {
        let text = text(&replies(), None, "never").unwrap();
        for line in [
            "Chain: regtest",
            "Blocks: 5",
            "Verification progress: 100.0000%",
            "Network: in 1, out 2, total 3",
            "Proxies: p:1 (ipv4, ipv6)",
            "Warnings: (none)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("Balance") && !text.contains('\u{1b}'));
    }

    #[test]
    fn colours_are_as_asked() {
        assert!(text(&replies(), None, "always").unwrap().contains("\u{1b}[0m"));
        assert!(text(&replies(), None, "foo").is_err());
    }

    #[test]
    fn the_bar_fills_up() {
        assert_eq!(progress_bar(0.5).chars().filter(|letter| *letter == '\u{2592}').count(), 10);
        assert_eq!(progress_bar(2.0), "");
    }
}
