//! -netinfo: the connections of the node.

use serde_json::Value;

use crate::CliError;
use crate::request::plain;
use bulkhead_config::version::{CLIENT_NAME, FULL_VERSION};

/// The calls behind it.
pub const METHODS: &[&str] = &["getpeerinfo", "getnetworkinfo"];
/// The most detailed level.
const MAX_LEVEL: u8 = 4;

/// What `-netinfo help` prints.
pub const HELP: &str = "-netinfo (level [outonly]) | help\n\n\
    Shows the connections of the node.\n\n\
    level 0 (default): counts by network and direction, local services and addresses\n\
    level 1: also one line per peer; 2: with its address; 3: with its version; 4: with both\n\
    outonly, o: list outbound peers only\n";

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    level: u8,
    outbound_only: bool,
}

/// Reads the words after -netinfo.
///
/// # Errors
/// Core's text for words that are none.
pub fn options(words: &[String]) -> Result<Options, CliError> {
    let mut options = Options { level: 0, outbound_only: false };
    let Some(level) = words.first() else { return Ok(options) };
    options.level = level.parse::<u8>().map(|level| level.min(MAX_LEVEL)).map_err(|_| {
        CliError::other(format!("invalid -netinfo level argument: {level}\nFor more information, run: bitcoin-cli -netinfo help"))
    })?;
    if let Some(word) = words.get(1) {
        if !["o", "outonly"].contains(&word.as_str()) {
            return Err(CliError::other(format!(
                "invalid -netinfo outonly argument: {word}\nFor more information, run: bitcoin-cli -netinfo help"
            )));
        }
        options.outbound_only = true;
    }
    Ok(options)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// One letter per service.
fn service_letters(names: &Value) -> String {
    items(names)
        .filter_map(|name| match name.as_str()? {
            "NETWORK_LIMITED" => Some('l'),
            "P2P_V2" => Some('2'),
            name => name.chars().next().map(|letter| letter.to_ascii_lowercase()),
        })
        .collect()
}

fn service_names(names: &Value) -> String {
    items(names).map(|name| plain(name).replace('_', " ").to_ascii_lowercase()).collect::<Vec<_>>().join(", ")
}

/// Seconds as milliseconds.
fn ping(seconds: &Value) -> String {
    seconds.as_f64().map_or_else(String::new, |seconds| format!("{:.0}", seconds * 1000.0))
}

fn kind(connection: &str) -> &str {
    match connection {
        "outbound-full-relay" => "full",
        "block-relay-only" => "block",
        "addr-fetch" => "addr",
        "private-broadcast" => "priv",
        "manual" | "feeler" => connection,
        _ => "",
    }
}

fn peer_lines(peers: &Value, options: Options) -> String {
    let mut peers: Vec<&Value> =
        items(peers).filter(|peer| !options.outbound_only || peer["inbound"] == Value::Bool(false)).collect();
    peers.sort_by(|a, b| {
        let key = |peer: &Value| (peer["inbound"] == Value::Bool(false), peer["minping"].as_f64().unwrap_or(-1.0));
        let ((a_out, a_ping), (b_out, b_ping)) = (key(a), key(b));
        a_out.cmp(&b_out).then(a_ping.total_cmp(&b_ping))
    });
    if peers.is_empty() {
        return String::new();
    }
    let mut text =
        format!("{:<3} {:>6} {:>5} {:>6} {:>2} {:>6} {:>6} {:>4}", "<->", "type", "net", "serv", "v", "mping", "ping", "id");
    let (address, version) = ([2, 4].contains(&options.level), [3, 4].contains(&options.level));
    text.push_str(if address { " address" } else { "" });
    text.push_str(if version { " version" } else { "" });
    text.push('\n');
    for peer in peers {
        text.push_str(&format!(
            "{:<3} {:>6} {:>5} {:>6} {:>2} {:>6} {:>6} {:>4}",
            if peer["inbound"] == Value::Bool(false) { "out" } else { "in" },
            kind(peer["connection_type"].as_str().unwrap_or_default()),
            peer["network"].as_str().map_or("", |name| if name == "not_publicly_routable" { "npr" } else { name }),
            service_letters(&peer["servicesnames"]),
            peer["transport_protocol_type"].as_str().and_then(|name| name.strip_prefix('v')).unwrap_or(""),
            ping(&peer["minping"]),
            ping(&peer["pingtime"]),
            plain(&peer["id"]),
        ));
        if address {
            text.push_str(&format!(" {}", plain(&peer["addr"])));
        }
        if version {
            text.push_str(&format!(" {}{}", plain(&peer["version"]), plain(&peer["subver"])));
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Number of peers that fit.
fn count(peers: &Value, fits: impl Fn(&Value) -> bool) -> usize {
    items(peers).filter(|peer| fits(peer)).count()
}

fn totals(peers: &Value, network: &Value) -> String {
    let mut names: Vec<String> = items(&network["networks"])
        .filter(|entry| entry["reachable"] == Value::Bool(true))
        .map(|entry| plain(&entry["name"]))
        .collect();
    for (name, _) in UNREACHABLE {
        if count(peers, |peer| peer["network"] == **name) > 0 {
            names.push((*name).to_owned());
        }
    }
    let manual = count(peers, |peer| peer["connection_type"] == "manual");
    let block = count(peers, |peer| peer["connection_type"] == "block-relay-only");
    let mut text = String::from("     ");
    for name in &names {
        let short = UNREACHABLE.iter().find(|(long, _)| long == name).map_or(name.as_str(), |(_, short)| short);
        text.push_str(&format!("{short:>8}"));
    }
    text.push_str("   total   block");
    text.push_str(if manual > 0 { "  manual" } else { "" });
    for (row, inbound) in [("in", Some(true)), ("out", Some(false)), ("total", None)] {
        let in_row = |peer: &Value| inbound.is_none_or(|inbound| peer["inbound"] == Value::Bool(inbound));
        text.push_str(&format!("\n{row:<5}"));
        for name in &names {
            text.push_str(&format!("{:>8}", count(peers, |peer| in_row(peer) && peer["network"] == **name)));
        }
        text.push_str(&format!("   {:>5}", count(peers, in_row)));
        if inbound == Some(false) {
            text.push_str(&format!("   {block:>5}"));
            if manual > 0 {
                text.push_str(&format!("   {manual:>5}"));
            }
        }
    }
    text
}

/// Networks that are shown only when a peer is on them, with their short names.
const UNREACHABLE: &[(&str, &str)] = &[("not_publicly_routable", "npr"), ("internal", "int")];

/// The text for two replies.
#[must_use]
pub fn text(replies: &[Value], options: Options, chain: &str) -> String {
    let nothing = Value::Null;
    let result = |index: usize| replies.get(index).map_or(&nothing, |reply| &reply["result"]);
    let (peers, network) = (result(0), result(1));
    let chain = match chain {
        "main" => String::new(),
        "test" => " testnet".into(),
        other => format!(" {other}"),
    };
    let services = if options.level > 0 {
        format!(" - services {}", service_letters(&network["localservicesnames"]))
    } else {
        String::new()
    };
    let mut text = format!(
        "{CLIENT_NAME} client {FULL_VERSION}{chain} - server {}{}{services}\n\n",
        plain(&network["protocolversion"]),
        plain(&network["subversion"])
    );
    if options.level > 0 {
        text.push_str(&peer_lines(peers, options));
    }
    text.push_str(&totals(peers, network));
    if options.level == 0 {
        text.push_str(&format!("\n\nLocal services: {}", service_names(&network["localservicesnames"])));
    }
    text.push_str("\n\nLocal addresses");
    let width = items(&network["localaddresses"]).map(|entry| plain(&entry["address"]).len() + 1).max();
    match width {
        None => text.push_str(": n/a\n"),
        Some(width) => {
            for entry in items(&network["localaddresses"]) {
                let (address, port, score) = (plain(&entry["address"]), plain(&entry["port"]), plain(&entry["score"]));
                text.push_str(&format!("\n{address:<width$}    port {port:>6}    score {score:>6}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn peers_are_counted_by_network_and_direction() {
        let replies = [
            json!({"result": [
                {"inbound": true, "network": "ipv4", "connection_type": "inbound", "id": 0},
                {"inbound": false, "network": "not_publicly_routable", "connection_type": "manual", "id": 1},
            ]}),
            json!({"result": {"protocolversion": 70017, "subversion": "/x/", "localservicesnames": ["NETWORK", "NETWORK_LIMITED"],
                "networks": [{"name": "ipv4", "reachable": true}], "localaddresses": []}}),
        ];
        let shown = text(&replies, options(&[]).unwrap(), "regtest");
        assert!(shown.starts_with("Bulkhead client v31.99.0 regtest - server 70017/x/\n"), "{shown}");
        assert!(shown.contains("Local services: network, network limited"));
        assert!(shown.contains("\nout         0       1       1       0       1"), "{shown}");
        let detailed = text(&replies, options(&["1".into()]).unwrap(), "main");
        assert!(detailed.lines().next().unwrap().ends_with("services nl"), "{detailed}");
        assert!(detailed.contains("manual"));
    }

    #[test]
    fn levels_are_bounded_and_words_checked() {
        assert_eq!(options(&["9".into()]).unwrap().level, 4);
        assert!(options(&["x".into()]).is_err() && options(&["1".into(), "x".into()]).is_err());
        assert!(options(&["1".into(), "o".into()]).unwrap().outbound_only);
    }
}
