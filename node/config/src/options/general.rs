//! Options of the node as a whole.

use super::Category::{Hidden, Options};
use super::{Flags, Opt};

pub(super) const HELP: &[Opt] =
    &[Opt::new("-help", "", Options, "Show this text and leave (-h and -? do the same)"), Opt::hidden("-h"), Opt::hidden("-?")];

pub(super) const TABLE: &[Opt] = &[
    Opt::new("-help", "", Options, "Show this text and leave (-h and -? do the same)"),
    Opt::new("-version", "", Options, "Show the version and leave"),
    Opt::new("-alertnotify", "=<cmd>", Options, "Command to run when the node raises an alert; %s becomes the message"),
    Opt::new(
        "-allowignoredconf",
        "",
        Options,
        "Only warn, instead of refusing to start, about a bitcoin.conf in the data directory that is not used",
    ),
    Opt::new(
        "-assumevalid",
        "=<hex>",
        Options,
        "Skip script checks in the ancestors of this block once it is part of the best chain; 0 checks everything (default: a recent block of the chain)",
    ),
    Opt::new(
        "-blockfilterindex",
        "=<type>",
        Options,
        "Keep an index of compact block filters of this type (basic); 1 or no value means all types, 0 none (default: 0)",
    ),
    Opt::new("-blocknotify", "=<cmd>", Options, "Command to run when the best block changes; %s becomes its hash"),
    Opt::new(
        "-blockreconstructionextratxn",
        "=<n>",
        Options,
        "How many transactions outside the mempool to remember for the reconstruction of compact blocks (default: 100)",
    ),
    Opt::new("-blocksdir", "=<dir>", Options, "Where the blocks folder goes (default: the data directory)"),
    Opt::new(
        "-blocksonly",
        "",
        Options,
        "Take no transactions from peers, except from those with the forcerelay permission; RPC is not affected (default: 0)",
    ),
    Opt::new(
        "-blocksxor",
        "",
        Options,
        "Obfuscate block files with a random key that is drawn when the blocks folder is new; 0, or an older folder, means a key of zeros (default: 1)",
    ),
    Opt::new("-coinstatsindex", "", Options, "Keep the index of coin statistics that gettxoutsetinfo reads (default: 0)"),
    Opt::new(
        "-conf",
        "=<file>",
        Options,
        "Configuration file to read, relative to the data directory; command line only (default: bitcoin.conf)",
    ),
    Opt::new("-daemon", "", Options, "Go into the background and take commands (default: 0)"),
    Opt::new("-daemonwait", "", Options, "As -daemon, but return only when the node is ready (default: 0)"),
    Opt::new("-datadir", "=<dir>", Options, "Where everything is kept").with(Flags::NO_NEGATION),
    Opt::new("-dbbatchsize", "", Options, "Largest batch written to the database, in bytes (default: 33554432)")
        .with(Flags::DEBUG_ONLY),
    Opt::new(
        "-dbcache",
        "=<n>",
        Options,
        "Memory for the database cache in MiB (at least 4, default: 450, from 4 GiB of memory on 1024); memory that the mempool leaves unused is added",
    ),
    Opt::new(
        "-debuglogfile",
        "=<file>",
        Options,
        "The log file, relative to the data directory of the chain; -nodebuglogfile writes none (default: debug.log)",
    ),
    Opt::new(
        "-includeconf",
        "=<file>",
        Options,
        "Another configuration file to read, relative to the data directory; only inside a configuration file",
    ),
    Opt::new(
        "-loadblock",
        "=<file>",
        Options,
        "Import blocks from this file at start; files obfuscated with a key can't be read",
    ),
    Opt::new("-maxmempool", "=<n>", Options, "Size limit of the mempool in megabytes (default: 300)"),
    Opt::new(
        "-mempoolexpiry",
        "=<n>",
        Options,
        "Drop transactions that stayed in the mempool for this many hours (default: 336)",
    ),
    Opt::new(
        "-minimumchainwork",
        "=<hex>",
        Options,
        "Work that the best chain must have before the node trusts it to be the real one",
    )
    .with(Flags::DEBUG_ONLY),
    Opt::new(
        "-par",
        "=<n>",
        Options,
        "Threads for script checks (0: one per core, up to 16; negative: leave that many cores free; default: 0)",
    ),
    Opt::new("-persistmempool", "", Options, "Write the mempool to a file at exit and read it at start (default: 1)"),
    Opt::new("-persistmempoolv1", "", Options, "Write mempool.dat in the format of version 1 (default: 0)"),
    Opt::new(
        "-pid",
        "=<file>",
        Options,
        "File for the process id, relative to the data directory of the chain (default: bitcoind.pid)",
    ),
    Opt::new(
        "-prevoutfetchthreads",
        "=<n>",
        Options,
        "Threads that read the spent coins of a block ahead of its validation (0: none, up to 64; default: 4)",
    ),
    Opt::new(
        "-prune",
        "=<n>",
        Options,
        "Delete old block files: 0 never, 1 by RPC only, from 550 on: keep them below this many MiB. Excludes -txindex; going back needs a new download (default: 0)",
    ),
    Opt::new(
        "-processcpu",
        "=<process>:<n>",
        Options,
        "Let a process (chain, net, rpc, wallet, keystore, notify) have at most n percent of the time of one processor. May be given for several; needs a delegated control group (cgroup v2), without which it has no effect (default: no limit)",
    ),
    Opt::new(
        "-processmemory",
        "=<process>:<n>",
        Options,
        "Let a process (chain, net, rpc, wallet, keystore, notify) have at most n MiB of data; one that exceeds it ends and nobody else. May be given for several (default: chain 8192 and twice -dbcache and -maxmempool, net 2048, rpc 2048, wallet 8192, keystore 512)",
    ),
    Opt::new("-reindex", "", Options, "Rebuild block index, chain state and indexes from the block files"),
    Opt::new("-reindex-chainstate", "", Options, "Rebuild the chain state from the block files"),
    Opt::new(
        "-sandbox",
        "=<mode>",
        Options,
        "How strictly processes must be confined: strict refuses to start when the kernel lacks a layer, degraded starts and logs what is missing, off confines nothing (default: strict)",
    ),
    Opt::new(
        "-scriptengine",
        "=<engine>",
        Options,
        "Which engine checks the scripts of blocks: kernel, rust or both (default: kernel)",
    ),
    Opt::new(
        "-settings",
        "=<file>",
        Options,
        "File of the settings that change at run time, relative to the data directory of the chain; not meant to be edited, -nosettings does without (default: settings.json)",
    ),
    Opt::new(
        "-shutdownnotify",
        "=<cmd>",
        Options,
        "Command to run before the node shuts down; the node waits for it, so it should be quick",
    ),
    Opt::new("-startupnotify", "=<cmd>", Options, "Command to run when the node has started"),
    Opt::new("-txindex", "", Options, "Keep an index of all transactions for getrawtransaction (default: 0)"),
    Opt::new("-txospenderindex", "", Options, "Keep an index of the spenders of outputs for gettxspendingprevout (default: 0)"),
];

pub(super) const HIDDEN: &[Opt] = &[
    Opt::hidden("-h"),
    Opt::hidden("-?"),
    Opt::hidden("-dbcrashratio"),
    Opt::hidden("-forcecompactdb"),
    Opt::hidden("-checkpoints"),
    Opt::hidden("-limitancestorsize"),
    Opt::hidden("-limitdescendantsize"),
    // Options of the window, tolerated because bitcoin.conf is shared.
    Opt::hidden("-choosedatadir"),
    Opt::new("-lang", "=<lang>", Hidden, ""),
    Opt::hidden("-min"),
    Opt::hidden("-resetguisettings"),
    Opt::hidden("-splash"),
    Opt::hidden("-uiplatform"),
    // The control channel from the window that spawned the node.
    Opt::hidden("-ipcfd"),
];
