//! Core's `BlockTemplate` interface, as `mining`.

use std::rc::Rc;

use bulkhead_schema::wire::mining_capnp::block_template;

use super::mining::relayed;
use super::threads::Threads;

/// `BlockTemplate` for one connection.
pub struct BlockTemplate {
    /// Chain's.
    pub inner: block_template::Client,
    /// The threads of the connection.
    pub threads: Rc<Threads>,
}

impl block_template::Server for BlockTemplate {
    async fn destroy(
        self: Rc<Self>,
        params: block_template::DestroyParams,
        _: block_template::DestroyResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.destroy_request();
        let _ = self
            .threads
            .run("BlockTemplate.destroy", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        Ok(())
    }

    async fn get_block_header(
        self: Rc<Self>,
        params: block_template::GetBlockHeaderParams,
        mut results: block_template::GetBlockHeaderResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_block_header_request();
        let answer = self
            .threads
            .run("BlockTemplate.getBlockHeader", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?);
        }
        Ok(())
    }

    async fn get_block(
        self: Rc<Self>,
        params: block_template::GetBlockParams,
        mut results: block_template::GetBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_block_request();
        let answer = self
            .threads
            .run("BlockTemplate.getBlock", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?);
        }
        Ok(())
    }

    async fn get_tx_fees(
        self: Rc<Self>,
        params: block_template::GetTxFeesParams,
        mut results: block_template::GetTxFeesResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_tx_fees_request();
        let answer = self
            .threads
            .run("BlockTemplate.getTxFees", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn get_tx_sigops(
        self: Rc<Self>,
        params: block_template::GetTxSigopsParams,
        mut results: block_template::GetTxSigopsResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_tx_sigops_request();
        let answer = self
            .threads
            .run("BlockTemplate.getTxSigops", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn get_coinbase_tx(
        self: Rc<Self>,
        params: block_template::GetCoinbaseTxParams,
        mut results: block_template::GetCoinbaseTxResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_coinbase_tx_request();
        let answer = self
            .threads
            .run("BlockTemplate.getCoinbaseTx", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn get_coinbase_merkle_path(
        self: Rc<Self>,
        params: block_template::GetCoinbaseMerklePathParams,
        mut results: block_template::GetCoinbaseMerklePathResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.get_coinbase_merkle_path_request();
        let answer = self
            .threads
            .run("BlockTemplate.getCoinbaseMerklePath", params.get_context()?, async move {
                call.send().promise.await.map_err(relayed)
            })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(answer.get_result()?)?;
        }
        Ok(())
    }

    async fn submit_solution(
        self: Rc<Self>,
        params: block_template::SubmitSolutionParams,
        mut results: block_template::SubmitSolutionResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.submit_solution_request();
        call.get().set_version(params.get_version());
        call.get().set_timestamp(params.get_timestamp());
        call.get().set_nonce(params.get_nonce());
        call.get().set_coinbase(params.get_coinbase()?);
        let answer = self
            .threads
            .run("BlockTemplate.submitSolution", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        results.get().set_result(answer.get_result());
        Ok(())
    }

    async fn wait_next(
        self: Rc<Self>,
        params: block_template::WaitNextParams,
        mut results: block_template::WaitNextResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.wait_next_request();
        call.get().set_options(params.get_options()?)?;
        let answer = self
            .threads
            .run("BlockTemplate.waitNext", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
            .await?;
        let answer = answer.get()?;
        if answer.has_result() {
            let inner = answer.get_result()?;
            results.get().set_result(capnp_rpc::new_client(BlockTemplate { inner, threads: Rc::clone(&self.threads) }));
        }
        Ok(())
    }

    async fn interrupt_wait(
        self: Rc<Self>,
        _: block_template::InterruptWaitParams,
        _: block_template::InterruptWaitResults,
    ) -> Result<(), capnp::Error> {
        let call = self.inner.interrupt_wait_request();
        let _ = call.send().promise.await.map_err(relayed)?;
        Ok(())
    }

    async fn submit_solution_reason(
        self: Rc<Self>,
        params: block_template::SubmitSolutionReasonParams,
        mut results: block_template::SubmitSolutionReasonResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut call = self.inner.submit_solution_reason_request();
        call.get().set_version(params.get_version());
        call.get().set_timestamp(params.get_timestamp());
        call.get().set_nonce(params.get_nonce());
        call.get().set_coinbase(params.get_coinbase()?);
        let answer = self
            .threads
            .run("BlockTemplate.submitSolution", params.get_context()?, async move { call.send().promise.await.map_err(relayed) })
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
}
