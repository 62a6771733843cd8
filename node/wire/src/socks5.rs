//! The client side of SOCKS5 (RFC 1928, RFC 1929), without a socket: says what to send and how much to read next.
//!
//! The destination always goes as a name, even an IP address: the proxy resolves it, so nothing about it leaks to
//! the local resolver.

use thiserror::Error;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN_NAME: u8 = 3;
const IPV6: u8 = 4;
/// Bytes of a port.
const PORT_SIZE: usize = 2;

/// Why there is no connection. Core's texts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Socks5Error {
    /// Longer than the 255 bytes that the protocol can carry.
    #[error("Hostname too long")]
    LongName,
    /// As above.
    #[error("Proxy username or password too long")]
    LongCredentials,
    /// The first reply is not one of SOCKS5.
    #[error("Proxy failed to initialize")]
    Version,
    /// A way to authenticate that was not offered.
    #[error("Proxy requested wrong authentication method {0:02x}")]
    Method(u8),
    /// The credentials were not accepted.
    #[error("Proxy authentication unsuccessful")]
    Authentication,
    /// The second reply is not one of SOCKS5.
    #[error("Proxy failed to accept request")]
    Request,
    /// The proxy could not connect.
    #[error("{}", refusal(*.0))]
    Refused(u8),
    /// The end of the second reply.
    #[error("Error: malformed proxy response")]
    Malformed,
}

/// Core's words for the reply codes, those of Tor included.
fn refusal(code: u8) -> String {
    let text = match code {
        0x01 => "general failure",
        0x02 => "connection not allowed",
        0x03 => "network unreachable",
        0x04 => "host unreachable",
        0x05 => "connection refused",
        0x06 => "TTL expired",
        0x07 => "protocol error",
        0x08 => "address type not supported",
        0xf0 => "onion service descriptor can not be found",
        0xf1 => "onion service descriptor is invalid",
        0xf2 => "onion service introduction failed",
        0xf3 => "onion service rendezvous failed",
        0xf4 => "onion service missing client authorization",
        0xf5 => "onion service wrong client authorization",
        0xf6 => "onion service invalid address",
        0xf7 => "onion service introduction timed out",
        _ => return format!("unknown (0x{code:02x})"),
    };
    text.to_owned()
}

/// User name and password. Tor keeps streams with different ones apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// At most 255 bytes.
    pub user: String,
    /// At most 255 bytes.
    pub password: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Method,
    Authentication,
    Reply,
    NameLength,
    /// Address and port where the proxy connected from, of this length.
    Bound(usize),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes, if any, then read exactly so many and pass them to [`Connect::advance`].
    Continue {
        /// To send.
        send: Vec<u8>,
        /// To read.
        read: usize,
    },
    /// From here on the stream is the connection to the destination.
    Connected,
}

/// One attempt to connect.
#[derive(Debug)]
pub struct Connect {
    request: Vec<u8>,
    credentials: Option<Vec<u8>>,
    state: State,
}

fn push_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.push(u8::try_from(text.len()).ok()?);
    out.extend_from_slice(text.as_bytes());
    Some(())
}

impl Connect {
    /// Begins; the first step comes with it.
    ///
    /// # Errors
    /// [`Socks5Error::LongName`], [`Socks5Error::LongCredentials`].
    pub fn new(host: &str, port: u16, credentials: Option<&Credentials>) -> Result<(Self, Step), Socks5Error> {
        let mut request = vec![VERSION, CONNECT, 0, DOMAIN_NAME];
        push_text(&mut request, host).ok_or(Socks5Error::LongName)?;
        request.extend_from_slice(&port.to_be_bytes());
        let credentials = match credentials {
            Some(given) => {
                let mut bytes = vec![1];
                push_text(&mut bytes, &given.user).ok_or(Socks5Error::LongCredentials)?;
                push_text(&mut bytes, &given.password).ok_or(Socks5Error::LongCredentials)?;
                Some(bytes)
            }
            None => None,
        };
        let methods = if credentials.is_some() {
            vec![VERSION, 2, NO_AUTHENTICATION, USER_PASSWORD]
        } else {
            vec![VERSION, 1, NO_AUTHENTICATION]
        };
        Ok((Self { request, credentials, state: State::Method }, Step::Continue { send: methods, read: 2 }))
    }

