//! Configuration of notify.

use crate::startup::arguments::Options;
use bulkhead_control::NotifyConfig;

/// Fills the struct from the options.
pub(crate) fn notify(options: &Options) -> NotifyConfig {
    let args = &options.args;
    NotifyConfig {
        blocknotify: args.get_or("-blocknotify", ""),
        walletnotify: args.get_or("-walletnotify", ""),
        alertnotify: args.get_or("-alertnotify", ""),
        startupnotify: args.get_or("-startupnotify", ""),
        shutdownnotify: args.get_all("-shutdownnotify").into_iter().filter(|command| !command.is_empty()).collect(),
        signer: args.get_or("-signer", ""),
    }
}

/// Whether any command is set, so that commands will be run.
pub(crate) fn any_command(config: &NotifyConfig) -> bool {
    let NotifyConfig { blocknotify, walletnotify, alertnotify, startupnotify, shutdownnotify, signer } = config;
    [blocknotify, walletnotify, alertnotify, startupnotify, signer].iter().any(|command| !command.is_empty())
        || !shutdownnotify.is_empty()
}
