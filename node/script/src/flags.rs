//! Which script rules apply.

use std::ops::BitOr;

use bitcoin::BlockHash;
use bulkhead_consensus::Params;
use bulkhead_consensus::params::Buried;

/// A set of script rules; the bits are Core's (`script_verify_flag_name` in `script/interpreter.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags(pub(crate) u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident $bit:literal,)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags(1 << $bit);)*

            /// Core's names without `SCRIPT_VERIFY_`.
            const NAMES: &[(&str, Flags)] = &[$((stringify!($name), Flags::$name),)*];
        }
    };
}

flags! {
    /// Evaluates the script behind a script hash (BIP16).
    P2SH 0,
    /// Refuses signatures and keys that are not in a form that is defined.
    STRICTENC 1,
    /// Refuses signatures that are not strict DER (BIP66).
    DERSIG 2,
    /// Refuses signatures whose S is above half the order (BIP146).
    LOW_S 3,
    /// The element that OP_CHECKMULTISIG takes too much must be empty (BIP147).
    NULLDUMMY 4,
    /// An input's script may only push.
    SIGPUSHONLY 5,
    /// Pushes and numbers must be in the shortest form.
    MINIMALDATA 6,
    /// Refuses OP_NOPs that are kept for later rules.
    DISCOURAGE_UPGRADABLE_NOPS 7,
    /// Exactly one element may remain.
    CLEANSTACK 8,
    /// BIP65.
    CHECKLOCKTIMEVERIFY 9,
    /// BIP112.
    CHECKSEQUENCEVERIFY 10,
    /// BIP141.
    WITNESS 11,
    /// Refuses witness versions that are kept for later rules.
    DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM 12,
    /// The argument of OP_IF in a witness script must be empty or 1.
    MINIMALIF 13,
    /// A signature that does not match must be empty (BIP146).
    NULLFAIL 14,
    /// Keys in witness scripts must be compressed.
    WITNESS_PUBKEYTYPE 15,
    /// Refuses OP_CODESEPARATOR and signatures that occur in the script, outside of witness scripts.
    CONST_SCRIPTCODE 16,
    /// BIP341 and BIP342.
    TAPROOT 17,
    /// Refuses leaf versions that are kept for later rules.
    DISCOURAGE_UPGRADABLE_TAPROOT_VERSION 18,
    /// Refuses OP_SUCCESS.
    DISCOURAGE_OP_SUCCESS 19,
    /// Refuses kinds of public keys that are kept for later rules.
    DISCOURAGE_UPGRADABLE_PUBKEYTYPE 20,
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.union(other)
    }
}

impl Flags {
    /// No rule beyond those of 2009.
    pub const NONE: Flags = Flags(0);
    /// All consensus rules of today (Core: `MANDATORY_SCRIPT_VERIFY_FLAGS`).
    pub const CONSENSUS: Flags = Flags::P2SH
        .union(Flags::DERSIG)
        .union(Flags::NULLDUMMY)
        .union(Flags::CHECKLOCKTIMEVERIFY)
        .union(Flags::CHECKSEQUENCEVERIFY)
        .union(Flags::WITNESS)
        .union(Flags::TAPROOT);
    /// What the mempool asks for (Core: `STANDARD_SCRIPT_VERIFY_FLAGS`).
    pub const STANDARD: Flags = Flags::CONSENSUS
        .union(Flags::STRICTENC)
        .union(Flags::MINIMALDATA)
        .union(Flags::DISCOURAGE_UPGRADABLE_NOPS)
        .union(Flags::CLEANSTACK)
        .union(Flags::MINIMALIF)
        .union(Flags::NULLFAIL)
        .union(Flags::LOW_S)
        .union(Flags::DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM)
        .union(Flags::WITNESS_PUBKEYTYPE)
        .union(Flags::CONST_SCRIPTCODE)
        .union(Flags::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION)
        .union(Flags::DISCOURAGE_OP_SUCCESS)
        .union(Flags::DISCOURAGE_UPGRADABLE_PUBKEYTYPE);
    /// Rules of signet block signatures.
    pub const SIGNET: Flags = Flags::P2SH.union(Flags::WITNESS).union(Flags::DERSIG).union(Flags::NULLDUMMY);

    /// Both sets.
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Those of these rules that are not in `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether a rule is in both sets.
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all rules are consensus rules, which the kernel knows.
    pub const fn is_consensus(self) -> bool {
        self.0 & !Flags::CONSENSUS.0 == 0
    }

    /// Looks rules up by Core's names without `SCRIPT_VERIFY_`; `None` for an unknown name.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Flags> {
        names.into_iter().try_fold(Flags::NONE, |flags, name| {
            let (_, flag) = Flags::NAMES.iter().find(|(known, _)| *known == name)?;
            Some(flags | *flag)
        })
    }
}

/// Rules for the block at `height` (Core: `GetBlockScriptFlags`).
pub fn block_flags(params: &Params, height: i32, hash: BlockHash) -> Flags {
    let mut flags = match params.script_exception(hash) {
        None => Flags::P2SH | Flags::WITNESS | Flags::TAPROOT,
        Some(exception) if exception.p2sh_and_witness => Flags::P2SH | Flags::WITNESS,
        Some(_) => Flags::NONE,
    };
    let dated = [
        (Buried::DerSig, Flags::DERSIG),
        (Buried::Cltv, Flags::CHECKLOCKTIMEVERIFY),
        (Buried::Csv, Flags::CHECKSEQUENCEVERIFY),
        (Buried::Segwit, Flags::NULLDUMMY),
    ];
    for (deployment, flag) in dated {
        if params.is_active_at(deployment, height) {
            flags = flags | flag;
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consensus_rules_have_the_bits_of_the_kernel() {
        assert_eq!(Flags::CONSENSUS.0, bitcoinkernel::VERIFY_ALL);
        assert_eq!(Flags::TAPROOT.0, bitcoinkernel::VERIFY_TAPROOT);
        assert_eq!(Flags::CHECKSEQUENCEVERIFY.0, bitcoinkernel::VERIFY_CHECKSEQUENCEVERIFY);
    }
}
