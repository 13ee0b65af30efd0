//! Numbers as text: integers, and floats with six decimals.

use std::fmt;

use super::verbatim::Short;

/// Appends an integer.
#[inline]
pub(super) fn append_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float so that it reads back as the same value: with at most six decimals where that
/// suffices, else as Rust writes it. What is no number becomes `null`.
pub(super) fn append_float(out: &mut Vec<u8>, value: f64) {
    match millionths(value) {
        // Both are exact, so that the quotient is the double nearest to the decimal text.
        Some(whole) if whole as f64 / MILLION == value => {
            out.extend_from_slice(decimal(whole).as_bytes());
        }
        Some(_) | None => append_as_rust(out, value, value.is_finite()),
    }
}

/// The nearest whole number of millionths, halves away from zero; `None` where doubles are too
/// coarse to tell. (The baseline processor has no instruction for rounding, and a call costs more
/// than this.)
#[inline]
pub(crate) fn millionths(value: f64) -> Option<i64> {
    let scaled = value * MILLION;
    if scaled.abs() >= EXACT || scaled.is_nan() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 2^53; the cast rounds to zero")]
    let whole = scaled as i64;
    let rest = scaled - whole as f64;
    Some(whole + i64::from(rest >= 0.5) - i64::from(rest <= -0.5))
}

/// A number of millionths as units and decimals, without trailing zeros.
#[inline]
pub(crate) fn decimal(millionths: i64) -> Short<24> {
    let mut text = Short::new();
    if millionths < 0 {
        text.push(b'-');
    }
    let magnitude = millionths.unsigned_abs();
    let decimals = magnitude % 1_000_000;
    text.extend(itoa::Buffer::new().format(magnitude / 1_000_000).as_bytes());
    let [a, b] = pair(decimals / 10_000);
    let [c, d] = pair(decimals / 100 % 100);
    let [e, f] = pair(decimals % 100);
    let digits = [b'.', a, b, c, d, e, f];
    let kept = digits.iter().rposition(|&digit| digit != b'0').unwrap_or(0).max(1);
    text.extend(digits.get(..=kept).unwrap_or(&digits));
    text
}

/// Appends a float as Rust writes it, which reads back as the same value.
#[cold]
pub(super) fn append_as_rust(out: &mut Vec<u8>, value: impl fmt::Debug, is_finite: bool) {
    if is_finite {
        out.extend_from_slice(format!("{value:?}").as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// The two decimal digits of a number below 100.
#[inline]
pub(crate) fn pair(value: u64) -> [u8; 2] {
    let pair = usize::try_from(value).ok().and_then(|value| PAIRS.get(value));
    pair.copied().unwrap_or(*b"00")
}

/// Six decimals (`MILLION` is exact as a double).
pub(crate) const MILLION: f64 = 1e6;

/// Whole doubles below 2^53 are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[b'0'; 2]; 100];
    let mut tens = 0;
    while tens < 10 {
        let mut units = 0;
        while units < 10 {
            #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, below 100")]
            {
                let entry = &mut pairs[10 * tens + units];
                *entry = [DIGITS[tens], DIGITS[units]];
            }
            units += 1;
        }
        tens += 1;
    }
    pairs
}

const DIGITS: [u8; 10] = *b"0123456789";
