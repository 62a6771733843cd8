//! Files that somebody else may have written.

use std::io;
use std::path::{Path, PathBuf};

use bulkhead_config::{ArgsManager, Files, options};

/// A data directory with these files in it; a folder is whatever has no dot in its name.
struct Memory<'a>(&'a [(&'a str, &'a [u8])]);

impl Files for Memory<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, _)| path.ends_with(name));
        found.map(|(_, content)| content.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.extension().is_none()
    }

    fn working_directory(&self) -> PathBuf {
        "/work".into()
    }

    fn home(&self) -> Option<PathBuf> {
        Some("/home".into())
    }
}

/// bitcoin.conf, and behind a zero byte another file that it may include by the name `more.conf`.
pub fn config_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let mut arguments = ArgsManager::new(options::NODE);
        let _ = arguments.read_config_text(text, "bitcoin.conf", true);
        let _ = arguments.chain_name();
        let _ = arguments.log_lines();
    }
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (first, more) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let files = Memory(&[("bitcoin.conf", first), ("more.conf", more)]);
    let ignore_invalid = data.len().is_multiple_of(2);
    let mut arguments = ArgsManager::new(options::NODE);
    if arguments.read_config_files(&files, ignore_invalid).is_ok() {
        let read_again = arguments.read_config_files(&files, ignore_invalid);
        assert!(read_again.is_ok(), "a file that was taken is refused: {read_again:?}");
    }
}

/// settings.json: what parses is written and parsed to the same again.
pub fn settings_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(settings) = bulkhead_config::parse_settings("settings.json", text)
    {
        let written = bulkhead_config::write_settings(&settings);
        assert_eq!(bulkhead_config::parse_settings("settings.json", &written).expect("our own file"), settings);
    }
}

/// A record of wallet.dat: one byte of key length, key, value.
pub fn wallet_record(data: &[u8]) {
    use bulkhead_wallet_core::record::Record;
    let Some((length, rest)) = data.split_first() else { return };
    let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
    if let Ok(record) = Record::decode(key, value) {
        let (key, value) = record.encode();
        assert_eq!(Record::decode(&key, &value).expect("our own record"), record);
    }
    let _ = bulkhead_wallet_core::record::is_public(key);
}

/// A map of autonomous systems: one that is taken answers for every address.
pub fn asmap_file(data: &[u8]) {
    use bulkhead_asmap::{interpret, is_sound};
    if is_sound(data) {
        let walk = (0..128).map(|bit| 1 << bit).chain([0, u128::MAX]);
        for address in walk {
            assert!(interpret(data, address).is_some(), "no answer for {address:x}");
        }
    }
}

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// peers.dat. The checksum at its end is made right, so that what is behind it is reached.
pub fn peers_file(data: &[u8]) {
    use bulkhead_addrman::{AddrMan, decode_peers, encode_peers};
    let file = with_checksum(data);
    if let Ok(addresses) = decode_peers(MAGIC, &file, AddrMan::deterministic()) {
        let written = encode_peers(MAGIC, &addresses);
        let again = decode_peers(MAGIC, &written, AddrMan::deterministic()).expect("our own file");
        assert_eq!(again.size(None, None), addresses.size(None, None));
    }
    // Tables take time to make, and another magic ends it before them.
    if data.starts_with(&MAGIC) {
        let _ = decode_peers(MAGIC, data, AddrMan::deterministic());
    }
}

/// anchors.dat, with its checksum made right.
pub fn anchors_file(data: &[u8]) {
    use bulkhead_addrman::{decode_anchors, encode_anchors};
    if let Ok(anchors) = decode_anchors(MAGIC, &with_checksum(data)) {
        assert_eq!(decode_anchors(MAGIC, &encode_anchors(MAGIC, &anchors)).expect("our own file"), anchors);
    }
}

/// Network magic in front, double SHA-256 behind.
fn with_checksum(content: &[u8]) -> Vec<u8> {
    use bitcoin::hashes::{Hash, sha256d};
    let mut file = [&MAGIC, content].concat();
    let sum = sha256d::Hash::hash(&file);
    file.extend_from_slice(sum.as_byte_array());
    file
}

/// banlist.json.
pub fn ban_list(data: &[u8]) {
    use bulkhead_addrman::BanList;
    if let Some(list) = BanList::from_json(data) {
        let again = BanList::from_json(list.to_json().as_bytes()).expect("our own file");
        assert_eq!(again.len(), list.len());
        banned(list);
    }
}

/// Bans are asked for, made and lifted.
fn banned(mut list: bulkhead_addrman::BanList) {
    const NOW: i64 = 1_700_000_000;
    let before = list.len();
    let bans = list.banned(NOW);
    assert!(list.len() == bans.len() && bans.len() <= before);
    for (subnet, ban) in &bans {
        assert_eq!(list.is_banned_subnet(subnet, NOW), NOW < ban.until);
        assert_eq!(list.ban(*subnet, NOW, NOW + 10), ban.until < NOW + 10);
        assert!(list.is_banned_subnet(subnet, NOW));
    }
    let address = bulkhead_wire::NetAddr::parse("203.0.113.7").expect("an address");
    let covered = bans.iter().any(|(subnet, _)| subnet.contains(&address));
    assert_eq!(list.is_banned(&address, NOW), covered);
    list.discourage(&address);
    assert!(list.is_discouraged(&address));
    for (subnet, _) in &bans {
        assert!(list.unban(subnet) && !list.unban(subnet));
    }
    assert!(list.is_empty() && list.take_dirty() || bans.is_empty());
    list.clear();
}
