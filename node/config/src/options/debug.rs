//! Options for developers, tests and the log.

use super::Category::{BlockCreation, DebugTest};
use super::{Flags, Opt};

const D: Flags = Flags::DEBUG_ONLY;

pub(super) const TABLE: &[Opt] = &[
    Opt::new("-help-debug", "", DebugTest, "As -help, with the options for developers"),
    Opt::new("-acceptstalefeeestimates", "", DebugTest, "Read fee estimates that are older than 60 hours; regtest only (default: 0)").with(D),
    Opt::new("-capturemessages", "", DebugTest, "Write all P2P messages to disk").with(D),
    Opt::new("-checkaddrman", "=<n>", DebugTest, "Check the address tables every so many operations (default: 0)").with(D),
    Opt::new("-checkblockindex", "", DebugTest, "Check the block tree every so many operations (default: 0, regtest: 1)").with(D),
    Opt::new("-checkblocks", "=<n>", DebugTest, "How many blocks to check at start, 0 all of them (default: 6)").with(D),
    Opt::new("-checklevel", "=<n>", DebugTest, "How thoroughly: 0 reads blocks, 1 verifies them, 2 reads undo data, 3 disconnects, 4 reconnects (default: 3)").with(D),
    Opt::new("-checkmempool", "=<n>", DebugTest, "Check the mempool every so many transactions (default: 0, regtest: 1)").with(D),
    Opt::new("-deprecatedrpc", "=<method>", DebugTest, "Allow this deprecated RPC").with(D),
    Opt::new("-fastprune", "", DebugTest, "Use small block files, to test pruning").with(D),
    Opt::new("-limitancestorcount", "=<n>", DebugTest, "Deprecated limit on unconfirmed ancestors; cluster limits replace it, the wallet still reads it (default: 25)").with(D),
    Opt::new("-limitclustercount", "=<n>", DebugTest, "Most transactions in one cluster of the mempool (default: 64, at most 64)").with(D),
    Opt::new("-limitclustersize", "=<n>", DebugTest, "Largest cluster of the mempool in kvB (default: 101)").with(D),
    Opt::new("-limitdescendantcount", "=<n>", DebugTest, "Deprecated limit on unconfirmed descendants; cluster limits replace it, the wallet still reads it (default: 25)").with(D),
    Opt::new("-maxsigcachesize", "=<n>", DebugTest, "Memory for the caches of signatures and scripts in MiB (default: 32)").with(D),
    Opt::new("-maxtipage", "=<n>", DebugTest, "A tip older than this many seconds means initial download (default: 86400)").with(D),
    Opt::new("-mocktime", "=<n>", DebugTest, "Seconds since 1970 to use instead of the clock (default: 0)").with(D),
    Opt::new("-printpriority", "", DebugTest, "Log the fee rate of transactions when mining (default: 0)").with(D),
    Opt::new("-stopafterblockimport", "", DebugTest, "Stop when blocks have been imported (default: 0)").with(D),
    Opt::new("-stopatheight", "", DebugTest, "Stop when the chain has this height (default: 0)").with(D),
    Opt::new("-test", "=<option>", DebugTest, "An option for tests: addrman (deterministic address tables), reindex_after_failure_noninteractive_yes (answer yes), bip94 (enforce BIP 94)").with(D),
    Opt::new("-uacomment", "=<cmt>", DebugTest, "Add a comment to the user agent"),
    Opt::new("-blockmaxweight", "=<n>", BlockCreation, "Largest weight of blocks that are made (default: 4000000)").with(D),
    Opt::new("-blockmintxfee", "=<amt>", BlockCreation, "Lowest fee rate in BTC/kvB of transactions in blocks that are made (default: 0.00000001)"),
    Opt::new("-blockreservedweight", "=<n>", BlockCreation, "Weight left for header and coinbase in blocks made by RPC (default: 8000)"),
    Opt::new("-blockversion", "=<n>", BlockCreation, "Version of blocks that are made, to test forks").with(D),
];

pub(super) const LOGGING: &[Opt] = &[
    Opt::new(
        "-debug",
        "=<category>",
        DebugTest,
        "Log details of a category: addrman, bench, blockstorage, cmpctblock, coindb, estimatefee, http, i2p, ipc, kernel, leveldb, mempool, mempoolrej, net, privatebroadcast, proxy, prune, qt, rand, reindex, rpc, scan, selectcoins, tor, txpackages, txreconciliation, validation, walletdb, zmq; 1 or no value means all, 0 or none means none; may be given several times",
    ),
    Opt::new("-debugexclude", "=<category>", DebugTest, "Leave a category out, whatever -debug says; may be given several times"),
    Opt::new("-logips", "", DebugTest, "Write IP addresses of peers into the log (default: 0)"),
    Opt::new(
        "-loglevel",
        "=<level>|<category>:<level>",
        DebugTest,
        "How much detail to log: info, debug or trace, for all or one of the enabled categories (default: debug)",
    )
    .with(Flags::DEBUG_ONLY)
    .with(Flags::NO_NEGATION)
    .with(Flags::NO_ELISION),
    Opt::new("-loglevelalways", "", DebugTest, "Write category and level on every line (default: 0)"),
    Opt::new("-logratelimit", "", DebugTest, "Limit how fast lines may fill the disk (default: 1)"),
    Opt::new("-logsourcelocations", "", DebugTest, "Write file, line and function (default: 0)"),
    Opt::new("-logthreadnames", "", DebugTest, "Write the name of the thread (default: 0)"),
    Opt::new("-logtimemicros", "", DebugTest, "Write times to the microsecond (default: 0)").with(Flags::DEBUG_ONLY),
    Opt::new("-logtimestamps", "", DebugTest, "Write times (default: 1)"),
    Opt::new("-printtoconsole", "", DebugTest, "Write the log to standard output too (default: 1 without -daemon)"),
    Opt::new("-shrinkdebugfile", "", DebugTest, "Shorten a large log at start (default: 1 without -debug)"),
];
