//! Connections for private broadcast, one after the other while some are wanted (Core: `CConnman::ThreadPrivateBroadcast`).

use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_wire::{Network, services};
use tokio::time::sleep;

use super::Node;
use super::dial::Target;
use crate::engine::kind::ConnectionKind;
use crate::engine::{Engine, PrivateChoice};

/// Without a network there is nothing to do but wait.
const NO_NETWORK_PAUSE: Duration = Duration::from_secs(5);
/// The address manager gave nothing useful.
const NO_ADDRESS_PAUSE: Duration = Duration::from_millis(500);
/// Attempts may fail at once, again and again.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// Until the next look at transactions that did not come back: two to three minutes, so that nobody can tell us by it.
#[must_use]
pub fn retry_delay() -> Duration {
    Duration::from_millis(thread_rng().gen_range(120_000..180_000))
}

impl Node {
    /// Opens connections as long as they are wanted, for ever.
    pub(super) async fn open_private(self: Rc<Self>) {
        loop {
            if !self.look(Engine::is_network_active) {
                sleep(NO_NETWORK_PAUSE).await;
                continue;
            }
            let onion_proxy = self.proxies.borrow().leads_to(Network::Onion).is_some();
            match self.with(|engine| engine.choose_private(onion_proxy)) {
                PrivateChoice::Nothing => self.private_wanted.notified().await,
                PrivateChoice::NoNetwork => {
                    tracing::warn!(
                        target: "net",
                        "Unable to open -privatebroadcast connections: neither Tor nor I2P is reachable"
                    );
                    sleep(NO_NETWORK_PAUSE).await;
                }
                PrivateChoice::NoAddress => {
                    tracing::debug!(
                        target: "privatebroadcast",
                        "Connections needed but addrman keeps returning bad addresses, will retry"
                    );
                    sleep(NO_ADDRESS_PAUSE).await;
                }
                PrivateChoice::Peer { address, over_onion } => {
                    let target = Target {
                        endpoint: Some(address.endpoint),
                        destination: "",
                        kind: ConnectionKind::PrivateBroadcast,
                        last_seen: address.time,
                        services: address.services,
                        count_failure: true,
                        v2: address.services & services::P2P_V2 != 0 && self.look(Engine::speaks_v2),
                        over_onion,
                    };
                    if !self.try_private(target).await {
                        sleep(FAILURE_PAUSE).await;
                    }
                }
            }
        }
    }

    async fn try_private(self: &Rc<Self>, target: Target<'_>) -> bool {
        let mut shown = target.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default();
        if target.over_onion
            && let Some(proxy) = self.proxies.borrow().leads_to(Network::Onion)
        {
            shown += &format!(" through the proxy at {proxy}");
        }
        let opened = self.open(target).await.is_some();
        let remaining = self.with(|engine| engine.private_attempted(opened));
        match (opened, remaining) {
            (true, _) => tracing::debug!(
                target: "privatebroadcast",
                "Socket connected to {shown}; remaining connections to open: {remaining}"
            ),
            (false, 0) => tracing::debug!(
                target: "privatebroadcast",
                "Failed to connect to {shown}, will not retry, no more connections needed"
            ),
            (false, _) => tracing::debug!(
                target: "privatebroadcast",
                "Failed to connect to {shown}, will retry to a different address; remaining connections to open: {remaining}"
            ),
        }
        opened
    }
}
