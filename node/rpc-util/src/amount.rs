//! Amounts: satoshi inside, decimal coins with eight places outside.

use crate::error::{RpcError, RpcResult};
use serde_json::{Number, Value};
use std::str::FromStr;

/// Satoshi per coin.
pub const COIN: i64 = 100_000_000;
/// Upper limit of every amount, in satoshi.
pub const MAX_MONEY: i64 = 21_000_000 * COIN;
/// 10^18 - 1: the largest value of a fixed-point number.
const UPPER_BOUND: i64 = 999_999_999_999_999_999;

/// Satoshi as text with eight decimals.
pub fn format_amount(satoshi: i64) -> String {
    let magnitude = satoshi.unsigned_abs();
    let sign = if satoshi < 0 { "-" } else { "" };
    format!("{sign}{}.{:08}", magnitude / COIN as u64, magnitude % COIN as u64)
}

/// Satoshi as a JSON number with eight decimals.
pub fn amount_to_json(satoshi: i64) -> Value {
    number(&format_amount(satoshi))
}

/// A JSON number that keeps exactly these digits.
pub fn number(text: &str) -> Value {
    Value::Number(Number::from_str(text).expect("the caller formats a JSON number"))
}

/// A double as C++ streams print it with 16 significant digits, which is how Core writes `difficulty` and friends.
pub fn double_to_json(value: f64) -> Value {
    number(&format_double(value))
}

/// The text behind [`double_to_json`].
pub fn format_double(value: f64) -> String {
    const PRECISION: i32 = 16;
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let scientific = format!("{:.*e}", (PRECISION - 1) as usize, value);
    let (mantissa, exponent) = scientific.split_once('e').expect("the format above writes an exponent");
    let exponent: i32 = exponent.parse().expect("the format above writes a decimal exponent");
    let trim = |text: &str| -> String {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text.into() }
    };
    if !(-4..PRECISION).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    trim(&format!("{:.*}", (PRECISION - 1 - exponent) as usize, value))
}

/// Decimal text to an integer scaled by 10^`decimals`; refuses what would lose digits.
pub fn parse_fixed_point(text: &str, decimals: u32) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole_len = if rest.starts_with('0') { 1 } else { digits(rest) };
    if whole_len == 0 {
        return None;
    }
    let (whole, mut rest) = rest.split_at(whole_len);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let len = digits(after);
        if len == 0 {
            return None;
        }
        (fraction, rest) = after.split_at(len);
    }
    let mut exponent: i64 = 0;
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        let (minus, number) = match after.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, after.strip_prefix('+').unwrap_or(after)),
        };
        let len = digits(number);
        if len == 0 {
            return None;
        }
        for digit in number[..len].bytes() {
            if exponent > UPPER_BOUND / 10 {
                return None;
            }
            exponent = exponent * 10 + i64::from(digit - b'0');
        }
        if minus {
            exponent = -exponent;
        }
        rest = &number[len..];
    }
    if !rest.is_empty() {
        return None;
    }

    let mut mantissa: i64 = 0;
    let mut trailing_zeros: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            trailing_zeros += 1;
            continue;
        }
        for _ in 0..=trailing_zeros {
            if mantissa > UPPER_BOUND / 10 {
                return None;
            }
            mantissa *= 10;
        }
        mantissa += i64::from(digit - b'0');
        trailing_zeros = 0;
    }
    let exponent = exponent - fraction.len() as i64 + trailing_zeros + i64::from(decimals);
    if !(0..18).contains(&exponent) {
        return None;
    }
    for _ in 0..exponent {
        if mantissa > UPPER_BOUND / 10 {
            return None;
        }
        mantissa *= 10;
    }
    (mantissa <= UPPER_BOUND).then_some(if negative { -mantissa } else { mantissa })
}

/// Satoshi from a JSON number or string of coins (`decimals` 8) or of another unit.
///
/// # Errors
/// `-3` with "Amount is not a number or string", "Invalid amount" or "Amount out of range".
pub fn amount_from_json_decimals(value: &Value, decimals: u32) -> RpcResult<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(RpcError::type_error("Amount is not a number or string")),
    };
    let amount = parse_fixed_point(&text, decimals).ok_or_else(|| RpcError::type_error("Invalid amount"))?;
    if !(0..=MAX_MONEY).contains(&amount) {
        return Err(RpcError::type_error("Amount out of range"));
    }
    Ok(amount)
}

/// Satoshi from a JSON amount in coins.
pub fn amount_from_json(value: &Value) -> RpcResult<i64> {
    amount_from_json_decimals(value, 8)
}

/// Fee rate in satoshi per 1000 virtual bytes from a JSON amount in coins.
pub fn fee_rate_from_json(value: &Value) -> RpcResult<i64> {
    let rate = amount_from_json(value)?;
    if rate >= COIN {
        return Err(RpcError::parameter("Fee rates larger than or equal to 1BTC/kvB are not accepted"));
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn amounts_keep_eight_decimals() {
        assert_eq!(amount_to_json(5_000_000_000).to_string(), "50.00000000");
        assert_eq!(amount_to_json(-1).to_string(), "-0.00000001");
        assert_eq!(amount_to_json(0).to_string(), "0.00000000");
    }

    #[test]
    fn fixed_point_follows_json_number_syntax() {
        for (text, want) in [
            ("0", Some(0)),
            ("1", Some(COIN)),
            ("0.00000001", Some(1)),
            ("1e-8", Some(1)),
            ("0.1e-7", Some(1)),
            ("20999999.9999999900", Some(2_099_999_999_999_999)),
            ("-1.5", Some(-150_000_000)),
            ("00.1", None),
            (".1", None),
            ("1.", None),
            ("0.000000001", None),
            ("1e-9", None),
            ("", None),
            ("-", None),
            ("1e", None),
            ("93e+9", None),
            ("1 ", None),
        ] {
            assert_eq!(parse_fixed_point(text, 8), want, "{text}");
        }
    }

    #[test]
    fn doubles_print_like_c_streams() {
        assert_eq!(format_double(4.656_542_373_906_925e-10), "4.656542373906925e-10");
        assert_eq!(format_double(1.0), "1");
        assert_eq!(format_double(0.014_997_207_196_877_41), "0.01499720719687741");
        assert_eq!(format_double(1e16), "1e+16");
        assert_eq!(format_double(128_000_000_000_000.5), "128000000000000.5");
    }
}
