//! Core's `Mining` interface: each call goes on to chain.

use std::rc::Rc;

use bulkhead_schema::wire::mining_capnp::mining;

use super::relay::{forward, passes_on, relayed};
use super::template::BlockTemplate;
use super::threads::Threads;

/// `Mining` for one connection.
pub struct Mining {
    /// Chain's.
    pub inner: mining::Client,
    /// The threads of the connection.
    pub threads: Rc<Threads>,
}

impl mining::Server for Mining {
    passes_on!(
        mining::is_test_chain,
        is_test_chain_request,
        IsTestChainParams,
        IsTestChainResults,
        "Mining.isTestChain",
        |params, call| {}
    );
    passes_on!(
        mining::is_initial_block_download,
        is_initial_block_download_request,
        IsInitialBlockDownloadParams,
        IsInitialBlockDownloadResults,
        "Mining.isInitialBlockDownload",
        |params, call| {}
    );
    passes_on!(mining::get_tip, get_tip_request, GetTipParams, GetTipResults, "Mining.getTip", |params, call| {});
    passes_on!(
        mining::wait_tip_changed,
        wait_tip_changed_request,
        WaitTipChangedParams,
        WaitTipChangedResults,
        "Mining.waitTipChanged",
        |params, call| {
            call.get().set_current_tip(params.get_current_tip()?);
            call.get().set_timeout(params.get_timeout());
        }
    );
    passes_on!(
        mining::check_block,
        check_block_request,
        CheckBlockParams,
        CheckBlockResults,
        "Mining.checkBlock",
        |params, call| {
            call.get().set_block(params.get_block()?);
            call.get().set_options(params.get_options()?)?;
        }
    );
    passes_on!(
        mining::submit_block,
        submit_block_request,
        SubmitBlockParams,
        SubmitBlockResults,
        "Mining.submitBlock",
        |params, call| {
            call.get().set_block(params.get_block()?);
        }
    );
    passes_on!(
        mining::get_transactions_by_tx_i_d,
        get_transactions_by_tx_i_d_request,
        GetTransactionsByTxIDParams,
        GetTransactionsByTxIDResults,
        "Mining.getTransactionsByTxID",
        |params, call| {
            call.get().set_txids(params.get_txids()?)?;
        }
    );
    passes_on!(
        mining::get_transactions_by_witness_i_d,
        get_transactions_by_witness_i_d_request,
        GetTransactionsByWitnessIDParams,
        GetTransactionsByWitnessIDResults,
        "Mining.getTransactionsByWitnessID",
        |params, call| {
            call.get().set_wtxids(params.get_wtxids()?)?;
        }
    );

    async fn create_new_block(
        self: Rc<Self>,
        params: mining::CreateNewBlockParams,
        mut results: mining::CreateNewBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let share = self.threads.template()?;
        let mut call = self.inner.create_new_block_request();
        call.get().set_options(params.get_options()?)?;
        call.get().set_cooldown(params.get_cooldown());
        let answer = forward(&self.threads, "Mining.createNewBlock", params.get_context()?, call).await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(BlockTemplate::client(answer.get_result()?, Rc::clone(&self.threads), share));
        }
        Ok(())
    }

    async fn interrupt(self: Rc<Self>, _: mining::InterruptParams, _: mining::InterruptResults) -> Result<(), capnp::Error> {
        // Not on a thread: those may be waiting for what this ends.
        self.inner.interrupt_request().send().promise.await.map_err(relayed)?;
        Ok(())
    }
}
