//! What `bitcoin-keystore` is told at birth.

crate::config! {
    /// Configuration of one `bitcoin-keystore`. The stream to the wallet comes with the first wire message, edge
    /// "wallet-keystore".
    pub struct KeystoreConfig {
        /// Network: "main", "test", "testnet4", "signet" or "regtest".
        pub network: String,
        /// Wallet name as the user wrote it.
        pub name: String,
        /// The only directory that this process may touch; absolute; exists. Empty with `one_shot`.
        pub directory: String,
        /// File inside the directory, "wallet.dat".
        pub file: String,
        /// The file must not exist yet.
        pub create: bool,
        /// No file: keys come with each call and are forgotten.
        pub one_shot: bool,
        /// `-unsafesqlitesync`.
        pub unsafesqlitesync: bool,
        /// `-walletcrosschain`.
        pub walletcrosschain: bool,
        /// `-keypool`.
        pub keypool: i64,
    }
}
