//! Several sources as one, in the order of time. Knows no sockets.

use std::io;
use std::time::Duration;

use dwell_packet::{Frame, Timestamp};

use super::{LiveError, LiveSource, RETIRE, wait};

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

    /// The earliest frame and the number of its source; `None` when nothing is ready now.
    ///
    /// A frame waits while another source may still hold an earlier one. `wall` is the machine's
    /// time; with a single source it does not matter. Never waits, never allocates.
    ///
    /// # Errors
    /// A source that can be read no further; it may be taken up again with `reattach`.
    pub fn next(&mut self, wall: Timestamp) -> Result<Option<(usize, Frame<'_>)>, LiveError> {
        let mut earliest: Option<(usize, Timestamp)> = None;
        let mut silent = false;
        let places = self.sources.iter_mut().zip(&mut self.heads).zip(&mut self.failed);
        for (number, ((source, head), failed)) in places.enumerate() {
            if *failed {
                continue;
            }
            if head.is_none() {
                *head = match source.head() {
                    Ok(head) => head,
                    Err(error) => {
                        *failed = true;
                        return Err(error);
                    }
                };
            }
            match *head {
                Some(ts) if earliest.is_none_or(|(_, first)| ts < first) => {
                    earliest = Some((number, ts));
                }
                Some(_) => {}
                None => silent = true,
            }
        }
        let Some((number, ts)) = earliest else { return Ok(None) };
        if silent && wall.saturating_since(ts) < SETTLE {
            return Ok(None);
        }
        if let Some(head) = self.heads.get_mut(number) {
            *head = None;
        }
        let source = self.sources.get_mut(number);
        Ok(source.and_then(LiveSource::take).map(|frame| (number, frame)))
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
