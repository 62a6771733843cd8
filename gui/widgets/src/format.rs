//! Numbers as text.

/// An amount in satoshi as bitcoin with eight decimals, as Core's window writes it.
#[must_use]
pub fn amount_text(satoshi: i64) -> String {
    let sign = if satoshi < 0 { "-" } else { "" };
    let magnitude = satoshi.unsigned_abs();
    format!("{sign}{}.{:08} BTC", grouped(magnitude / 100_000_000), magnitude % 100_000_000)
}

/// A whole number with thin spaces between groups of three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_eight_decimals_and_groups() {
        assert_eq!(amount_text(0), "0.00000000 BTC");
        assert_eq!(amount_text(-1), "-0.00000001 BTC");
        assert_eq!(amount_text(2_100_000_000_000_000), "21\u{2009}000\u{2009}000.00000000 BTC");
        assert_eq!(amount_text(i64::MIN), "-92\u{2009}233\u{2009}720\u{2009}368.54775808 BTC");
    }

    #[test]
    fn groups_start_from_the_right() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1\u{2009}000");
        assert_eq!(grouped(1_234_567), "1\u{2009}234\u{2009}567");
    }
}
