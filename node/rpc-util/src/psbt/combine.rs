//! Two PSBTs of one transaction into one (Core: `PartiallySignedTransaction::Merge`). What both have stays as the first has it.

use std::collections::BTreeMap;

use bitcoin::psbt::{Input, Output};
use bitcoin::{Sequence, Txid};

use super::{InputFields, Version2, VersionedPsbt};

/// Of the flags in `modifiable`, the one that says that a signature binds an input to its output.
const HAS_SINGLE: u8 = 1 << 2;

fn add<K: Ord, V>(to: &mut BTreeMap<K, V>, from: BTreeMap<K, V>) {
    for (key, value) in from {
        to.entry(key).or_insert(value);
    }
}

fn take<T>(to: &mut Option<T>, from: Option<T>) {
    if to.is_none() {
        *to = from;
    }
}

impl VersionedPsbt {
    /// Adds what another PSBT of the same version and transaction has. Answers whether it is one; if not, nothing happens.
    pub fn combine(&mut self, other: Self) -> bool {
        let id = self.unique_id();
        if id.is_none() || id != other.unique_id() || self.version() != other.version() {
            return false;
        }
        self.psbt.inputs.iter_mut().zip(other.psbt.inputs).for_each(|(to, from)| add_input(to, from));
        self.psbt.outputs.iter_mut().zip(other.psbt.outputs).for_each(|(to, from)| add_output(to, from));
        add(&mut self.psbt.xpub, other.psbt.xpub);
        add(&mut self.psbt.proprietary, other.psbt.proprietary);
        add(&mut self.psbt.unknown, other.psbt.unknown);
        if let (Some(to), Some(from)) = (&mut self.version_2, other.version_2) {
            add_version_2(to, from);
        }
        self.refresh_transaction();
        true
    }

    /// What identifies the transaction while sequences may still change (BIP370); `None` if there can be none.
    fn unique_id(&self) -> Option<Txid> {
        self.lock_time()?;
        let mut tx = self.psbt.unsigned_tx.clone();
        if self.version_2.is_some() {
            tx.input.iter_mut().for_each(|input| input.sequence = Sequence::ZERO);
        }
        Some(tx.compute_txid())
    }
}

fn add_input(to: &mut Input, from: Input) {
    take(&mut to.non_witness_utxo, from.non_witness_utxo);
    take(&mut to.witness_utxo, from.witness_utxo);
    add(&mut to.partial_sigs, from.partial_sigs);
    add(&mut to.ripemd160_preimages, from.ripemd160_preimages);
    add(&mut to.sha256_preimages, from.sha256_preimages);
    add(&mut to.hash160_preimages, from.hash160_preimages);
    add(&mut to.hash256_preimages, from.hash256_preimages);
    add(&mut to.bip32_derivation, from.bip32_derivation);
    add(&mut to.proprietary, from.proprietary);
    add(&mut to.unknown, from.unknown);
    add(&mut to.tap_script_sigs, from.tap_script_sigs);
    add(&mut to.tap_scripts, from.tap_scripts);
    add(&mut to.tap_key_origins, from.tap_key_origins);
    take(&mut to.redeem_script, from.redeem_script);
    take(&mut to.witness_script, from.witness_script);
    take(&mut to.final_script_sig, from.final_script_sig);
    take(&mut to.final_script_witness, from.final_script_witness);
    take(&mut to.tap_key_sig, from.tap_key_sig);
    take(&mut to.tap_internal_key, from.tap_internal_key);
    take(&mut to.tap_merkle_root, from.tap_merkle_root);
}

fn add_output(to: &mut Output, from: Output) {
    add(&mut to.bip32_derivation, from.bip32_derivation);
    add(&mut to.proprietary, from.proprietary);
    add(&mut to.unknown, from.unknown);
    add(&mut to.tap_key_origins, from.tap_key_origins);
    take(&mut to.redeem_script, from.redeem_script);
    take(&mut to.witness_script, from.witness_script);
    take(&mut to.tap_internal_key, from.tap_internal_key);
    take(&mut to.tap_tree, from.tap_tree);
}

fn add_version_2(to: &mut Version2, from: Version2) {
    take(&mut to.fallback_lock_time, from.fallback_lock_time);
    if to.modifiable.is_some() || from.modifiable.is_some() {
        let (mine, others) = (to.modifiable.unwrap_or(0), from.modifiable.unwrap_or(0));
        to.modifiable = Some(mine & others | (mine | others) & HAS_SINGLE);
    }
    for (to, InputFields { sequence, time_lock, height_lock }) in to.inputs.iter_mut().zip(from.inputs) {
        take(&mut to.sequence, sequence);
        take(&mut to.time_lock, time_lock);
        take(&mut to.height_lock, height_lock);
    }
}
