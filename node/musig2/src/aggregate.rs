//! Aggregate keys and what is derived from them.

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::secp256k1::PublicKey;
use secp256k1_musig::musig::KeyAggCache;

/// The chain code of every aggregate key (BIP328).
pub const CHAIN_CODE: [u8; 32] = [
    0x86, 0x80, 0x87, 0xca, 0x02, 0xa6, 0xf9, 0x74, 0xc4, 0x59, 0x89, 0x24, 0xc3, 0x6b, 0x57, 0x76, 0x2d, 0x32, 0xcb, 0x45, 0x71,
    0x71, 0x67, 0xe3, 0x00, 0x62, 0x2c, 0x71, 0x67, 0xe3, 0x89, 0x65,
];

/// The key in the other version of the crate.
pub(crate) fn convert(key: &PublicKey) -> Option<secp256k1_musig::PublicKey> {
    secp256k1_musig::PublicKey::from_byte_array_compressed(key.serialize()).ok()
}

/// The aggregation of keys, in their order; `None` without any.
pub(crate) fn cache(participants: &[PublicKey]) -> Option<KeyAggCache> {
    let keys: Vec<_> = participants.iter().map(convert).collect::<Option<_>>()?;
    let borrowed: Vec<_> = keys.iter().collect();
    (!borrowed.is_empty()).then(|| KeyAggCache::new(&borrowed))
}

pub(crate) fn aggregate_of(cache: &KeyAggCache) -> Option<PublicKey> {
    PublicKey::from_slice(&cache.agg_pk_full().serialize()).ok()
}

/// The aggregate of these keys, in their order (descriptors sort them by their bytes first); `None` without any.
#[must_use]
pub fn aggregate(participants: &[PublicKey]) -> Option<PublicKey> {
    aggregate_of(&cache(participants)?)
}

/// The extended key that keys below an aggregate key are derived from (BIP328).
#[must_use]
pub fn synthetic_xpub(aggregate: PublicKey) -> Xpub {
    Xpub {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key: aggregate,
        chain_code: ChainCode::from(CHAIN_CODE),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    /// Vectors of BIP327 (`key_agg_vectors.json`): order and repetition count.
    #[test]
    fn keys_aggregate_as_in_bip327() {
        let keys = [
            key("02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"),
            key("03dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659"),
            key("023590a94e768f8e1815c2f24b4d80a8e3149316c3518ce7b7ad338368d038ca66"),
        ];
        let x = |order: &[usize]| {
            let keys: Vec<PublicKey> = order.iter().map(|index| keys[*index]).collect();
            aggregate(&keys).unwrap().x_only_public_key().0.to_string()
        };
        assert_eq!(x(&[0, 1, 2]), "90539eede565f5d054f32cc0c220126889ed1e5d193baf15aef344fe59d4610c");
        assert_eq!(x(&[2, 1, 0]), "6204de8b083426dc6eaf9502d27024d53fc826bf7d2012148a0575435df54b2b");
        assert_eq!(x(&[0, 0, 0]), "b436e3bad62b8cd409969a224731c193d051162d8c5ae8b109306127da3aa935");
        assert_eq!(x(&[0, 0, 1, 1]), "69bc22bfa5d106306e48a20679de1d7389386124d07571d0d872686028c26a3e");
        assert_eq!(aggregate(&[]), None);
    }

    /// The vector of BIP328.
    #[test]
    fn a_synthetic_key_is_that_of_bip328() {
        let keys = [
            key("03935f972da013f80ae011890fa89b67a27b7be6ccb24d3274d18b2d4067f261a9"),
            key("02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"),
        ];
        let aggregate = aggregate(&keys).unwrap();
        assert_eq!(aggregate.to_string(), "0354240c76b8f2999143301a99c7f721ee57eee0bce401df3afeaa9ae218c70f23");
        let expected =
            "xpub661MyMwAqRbcFt6tk3uaczE1y6EvM1TqXvawXcYmFEWijEM4PDBnuCXwwXEKGEouzXE6QLLRxjatMcLLzJ5LV5Nib1BN7vJg6yp45yHHRbm";
        assert_eq!(synthetic_xpub(aggregate).to_string(), expected);
    }
}
