//! What `bitcoin-gui` is told at birth.

crate::config! {
    /// Configuration of `bitcoin-gui`, which the node it spawned hands out.
    pub struct GuiConfig {
        /// "main", "test", "testnet4", "signet" or "regtest".
        pub network: String,
    }
}
