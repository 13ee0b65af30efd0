//! A timer wheel over packet time: lazily re-armed, bounded work a call. Knows only
//! what to hand back.

use dwell_packet::Timestamp;

/// Slots of one second each: a flow is looked at once in at most this many seconds.
const SLOTS: u64 = 512;

/// Timers of one second's grain. A timer further off than the wheel reaches comes up early, and
/// its owner arms it again.
#[derive(Debug)]
pub(crate) struct TimerWheel<T> {
    slots: Vec<Vec<T>>,
    /// The second up to which timers have been handed out.
    second: u64,
}

impl<T> TimerWheel<T> {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), second: 0 }
    }

    /// Arms `timer` for `deadline`, or for the end of the wheel if that is sooner.
    pub(crate) fn arm(&mut self, timer: T, deadline: Timestamp) {
        let second = deadline.as_nanos().div_ceil(1_000_000_000);
        let second = second.clamp(self.second + 1, self.second + SLOTS - 1);
        if let Some(slot) = slot_mut(&mut self.slots, second) {
            slot.push(timer);
        }
    }

    /// Moves to `now` and takes the timers that came up, earliest first.
    ///
    /// The first call sets the clock. A jump over the whole wheel brings up every timer once.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Vec<T> {
        let second = now.as_nanos() / 1_000_000_000;
        if self.second == 0 || second <= self.second {
            self.second = self.second.max(second);
            return Vec::new();
        }
        let steps = (second - self.second).min(SLOTS);
        let mut due = Vec::new();
        for step in 1..=steps {
            if let Some(slot) = slot_mut(&mut self.slots, self.second + step) {
                due.append(slot);
            }
        }
        self.second = second;
        due
    }
}

fn slot_mut<T>(slots: &mut [Vec<T>], second: u64) -> Option<&mut Vec<T>> {
    slots.get_mut(usize::try_from(second % SLOTS).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    #[test]
    fn a_timer_comes_up_at_its_second() {
        let mut wheel = TimerWheel::new();
        wheel.advance(at(1000));
        wheel.arm(7, at(1003));
        assert!(wheel.advance(at(1002)).is_empty());
        assert_eq!(wheel.advance(at(1003)), [7]);
        assert!(wheel.advance(at(2000)).is_empty());
    }

    #[test]
    fn a_far_timer_comes_up_early_and_not_never() {
        let mut wheel = TimerWheel::new();
        wheel.advance(at(1000));
        wheel.arm(7, at(90_000));
        assert_eq!(wheel.advance(at(1000 + SLOTS - 1)), [7]);
    }

    #[test]
    fn a_jump_brings_up_everything_once() {
        let mut wheel = TimerWheel::new();
        wheel.advance(at(10));
        (0..600u32).for_each(|timer| wheel.arm(timer, at(10 + u64::from(timer))));
        let mut due = wheel.advance(at(1_000_000));
        due.sort_unstable();
        assert_eq!(due, (0..600).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn no_timer_is_early_by_more_than_the_wheel_or_late(
            deadlines in prop::collection::vec(1001u64..1500, 1..40),
            steps in prop::collection::vec(1u64..100, 1..40),
        ) {
            let mut wheel = TimerWheel::new();
            wheel.advance(at(1000));
            for (timer, &second) in (0u32..).zip(&deadlines) {
                wheel.arm(timer, at(second));
            }
            let (mut now, mut seen) = (1000, 0);
            for step in steps {
                let before = now;
                now += step;
                for timer in wheel.advance(at(now)) {
                    let deadline = deadlines[usize::try_from(timer).unwrap()];
                    prop_assert!(deadline > before && deadline <= now);
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, deadlines.iter().filter(|&&second| second <= now).count());
        }
    }
}
