//! The packet cipher of BIP 324: key schedule, encrypted lengths, authenticated packets, a new key every 224 packets.

use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::ellswift::{ElligatorSwift, ElligatorSwiftParty};
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Tag};
use hkdf::Hkdf;
use sha2::Sha256;

/// Bytes of the encrypted length in front of each packet.
pub(super) const LENGTH_SIZE: usize = 3;
/// Bytes of the authenticated header in front of the contents.
const HEADER_SIZE: usize = 1;
/// Bytes of the authentication tag behind the contents.
const TAG_SIZE: usize = 16;
/// What a packet takes beyond its contents.
pub(crate) const EXPANSION: usize = LENGTH_SIZE + HEADER_SIZE + TAG_SIZE;
/// Bytes of a garbage terminator.
pub(super) const TERMINATOR_SIZE: usize = 16;
/// Header bit of packets whose contents mean nothing.
const IGNORE: u8 = 0x80;
/// Packets under one key.
const REKEY_INTERVAL: u32 = 224;
/// Takes the place of the packet number when the next key is made.
const REKEY_NONCE: u32 = u32::MAX;

fn nonce(low: u32, rekeyed: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&low.to_le_bytes());
    nonce[4..].copy_from_slice(&rekeyed.to_le_bytes());
    nonce
}

/// `FSChaCha20`: encrypts the lengths of one direction.
struct LengthCipher {
    stream: chacha20::ChaCha20,
    used: u32,
    rekeyed: u64,
}

impl LengthCipher {
    fn new(key: [u8; 32]) -> Self {
        Self { stream: chacha20::ChaCha20::new(&key.into(), &nonce(0, 0).into()), used: 0, rekeyed: 0 }
    }

    fn apply(&mut self, length: &mut [u8; LENGTH_SIZE]) {
        self.stream.apply_keystream(length);
        self.used += 1;
        if self.used == REKEY_INTERVAL {
            let mut key = [0; 32];
            self.stream.apply_keystream(&mut key);
            self.used = 0;
            self.rekeyed += 1;
            self.stream = chacha20::ChaCha20::new(&key.into(), &nonce(0, self.rekeyed).into());
        }
    }
}

/// `FSChaCha20Poly1305`: encrypts the packets of one direction.
struct PacketCipher {
    aead: ChaCha20Poly1305,
    used: u32,
    rekeyed: u64,
}

impl PacketCipher {
    fn new(key: [u8; 32]) -> Self {
        Self { aead: ChaCha20Poly1305::new(&key.into()), used: 0, rekeyed: 0 }
    }

    /// The tag of `bytes`, which are encrypted in place.
    fn encrypt(&mut self, bytes: &mut [u8], aad: &[u8]) -> Tag {
        let tag = self
            .aead
            .encrypt_in_place_detached(&nonce(self.used, self.rekeyed).into(), aad, bytes)
            .expect("a packet is shorter than the 256 GiB that the cipher can take");
        self.next();
        tag
    }

    /// Whether `bytes`, which are decrypted in place, are authentic.
    fn decrypt(&mut self, bytes: &mut [u8], aad: &[u8], tag: &Tag) -> bool {
        let authentic = self.aead.decrypt_in_place_detached(&nonce(self.used, self.rekeyed).into(), aad, bytes, tag).is_ok();
        self.next();
        authentic
    }

    fn next(&mut self) {
        self.used += 1;
        if self.used == REKEY_INTERVAL {
            let mut key = [0; 32];
            self.aead
                .encrypt_in_place_detached(&nonce(REKEY_NONCE, self.rekeyed).into(), &[], &mut key)
                .expect("32 bytes are shorter than what the cipher can take");
            self.used = 0;
            self.rekeyed += 1;
            self.aead = ChaCha20Poly1305::new(&key.into());
        }
    }
}

/// Both directions of one connection, after the keys were exchanged.
pub(super) struct Cipher {
    our_lengths: LengthCipher,
    our_packets: PacketCipher,
    their_lengths: LengthCipher,
    their_packets: PacketCipher,
    /// Equal on both sides; users compare it to find somebody in the middle.
    pub(super) session_id: [u8; 32],
    /// Ends our garbage.
    pub(super) our_terminator: [u8; TERMINATOR_SIZE],
    /// Ends theirs.
    pub(super) their_terminator: [u8; TERMINATOR_SIZE],
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").finish_non_exhaustive()
    }
}

