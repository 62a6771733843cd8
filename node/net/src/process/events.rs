//! What chain tells net (interface `NetEvents`), and the care for the connection to chain.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::net_chain_capnp::{self as wire, net_chain, net_events};

use super::{Node, chain, chain_answers as read};
use crate::engine::PrivateOutcome;

/// How often chain is asked for figures that it does not announce.
const REFRESH: Duration = Duration::from_millis(500);
/// Ids of transactions that left the mempool, in one message.
const MAX_REMOVED: usize = 1000;
/// Blocks of one announcement.
const MAX_ANNOUNCED: u32 = 288;

/// Serves `NetEvents`.
pub struct Events(pub Rc<Node>);

impl net_events::Server for Events {
    async fn updated_tip(
        self: Rc<Self>,
        params: net_events::UpdatedTipParams,
        _: net_events::UpdatedTipResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let tip = read::tip(params.get_tip()?)?;
        let hashes = read::hashes(params.get_headers()?, MAX_ANNOUNCED)?;
        self.0.with(|engine| engine.updated_tip(tip, hashes));
        Ok(())
    }

    async fn transactions_accepted(
        self: Rc<Self>,
        params: net_events::TransactionsAcceptedParams,
        _: net_events::TransactionsAcceptedResults,
    ) -> Result<(), capnp::Error> {
        let accepted = read::accepted(params.get()?.get_accepted()?)?;
        self.0.with(|engine| engine.transactions_accepted(&accepted));
        Ok(())
    }

    async fn transactions_removed(
        self: Rc<Self>,
        params: net_events::TransactionsRemovedParams,
        _: net_events::TransactionsRemovedResults,
    ) -> Result<(), capnp::Error> {
        let wtxids = read::flat_hashes(params.get()?.get_wtxids()?, MAX_REMOVED)?;
        self.0.with(|engine| engine.transactions_removed(&wtxids));
        Ok(())
    }

    async fn new_block(
        self: Rc<Self>,
        params: net_events::NewBlockParams,
        _: net_events::NewBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let tip = read::tip(params.get_tip()?)?;
        let block = read::bounded(params.get_block()?, MAX_BLOCK_BYTES)?.to_vec();
        self.0.with(|engine| engine.new_block(tip, block));
        Ok(())
    }

    async fn block_checked(
        self: Rc<Self>,
        params: net_events::BlockCheckedParams,
        _: net_events::BlockCheckedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let hash = read::hash(params.get_hash()?)?;
        let verdict = read::verdict(params.get_verdict()?)?;
        self.0.with(|engine| engine.block_refused(hash, &verdict));
        Ok(())
    }

    async fn broadcast_privately(
        self: Rc<Self>,
        params: net_events::BroadcastPrivatelyParams,
        mut results: net_events::BroadcastPrivatelyResults,
    ) -> Result<(), capnp::Error> {
        let bytes = read::bounded(params.get()?.get_transaction()?, MAX_BLOCK_BYTES)?.to_vec();
        let outcome = self.0.with(|engine| engine.broadcast_privately(bytes));
        results.get().set_outcome(match outcome.map_err(bulkhead_link::failed)? {
            PrivateOutcome::Queued => wire::PrivateOutcome::Queued,
            PrivateOutcome::Full => wire::PrivateOutcome::Full,
            PrivateOutcome::Unreachable => wire::PrivateOutcome::Unreachable,
        });
        Ok(())
    }

    async fn headers_tip(
        self: Rc<Self>,
        params: net_events::HeadersTipParams,
        _: net_events::HeadersTipResults,
    ) -> Result<(), capnp::Error> {
        let tip = read::tip(params.get()?.get_tip()?)?;
        self.0.with(|engine| engine.headers_tip(tip));
        Ok(())
    }

    async fn state_changed(
        self: Rc<Self>,
        _: net_events::StateChangedParams,
        _: net_events::StateChangedResults,
    ) -> Result<(), capnp::Error> {
        let client = self.0.chain.get().map_err(bulkhead_link::failed)?;
        self.0.refresh(&client).await
    }
}

impl Node {
    /// A stream to chain came from the supervisor: at start, and again when chain was restarted.
    ///
    /// # Errors
    /// The descriptor is no stream.
    pub fn wire_chain(self: &Rc<Self>, descriptor: OwnedFd) -> Result<(), bulkhead_link::LinkError> {
        let connection = bulkhead_link::connect::<net_chain::Client>(descriptor, "net-chain", None)?;
        let mut closed = connection.closed.clone();
        let client = connection.client.clone();
        self.chain.set(connection);
        let node = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::select! {
                result = node.clone().follow_chain(client) => {
                    if let Err(error) = result {
                        tracing::error!(target: "net", "chain does not keep to its interface: {error}");
                    }
                }
                () = closed.wait() => {}
            }
            node.with(crate::engine::Engine::chain_gone);
        });
        Ok(())
    }

    async fn refresh(self: &Rc<Self>, client: &net_chain::Client) -> Result<(), capnp::Error> {
        let question = self.state_questions.next();
        let (view, _) = chain::state(client).await?;
        if self.state_questions.is_news(question) {
            self.with(|engine| engine.chain_state(view));
        }
        Ok(())
    }

    async fn follow_chain(self: Rc<Self>, client: net_chain::Client) -> Result<(), capnp::Error> {
        let mut request = client.subscribe_request();
        request.get().set_events(capnp_rpc::new_client(Events(Rc::clone(&self))));
        let response = request.send().promise.await?;
        // The state that follows says the same and more.
        read::tip(response.get()?.get_tip()?)?;
        loop {
            self.refresh(&client).await?;
            tokio::time::sleep(REFRESH).await;
        }
    }
}

/// Numbers questions about the same thing whose answers may overtake each other.
#[derive(Debug, Default)]
pub struct Questions {
    asked: Cell<u64>,
    answered: Cell<u64>,
}

impl Questions {
    fn next(&self) -> u64 {
        self.asked.set(self.asked.get() + 1);
        self.asked.get()
    }

    /// Whether the answer to this question is newer than every one before: what was asked later may have been answered already.
    fn is_news(&self, question: u64) -> bool {
        let is_news = question > self.answered.get();
        if is_news {
            self.answered.set(question);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::Questions;

    #[test]
    fn an_answer_that_was_overtaken_is_no_news() {
        let questions = Questions::default();
        let (poll, changed, next) = (questions.next(), questions.next(), questions.next());
        assert!(questions.is_news(changed));
        assert!(!questions.is_news(poll));
        assert!(questions.is_news(next));
    }
}
