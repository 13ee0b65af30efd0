//! Ten-minute slots of a session: which had payload. Knows no bursts.

use std::time::Duration;

/// Which ten-minute slots had payload, counted from the session's start. Never allocates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    /// The last 144 slots, as a ring.
    recent: [u16; RING_WORDS],
    /// The newest slot with payload.
    newest: u16,
    /// Slots with payload so far.
    covered: u16,
    run: u16,
    longest_run: u16,
}

impl Slots {
    /// Takes in a burst by its start and end, as time since the session's start. Never allocates.
    pub(crate) fn add(&mut self, start: Duration, end: Duration) {
        let (first, last) = (slot_of(start), slot_of(end));
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
    pub(crate) fn covered(&self) -> u32 {
        u32::from(self.covered)
    }

    /// Longest run of slots with payload.
    pub(crate) fn longest_run(&self) -> u32 {
        u32::from(self.longest_run)
    }

    /// Share of the slots of `duration` that had payload (dimensionless, 0 to 1).
    pub(crate) fn coverage(&self, duration: Duration) -> f64 {
        let all = slot_of(duration).saturating_add(1);
        (f64::from(self.covered) / f64::from(all)).min(1.0)
    }

    /// All of it as words, to be stored.
    pub(crate) fn to_words(&self) -> [u16; WORDS] {
        let mut words = [0; WORDS];
        let own = [self.newest, self.covered, self.run, self.longest_run];
        words.iter_mut().zip(own.iter().chain(&self.recent)).for_each(|(to, from)| *to = *from);
        words
    }

    /// What [`Slots::to_words`] gave.
    pub(crate) fn from_words([newest, covered, run, longest_run, rest @ ..]: [u16; WORDS]) -> Self {
        Self { recent: rest, newest, covered, run, longest_run }
    }

    /// The last 144 slots at most up to the newest with payload, the oldest first.
    pub(crate) fn recent(&self) -> Vec<bool> {
        if self.covered == 0 {
            return Vec::new();
        }
        let oldest = self.newest.saturating_sub(RING_SLOTS.saturating_sub(1));
        (oldest..=self.newest).map(|slot| self.is_marked(slot)).collect()
    }

    /// Forgets the ring's slots that lie between the newest and `last`.
    fn clear_ring(&mut self, last: u16) {
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

    fn mark(&mut self, slot: u16) {
        if let Some((word, bit)) = self.place(slot) {
            *word |= bit;
        }
    }

    fn is_marked(&self, slot: u16) -> bool {
        let (word, bit) = position(slot);
        self.recent.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&mut self, slot: u16) -> Option<(&mut u16, u16)> {
        let (word, bit) = position(slot);
        Some((self.recent.get_mut(word)?, bit))
    }
}

fn position(slot: u16) -> (usize, u16) {
    let index = slot % RING_SLOTS;
    (usize::from(index / 16), 1_u16 << (index % 16))
}

/// The slot of a time, the last one for what is more than 455 days away.
fn slot_of(since_start: Duration) -> u16 {
    u16::try_from(since_start.as_secs() / SLOT.as_secs()).unwrap_or(u16::MAX)
}

/// Length of a slot.
pub(crate) const SLOT: Duration = Duration::from_secs(600);

/// A day of slots.
const RING_SLOTS: u16 = 144;
const RING_WORDS: usize = 9;

/// Words of the whole.
const WORDS: usize = RING_WORDS + 4;

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

    #[test]
    fn absurd_durations_do_not_hang() {
        let mut slots = Slots::default();
        slots.add(Duration::ZERO, Duration::MAX);
        slots.add(Duration::MAX, Duration::MAX);
        assert_eq!(slots.recent().len(), 144);
    }
}
