//! One HTTP request over one connection.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine;

/// Bytes that a header section may have.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody knows the name.
    #[error("Could not resolve host: {0}")]
    UnknownHost(String),
    /// Nobody listens there.
    #[error("Could not connect to the server")]
    NoConnection,
    /// The request could not be sent.
    #[error("Failed to send HTTP request")]
    NotSent,
    /// The server did not answer in time.
    #[error("timeout")]
    Timeout,
    /// The connection broke before the response was complete.
    #[error("Read error: {0}")]
    Read(std::io::Error),
    /// The connection ended before the response was complete.
    #[error("HTTP error: EOF")]
    End,
    /// What came is no response.
    #[error("HTTP error: {0}")]
    Malformed(&'static str),
}

fn read_error(error: std::io::Error) -> HttpError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => HttpError::Timeout,
        _ => HttpError::Read(error),
    }
}

/// Sends a JSON body to a path. `limit` bounds connecting and each wait for bytes; `None` waits for ever.
/// `credentials` is asked once the server took the connection: a server that starts writes its cookie before it listens.
///
/// # Errors
/// No connection, or one that broke.
pub fn post(
    host: &str,
    port: u16,
    path: &str,
    credentials: impl FnOnce() -> String,
    body: &str,
    limit: Option<Duration>,
) -> Result<Response, HttpError> {
    let mut stream = connect(host, port, limit)?;
    stream.set_read_timeout(limit).map_err(read_error)?;
    stream.set_write_timeout(limit).map_err(|_| HttpError::NotSent)?;
    let credentials = credentials();
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Basic {credentials}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A server may answer and close before it has read everything (413): its answer counts.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(_) if !bytes.is_empty() => {}
        Err(_) if sent.is_err() => return Err(HttpError::NotSent),
        Err(error) => return Err(read_error(error)),
    }
    parse(&bytes)
}

fn connect(host: &str, port: u16, limit: Option<Duration>) -> Result<TcpStream, HttpError> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let addresses = (host, port).to_socket_addrs().map_err(|_| HttpError::UnknownHost(host.to_owned()))?;
    for address in addresses {
        let connected = match deadline {
            None => TcpStream::connect(address),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                TcpStream::connect_timeout(&address, left)
            }
        };
        if let Ok(stream) = connected {
            return Ok(stream);
        }
    }
    Err(HttpError::NoConnection)
}

/// Reads a response whose end is the end of the connection or the announced length.
fn parse(bytes: &[u8]) -> Result<Response, HttpError> {
    let end = bytes.windows(4).take(MAX_HEAD_BYTES).position(|window| window == b"\r\n\r\n").ok_or(HttpError::End)?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok())
        .ok_or(HttpError::Malformed("Invalid status line"))?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("Content-Length") { value.trim().parse::<usize>().ok() } else { None }
    });
    let body = &bytes[end + 4..];
    let body = match length {
        Some(length) if body.len() < length => return Err(HttpError::End),
        Some(length) => &body[..length],
        None => body,
    };
    Ok(Response { status, body: String::from_utf8_lossy(body).into_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn responses_are_read_by_length_or_to_the_end() {
        let response = parse(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nabc").unwrap();
        assert_eq!(response, Response { status: 404, body: "ab".into() });
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap().body, "abc");
    }

    #[test]
    fn broken_responses_are_errors() {
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"NONSENSE\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"] {
            assert!(matches!(parse(bytes), Err(HttpError::End | HttpError::Malformed(_))));
        }
    }

    #[test]
    fn credentials_are_asked_only_when_a_server_took_the_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n{}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            String::from_utf8(request).unwrap()
        });
        let response = post("127.0.0.1", port, "/", || "u:p".into(), "{}", None).unwrap();
        assert_eq!(response.body, "ok");
        assert!(server.join().unwrap().contains("Authorization: Basic dTpw\r\n"));
        // The server is gone: nobody asks for the cookie that it might still write.
        let mut asked = false;
        let refused = post(
            "127.0.0.1",
            port,
            "/",
            || {
                asked = true;
                String::new()
            },
            "{}",
            None,
        );
        assert!(matches!(refused, Err(HttpError::NoConnection)));
        assert!(!asked);
    }
}
