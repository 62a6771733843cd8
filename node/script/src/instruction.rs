//! Reading a script one instruction at a time (Core: `GetScriptOp`).

use bitcoin::opcodes::all as op;

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The opcode's byte.
    pub opcode: u8,
    /// What the opcode pushes, if it is a push of data.
    pub data: &'a [u8],
}

/// A push says that it is longer than the rest of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("push beyond the end of the script")]
pub struct Truncated;

/// Position in a script. After [`Truncated`] it stands where Core's iterator would: behind the opcode, and behind the length
/// where that was complete. Legacy signature hashes depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    script: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(script: &'a [u8]) -> Self {
        Self { script, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes on at another position, which must be the start of an instruction.
    pub fn advance(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.script.len());
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.script.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Truncated> {
        let bytes = self.rest().get(..length).ok_or(Truncated)?;
        self.at += length;
        Ok(bytes)
    }

    fn length(&mut self, opcode: u8) -> Result<usize, Truncated> {
        let width = match opcode {
            0..=0x4b => return Ok(usize::from(opcode)),
            0x4c => 1,
            0x4d => 2,
            _ => 4,
        };
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Instruction<'a>, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        let opcode = *self.rest().first()?;
        self.at += 1;
        if opcode > op::OP_PUSHDATA4.to_u8() {
            return Some(Ok(Instruction { opcode, data: &[] }));
        }
        let data = self.length(opcode).and_then(|length| self.take(length));
        Some(data.map(|data| Instruction { opcode, data }))
    }
}

/// The push of `data` as Core's `CScript() << data` writes it.
pub fn push_of(data: &[u8]) -> Vec<u8> {
    let length = data.len();
    let mut script = Vec::with_capacity(length + 5);
    match length {
        0..=0x4b => script.push(length as u8),              // fits by the pattern
        0x4c..=0xff => script.extend([0x4c, length as u8]), // fits by the pattern
        0x100..=0xffff => {
            script.push(0x4d);
            script.extend((length as u16).to_le_bytes()); // fits by the pattern
        }
        _ => {
            script.push(0x4e);
            script.extend((length as u32).to_le_bytes()); // no transaction is that long
        }
    }
    script.extend(data);
    script
}

/// Whether a push was made in the shortest way (Core: `CheckMinimalPush`).
pub fn is_minimal_push(instruction: Instruction<'_>) -> bool {
    let Instruction { opcode, data } = instruction;
    match data {
        [] => opcode == 0,
        // These have opcodes of their own.
        [1..=16] | [0x81] => false,
        _ => match data.len() {
            length @ 0..=0x4b => usize::from(opcode) == length,
            0x4c..=0xff => opcode == 0x4c,
            0x100..=0xffff => opcode == 0x4d,
            _ => true,
        },
    }
}

/// Removes each occurrence of `pattern` that begins at an instruction; `None` when there is none (Core: `FindAndDelete`).
pub fn find_and_delete(script: &[u8], pattern: &[u8]) -> Option<Vec<u8>> {
    if pattern.is_empty() {
        return None;
    }
    let mut reader = Reader::new(script);
    let mut result = Vec::new();
    let mut kept = 0;
    let mut found = false;
    loop {
        result.extend(&script[kept..reader.position()]);
        while reader.rest().starts_with(pattern) {
            reader.advance(pattern.len());
            found = true;
        }
        kept = reader.position();
        if !matches!(reader.next(), Some(Ok(_))) {
            break;
        }
    }
    result.extend(&script[kept..]);
    found.then_some(result)
}

/// Opcodes that make a tapscript succeed (BIP342).
pub fn is_op_success(opcode: u8) -> bool {
    matches!(opcode, 80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 187..=254)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_push_leaves_the_reader_where_core_leaves_its_iterator() {
        for (script, at) in [(&[0x02, 0x01][..], 1), (&[0x4c], 1), (&[0x4c, 5, 1], 2), (&[0x4d, 1], 1), (&[0x4e, 1, 0, 0, 0], 5)]
        {
            let mut reader = Reader::new(script);
            assert_eq!(reader.next(), Some(Err(Truncated)));
            assert_eq!(reader.position(), at, "{script:?}");
        }
    }

    #[test]
    fn patterns_are_only_deleted_at_instructions() {
        assert_eq!(find_and_delete(&[0x02, 0x51, 0x51, 0x51], &[0x51]), Some(vec![0x02, 0x51, 0x51]));
        assert_eq!(find_and_delete(&[0x02, 0x51, 0x51], &[0x51]), None);
        assert_eq!(find_and_delete(&[0x51, 0x51, 0x52], &[0x51]), Some(vec![0x52]));
    }

    #[test]
    fn pushes_read_back() {
        for length in [0, 1, 75, 76, 255, 256, 65_535, 65_536] {
            let data = vec![7; length];
            let script = push_of(&data);
            let mut reader = Reader::new(&script);
            let read = reader.next();
            assert!(matches!(read, Some(Ok(it)) if it.data == data && (length == 1 || is_minimal_push(it))), "{length}");
            assert_eq!(reader.next(), None);
        }
    }
}
