//! Asking a router to forward a TCP port: PCP (RFC 6887), and NAT-PMP (RFC 6886) for routers that know no better.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::Endpoint;

/// Longest packet.
pub const MAX_SIZE: usize = 1100;
/// Bytes that tie an answer to a request.
pub const NONCE_SIZE: usize = 12;

const PCP_VERSION: u8 = 2;
const NATPMP_VERSION: u8 = 0;
/// Set in the operation of an answer.
const RESPONSE: u8 = 0x80;
const PCP_MAP: u8 = 1;
const NATPMP_ADDRESS: u8 = 0;
const NATPMP_MAP_TCP: u8 = 2;
const TCP: u8 = 6;
const PCP_SIZE: usize = 60;
const UNSUPPORTED_VERSION: u8 = 1;

/// A packet that does not answer the question: another may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Stray {
    /// It is too short.
    #[error("Response too small")]
    Short,
    /// Another operation, or another version.
    #[error("Response to wrong command")]
    Command,
    /// Of another request.
    #[error("Mapping nonce mismatch")]
    Nonce,
    /// Of another port.
    #[error("Response protocol or port doesn't match request")]
    Port,
}

/// Why the router does not forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It speaks NAT-PMP only.
    OldProtocol,
    /// A PCP result code.
    Pcp(u8),
    /// A NAT-PMP result code.
    NatPmp(u16),
}

impl Refusal {
    /// The port is taken, most likely.
    #[must_use]
    pub fn is_lack_of_resources(self) -> bool {
        matches!(self, Self::Pcp(8) | Self::NatPmp(4))
    }

    /// The router does not do this for us, ever.
    #[must_use]
    pub fn is_not_authorized(self) -> bool {
        matches!(self, Self::Pcp(2) | Self::NatPmp(2))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const PCP: [&str; 14] = [
            "SUCCESS",
            "UNSUPP_VERSION",
            "NOT_AUTHORIZED",
            "MALFORMED_REQUEST",
            "UNSUPP_OPCODE",
            "UNSUPP_OPTION",
            "MALFORMED_OPTION",
            "NETWORK_FAILURE",
            "NO_RESOURCES",
            "UNSUPP_PROTOCOL",
            "USER_EX_QUOTA",
            "CANNOT_PROVIDE_EXTERNAL",
            "ADDRESS_MISMATCH",
            "EXCESSIVE_REMOTE_PEER",
        ];
        const NATPMP: [&str; 6] =
            ["SUCCESS", "UNSUPP_VERSION", "NOT_AUTHORIZED", "NETWORK_FAILURE", "NO_RESOURCES", "UNSUPP_OPCODE"];
        let (names, code): (&[&str], u16) = match self {
            Self::OldProtocol => (&PCP, u16::from(UNSUPPORTED_VERSION)),
            Self::Pcp(code) => (&PCP, u16::from(*code)),
            Self::NatPmp(code) => (&NATPMP, *code),
        };
        write!(f, "{} (code {code})", names.get(usize::from(code)).unwrap_or(&"(unknown)"))
    }
}

/// What the router forwards to us, and for how many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// As others see us.
    pub external: Endpoint,
    /// Seconds.
    pub lifetime: u32,
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn be16(packet: &[u8], at: usize) -> Result<u16, Stray> {
    packet.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_be_bytes(*bytes)).ok_or(Stray::Short)
}

fn be32(packet: &[u8], at: usize) -> Result<u32, Stray> {
    packet.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Stray::Short)
}

/// A PCP request to forward `port` to `client`; `wanted`: from this address, unspecified: from any.
#[must_use]
pub fn pcp_request(nonce: &[u8; NONCE_SIZE], client: IpAddr, wanted: IpAddr, port: u16, lifetime: u32) -> Vec<u8> {
    let port = port.to_be_bytes();
    let head = [&[PCP_VERSION, PCP_MAP, 0, 0][..], &lifetime.to_be_bytes(), &mapped(client)].concat();
    [&head[..], nonce, &[TCP, 0, 0, 0], &port, &port, &mapped(wanted)].concat()
}

