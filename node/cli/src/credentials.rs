//! User and password: options, or the cookie file.

use bulkhead_config::{ArgsManager, Files, RealFiles, join};

use crate::options::chain_directory;

/// Where the credentials come from; decides the text after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// -rpcuser and -rpcpassword.
    Options,
    /// The cookie file.
    Cookie,
    /// The cookie file could not be read.
    NoCookie,
    /// -norpccookiefile.
    CookieDisabled,
}

impl Source {
    /// What to say when the server refuses them.
    #[must_use]
    pub fn refusal(self) -> &'static str {
        match self {
            Self::Options => "Incorrect rpcuser or rpcpassword were specified.",
            Self::Cookie => "Cookie file credentials were invalid and no rpcpassword was specified.",
            Self::NoCookie => "Failed to read cookie file and no rpcpassword was specified.",
            Self::CookieDisabled => "Cookie file was disabled via -norpccookiefile and no rpcpassword was specified.",
        }
    }
}

/// `user:password` and its source.
#[must_use]
pub fn credentials(args: &ArgsManager) -> (String, Source) {
    let password = args.get_or("-rpcpassword", "");
    if !password.is_empty() {
        return (format!("{}:{password}", args.get_or("-rpcuser", "")), Source::Options);
    }
    let path = args.path_arg("-rpccookiefile", ".cookie");
    if path.as_os_str().is_empty() {
        return (String::new(), Source::CookieDisabled);
    }
    match RealFiles.read(&join(&chain_directory(args), &path)) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            (text.lines().next().unwrap_or_default().to_owned(), Source::Cookie)
        }
        Err(_) => (String::new(), Source::NoCookie),
    }
}
