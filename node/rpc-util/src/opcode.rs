//! Names of script operations and a walk over a script that never panics.

const NAMES_FROM_NOP: [&str; 90] = [
    "NOP",
    "VER",
    "IF",
    "NOTIF",
    "VERIF",
    "VERNOTIF",
    "ELSE",
    "ENDIF",
    "VERIFY",
    "RETURN",
    "TOALTSTACK",
    "FROMALTSTACK",
    "2DROP",
    "2DUP",
    "3DUP",
    "2OVER",
    "2ROT",
    "2SWAP",
    "IFDUP",
    "DEPTH",
    "DROP",
    "DUP",
    "NIP",
    "OVER",
    "PICK",
    "ROLL",
    "ROT",
    "SWAP",
    "TUCK",
    "CAT",
    "SUBSTR",
    "LEFT",
    "RIGHT",
    "SIZE",
    "INVERT",
    "AND",
    "OR",
    "XOR",
    "EQUAL",
    "EQUALVERIFY",
    "RESERVED1",
    "RESERVED2",
    "1ADD",
    "1SUB",
    "2MUL",
    "2DIV",
    "NEGATE",
    "ABS",
    "NOT",
    "0NOTEQUAL",
    "ADD",
    "SUB",
    "MUL",
    "DIV",
    "MOD",
    "LSHIFT",
    "RSHIFT",
    "BOOLAND",
    "BOOLOR",
    "NUMEQUAL",
    "NUMEQUALVERIFY",
    "NUMNOTEQUAL",
    "LESSTHAN",
    "GREATERTHAN",
    "LESSTHANOREQUAL",
    "GREATERTHANOREQUAL",
    "MIN",
    "MAX",
    "WITHIN",
    "RIPEMD160",
    "SHA1",
    "SHA256",
    "HASH160",
    "HASH256",
    "CODESEPARATOR",
    "CHECKSIG",
    "CHECKSIGVERIFY",
    "CHECKMULTISIG",
    "CHECKMULTISIGVERIFY",
    "NOP1",
    "CHECKLOCKTIMEVERIFY",
    "CHECKSEQUENCEVERIFY",
    "NOP4",
    "NOP5",
    "NOP6",
    "NOP7",
    "NOP8",
    "NOP9",
    "NOP10",
    "CHECKSIGADD",
];

/// OP_PUSHDATA4, the last operation that carries data.
pub const PUSHDATA4: u8 = 0x4e;
/// OP_1NEGATE.
pub const NEGATE_1: u8 = 0x4f;
/// OP_1.
pub const ONE: u8 = 0x51;
/// OP_16.
pub const SIXTEEN: u8 = 0x60;
/// OP_RETURN.
pub const RETURN: u8 = 0x6a;
/// OP_CHECKMULTISIG.
pub const CHECKMULTISIG: u8 = 0xae;
/// OP_CHECKSIG.
pub const CHECKSIG: u8 = 0xac;
/// Longest script that is not unspendable by its size.
pub const MAX_SCRIPT_SIZE: usize = 10_000;
/// Highest known operation (OP_CHECKSIGADD counts as NOP10 for old parsers).
pub const MAX_OPCODE: u8 = 0xb9;

/// Name as the assembly text shows it.
pub fn name(op: u8) -> String {
    match op {
        0 => "0".into(),
        0x4c => "OP_PUSHDATA1".into(),
        0x4d => "OP_PUSHDATA2".into(),
        PUSHDATA4 => "OP_PUSHDATA4".into(),
        NEGATE_1 => "-1".into(),
        0x50 => "OP_RESERVED".into(),
        ONE..=SIXTEEN => (op - ONE + 1).to_string(),
        0xff => "OP_INVALIDOPCODE".into(),
        _ => match op.checked_sub(0x61).and_then(|i| NAMES_FROM_NOP.get(usize::from(i))) {
            Some(name) => format!("OP_{name}"),
            None => "OP_UNKNOWN".into(),
        },
    }
}

/// One operation of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op<'a> {
    /// The operation byte.
    pub code: u8,
    /// Pushed bytes; empty for all others.
    pub data: &'a [u8],
}

/// A push runs past the end of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a push runs past the end of the script")]
pub struct Truncated;

/// Walk over the operations; ends after the first error.
#[derive(Debug, Clone)]
pub struct Ops<'a> {
    rest: &'a [u8],
}

impl<'a> Ops<'a> {
    /// Starts at the first byte.
    pub fn new(script: &'a [u8]) -> Self {
        Self { rest: script }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            self.rest = &[];
            return Err(Truncated);
        };
        self.rest = tail;
        Ok(head)
    }

    fn read(&mut self) -> Result<Op<'a>, Truncated> {
        let code = self.take(1)?[0];
        let little_endian = |bytes: &[u8]| bytes.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let length = match code {
            0..=0x4b => usize::from(code),
            0x4c => little_endian(self.take(1)?),
            0x4d => little_endian(self.take(2)?),
            PUSHDATA4 => little_endian(self.take(4)?),
            _ => 0,
        };
        Ok(Op { code, data: self.take(length)? })
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = Result<Op<'a>, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() { None } else { Some(self.read()) }
    }
}

/// Whether every operation is known and no push is longer than 520 bytes.
pub fn has_valid_ops(script: &[u8]) -> bool {
    Ops::new(script).all(|op| op.is_ok_and(|op| op.code <= MAX_OPCODE && op.data.len() <= 520))
}

/// Whether the script only pushes data (OP_RESERVED counts as a push).
pub fn is_push_only(script: &[u8]) -> bool {
    Ops::new(script).all(|op| op.is_ok_and(|op| op.code <= SIXTEEN))
}

/// Whether an output with this script can never be spent.
pub fn is_unspendable(script: &[u8]) -> bool {
    script.first() == Some(&RETURN) || script.len() > MAX_SCRIPT_SIZE
}

/// Script number of at most four bytes.
pub fn script_number(data: &[u8]) -> i64 {
    let Some((last, _)) = data.split_last() else { return 0 };
    let magnitude = data.iter().rev().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
    if last & 0x80 == 0 {
        return magnitude;
    }
    -(magnitude & !(0x80i64 << (8 * (data.len() - 1))))
}

/// Whether a push used the shortest possible operation.
pub fn is_minimal_push(op: Op<'_>) -> bool {
    match op.data {
        [] => op.code == 0,
        [1..=16] => op.code == ONE + op.data[0] - 1,
        [0x81] => op.code == NEGATE_1,
        data if data.len() <= 75 => usize::from(op.code) == data.len(),
        data if data.len() <= 255 => op.code == 0x4c,
        data if data.len() <= 65535 => op.code == 0x4d,
        _ => true,
    }
}
