//! Options that contradict each other or make no sense (Core's `AppInitParameterInteraction`).

use super::amounts::{amount, relay_fees};
use super::arguments::Options;
use super::limits;
use crate::error::{NodeError, init};
use bulkhead_config::{ArgsManager, Chain};

const MAX_BLOCK_WEIGHT: i64 = 4_000_000;
const MIN_RESERVED_WEIGHT: i64 = 2000;
const DEFAULT_RESERVED_WEIGHT: i64 = 8000;
const MIN_PRUNE_MIB: i64 = 550;
const MAX_CLUSTER_COUNT: i64 = 64;
const TEST_OPTIONS: [&str; 3] = ["addrman", "reindex_after_failure_noninteractive_yes", "bip94"];

/// Checks everything that needs no file and no socket. Warnings are collected for stderr.
pub(crate) fn check(options: &Options, warnings: &mut Vec<String>) -> Result<(), NodeError> {
    let args = &options.args;
    signet_challenge(options)?;
    removed_options(args, warnings);
    sections(options, warnings)?;
    // -blocksdir comes here in Core.
    super::directories::blocks(options)?;
    indexes(args)?;
    listening(args)?;
    if args.get_int("-peertimeout").is_some_and(|seconds| seconds <= 0) {
        return Err(init("peertimeout must be a positive integer."));
    }
    mining(args)?;
    test_options(options, warnings)?;
    chain_and_mempool(options)?;
    sandbox(args)?;
    if !args.bool_or("-disablewallet", false) {
        wallet(args)?;
    }
    Ok(())
}

fn removed_options(args: &ArgsManager, warnings: &mut Vec<String>) {
    if args.is_set("-checkpoints") {
        let text = "Option '-checkpoints' is set but checkpoints were removed. This option has no effect.";
        warnings.push(text.into());
    }
    for (option, what) in [("-limitancestorsize", "ancestor"), ("-limitdescendantsize", "descendant")] {
        if args.is_set(option) {
            warnings.push(format!(
                "Option '{option}' is given but {what} size limits have been replaced with cluster size limits (see \
                 -limitclustersize). This option has no effect."
            ));
        }
    }
}

fn sections(options: &Options, warnings: &mut Vec<String>) -> Result<(), NodeError> {
    let chain = options.chain.name();
    let text: String = options
        .args
        .unsuitable_section_only()
        .into_iter()
        .map(|name| format!("Config setting for {name} only applied on {chain} network when in [{chain}] section.\n"))
        .collect();
    if !text.is_empty() {
        return Err(init(text));
    }
    let text: String = options
        .args
        .unrecognized_sections()
        .into_iter()
        .map(|section| format!("{}:{} Section [{}] is not recognized.\n", section.file, section.line, section.name))
        .collect();
    if !text.is_empty() {
        warnings.push(text);
    }
    Ok(())
}

/// The enabled filter types.
pub(crate) fn filter_types(args: &ArgsManager) -> Result<Vec<String>, NodeError> {
    match args.get_or("-blockfilterindex", "0").as_str() {
        "" | "1" => Ok(vec!["basic".into()]),
        "0" => Ok(Vec::new()),
        _ => {
            for name in args.get_all("-blockfilterindex") {
                if name != "basic" {
                    return Err(init(format!("Unknown -blockfilterindex value {name}.")));
                }
            }
            Ok(vec!["basic".into()])
        }
    }
}

fn indexes(args: &ArgsManager) -> Result<(), NodeError> {
    let filters = filter_types(args)?;
    if args.bool_or("-peerblockfilters", false) && filters.is_empty() {
        return Err(init("Cannot set -peerblockfilters without -blockfilterindex."));
    }
    if args.int_or("-prune", 0) != 0 {
        for index in ["-txindex", "-txospenderindex"] {
            if args.bool_or(index, false) {
                return Err(init(format!("Prune mode is incompatible with {index}.")));
            }
        }
        if args.bool_or("-reindex-chainstate", false) {
            return Err(init("Prune mode is incompatible with -reindex-chainstate. Use full -reindex instead."));
        }
    }
    Ok(())
}

