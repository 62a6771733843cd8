//! Options of the wallet.

use super::Category::{Wallet, WalletDebugTest};
use super::{Flags, Opt};

pub(super) const TABLE: &[Opt] = &[
    Opt::new("-addresstype", "", Wallet, "Kind of new addresses: legacy, p2sh-segwit, bech32 or bech32m (default: bech32)"),
    Opt::new(
        "-avoidpartialspends",
        "",
        Wallet,
        "Spend all coins of an address together, for privacy at some cost (default: 0, 1 for wallets with avoid_reuse)",
    ),
    Opt::new(
        "-changetype",
        "",
        Wallet,
        "Kind of change addresses: legacy, p2sh-segwit, bech32 or bech32m (default: as the recipient's, if possible)",
    ),
    Opt::new(
        "-consolidatefeerate",
        "=<amt>",
        Wallet,
        "Below this fee rate in BTC/kvB more coins than needed may be spent, to have fewer of them (default: 0.0001)",
    ),
    Opt::new("-disablewallet", "", Wallet, "Run without wallets and their RPCs"),
    Opt::new(
        "-discardfee",
        "=<amt>",
        Wallet,
        "Leave change to the fee when it costs more than this fee rate in BTC/kvB to spend it (default: 0.0001)",
    ),
    Opt::new(
        "-fallbackfee",
        "=<amt>",
        Wallet,
        "Fee rate in BTC/kvB for when there is no estimate; 0 refuses to send then (default: 0.00)",
    ),
    Opt::new(
        "-keypool",
        "=<n>",
        Wallet,
        "How many addresses to prepare ahead (default: 1000); few of them make old backups miss coins",
    ),
    Opt::new("-maxapsfee", "=<n>", Wallet, "Pay up to this much more, in BTC, to avoid partial spends (default: 0.00)"),
    Opt::new("-maxtxfee", "=<amt>", Wallet, "Highest fee of one transaction, in BTC (default: 0.10)"),
    Opt::new(
        "-mintxfee",
        "=<amt>",
        Wallet,
        "Lower fee rates in BTC/kvB count as none when a transaction is made (default: 0.00001)",
    ),
    Opt::new("-signer", "=<cmd>", Wallet, "External program that signs"),
    Opt::new("-spendzeroconfchange", "", Wallet, "Spend change that is not confirmed yet (default: 1)"),
    Opt::new(
        "-txconfirmtarget",
        "=<n>",
        Wallet,
        "Pay so that a transaction confirms within this many blocks on average (default: 6)",
    ),
    Opt::new(
        "-wallet",
        "=<path>",
        Wallet,
        "Wallet to load at start, below the wallet directory; may be given several times; it must exist",
    )
    .with(Flags::NETWORK_ONLY),
    Opt::new("-walletbroadcast", "", Wallet, "Broadcast transactions of wallets (default: 1)"),
    Opt::new(
        "-walletdir",
        "=<dir>",
        Wallet,
        "Where wallets are kept (default: the folder wallets of the data directory if it exists, else the data directory)",
    )
    .with(Flags::NETWORK_ONLY),
    Opt::new(
        "-walletnotify",
        "=<cmd>",
        Wallet,
        "Command to run when a transaction of a wallet changes; %s becomes its id, %w the wallet, %b the block hash or 'unconfirmed', %h the height or -1. Do not quote %w",
    ),
    Opt::new("-walletrbf", "", Wallet, "(DEPRECATED) Signal that transactions may be replaced (default: 1)"),
    Opt::new(
        "-unsafesqlitesync",
        "",
        WalletDebugTest,
        "Don't wait for the disk when a wallet is written; loses data in a crash, for tests (default: 0)",
    )
    .with(Flags::DEBUG_ONLY),
    Opt::new("-walletcrosschain", "", WalletDebugTest, "Open wallets of another chain (default: 0)").with(Flags::DEBUG_ONLY),
    Opt::new(
        "-walletrejectlongchains",
        "",
        WalletDebugTest,
        "Make no transaction that exceeds the mempool's limits on chains (default: 1)",
    )
    .with(Flags::DEBUG_ONLY),
];
