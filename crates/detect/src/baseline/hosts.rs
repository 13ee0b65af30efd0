//! The hosts of a baseline by number, with how long each is known and what its user's sessions
//! are like. Knows no applications.

use std::time::Duration;

use dwell_attribution::HostId;
use dwell_packet::Timestamp;
use hashbrown::HashMap;

/// Hosts by number.
#[derive(Debug, Default)]
pub(crate) struct HostTable {
    numbers: HashMap<HostId, u32, foldhash::fast::RandomState>,
    rows: Vec<HostRow>,
}

/// One host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostRow {
    pub(crate) id: HostId,
    pub(crate) first_seen: Timestamp,
    pub(crate) expectation: Expectation,
}

/// How long this user's sessions last: mean and spread of ln seconds (Welford 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Expectation {
    pub(crate) sessions: f64,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
}

impl HostTable {
    pub(crate) fn number(&self, host: HostId) -> Option<u32> {
        self.numbers.get(&host).copied()
    }

    /// The number of a host, a new one if there is room.
    pub(crate) fn note(&mut self, host: HostId, at: Timestamp) -> Option<u32> {
        if let Some(number) = self.number(host) {
            return Some(number);
        }
        if self.rows.len() >= MAX_HOSTS {
            return None;
        }
        let number = u32::try_from(self.rows.len()).ok()?;
        self.numbers.insert(host, number);
        self.rows.push(HostRow { id: host, first_seen: at, expectation: Expectation::default() });
        Some(number)
    }

    pub(crate) fn row(&self, number: u32) -> Option<&HostRow> {
        self.rows.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn row_mut(&mut self, number: u32) -> Option<&mut HostRow> {
        self.rows.get_mut(usize::try_from(number).ok()?)
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

impl HostRow {
    /// How long the host has been known at `at`.
    pub(crate) fn known_for(&self, at: Timestamp) -> Duration {
        at.saturating_since(self.first_seen)
    }
}

impl Expectation {
    /// Takes in a session that is over. Old ones fade with a half-life of some 350 sessions, and a
    /// single one counts no more than three spreads from the mean once there is some history.
    pub(crate) fn learn(&mut self, held: Duration) {
        let mut ln = held.as_secs_f64().max(60.0).ln();
        if self.sessions >= CLAMP_FROM {
            let most = 3.0 * self.spread();
            ln = ln.clamp(self.mean - most, self.mean + most);
        }
        if self.sessions >= MEMORY {
            let fade = (MEMORY - 1.0) / MEMORY;
            self.sessions *= fade;
            self.squares *= fade;
        }
        self.sessions += 1.0;
        let delta = ln - self.mean;
        self.mean += delta / self.sessions;
        self.squares += delta * (ln - self.mean);
    }

    /// How many spreads a session lies above the expectation. Before there are sessions, half an
    /// hour is expected.
    pub(crate) fn deviation(&self, held: Duration) -> f64 {
        (held.as_secs_f64().max(1.0).ln() - self.expected_ln()) / self.spread()
    }

    /// The session length to expect.
    pub(crate) fn expected(&self) -> Duration {
        Duration::try_from_secs_f64(self.expected_ln().exp()).unwrap_or(Duration::MAX)
    }

    fn expected_ln(&self) -> f64 {
        (self.mean * self.sessions + PRIOR_S.ln() * PRIOR_WEIGHT) / (self.sessions + PRIOR_WEIGHT)
    }

    fn spread(&self) -> f64 {
        ((self.squares + PRIOR_WEIGHT) / (self.sessions + PRIOR_WEIGHT)).sqrt()
    }
}

/// More local hosts than a sensor watches; further ones have no baseline.
pub(crate) const MAX_HOSTS: usize = 65_536;

/// What is expected of a user before there are sessions: half an hour, as if five sessions had
/// said so, with a spread of one natural logarithm.
const PRIOR_S: f64 = 1800.0;
const PRIOR_WEIGHT: f64 = 5.0;

/// Sessions of a user before one more may only count for three spreads.
const CLAMP_FROM: f64 = 10.0;

/// Sessions that an expectation remembers.
const MEMORY: f64 = 500.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn half_an_hour_is_expected_of_a_stranger() {
        let expectation = Expectation::default();
        assert!(expectation.deviation(minutes(30)).abs() < 1e-9);
        assert!((expectation.deviation(minutes(82)) - 1.0).abs() < 0.01);
    }

    #[test]
    fn long_sessions_become_what_is_expected() {
        let mut expectation = Expectation::default();
        (0..50).for_each(|_| expectation.learn(minutes(240)));
        assert!(expectation.expected() > minutes(170), "{:?}", expectation.expected());
        assert!(expectation.deviation(minutes(240)) < 1.0);
    }

    #[test]
    fn one_absurd_session_changes_little() {
        let mut expectation = Expectation::default();
        (0..50).for_each(|_| expectation.learn(minutes(10)));
        let before = expectation.expected();
        expectation.learn(minutes(10_000_000));
        assert!(expectation.expected() < before.mul_f64(1.1));
    }
}
