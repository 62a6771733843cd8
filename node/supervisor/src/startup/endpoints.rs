//! Addresses as options write them: host and port, numeric only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Core's `SplitHostPort`: "host", "host:port", "[v6]:port", "v6". `None`: the port is no good.
pub(crate) fn split_host_port(text: &str, default: u16) -> Option<(String, u16)> {
    let colon = text.rfind(':');
    let bracketed = colon.is_some_and(|colon| text.starts_with('[') && text.get(..colon).is_some_and(|h| h.ends_with(']')));
    let several = colon.is_some_and(|colon| text.get(..colon).is_some_and(|host| host.contains(':')));
    let (host, port) = match colon {
        Some(colon) if colon == 0 || bracketed || !several => {
            let port: u16 = text.get(colon + 1..)?.parse().ok()?;
            // A sign or a leading plus is no port; parse() above takes "+1".
            if port == 0 || text.as_bytes().get(colon + 1) == Some(&b'+') {
                return None;
            }
            (text.get(..colon)?, port)
        }
        _ => (text, default),
    };
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), port))
}

/// An address without a name look-up; "localhost" counts as numeric.
pub(crate) fn numeric(text: &str, default: u16) -> Option<SocketAddr> {
    let (host, port) = split_host_port(text, default)?;
    let ip = match host.as_str() {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other.parse().ok().or_else(|| scoped(other))?,
    };
    Some(SocketAddr::new(unmapped(ip), port))
}

/// "fe80::1%eth0": the scope is not kept.
fn scoped(host: &str) -> Option<IpAddr> {
    host.split_once('%').and_then(|(ip, _)| ip.parse::<Ipv6Addr>().ok()).map(IpAddr::V6)
}

fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_split_host_port_like_core() {
        let host = |text: &str| split_host_port(text, 7).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(host("a").as_deref(), Some("a 7"));
        assert_eq!(host("a:80").as_deref(), Some("a 80"));
        assert_eq!(host("[::1]:80").as_deref(), Some("::1 80"));
        assert_eq!(host("[::1]").as_deref(), Some("::1 7"));
        assert_eq!(host("::1").as_deref(), Some("::1 7"));
        for bad in ["a:0", "a:65536", "a:", "a:+1", "a:x", ":"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn test_numeric_refuses_names() {
        assert_eq!(numeric("example.com", 1), None);
        assert_eq!(numeric("[::1]:5", 1).map(|a| a.to_string()).as_deref(), Some("[::1]:5"));
        assert_eq!(numeric("::ffff:1.2.3.4", 1).map(|a| a.to_string()).as_deref(), Some("1.2.3.4:1"));
    }
}
