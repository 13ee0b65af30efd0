//! Packet time of the whole capture: the latest time seen, guarded against a lone liar. Reads no
//! clock of the machine.

use std::time::Duration;

use dwell_packet::{Frame, Heading, LinkType, Process, Processes, Timestamp};

/// A step ahead larger than this needs a second packet to confirm it: one frame with a damaged
/// time stamp must not expire every flow.
const MAX_STEP: Duration = Duration::from_secs(3600);

/// A step back larger than this is counted.
const MAX_BACK: Duration = Duration::from_secs(3600);

/// The last frame of a capture may be this far behind the one before it without a second one to
/// confirm it: a day, the longest silence that a flow survives.
const MAX_LAST_STEP: Duration = Duration::from_secs(86_400);

/// The capture's clock: never goes back. A frame far ahead waits for the next one to tell whether
/// it lies.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    now: Timestamp,
    waiting: Option<WaitingFrame>,
    /// Steps ahead of more than an hour that were confirmed.
    pub(crate) steps_ahead: u64,
    /// Frames more than an hour behind the clock.
    pub(crate) frames_behind: u64,
}

/// A frame kept until the next one comes.
#[derive(Debug)]
pub(crate) struct WaitingFrame {
    ts: Timestamp,
    link_type: LinkType,
    bytes: Vec<u8>,
    wire_len: u32,
    number: u64,
    owner: Option<Process>,
    effective: Option<Process>,
    heading: Option<Heading>,
}

impl WaitingFrame {
    fn of(frame: &Frame<'_>) -> Self {
        Self {
            ts: frame.ts,
            link_type: frame.link_type,
            bytes: frame.bytes.to_vec(),
            wire_len: frame.wire_len,
            number: frame.number,
            owner: frame.processes.owner.cloned(),
            effective: frame.processes.effective.cloned(),
            heading: frame.processes.heading,
        }
    }

    /// The frame.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            ts: self.ts,
            link_type: self.link_type,
            bytes: &self.bytes,
            wire_len: self.wire_len,
            number: self.number,
            processes: Processes {
                owner: self.owner.as_ref(),
                effective: self.effective.as_ref(),
                heading: self.heading,
            },
        }
    }
}

impl Clock {
    /// Takes the time of a frame in whose time is settled as it stands, as nearly every frame's is;
    /// false for one that [`Clock::admit`] must see, and nothing is done.
    #[inline]
    pub(crate) fn admit_ordinary(&mut self, ts: Timestamp) -> bool {
        let ordinary = self.waiting.is_none()
            && ts >= self.now
            && self.now != Timestamp::ZERO
            && ts.saturating_since(self.now) <= MAX_STEP;
        if ordinary {
            self.now = ts;
        }
        ordinary
    }

