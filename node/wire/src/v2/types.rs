//! How the contents of a packet name their message: one byte for the frequent ones, twelve for all others.

use crate::frame::COMMAND_SIZE;

/// Commands by their number (BIP 324 and its list of message type ids). No name: reserved for a message that we
/// do not know.
const NUMBERED: [&str; 38] = [
    "",
    "addr",
    "block",
    "blocktxn",
    "cmpctblock",
    "feefilter",
    "filteradd",
    "filterclear",
    "filterload",
    "getblocks",
    "getblocktxn",
    "getdata",
    "getheaders",
    "headers",
    "inv",
    "mempool",
    "merkleblock",
    "notfound",
    "ping",
    "pong",
    "sendcmpct",
    "tx",
    "getcfilters",
    "cfilter",
    "getcfheaders",
    "cfheaders",
    "getcfcheckpt",
    "cfcheckpt",
    "addrv2",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "feature",
];

/// Appends the name of a message.
pub fn put(command: &str, out: &mut Vec<u8>) {
    let number = (1u8..).zip(&NUMBERED[1..]).find(|(_, name)| **name == command);
    if let Some((number, _)) = number {
        out.push(number);
        return;
    }
    let mut name = [0; 1 + COMMAND_SIZE];
    for (slot, byte) in name[1..].iter_mut().zip(command.bytes()) {
        *slot = byte;
    }
    out.extend_from_slice(&name);
}

/// The name of a message, and how many bytes it takes.
#[must_use]
pub fn get(contents: &[u8]) -> Option<(String, usize)> {
    let (first, rest) = contents.split_first()?;
    if *first != 0 {
        return NUMBERED.get(usize::from(*first)).map(|name| ((*name).to_owned(), 1));
    }
    let name = rest.get(..COMMAND_SIZE)?;
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(COMMAND_SIZE);
    let (text, padding) = name.split_at(length);
    let printable = text.iter().all(|byte| (b' '..=0x7f).contains(byte));
    (printable && padding.iter().all(|byte| *byte == 0))
        .then(|| (text.iter().copied().map(char::from).collect(), 1 + COMMAND_SIZE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_are_short_where_the_list_has_them() {
        for (command, size) in [("addr", 1), ("feature", 1), ("version", 13), ("twelveletter", 13)] {
            let mut out = Vec::new();
            put(command, &mut out);
            assert_eq!(get(&out).unwrap(), (command.to_owned(), size));
        }
    }

    #[test]
    fn names_with_strange_bytes_are_refused() {
        assert_eq!(get(&[]), None);
        assert_eq!(get(&[38]), None);
        assert_eq!(get(b"\0short"), None);
        assert_eq!(get(b"\0ping\0\0\0\0\0\0\0x"), None);
        assert_eq!(get(b"\0pi\x01g\0\0\0\0\0\0\0\0"), None);
    }
}
