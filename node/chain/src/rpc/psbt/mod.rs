//! PSBT methods (BIP174).

use super::Handler;

pub(super) const METHODS: &[(&str, Handler)] = &[];
