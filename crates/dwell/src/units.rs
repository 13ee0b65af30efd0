//! Durations and byte counts as people type and read them.

use std::time::Duration;

/// Parses `90s`, `30m`, `24h`, `7d`, or several parts such as `1h30m`; a bare number is refused.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("empty: give a number and a unit, such as 30m".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        let number: u64 = number.parse().map_err(|_| format!("no number at {rest:?}"))?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters).unwrap_or((after, ""));
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            "" => return Err(format!("{number} has no unit: use s, m, h or d")),
            other => return Err(format!("unknown unit {other:?}: use s, m, h or d")),
        };
        let part = number.checked_mul(seconds).ok_or("too long")?;
        total = total.checked_add(Duration::from_secs(part)).ok_or("too long")?;
        rest = after;
    }
    Ok(total)
}

/// How far clocks differ: one of both is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skew {
    /// They are ahead by this much.
    pub(crate) ahead: Duration,
    /// They are behind by this much.
    pub(crate) behind: Duration,
}

/// Parses a duration, with `-` before it for clocks that are behind.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn skew(text: &str) -> Result<Skew, String> {
    match text.strip_prefix('-') {
        Some(text) => Ok(Skew { behind: duration(text)?, ..Skew::default() }),
        None => Ok(Skew { ahead: duration(text)?, ..Skew::default() }),
    }
}

/// `6 h 40 m`, `12 m`, `45 s`, `0.3 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{:.1} s", duration.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} m", seconds / 60),
        3600..86400 => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {:02} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// `512 B`, `1.4 MB` (powers of ten).
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = "kB";
    for next in UNITS.into_iter().skip(1) {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Parses `128B`, `512KiB`, `64MiB`, `4GiB`; a bare number is refused.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let number: usize = number.parse().map_err(|_| format!("no number at {text:?}"))?;
    let factor: usize = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => return Err(format!("{number} has no unit: use B, KiB, MiB or GiB")),
        other => return Err(format!("unknown unit {other:?}: use B, KiB, MiB or GiB")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units_and_add_up() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "30", "m", "30x", "1h30", "99999999999999999999s", "ü"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_need_units() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1500 B"), Ok(1500));
        for wrong in ["", "64", "MiB", "64MB", "-1B", "99999999999999999999B", "9999999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let say = |seconds| spoken(Duration::from_secs(seconds));
        assert_eq!(say(45), "45 s");
        assert_eq!(say(24_000), "6 h 40 m");
        assert_eq!(say(200_000), "2 d 07 h");
    }

    #[test]
    fn byte_counts_round_to_one_decimal() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_449_000), "1.4 MB");
        assert_eq!(bytes(999_960), "1.0 MB");
    }
}
