//! Words of the command line to JSON parameters, by the method table (src/rpc/client.cpp).

use bulkhead_schema::methods::{Arg, Kind, find};
use serde_json::Value;

/// How a word becomes a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// It must be JSON.
    Json,
    /// It is text.
    Text,
    /// JSON if it is that, else text (a hash or a height).
    JsonOrText,
}

/// Methods whose texts may hold an equals sign (base64, file names, labels): `name=value` is taken for a text there
/// unless the name is that of an argument.
const TEXTS_WITH_EQUALS: &[&str] = &[
    "analyzepsbt",
    "backupwallet",
    "createwallet",
    "decodepsbt",
    "descriptorprocesspsbt",
    "dumptxoutset",
    "echoipc",
    "encryptwallet",
    "finalizepsbt",
    "getaddressesbylabel",
    "getnewaddress",
    "getreceivedbylabel",
    "importmempool",
    "listsinceblock",
    "listtransactions",
    "loadtxoutset",
    "loadwallet",
    "migratewallet",
    "restorewallet",
    "sendmany",
    "sendtoaddress",
    "setlabel",
    "signmessage",
    "signmessagewithprivkey",
    "unloadwallet",
    "utxoupdatepsbt",
    "verifymessage",
    "walletpassphrase",
    "walletpassphrasechange",
    "walletprocesspsbt",
];

/// `None`: text, and not remembered as such by Core's table.
fn format_of(method: &str, arg: &Arg) -> Option<Format> {
    if method == "echojson" {
        return Some(Format::Json);
    }
    let takes_text = arg.typed.is_some_and(|(_, kind)| kind.contains("string") && kind.contains("numeric"));
    match arg.kind {
        Kind::Str | Kind::Hex => TEXTS_WITH_EQUALS.contains(&method).then_some(Format::Text),
        _ if takes_text && arg.unchecked => Some(Format::JsonOrText),
        _ => Some(Format::Json),
    }
}

fn by_position(method: &str, position: usize) -> Option<Format> {
    find(method)?.args.get(position).and_then(|arg| format_of(method, arg))
}

fn by_name(method: &str, name: &str) -> Option<Format> {
    let has = |arg: &&Arg| arg.names.split('|').any(|known| known == name);
    let args = find(method)?.args;
    let keys = || args.iter().filter(|arg| arg.kind == Kind::Named).flat_map(|arg| arg.inner);
    args.iter().find(has).or_else(|| keys().find(has)).and_then(|arg| format_of(method, arg))
}

fn parse(word: &str, format: Option<Format>) -> Result<Value, String> {
    match format {
        None | Some(Format::Text) => Ok(Value::from(word)),
        Some(format) => match serde_json::from_str(word) {
            Ok(value) => Ok(value),
            Err(_) if format == Format::JsonOrText => Ok(Value::from(word)),
            Err(_) => Err(format!("Error parsing JSON: {word}")),
        },
    }
}

/// Parameters by position.
///
/// # Errors
/// A word that should be JSON and is not.
pub fn positional(method: &str, words: &[String]) -> Result<String, String> {
    let values = words
        .iter()
        .enumerate()
        .map(|(position, word)| parse(word, by_position(method, position)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Array(values).to_string())
}

/// Parameters by name, as the text of an object: later values of a name replace earlier ones, words without a name
/// are collected under "args", which may then occur twice, so that the server can complain.
///
/// # Errors
/// A word that should be JSON and is not.
pub fn named(method: &str, words: &[String]) -> Result<String, String> {
    let mut members: Vec<(String, Value)> = Vec::new();
    let mut without_name = Vec::new();
    for word in words {
        let next = by_position(method, without_name.len());
        let Some((name, value)) = word.split_once('=') else {
            without_name.push(parse(word, next)?);
            continue;
        };
        let format = by_name(method, name);
        if format.is_none() {
            match next {
                Some(Format::Json) => {
                    if let Ok(value) = serde_json::from_str(word) {
                        without_name.push(value);
                        continue;
                    }
                }
                Some(Format::Text) => {
                    without_name.push(Value::from(word.as_str()));
                    continue;
                }
                _ => {}
            }
        }
        let value = parse(value, format)?;
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => members.push((name.to_owned(), value)),
        }
    }
    if !without_name.is_empty() {
        members.push(("args".to_owned(), Value::Array(without_name)));
    }
    let members: Vec<String> = members.into_iter().map(|(name, value)| format!("{}:{value}", Value::from(name))).collect();
    Ok(format!("{{{}}}", members.join(",")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_become_json_where_the_table_says_so() {
        assert_eq!(positional("getblockhash", &words(&["5"])).unwrap(), "[5]");
        assert_eq!(positional("getblock", &words(&["5", "2"])).unwrap(), "[\"5\",2]");
        assert_eq!(positional("unknown", &words(&["5"])).unwrap(), "[\"5\"]");
        assert_eq!(positional("getblockstats", &words(&["5"])).unwrap(), "[5]");
        assert_eq!(positional("getblockstats", &words(&["00ff"])).unwrap(), "[\"00ff\"]");
        assert_eq!(positional("getblockhash", &words(&["x"])).unwrap_err(), "Error parsing JSON: x");
    }

    #[test]
    fn names_are_told_from_values_with_an_equals_sign() {
        assert_eq!(named("echojson", &words(&["[\"key=value\"]", "42"])).unwrap(), "{\"args\":[[\"key=value\"],42]}");
        assert_eq!(named("echojson", &words(&["arg0=[1]", "arg1=42"])).unwrap(), "{\"arg0\":[1],\"arg1\":42}");
        assert_eq!(named("createwallet", &words(&["my=wallet"])).unwrap(), "{\"args\":[\"my=wallet\"]}");
        assert_eq!(named("echo", &words(&["arg0=0", "arg1=1", "arg1=3"])).unwrap(), "{\"arg0\":\"0\",\"arg1\":\"3\"}");
        assert_eq!(named("getblockcount", &words(&["args=1", "2"])).unwrap(), "{\"args\":\"1\",\"args\":[\"2\"]}");
        assert_eq!(named("echo", &words(&["foo=bar"])).unwrap(), "{\"foo\":\"bar\"}");
    }
}
