//! Parameters behind the question mark.

use super::{BAD_REQUEST, Refusal};

/// The text behind the question mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(pub &'a str);

impl Query<'_> {
    /// The first parameter of that name, decoded.
    pub fn get(self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let found = pairs.find(|(key, _)| decode(key) == name.as_bytes());
        found.map(|(_, value)| String::from_utf8_lossy(&decode(value)).into_owned())
    }

    /// A flag of two words.
    ///
    /// # Errors
    /// Another word.
    pub fn flag(self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(name).as_deref() {
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

/// Resolves escapes (RFC 3986, section 2.1); what is none stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let escape = escape.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
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
        let query = Query("count=5&x=%41b&count=6&flag");
        let found = ["count", "x", "flag", "y"].map(|name| query.get(name));
        assert_eq!(found.each_ref().map(Option::as_deref), [Some("5"), Some("Ab"), Some(""), None]);
        assert!(query.flag("flag", true).is_err() && query.flag("y", true).unwrap());
    }

    #[test]
    fn what_is_no_escape_stays() {
        for (text, value) in [("a=%4", "%4"), ("a=%zz", "%zz"), ("a=%+5", "%+5"), ("a={%7d", "{}"), ("a=%", "%"), ("%61=1", "1")]
        {
            assert_eq!(Query(text).get("a").as_deref(), Some(value), "{text}");
        }
    }
}
