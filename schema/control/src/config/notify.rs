//! What `bitcoin-notify` is told at birth.

crate::config! {
    /// Configuration of `bitcoin-notify`: the command templates, which never change afterwards. Empty: not set.
    pub struct NotifyConfig {
        /// `-blocknotify`: %s is a block hash.
        pub blocknotify: String,
        /// `-walletnotify`: %s, %w, %b, %h.
        pub walletnotify: String,
        /// `-alertnotify`: %s is a message.
        pub alertnotify: String,
        /// `-startupnotify`.
        pub startupnotify: String,
        /// `-shutdownnotify`; there may be several.
        pub shutdownnotify: Vec<String>,
        /// `-signer`.
        pub signer: String,
    }
}
