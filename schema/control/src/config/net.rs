//! What `bitcoin-net` is told at birth.

crate::config! {
    /// Configuration of `bitcoin-net`. Listening sockets come as descriptors: "p2p/0", "p2p/1", ... in the order
    /// of [`listeners`](NetConfig::listeners).
    pub struct NetConfig {
        /// Network: "main", "test", "testnet4", "signet" or "regtest".
        pub network: String,
        /// Network data directory with peers.dat, anchors.dat, banlist.json; absolute.
        pub datadir: String,
        /// `-signetchallenge`, hex; empty: the default signet.
        pub signetchallenge: String,
        /// `-signetseednode` entries.
        pub signetseednode: Vec<String>,
        /// One entry per listening descriptor: "<ip>:<port> <kind> <permissions>", kind is "clear", "onion" or
        /// "white", permissions as in `-whitebind` (empty: none).
        pub listeners: Vec<String>,
        /// `-listen` after soft-setting.
        pub listen: bool,
        /// A plain `-bind` was given.
        pub bind_given: bool,
        /// The port that peers are told: of `-bind`, `-whitebind`, `-port` or the network's.
        pub port: u32,
        /// Addresses of this machine's interfaces, if we listen at all of them.
        pub interfaces: Vec<String>,
        /// `-connect` peers.
        pub connect: Vec<String>,
        /// `-connect` was given (`-noconnect` and `-connect=0` included): no automatic connections.
        pub connect_given: bool,
        /// `-addnode` peers.
        pub addnode: Vec<String>,
        /// `-seednode` peers.
        pub seednode: Vec<String>,
        /// `-externalip` entries.
        pub externalip: Vec<String>,
        /// `-onlynet` names; empty: all.
        pub onlynet: Vec<String>,
        /// `-onlynet` was given.
        pub onlynet_given: bool,
        /// `-proxy` entries as given ("ip:port", "unix:path", with "=network").
        pub proxy: Vec<String>,
        /// `-onion` as given; empty: not given; "0": off.
        pub onion: String,
        /// `-proxyrandomize`.
        pub proxyrandomize: bool,
        /// `-i2psam`.
        pub i2psam: String,
        /// `-i2pacceptincoming`.
        pub i2pacceptincoming: bool,
        /// `-cjdnsreachable`.
        pub cjdnsreachable: bool,
        /// `-listenonion` after soft-setting.
        pub listenonion: bool,
        /// `-torcontrol`.
        pub torcontrol: String,
        /// `-torpassword`.
        pub torpassword: String,
        /// `-discover` after soft-setting.
        pub discover: bool,
        /// `-natpmp`.
        pub natpmp: bool,
        /// `-dns`.
        pub dns: bool,
        /// `-dnsseed` after soft-setting.
        pub dnsseed: bool,
        /// `-forcednsseed`.
        pub forcednsseed: bool,
        /// `-fixedseeds`.
        pub fixedseeds: bool,
        /// `-networkactive`.
        pub networkactive: bool,
        /// `-maxconnections`, as limited by descriptors.
        pub maxconnections: i64,
        /// `-maxreceivebuffer`, bytes.
        pub maxreceivebuffer: u64,
        /// `-maxsendbuffer`, bytes.
        pub maxsendbuffer: u64,
        /// `-maxuploadtarget`, bytes per day; 0: no limit.
        pub maxuploadtarget: u64,
        /// `-timeout`, milliseconds.
        pub timeout: i64,
        /// `-peertimeout`, seconds.
        pub peertimeout: i64,
        /// `-bantime`, seconds.
        pub bantime: i64,
        /// `-uacomment` entries, already checked.
        pub uacomment: Vec<String>,
        /// The whole user agent, "/Bulkhead:31.99.0(comment)/".
        pub subversion: String,
        /// `-v2transport`.
        pub v2transport: bool,
        /// `-peerbloomfilters`.
        pub peerbloomfilters: bool,
        /// `-peerblockfilters`.
        pub peerblockfilters: bool,
        /// `-txreconciliation`.
        pub txreconciliation: bool,
        /// `-blocksonly`.
        pub blocksonly: bool,
        /// `-privatebroadcast`.
        pub privatebroadcast: bool,
        /// `-prune` is on: offer NODE_NETWORK_LIMITED only.
        pub prune: bool,
        /// `-whitelist` entries as given.
        pub whitelist: Vec<String>,
        /// `-whitelistrelay`.
        pub whitelistrelay: bool,
        /// `-whitelistforcerelay`.
        pub whitelistforcerelay: bool,
        /// `-asmap` without a file: the map that is built in is used.
        pub asmap_embedded: bool,
        /// `-asmap` with a file: it comes as descriptor "asmap"; this is its path, for the log.
        pub asmap_path: String,
        /// `-checkaddrman`.
        pub checkaddrman: i64,
        /// `-test` entries.
        pub test: Vec<String>,
        /// `-capturemessages`.
        pub capturemessages: bool,
        /// `-logips`.
        pub logips: bool,
        /// `-maxtipage`, seconds.
        pub maxtipage: i64,
        /// `-deprecatedrpc` entries.
        pub deprecatedrpc: Vec<String>,
        /// `-minrelaytxfee`, satoshis per 1000 vbytes (for getnetworkinfo).
        pub minrelaytxfee: i64,
        /// `-incrementalrelayfee`, satoshis per 1000 vbytes (for getnetworkinfo).
        pub incrementalrelayfee: i64,
    }
}
