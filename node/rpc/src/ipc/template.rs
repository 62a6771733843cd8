//! Core's `BlockTemplate` interface, as `mining`.

use std::cell::RefCell;
use std::rc::Rc;

use bulkhead_schema::wire::mining_capnp::block_template;

use super::relay::{forward, passes_on, relayed};
use super::threads::{TemplateShare, Threads};

/// `BlockTemplate` for one connection.
pub struct BlockTemplate {
    inner: block_template::Client,
    threads: Rc<Threads>,
    share: RefCell<Option<TemplateShare>>,
}

impl BlockTemplate {
    /// Chain's template for the client of a connection.
    pub fn client(inner: block_template::Client, threads: Rc<Threads>, share: TemplateShare) -> block_template::Client {
        capnp_rpc::new_client(Self { inner, threads, share: RefCell::new(Some(share)) })
    }
}

impl block_template::Server for BlockTemplate {
    passes_on!(
        block_template::get_block_header,
        get_block_header_request,
        GetBlockHeaderParams,
        GetBlockHeaderResults,
        "BlockTemplate.getBlockHeader",
        |params, call| {}
    );
    passes_on!(
        block_template::get_block,
        get_block_request,
        GetBlockParams,
        GetBlockResults,
        "BlockTemplate.getBlock",
        |params, call| {}
    );
    passes_on!(
        block_template::get_tx_fees,
        get_tx_fees_request,
        GetTxFeesParams,
        GetTxFeesResults,
        "BlockTemplate.getTxFees",
        |params, call| {}
    );
    passes_on!(
        block_template::get_tx_sigops,
        get_tx_sigops_request,
        GetTxSigopsParams,
        GetTxSigopsResults,
        "BlockTemplate.getTxSigops",
        |params, call| {}
    );
    passes_on!(
        block_template::get_coinbase_tx,
        get_coinbase_tx_request,
        GetCoinbaseTxParams,
        GetCoinbaseTxResults,
        "BlockTemplate.getCoinbaseTx",
        |params, call| {}
    );
    passes_on!(
        block_template::get_coinbase_merkle_path,
        get_coinbase_merkle_path_request,
        GetCoinbaseMerklePathParams,
        GetCoinbaseMerklePathResults,
        "BlockTemplate.getCoinbaseMerklePath",
        |params, call| {}
    );
    passes_on!(
        block_template::submit_solution,
        submit_solution_request,
        SubmitSolutionParams,
        SubmitSolutionResults,
        "BlockTemplate.submitSolution",
        |params, call| {
            call.get().set_version(params.get_version());
            call.get().set_timestamp(params.get_timestamp());
            call.get().set_nonce(params.get_nonce());
            call.get().set_coinbase(params.get_coinbase()?);
        }
    );
    passes_on!(
        block_template::submit_solution_reason,
        submit_solution_reason_request,
        SubmitSolutionReasonParams,
        SubmitSolutionReasonResults,
        "BlockTemplate.submitSolution",
        |params, call| {
            call.get().set_version(params.get_version());
            call.get().set_timestamp(params.get_timestamp());
            call.get().set_nonce(params.get_nonce());
            call.get().set_coinbase(params.get_coinbase()?);
        }
    );

    async fn destroy(
        self: Rc<Self>,
        params: block_template::DestroyParams,
        _: block_template::DestroyResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let call = self.inner.destroy_request();
        forward(&self.threads, "BlockTemplate.destroy", params.get_context()?, call).await?;
        self.share.take();
        Ok(())
    }

    async fn wait_next(
        self: Rc<Self>,
        params: block_template::WaitNextParams,
        mut results: block_template::WaitNextResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let share = self.threads.template()?;
        let mut call = self.inner.wait_next_request();
        call.get().set_options(params.get_options()?)?;
        let answer = forward(&self.threads, "BlockTemplate.waitNext", params.get_context()?, call).await?;
        let answer = answer.get()?;
        if answer.has_result() {
            results.get().set_result(Self::client(answer.get_result()?, Rc::clone(&self.threads), share));
        }
        Ok(())
    }

    async fn interrupt_wait(
        self: Rc<Self>,
        _: block_template::InterruptWaitParams,
        _: block_template::InterruptWaitResults,
    ) -> Result<(), capnp::Error> {
        // Not on a thread: those may be waiting for what this ends.
        self.inner.interrupt_wait_request().send().promise.await.map_err(relayed)?;
        Ok(())
    }
}
