//! Core's `Mining` interface, which the front door hands to clients of its sockets.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use bulkhead_consensus::RejectKind;
use bulkhead_rpc_util::codec::decode_block;
use bulkhead_schema::decode;
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::mining_capnp::mining;

use super::Node;
use super::convert::{hash, malformed};
use crate::engine::TipInfo;

/// A wait is cut into pieces of this length, so that the end of the program is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

struct Mining(Rc<Node>);

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> mining::Client {
    capnp_rpc::new_client(Mining(node))
}

impl mining::Server for Mining {
    async fn is_test_chain(
        self: Rc<Self>,
        _: mining::IsTestChainParams,
        mut results: mining::IsTestChainResults,
    ) -> Result<(), capnp::Error> {
        let is_test = self.0.blocking(|context| context.chain.params().is_test_chain()).await?;
        results.get().set_result(is_test);
        Ok(())
    }

    async fn is_initial_block_download(
        self: Rc<Self>,
        _: mining::IsInitialBlockDownloadParams,
        mut results: mining::IsInitialBlockDownloadResults,
    ) -> Result<(), capnp::Error> {
        let tip = self.0.blocking(|context| context.chain.tip()).await?;
        results.get().set_result(tip.initial_download);
        Ok(())
    }

    async fn get_tip(self: Rc<Self>, _: mining::GetTipParams, mut results: mining::GetTipResults) -> Result<(), capnp::Error> {
        let tip = self.0.blocking(|context| context.chain.tip()).await?;
        if tip.height >= 0 {
            results.get().set_has_result(true);
            let mut block = results.get().init_result();
            block.set_hash(tip.hash.as_byte_array());
            block.set_height(tip.height);
        }
        Ok(())
    }

    async fn wait_tip_changed(
        self: Rc<Self>,
        params: mining::WaitTipChangedParams,
        mut results: mining::WaitTipChangedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let data = params.get_current_tip()?;
        let current = if data.is_empty() { BlockHash::all_zeros() } else { hash(data)? };
        let deadline = deadline(params.get_timeout());
        let changed = move |tip: &TipInfo| tip.height >= 0 && tip.hash != current;
        let tip = self.0.blocking(move |context| context.chain.wait_for_tip(deadline, changed)).await?;
        let mut block = results.get().init_result();
        block.set_hash(tip.hash.as_byte_array());
        block.set_height(tip.height);
        Ok(())
    }

    async fn submit_block(
        self: Rc<Self>,
        params: mining::SubmitBlockParams,
        mut results: mining::SubmitBlockResults,
    ) -> Result<(), capnp::Error> {
        let bytes = decode::data("block", params.get()?.get_block()?, MAX_BLOCK_BYTES).map_err(malformed)?;
        let block = decode_block(bytes).ok_or_else(|| bulkhead_link::failed("block cannot be decoded"))?;
        let outcome = self.0.in_order(move |context| context.chain.process_new_block(block, true, true)).await?;
        let mut results = results.get();
        match outcome {
            Ok(accepted) if !accepted.is_new => results.set_reason("duplicate"),
            Ok(accepted) => match accepted.checked {
                None => results.set_reason("inconclusive"),
                Some(Ok(())) => results.set_result(true),
                Some(Err(reject)) => {
                    results.set_reason(&reject.reason);
                    results.set_debug(&reject.debug);
                }
            },
            Err(reject) if reject.kind == RejectKind::System => results.set_reason("error"),
            Err(reject) => {
                results.set_reason(&reject.reason);
                results.set_debug(&reject.debug);
            }
        }
        Ok(())
    }

    async fn interrupt(self: Rc<Self>, _: mining::InterruptParams, _: mining::InterruptResults) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// A time-out in milliseconds as a point in time.
fn deadline(milliseconds: f64) -> Option<Instant> {
    let longest = LONGEST_WAIT.as_millis() as f64;
    let bounded = if milliseconds.is_nan() { 0.0 } else { milliseconds.clamp(0.0, longest) };
    Instant::now().checked_add(Duration::from_millis(bounded as u64))
}
