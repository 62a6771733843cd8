//! Options that imply others (Core's `InitParameterInteraction`).

use bulkhead_config::{ArgsManager, Severity};

pub(super) const DEFAULT_MAX_PEER_CONNECTIONS: i64 = 125;
const BLOCKSONLY_MAX_MEMPOOL_MB: &str = "5";

/// Sets what follows from what was given.
pub(crate) fn apply(args: &mut ArgsManager) {
    args.soft_set_bool("-server", true);
    let soft = |args: &mut ArgsManager, cause: &str, name: &str, value: &str| {
        if args.soft_set(name, value) {
            args.tell(Severity::Info, &format!("parameter interaction: {cause} -> setting {name}={value}"));
        }
    };
    // A given address is listened on, whatever else is given.
    if !args.get_all("-bind").is_empty() {
        soft(args, "-bind set", "-listen", "1");
    }
    if !args.get_all("-whitebind").is_empty() {
        soft(args, "-whitebind set", "-listen", "1");
    }
    let few_peers = !args.get_all("-connect").is_empty()
        || args.is_negated("-connect")
        || args.int_or("-maxconnections", DEFAULT_MAX_PEER_CONNECTIONS) <= 0;
    if few_peers {
        soft(args, "-connect or -maxconnections=0 set", "-dnsseed", "0");
        soft(args, "-connect or -maxconnections=0 set", "-listen", "0");
    }
    // Behind a proxy nothing may tell who we are.
    if !matches!(args.get_or("-proxy", "").as_str(), "" | "0") {
        for name in ["-listen", "-natpmp", "-discover"] {
            soft(args, "-proxy set", name, "0");
        }
    }
    if !args.bool_or("-listen", true) {
        for name in ["-natpmp", "-discover", "-listenonion", "-i2pacceptincoming"] {
            soft(args, "-listen=0", name, "0");
        }
    }
    if !args.get_all("-externalip").is_empty() {
        soft(args, "-externalip set", "-discover", "0");
    }
    if args.bool_or("-blocksonly", false) {
        soft(args, "-blocksonly=1", "-whitelistrelay", "0");
        soft(args, "-blocksonly=1", "-maxmempool", BLOCKSONLY_MAX_MEMPOOL_MB);
    }
    if args.bool_or("-whitelistforcerelay", false) {
        soft(args, "-whitelistforcerelay=1", "-whitelistrelay", "1");
    }
    let nets = args.get_all("-onlynet");
    if !nets.is_empty() && !nets.iter().any(|net| matches!(net.to_lowercase().as_str(), "ipv4" | "ipv6")) {
        soft(args, "-onlynet excludes IPv4 and IPv6", "-dnsseed", "0");
    }
}
