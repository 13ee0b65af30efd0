//! Captures in the place of interfaces: frames come at the pace of their time stamps, or a multiple of
//! it. Knows no engine.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use dwell_capture::{Chunk, FileSource, Filter};
use dwell_packet::{Frame, Timestamp};

use crate::cli::Speed;
use crate::{clock, log};

/// Frames of captures, each when it is due.
pub(crate) struct Paced {
    sources: VecDeque<FileSource>,
    filter: Option<Filter>,
    speed: Speed,
    chunk: Chunk,
    /// Frames of the chunk that were given.
    given: usize,
    /// Frames up to here were taken in by an earlier run.
    known_until: Timestamp,
    /// The first frame's time, and when it was given.
    begun: Option<(Timestamp, Instant)>,
    /// When the next frame is due, in packet time.
    next: Timestamp,
}

/// Why no more frames were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gave {
    /// As many as were wanted.
    All,
    /// The next one is not due.
    NotDue,
    /// There is none left.
    Over,
}

impl Paced {
    /// Frames of `sources` in their order, those that `filter` matches.
    pub(crate) fn new(sources: Vec<FileSource>, filter: Option<Filter>, speed: Speed) -> Self {
        Self {
            sources: sources.into(),
            filter,
            speed,
            chunk: Chunk::default(),
            given: 0,
            known_until: Timestamp::ZERO,
            begun: None,
            next: Timestamp::ZERO,
        }
    }

    /// Leaves out what an earlier run took in.
    pub(crate) fn go_on_after(&mut self, known_until: Timestamp) {
        self.known_until = known_until;
    }

    /// Packet time now; the end of time where frames are never waited for.
    pub(crate) fn now(&self) -> Timestamp {
        match (self.speed, self.begun) {
            (Speed::Max, _) => Timestamp::MAX,
            (Speed::Times(_), None) => Timestamp::ZERO,
            (Speed::Times(times), Some((first, begun))) => {
                first.saturating_add(begun.elapsed().mul_f64(times))
            }
        }
    }

    /// How many captures are not over.
    pub(crate) fn left(&self) -> usize {
        self.sources.len()
    }

    /// How long the next frame may be waited for, at most `limit`.
    pub(crate) fn pause(&self, limit: Duration) -> Duration {
        let ahead = self.next.saturating_since(self.now());
        match self.speed {
            Speed::Max => Duration::ZERO,
            Speed::Times(times) => ahead.div_f64(times).min(limit),
        }
    }

    /// Gives up to `most` frames that are due.
    pub(crate) fn give(&mut self, most: NonZeroUsize, mut take: impl FnMut(Frame<'_>)) -> Gave {
        if self.given >= self.chunk.len() && !self.read() {
            return Gave::Over;
        }
        let now = self.now();
        for frame in self.chunk.frames().skip(self.given).take(most.get()) {
            if frame.ts > self.known_until {
                let (first, begun) = *self.begun.get_or_insert_with(|| (frame.ts, clock::moment()));
                let now = now.max(match self.speed {
                    Speed::Max => Timestamp::MAX,
                    Speed::Times(times) => first.saturating_add(begun.elapsed().mul_f64(times)),
                });
                if frame.ts > now {
                    self.next = frame.ts;
                    return Gave::NotDue;
                }
                take(frame);
            }
            self.given += 1;
        }
        Gave::All
    }

    /// Reads the next frames; `false` at the end of the last capture.
    fn read(&mut self) -> bool {
        while let Some(source) = self.sources.front_mut() {
            self.given = 0;
            let read = source.next_chunk(&mut self.chunk).map_err(anyhow::Error::new);
            let read = read.and_then(|more| {
                if let Some(filter) = &mut self.filter {
                    self.chunk.try_retain(|frame| filter.matches(frame))?;
                }
                Ok(more)
            });
            match read {
                Ok(true) if self.chunk.is_empty() => continue,
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => log::error(&format!("{error:#}")),
            }
            self.sources.pop_front();
        }
        self.chunk = Chunk::default();
        false
    }
}
