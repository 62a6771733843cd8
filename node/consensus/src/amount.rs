//! Amounts in satoshi and the block subsidy.

use crate::Params;

/// Satoshi per bitcoin.
pub const COIN: i64 = 100_000_000;
/// More than this can never exist; part of consensus.
pub const MAX_MONEY: i64 = 21_000_000 * COIN;

/// Tells whether `satoshi` lies in 0..=[`MAX_MONEY`].
pub fn in_money_range(satoshi: i64) -> bool {
    (0..=MAX_MONEY).contains(&satoshi)
}

/// New coins that the block at `height` may create, in satoshi.
pub fn block_subsidy(height: i32, params: &Params) -> i64 {
    let halvings = u32::try_from(height).unwrap_or(0) / params.subsidy_halving_interval;
    if halvings >= 64 { 0 } else { (50 * COIN) >> halvings }
}

/// Bitcoins with at least two decimals and no further trailing zeros, as Core's `FormatMoney` prints them.
pub fn format_money(satoshi: i64) -> String {
    let sign = if satoshi < 0 { "-" } else { "" };
    let value = satoshi.unsigned_abs();
    let unit = COIN.unsigned_abs();
    let mut text = format!("{sign}{}.{:08}", value / unit, value % unit);
    let shortest = text.find('.').map_or(text.len(), |dot| dot + 3);
    while text.len() > shortest && text.ends_with('0') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks;

    #[test]
    fn subsidy_halves_and_ends() {
        let main = networks::main();
        assert_eq!(block_subsidy(0, &main), 50 * COIN);
        assert_eq!(block_subsidy(209_999, &main), 50 * COIN);
        assert_eq!(block_subsidy(210_000, &main), 25 * COIN);
        assert_eq!(block_subsidy(64 * 210_000, &main), 0);
        let total: i64 = (0..33).map(|era| block_subsidy(era * 210_000, &main) * 210_000).sum();
        assert_eq!(total, 2_099_999_997_690_000);
    }

    #[test]
    fn money_is_printed_like_core() {
        assert_eq!(format_money(0), "0.00");
        assert_eq!(format_money(COIN), "1.00");
        assert_eq!(format_money(123_456_780), "1.2345678");
        assert_eq!(format_money(-1), "-0.00000001");
    }
}