fn listening(args: &ArgsManager) -> Result<(), NodeError> {
    if args.bool_or("-forcednsseed", false) && !args.bool_or("-dnsseed", true) {
        return Err(init("Cannot set -forcednsseed to true when setting -dnsseed to false."));
    }
    let listen = args.bool_or("-listen", true);
    let binds = args.get_all("-bind").len() + args.get_all("-whitebind").len();
    if binds != 0 && !listen {
        return Err(init("Cannot set -bind or -whitebind together with -listen=0"));
    }
    if !listen && args.bool_or("-listenonion", true) {
        return Err(init("Cannot set -listen=0 together with -listenonion=1"));
    }
    Ok(())
}

fn mining(args: &ArgsManager) -> Result<(), NodeError> {
    amount(args, "-blockmintxfee", 1)?;
    let reserved = args.int_or("-blockreservedweight", DEFAULT_RESERVED_WEIGHT);
    let largest = args.int_or("-blockmaxweight", MAX_BLOCK_WEIGHT);
    if reserved < MIN_RESERVED_WEIGHT {
        return Err(init(format!(
            "-blockreservedweight ({reserved}) is lower than minimum safety value of ({MIN_RESERVED_WEIGHT})"
        )));
    }
    for (option, value) in [("-blockreservedweight", reserved), ("-blockmaxweight", largest)] {
        if value > MAX_BLOCK_WEIGHT {
            return Err(init(format!("{option} ({value}) exceeds consensus maximum block weight ({MAX_BLOCK_WEIGHT})")));
        }
    }
    if reserved > largest {
        return Err(init(format!("-blockreservedweight ({reserved}) exceeds -blockmaxweight ({largest})")));
    }
    Ok(())
}

fn test_options(options: &Options, warnings: &mut Vec<String>) -> Result<(), NodeError> {
    let given = options.args.get_all("-test");
    if !given.is_empty() && options.chain != Chain::Regtest {
        return Err(init("-test=<option> can only be used with regtest"));
    }
    for option in given.iter().filter(|option| !TEST_OPTIONS.contains(&option.as_str())) {
        warnings.push(format!("Unrecognised option \"{option}\" provided in -test=<option>."));
    }
    if options.chain == Chain::Main {
        for option in ["-testactivationheight", "-vbparams"] {
            if options.args.is_set(option) {
                return Err(init(format!("The {option} option may not be used on mainnet.")));
            }
        }
    }
    Ok(())
}

/// The script that blocks of a signet must satisfy.
fn signet_challenge(options: &Options) -> Result<(), NodeError> {
    let given = options.args.get_all("-signetchallenge");
    if options.chain != Chain::Signet || given.is_empty() {
        return Ok(());
    }
    let [challenge] = given.as_slice() else {
        return Err(init("-signetchallenge cannot be multiple values."));
    };
    if challenge.len() % 2 != 0 || !challenge.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(init(format!("-signetchallenge must be hex, not '{challenge}'.")));
    }
    Ok(())
}

fn chain_and_mempool(options: &Options) -> Result<(), NodeError> {
    let args = &options.args;
    for (option, text) in [
        ("-minimumchainwork", "Invalid minimum work specified (%s), must be up to 64 hex digits"),
        ("-assumevalid", "Invalid assumevalid block hash specified (%s), must be up to 64 hex digits (or 0 to disable)"),
    ] {
        if let Some(value) = args.get(option).filter(|value| !is_user_hex(value)) {
            return Err(init(text.replace("%s", &value)));
        }
    }
    if let Some(threads) = args.get_int("-prevoutfetchthreads").filter(|threads| *threads < 0) {
        return Err(init(format!(
            "-prevoutfetchthreads must be non-negative (got {threads}). Use 0 to disable parallel input fetching."
        )));
    }
    let prune = args.int_or("-prune", 0);
    if prune < 0 {
        return Err(init("Prune cannot be configured with a negative value."));
    }
    if prune > 1 && prune < MIN_PRUNE_MIB {
        return Err(init(format!("Prune configured below the minimum of {MIN_PRUNE_MIB} MiB.  Please use a higher number.")));
    }
    relay_fees(args)?;
    mempool_size(limits::mempool_megabytes(args), args.int_or("-limitclustersize", 101))?;
    let test_chain = options.chain != Chain::Main;
    if args.bool_or("-acceptnonstdtxn", false) && !test_chain {
        let chain = options.chain.name();
        return Err(init(format!("acceptnonstdtxn is not currently supported for {chain} chain")));
    }
    if !(0..=MAX_CLUSTER_COUNT).contains(&args.int_or("-limitclustercount", MAX_CLUSTER_COUNT)) {
        return Err(init(format!("limitclustercount must be less than or equal to {MAX_CLUSTER_COUNT}")));
    }
    Ok(())
}

