//! How many connections the descriptors of the machine allow (Core's `AppInitParameterInteraction`).

use super::interaction::DEFAULT_MAX_PEER_CONNECTIONS;
use crate::error::{NodeError, init};
use bulkhead_config::ArgsManager;
use bulkhead_sandbox::{descriptor_limit, policy, raise_descriptors};

/// Core keeps 150 for its databases and one for the capture of messages.
const RESERVED: i64 = 151;
const ADDNODE_CONNECTIONS: i64 = 8;

/// Automatic connections, and what they follow from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    /// What `-maxconnections` asks for.
    pub wanted: i64,
    /// What it is cut to.
    pub allowed: i64,
    /// Descriptors of the process that holds the connections.
    pub descriptors: i64,
}

impl Connections {
    /// Raises the limit of descriptors as far as the machine permits and divides it.
    pub(crate) fn new(args: &ArgsManager) -> Result<Self, NodeError> {
        let limit = raise_descriptors()?;
        let of_net = policy("net").map_or(limit, |policy| descriptor_limit(policy, limit));
        Self::within(args, i64::from(i32::try_from(of_net).unwrap_or(i32::MAX)))
    }

    fn within(args: &ArgsManager, descriptors: i64) -> Result<Self, NodeError> {
        let wanted = args.int_or("-maxconnections", DEFAULT_MAX_PEER_CONNECTIONS);
        if wanted < 0 {
            return Err(init("-maxconnections must be greater or equal than zero"));
        }
        let binds = args.get_all("-bind").len() + args.get_all("-whitebind").len();
        let required = RESERVED + ADDNODE_CONNECTIONS + i64::try_from(binds.max(1)).unwrap_or(i64::MAX);
        if descriptors < required {
            return Err(init(format!("Not enough file descriptors available. {descriptors} available, {required} required.")));
        }
        Ok(Self { wanted, allowed: wanted.min(descriptors - required), descriptors })
    }

    /// What the user is told when the option was cut.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { wanted, allowed, .. } = self;
        (allowed < wanted).then(|| format!("Reducing -maxconnections from {wanted} to {allowed}, because of system limitations."))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn args(option: &str) -> ArgsManager {
        let mut args = ArgsManager::new(bulkhead_config::options::NODE);
        args.soft_set("-maxconnections", option);
        args
    }

    #[test]
    fn connections_fit_the_descriptors() {
        let connections = Connections::within(&args("125"), 1024).unwrap();
        assert_eq!(connections, Connections { wanted: 125, allowed: 125, descriptors: 1024 });
        assert_eq!(connections.warning(), None);
        let cut = Connections::within(&args("900"), 1024).unwrap();
        assert_eq!(cut.allowed, 864);
        let text = "Reducing -maxconnections from 900 to 864, because of system limitations.";
        assert_eq!(cut.warning().as_deref(), Some(text));
    }

    #[test]
    fn too_few_descriptors_end_the_start() {
        let error = Connections::within(&args("0"), 159).unwrap_err().to_string();
        assert!(error.contains("Not enough file descriptors available. 159 available, 160 required."), "{error}");
        let error = Connections::within(&args("-1"), 1024).unwrap_err().to_string();
        assert!(error.contains("-maxconnections must be greater or equal than zero"), "{error}");
    }
}
