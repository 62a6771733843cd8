//! Compact blocks from the network.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bitcoin::bip152::HeaderAndShortIds;
use bitcoin::{Block, Transaction};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::{PreparedBlock, Reject, block};
use bulkhead_rpc_util::codec::decode_witness_tx;
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::net_chain_capnp::{CompactStatus, partial_block};

use super::convert::{fill_verdict, malformed, tip_of};
use super::{Node, net_queries as queries};
use crate::compact::{Failure, Partial};
use crate::engine::{Accepted, NodeId, State, TipInfo};
use crate::rpc::Context;

/// Blocks under construction that one connection may have.
const MAX_PARTIAL: usize = 64;
/// Blocks above the tip that are worth the work.
const MAX_AHEAD: i32 = 2;

/// What there is to say about a compact block.
#[derive(Default)]
pub struct Looked {
    /// Judgement of the header.
    pub verdict: Option<Reject>,
    /// Its place.
    pub last: Option<TipInfo>,
    /// It was unknown.
    pub is_new: bool,
    /// The block is on disk.
    pub have_data: bool,
    /// It was on disk once.
    pub had_data: bool,
    /// Blocks above the tip.
    pub distance: i32,
    /// Not more work than the tip.
    pub less_work: bool,
    /// What came of putting it together.
    pub partial: Option<Result<Partial, Failure>>,
}

/// Takes in the header, and begins to put the block together when that is wanted and makes sense.
pub fn look_at(context: &Context, compact: &HeaderAndShortIds, wanted: bool) -> Looked {
    let hash = compact.header.block_hash();
    let checked = queries::reaches_threshold(context, &context.state(), compact.header.prev_blockhash, &[compact.header]);
    let is_new = context.state().lookup(&hash).is_none();
    let verdict = context.chain.process_headers(&[compact.header], checked).err();
    let mut looked = Looked { verdict, is_new, ..Looked::default() };
    let state = context.state();
    let Some(id) = state.lookup(&hash) else { return looked };
    let node = state.node(id);
    looked.last = tip_of(&state, Some(node));
    looked.have_data = node.have_data();
    looked.had_data = node.n_tx != 0;
    looked.distance = node.height - state.height();
    looked.less_work = state.tip().is_some_and(|tip| node.chain_work <= tip.chain_work);
    let sensible = !looked.less_work && !looked.had_data && looked.distance <= MAX_AHEAD;
    if wanted && looked.verdict.is_none() && !looked.have_data && sensible {
        let extra = context.recent.extra();
        let pool = context.pool.lock();
        let transactions = pool.iter().map(|entry| (entry.wtxid, &entry.new.tx));
        looked.partial = Some(Partial::new(compact, transactions, &extra));
    }
    looked
}

/// Whether witnesses are to be committed to in the block after this one.
fn segwit_after(context: &Context, state: &State, parent: NodeId) -> bool {
    context.pool.params().is_active_at(Buried::Segwit, state.node(parent).height + 1)
}

/// Checks that a block was not changed on its way, as far as its parent is known.
///
/// # Errors
/// What gives it away.
pub fn check_not_mutated(context: &Context, prepared: &PreparedBlock) -> Result<(), Reject> {
    let segwit = {
        let state = context.state();
        let Some(parent) = state.lookup(&prepared.block().header.prev_blockhash) else { return Ok(()) };
        segwit_after(context, &state, parent)
    };
    block::check_not_mutated(prepared, segwit)
        .inspect_err(|reject| tracing::debug!(target: "validation", "Block mutated: {reject}"))
}

/// What came of a filled block.
pub enum Filled {
    /// It is not the block of its header.
    Failure(Failure),
    /// It was judged.
    Judged(Result<Accepted, Reject>),
}

fn fill(context: &Context, partial: Partial, fetched: Vec<Transaction>) -> Filled {
    let block: Block = match partial.fill(fetched) {
        Ok(block) => block,
        Err(failure) => return Filled::Failure(failure),
    };
    let prepared = Arc::new(PreparedBlock::new(block));
    if check_not_mutated(context, &prepared).is_err() {
        // Short ids that look alike, or a sender who changed the block.
        return Filled::Failure(Failure::Failed);
    }
    Filled::Judged(context.chain.process_prepared(prepared, true, true))
}

/// As the schema says it.
pub fn status_of(failure: Failure) -> CompactStatus {
    match failure {
        Failure::Invalid => CompactStatus::Invalid,
        Failure::Failed => CompactStatus::Failed,
    }
}

/// Blocks under construction of one connection.
#[derive(Clone, Default)]
pub struct PartialCount(Rc<Cell<usize>>);

/// A block under construction.
pub struct PartialServer {
    node: Rc<Node>,
    partial: RefCell<Option<Partial>>,
    count: PartialCount,
}

impl PartialServer {
    /// A capability over a block under construction.
    ///
    /// # Errors
    /// The connection has too many of them.
    pub fn client(node: &Rc<Node>, partial: Partial, count: &PartialCount) -> Result<partial_block::Client, capnp::Error> {
        if count.0.get() >= MAX_PARTIAL {
            return Err(bulkhead_link::failed("too many blocks under construction"));
        }
        count.0.set(count.0.get() + 1);
        let server = Self { node: Rc::clone(node), partial: RefCell::new(Some(partial)), count: count.clone() };
        Ok(capnp_rpc::new_client(server))
    }
}

impl Drop for PartialServer {
    fn drop(&mut self) {
        self.count.0.set(self.count.0.get().saturating_sub(1));
    }
}

impl partial_block::Server for PartialServer {
    async fn fill(
        self: Rc<Self>,
        params: partial_block::FillParams,
        mut results: partial_block::FillResults,
    ) -> Result<(), capnp::Error> {
        let Some(partial) = self.partial.borrow_mut().take() else {
            return Err(bulkhead_link::failed("the block was filled already"));
        };
        let list = params.get()?.get_transactions()?;
        let mut size = 0;
        let mut fetched = Vec::new();
        for data in list.iter() {
            let data = data?;
            size += data.len();
            bulkhead_schema::decode::data("transactions", data, MAX_BLOCK_BYTES.saturating_sub(size - data.len()))
                .map_err(malformed)?;
            fetched.push(decode_witness_tx(data).ok_or_else(|| bulkhead_link::failed("transaction cannot be decoded"))?);
        }
        let filled = self.node.in_order(move |context| fill(context, partial, fetched)).await?;
        let mut results = results.get();
        match filled {
            Filled::Failure(failure) => results.set_status(status_of(failure)),
            Filled::Judged(Ok(accepted)) => {
                results.set_status(CompactStatus::Ok);
                results.set_is_new(accepted.is_new);
                results.set_connected(accepted.checked.as_ref().is_some_and(Result::is_ok));
                let verdict = accepted.checked.unwrap_or(Ok(()));
                fill_verdict(results.init_verdict(), verdict.as_ref().copied());
            }
            Filled::Judged(Err(reject)) => {
                results.set_status(CompactStatus::Ok);
                fill_verdict(results.init_verdict(), Err(&reject));
            }
        }
        Ok(())
    }
}