/// What Core finds wrong once the log is open.
///
/// # Errors
/// Core's text.
pub(crate) fn check_fee_estimates(options: &Options) -> Result<(), NodeError> {
    if options.args.bool_or("-acceptstalefeeestimates", false) && options.chain != Chain::Regtest {
        let chain = options.chain.name();
        return Err(init(format!("acceptstalefeeestimates is not supported on {chain} chain.")));
    }
    Ok(())
}

/// The mempool must have room for the largest cluster, several times over. Megabytes and virtual kilobytes.
fn mempool_size(megabytes: i64, cluster_kvb: i64) -> Result<(), NodeError> {
    let least = cluster_kvb.saturating_mul(1000 * 40);
    if megabytes < 0 || (megabytes > 0 && megabytes.saturating_mul(1_000_000) < least) {
        return Err(init(format!("-maxmempool must be at least {} MB", least.saturating_add(999_999) / 1_000_000)));
    }
    Ok(())
}

/// Core's `FromUserHex`: an optional 0x and up to 64 digits.
fn is_user_hex(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    digits.len() <= 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn sandbox(args: &ArgsManager) -> Result<(), NodeError> {
    let mode = args.get_or("-sandbox", "strict");
    mode.parse::<bulkhead_sandbox::Mode>().map_err(|error| init(format!("Invalid -sandbox: {error}")))?;
    limits::memory(args)?;
    limits::cpu(args)?;
    let engine = args.get_or("-scriptengine", "kernel");
    if !matches!(engine.as_str(), "kernel" | "rust" | "both") {
        return Err(init(format!("Unknown -scriptengine '{engine}', choose kernel, rust or both")));
    }
    Ok(())
}

fn wallet(args: &ArgsManager) -> Result<(), NodeError> {
    for (option, word) in [("-addresstype", "address"), ("-changetype", "change")] {
        if let Some(value) = args.get(option)
            && !matches!(value.as_str(), "legacy" | "p2sh-segwit" | "bech32" | "bech32m")
        {
            return Err(init(format!("Unknown {word} type '{value}'")));
        }
    }
    for option in ["-mintxfee", "-fallbackfee", "-discardfee", "-maxtxfee", "-consolidatefeerate"] {
        amount(args, option, 0)?;
    }
    if args.get("-maxapsfee").is_some_and(|value| value != "-1") {
        amount(args, "-maxapsfee", 0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_mempool_must_hold_the_largest_cluster() {
        assert!(mempool_size(300, 101).is_ok() && mempool_size(5, 101).is_ok() && mempool_size(0, 101).is_ok());
        assert_eq!(mempool_size(4, 101).unwrap_err().to_string(), init("-maxmempool must be at least 5 MB").to_string());
        assert!(mempool_size(-1, 101).is_err() && mempool_size(5, 200).is_err());
    }

    #[test]
    fn test_is_user_hex_like_core() {
        assert!(is_user_hex("0x0") && is_user_hex("") && is_user_hex(&"f".repeat(64)));
        assert!(!is_user_hex("g") && !is_user_hex(&"f".repeat(65)));
    }
}
