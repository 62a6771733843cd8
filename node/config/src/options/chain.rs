//! Options that choose and shape the chain.

use super::Category::{ChainParams, DebugTest};
use super::{Flags, Opt};

pub(super) const SELECTION: &[Opt] = &[
    Opt::new("-chain", "=<chain>", ChainParams, "Chain to use: main, test, testnet4, signet or regtest (default: main)"),
    Opt::new("-regtest", "", ChainParams, "Use the regression test chain, as -chain=regtest"),
    Opt::new("-testnet", "", ChainParams, "Use testnet3, as -chain=test; deprecated, prefer -testnet4"),
    Opt::new("-testnet4", "", ChainParams, "Use testnet4, as -chain=testnet4"),
    Opt::new("-signet", "", ChainParams, "Use signet, as -chain=signet"),
    Opt::new(
        "-signetchallenge",
        "",
        ChainParams,
        "Script that blocks of this signet must satisfy (default: that of the public one)",
    )
    .with(Flags::NO_NEGATION),
    Opt::new("-signetseednode", "", ChainParams, "Seed of this signet, host[:port]; may be given several times")
        .with(Flags::NO_NEGATION),
    Opt::new(
        "-testactivationheight",
        "=name@height.",
        DebugTest,
        "Height at which segwit, bip34, dersig, cltv or csv activates; for tests",
    )
    .with(Flags::DEBUG_ONLY),
    Opt::new(
        "-vbparams",
        "=deployment:start:end[:min_activation_height]",
        ChainParams,
        "Times and least height of a version bits deployment; for tests",
    )
    .with(Flags::DEBUG_ONLY),
];

pub(super) const TABLE: &[Opt] = SELECTION;
