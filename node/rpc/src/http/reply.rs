//! What goes back to a client.

use super::date;
use super::parse::Request;

/// A reply before it knows the request that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Additional headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Only a status.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A status and a short text.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self { status, headers: Vec::new(), body: text.as_bytes().to_vec() }
    }

    /// A status and a body of a given type.
    #[must_use]
    pub fn typed(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("Content-Type", content_type.to_owned())], body }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// The bytes of a reply, and whether the connection stays open after it. `request` is `None` when the bytes of the
/// client were no request. `now` is seconds since 1970.
#[must_use]
pub fn serialize(reply: &Reply, request: Option<&Request>, now: i64) -> (Vec<u8>, bool) {
    let minor = request.map_or(1, |request| request.minor);
    let connection = request.and_then(|request| request.header("Connection")).map(str::to_ascii_lowercase);
    let has_body = reply.status != 204;
    let mut keep_alive = minor >= 1;
    let mut needs_length = has_body && minor >= 1;
    let mut headers = reply.headers.clone();
    if minor == 0 && connection.as_deref() == Some("keep-alive") {
        headers.push(("Connection", "keep-alive".into()));
        keep_alive = true;
        needs_length = has_body;
    }
    if minor >= 1 {
        headers.push(("Date", date::rfc1123(now)));
    }
    if needs_length {
        headers.push(("Content-Length", reply.body.len().to_string()));
    }
    if has_body && !headers.iter().any(|(name, _)| *name == "Content-Type") {
        headers.push(("Content-Type", "text/html; charset=ISO-8859-1".into()));
    }
    if connection.as_deref() == Some("close") || request.is_none() {
        headers.retain(|(name, _)| *name != "Connection");
        headers.push(("Connection", "close".into()));
        keep_alive = false;
    }
    let mut bytes = format!("HTTP/1.{minor} {} {}\r\n", reply.status, reason(reply.status)).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    if has_body {
        bytes.extend_from_slice(&reply.body);
    }
    (bytes, keep_alive)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::parse;
    use super::*;

    fn reply_to(head: &str, reply: &Reply) -> (String, bool) {
        let mut parser = parse::Parser::default();
        parser.buffer.extend_from_slice(format!("{head}\r\n\r\n").as_bytes());
        let request = parser.next_request().unwrap().unwrap();
        let (bytes, keep_alive) = serialize(reply, Some(&request), 0);
        (String::from_utf8(bytes).unwrap(), keep_alive)
    }

    #[test]
    fn connections_stay_open_by_version_and_header() {
        let reply = Reply::text(200, "x");
        for (head, open) in [
            ("GET / HTTP/1.1", true),
            ("GET / HTTP/1.1\r\nConnection: Close", false),
            ("GET / HTTP/1.0", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive", true),
        ] {
            assert_eq!(reply_to(head, &reply).1, open, "{head}");
        }
    }

    #[test]
    fn lengths_and_types_are_told() {
        let (text, _) = reply_to("GET / HTTP/1.1", &Reply::typed(200, "application/json", b"{}\n".to_vec()));
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n{}\n"), "{text}");
        assert!(text.contains("Content-Length: 3\r\n") && text.contains("Content-Type: application/json\r\n"));
        assert!(!text.contains("text/html"));
    }

    #[test]
    fn no_content_has_neither_length_nor_type() {
        let (text, _) = reply_to("GET / HTTP/1.1", &Reply::empty(204));
        assert!(!text.contains("Content-"), "{text}");
    }
}
