//! The form in which the cache keeps a coin: usual scripts lie in the entry itself, so that a coin costs no allocation.

use bitcoin::{Amount, ScriptBuf, TxOut};

use crate::Coin;

/// Longest script that fits into an entry: the pay-to-hash, witness and taproot forms do.
const INLINE: usize = 38;

#[derive(Debug, Clone)]
enum Script {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

/// A coin as the cache keeps it.
#[derive(Debug, Clone)]
pub(crate) struct PackedCoin {
    script: Script,
    value: u64,
    /// Height and coinbase flag, as in the stored form.
    code: u32,
}

impl PackedCoin {
    pub fn new(output: &TxOut, height: u32, coinbase: bool) -> Self {
        let bytes = output.script_pubkey.as_bytes();
        let script = if bytes.len() <= INLINE {
            let mut inline = [0u8; INLINE];
            inline[..bytes.len()].copy_from_slice(bytes);
            Script::Inline(bytes.len() as u8, inline) // at most INLINE
        } else {
            Script::Heap(bytes.into())
        };
        Self { script, value: output.value.to_sat(), code: height << 1 | u32::from(coinbase) }
    }

    fn script(&self) -> &[u8] {
        match &self.script {
            Script::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Script::Heap(bytes) => bytes,
        }
    }

    pub fn unpack(&self) -> Coin {
        Coin {
            output: TxOut { value: Amount::from_sat(self.value), script_pubkey: ScriptBuf::from_bytes(self.script().to_vec()) },
            height: self.code >> 1,
            coinbase: self.code & 1 == 1,
        }
    }

    /// Memory outside of the entry, in bytes.
    pub fn heap(&self) -> usize {
        match &self.script {
            Script::Inline(..) => 0,
            Script::Heap(bytes) => bytes.len().next_multiple_of(16) + 16,
        }
    }
}

impl From<&Coin> for PackedCoin {
    fn from(coin: &Coin) -> Self {
        Self::new(&coin.output, coin.height, coin.coinbase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_come_back_whatever_the_length_of_their_script() {
        for length in [0, 1, 25, INLINE, INLINE + 1, 10_000] {
            let script_pubkey = ScriptBuf::from_bytes(vec![0x51; length]);
            let coin = Coin {
                output: TxOut { value: Amount::from_sat(2_100_000_000_000_000), script_pubkey },
                height: 900_001,
                coinbase: length % 2 == 0,
            };
            let packed = PackedCoin::from(&coin);
            assert_eq!(packed.unpack(), coin);
            assert_eq!(packed.heap() > 0, length > INLINE);
        }
    }
}
