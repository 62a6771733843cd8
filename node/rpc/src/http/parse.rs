//! Reading requests out of a byte buffer. Pure: bytes in, request or error out.

use thiserror::Error;

/// Largest request line plus headers, in bytes; also the bound of the trailer of a chunked body.
pub const MAX_HEADERS_BYTES: usize = 8192;
/// Largest body, in bytes.
pub const MAX_BODY_BYTES: usize = bulkhead_schema::limits::MAX_RPC_REQUEST_BYTES;
/// The shortest request line is `GET / HTTP/1.0`.
const MIN_REQUEST_LINE: usize = 14;

/// Why bytes are not a request. Core's texts, which only the debug log shows.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// Request line and headers exceed [`MAX_HEADERS_BYTES`].
    #[error("HTTP headers exceed size limit")]
    HeadersTooLarge,
    /// Shorter than any valid request line.
    #[error("HTTP request line too short")]
    RequestLineTooShort,
    /// A NUL byte in the request line.
    #[error("Invalid request line contains NUL")]
    RequestLineNul,
    /// Not three words, or no `HTTP/`.
    #[error("HTTP request line malformed")]
    RequestLine,
    /// Not HTTP/1.x.
    #[error("HTTP bad version")]
    Version,
    /// Bytes that are not UTF-8 in the request line or a header.
    #[error("HTTP request is not text")]
    NotText,
    /// Carriage return or NUL inside a header.
    #[error("Header contains invalid character")]
    HeaderCharacter,
    /// No colon.
    #[error("HTTP header missing colon (:)")]
    HeaderColon,
    /// White space in the name of a header.
    #[error("Invalid header field-name contains whitespace")]
    HeaderNameSpace,
    /// A header without a name.
    #[error("Empty HTTP header name")]
    HeaderNameEmpty,
    /// Two lengths that differ.
    #[error("Differing Content-Length values")]
    DifferingLengths,
    /// Not a number.
    #[error("Cannot parse Content-Length value")]
    Length,
    /// Not a hexadecimal number.
    #[error("Cannot parse chunk length value")]
    ChunkLength,
    /// A chunk that goes on after its length.
    #[error("Improperly terminated chunk")]
    ChunkEnd,
    /// The trailer of a chunked body exceeds [`MAX_HEADERS_BYTES`].
    #[error("HTTP chunked trailer exceeds size limit")]
    TrailerTooLarge,
    /// The body exceeds [`MAX_BODY_BYTES`]: answered with 413, every other error with 400.
    #[error("Max body size exceeded")]
    BodyTooLarge,
}

/// Method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// HEAD.
    Head,
    /// PUT.
    Put,
    /// Any other word.
    Unknown,
}

impl Method {
    /// As the log shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Unknown => "unknown",
        }
    }
}

/// One complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// The digit behind `HTTP/1.`.
    pub minor: u8,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header with this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A position in the buffer.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its `\n` or `\r\n`; `None` when it has not arrived completely.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        let line = &rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The next bytes, of which there must be as many.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let bytes = &self.bytes[self.at..self.at + count];
        self.at += count;
        bytes
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }
}

/// What is still to come of a request whose head was read.
enum Rest {
    /// A body of this many bytes.
    Length(usize),
    /// Chunks.
    Chunks,
    /// The lines after the last chunk, of which so many bytes were read.
    Trailer(usize),
}

/// Reads the requests of one connection. Bytes are looked at once, however they are cut.
#[derive(Default)]
pub struct Parser {
    /// Received and not yet read. The owner of the connection appends to it.
    pub buffer: Vec<u8>,
    partial: Option<(Request, Rest)>,
}

impl Parser {
    /// The next complete request; `None` until more bytes are there.
    ///
    /// # Errors
    /// The first reason why these bytes can never become a request.
    pub fn next_request(&mut self) -> Result<Option<Request>, ParseError> {
        if self.partial.is_none() {
            let Some((request, taken)) = head(&self.buffer)? else { return Ok(None) };
            self.buffer.drain(..taken);
            let rest = rest(&request)?;
            self.partial = Some((request, rest));
        }
        let Some((request, rest)) = &mut self.partial else { return Ok(None) };
        let mut lines = Lines { bytes: &self.buffer, at: 0 };
        let complete = loop {
            match rest {
                Rest::Length(length) => {
                    if lines.remaining() < *length {
                        break false;
                    }
                    request.body = lines.take(*length).to_vec();
                    break true;
                }
                Rest::Chunks => match chunk(&mut lines, &mut request.body)? {
                    Chunk::Data => {}
                    Chunk::Last => *rest = Rest::Trailer(0),
                    Chunk::Incomplete => break false,
                },
                Rest::Trailer(read) => {
                    let start = lines.at;
                    let line = lines.next();
                    *read += lines.at - start;
                    let waiting = if line.is_none() { lines.remaining() } else { 0 };
                    if *read + waiting > MAX_HEADERS_BYTES {
                        return Err(ParseError::TrailerTooLarge);
                    }
                    match line {
                        None => break false,
                        Some([]) => break true,
                        Some(_) => {}
                    }
                }
            }
        };
        let taken = lines.at;
        self.buffer.drain(..taken);
        Ok(if complete { self.partial.take().map(|(request, _)| request) } else { None })
    }
}

