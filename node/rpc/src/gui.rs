//! The edge to the window: figures of the node, read only.

use std::rc::Rc;

use bulkhead_control::Request;
use bulkhead_link::failed;
use bulkhead_schema::methods::Owner;
use bulkhead_schema::wire::gui_node_capnp::gui_rpc;
use serde_json::Value;

use crate::door::Door;
use crate::jsonrpc::CallError;
use crate::local::ask;

/// Serves the window.
pub struct Gui(pub Rc<Door>);

impl Gui {
    /// The result of a method without parameters.
    async fn result(&self, owner: Owner, method: &str) -> Result<Value, CallError> {
        let text = self.0.owners.execute(owner, method, &[], "/", "").await?;
        // Owners' answers are checked to be JSON before they get here.
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// 32 bytes out of hex; hashes are shown in reversed byte order. Nothing when it is no such text.
fn bytes32(value: &Value, is_hash: bool) -> Vec<u8> {
    let mut bytes = value.as_str().and_then(|text| hex::decode(text).ok()).filter(|bytes| bytes.len() == 32).unwrap_or_default();
    if is_hash {
        bytes.reverse();
    }
    bytes
}

impl gui_rpc::Server for Gui {
    async fn overview(
        self: Rc<Self>,
        _: gui_rpc::OverviewParams,
        mut results: gui_rpc::OverviewResults,
    ) -> Result<(), capnp::Error> {
        self.0.warmup.check().map_err(|error| failed(error.message))?;
        let chain = self.result(Owner::Chain, "getblockchaininfo").await.map_err(failed)?;
        // Net may be away for a moment; the rest of the window is still worth showing.
        let peers = self.result(Owner::Net, "getconnectioncount").await.unwrap_or_default();
        let sandbox = ask(&self.0, Request::SandboxInfo).await.map_err(failed)?.text;
        let mut results = results.get();
        results.set_peers(peers.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0));
        results.set_sandbox(&sandbox);
        let mut tip = results.init_tip();
        tip.set_hash(&bytes32(&chain["bestblockhash"], true));
        tip.set_height(chain["blocks"].as_i64().and_then(|height| i32::try_from(height).ok()).unwrap_or(-1));
        tip.set_time(chain["time"].as_i64().unwrap_or(0));
        tip.set_median_time(chain["mediantime"].as_i64().unwrap_or(0));
        tip.set_chain_work(&bytes32(&chain["chainwork"], false));
        tip.set_initial_block_download(chain["initialblockdownload"].as_bool().unwrap_or(true));
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: gui_rpc::PingParams, _: gui_rpc::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_turned_into_internal_order() {
        let text = Value::from(format!("ff{}", "00".repeat(31)));
        assert_eq!(bytes32(&text, true).last(), Some(&0xff));
        assert_eq!(bytes32(&text, false).first(), Some(&0xff));
        assert!(bytes32(&Value::from("ff"), true).is_empty() && bytes32(&Value::Null, true).is_empty());
    }
}