impl Cipher {
    /// The key schedule.
    pub(super) fn new(magic: [u8; 4], secret: SecretKey, ours: ElligatorSwift, theirs: ElligatorSwift, initiating: bool) -> Self {
        let shared = if initiating {
            ElligatorSwift::shared_secret(ours, theirs, secret, ElligatorSwiftParty::A, None)
        } else {
            ElligatorSwift::shared_secret(theirs, ours, secret, ElligatorSwiftParty::B, None)
        };
        let salt = [b"bitcoin_v2_shared_secret".as_slice(), &magic].concat();
        let schedule = Hkdf::<Sha256>::new(Some(&salt), shared.as_secret_bytes());
        let expand = |name: &str| {
            let mut key = [0; 32];
            schedule.expand(name.as_bytes(), &mut key).expect("32 bytes are within what HKDF can expand to");
            key
        };
        let initiator = (LengthCipher::new(expand("initiator_L")), PacketCipher::new(expand("initiator_P")));
        let responder = (LengthCipher::new(expand("responder_L")), PacketCipher::new(expand("responder_P")));
        let terminators = expand("garbage_terminators");
        let (mut first, mut second) = ([0; TERMINATOR_SIZE], [0; TERMINATOR_SIZE]);
        first.copy_from_slice(&terminators[..TERMINATOR_SIZE]);
        second.copy_from_slice(&terminators[TERMINATOR_SIZE..]);
        let session_id = expand("session_id");
        let ((our_lengths, our_packets), (their_lengths, their_packets)) =
            if initiating { (initiator, responder) } else { (responder, initiator) };
        let (our_terminator, their_terminator) = if initiating { (first, second) } else { (second, first) };
        Self { our_lengths, our_packets, their_lengths, their_packets, session_id, our_terminator, their_terminator }
    }

    /// A packet. `contents` holds its contents behind [`CONTENTS_AT`] bytes of any value and grows by the tag.
    pub(super) fn encrypt(&mut self, packet: &mut Vec<u8>, aad: &[u8], ignore: bool) {
        let length = u32::try_from(packet.len() - CONTENTS_AT).unwrap_or(u32::MAX).to_le_bytes();
        let mut length = [length[0], length[1], length[2]];
        self.our_lengths.apply(&mut length);
        packet[..LENGTH_SIZE].copy_from_slice(&length);
        packet[LENGTH_SIZE] = if ignore { IGNORE } else { 0 };
        let tag = self.our_packets.encrypt(&mut packet[LENGTH_SIZE..], aad);
        packet.extend_from_slice(&tag);
    }

    /// Length of the contents of the packet that begins with these bytes.
    pub(super) fn decrypt_length(&mut self, mut length: [u8; LENGTH_SIZE]) -> usize {
        self.their_lengths.apply(&mut length);
        usize::from(length[0]) | usize::from(length[1]) << 8 | usize::from(length[2]) << 16
    }

    /// Decrypts what follows the length in place: header, contents and tag. Afterwards the contents are
    /// `packet[HEADER..packet.len() - TAG]`, see [`contents`]. `None`: not authentic; otherwise whether to ignore it.
    pub(super) fn decrypt(&mut self, packet: &mut [u8], aad: &[u8]) -> Option<bool> {
        let (bytes, tag) = packet.split_at_mut_checked(packet.len().checked_sub(TAG_SIZE)?)?;
        let authentic = self.their_packets.decrypt(bytes, aad, Tag::from_slice(tag));
        authentic.then(|| bytes.first().is_some_and(|header| header & IGNORE != 0))
    }
}

/// Bytes in front of the contents in [`Cipher::encrypt`].
pub(super) const CONTENTS_AT: usize = LENGTH_SIZE + HEADER_SIZE;

/// Where the contents are in a decrypted packet of this length.
pub(super) fn contents(packet_length: usize) -> std::ops::Range<usize> {
    HEADER_SIZE..packet_length.saturating_sub(TAG_SIZE).max(HEADER_SIZE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// The vectors of BIP 324, `packet_encoding_test_vectors.csv`.
    const VECTORS: &str = include_str!("../../tests/data/bip324_packets.csv");
    const MAGIC: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn key(hex: &str) -> ElligatorSwift {
        ElligatorSwift::from_array(bytes(hex).try_into().unwrap())
    }

    #[test]
    fn packets_equal_the_vectors_of_the_bip() {
        let mut rows = VECTORS.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = rows.next().unwrap();
        let column = |name: &str| names.iter().position(|found| *found == name).unwrap();
        let mut checked = 0;
        for row in rows {
            let field = |name: &str| row[column(name)];
            let secret = SecretKey::from_slice(&bytes(field("in_priv_ours"))).unwrap();
            let (ours, theirs) = (key(field("in_ellswift_ours")), key(field("in_ellswift_theirs")));
            let mut cipher = Cipher::new(MAGIC, secret, ours, theirs, field("in_initiating") == "1");
            assert_eq!(cipher.session_id.to_vec(), bytes(field("out_session_id")));
            assert_eq!(cipher.our_terminator.to_vec(), bytes(field("mid_send_garbage_terminator")));
            assert_eq!(cipher.their_terminator.to_vec(), bytes(field("mid_recv_garbage_terminator")));
            for _ in 0..field("in_idx").parse::<u32>().unwrap() {
                cipher.encrypt(&mut vec![0; CONTENTS_AT], &[], true);
            }
            let mut packet = vec![0; CONTENTS_AT];
            packet.extend(bytes(field("in_contents")).repeat(field("in_multiply").parse().unwrap()));
            cipher.encrypt(&mut packet, &bytes(field("in_aad")), field("in_ignore") == "1");
            if !field("out_ciphertext").is_empty() {
                assert_eq!(packet, bytes(field("out_ciphertext")));
            }
            assert!(packet.ends_with(&bytes(field("out_ciphertext_endswith"))));
            checked += 1;
        }
        assert_eq!(checked, 7);
    }
}
