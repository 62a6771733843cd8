//! Inventory vectors: what `inv`, `getdata` and `notfound` name.

use std::fmt;

use crate::reader::{DecodeError, Reader};

/// Asks for the witness as well (BIP 144).
pub const WITNESS_FLAG: u32 = 1 << 30;
/// Transaction by txid.
pub const TX: u32 = 1;
/// Block.
pub const BLOCK: u32 = 2;
/// Merkle block (BIP 37).
pub const FILTERED_BLOCK: u32 = 3;
/// Compact block (BIP 152).
pub const COMPACT_BLOCK: u32 = 4;
/// Transaction by wtxid (BIP 339).
pub const WTX: u32 = 5;

/// One entry: a type number, kept even when unknown, and a hash in internal order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inventory {
    /// Type number as it was sent.
    pub kind: u32,
    /// 32 bytes, internal order.
    pub hash: [u8; 32],
}

/// The types that we act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Transaction by txid, without witness.
    Tx,
    /// Transaction by txid, with witness.
    WitnessTx,
    /// Transaction by wtxid.
    Wtx,
    /// Block without witness.
    Block,
    /// Block with witness.
    WitnessBlock,
    /// Merkle block.
    FilteredBlock,
    /// Compact block.
    CompactBlock,
    /// Anything else.
    Unknown,
}

impl Inventory {
    /// An entry.
    #[must_use]
    pub fn new(kind: u32, hash: [u8; 32]) -> Self {
        Self { kind, hash }
    }

    /// The type, as far as we know it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        const WITNESS_TX: u32 = TX | WITNESS_FLAG;
        const WITNESS_BLOCK: u32 = BLOCK | WITNESS_FLAG;
        match self.kind {
            TX => Kind::Tx,
            WITNESS_TX => Kind::WitnessTx,
            WTX => Kind::Wtx,
            BLOCK => Kind::Block,
            WITNESS_BLOCK => Kind::WitnessBlock,
            FILTERED_BLOCK => Kind::FilteredBlock,
            COMPACT_BLOCK => Kind::CompactBlock,
            _ => Kind::Unknown,
        }
    }

    /// Whether it names a transaction in any form.
    #[must_use]
    pub fn is_transaction(&self) -> bool {
        matches!(self.kind(), Kind::Tx | Kind::WitnessTx | Kind::Wtx)
    }

    /// Whether it names a block in any form.
    #[must_use]
    pub fn is_block(&self) -> bool {
        matches!(self.kind(), Kind::Block | Kind::WitnessBlock | Kind::FilteredBlock | Kind::CompactBlock)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { kind: reader.u32()?, hash: reader.array()? })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.hash);
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind & (u32::MAX >> 2) {
            TX => "tx",
            WTX => "wtx",
            BLOCK => "block",
            FILTERED_BLOCK => "merkleblock",
            COMPACT_BLOCK => "cmpctblock",
            _ => return write!(out, "0x{:08x} {}", self.kind, crate::message::hash_hex(&self.hash)),
        };
        let prefix = if self.kind & WITNESS_FLAG != 0 { "witness-" } else { "" };
        write!(out, "{prefix}{name} {}", crate::message::hash_hex(&self.hash))
    }
}
