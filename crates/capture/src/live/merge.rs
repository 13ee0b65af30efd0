//! Several sources as one, in the order of time. Knows no sockets.

use std::io;
use std::time::Duration;

use dwell_packet::Timestamp;

use super::{LiveError, LiveSource, RETIRE, Run, wait};

/// What a silent source may still have under way: a block that is not retired, and a little for
/// the kernel's timer.
const SETTLE: Duration = RETIRE.saturating_mul(2);

/// Sources merged by time.
#[derive(Debug, Default)]
pub struct LiveSet {
    sources: Vec<LiveSource>,
    heads: Vec<Option<Timestamp>>,
    /// Sources that failed and are not read until they are taken up anew.
    failed: Vec<bool>,
}

impl LiveSet {
    /// A set of `sources`.
    #[must_use]
    pub fn new(sources: Vec<LiveSource>) -> Self {
        let heads = vec![None; sources.len()];
        let failed = vec![false; sources.len()];
        Self { sources, heads, failed }
    }

    /// The sources.
    #[must_use]
    pub fn sources(&mut self) -> &mut [LiveSource] {
        &mut self.sources
    }

    /// The earliest frames, at most `most`, and the number of their source; `None` when nothing is
    /// ready now. They lie together, and no other source has one before the last of them.
    ///
    /// A frame waits while another source may still hold an earlier one. `wall` is the machine's
    /// time; with a single source it does not matter. Never waits.
    ///
    /// # Errors
    /// A source that can be read no further; it may be taken up again with `reattach`.
    pub fn next(
        &mut self,
        wall: Timestamp,
        most: usize,
    ) -> Result<Option<(usize, Run<'_>)>, LiveError> {
        self.look()?;
        let Some((number, until)) = turn(&self.heads, &self.failed, wall) else { return Ok(None) };
        if let Some(head) = self.heads.get_mut(number) {
            *head = None;
        }
        let source = self.sources.get_mut(number);
        Ok(source
            .map(|source| (number, source.take(until, most)))
            .filter(|(_, run)| !run.is_empty()))
    }

    /// Learns the head of each source.
    fn look(&mut self) -> Result<(), LiveError> {
        let places = self.sources.iter_mut().zip(&mut self.heads).zip(&mut self.failed);
        for ((source, head), failed) in places {
            if head.is_none() && !*failed {
                *head = source.head().inspect_err(|_| *failed = true)?;
            }
        }
        Ok(())
    }

    /// Whether frames wait for a silent source.
    #[must_use]
    pub fn holds_frames(&self) -> bool {
        self.heads.iter().any(Option::is_some)
    }

    /// Waits until a source has something, or `limit` is over; gives the sources that report an
    /// error, such as an interface that went down.
    pub fn wait(&self, limit: Duration) -> Vec<(usize, io::Error)> {
        let descriptors: Vec<_> = self.sources.iter().filter_map(LiveSource::descriptor).collect();
        // While frames are held back, their source would end each wait at once.
        let waited = if self.holds_frames() {
            wait::wait(&[], limit.min(RETIRE / 4))
        } else {
            wait::wait(&descriptors, limit)
        };
        let of = |fd| self.sources.iter().position(|source| source.descriptor() == Some(fd));
        waited.into_iter().filter_map(|(fd, error)| Some((of(fd)?, error))).collect()
    }

    /// Takes an interface up anew.
    ///
    /// # Errors
    /// As for [`LiveSource::reattach`].
    pub fn reattach(&mut self, number: usize) -> Result<(), LiveError> {
        let Some(source) = self.sources.get_mut(number) else { return Ok(()) };
        source.reattach()?;
        if let Some(failed) = self.failed.get_mut(number) {
            *failed = false;
        }
        Ok(())
    }
}

/// Whose turn it is by the sources' heads, and up to which time its frames may be taken.
fn turn(
    heads: &[Option<Timestamp>],
    failed: &[bool],
    wall: Timestamp,
) -> Option<(usize, Timestamp)> {
    let numbered =
        || heads.iter().enumerate().filter_map(|(number, head)| Some((number, (*head)?)));
    let (number, ts) = numbered().min_by_key(|(_, ts)| *ts)?;
    let others = numbered().filter(|(other, _)| *other != number).map(|(_, ts)| ts);
    let until = others.min().unwrap_or(Timestamp::MAX);
    let mut open = heads.iter().zip(failed).filter(|(_, failed)| !**failed);
    if open.any(|(head, _)| head.is_none()) {
        let settled = wall.saturating_sub(SETTLE);
        return (ts <= settled).then(|| (number, until.min(settled)));
    }
    Some((number, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    /// Heads in milliseconds, of sources that have not failed.
    fn turn_of(heads: &[Option<u64>], wall_ms: u64) -> Option<(usize, Timestamp)> {
        let heads: Vec<_> = heads.iter().map(|head| head.map(at_ms)).collect();
        turn(&heads, &vec![false; heads.len()], at_ms(wall_ms))
    }

    #[test]
    fn a_single_source_waits_for_nobody() {
        assert_eq!(turn_of(&[Some(100)], 100), Some((0, Timestamp::MAX)));
        assert_eq!(turn_of(&[None], 100), None);
    }

    #[test]
    fn a_run_ends_where_another_source_goes_on() {
        assert_eq!(turn_of(&[Some(100), Some(90), Some(95)], 100), Some((1, at_ms(95))));
    }

    #[test]
    fn frames_wait_for_what_a_silent_source_may_have_under_way() {
        assert_eq!(turn_of(&[Some(100), None], 139), None);
        assert_eq!(turn_of(&[Some(100), None], 150), Some((0, at_ms(110))));
    }

    #[test]
    fn nobody_waits_for_a_source_that_failed() {
        let heads = [Some(at_ms(100)), None];
        assert_eq!(turn(&heads, &[false, true], at_ms(100)), Some((0, Timestamp::MAX)));
    }
}
