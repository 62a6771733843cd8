//! Names to addresses, without the resolver of libc: that one loads plugins, opens files and sends to services of
//! the system, none of which a confined net may do.
//!
//! A stub resolver: `/etc/hosts` and the servers of `/etc/resolv.conf`, read before confinement, asked over TCP. TCP
//! costs a round trip more than UDP, but takes no further kind of socket and can't be answered by a third party.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Port of name servers.
const PORT: u16 = 53;
/// Servers that are asked, one after the other (as libc).
const MAX_SERVERS: usize = 3;
/// A server may take this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where names are looked up.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    hosts: Vec<(IpAddr, String)>,
}

impl Resolver {
    /// Reads the two files of the system. Before confinement.
    #[must_use]
    pub fn load() -> Self {
        let text = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self::new(&text("/etc/resolv.conf"), &text("/etc/hosts"))
    }

    /// Takes what the two files say.
    #[must_use]
    pub fn new(resolv_conf: &str, hosts: &str) -> Self {
        let servers = resolv_conf
            .lines()
            .filter_map(|line| line.trim().strip_prefix("nameserver"))
            .filter_map(|address| address.trim().parse::<IpAddr>().ok())
            .map(|address| SocketAddr::new(address, PORT))
            .take(MAX_SERVERS)
            .collect();
        let hosts = hosts.lines().filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse::<IpAddr>().ok()?;
            Some(words.map(move |name| (address, name.to_ascii_lowercase())).collect::<Vec<_>>())
        });
        Self { servers, hosts: hosts.flatten().collect() }
    }

    /// Addresses of a name, at most `most`; none when nobody knows it.
    pub async fn lookup(&self, name: &str, most: usize) -> Vec<IpAddr> {
        let mut found = self.known(name);
        if found.is_empty() {
            for server in &self.servers {
                let (v4, v6) = tokio::join!(ask(*server, name, TYPE::A), ask(*server, name, TYPE::AAAA));
                let answered = v4.is_some() || v6.is_some();
                found = v4.into_iter().chain(v6).flatten().collect();
                if answered {
                    break;
                }
            }
        }
        found.truncate(most);
        found
    }

    /// Names that need no server.
    #[must_use]
    pub fn known(&self, name: &str) -> Vec<IpAddr> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let found: Vec<IpAddr> = self.hosts.iter().filter(|(_, host)| *host == name).map(|(address, _)| *address).collect();
        if found.is_empty() && name == "localhost" {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        found
    }
}

/// The addresses that one server has; `None`: it does not answer.
async fn ask(server: SocketAddr, name: &str, kind: TYPE) -> Option<Vec<IpAddr>> {
    let id = thread_rng().r#gen();
    let query = query(id, name, kind)?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.ok()?;
        stream.write_all(&query).await.ok()?;
        let mut answer = vec![0; usize::from(stream.read_u16().await.ok()?)];
        stream.read_exact(&mut answer).await.ok()?;
        addresses(id, &answer)
    };
    timeout(PATIENCE, exchange).await.ok().flatten()
}

/// A question with its length in front, as TCP has it.
fn query(id: u16, name: &str, kind: TYPE) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name).ok()?, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    let bytes = packet.build_bytes_vec().ok()?;
    Some([&u16::try_from(bytes.len()).ok()?.to_be_bytes()[..], &bytes].concat())
}

/// What is asked for an IPv4 address, as it goes out; `None`: this is no name.
#[must_use]
pub fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    query(id, name, TYPE::A)
}

/// What an answer of a name server says; `None`: it is no answer to the question `id`. The server followed aliases for us.
#[must_use]
pub fn addresses(id: u16, answer: &[u8]) -> Option<Vec<IpAddr>> {
    let packet = Packet::parse(answer).ok()?;
    if packet.id() != id {
        return None;
    }
    let found = packet.answers.iter().filter_map(|record| match &record.rdata {
        RData::A(v4) => Some(Ipv4Addr::from(v4.address).into()),
        RData::AAAA(v6) => Some(Ipv6Addr::from(v6.address).into()),
        _ => None,
    });
    Some(found.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::A;

    fn answer(id: u16) -> Vec<u8> {
        let mut packet = Packet::new_reply(id);
        let name = Name::new("seed.example").unwrap();
        let address = RData::A(A { address: u32::from(Ipv4Addr::new(1, 2, 3, 4)) });
        packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, address));
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn answers_to_other_questions_are_refused() {
        assert_eq!(addresses(7, &answer(7)), Some(vec![Ipv4Addr::new(1, 2, 3, 4).into()]));
        assert_eq!(addresses(8, &answer(7)), None);
        assert_eq!(addresses(7, &answer(7)[..10]), None);
    }

    #[test]
    fn files_of_the_system_are_read() {
        let resolver =
            Resolver::new("# x\nnameserver 10.0.0.1\nnameserver ::1\noptions x", "1.2.3.4 here HERE.example # there\nbad");
        assert_eq!(resolver.servers, ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!(resolver.known("here.Example."), [IpAddr::from([1, 2, 3, 4])]);
        assert_eq!(resolver.known("localhost").len(), 2);
        assert!(resolver.known("there").is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn silent_server_is_passed_over() {
        let resolver = Resolver { servers: vec!["127.0.0.1:1".parse().unwrap()], hosts: Vec::new() };
        assert!(resolver.lookup("seed.example", 5).await.is_empty());
    }
}
