//! Fee rate diagrams: how much the best transactions up to each size pay.

use crate::feerate::FeeFrac;
use std::cmp::Ordering;

/// Compares two sets of chunks, each in descending rate: `Greater` if `a` pays at least as much as `b` at every size and
/// more at one, `None` if neither is above the other.
pub fn compare_diagrams(a: &[FeeFrac], b: &[FeeFrac]) -> Option<Ordering> {
    let (left, right) = (points(a), points(b));
    let (mut above, mut below) = (false, false);
    for (own, other, flip) in [(&left, &right, false), (&right, &left, true)] {
        let mut segment = 0;
        for point in own {
            while other.get(segment + 1).is_some_and(|end| end.size < point.size) {
                segment += 1;
            }
            let order = order_against(*point, other[segment], other.get(segment + 1).copied());
            let order = if flip { order.reverse() } else { order };
            above |= order == Ordering::Greater;
            below |= order == Ordering::Less;
        }
    }
    match (above, below) {
        (true, true) => None,
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => Some(Ordering::Equal),
    }
}

/// Corners of the diagram, the origin first.
fn points(chunks: &[FeeFrac]) -> Vec<FeeFrac> {
    let mut sum = FeeFrac::default();
    let mut points = vec![sum];
    for chunk in chunks {
        sum = sum.plus(*chunk);
        points.push(sum);
    }
    points
}

/// Whether a point lies above, on or below the line from `start` to `end`; without an end the line is flat.
fn order_against(point: FeeFrac, start: FeeFrac, end: Option<FeeFrac>) -> Ordering {
    let Some(end) = end else { return point.fee.cmp(&start.fee) };
    let run = i128::from(end.size - start.size);
    if run == 0 {
        return point.fee.cmp(&end.fee);
    }
    let rise = (i128::from(end.fee) - i128::from(start.fee)) * i128::from(point.size - start.size);
    ((i128::from(point.fee) - i128::from(start.fee)) * run).cmp(&rise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagrams_compare_at_every_size() {
        let frac = |fee, size| FeeFrac::new(fee, size);
        assert_eq!(compare_diagrams(&[frac(20, 10)], &[frac(10, 10)]), Some(Ordering::Greater));
        assert_eq!(compare_diagrams(&[frac(10, 10)], &[frac(20, 10)]), Some(Ordering::Less));
        assert_eq!(compare_diagrams(&[frac(20, 100)], &[frac(10, 10)]), None);
        assert_eq!(compare_diagrams(&[], &[frac(0, 10)]), Some(Ordering::Equal));
        assert_eq!(compare_diagrams(&[frac(10, 5), frac(10, 10)], &[frac(20, 15)]), Some(Ordering::Greater));
        assert_eq!(compare_diagrams(&[frac(9, 5), frac(5, 10)], &[frac(9, 5), frac(5, 5)]), Some(Ordering::Less));
    }
}
