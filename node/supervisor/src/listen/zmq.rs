//! `-zmqpub...`: publishers. Notifiers of one address share its socket.

use crate::startup::arguments::Options;
use crate::startup::endpoints::numeric;
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

const TOPICS: [&str; 5] = ["pubhashblock", "pubhashtx", "pubrawblock", "pubrawtx", "pubsequence"];
const DEFAULT_HIGH_WATER_MARK: i64 = 1000;

/// The sockets, and one line for each notifier.
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    /// Address and socket; the position is the number in "zmq/N".
    pub sockets: Vec<(String, OwnedFd)>,
    /// "<topic> <address> <high water mark> <descriptor name>".
    pub notifiers: Vec<String>,
}

/// Opens the sockets. As in Core, one that can't be opened is told in the log and left out.
pub(crate) fn open(options: &Options) -> Publishers {
    let mut publishers = Publishers::default();
    for topic in TOPICS {
        let mark = options.args.int_or(&format!("-zmq{topic}hwm"), DEFAULT_HIGH_WATER_MARK);
        for given in options.args.get_all(&format!("-zmq{topic}")) {
            // Core spells ZMQ's "ipc://" as "unix:".
            let address = given.strip_prefix("unix:").map_or_else(|| given.clone(), |path| format!("ipc://{path}"));
            match publishers.socket(&address, options.after_crash) {
                Ok(name) => publishers.notifiers.push(format!("{topic} {address} {mark} {name}")),
                Err(reason) => tracing::error!("zmq: Unable to bind to address {address}: {reason}"),
            }
        }
    }
    publishers
}

impl Publishers {
    fn socket(&mut self, address: &str, after_crash: bool) -> Result<String, String> {
        if let Some(position) = self.sockets.iter().position(|(have, _)| have == address) {
            return Ok(format!("zmq/{position}"));
        }
        let described = |error: Errno| error.desc().to_owned();
        let socket = if let Some(endpoint) = address.strip_prefix("tcp://") {
            let endpoint = endpoint.replace("*:", "0.0.0.0:");
            let endpoint = numeric(&endpoint, 0).filter(|endpoint| endpoint.port() != 0);
            super::tcp(endpoint.ok_or("not a numeric address with a port")?, after_crash).map_err(described)?
        } else if let Some(path) = address.strip_prefix("ipc://") {
            super::unix(Path::new(path)).map_err(described)?
        } else {
            return Err("unknown transport".into());
        };
        self.sockets.push((address.to_owned(), socket));
        Ok(format!("zmq/{}", self.sockets.len() - 1))
    }
}
