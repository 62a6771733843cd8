//! Configuration of wallet and of its key stores.

use super::path_text;
use crate::error::NodeError;
use crate::startup::amounts::{amount, relay_fees};
use crate::startup::arguments::Options;
use crate::startup::checks::filter_types;
use bulkhead_control::{KeystoreConfig, WalletConfig};
use std::path::Path;

const DEFAULT_KEYPOOL: i64 = 1000;

/// Fills the struct from the options.
pub(crate) fn wallet(options: &Options, walletdir: &Path) -> Result<WalletConfig, NodeError> {
    let args = &options.args;
    let flag = |name: &str, default: bool| args.bool_or(name, default);
    let set = |name: &str| !args.get_or(name, "").is_empty();
    let fees = relay_fees(args)?;
    let maxapsfee = if args.get("-maxapsfee").as_deref() == Some("-1") { -1 } else { amount(args, "-maxapsfee", 0)? };
    Ok(WalletConfig {
        network: options.chain.name().into(),
        signetchallenge: args.get_or("-signetchallenge", ""),
        walletdir: path_text(walletdir),
        wallet: args.get_all("-wallet"),
        addresstype: args.get_or("-addresstype", ""),
        changetype: args.get_or("-changetype", ""),
        avoidpartialspends: flag("-avoidpartialspends", false),
        consolidatefeerate: amount(args, "-consolidatefeerate", 10_000)?,
        discardfee: amount(args, "-discardfee", 10_000)?,
        fallbackfee: amount(args, "-fallbackfee", 0)?,
        keypool: args.int_or("-keypool", DEFAULT_KEYPOOL).max(1),
        maxapsfee,
        maxtxfee: amount(args, "-maxtxfee", 10_000_000)?,
        mintxfee: amount(args, "-mintxfee", 1000)?,
        minrelaytxfee: fees.minimum,
        incrementalrelayfee: fees.incremental,
        dustrelayfee: fees.dust,
        spendzeroconfchange: flag("-spendzeroconfchange", true),
        txconfirmtarget: args.int_or("-txconfirmtarget", 6),
        walletbroadcast: flag("-walletbroadcast", !flag("-blocksonly", false)),
        walletrbf: flag("-walletrbf", true),
        walletrejectlongchains: flag("-walletrejectlongchains", true),
        walletcrosschain: flag("-walletcrosschain", false),
        limitancestorcount: args.int_or("-limitancestorcount", 25),
        limitdescendantcount: args.int_or("-limitdescendantcount", 25),
        limitclustercount: args.int_or("-limitclustercount", 64),
        limitclustersize: args.int_or("-limitclustersize", 101).saturating_mul(1000),
        again: false,
        walletrbf_given: args.get("-walletrbf").is_some(),
        walletnotify: set("-walletnotify"),
        signer: set("-signer"),
        rpcdoccheck: flag("-rpcdoccheck", false),
        deprecatedrpc: args.get_all("-deprecatedrpc"),
        prune: args.int_or("-prune", 0) != 0,
        blockfilterindex: !filter_types(args)?.is_empty(),
        test: args.get_all("-test"),
        tool: String::new(),
    })
}

/// Fills the struct of one key store.
pub(crate) fn keystore(options: &Options, name: &str, place: Option<(&Path, &str)>, create: bool) -> KeystoreConfig {
    let args = &options.args;
    KeystoreConfig {
        network: options.chain.name().into(),
        name: name.to_owned(),
        directory: place.map(|(directory, _)| path_text(directory)).unwrap_or_default(),
        file: place.map(|(_, file)| file.to_owned()).unwrap_or_default(),
        create,
        one_shot: place.is_none(),
        unsafesqlitesync: args.bool_or("-unsafesqlitesync", false),
        walletcrosschain: args.bool_or("-walletcrosschain", false),
        keypool: args.int_or("-keypool", DEFAULT_KEYPOOL).max(1),
    }
}
