//! Faults that are planted on purpose, to see that a target of `fuzz/` finds each of them (`make fuzz-selftest`).
//!
//! Code asks [`planted`] at the place of a fault, at exactly one place per fault. Without the feature `planted-faults` the
//! answer is the constant `false`, and nothing of it is left in a program. With the feature the driver of `fuzz/` chooses at
//! run time which fault is there.

// The profile of `fuzz/` checks our own crates with debug assertions; that of programs for users does not.
#[cfg(all(feature = "planted-faults", not(debug_assertions)))]
compile_error!("planted faults are for fuzz/ only: no program that users run may have them");

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub fault: Fault,
    /// Its name on the command line.
    pub name: &'static str,
    /// Target that finds it.
    pub target: &'static str,
    /// Kind of fault.
    pub kind: &'static str,
    /// What is wrong while it is there.
    pub what: &'static str,
}

macro_rules! faults {
    ($($name:ident, $target:literal, $kind:literal: $what:literal;)*) => {
        /// A fault that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Fault {
            $(#[doc = $what] $name,)*
        }

        /// Every fault, with the target that must find it.
        pub const FAULTS: &[Row] = &[
            $(Row { fault: Fault::$name, name: stringify!($name), target: $target, kind: $kind, what: $what },)*
        ];
    };
}

faults! {
    CoinTrailing, "stored_coin", "trailing bytes": "store takes bytes behind a coin";
    CountUnbounded, "stored_undo", "unbounded allocation": "store allocates for as many items as undo data claims";
    FrameChecksum, "p2p_frame", "wrong checksum rule": "wire compares half of a message's checksum";
    IndexTruncated, "p2p_message", "integer truncation": "wire cuts places in a block to 16 bits";
    MappingLoop, "tor_control_reply", "endless loop": "wire never gets past a word without `=` in a reply of Tor";
    DuplicateInputs, "block_checks", "duplicate accepted": "consensus lets a transaction spend an output twice";
    WithinInclusive, "script_engines", "off by one": "script counts the upper bound of OP_WITHIN in";
    AnswerHash, "net_chain_client", "unchecked reply": "net takes it for granted that a hash from chain has 32 bytes";
    OrphansStay, "peer_state_machine", "missed disconnect": "net keeps the orphans of a peer that left";
    TemplateHeld, "rpc_chain_server", "leak": "chain never takes back the memory of a miner's template";
    LargeOvertakes, "echo_server", "wrong order": "link sends a large message before small ones that wait";
    CoinsUncounted, "wallet_chain_client", "unchecked reply": "wallet takes fewer coins from chain than it asked for";
    SplicedAnswer, "rpc_chain_client", "unchecked reply": "rpc passes on what chain says is a result, JSON or not";
    ListUnbounded, "control_from_child", "missing bound": "control takes lists of any length, of elements without size too";
    RelockForgotten, "keystore_sequence", "signature while locked": "key store stays open after a change of passphrase";
    ConsentIgnored, "keystore_sequence", "leak of keys": "key store exports master keys without consent";
    SuperfluousWitness, "transaction_codec", "second encoding": "rpc-util reads a transaction with a flag for witnesses and none";
    DescriptorChecksum, "wallet_descriptor", "wrong checksum rule": "wallet-core compares seven of eight letters of a checksum";
    RuleLost, "spending_rules", "rule lost": "spend-policy writes down the first destination only";
    QuoteInName, "notify_template", "injection": "notify leaves quotes in a wallet's name to the shell";
}

/// Whether this fault is there now.
#[cfg(not(feature = "planted-faults"))]
#[must_use]
#[inline(always)]
pub const fn planted(_: Fault) -> bool {
    false
}

#[cfg(feature = "planted-faults")]
mod chosen {
    use super::Fault;
    use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

    const NONE: u8 = u8::MAX;
    static CHOSEN: AtomicU8 = AtomicU8::new(NONE);

    /// Whether this fault is there now. A call, so that the comparison is not among those that guide the driver.
    #[must_use]
    #[inline(never)]
    pub fn planted(fault: Fault) -> bool {
        CHOSEN.load(Relaxed) == fault as u8
    }

    /// From now on this fault is there, and no other.
    pub fn plant(fault: Fault) {
        CHOSEN.store(fault as u8, Relaxed);
    }
}

#[cfg(feature = "planted-faults")]
pub use chosen::{plant, planted};

/// The row with this name.
#[must_use]
pub fn row(name: &str) -> Option<&'static Row> {
    FAULTS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_faults_have_names_of_their_own() {
        assert_eq!(FAULTS.len(), 20);
        for entry in FAULTS {
            assert_eq!(row(entry.name), Some(entry));
            assert!(!planted(entry.fault));
        }
    }
}
