//! Bytes that become calls and answers with a meaning: what each byte chooses is said by `bulkhead_tests::hostile` and by the
//! targets that take a tape.

use bulkhead_wire::message::KNOWN_COMMANDS;

/// Answers with this content to the first questions, without capabilities.
pub fn answered(content: &[u8]) -> Vec<u8> {
    (1..8).flat_map(|question| [&[0, 2, question, 1, 0][..], content].concat()).collect()
}

/// A struct with one text.
pub fn text(text: &str) -> Vec<u8> {
    [&[0, 1, 1, 3, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A call of a method of the first interface on the bootstrap, without capabilities.
pub fn called(method: u8, content: &[u8]) -> Vec<u8> {
    [&[9, 0, method, 3, 0], content, &[0]].concat()
}

/// A miner asks for a template without waiting, and hangs up.
#[cfg(feature = "engine")]
pub fn miner() -> Vec<u8> {
    // Of the second interface, on what the question before answers.
    let create = [9, 1, 4, 0, 2, 1, 0, 0, 1, 0, 1, 1, 0];
    [called(3, &[0, 0]), create.to_vec()].concat()
}

/// A peer sends a transaction whose parent nobody has.
pub fn orphan() -> Vec<u8> {
    let tx = [&[2, 0, 0, 0, 1][..], &[7; 36], &[0, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x51], &[0; 4]].concat();
    let command = KNOWN_COMMANDS.iter().position(|known| *known == "tx").and_then(|at| u8::try_from(at).ok()).unwrap();
    let send = [&[3, 0, command, u8::try_from(tx.len()).unwrap()], &tx[..]].concat();
    // An inbound connection and its handshake; chain says nothing to what it is asked before, and that inputs are missing.
    [&[0; 6][..], &[8, 0, 8, 0], &send, &[6, 0, 9, 3, 10]].concat()
}

/// What a wallet may say to a locked key store: unlock, sign and lock in orders that matter.
pub fn key_store() -> Vec<Vec<u8>> {
    const SIGN_MESSAGE: &[u8] = b"\x08twenty letters, sure\0";
    const SIGN: &[u8] = &[7, 0, 0, 0, 0, 0, 0, 0, 1];
    const UNLOCK: &[u8] = &[4, 2, 100, 0, 0, 0];
    const LOCK: &[u8] = &[5];
    const CHANGE: &[u8] = &[6, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    const RULES: &[u8] = &[15, 2];
    const EXPORT: &[u8] = &[10, 0];
    const EXPORT_WITHOUT_CONSENT: &[u8] = &[10, 1];
    vec![
        [UNLOCK, SIGN, LOCK, SIGN, SIGN_MESSAGE].concat(),
        [CHANGE, SIGN_MESSAGE, SIGN].concat(),
        [UNLOCK, EXPORT, EXPORT_WITHOUT_CONSENT, LOCK, EXPORT, EXPORT_WITHOUT_CONSENT].concat(),
        [UNLOCK, &[1, 0], SIGN, RULES].concat(),
    ]
}
