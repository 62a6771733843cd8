//! What this process serves: the wallet methods for the front door, and balances for the window.

use bulkhead_schema::wire::gui_node_capnp::gui_wallet;
use bulkhead_schema::wire::rpc_wallet_capnp::rpc_wallet;
use std::rc::Rc;

use crate::app::App;

/// Serves the front door.
pub struct Rpc {
    /// The process.
    pub app: Rc<App>,
}

impl rpc_wallet::Server for Rpc {
    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc_wallet::ExecuteRpcParams,
        mut results: rpc_wallet::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let (request, uri) = {
            let params = params.get()?;
            (params.get_request()?.to_string()?, params.get_uri()?.to_string()?)
        };
        let response = crate::rpc::execute(&self.app, &request, &uri).await;
        results.get().set_response(&response);
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: rpc_wallet::PingParams, _: rpc_wallet::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// Serves the window.
pub struct Gui {
    /// The process.
    pub app: Rc<App>,
}

impl gui_wallet::Server for Gui {
    async fn balances(
        self: Rc<Self>,
        _: gui_wallet::BalancesParams,
        mut results: gui_wallet::BalancesResults,
    ) -> Result<(), capnp::Error> {
        let all = self.app.all();
        let mut list = results.get().init_wallets(all.len() as u32);
        for (index, loaded) in all.iter().enumerate() {
            let balance = loaded.wallet.borrow().balance(0, true, false);
            let mut entry = list.reborrow().get(index as u32);
            entry.set_name(&loaded.name);
            entry.set_trusted(balance.trusted);
            entry.set_pending(balance.untrusted_pending);
            entry.set_immature(balance.immature);
        }
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: gui_wallet::PingParams, _: gui_wallet::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }
}
