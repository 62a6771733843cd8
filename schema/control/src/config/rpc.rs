//! What `bitcoin-rpc` is told at birth.

crate::config! {
    /// Configuration of `bitcoin-rpc`. Listening sockets come as descriptors: "http/0", ... for HTTP, "ipc/0", ...
    /// for `-ipcbind`, "zmq/0", ... for ZMQ publishers.
    pub struct RpcConfig {
        /// Network: "main", "test", "testnet4", "signet" or "regtest".
        pub network: String,
        /// `-server`: HTTP is served.
        pub server: bool,
        /// `-rest`.
        pub rest: bool,
        /// Users: "name:salt$hmac" as in `-rpcauth`. The cookie user and `-rpcuser` are here too, hashed.
        pub rpcauth: Vec<String>,
        /// `-rpcallowip` entries as given; loopback is always allowed.
        pub rpcallowip: Vec<String>,
        /// `-rpcwhitelist` entries as given.
        pub rpcwhitelist: Vec<String>,
        /// `-rpcwhitelistdefault` after soft-setting.
        pub rpcwhitelistdefault: bool,
        /// `-rpcthreads`.
        pub rpcthreads: i64,
        /// `-rpcworkqueue`.
        pub rpcworkqueue: i64,
        /// `-rpcservertimeout`, seconds.
        pub rpcservertimeout: i64,
        /// `-rpcdoccheck`.
        pub rpcdoccheck: bool,
        /// `-deprecatedrpc` entries.
        pub deprecatedrpc: Vec<String>,
        /// Address of each "http/N" descriptor, "127.0.0.1:18443".
        pub http_addresses: Vec<String>,
        /// Path of each "ipc/N" descriptor, for the log.
        pub ipc_addresses: Vec<String>,
        /// One entry per ZMQ notifier: "<topic> <address> <high water mark> <descriptor name>"; topics pubhashblock,
        /// pubhashtx, pubrawblock, pubrawtx, pubsequence. Notifiers of one address share a descriptor.
        pub zmq: Vec<String>,
        /// The path shown by getrpcinfo.
        pub logpath: String,
        /// Time of start, seconds since 1970 (for uptime).
        pub start_time: i64,
        /// A wallet process exists.
        pub wallet: bool,
        /// `-test` entries.
        pub test: Vec<String>,
    }
}
