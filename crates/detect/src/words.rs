//! Figures in words, as findings say them. Knows no rules.

use std::time::Duration;

/// A duration as a person says it: `6 h 40 m`, `12 m`, `58 s`, `2 d 3 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if rest == 0 => "under 1 s".to_owned(),
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} m"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} m"),
        (_, 0, _) => format!("{days} d"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

/// A gap in seconds as a person says it.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// Bytes as a person says them.
pub(crate) fn bytes(bytes: f64) -> String {
    let (scaled, unit) = match bytes {
        1e9.. => (bytes / 1e9, "GB"),
        1e6.. => (bytes / 1e6, "MB"),
        1e3.. => (bytes / 1e3, "kB"),
        _ => (bytes, "B"),
    };
    format!("{scaled:.1} {unit}")
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A count with its noun: `no other host`, `1 other host`, `3 other hosts`.
pub(crate) fn count(count: u32, noun: &str) -> String {
    match count {
        0 => format!("no {noun}"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let check = |seconds, expected| {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        };
        check(24_000, "6 h 40 m");
        check(7200, "2 h");
        check(725, "12 m");
        check(58, "58 s");
        check(0, "under 1 s");
        check(183_600, "2 d 3 h");
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(count(0, "other host"), "no other host");
        assert_eq!(count(1, "other host"), "1 other host");
        assert_eq!(count(3, "other host"), "3 other hosts");
    }
}
