//! TCP ports for nodes under test: no two tests get the same one, and the kernel gives none of them to a connection.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};

/// Above the ports of Core's functional suite, below those that the kernel gives to outgoing connections.
const FIRST: u16 = 26_500;
const COUNT: u16 = 6_000;

/// Locks of this process's ports: held until it ends, so that a node can be started again on its port.
static HELD: Mutex<Vec<Flock<File>>> = Mutex::new(Vec::new());

/// Reserves a port of the loopback interface for the rest of this process's life.
///
/// # Errors
/// When the temporary directory cannot be used, or every port is taken.
pub fn reserve_port() -> io::Result<u16> {
    let folder = std::env::temp_dir().join("bulkhead-test-ports");
    std::fs::create_dir_all(&folder)?;
    let start = std::process::id() % u32::from(COUNT);
    let start = u16::try_from(start).expect("the remainder is below COUNT");
    for offset in 0..COUNT {
        let port = FIRST + (start + offset) % COUNT;
        let file = File::create(folder.join(port.to_string()))?;
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
        // Somebody who knows nothing of the locks may have it.
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            HELD.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_port_is_reserved_once() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| reserve_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
