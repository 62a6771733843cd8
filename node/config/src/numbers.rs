//! Numbers and amounts as Core reads them from text.

/// Satoshis in one bitcoin.
const COIN: i64 = 100_000_000;
/// No amount exceeds this, satoshis.
const MAX_MONEY: i64 = 21_000_000 * COIN;

/// Core's `LocaleIndependentAtoi`: blanks around, one sign, digits up to the first other character; nothing is 0;
/// saturates.
#[must_use]
pub fn atoi(text: &str) -> i64 {
    let text = text.trim_matches([' ', '\x0c', '\n', '\r', '\t', '\x0b']);
    let text = match text.strip_prefix('+') {
        // "+-1" is not a number.
        Some(rest) if rest.starts_with('-') => return 0,
        Some(rest) => rest,
        None => text,
    };
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut value: i64 = 0;
    for digit in digits.bytes().take_while(u8::is_ascii_digit) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    value
}

/// Core's `InterpretBool`: empty is true, else whether the number is not zero (so "yes" is false).
#[must_use]
pub fn interpret_bool(text: &str) -> bool {
    // Core reads an int here: saturates, so it is zero exactly when the wide one is.
    text.is_empty() || atoi(text) != 0
}

/// Core's `ParseMoney`: "0.0001" in bitcoins to satoshis; `None` for signs, blanks inside, more than eight decimals
/// or too much.
#[must_use]
pub fn parse_money(text: &str) -> Option<i64> {
    let text = text.trim_matches([' ', '\x0c', '\n', '\r', '\t', '\x0b']);
    if text.is_empty() || text.contains('\0') {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 10 || fraction.len() > 8 {
        return None;
    }
    let number = |part: &str| part.bytes().fold(0i64, |value, byte| value * 10 + i64::from(byte - b'0'));
    let units = number(&format!("{fraction:0<8}"));
    let value = number(whole).checked_mul(COIN)?.checked_add(units)?;
    (value <= MAX_MONEY).then_some(value)
}

/// Core's `FormatMoney`: at least two decimals.
#[must_use]
pub fn format_money(satoshis: i64) -> String {
    let magnitude = satoshis.unsigned_abs();
    let mut text = format!("{}.{:08}", magnitude / COIN.unsigned_abs(), magnitude % COIN.unsigned_abs());
    while text.ends_with('0') && text.as_bytes().iter().rev().position(|byte| *byte == b'.') > Some(2) {
        text.pop();
    }
    if satoshis < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_atoi_like_core() {
        for (text, value) in [("", 0), ("12x", 12), (" -7 ", -7), ("+5", 5), ("+-5", 0), ("x", 0), ("0x10", 0)] {
            assert_eq!(atoi(text), value, "{text}");
        }
        assert_eq!(atoi("99999999999999999999"), i64::MAX);
        assert_eq!(atoi("-99999999999999999999"), i64::MIN);
    }

    #[test]
    fn test_interpret_bool_like_core() {
        assert!(interpret_bool("") && interpret_bool("1") && interpret_bool("-1"));
        assert!(!interpret_bool("0") && !interpret_bool("yes"));
    }

    #[test]
    fn test_money_round_trip_and_bounds() {
        for (text, value) in [("0", 0), ("1", COIN), ("0.00001000", 1000), (".5", COIN / 2), ("21000000", MAX_MONEY)] {
            assert_eq!(parse_money(text), Some(value), "{text}");
        }
        for text in ["", "-1", "1.123456789", "21000001", "1 2", "1e3", "0x1"] {
            assert_eq!(parse_money(text), None, "{text}");
        }
        assert_eq!((format_money(1000), format_money(COIN)), ("0.00001".into(), "1.00".into()));
        assert_eq!(format_money(-10_000_000), "-0.10");
    }
}
