//! Times as telemetry writes them. Knows no time zone but the one a text names; UTC else.

use dwell_packet::Timestamp;

use super::observation::When;
use crate::date::Date;

/// The time that a text such as `2026-11-24T20:03:59.540Z` or `2026-11-24 20:03:56.941035+0000`
/// gives (RFC 3339, and the zone without a colon); `None` for any other text, and before 1970.
#[must_use]
pub fn date_time(text: &str) -> Option<Timestamp> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let date: Date = date.parse().ok()?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = (rest.get(..zone_at)?, rest.get(zone_at..)?);
    let nanos = i128::from(date.days()) * NANOS_PER_DAY + i128::from(time_of_day(time)?);
    let nanos = nanos - i128::from(zone_s(zone)?) * 1_000_000_000;
    u64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

/// `20:03:59.941035` in nanoseconds since midnight.
pub(crate) fn time_of_day(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let number = |part: &str, most: u64| {
        let digits = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|&number| digits && number <= most)
    };
    let whole = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 60)?;
    Some(whole * 1_000_000_000 + fraction_nanos(fraction)?)
}

/// Seconds since the epoch, maybe with a fraction.
pub(crate) fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: u64 = whole.parse().ok()?;
    let nanos = seconds.checked_mul(1_000_000_000)?.checked_add(fraction_nanos(fraction)?)?;
    Some(Timestamp::from_nanos(nanos))
}

/// Either of the three.
pub(crate) fn any_form(text: &str) -> Option<When> {
    let at = epoch(text).or_else(|| date_time(text)).map(When::At);
    at.or_else(|| time_of_day(text).map(When::TimeOfDay))
}

/// Decimal digits after the point, as nanoseconds; what is finer is dropped.
fn fraction_nanos(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |nanos, digit| nanos * 10 + u64::from(digit - b'0')))
}

/// `Z`, `+HH`, `+HHMM` or `+HH:MM` in seconds east of UTC; nothing is UTC.
fn zone_s(zone: &str) -> Option<i64> {
    let sign = match zone.bytes().next() {
        None | Some(b'Z' | b'z') => return (zone.len() <= 1).then_some(0),
        Some(b'+') => 1,
        Some(_) => -1,
    };
    let digits: String = zone.get(1..)?.chars().filter(|&c| c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 =
        digits.get(2..).filter(|rest| !rest.is_empty()).unwrap_or("0").parse().ok()?;
    Some(sign * (hours * 3600 + minutes * 60))
}

/// The time of the day nearest to `near` that has this time of day; `None` before there is any.
pub(crate) fn nearest(of_day: u64, near: Timestamp) -> Option<Timestamp> {
    const DAY: u64 = 86_400_000_000_000;
    if near == Timestamp::ZERO {
        return None;
    }
    let midnight = near.as_nanos() / DAY * DAY;
    let today = midnight.saturating_add(of_day);
    let candidates = [today.saturating_sub(DAY), today, today.saturating_add(DAY)];
    candidates.into_iter().min_by_key(|&at| at.abs_diff(near.as_nanos())).map(Timestamp::from_nanos)
}

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expected values from `date -u -d TEXT +%s.%N` (GNU coreutils 9.1).
    #[test]
    fn times_are_as_date_has_them() {
        let nanos = |text| date_time(text).map(Timestamp::as_nanos);
        assert_eq!(nanos("2026-11-24T20:03:59.540Z"), Some(1_795_550_639_540_000_000));
        assert_eq!(nanos("2026-11-24 20:03:56.941035+0000"), Some(1_795_550_636_941_035_000));
        assert_eq!(nanos("2026-11-24 21:03:56.941035+0100"), Some(1_795_550_636_941_035_000));
        assert_eq!(nanos("2026-11-24T15:03:56.941035-05:00"), Some(1_795_550_636_941_035_000));
        assert_eq!(nanos("2026-11-24T20:03:59"), Some(1_795_550_639_000_000_000));
        assert_eq!(nanos("2026-13-24T20:03:59Z"), None);
        assert_eq!(nanos("1969-12-31T23:59:59Z"), None);
        assert_eq!(
            epoch("1795550634.941035").map(Timestamp::as_nanos),
            Some(1_795_550_634_941_035_000)
        );
        assert_eq!(epoch("99999999999999999999"), None);
    }

    #[test]
    fn a_time_of_day_is_that_of_the_nearest_day() {
        let at = |text: &str| date_time(text).unwrap();
        let late = time_of_day("23:59:50").unwrap();
        let near = at("2026-11-25T00:00:10Z");
        assert_eq!(nearest(late, near), Some(at("2026-11-24T23:59:50Z")));
        let early = time_of_day("00:00:10").unwrap();
        assert_eq!(nearest(early, at("2026-11-24T23:59:50Z")), Some(near));
        assert_eq!(nearest(early, Timestamp::ZERO), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text: String) {
            let _ = any_form(&text);
        }
    }
}