    /// Takes a frame in; gives a frame that waited, if its time is settled now, and this one unless
    /// it has to wait. Their time stamps are those to go by.
    pub(crate) fn admit<'f>(
        &mut self,
        frame: Frame<'f>,
    ) -> (Option<WaitingFrame>, Option<Frame<'f>>) {
        let ordinary =
            self.now == Timestamp::ZERO || frame.ts.saturating_since(self.now) <= MAX_STEP;
        if ordinary {
            self.frames_behind += u64::from(self.now.saturating_since(frame.ts) > MAX_BACK);
            self.now = self.now.max(frame.ts);
            return (self.release(), Some(frame));
        }
        let near = |waiting: &WaitingFrame| distance(waiting.ts, frame.ts) <= MAX_STEP;
        if self.waiting.as_ref().is_some_and(near) {
            self.steps_ahead += 1;
            let waiting = self.waiting.take();
            self.now = frame.ts.max(waiting.as_ref().map_or(frame.ts, |waiting| waiting.ts));
            return (waiting, Some(frame));
        }
        let liar = self.release();
        self.waiting = Some(WaitingFrame::of(&frame));
        (liar, None)
    }

    /// Moves the clock on by what another clock says; gives a frame that waited, if its time has
    /// come.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Option<WaitingFrame> {
        if self.now == Timestamp::ZERO {
            // Nothing was seen: there is no time yet.
            return None;
        }
        let come = self.waiting.as_ref().is_some_and(|waiting| waiting.ts <= now);
        self.now = self.now.max(now);
        if come { self.waiting.take() } else { None }
    }

    /// The frame that still waits when the capture ends.
    pub(crate) fn finish(&mut self) -> Option<WaitingFrame> {
        let waiting = self.waiting.as_ref()?;
        if waiting.ts.saturating_since(self.now) <= MAX_LAST_STEP {
            self.now = waiting.ts;
        }
        self.release()
    }

    /// The clock's time.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The waiting frame, in the present: nothing confirmed that it is from the future.
    fn release(&mut self) -> Option<WaitingFrame> {
        let mut waiting = self.waiting.take()?;
        waiting.ts = waiting.ts.min(self.now);
        Some(waiting)
    }
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.saturating_since(b).max(b.saturating_since(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds frames at `seconds`; gives the clock and the seconds as admitted, in order.
    fn run(seconds: &[u64]) -> (Clock, Vec<u64>) {
        let mut clock = Clock::default();
        let mut admitted = Vec::new();
        let second = |frame: Frame<'_>| frame.ts.as_nanos() / 1_000_000_000;
        for (number, &at) in (1..).zip(seconds) {
            let frame = Frame {
                ts: Timestamp::from_parts(at, 0),
                link_type: LinkType::ETHERNET,
                bytes: &[],
                wire_len: 0,
                number,
                processes: Processes::default(),
            };
            let (waited, this) = clock.admit(frame);
            admitted.extend(waited.iter().map(|waiting| second(waiting.frame())));
            admitted.extend(this.map(second));
        }
        let last = clock.finish();
        admitted.extend(last.iter().map(|waiting| second(waiting.frame())));
        (clock, admitted)
    }

    #[test]
    fn a_lone_packet_from_the_future_does_not_move_the_clock() {
        let (clock, admitted) = run(&[1000, 9_000_000, 1001, 1002]);
        assert_eq!(admitted, [1000, 1001, 1001, 1002]);
        assert_eq!(clock.steps_ahead, 0);
    }

    #[test]
    fn two_packets_after_a_real_gap_do_and_both_keep_their_time() {
        let (clock, admitted) = run(&[1000, 90_000, 90_001, 90_002]);
        assert_eq!(admitted, [1000, 90_000, 90_001, 90_002]);
        assert_eq!(clock.steps_ahead, 1);
    }

    #[test]
    fn two_liars_do_not_confirm_each_other() {
        let (_, admitted) = run(&[1000, 9_000_000, 5_000_000, 1001]);
        assert_eq!(admitted, [1000, 1000, 1001, 1001]);
    }

    #[test]
    fn the_last_packet_may_come_hours_later_but_not_years() {
        assert_eq!(run(&[1000, 20_000]).1, [1000, 20_000]);
        assert_eq!(run(&[1000, 9_000_000]).1, [1000, 1000]);
    }

    #[test]
    fn another_clock_confirms_a_frame_that_waits_and_moves_time_on() {
        let (mut clock, _) = run(&[1000]);
        let frame = Frame {
            ts: Timestamp::from_parts(9000, 0),
            link_type: LinkType::ETHERNET,
            bytes: &[],
            wire_len: 0,
            number: 2,
            processes: Processes::default(),
        };
        assert!(clock.admit(frame).1.is_none());
        assert!(clock.advance(Timestamp::from_parts(8000, 0)).is_none());
        let waited = clock.advance(Timestamp::from_parts(9001, 0)).unwrap();
        assert_eq!(waited.frame().ts, Timestamp::from_parts(9000, 0));
        assert_eq!(clock.now(), Timestamp::from_parts(9001, 0));
        assert!(clock.advance(Timestamp::ZERO).is_none());
        assert_eq!(clock.now(), Timestamp::from_parts(9001, 0));
    }

    #[test]
    fn the_clock_never_goes_back() {
        let (clock, _) = run(&[10_000, 9_000, 100, 9_999]);
        assert_eq!(clock.now(), Timestamp::from_parts(10_000, 0));
        assert_eq!(clock.frames_behind, 1);
    }
}
