//! The place where a process keeps the capability of another one, which may be restarted at any time.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::watch;

use crate::{Connection, LinkError};

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
            if changes.changed().await.is_err() {
                // We hold a sender ourselves, so this cannot happen; never resolving is the safe answer.
                std::future::pending::<()>().await;
            }
        }
    }
}
