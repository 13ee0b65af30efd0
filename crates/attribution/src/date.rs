//! Calendar dates of rules and exceptions. Knows no time of day and no time zone but UTC.

use std::fmt;
use std::str::FromStr;

use dwell_packet::Timestamp;
use serde::Deserialize;
use serde::de::Error as _;

/// A day of the Gregorian calendar, UTC, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    /// The day in which `ts` lies.
    #[must_use]
    pub fn of(ts: Timestamp) -> Self {
        Self(i64::try_from(ts.as_nanos() / NANOS_PER_DAY).unwrap_or(i64::MAX))
    }

    /// Days since 1970-01-01.
    pub(crate) const fn days(self) -> i64 {
        self.0
    }

    /// Days from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl FromStr for Date {
    type Err = &'static str;

    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "a date as YYYY-MM-DD is needed";
        let mut parts = text.split('-');
        let (Some(year), Some(month), Some(day), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(WANTED);
        };
        if (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return Err(WANTED);
        }
        let number = |part: &str| part.parse::<u16>().map(i64::from).map_err(|_| WANTED);
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        let date = Self(days_from_civil(year, month, day));
        if date.civil() == (year, month, day) { Ok(date) } else { Err("no such day") }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Date {
    /// Year, month and day (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn civil(self) -> (i64, i64, i64) {
        let days = self.0.saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const NANOS_PER_DAY: u64 = 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_count_from_the_epoch() {
        // Days by `date -u -d DATE +%s` divided by 86,400.
        for (text, days) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-24", 20_781)] {
            assert_eq!(text.parse::<Date>(), Ok(Date(days)), "{text}");
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "26-01-01", "2026-1-1", "x", ""] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_date_prints_as_it_was_read(days in 0_i64..100_000) {
            let date = Date(days);
            prop_assert_eq!(date.to_string().parse::<Date>(), Ok(date));
        }
    }
}
