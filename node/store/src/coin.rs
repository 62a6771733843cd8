//! An unspent output and its stored form (Core: `coins.h`, `txdb.cpp`).

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, TxOut, Txid};
use bulkhead_planted::{Fault, planted};

use crate::codec::{CodecError, Reader, put_tx_out, put_varint};

/// An unspent output with what validation needs to know of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Amount and script.
    pub output: TxOut,
    /// Height of the block that created it.
    pub height: u32,
    /// Whether a coinbase created it.
    pub coinbase: bool,
}

impl Coin {
    /// Stored form: height and coinbase flag in one VARINT, then the compressed output.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        put_varint(&mut out, u64::from(self.height) << 1 | u64::from(self.coinbase));
        put_tx_out(&mut out, &self.output);
        out
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let coin = Self::read(&mut reader)?;
        if !planted(Fault::CoinTrailing) {
            reader.finish()?;
        }
        Ok(coin)
    }

    /// Reads the stored form from the front of what `reader` has.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let code = reader.varint_u32()?;
        Ok(Self { output: reader.tx_out()?, height: code >> 1, coinbase: code & 1 == 1 })
    }

    /// Whether the script can never be satisfied, so that the output is not kept (Core: `IsUnspendable`).
    pub fn is_unspendable(script: &[u8]) -> bool {
        script.first() == Some(&0x6a) || script.len() > 10_000
    }
}

/// Key of a coin: transaction id, then the output number as VARINT, so that keys sort as in Core's database.
pub fn key(outpoint: &OutPoint) -> Vec<u8> {
    let mut out = Vec::with_capacity(37);
    out.extend_from_slice(outpoint.txid.as_byte_array());
    put_varint(&mut out, u64::from(outpoint.vout));
    out
}

/// Reads a key.
pub fn decode_key(bytes: &[u8]) -> Result<OutPoint, CodecError> {
    let mut reader = Reader::new(bytes);
    let txid = Txid::from_byte_array(reader.array()?);
    let vout = reader.varint_u32()?;
    reader.finish()?;
    Ok(OutPoint { txid, vout })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf};

    /// Values of Core's own unit tests (`coins_tests.cpp`, ccoins_serialization).
    #[test]
    fn coins_are_stored_like_core_does() {
        let bytes = hex_of("97f23c835800816115944e077fe7c803cfa57f29b36bf87c1d35");
        let coin = Coin::decode(&bytes).unwrap();
        assert!(!coin.coinbase);
        assert_eq!(coin.height, 203_998);
        assert_eq!(coin.output.value, Amount::from_sat(60_000_000_000));
        assert_eq!(coin.encode(), bytes);
        let bytes = hex_of("8ddf77bbd123008c988f1a4a4de2161e0f50aac7f17e7f9555caa4");
        let coin = Coin::decode(&bytes).unwrap();
        assert!(coin.coinbase);
        assert_eq!(coin.height, 120_891);
        assert_eq!(coin.output.value, Amount::from_sat(110_397));
        assert_eq!(coin.encode(), bytes);
    }

    #[test]
    fn corrupt_coins_are_errors() {
        let good =
            Coin { output: TxOut { value: Amount::from_sat(5), script_pubkey: ScriptBuf::new() }, height: 3, coinbase: true }
                .encode();
        for cut in 0..good.len() {
            assert!(Coin::decode(&good[..cut]).is_err());
        }
        let mut long = good.clone();
        long.push(0);
        assert_eq!(Coin::decode(&long), Err(CodecError::Trailing));
        assert_eq!(Coin::decode(&hex_of("0007")), Err(CodecError::Truncated), "script of one byte is missing");
    }

    fn hex_of(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
