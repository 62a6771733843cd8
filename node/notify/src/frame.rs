//! Lists of texts on the pipe between messenger and runner: count, then length and bytes of each, little-endian.

use std::io::{self, Read, Write};

/// More texts in a frame are an error.
const MAX_COUNT: u32 = 64;
/// A longer text is an error, bytes.
const MAX_TEXT: u32 = 64 * 1024;

/// Writes one frame at once.
pub(crate) fn write(pipe: &mut impl Write, texts: &[&str]) -> io::Result<()> {
    let length = |count: usize| u32::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let mut bytes = length(texts.len())?.to_le_bytes().to_vec();
    for text in texts {
        bytes.extend(length(text.len())?.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    pipe.write_all(&bytes)?;
    pipe.flush()
}

/// Reads one frame; `None` at the end of the pipe.
pub(crate) fn read(pipe: &mut impl Read) -> io::Result<Option<Vec<String>>> {
    let Some(count) = number(pipe)? else { return Ok(None) };
    if count > MAX_COUNT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        let length = number(pipe)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if length > MAX_TEXT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        pipe.read_exact(&mut bytes)?;
        texts.push(String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?);
    }
    Ok(Some(texts))
}

fn number(pipe: &mut impl Read) -> io::Result<Option<u32>> {
    let mut bytes = [0; 4];
    match pipe.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(u32::from_le_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_frame_round_trip_and_bounds() {
        let mut pipe = Vec::new();
        write(&mut pipe, &["a", "", "ü"]).unwrap();
        assert_eq!(read(&mut pipe.as_slice()).unwrap().unwrap(), ["a", "", "ü"]);
        assert!(read(&mut [].as_slice()).unwrap().is_none());
        assert!(read(&mut [255, 0, 0, 0].as_slice()).is_err());
        assert!(read(&mut [1, 0, 0, 0, 255, 255, 255, 255].as_slice()).is_err());
        assert!(read(&mut pipe.get(..pipe.len() - 1).unwrap()).is_err());
    }
}