    /// Takes exactly the bytes that the last step asked for.
    ///
    /// # Errors
    /// [`Socks5Error`]: there is no connection; close the stream.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Step, Socks5Error> {
        match (self.state, bytes) {
            (State::Method, [VERSION, method]) => match (*method, self.credentials.take()) {
                (USER_PASSWORD, Some(send)) => Ok(self.expect(State::Authentication, send, 2)),
                (NO_AUTHENTICATION, _) => Ok(self.send_request()),
                (other, _) => Err(Socks5Error::Method(other)),
            },
            (State::Method, _) => Err(Socks5Error::Version),
            (State::Authentication, [1, 0]) => Ok(self.send_request()),
            (State::Authentication, _) => Err(Socks5Error::Authentication),
            (State::Reply, [VERSION, 0, 0, kind]) => match *kind {
                IPV4 => Ok(self.expect(State::Bound(4 + PORT_SIZE), Vec::new(), 4 + PORT_SIZE)),
                IPV6 => Ok(self.expect(State::Bound(16 + PORT_SIZE), Vec::new(), 16 + PORT_SIZE)),
                DOMAIN_NAME => Ok(self.expect(State::NameLength, Vec::new(), 1)),
                _ => Err(Socks5Error::Malformed),
            },
            (State::Reply, [VERSION, 0, ..]) => Err(Socks5Error::Malformed),
            (State::Reply, [VERSION, code, ..]) => Err(Socks5Error::Refused(*code)),
            (State::Reply, _) => Err(Socks5Error::Request),
            (State::NameLength, [length]) => {
                let rest = usize::from(*length) + PORT_SIZE;
                Ok(self.expect(State::Bound(rest), Vec::new(), rest))
            }
            (State::Bound(length), bytes) if bytes.len() == length => Ok(Step::Connected),
            (State::NameLength | State::Bound(_), _) => Err(Socks5Error::Malformed),
        }
    }

    fn send_request(&mut self) -> Step {
        let request = std::mem::take(&mut self.request);
        self.expect(State::Reply, request, 4)
    }

    fn expect(&mut self, state: State, send: Vec<u8>, read: usize) -> Step {
        self.state = state;
        Step::Continue { send, read }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// Runs against a proxy that says these bytes; what was sent, and how it ended.
    fn run(credentials: Option<&Credentials>, mut replies: &[u8]) -> (Vec<u8>, Result<(), Socks5Error>) {
        let (mut connect, mut step) = Connect::new("x.onion", 8333, credentials).unwrap();
        let mut sent = Vec::new();
        loop {
            let Step::Continue { send, read } = step else { return (sent, Ok(())) };
            sent.extend(send);
            let (head, tail) = replies.split_at(read);
            replies = tail;
            match connect.advance(head) {
                Ok(next) => step = next,
                Err(error) => return (sent, Err(error)),
            }
        }
    }

    fn credentials() -> Credentials {
        Credentials { user: "u".into(), password: "pw".into() }
    }

    #[test]
    fn destination_goes_as_a_name() {
        let (sent, end) = run(None, &[5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80]);
        assert_eq!((sent, end), (b"\x05\x01\x00\x05\x01\x00\x03\x07x.onion\x20\x8d".to_vec(), Ok(())));
    }

    #[test]
    fn credentials_are_sent_when_the_proxy_wants_them() {
        let (sent, end) = run(Some(&credentials()), &[5, 2, 1, 0, 5, 0, 0, 3, 1, b'a', 0, 80]);
        assert!(sent.starts_with(b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01"));
        assert_eq!(end, Ok(()));
        assert_eq!(
            run(Some(&credentials()), &[5, 0, 5, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 1]).1,
            Ok(())
        );
    }

    #[test]
    fn each_refusal_has_its_error() {
        for (replies, error) in [
            (&[4u8, 0][..], Socks5Error::Version),
            (&[5, 2], Socks5Error::Method(2)),
            (&[5, 0, 4, 0, 0, 1], Socks5Error::Request),
            (&[5, 0, 5, 5, 0, 1], Socks5Error::Refused(5)),
            (&[5, 0, 5, 0, 1, 1], Socks5Error::Malformed),
            (&[5, 0, 5, 0, 0, 9], Socks5Error::Malformed),
        ] {
            assert_eq!(run(None, replies).1, Err(error));
        }
        assert_eq!(run(Some(&credentials()), &[5, 2, 1, 1]).1, Err(Socks5Error::Authentication));
        assert_eq!(Socks5Error::Refused(0xf0).to_string(), "onion service descriptor can not be found");
        assert_eq!(Socks5Error::Refused(0x99).to_string(), "unknown (0x99)");
        assert_eq!(Connect::new(&"x".repeat(256), 1, None).unwrap_err(), Socks5Error::LongName);
    }
}
