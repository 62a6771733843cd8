//! Which script rules apply.

use bitcoin::BlockHash;
use bitcoinkernel::{
    VERIFY_ALL, VERIFY_CHECKLOCKTIMEVERIFY, VERIFY_CHECKSEQUENCEVERIFY, VERIFY_DERSIG, VERIFY_NONE, VERIFY_NULLDUMMY,
    VERIFY_P2SH, VERIFY_TAPROOT, VERIFY_WITNESS,
};
use bulkhead_consensus::Params;
use bulkhead_consensus::params::Buried;

/// A set of consensus script rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags(pub(crate) u32);

impl Flags {
    /// All consensus rules of today; what the mempool uses.
    pub const ALL: Flags = Flags(VERIFY_ALL);
    /// Rules of signet block signatures.
    pub const SIGNET: Flags = Flags(VERIFY_P2SH | VERIFY_WITNESS | VERIFY_DERSIG | VERIFY_NULLDUMMY);

    /// Looks rules up by Core's names without `SCRIPT_VERIFY_`; `None` for a name that is no consensus rule.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Flags> {
        names.into_iter().try_fold(Flags(VERIFY_NONE), |flags, name| {
            let bit = match name {
                "P2SH" => VERIFY_P2SH,
                "DERSIG" => VERIFY_DERSIG,
                "NULLDUMMY" => VERIFY_NULLDUMMY,
                "CHECKLOCKTIMEVERIFY" => VERIFY_CHECKLOCKTIMEVERIFY,
                "CHECKSEQUENCEVERIFY" => VERIFY_CHECKSEQUENCEVERIFY,
                "WITNESS" => VERIFY_WITNESS,
                "TAPROOT" => VERIFY_TAPROOT,
                _ => return None,
            };
            Some(Flags(flags.0 | bit))
        })
    }
}

/// Rules for the block at `height` (Core: `GetBlockScriptFlags`).
pub fn block_flags(params: &Params, height: i32, hash: BlockHash) -> Flags {
    let mut flags = match params.script_exception(hash) {
        None => VERIFY_P2SH | VERIFY_WITNESS | VERIFY_TAPROOT,
        Some(exception) if exception.p2sh_and_witness => VERIFY_P2SH | VERIFY_WITNESS,
        Some(_) => VERIFY_NONE,
    };
    let dated = [
        (Buried::DerSig, VERIFY_DERSIG),
        (Buried::Cltv, VERIFY_CHECKLOCKTIMEVERIFY),
        (Buried::Csv, VERIFY_CHECKSEQUENCEVERIFY),
        (Buried::Segwit, VERIFY_NULLDUMMY),
    ];
    for (deployment, bit) in dated {
        if params.is_active_at(deployment, height) {
            flags |= bit;
        }
    }
    Flags(flags)
}
