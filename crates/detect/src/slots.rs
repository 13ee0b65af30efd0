//! Ten-minute slots of a session: which had payload, and how many bursts each. Knows no bursts.

use std::time::Duration;

/// Which ten-minute slots had payload, counted from the session's start. Never allocates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    /// The last 144 slots, as a ring.
    recent: [u64; RING_WORDS],
    /// The newest slot with payload.
    newest: u32,
    /// Slots with payload so far.
    covered: u32,
    run: u32,
    longest_run: u32,
    /// Bursts that started in the slot `counting`, and in the one before.
    counting: u32,
    in_slot: u32,
    in_previous: u32,
    /// Sums over finished slots.
    sum: u32,
    sum_squares: f64,
    sum_square_steps: f64,
}

impl Slots {
    /// Takes in a burst by its start and end, as time since the session's start. Never allocates.
    pub(crate) fn add(&mut self, start: Duration, end: Duration) {
        let (first, last) = (slot_of(start), slot_of(end));
        self.count_burst(first);
        let fresh_from =
            if self.covered == 0 { first } else { first.max(self.newest.saturating_add(1)) };
        if fresh_from > last {
            return;
        }
        let fresh = last.saturating_sub(fresh_from).saturating_add(1);
        if self.covered > 0 && fresh_from > self.newest.saturating_add(1) {
            self.run = 0;
        }
        self.clear_ring(last);
        for slot in fresh_from.max(last.saturating_sub(RING_SLOTS.saturating_sub(1)))..=last {
            self.mark(slot);
        }
        self.newest = last;
        self.covered = self.covered.saturating_add(fresh);
        self.run = self.run.saturating_add(fresh);
        self.longest_run = self.longest_run.max(self.run);
    }

    /// Slots with payload so far.
    pub(crate) const fn covered(&self) -> u32 {
        self.covered
    }

    /// Longest run of slots with payload.
    pub(crate) const fn longest_run(&self) -> u32 {
        self.longest_run
    }

    /// Share of the slots of `duration` that had payload (dimensionless, 0 to 1).
    pub(crate) fn coverage(&self, duration: Duration) -> f64 {
        let all = slot_of(duration).saturating_add(1);
        (f64::from(self.covered) / f64::from(all)).min(1.0)
    }

    /// Variance over mean of bursts per slot; zero before there are three slots.
    pub(crate) fn fano(&self) -> f64 {
        let slots = f64::from(self.counting) + 1.0;
        let mean = (f64::from(self.sum) + f64::from(self.in_slot)) / slots;
        if self.counting <= 2 || mean <= 0.0 {
            return 0.0;
        }
        let squares = self.sum_squares + f64::from(self.in_slot).powi(2);
        (squares / slots - mean * mean) / mean
    }

    /// Allan factor of bursts per slot; zero before there are three slots.
    pub(crate) fn allan(&self) -> f64 {
        let slots = f64::from(self.counting);
        let mean = (f64::from(self.sum) + f64::from(self.in_slot)) / (slots + 1.0);
        if self.counting <= 2 || mean <= 0.0 {
            return 0.0;
        }
        self.sum_square_steps / (2.0 * slots * mean)
    }

    /// The last 144 slots at most up to the newest with payload, the oldest first.
    pub(crate) fn recent(&self) -> Vec<bool> {
        if self.covered == 0 {
            return Vec::new();
        }
        let oldest = self.newest.saturating_sub(RING_SLOTS.saturating_sub(1));
        (oldest..=self.newest).map(|slot| self.is_marked(slot)).collect()
    }

    fn count_burst(&mut self, slot: u32) {
        if slot > self.counting {
            let finished = f64::from(self.in_slot);
            self.sum = self.sum.saturating_add(self.in_slot);
            self.sum_squares += finished * finished;
            if self.counting > 0 {
                self.sum_square_steps += (finished - f64::from(self.in_previous)).powi(2);
            }
            if slot > self.counting.saturating_add(1) {
                self.sum_square_steps += finished * finished;
                self.in_previous = 0;
            } else {
                self.in_previous = self.in_slot;
            }
            self.in_slot = 0;
            self.counting = slot;
        }
        self.in_slot = self.in_slot.saturating_add(1);
    }

    /// Forgets the ring's slots that lie between the newest and `last`.
    fn clear_ring(&mut self, last: u32) {
        if self.covered == 0 {
            return;
        }
        let first = self.newest.saturating_add(1).max(last.saturating_sub(RING_SLOTS));
        for slot in first..=last {
            if let Some((word, bit)) = self.place(slot) {
                *word &= !bit;
            }
        }
    }

    fn mark(&mut self, slot: u32) {
        if let Some((word, bit)) = self.place(slot) {
            *word |= bit;
        }
    }

    fn is_marked(&self, slot: u32) -> bool {
        let (word, bit) = position(slot);
        self.recent.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&mut self, slot: u32) -> Option<(&mut u64, u64)> {
        let (word, bit) = position(slot);
        Some((self.recent.get_mut(word)?, bit))
    }
}

fn position(slot: u32) -> (usize, u64) {
    let index = slot % RING_SLOTS;
    (usize::try_from(index / 64).unwrap_or(0), 1_u64 << (index % 64))
}

fn slot_of(since_start: Duration) -> u32 {
    u32::try_from(since_start.as_secs() / SLOT.as_secs()).unwrap_or(u32::MAX)
}

/// Length of a slot.
pub(crate) const SLOT: Duration = Duration::from_secs(600);

/// A day of slots.
const RING_SLOTS: u32 = 144;
const RING_WORDS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    fn slots(bursts: &[(u64, u64)]) -> Slots {
        let mut slots = Slots::default();
        for &(start, end) in bursts {
            slots.add(minutes(start), minutes(end));
        }
        slots
    }

    #[test]
    fn slots_with_payload_are_counted_once() {
        let slots = slots(&[(0, 0), (5, 5), (11, 11), (45, 45)]);
        assert_eq!((slots.covered(), slots.longest_run()), (3, 2));
        assert_eq!(slots.recent(), [true, true, false, false, true]);
        assert!((slots.coverage(minutes(49)) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn a_long_burst_covers_every_slot_it_touches() {
        let slots = slots(&[(0, 35)]);
        assert_eq!((slots.covered(), slots.longest_run()), (4, 4));
    }

    #[test]
    fn the_ring_keeps_the_last_day() {
        let slots = slots(&[(0, 0), (10, 10), (24 * 60 + 5, 24 * 60 + 5), (72 * 60, 72 * 60)]);
        assert_eq!(slots.covered(), 4);
        let recent = slots.recent();
        assert_eq!(recent.len(), 144);
        assert_eq!(recent.iter().filter(|&&active| active).count(), 1);
        assert_eq!(recent.last(), Some(&true));
    }

    /// Counts 2, 1, 0, 1 a slot: mean 1, variance .5; steps -1, -1, +1.
    #[test]
    fn dispersion_follows_the_definitions() {
        let slots = slots(&[(0, 0), (1, 1), (12, 12), (31, 31)]);
        assert!((slots.fano() - 0.5).abs() < 1e-9, "{}", slots.fano());
    }

    #[test]
    fn absurd_durations_do_not_hang() {
        let mut slots = Slots::default();
        slots.add(Duration::ZERO, Duration::MAX);
        slots.add(Duration::MAX, Duration::MAX);
        assert_eq!(slots.recent().len(), 144);
    }
}
