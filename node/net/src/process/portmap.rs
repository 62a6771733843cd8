//! Has the router forward our listening port (`-natpmp`; Core: `mapport.cpp`, `common/pcp.cpp`).
//!
//! This process makes no UDP sockets: the supervisor hands over one for each address of ours towards a router, connected.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_wire::pcp::{self, Mapping, NONCE_SIZE, Refusal, Stray};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout_at};

use super::Node;
use super::connect::system_text;
use crate::engine::{Engine, LOCAL_MAPPED};

/// Asked for, seconds: twice the time after which it is asked for again.
const LIFETIME: u32 = 2 * 20 * 60;
/// Shorter makes no sense, seconds.
const SHORTEST_LIFETIME: u32 = 30;
/// After a failure of everything.
const RETRY_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Datagrams get lost.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);

type Nonce = [u8; NONCE_SIZE];

/// Why there is no mapping; the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Refused(Refusal),
    Network,
}

/// One way to a router.
#[derive(Debug)]
pub struct Gateway {
    socket: StdUdpSocket,
    local: SocketAddr,
    router: SocketAddr,
}

impl Gateway {
    /// A socket from the supervisor. Before confinement: afterwards nothing tells to whom it is connected.
    ///
    /// # Errors
    /// It is no connected UDP socket.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = StdUdpSocket::from(descriptor);
        socket.set_nonblocking(true)?;
        let (local, router) = (socket.local_addr()?, socket.peer_addr()?);
        Ok(Self { socket, local, router })
    }
}

/// Sends a request until an answer comes.
async fn exchange<T>(
    socket: &UdpSocket,
    protocol: &str,
    request: &[u8],
    read: impl Fn(&[u8]) -> Result<T, Stray>,
) -> Result<T, Failure> {
    let mut packet = [0; pcp::MAX_SIZE];
    for attempt in 0..TRIES {
        if attempt > 0 {
            tracing::debug!(target: "net", "{protocol}: Retrying ({attempt})");
        }
        if let Err(error) = socket.send(request).await {
            tracing::debug!(target: "net", "{protocol}: Could not send request: {}", system_text(&error));
            return Err(Failure::Network);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let length = match timeout_at(deadline, socket.recv(&mut packet)).await {
                Ok(Ok(length)) => length,
                Ok(Err(error)) => {
                    tracing::debug!(target: "net", "{protocol}: Could not receive response: {}", system_text(&error));
                    return Err(Failure::Network);
                }
                Err(_) => {
                    tracing::debug!(target: "net", "{protocol}: Timeout");
                    break;
                }
            };
            let received = &packet[..length];
            tracing::debug!(target: "net", "{protocol}: Received response of {length} bytes: {}", hex::encode(received));
            match read(received) {
                Ok(answer) => return Ok(answer),
                Err(stray) => tracing::warn!(target: "net", "{protocol}: {stray}"),
            }
        }
    }
    tracing::debug!(target: "net", "{protocol}: Giving up after {TRIES} tries");
    Err(Failure::Network)
}

async fn ask_pcp(socket: &UdpSocket, client: IpAddr, nonce: &Nonce, port: u16) -> Result<Mapping, Failure> {
    // From whatever address to our IPv4 address, but one hole for each of our IPv6 addresses.
    let wanted = if client.is_ipv4() { IpAddr::from([0; 4]) } else { client };
    let request = pcp::pcp_request(nonce, client, wanted, port, LIFETIME);
    let answer = exchange(socket, "pcp", &request, |packet| pcp::pcp_answer(packet, nonce, port)).await?;
    answer.map_err(Failure::Refused)
}

async fn ask_natpmp(socket: &UdpSocket, port: u16) -> Result<Mapping, Failure> {
    let address = exchange(socket, "natpmp", &pcp::natpmp_address_request(), pcp::natpmp_address).await?;
    let address = address.map_err(Failure::Refused)?;
    let read = |packet: &[u8]| pcp::natpmp_mapping(packet, address, port);
    exchange(socket, "natpmp", &pcp::natpmp_map_request(port, LIFETIME), read).await?.map_err(Failure::Refused)
}

/// Asks one router; which protocol it speaks.
async fn ask(socket: &UdpSocket, client: IpAddr, nonce: &Nonce, port: u16) -> (&'static str, Result<Mapping, Failure>) {
    match ask_pcp(socket, client, nonce, port).await {
        Err(Failure::Refused(Refusal::OldProtocol)) if client.is_ipv4() => {
            tracing::debug!(target: "net", "portmap: Got unsupported PCP version response, falling back to NAT-PMP");
            ("natpmp", ask_natpmp(socket, port).await)
        }
        answer => ("pcp", answer),
    }
}

