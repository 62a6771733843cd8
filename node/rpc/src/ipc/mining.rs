//! Core's `Mining` interface: each call goes on to chain, in the order of its thread.

use std::rc::Rc;

use bulkhead_schema::wire::mining_capnp::mining;

use super::template::BlockTemplate;
use super::threads::Threads;

/// What chain answered, as it goes to the client: the prefix that the RPC system puts before the text of the other
/// side's exceptions is put there again on the way out.
pub fn relayed(mut error: capnp::Error) -> capnp::Error {
    if let Some(text) = error.extra.strip_prefix("remote exception: ") {
        error.extra = text.to_owned();
    }
    error
}

/// `Mining` for one connection.
pub struct Mining {
    /// Chain's.
    pub inner: mining::Client,
    /// The threads of the connection.
    pub threads: Rc<Threads>,
}

impl mining::Server for Mining {
    async fn is_test_chain(
        self: Rc<Self>,
        params: mining::IsTestChainParams,
        mut results: mining::IsTestChainResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.is_test_chain_request();
        let answer = self
            .threads
            .run("Mining.isTestChain", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        results.get().set_result(answer.get_result());
        Ok(())
    }

    async fn is_initial_block_download(
        self: Rc<Self>,
        params: mining::IsInitialBlockDownloadParams,
        mut results: mining::IsInitialBlockDownloadResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.is_initial_block_download_request();
        let answer = self
            .threads
            .run(
                "Mining.isInitialBlockDownload",
                params.get_context()?,
                async move { call.send().promise.await.map_err(relayed) },
            )
            .await?;
        let answer = answer.get()?;
        results.get().set_result(answer.get_result());
        Ok(())
    }

    async fn get_tip(
        self: Rc<Self>,
        params: mining::GetTipParams,
        mut results: mining::GetTipResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_tip_request();
        let answer = self
            .threads
            .run("Mining.getTip", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        results.get().set_has_result(answer.get_has_result());
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn wait_tip_changed(
        self: Rc<Self>,
        params: mining::WaitTipChangedParams,
        mut results: mining::WaitTipChangedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.wait_tip_changed_request();
        call.get().set_current_tip(params.get_current_tip()?);
        call.get().set_timeout(params.get_timeout());
        let answer = self
            .threads
            .run("Mining.waitTipChanged", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn create_new_block(
        self: Rc<Self>,
        params: mining::CreateNewBlockParams,
        mut results: mining::CreateNewBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.create_new_block_request();
        call.get().set_options(params.get_options()?)?;
        call.get().set_cooldown(params.get_cooldown());
        let answer = self
            .threads
            .run("Mining.createNewBlock", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            let inner = answer.get_result()?;
            results.get().set_result(capnp_rpc::new_client(BlockTemplate { inner, threads: Rc::clone(&self.threads) }));
        }
        Ok(())
    }

    async fn check_block(
        self: Rc<Self>,
        params: mining::CheckBlockParams,
        mut results: mining::CheckBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.check_block_request();
        call.get().set_block(params.get_block()?);
        call.get().set_options(params.get_options()?)?;
        let answer = self
            .threads
            .run("Mining.checkBlock", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_reason() {
            results.get().set_reason(answer.get_reason()?);
        }
        if answer.has_debug() {
            results.get().set_debug(answer.get_debug()?);
        }
        results.get().set_result(answer.get_result());
        Ok(())
    }

    async fn interrupt(self: Rc<Self>, _: mining::InterruptParams, _: mining::InterruptResults) -> Result<(), capnp::Error> {
        let call = self.inner.interrupt_request();
        let _ = call.send().promise.await.map_err(relayed)?;
        Ok(())
    }

    async fn submit_block(
        self: Rc<Self>,
        params: mining::SubmitBlockParams,
        mut results: mining::SubmitBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.submit_block_request();
        call.get().set_block(params.get_block()?);
        let answer = self
            .threads
            .run("Mining.submitBlock", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_reason() {
            results.get().set_reason(answer.get_reason()?);
        }
        if answer.has_debug() {
            results.get().set_debug(answer.get_debug()?);
        }
        results.get().set_result(answer.get_result());
        Ok(())
    }

    async fn get_transactions_by_tx_i_d(
        self: Rc<Self>,
        params: mining::GetTransactionsByTxIDParams,
        mut results: mining::GetTransactionsByTxIDResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.get_transactions_by_tx_i_d_request();
        call.get().set_txids(params.get_txids()?)?;
        let answer = self
            .threads
            .run("Mining.getTransactionsByTxID", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn get_transactions_by_witness_i_d(
        self: Rc<Self>,
        params: mining::GetTransactionsByWitnessIDParams,
        mut results: mining::GetTransactionsByWitnessIDResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.get_transactions_by_witness_i_d_request();
        call.get().set_wtxids(params.get_wtxids()?)?;
        let answer =
            self.threads
                .run("Mining.getTransactionsByWitnessID", params.get_context()?, async move {
                    call.send().promise.await.map_err(relayed)
                })
                .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }
}
