//! One vote per host and day: how long its longest session was. Knows hosts and days by number.

use std::time::Duration;

use hashbrown::HashMap;

/// Votes of hosts, each day's one: the bin of its longest session.
///
/// The host in question is left out of every count, so that a host cannot make its own behaviour
/// normal, and a busy one counts no more than a quiet one.
#[derive(Clone, Debug, Default)]
pub(crate) struct DayVotes {
    counts: [u32; BINS],
    own: HashMap<u32, Vec<(u16, u8)>, foldhash::fast::RandomState>,
}

impl DayVotes {
    /// Takes in a session of `host` on `day`; whether that changed anything.
    pub(crate) fn vote(&mut self, host: u32, day: u16, bin: u8) -> bool {
        let days = self.own.entry(host).or_default();
        match days.iter_mut().find(|(known, _)| *known == day) {
            Some((_, known)) if *known >= bin => return false,
            Some((_, known)) => {
                count(&mut self.counts, *known, |count| count.saturating_sub(1));
                *known = bin;
            }
            None => days.push((day, bin)),
        }
        count(&mut self.counts, bin, |count| count.saturating_add(1));
        true
    }

    /// Days of hosts other than `host` with a session of at least `bin`.
    pub(crate) fn at_least(&self, bin: u8, host: Option<u32>) -> u32 {
        let all: u32 = self.counts.iter().skip(usize::from(bin)).sum();
        let own = self.days_of(host).filter(|&&(_, known)| known >= bin).count();
        all.saturating_sub(u32::try_from(own).unwrap_or(u32::MAX))
    }

    /// Days of hosts other than `host`.
    pub(crate) fn host_days(&self, host: Option<u32>) -> u32 {
        self.at_least(0, host)
    }

    /// Forgets days before `first`.
    pub(crate) fn forget_before(&mut self, first: u16) {
        let counts = &mut self.counts;
        self.own.retain(|_, days| {
            days.retain(|&(day, bin)| {
                let kept = day >= first;
                if !kept {
                    count(counts, bin, |count| count.saturating_sub(1));
                }
                kept
            });
            !days.is_empty()
        });
    }

    /// The vote of `host` on `day`.
    pub(crate) fn of(&self, host: u32, day: u16) -> Option<u8> {
        self.days_of(Some(host)).find(|(known, _)| *known == day).map(|&(_, bin)| bin)
    }

    /// Every vote: host, day, bin.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u16, u8)> + '_ {
        self.own
            .iter()
            .flat_map(|(&host, days)| days.iter().map(move |&(day, bin)| (host, day, bin)))
    }

    fn days_of(&self, host: Option<u32>) -> impl Iterator<Item = &(u16, u8)> {
        host.and_then(|host| self.own.get(&host)).into_iter().flatten()
    }
}

fn count(counts: &mut [u32; BINS], bin: u8, change: impl FnOnce(u32) -> u32) {
    if let Some(count) = counts.get_mut(usize::from(bin)) {
        *count = change(*count);
    }
}

/// The bin of a duration: half octaves from 15 minutes to 2.9 days; `None` below.
pub(crate) fn bin_of(held: Duration) -> Option<u8> {
    let seconds = held.as_secs_f64();
    let below = BIN_EDGES_S.partition_point(|&edge| edge <= seconds);
    u8::try_from(below.checked_sub(1)?).ok()
}

/// The shortest duration of a bin.
pub(crate) fn bin_from(bin: u8) -> Duration {
    let edge = BIN_EDGES_S.get(usize::from(bin)).or(BIN_EDGES_S.last());
    Duration::from_secs_f64(edge.copied().unwrap_or(0.0))
}

const BINS: usize = 16;

/// Lower edges of the bins, in seconds; shorter sessions do not vote.
const BIN_EDGES_S: [f64; BINS] = bin_edges();

const fn bin_edges() -> [f64; BINS] {
    let mut edges = [0.0; BINS];
    let mut rest: &mut [f64] = &mut edges;
    let mut whole = 900.0;
    while let [even, odd, tail @ ..] = rest {
        *even = whole;
        *odd = whole * std::f64::consts::SQRT_2;
        whole *= 2.0;
        rest = tail;
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_vote_a_day_its_longest() {
        let mut votes = DayVotes::default();
        assert!(votes.vote(1, 10, 2));
        assert!(!votes.vote(1, 10, 1));
        assert!(votes.vote(1, 10, 5));
        votes.vote(1, 11, 0);
        votes.vote(2, 10, 3);
        assert_eq!(votes.host_days(None), 3);
        assert_eq!((votes.at_least(3, None), votes.at_least(4, None)), (2, 1));
    }

    #[test]
    fn the_host_in_question_has_no_vote() {
        let mut votes = DayVotes::default();
        for day in 0..5 {
            votes.vote(7, day, 9);
        }
        votes.vote(8, 0, 9);
        assert_eq!(votes.at_least(9, Some(7)), 1);
        assert_eq!(votes.at_least(9, Some(8)), 5);
    }

    #[test]
    fn old_days_are_forgotten() {
        let mut votes = DayVotes::default();
        votes.vote(1, 3, 4);
        votes.vote(1, 9, 4);
        votes.vote(2, 3, 4);
        votes.forget_before(4);
        assert_eq!((votes.host_days(None), votes.iter().count()), (1, 1));
    }

    /// 15 min times the root of two to the power of the bin.
    #[test]
    fn bins_are_half_octaves_from_a_quarter_of_an_hour() {
        let minutes = |minutes: u64| bin_of(Duration::from_secs(minutes * 60));
        assert_eq!(
            [14, 15, 21, 22, 30, 240, 1_000_000].map(minutes),
            [None, Some(0), Some(0), Some(1), Some(2), Some(8), Some(15)]
        );
        assert_eq!(bin_from(8), Duration::from_secs(240 * 60));
    }
}
