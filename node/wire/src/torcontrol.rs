//! Replies of a Tor control port (<https://spec.torproject.org/control-spec>), without a socket.

use std::collections::BTreeMap;

use bulkhead_planted::{Fault, planted};
use thiserror::Error;

/// Longest line, bytes without its newline. The specification has no limit; memory does.
pub const MAX_LINE: usize = 100_000;
/// Most lines of one reply.
pub const MAX_LINES: usize = 1000;

/// A stream that can't be followed further: disconnect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// Above [`MAX_LINE`].
    #[error("max_line_length exceeded by LineReader")]
    LongLine,
    /// Above [`MAX_LINES`].
    #[error("Control port reply exceeded {MAX_LINES} lines, disconnecting")]
    ManyLines,
}

/// One complete reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Status, 250 for success; 0 when it is no number.
    pub code: u16,
    /// What follows the status in each line.
    pub lines: Vec<String>,
}

/// Cuts a byte stream into replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: Vec<u8>,
    reply: Reply,
}

impl ReplyReader {
    /// Consumes bytes from the front of `input` until one reply is complete or `input` is empty.
    ///
    /// # Errors
    /// [`ReplyError`]: the stream is lost.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while !input.is_empty() {
            let end = input.iter().position(|byte| *byte == b'\n');
            let (head, tail) = input.split_at(end.unwrap_or(input.len()));
            if self.line.len() + head.len() > MAX_LINE {
                return Err(ReplyError::LongLine);
            }
            self.line.extend_from_slice(head);
            if end.is_none() {
                *input = tail;
                return Ok(None);
            }
            *input = &tail[1..];
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if let Some(reply) = self.take_line(&line)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        if self.reply.lines.len() == MAX_LINES {
            return Err(ReplyError::ManyLines);
        }
        let Some((status, [separator, rest @ ..])) = line.split_at_checked(3) else { return Ok(None) };
        self.reply.code = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        self.reply.lines.push(String::from_utf8_lossy(rest).into_owned());
        // Other separators announce more lines.
        Ok((*separator == b' ').then(|| std::mem::take(&mut self.reply)))
    }
}

/// First word of a line, and the rest.
#[must_use]
pub fn split_line(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// Reads `KEY=value OTHER="quoted value"`; ends at the first word without `=`. Empty when it is malformed.
#[must_use]
pub fn mapping(text: &str) -> BTreeMap<String, String> {
    read_mapping(text).unwrap_or_default()
}

fn read_mapping(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    while !text.is_empty() {
        let end = text.find(['=', ' '])?;
        let (key, rest) = text.split_at(end);
        let Some(rest) = rest.strip_prefix('=') else {
            if planted(Fault::MappingLoop) {
                continue;
            }
            break;
        };
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
                (value.to_owned(), rest)
            }
        };
        text = rest.strip_prefix(' ').unwrap_or(rest);
        found.insert(key.to_owned(), value);
    }
    Some(found)
}

/// The value up to the closing quote, with C escapes resolved, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = Vec::new();
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), &text[at + 1..])),
            b'\\' => match bytes.next()?.1 {
                b'n' => value.push(b'\n'),
                b't' => value.push(b'\t'),
                b'r' => value.push(b'\r'),
                first @ b'0'..=b'7' => {
                    // Up to three digits, three only when the first is at most 3.
                    let most = if first <= b'3' { 2 } else { 1 };
                    let mut code = first - b'0';
                    for _ in 0..most {
                        let Some((_, digit)) = bytes.next_if(|(_, next)| (b'0'..=b'7').contains(next)) else { break };
                        code = code * 8 + (digit - b'0');
                    }
                    value.push(code);
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], step: usize) -> Result<Vec<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut found = Vec::new();
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                found.extend(reader.push(&mut piece)?);
            }
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(step in 1usize..60) {
            let text = b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250 OK\r\n\r\n510 Unrecognized\n25";
            let found = all(text, step).unwrap();
            prop_assert_eq!(found.len(), 2);
            prop_assert_eq!(&found[0].lines, &["PROTOCOLINFO 1", "AUTH METHODS=NULL", "OK"]);
            prop_assert_eq!((found[1].code, &found[1].lines[0]), (510, &"Unrecognized".to_owned()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\\\\\"=]{0,60}") {
            let _ = mapping(&text);
        }
    }

    #[test]
    fn lines_and_replies_are_bounded() {
        let line = |length: usize| [b"250-".as_slice(), &vec![b'A'; length - 5], b"\r\n"].concat();
        assert!(all(&line(MAX_LINE), 4096).is_ok());
        assert_eq!(all(&line(MAX_LINE + 1), 4096), Err(ReplyError::LongLine));
        let many = b"250-x\r\n".repeat(MAX_LINES);
        assert!(all(&many, 4096).is_ok());
        assert_eq!(all(&[many, b"250-x\r\n".to_vec()].concat(), 4096), Err(ReplyError::ManyLines));
    }

    #[test]
    fn mappings_resolve_quotes_and_escapes() {
        let found = mapping(r#"METHODS=COOKIE,SAFECOOKIE COOKIEFILE="/home/x/.tor/\"a\\b\101\n\79" Optional args"#);
        assert_eq!(found["METHODS"], "COOKIE,SAFECOOKIE");
        assert_eq!(found["COOKIEFILE"], "/home/x/.tor/\"a\\bA\n\u{7}9");
        for malformed in ["key", r#"key="open"#, r#"key="x\"#] {
            assert!(mapping(malformed).is_empty());
        }
        assert_eq!(mapping("a= b=c=d")["b"], "c=d");
        assert_eq!(split_line("AUTH METHODS=NULL"), ("AUTH", "METHODS=NULL"));
    }
}
