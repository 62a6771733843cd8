//! Undo data of a block: the coins that it spent (Core: `undo.h`).

use crate::codec::{CodecError, Reader, put_count, put_tx_out, put_varint};
use crate::coin::Coin;

/// Coins that one block spent: per transaction after the coinbase, per input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockUndo {
    /// One entry per transaction except the coinbase.
    pub transactions: Vec<Vec<Coin>>,
}

impl BlockUndo {
    /// Core's serialization.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.transactions.len());
        for coins in &self.transactions {
            put_count(&mut out, coins.len());
            for coin in coins {
                put_varint(&mut out, u64::from(coin.height) << 1 | u64::from(coin.coinbase));
                if coin.height > 0 {
                    out.push(0); // where old versions kept the transaction's version
                }
                put_tx_out(&mut out, &coin.output);
            }
        }
        out
    }

    /// Reads Core's serialization; all of `bytes` must be used.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count()?;
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            let inputs = reader.count()?;
            let mut coins = Vec::with_capacity(inputs.min(1024)); // a coin takes more memory than its shortest form
            for _ in 0..inputs {
                coins.push(read_coin(&mut reader)?);
            }
            transactions.push(coins);
        }
        reader.finish()?;
        Ok(Self { transactions })
    }
}

fn read_coin(reader: &mut Reader<'_>) -> Result<Coin, CodecError> {
    let code = reader.varint_u32()?;
    let height = code >> 1;
    if height > 0 {
        reader.varint()?;
    }
    Ok(Coin { output: reader.tx_out()?, height, coinbase: code & 1 == 1 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxOut};

    #[test]
    fn undo_comes_back_and_corruption_is_an_error() {
        let coin = |height, value| Coin {
            output: TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from_bytes(vec![0x51; 5]) },
            height,
            coinbase: height % 2 == 0,
        };
        let undo = BlockUndo { transactions: vec![vec![coin(0, 1), coin(7, 100)], vec![coin(100_000, 12_345)]] };
        let bytes = undo.encode();
        assert_eq!(BlockUndo::decode(&bytes).unwrap(), undo);
        for cut in 0..bytes.len() {
            assert!(BlockUndo::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn a_huge_count_allocates_nothing() {
        assert_eq!(BlockUndo::decode(&[0xfe, 0xff, 0xff, 0xff, 0x7f, 0]), Err(CodecError::Count));
    }
}
