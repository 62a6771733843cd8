//! What `bitcoin-chain` is told at birth.

crate::config! {
    /// Configuration of `bitcoin-chain`. Amounts in satoshis per 1000 vbytes unless stated otherwise.
    pub struct ChainConfig {
        /// Network: "main", "test", "testnet4", "signet" or "regtest".
        pub network: String,
        /// Network data directory (`<datadir>/regtest`), absolute; exists.
        pub datadir: String,
        /// Directory of blk and rev files (`<blocksdir>/regtest/blocks`), absolute; exists.
        pub blocksdir: String,
        /// `-signetchallenge`, hex; empty: the default signet.
        pub signetchallenge: String,
        /// `-testactivationheight` entries, "segwit@432".
        pub testactivationheight: Vec<String>,
        /// `-vbparams` entries, "deployment:start:end[:height]".
        pub vbparams: Vec<String>,
        /// `-test` entries.
        pub test: Vec<String>,
        /// `-par` as given; 0: as many threads as cores.
        pub par: i64,
        /// `-prevoutfetchthreads`.
        pub prevoutfetchthreads: i64,
        /// `-dbcache`, bytes.
        pub dbcache_bytes: u64,
        /// `-dbbatchsize`, bytes.
        pub dbbatchsize: u64,
        /// `-dbcrashratio`; 0: never.
        pub dbcrashratio: i64,
        /// `-forcecompactdb`.
        pub forcecompactdb: bool,
        /// `-prune` in MiB: 0 off, 1 manual.
        pub prune: u64,
        /// `-fastprune`.
        pub fastprune: bool,
        /// `-blocksxor`.
        pub blocksxor: bool,
        /// `-txindex`.
        pub txindex: bool,
        /// `-txospenderindex`.
        pub txospenderindex: bool,
        /// `-coinstatsindex`.
        pub coinstatsindex: bool,
        /// `-blockfilterindex`, names of the enabled types ("basic").
        pub blockfilterindex: Vec<String>,
        /// `-peerblockfilters`.
        pub peerblockfilters: bool,
        /// `-blockreconstructionextratxn`: transactions outside the mempool that are kept for compact blocks.
        pub blockreconstructionextratxn: u64,
        /// `-reindex`.
        pub reindex: bool,
        /// `-reindex-chainstate`.
        pub reindex_chainstate: bool,
        /// `-loadblock` paths in order; the files themselves come as descriptors "loadblock/0", "loadblock/1", ...
        pub loadblock: Vec<String>,
        /// `-stopafterblockimport`.
        pub stopafterblockimport: bool,
        /// `-stopatheight`; 0: never.
        pub stopatheight: i64,
        /// `-checkblocks`.
        pub checkblocks: i64,
        /// `-checklevel`.
        pub checklevel: i64,
        /// `-checkblockindex`; -1: the network's default.
        pub checkblockindex: i64,
        /// `-checkmempool`; -1: the network's default.
        pub checkmempool: i64,
        /// `-assumevalid` hex; empty: the network's default; "0": verify all.
        pub assumevalid: String,
        /// `-minimumchainwork` hex; empty: the network's default.
        pub minimumchainwork: String,
        /// `-maxtipage`, seconds.
        pub maxtipage: i64,
        /// `-maxsigcachesize`, bytes.
        pub maxsigcache_bytes: u64,
        /// `-scriptengine`: "kernel", "rust" or "both".
        pub scriptengine: String,
        /// `-maxmempool`, bytes.
        pub maxmempool_bytes: u64,
        /// `-mempoolexpiry`, seconds.
        pub mempoolexpiry: i64,
        /// `-persistmempool`.
        pub persistmempool: bool,
        /// `-persistmempoolv1`.
        pub persistmempoolv1: bool,
        /// `-minrelaytxfee`.
        pub minrelaytxfee: i64,
        /// `-incrementalrelayfee`.
        pub incrementalrelayfee: i64,
        /// `-dustrelayfee`.
        pub dustrelayfee: i64,
        /// `-acceptnonstdtxn`.
        pub acceptnonstdtxn: bool,
        /// `-permitbaremultisig`.
        pub permitbaremultisig: bool,
        /// `-datacarriersize` in bytes; 0 with `-datacarrier=0`.
        pub datacarriersize: u64,
        /// `-bytespersigop`.
        pub bytespersigop: i64,
        /// `-limitancestorcount`.
        pub limitancestorcount: i64,
        /// `-limitdescendantcount`.
        pub limitdescendantcount: i64,
        /// `-limitclustercount`.
        pub limitclustercount: i64,
        /// `-limitclustersize`, virtual bytes.
        pub limitclustersize: i64,
        /// `-acceptstalefeeestimates`.
        pub acceptstalefeeestimates: bool,
        /// `-blocksonly`: no fee estimation, no relay.
        pub blocksonly: bool,
        /// `-blockmaxweight`; -1: not given.
        pub blockmaxweight: i64,
        /// `-blockreservedweight`; -1: not given.
        pub blockreservedweight: i64,
        /// `-blockmintxfee`.
        pub blockmintxfee: i64,
        /// `-blockversion`; -1: not given.
        pub blockversion: i64,
        /// `-printpriority`.
        pub printpriority: bool,
        /// `-privatebroadcast`.
        pub privatebroadcast: bool,
        /// `-deprecatedrpc` entries.
        pub deprecatedrpc: Vec<String>,
        /// `-rpcdoccheck`.
        pub rpcdoccheck: bool,
        /// A command is set for `-blocknotify`.
        pub blocknotify: bool,
        /// A command is set for `-alertnotify`.
        pub alertnotify: bool,
        /// A wallet process exists.
        pub wallet: bool,
        /// `-logips`.
        pub logips: bool,
    }
}
