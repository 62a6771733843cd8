//! What `bitcoin-wallet` is told at birth.

crate::config! {
    /// Configuration of `bitcoin-wallet`. Fee rates in satoshis per 1000 vbytes, amounts in satoshis.
    pub struct WalletConfig {
        /// Network: "main", "test", "testnet4", "signet" or "regtest".
        pub network: String,
        /// `-signetchallenge`, hex; empty: the default signet.
        pub signetchallenge: String,
        /// Where wallets are (for messages; this process opens nothing).
        pub walletdir: String,
        /// Wallets to load at start, from `-wallet` and settings.json.
        pub wallet: Vec<String>,
        /// Another wallet process was lost before: the wallets are those that it had.
        pub again: bool,
        /// `-addresstype`; empty: default.
        pub addresstype: String,
        /// `-changetype`; empty: default.
        pub changetype: String,
        /// `-avoidpartialspends`.
        pub avoidpartialspends: bool,
        /// `-consolidatefeerate`.
        pub consolidatefeerate: i64,
        /// `-discardfee`.
        pub discardfee: i64,
        /// `-fallbackfee`; 0: off.
        pub fallbackfee: i64,
        /// `-keypool`.
        pub keypool: i64,
        /// `-maxapsfee`, satoshis; -1: off.
        pub maxapsfee: i64,
        /// `-maxtxfee`, satoshis.
        pub maxtxfee: i64,
        /// `-mintxfee`.
        pub mintxfee: i64,
        /// `-minrelaytxfee`.
        pub minrelaytxfee: i64,
        /// `-incrementalrelayfee`.
        pub incrementalrelayfee: i64,
        /// `-dustrelayfee`.
        pub dustrelayfee: i64,
        /// `-spendzeroconfchange`.
        pub spendzeroconfchange: bool,
        /// `-txconfirmtarget`, blocks.
        pub txconfirmtarget: i64,
        /// `-walletbroadcast`.
        pub walletbroadcast: bool,
        /// `-walletrbf`.
        pub walletrbf: bool,
        /// `-walletrejectlongchains`.
        pub walletrejectlongchains: bool,
        /// `-walletcrosschain`.
        pub walletcrosschain: bool,
        /// `-limitancestorcount`.
        pub limitancestorcount: i64,
        /// `-limitdescendantcount`.
        pub limitdescendantcount: i64,
        /// `-limitclustercount`.
        pub limitclustercount: i64,
        /// `-limitclustersize`, vbytes.
        pub limitclustersize: i64,
        /// `-walletrbf` was given.
        pub walletrbf_given: bool,
        /// A command is set for `-walletnotify`.
        pub walletnotify: bool,
        /// A command is set for `-signer`.
        pub signer: bool,
        /// `-rpcdoccheck`.
        pub rpcdoccheck: bool,
        /// `-deprecatedrpc` entries.
        pub deprecatedrpc: Vec<String>,
        /// `-prune` is on.
        pub prune: bool,
        /// `-blockfilterindex` holds "basic".
        pub blockfilterindex: bool,
        /// `-test` entries.
        pub test: Vec<String>,
        /// Command of the offline tool ("info", ...); empty: the wallet process of a node. `wallet` holds one name then.
        pub tool: String,
    }
}
