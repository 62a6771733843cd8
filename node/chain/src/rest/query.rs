//! Parameters behind the question mark.

use super::{BAD_REQUEST, Refusal};

/// The text behind the question mark, and the path before it: Core looks for parameters only in a well-formed whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    path: &'a str,
    text: &'a str,
}

impl<'a> Query<'a> {
    pub fn new(path: &'a str, text: &'a str) -> Self {
        Self { path, text }
    }

    /// The first parameter of that name, decoded.
    ///
    /// # Errors
    /// Path or text cannot be part of an address.
    pub fn get(self, name: &str) -> Result<Option<String>, Refusal> {
        let malformed = || (BAD_REQUEST, "URI parsing failed, it likely contained RFC 3986 invalid characters".to_owned());
        if ![self.path, self.text].into_iter().all(is_well_formed) {
            return Err(malformed());
        }
        let mut pairs = self.text.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let found = pairs.find(|(key, _)| decode(key) == name.as_bytes());
        found.map(|(_, value)| String::from_utf8(decode(value)).map_err(|_| malformed())).transpose()
    }

    /// A flag of two words.
    ///
    /// # Errors
    /// Another word.
    pub fn flag(self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(name)?.as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => {
                let text = format!("The \"{name}\" query parameter must be either \"true\" or \"false\".");
                Err((BAD_REQUEST, text))
            }
        }
    }
}

/// Whether a part of an address keeps to the characters of RFC 3986.
fn is_well_formed(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte))
        && escapes_are_whole(part.as_bytes())
}

fn escapes_are_whole(bytes: &[u8]) -> bool {
    let at_escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    at_escapes
        .map(|(at, _)| bytes.get(at + 1..at + 3))
        .all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let decoded =
            escape.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let query = Query::new("/rest/x", "count=5&x=%41b&count=6&flag");
        assert_eq!(query.get("count").unwrap().unwrap(), "5");
        assert_eq!(query.get("x").unwrap().unwrap(), "Ab");
        assert_eq!(query.get("flag").unwrap().unwrap(), "");
        assert_eq!(query.get("y").unwrap(), None);
        assert!(query.flag("flag", true).is_err() && query.flag("y", true).unwrap());
    }

    #[test]
    fn addresses_with_other_characters_have_no_parameters() {
        for (path, text) in [("/x", "count=%4"), ("/x", "a=%zz"), ("/x%", "count=5"), ("/x", "a={}"), ("/\u{e4}", "")] {
            assert!(Query::new(path, text).get("count").is_err(), "{path}?{text}");
        }
        assert_eq!(Query::new("/a%20b", "").get("count").unwrap(), None);
    }
}