/// The answer to [`pcp_request`].
///
/// # Errors
/// The packet is none.
pub fn pcp_answer(packet: &[u8], nonce: &[u8; NONCE_SIZE], port: u16) -> Result<Result<Mapping, Refusal>, Stray> {
    if let [NATPMP_VERSION, _, _, UNSUPPORTED_VERSION, _, _, _, _] = packet {
        return Ok(Err(Refusal::OldProtocol));
    }
    let [version, operation, _, result, ..] = packet else { return Err(Stray::Short) };
    if packet.len() < PCP_SIZE {
        return Err(Stray::Short);
    }
    if (*version, *operation) != (PCP_VERSION, RESPONSE | PCP_MAP) {
        return Err(Stray::Command);
    }
    if packet.get(24..36) != Some(nonce) {
        return Err(Stray::Nonce);
    }
    if packet.get(36) != Some(&TCP) || be16(packet, 40)? != port {
        return Err(Stray::Port);
    }
    if *result != 0 {
        return Ok(Err(Refusal::Pcp(*result)));
    }
    let external: [u8; 16] = packet.get(44..).and_then(<[u8]>::first_chunk).copied().ok_or(Stray::Short)?;
    let external = Ipv6Addr::from(external).to_canonical();
    Ok(Ok(Mapping { external: Endpoint::new(external.into(), be16(packet, 42)?), lifetime: be32(packet, 4)? }))
}

/// A NAT-PMP request for our address as others see it.
#[must_use]
pub fn natpmp_address_request() -> Vec<u8> {
    vec![NATPMP_VERSION, NATPMP_ADDRESS]
}

fn natpmp_result(packet: &[u8], operation: u8, size: usize) -> Result<Option<Refusal>, Stray> {
    if packet.len() < size {
        return Err(Stray::Short);
    }
    if packet.get(..2) != Some(&[NATPMP_VERSION, RESPONSE | operation]) {
        return Err(Stray::Command);
    }
    Ok(Some(be16(packet, 2)?).filter(|code| *code != 0).map(Refusal::NatPmp))
}

/// The answer to [`natpmp_address_request`].
///
/// # Errors
/// The packet is none.
pub fn natpmp_address(packet: &[u8]) -> Result<Result<Ipv4Addr, Refusal>, Stray> {
    if let Some(refusal) = natpmp_result(packet, NATPMP_ADDRESS, 12)? {
        return Ok(Err(refusal));
    }
    Ok(Ok(Ipv4Addr::from(be32(packet, 8)?)))
}

/// A NAT-PMP request to forward `port`.
#[must_use]
pub fn natpmp_map_request(port: u16, lifetime: u32) -> Vec<u8> {
    let port = port.to_be_bytes();
    [&[NATPMP_VERSION, NATPMP_MAP_TCP, 0, 0][..], &port, &port, &lifetime.to_be_bytes()].concat()
}

