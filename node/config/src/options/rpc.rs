//! Options of the front door: HTTP, ZMQ, IPC sockets.

use super::Category::{Ipc, Rpc, Zmq};
use super::{Flags, Opt};

pub(super) const TABLE: &[Opt] = &[
    Opt::new("-rest", "", Rpc, "Serve public REST requests (default: 0)"),
    Opt::new("-rpcallowip", "=<ip>", Rpc, "Who may connect: an address, a network with mask (1.2.3.4/255.255.255.0) or prefix length (1.2.3.4/24); may be given several times"),
    Opt::new("-rpcauth", "=<userpw>", Rpc, "A user and the hash of the password, <USERNAME>:<SALT>$<HASH>; may be given several times").with(Flags::SENSITIVE),
    Opt::new("-rpcbind", "=<addr>[:port]", Rpc, "Address to listen on, counts only together with -rpcallowip. Keep it out of reach of strangers (default: 127.0.0.1 and ::1)").with(Flags::NETWORK_ONLY),
    Opt::new("-rpccookiefile", "=<loc>", Rpc, "Where the file with the password of this run goes, relative to the data directory of the chain (default: .cookie)"),
    Opt::new("-rpccookieperms", "=<readable-by>", Rpc, "Who may read that file: owner, group or all (default: owner)"),
    Opt::new("-rpcdoccheck", "", Rpc, "Compare answers with their documentation at run time (default: 0)").with(Flags::DEBUG_ONLY),
    Opt::new("-rpcpassword", "=<pw>", Rpc, "Password for RPC").with(Flags::SENSITIVE),
    Opt::new("-rpcport", "=<port>", Rpc, "Port for RPC (default: 8332, testnet3: 18332, testnet4: 48332, signet: 38332, regtest: 18443)").with(Flags::NETWORK_ONLY),
    Opt::new("-rpcservertimeout", "=<n>", Rpc, "Seconds after which a silent HTTP connection is closed (default: 30)").with(Flags::DEBUG_ONLY),
    Opt::new("-rpcthreads", "=<n>", Rpc, "How many calls are served at the same time (default: 16)"),
    Opt::new("-rpcuser", "=<user>", Rpc, "User name for RPC").with(Flags::SENSITIVE),
    Opt::new("-rpcwhitelist", "=<whitelist>", Rpc, "Methods that a user may call, <USERNAME>:<rpc 1>,<rpc 2>; several lists of one user allow what all of them allow"),
    Opt::new("-rpcwhitelistdefault", "", Rpc, "Whether users without a list may call nothing (default: 1 as soon as there is any -rpcwhitelist)"),
    Opt::new("-rpcworkqueue", "=<n>", Rpc, "How many calls may wait (default: 64)").with(Flags::DEBUG_ONLY),
    Opt::new("-server", "", Rpc, "Take commands over RPC"),
    Opt::new("-ipcbind", "=<address>", Ipc, "Listen on a unix socket: unix for <datadir>/node.sock, unix:<path> for another path; may be given several times. Whoever reaches the socket has RPC access without a password"),
];

pub(super) const ZMQ: &[Opt] = &[
    Opt::new("-zmqpubhashblock", "=<address>", Zmq, "Publish hashes of blocks there"),
    Opt::new("-zmqpubhashblockhwm", "=<n>", Zmq, "How many of these messages may wait (default: 1000)"),
    Opt::new("-zmqpubhashtx", "=<address>", Zmq, "Publish hashes of transactions there"),
    Opt::new("-zmqpubhashtxhwm", "=<n>", Zmq, "How many of these messages may wait (default: 1000)"),
    Opt::new("-zmqpubrawblock", "=<address>", Zmq, "Publish blocks there"),
    Opt::new("-zmqpubrawblockhwm", "=<n>", Zmq, "How many of these messages may wait (default: 1000)"),
    Opt::new("-zmqpubrawtx", "=<address>", Zmq, "Publish transactions there"),
    Opt::new("-zmqpubrawtxhwm", "=<n>", Zmq, "How many of these messages may wait (default: 1000)"),
    Opt::new("-zmqpubsequence", "=<address>", Zmq, "Publish the sequence of block and mempool events there"),
    Opt::new("-zmqpubsequencehwm", "=<n>", Zmq, "How many of these messages may wait (default: 1000)"),
];