/// Request line and headers at the start of `bytes`, and how long they are.
fn head(bytes: &[u8]) -> Result<Option<(Request, usize)>, ParseError> {
    let mut lines = Lines { bytes, at: 0 };
    let Some(line) = lines.next() else { return incomplete_head(bytes) };
    let (method, target, minor) = request_line(line)?;
    let mut headers = Vec::new();
    loop {
        let Some(line) = lines.next() else { return incomplete_head(bytes) };
        if lines.at > MAX_HEADERS_BYTES {
            return Err(ParseError::HeadersTooLarge);
        }
        if line.is_empty() {
            break;
        }
        headers.push(header(line)?);
    }
    Ok(Some((Request { method, target, minor, headers, body: Vec::new() }, lines.at)))
}

fn incomplete_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, ParseError> {
    if bytes.len() > MAX_HEADERS_BYTES { Err(ParseError::HeadersTooLarge) } else { Ok(None) }
}

fn request_line(line: &[u8]) -> Result<(Method, String, u8), ParseError> {
    if line.len() < MIN_REQUEST_LINE {
        return Err(ParseError::RequestLineTooShort);
    }
    if line.contains(&0) {
        return Err(ParseError::RequestLineNul);
    }
    let line = core::str::from_utf8(line).map_err(|_| ParseError::NotText)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(ParseError::RequestLine) };
    let version = version.strip_prefix("HTTP/").ok_or(ParseError::RequestLine)?;
    let minor = match version.as_bytes() {
        [b'1', b'.', minor @ b'0'..=b'9'] => minor - b'0',
        [_, b'.', _] => return Err(ParseError::Version),
        other if other.iter().filter(|byte| **byte == b'.').count() == 1 => return Err(ParseError::Version),
        _ => return Err(ParseError::RequestLine),
    };
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "HEAD" => Method::Head,
        "PUT" => Method::Put,
        _ => Method::Unknown,
    };
    Ok((method, target.to_owned(), minor))
}

fn header(line: &[u8]) -> Result<(String, String), ParseError> {
    if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(ParseError::HeaderCharacter);
    }
    let line = core::str::from_utf8(line).map_err(|_| ParseError::NotText)?;
    let (name, value) = line.split_once(':').ok_or(ParseError::HeaderColon)?;
    if name.contains(|letter: char| letter.is_ascii_whitespace() || letter == '\x0b') {
        return Err(ParseError::HeaderNameSpace);
    }
    if name.is_empty() {
        return Err(ParseError::HeaderNameEmpty);
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// How the body of a request is delimited.
fn rest(request: &Request) -> Result<Rest, ParseError> {
    if request.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(Rest::Chunks);
    }
    let mut lengths = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
    let Some((_, length)) = lengths.next() else { return Ok(Rest::Length(0)) };
    if lengths.any(|(_, other)| other != length) {
        return Err(ParseError::DifferingLengths);
    }
    let length = number(length, 10).ok_or(ParseError::Length)?;
    if length > MAX_BODY_BYTES as u64 {
        return Err(ParseError::BodyTooLarge);
    }
    // At most MAX_BODY_BYTES, so it fits.
    Ok(Rest::Length(length as usize))
}

enum Chunk {
    Data,
    Last,
    Incomplete,
}

