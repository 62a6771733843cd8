//! The place where a process keeps the capability of another one, which may be restarted at any time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use crate::{Connection, LinkError};

/// How long who has lost a peer waits for word from the supervisor: a new connection, or that all ends.
const GRACE: Duration = Duration::from_secs(5);

/// A slot for the bootstrap capability of a peer. Cheap to clone; all clones see the same slot.
pub struct Peer<C> {
    name: &'static str,
    current: Rc<RefCell<Option<(C, crate::Closed)>>>,
    generation: watch::Sender<u64>,
}

impl<C> Clone for Peer<C> {
    fn clone(&self) -> Self {
        Self { name: self.name, current: Rc::clone(&self.current), generation: self.generation.clone() }
    }
}

impl<C: Clone + 'static> Peer<C> {
    /// An empty slot for the component `name`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, current: Rc::new(RefCell::new(None)), generation: watch::Sender::new(0) }
    }

    /// Puts a new connection into the slot.
    pub fn set(&self, connection: Connection<C>) {
        *self.current.borrow_mut() = Some((connection.client, connection.closed));
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// The capability, if its connection stands.
    ///
    /// # Errors
    /// [`LinkError::PeerGone`] when there is no connection or it has ended.
    pub fn get(&self) -> Result<C, LinkError> {
        match &*self.current.borrow() {
            Some((client, closed)) if !closed.is_closed() => Ok(client.clone()),
            _ => Err(LinkError::PeerGone(self.name)),
        }
    }

    /// The end of the current connection.
    ///
    /// # Errors
    /// [`LinkError::PeerGone`] when there is no connection.
    pub fn closed(&self) -> Result<crate::Closed, LinkError> {
        self.current.borrow().as_ref().map(|(_, closed)| closed.clone()).ok_or(LinkError::PeerGone(self.name))
    }

    /// Waits until the slot has a capability whose connection stands, and answers it.
    pub async fn wait(&self) -> C {
        let mut changes = self.generation.subscribe();
        loop {
            if let Ok(client) = self.get() {
                return client;
            }
            next(&mut changes).await;
        }
    }

    /// Waits until the slot has had a connection that ended, and no new one for 5 seconds: the peer has hung up on us and lives. A
    /// new stream comes from the supervisor only, to whoever starts.
    pub async fn hung_up(&self) {
        self.away_for(GRACE).await;
    }

    async fn away_for(&self, grace: Duration) {
        let mut changes = self.generation.subscribe();
        loop {
            if let Ok(mut closed) = self.closed() {
                changes.mark_unchanged();
                closed.wait().await;
                if tokio::time::timeout(grace, next(&mut changes)).await.is_err() {
                    return;
                }
            } else {
                next(&mut changes).await;
            }
        }
    }
}

/// Waits until a new connection is put into the slot.
async fn next(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        // Who waits holds a sender, so this cannot happen; never resolving is the safe answer.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::net::UnixStream;

    use bulkhead_schema::wire::gui_node_capnp::gui_rpc;

    use super::*;

    /// A connection whose other side does nothing, and that side.
    fn connection() -> (Connection<gui_rpc::Client>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (crate::connect(ours.into(), "gui-rpc", None).unwrap(), theirs)
    }

    #[test]
    fn a_peer_that_comes_back_has_not_hung_up_and_one_that_stays_away_has() {
        crate::run(async {
            let peer = Peer::new("other");
            let grace = Duration::from_millis(200);
            let mut away = std::pin::pin!(peer.away_for(grace));
            assert!(tokio::time::timeout(2 * grace, &mut away).await.is_err(), "there was never a connection");
            let (first, theirs) = connection();
            peer.set(first);
            drop(theirs);
            peer.closed().unwrap().wait().await;
            let (second, theirs) = connection();
            peer.set(second);
            assert!(tokio::time::timeout(3 * grace, &mut away).await.is_err(), "there is a connection");
            drop(theirs);
            tokio::time::timeout(100 * grace, away).await.unwrap();
        })
        .unwrap();
    }
}