/// The answer to [`natpmp_map_request`]; `address`: what [`natpmp_address`] gave.
///
/// # Errors
/// The packet is none.
pub fn natpmp_mapping(packet: &[u8], address: Ipv4Addr, port: u16) -> Result<Result<Mapping, Refusal>, Stray> {
    let refusal = natpmp_result(packet, NATPMP_MAP_TCP, 16)?;
    if be16(packet, 8)? != port {
        return Err(Stray::Port);
    }
    if let Some(refusal) = refusal {
        return Ok(Err(refusal));
    }
    let external = Endpoint::new(IpAddr::V4(address).into(), be16(packet, 10)?);
    Ok(Ok(Mapping { external, lifetime: be32(packet, 12)? }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NONCE: [u8; NONCE_SIZE] = [9; NONCE_SIZE];
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 6));
    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    /// A router's answer to a request.
    fn answered(result: u8) -> Vec<u8> {
        let mut packet = pcp_request(&NONCE, HERE, ANY, 8333, 2400);
        packet[1] |= RESPONSE;
        packet[3] = result;
        packet[42..44].copy_from_slice(&1234u16.to_be_bytes());
        packet[56..60].copy_from_slice(&[5, 6, 7, 8]);
        packet
    }

    #[test]
    fn pcp_request_is_that_of_the_rfc() {
        let packet = pcp_request(&NONCE, HERE, ANY, 8333, 2400);
        assert_eq!(packet.len(), PCP_SIZE);
        assert_eq!(packet[..8], [2, 1, 0, 0, 0, 0, 9, 0x60]);
        assert_eq!(packet[18..24], [0xff, 0xff, 192, 168, 0, 6]);
        assert_eq!(packet[36..44], [6, 0, 0, 0, 0x20, 0x8d, 0x20, 0x8d]);
    }

    #[test]
    fn pcp_answers_are_told_from_strangers() {
        let mapping = Mapping { external: Endpoint::parse("5.6.7.8:1234", 0).unwrap(), lifetime: 2400 };
        assert_eq!(pcp_answer(&answered(0), &NONCE, 8333), Ok(Ok(mapping)));
        assert_eq!(pcp_answer(&answered(0), &[8; NONCE_SIZE], 8333), Err(Stray::Nonce));
        assert_eq!(pcp_answer(&answered(0), &NONCE, 8334), Err(Stray::Port));
        assert_eq!(pcp_answer(&answered(0)[..59], &NONCE, 8333), Err(Stray::Short));
        assert_eq!(pcp_answer(&[0, 0x81, 0, 1, 0, 0, 0, 0], &NONCE, 8333), Ok(Err(Refusal::OldProtocol)));
        assert_eq!(pcp_answer(&pcp_request(&NONCE, HERE, ANY, 8333, 1), &NONCE, 8333), Err(Stray::Command));
        let refused = pcp_answer(&answered(8), &NONCE, 8333).unwrap().unwrap_err();
        assert!(refused.is_lack_of_resources() && !refused.is_not_authorized());
        assert_eq!(refused.to_string(), "NO_RESOURCES (code 8)");
        assert_eq!(Refusal::Pcp(99).to_string(), "(unknown) (code 99)");
    }

    #[test]
    fn natpmp_asks_for_the_address_and_then_for_the_port() {
        assert_eq!(natpmp_address_request(), [0, 0]);
        let address = natpmp_address(&[0, 0x80, 0, 0, 0, 0, 0, 1, 5, 6, 7, 8]).unwrap().unwrap();
        assert_eq!(address, Ipv4Addr::new(5, 6, 7, 8));
        assert_eq!(natpmp_address(&[0, 0x80, 0, 3, 0, 0, 0, 1, 5, 6, 7, 8]), Ok(Err(Refusal::NatPmp(3))));
        assert_eq!(natpmp_map_request(8333, 2400), [0, 2, 0, 0, 0x20, 0x8d, 0x20, 0x8d, 0, 0, 9, 0x60]);
        let answer = [0, 0x82, 0, 0, 0, 0, 0, 1, 0x20, 0x8d, 0x04, 0xd2, 0, 0, 9, 0x60];
        let mapping = Mapping { external: Endpoint::parse("5.6.7.8:1234", 0).unwrap(), lifetime: 2400 };
        assert_eq!(natpmp_mapping(&answer, address, 8333), Ok(Ok(mapping)));
        assert_eq!(natpmp_mapping(&answer, address, 8334), Err(Stray::Port));
        assert_eq!(natpmp_mapping(&answer[..15], address, 8333), Err(Stray::Short));
        assert_eq!(natpmp_mapping(&[1; 16], address, 8333), Err(Stray::Command));
    }
}
