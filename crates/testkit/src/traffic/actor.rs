//! One flow in the making: acts when its time has come and hands its frames out in order. Knows
//! no protocol.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use dwell_packet::Timestamp;

use crate::capture::{Capture, CapturedFrame};
use crate::random::Random;

use super::world::World;

/// What a flow does, step by step.
pub(super) trait Script: Debug {
    /// Plays one step at `at`: a few frames, none before `at`. Gives the time of the next step;
    /// `None` when there is none.
    fn act(&mut self, at: Timestamp, world: &World, capture: &mut Capture) -> Option<Timestamp>;

    /// Whether lost packets are sent again.
    fn retransmits(&self) -> bool;
}

/// A script and the frames that it made and that were not sent yet.
#[derive(Debug)]
pub(super) struct Actor {
    script: Box<dyn Script>,
    next_step: Option<Timestamp>,
    staged: VecDeque<CapturedFrame>,
    random: Random,
}

impl Actor {
    pub(super) fn new(at: Timestamp, script: Box<dyn Script>, random: Random) -> Self {
        Self { script, next_step: Some(at), staged: VecDeque::new(), random }
    }

    /// When it has something to do; `None` when it is done.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let frame = self.staged.front().map(|frame| frame.ts);
        match (frame, self.next_step) {
            (Some(frame), Some(step)) => Some(frame.min(step)),
            (due, None) | (None, due) => due,
        }
    }

    /// Does what is due: sends a frame or plays a step. `scratch` is empty before and after.
    pub(super) fn run(&mut self, world: &World, scratch: &mut Capture) -> Option<CapturedFrame> {
        let frame_first = match (self.staged.front(), self.next_step) {
            (Some(frame), Some(step)) => frame.ts <= step,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if frame_first {
            let frame = self.staged.pop_front()?;
            self.lose(&frame);
            return Some(frame);
        }
        let at = self.next_step?;
        self.next_step = self.script.act(at, world, scratch);
        self.staged.extend(scratch.drain());
        self.staged.make_contiguous().sort_by_key(|frame| frame.ts);
        None
    }

    /// Now and then a segment is lost behind the sensor, which sees it twice.
    fn lose(&mut self, frame: &CapturedFrame) {
        if frame.bytes.len() > LONGEST_EMPTY
            && self.script.retransmits()
            && self.random.chance(LOSS)
        {
            let ts = frame.ts.saturating_add(RETRANSMISSION_TIMEOUT);
            let at = self.staged.partition_point(|staged| staged.ts <= ts);
            self.staged.insert(at, CapturedFrame { ts, ..frame.clone() });
        }
    }
}

/// Share of segments that are sent again.
const LOSS: f64 = 0.002;
/// What Linux starts with on a path with little delay.
const RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(200);
/// Headers of a segment without payload, over IPv6 and with options.
const LONGEST_EMPTY: usize = 14 + 40 + 20 + 40;