impl Node {
    /// Keeps the port forwarded, for ever.
    pub async fn keep_port_mapped(self: Rc<Self>) {
        let gateways = self.gateways.take();
        if gateways.is_empty() {
            tracing::debug!(target: "net", "portmap: Could not determine a default gateway");
            return;
        }
        let opened = gateways.into_iter().map(|gateway| {
            tracing::debug!(target: "net", "portmap: gateway: {}", gateway.router.ip());
            Ok((UdpSocket::from_std(gateway.socket)?, gateway.local.ip()))
        });
        let sockets: Vec<(UdpSocket, IpAddr)> = match opened.collect::<io::Result<_>>() {
            Ok(sockets) => sockets,
            Err(error) => {
                tracing::warn!(target: "net", "portmap: cannot use a socket: {}", system_text(&error));
                return;
            }
        };
        let warned = Cell::new(false);
        loop {
            // One for all mappings, as long as they are renewed in time.
            let nonce: Nonce = thread_rng().r#gen();
            while let Some(lifetime) = self.map_port(&sockets, &nonce, &warned).await {
                // As RFC 6887 has it: from half to five eighths of the time.
                let millis = u64::from(lifetime) * 1000;
                sleep(Duration::from_millis(thread_rng().gen_range(millis / 2..=millis * 5 / 8))).await;
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// One round; the shortest lifetime of what was mapped, seconds.
    async fn map_port(self: &Rc<Self>, sockets: &[(UdpSocket, IpAddr)], nonce: &Nonce, warned: &Cell<bool>) -> Option<u32> {
        let port = self.look(|engine: &Engine| engine.config.listen_port);
        let (mut shortest, mut taken) = (None, false);
        for (socket, client) in sockets {
            match ask(socket, *client, nonce, port).await {
                (protocol, Ok(Mapping { external, lifetime })) => {
                    tracing::info!(
                        target: "net",
                        "portmap: Added mapping {protocol}:{external} -> {} (for {lifetime}s)", SocketAddr::new(*client, port)
                    );
                    // A router behind another one does not know how others see us.
                    let told = |engine: &Engine| engine.config.discover && engine.is_reachable(&external.addr);
                    if external.addr.is_routable() && self.look(told) {
                        self.with(|engine| engine.add_local(external, LOCAL_MAPPED));
                    }
                    shortest = Some(shortest.unwrap_or(LIFETIME).min(lifetime));
                }
                (protocol, Err(Failure::Refused(refusal))) => {
                    taken |= refusal.is_lack_of_resources();
                    // A router that does not do it says so again and again.
                    if refusal.is_not_authorized() && warned.replace(true) {
                        tracing::debug!(target: "net", "{protocol}: Mapping failed with result {refusal}");
                    } else {
                        tracing::warn!(target: "net", "{protocol}: Mapping failed with result {refusal}");
                    }
                }
                (_, Err(Failure::Network)) => {}
            }
        }
        if taken {
            tracing::warn!(
                target: "net",
                "portmap: At least one mapping failed because of a NO_RESOURCES error. This usually indicates that the port is \
                 already used on the router. If this is the only instance of bitcoin running on the network, this will resolve \
                 itself automatically. Otherwise, you might want to choose a different P2P port to prevent this conflict."
            );
        }
        if let Some(lifetime) = shortest.filter(|lifetime| *lifetime < SHORTEST_LIFETIME) {
            tracing::warn!(target: "net", "portmap: Got impossibly short mapping lifetime of {lifetime} seconds");
            return None;
        }
        shortest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use super::*;

    const NONCE: Nonce = [3; NONCE_SIZE];

    /// A router that answers each packet by `answer`, and a socket to it.
    async fn router(answer: impl Fn(&[u8]) -> Vec<u8> + 'static) -> UdpSocket {
        let router = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        ours.connect(router.local_addr().unwrap()).await.unwrap();
        tokio::task::spawn_local(async move {
            let mut packet = [0; 100];
            while let Ok((length, from)) = router.recv_from(&mut packet).await {
                router.send_to(&answer(&packet[..length]), from).await.unwrap();
            }
        });
        ours
    }

    async fn asked(answer: impl Fn(&[u8]) -> Vec<u8> + 'static) -> (&'static str, Result<Mapping, Failure>) {
        let ours = router(answer).await;
        ask(&ours, Ipv4Addr::LOCALHOST.into(), &NONCE, 8333).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn old_routers_are_asked_in_their_protocol() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let answer = |packet: &[u8]| match packet {
                    [2, ..] => vec![0, 0x81, 0, 1, 0, 0, 0, 0],
                    [0, 0] => vec![0, 0x80, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8],
                    _ => vec![0, 0x82, 0, 0, 0, 0, 0, 0, 0x20, 0x8d, 0, 9, 0, 0, 0, 99],
                };
                let (protocol, mapping) = asked(answer).await;
                assert_eq!((protocol, mapping.unwrap().external.to_string()), ("natpmp", "5.6.7.8:9".to_owned()));
            })
            .await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn answers_to_others_are_passed_over() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let count = Cell::new(0);
                let answer = move |packet: &[u8]| {
                    let mut answer = packet.to_vec();
                    answer[1] |= 0x80;
                    // The first one carries another nonce.
                    answer[24] ^= u8::from(count.replace(count.get() + 1) == 0);
                    answer
                };
                let (protocol, mapping) = asked(answer).await;
                assert_eq!((protocol, mapping.unwrap().lifetime), ("pcp", LIFETIME));
            })
            .await;
    }
}
