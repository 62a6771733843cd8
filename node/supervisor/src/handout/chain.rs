//! Configuration of chain.

use super::path_text;
use crate::error::NodeError;
use crate::startup::amounts::{amount, relay_fees};
use crate::startup::arguments::Options;
use crate::startup::checks::filter_types;
use crate::startup::{db_cache, limits};
use bulkhead_config::Files;
use bulkhead_control::ChainConfig;
use std::path::Path;

const MIB: u64 = 1024 * 1024;
const DAY: i64 = 86_400;

/// Fills the struct from the options.
pub(crate) fn chain(options: &Options, blocksdir: &Path) -> Result<ChainConfig, NodeError> {
    let args = &options.args;
    let unsigned = |name: &str, default: i64| args.int_or(name, default).max(0).cast_unsigned();
    let fees = relay_fees(args)?;
    let set = |name: &str| !args.get_or(name, "").is_empty();
    Ok(ChainConfig {
        network: options.chain.name().into(),
        datadir: path_text(&options.datadir),
        blocksdir: path_text(blocksdir),
        signetchallenge: args.get_or("-signetchallenge", ""),
        testactivationheight: args.get_all("-testactivationheight"),
        vbparams: args.get_all("-vbparams"),
        test: args.get_all("-test"),
        par: args.int_or("-par", 0),
        prevoutfetchthreads: args.int_or("-prevoutfetchthreads", 4).min(64),
        dbcache_bytes: db_cache::bytes(args),
        dbbatchsize: unsigned("-dbbatchsize", 32 * 1024 * 1024),
        dbcrashratio: args.int_or("-dbcrashratio", 0),
        forcecompactdb: args.bool_or("-forcecompactdb", false),
        prune: unsigned("-prune", 0),
        fastprune: args.bool_or("-fastprune", false),
        blocksxor: args.bool_or("-blocksxor", true),
        txindex: args.bool_or("-txindex", false),
        txospenderindex: args.bool_or("-txospenderindex", false),
        coinstatsindex: args.bool_or("-coinstatsindex", false),
        blockfilterindex: filter_types(args)?,
        peerblockfilters: args.bool_or("-peerblockfilters", false),
        blockreconstructionextratxn: unsigned("-blockreconstructionextratxn", 100),
        reindex: args.bool_or("-reindex", false),
        reindex_chainstate: args.bool_or("-reindex-chainstate", false),
        loadblock: args.get_all("-loadblock"),
        stopafterblockimport: args.bool_or("-stopafterblockimport", false),
        stopatheight: args.int_or("-stopatheight", 0),
        checkblocks: args.int_or("-checkblocks", 6),
        checklevel: args.int_or("-checklevel", 3),
        checkblockindex: bare_is_one(args, "-checkblockindex"),
        checkmempool: args.int_or("-checkmempool", -1),
        assumevalid: args.get_or("-assumevalid", ""),
        minimumchainwork: args.get_or("-minimumchainwork", ""),
        maxtipage: args.int_or("-maxtipage", DAY),
        maxsigcache_bytes: unsigned("-maxsigcachesize", 32).saturating_mul(MIB),
        scriptengine: args.get_or("-scriptengine", "kernel"),
        maxmempool_bytes: limits::mempool_bytes(args),
        mempoolexpiry: args.int_or("-mempoolexpiry", 336).saturating_mul(3600),
        persistmempool: args.bool_or("-persistmempool", true),
        persistmempoolv1: args.bool_or("-persistmempoolv1", false),
        minrelaytxfee: fees.minimum,
        incrementalrelayfee: fees.incremental,
        dustrelayfee: fees.dust,
        acceptnonstdtxn: args.bool_or("-acceptnonstdtxn", false),
        permitbaremultisig: args.bool_or("-permitbaremultisig", true),
        datacarriersize: if args.bool_or("-datacarrier", true) { unsigned("-datacarriersize", 100_000) } else { 0 },
        bytespersigop: args.int_or("-bytespersigop", 20),
        limitancestorcount: args.int_or("-limitancestorcount", 25),
        limitdescendantcount: args.int_or("-limitdescendantcount", 25),
        limitclustercount: args.int_or("-limitclustercount", 64),
        limitclustersize: args.int_or("-limitclustersize", 101).saturating_mul(1000),
        acceptstalefeeestimates: args.bool_or("-acceptstalefeeestimates", false),
        blocksonly: args.bool_or("-blocksonly", false),
        blockmaxweight: args.int_or("-blockmaxweight", -1),
        blockreservedweight: args.int_or("-blockreservedweight", -1),
        blockmintxfee: amount(args, "-blockmintxfee", 1)?,
        blockversion: args.int_or("-blockversion", -1),
        printpriority: args.bool_or("-printpriority", false),
        privatebroadcast: args.bool_or("-privatebroadcast", false),
        deprecatedrpc: args.get_all("-deprecatedrpc"),
        rpcdoccheck: args.bool_or("-rpcdoccheck", false),
        blocknotify: set("-blocknotify"),
        alertnotify: set("-alertnotify"),
        wallet: !args.bool_or("-disablewallet", false),
        logips: args.bool_or("-logips", false),
    })
}

/// An option that means 1 when it has no value; -1 when it is not given.
fn bare_is_one(args: &bulkhead_config::ArgsManager, name: &str) -> i64 {
    match args.get(name).as_deref() {
        Some("") => 1,
        _ => args.int_or(name, -1),
    }
}

/// The files of `-loadblock`, in order. One that can't be opened is told in the log, as in Core.
pub(crate) fn load_block_files(options: &Options) -> Vec<(String, std::fs::File)> {
    let working = bulkhead_config::RealFiles.working_directory();
    let mut files = Vec::new();
    for (index, given) in options.args.get_all("-loadblock").iter().enumerate() {
        let path = bulkhead_config::absolute(&working, Path::new(given));
        match std::fs::File::open(&path) {
            Ok(file) => files.push((format!("loadblock/{index}"), file)),
            Err(_) => tracing::warn!("Could not open blocks file {}", path.display()),
        }
    }
    files
}
