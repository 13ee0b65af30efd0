//! When odd traffic is worth a line in the log: once when it begins, not again until it was over.
//! Asks nobody and writes nothing.

use std::time::Duration;

/// A share of something that is small where a tap is set up well.
#[derive(Debug)]
pub(super) struct Share {
    /// So many are looked at together.
    sample: u64,
    /// The share that is worth a line, dimensionless.
    limit: f64,
    all: u64,
    odd: u64,
    told: bool,
}

impl Share {
    /// Nothing noted yet.
    pub(super) const fn new(sample: u64, limit: f64) -> Self {
        Self { sample, limit, all: 0, odd: 0, told: false }
    }

    /// Takes note of so many more, and of the odd ones among them; gives how many were looked at and
    /// the share of the odd, when that is worth a line.
    pub(super) fn note(&mut self, all: u64, odd: u64) -> Option<(u64, f64)> {
        self.all += all;
        self.odd += odd;
        if self.all < self.sample {
            return None;
        }
        let (looked_at, share) = (self.all, self.odd as f64 / self.all as f64);
        (self.all, self.odd) = (0, 0);
        let tells = share > self.limit && !self.told;
        self.told = share > self.limit;
        tells.then_some((looked_at, share))
    }
}

/// Silence of an interface that is up.
#[derive(Debug, Default)]
pub(super) struct Silence {
    lasts: Duration,
    told: bool,
}

/// What is worth a line of a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hush {
    /// It has lasted long.
    Long,
    /// Frames come again.
    Over,
}

impl Silence {
    /// Takes note of `time` in which frames came, or could not since the interface was down, or did
    /// not come.
    pub(super) fn note(&mut self, time: Duration, came: bool, up: bool) -> Option<Hush> {
        self.lasts = if came || !up { Duration::ZERO } else { self.lasts.saturating_add(time) };
        if came && self.told {
            self.told = false;
            return Some(Hush::Over);
        }
        if self.lasts >= LONG && !self.told {
            self.told = true;
            return Some(Hush::Long);
        }
        None
    }
}

/// How long an interface that is up may be silent before that is worth a line.
pub(super) const LONG: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_once_until_it_was_small() {
        let mut share = Share::new(100, 0.2);
        assert_eq!(share.note(50, 50), None, "too few to say");
        assert_eq!(share.note(50, 0), Some((100, 0.5)));
        assert_eq!(share.note(100, 90), None, "told already");
        assert_eq!(share.note(100, 20), None, "not more than the limit");
        assert_eq!(share.note(200, 100), Some((200, 0.5)));
    }

    #[test]
    fn a_minute_of_silence_is_told_once_and_its_end_too() {
        let mut silence = Silence::default();
        let second = Duration::from_secs(1);
        let mut seconds = |count, came, up| {
            (0..count).filter_map(|_| silence.note(second, came, up)).collect::<Vec<_>>()
        };
        assert_eq!(seconds(59, false, true), []);
        assert_eq!(seconds(100, false, true), [Hush::Long]);
        assert_eq!(seconds(1, true, true), [Hush::Over]);
        assert_eq!(seconds(59, false, true), []);
    }

    #[test]
    fn an_interface_that_is_down_is_not_silent() {
        let mut silence = Silence::default();
        for _ in 0..1000 {
            assert_eq!(silence.note(Duration::from_secs(1), false, false), None);
        }
    }
}
