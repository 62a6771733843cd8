//! The eight-character checksum behind `#` (BIP380).

const INPUT_CHARSET: &str = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
const CHECKSUM_CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn polymod(mut checksum: u64, value: u64) -> u64 {
    const GENERATOR: [u64; 5] = [0xf5_dee5_1989, 0xa9_fdca_3312, 0x1b_ab10_e32d, 0x37_06b1_677a, 0x64_4d62_6ffd];
    let top = checksum >> 35;
    checksum = (checksum & 0x7_ffff_ffff) << 5 ^ value;
    for (i, k) in GENERATOR.iter().enumerate() {
        if top >> i & 1 == 1 {
            checksum ^= k;
        }
    }
    checksum
}

/// Checksum of a descriptor without `#`; `None` if a character is not allowed.
pub fn checksum(descriptor: &str) -> Option<String> {
    let (mut sum, mut class, mut class_count) = (1, 0, 0);
    for byte in descriptor.bytes() {
        let position = INPUT_CHARSET.bytes().position(|known| known == byte)? as u64;
        sum = polymod(sum, position & 31);
        class = class * 3 + (position >> 5);
        class_count += 1;
        if class_count == 3 {
            sum = polymod(sum, class);
            class = 0;
            class_count = 0;
        }
    }
    if class_count > 0 {
        sum = polymod(sum, class);
    }
    for _ in 0..8 {
        sum = polymod(sum, 0);
    }
    sum ^= 1;
    Some((0..8).map(|i| char::from(CHECKSUM_CHARSET[(sum >> (5 * (7 - i)) & 31) as usize])).collect())
}

/// The descriptor with `#` and its checksum.
pub fn with_checksum(descriptor: &str) -> String {
    match checksum(descriptor) {
        Some(sum) => format!("{descriptor}#{sum}"),
        None => descriptor.into(),
    }
}

/// Splits off a checksum and verifies it; the second part is the right checksum.
///
/// # Errors
/// Core's texts.
pub fn split_checksum(text: &str, require: bool) -> Result<(&str, String), String> {
    let mut parts = text.split('#');
    let payload = parts.next().unwrap_or_default();
    let given = parts.next();
    if parts.next().is_some() {
        return Err("Multiple '#' symbols".into());
    }
    if given.is_none() && require {
        return Err("Missing checksum".into());
    }
    if let Some(given) = given
        && given.len() != 8
    {
        return Err(format!("Expected 8 character checksum, not {} characters", given.len()));
    }
    let computed = checksum(payload).ok_or("Invalid characters in payload")?;
    match given {
        Some(given) if given != computed => {
            Err(format!("Provided checksum '{given}' does not match computed checksum '{computed}'"))
        }
        _ => Ok((payload, computed)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// Vectors of BIP380.
    #[test]
    fn bip380_vectors_hold() {
        assert_eq!(split_checksum("raw(deadbeef)#89f8spxm", true).unwrap().0, "raw(deadbeef)");
        assert_eq!(with_checksum("raw(deadbeef)"), "raw(deadbeef)#89f8spxm");
        for bad in [
            "raw(deadbeef)",
            "raw(deadbeef)#",
            "raw(deadbeef)#89f8spxmx",
            "raw(deadbeef)#89f8spx",
            "raw(deedbeef)#89f8spxm",
            "raw(deadbeef)##9f8spxm",
            "raw(Ü)#00000000",
        ] {
            assert!(split_checksum(bad, true).is_err(), "{bad}");
        }
    }
}