/// Moves one complete chunk to the end of the body; takes nothing while it is incomplete.
fn chunk(lines: &mut Lines<'_>, body: &mut Vec<u8>) -> Result<Chunk, ParseError> {
    let start = lines.at;
    let Some(line) = lines.next() else {
        return if lines.remaining() > MAX_HEADERS_BYTES { Err(ParseError::ChunkLength) } else { Ok(Chunk::Incomplete) };
    };
    if line.len() > MAX_HEADERS_BYTES {
        return Err(ParseError::ChunkLength);
    }
    // What follows a semicolon is an extension, which nobody uses.
    let size = line.split(|byte| *byte == b';').next().unwrap_or(line);
    let size = core::str::from_utf8(size).ok().and_then(|text| number(text.trim(), 16)).ok_or(ParseError::ChunkLength)?;
    if size > (MAX_BODY_BYTES - body.len()) as u64 {
        return Err(ParseError::BodyTooLarge);
    }
    if size == 0 {
        return Ok(Chunk::Last);
    }
    // At most MAX_BODY_BYTES, so it fits.
    let size = size as usize;
    // Two bytes end it at most; one of them may be missing.
    if lines.remaining() <= size {
        lines.at = start;
        return Ok(Chunk::Incomplete);
    }
    let data = lines.take(size);
    match &lines.bytes[lines.at..] {
        [b'\n', ..] => lines.at += 1,
        [b'\r', b'\n', ..] => lines.at += 2,
        [b'\r'] => {
            lines.at = start;
            return Ok(Chunk::Incomplete);
        }
        _ => return Err(ParseError::ChunkEnd),
    }
    body.extend_from_slice(data);
    Ok(Chunk::Data)
}

/// A number without sign; unlike `from_str_radix`, a plus sign is not one.
fn number(text: &str, radix: u32) -> Option<u64> {
    if text.starts_with('+') { None } else { u64::from_str_radix(text, radix).ok() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn read(text: &str) -> Result<Option<Request>, ParseError> {
        Parser { buffer: text.as_bytes().to_vec(), partial: None }.next_request()
    }

    #[test]
    fn a_request_with_a_body_is_read_whole() {
        let text = "POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabcGET";
        let mut parser = Parser { buffer: text.as_bytes().to_vec(), partial: None };
        let request = parser.next_request().unwrap().unwrap();
        assert_eq!((request.method, request.target.as_str(), request.minor), (Method::Post, "/", 1));
        assert_eq!((request.body.as_slice(), parser.buffer.as_slice()), (&b"abc"[..], &b"GET"[..]));
        assert_eq!(request.header("CONTENT-LENGTH"), Some("3"));
    }

    #[test]
    fn every_prefix_of_a_request_is_incomplete() {
        for text in [
            "POST /wallet/w HTTP/1.1\r\nA: b\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n",
        ] {
            let mut parser = Parser::default();
            for (position, byte) in text.bytes().enumerate() {
                assert_eq!(parser.next_request(), Ok(None), "{position}");
                parser.buffer.push(byte);
            }
            assert_eq!(parser.next_request().unwrap().unwrap().body, b"hello");
            assert_eq!(read(text).unwrap().unwrap().body, b"hello");
        }
    }

    #[test]
    fn malformed_requests_are_named() {
        for (text, error) in [
            ("GET\r\n\r\n", ParseError::RequestLineTooShort),
            ("GET / FTP/1.1 \r\n\r\n", ParseError::RequestLine),
            ("GET /a b HTTP/1.1\r\n\r\n", ParseError::RequestLine),
            ("GET / HTTP/2.0\r\n\r\n", ParseError::Version),
            ("GET / HTTP/1.10\r\n\r\n", ParseError::Version),
            ("GET /\0 HTTP/1.1\r\n\r\n", ParseError::RequestLineNul),
            ("GET / HTTP/1.1\r\nx\r\n\r\n", ParseError::HeaderColon),
            ("GET / HTTP/1.1\r\nx y: z\r\n\r\n", ParseError::HeaderNameSpace),
            ("GET / HTTP/1.1\r\n: z\r\n\r\n", ParseError::HeaderNameEmpty),
            ("GET / HTTP/1.1\r\na: b\rc\r\n\r\n", ParseError::HeaderCharacter),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", ParseError::DifferingLengths),
            ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", ParseError::Length),
            ("GET / HTTP/1.1\r\nContent-Length: 33554433\r\n\r\n", ParseError::BodyTooLarge),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ParseError::ChunkLength),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", ParseError::BodyTooLarge),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", ParseError::ChunkEnd),
        ] {
            assert_eq!(read(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn headers_are_bounded_before_they_end() {
        let endless = format!("GET /{}", "x".repeat(MAX_HEADERS_BYTES));
        assert_eq!(read(&endless), Err(ParseError::HeadersTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(MAX_HEADERS_BYTES / 6));
        assert_eq!(read(&many), Err(ParseError::HeadersTooLarge));
        let below = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEADERS_BYTES - 1000));
        assert!(read(&below).unwrap().is_some());
    }
}
