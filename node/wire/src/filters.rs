//! Block filters (BIP 157): `getcfilters`, `getcfheaders`, `getcfcheckpt` and their answers.

use crate::reader::{DecodeError, Reader, put_length};

/// The only filter type there is (BIP 158).
pub const BASIC: u8 = 0;
/// Most filters of one `getcfilters`.
pub const MAX_FILTERS: u32 = 1000;
/// Most filter hashes of one `getcfheaders`.
pub const MAX_HASHES: u32 = 2000;
/// Blocks between two checkpoints.
pub const CHECKPOINT_INTERVAL: u32 = 1000;

/// A range of blocks of which filters or filter hashes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterRequest {
    /// Filter type as sent.
    pub kind: u8,
    /// Height of the first block; 0 in `getcfcheckpt`.
    pub start: u32,
    /// Last block, internal order.
    pub stop: [u8; 32],
}

impl FilterRequest {
    /// Reads a `getcfilters` or `getcfheaders`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_range(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self { kind: reader.u8()?, start: reader.u32()?, stop: reader.array()? })
    }

    /// Reads a `getcfcheckpt`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_checkpoints(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self { kind: reader.u8()?, start: 0, stop: reader.array()? })
    }
}

impl FilterRequest {
    /// Body of a `getcfilters` or `getcfheaders`.
    #[must_use]
    pub fn encode_range(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.stop);
        out
    }

    /// Body of a `getcfcheckpt`.
    #[must_use]
    pub fn encode_checkpoints(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        out.extend_from_slice(&self.stop);
        out
    }
}

/// Body of a `cfilter`.
#[must_use]
pub fn filter(block: &[u8; 32], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(38 + content.len());
    out.push(BASIC);
    out.extend_from_slice(block);
    put_length(&mut out, content.len());
    out.extend_from_slice(content);
    out
}

/// Body of a `cfheaders`.
#[must_use]
pub fn hashes(stop: &[u8; 32], previous: &[u8; 32], hashes: &[[u8; 32]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(70 + hashes.len() * 32);
    out.push(BASIC);
    out.extend_from_slice(stop);
    out.extend_from_slice(previous);
    put_length(&mut out, hashes.len());
    out.extend_from_slice(hashes.as_flattened());
    out
}

/// Body of a `cfcheckpt`.
#[must_use]
pub fn checkpoints(stop: &[u8; 32], headers: &[[u8; 32]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(38 + headers.len() * 32);
    out.push(BASIC);
    out.extend_from_slice(stop);
    put_length(&mut out, headers.len());
    out.extend_from_slice(headers.as_flattened());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn requests_are_read() {
        let mut body = vec![0, 7, 0, 0, 0];
        body.extend([9; 32]);
        assert_eq!(FilterRequest::decode_range(&body), Ok(FilterRequest { kind: 0, start: 7, stop: [9; 32] }));
        assert!(FilterRequest::decode_range(&body[..36]).is_err());
        let mut body = vec![3];
        body.extend([9; 32]);
        assert_eq!(FilterRequest::decode_checkpoints(&body), Ok(FilterRequest { kind: 3, start: 0, stop: [9; 32] }));
    }

    #[test]
    fn answers_have_the_fields_of_the_bip() {
        assert_eq!(filter(&[1; 32], &[2, 3])[33..], [2, 2, 3]);
        assert_eq!(hashes(&[1; 32], &[2; 32], &[[3; 32]; 2])[65], 2);
        assert_eq!(checkpoints(&[1; 32], &[[3; 32]]).len(), 1 + 32 + 1 + 32);
    }
}
