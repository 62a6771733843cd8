//! Signatures: OP_CHECKSIG, OP_CHECKSIGADD, OP_CHECKMULTISIG and their VERIFY forms.

use std::borrow::Cow;

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all as op;

use super::{Machine, SigVersion, Step};
use crate::instruction::{find_and_delete, push_of};
use crate::{Flags, ScriptError, encoding};

/// Public keys of one OP_CHECKMULTISIG.
const MAX_KEYS: usize = 20;
/// Validation weight that a signature uses up (BIP342).
const WEIGHT_PER_SIGNATURE: i64 = 50;

impl Machine<'_> {
    pub(super) fn signature(&mut self, opcode: u8) -> Step {
        match Opcode::from(opcode) {
            op::OP_CHECKSIG => self.check_top(),
            op::OP_CHECKSIGVERIFY => {
                self.check_top()?;
                self.verify_top(ScriptError::CheckSigVerify)
            }
            op::OP_CHECKSIGADD if self.version == SigVersion::Tapscript => {
                self.need(3)?;
                let sum = self.peek_number(1)?;
                let key = self.pop()?;
                self.drop_top(1);
                let signature = self.pop()?;
                let valid = self.check(&signature, &key)?;
                self.push_number(sum + i64::from(valid))
            }
            op::OP_CHECKMULTISIG | op::OP_CHECKMULTISIGVERIFY if self.version == SigVersion::Tapscript => {
                Err(ScriptError::TapscriptCheckMultisig)
            }
            op::OP_CHECKMULTISIG => self.check_multisig(),
            op::OP_CHECKMULTISIGVERIFY => {
                self.check_multisig()?;
                self.verify_top(ScriptError::CheckMultisigVerify)
            }
            _ => Err(ScriptError::BadOpcode),
        }
    }

    fn check_top(&mut self) -> Step {
        self.need(2)?;
        let key = self.pop()?;
        let signature = self.pop()?;
        let valid = self.check(&signature, &key)?;
        self.push_bool(valid);
        Ok(())
    }

    /// Whether a signature matches; an error is one that ends the script.
    fn check(&mut self, signature: &[u8], key: &[u8]) -> Result<bool, ScriptError> {
        if self.version == SigVersion::Tapscript {
            return self.check_schnorr(signature, key);
        }
        let script = self.delete_signature(Cow::Borrowed(&self.script[self.code_start..]), signature)?;
        encoding::check_signature(signature, self.flags)?;
        encoding::check_public_key(key, self.flags, self.version)?;
        let valid = self.checker.ecdsa(signature, key, &script, self.version);
        if !valid && self.flags.intersects(Flags::NULLFAIL) && !signature.is_empty() {
            return Err(ScriptError::SigNullFail);
        }
        Ok(valid)
    }

    /// BIP342: the order of these checks is part of the rules.
    fn check_schnorr(&mut self, signature: &[u8], key: &[u8]) -> Result<bool, ScriptError> {
        let claimed = !signature.is_empty();
        if claimed {
            self.execution.weight_left -= WEIGHT_PER_SIGNATURE;
            if self.execution.weight_left < 0 {
                return Err(ScriptError::TapscriptValidationWeight);
            }
        }
        match key.len() {
            0 => return Err(ScriptError::TapscriptEmptyPubkey),
            32 if claimed => self.checker.schnorr(signature, key, self.execution)?,
            32 => {}
            _ if self.flags.intersects(Flags::DISCOURAGE_UPGRADABLE_PUBKEYTYPE) => {
                return Err(ScriptError::DiscourageUpgradablePubkeyType);
            }
            // Kept free for later rules.
            _ => {}
        }
        Ok(claimed)
    }

    /// Takes a signature out of the script that it signs, as scripts before segwit have it.
    fn delete_signature<'s>(&self, script: Cow<'s, [u8]>, signature: &[u8]) -> Result<Cow<'s, [u8]>, ScriptError> {
        if self.version != SigVersion::Base {
            return Ok(script);
        }
        match find_and_delete(&script, &push_of(signature)) {
            None => Ok(script),
            Some(_) if self.flags.intersects(Flags::CONST_SCRIPTCODE) => Err(ScriptError::SigFindAndDelete),
            Some(without) => Ok(Cow::Owned(without)),
        }
    }

    /// `dummy signatures count keys count`: the dummy is there by an old mistake.
    fn check_multisig(&mut self) -> Step {
        let keys = usize::try_from(self.peek_number(0)?).ok().filter(|keys| *keys <= MAX_KEYS).ok_or(ScriptError::PubkeyCount)?;
        self.count_operations(keys)?;
        self.need(keys + 2)?;
        let claimed = self.peek_number(keys + 1)?;
        let signatures = usize::try_from(claimed).ok().filter(|count| *count <= keys).ok_or(ScriptError::SigCount)?;
        self.need(keys + signatures + 3)?;
        let (first_key, first_signature) = (1, keys + 2);
        let mut script = Cow::Borrowed(&self.script[self.code_start..]);
        for number in 0..signatures {
            script = self.delete_signature(script, self.peek(first_signature + number)?)?;
        }
        let valid = self.match_signatures(&script, (first_signature, signatures), (first_key, keys))?;
        if !valid && self.flags.intersects(Flags::NULLFAIL) {
            for number in 0..signatures {
                if !self.peek(first_signature + number)?.is_empty() {
                    return Err(ScriptError::SigNullFail);
                }
            }
        }
        self.drop_top(keys + signatures + 2);
        let dummy = self.pop()?;
        if self.flags.intersects(Flags::NULLDUMMY) && !dummy.is_empty() {
            return Err(ScriptError::SigNullDummy);
        }
        self.push_bool(valid);
        Ok(())
    }

    /// Whether each signature matches a key, both in order. Places and counts are from the top of the stack.
    fn match_signatures(
        &self,
        script: &[u8],
        (mut signature, mut signatures): (usize, usize),
        (mut key, mut keys): (usize, usize),
    ) -> Result<bool, ScriptError> {
        while signatures > 0 {
            if signatures > keys {
                return Ok(false);
            }
            let (bytes, key_bytes) = (self.peek(signature)?, self.peek(key)?);
            // Which pairs are looked at can be observed through these errors.
            encoding::check_signature(bytes, self.flags)?;
            encoding::check_public_key(key_bytes, self.flags, self.version)?;
            if self.checker.ecdsa(bytes, key_bytes, script, self.version) {
                signature += 1;
                signatures -= 1;
            }
            key += 1;
            keys -= 1;
        }
        Ok(true)
    }
}
