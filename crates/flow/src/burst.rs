//! Bursts: payload of a flow with less than a second of silence inside. Knows no sessions.

use std::time::Duration;

use dwell_packet::{Direction, PerDirection, Timestamp};

/// Silence that ends a burst (`spec/detection.md`, section 3.1: below it, gaps measure the network
/// and the page, not the application).
pub const BURST_SILENCE: Duration = Duration::from_secs(1);

/// A burst this long is handed on in parts, so that a download of hours shows while it runs;
/// parts that touch are one burst to whoever joins them.
const PART_AFTER: Duration = Duration::from_secs(30);

/// Payload of one flow with no silence of [`BURST_SILENCE`] inside, both directions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Time of its first payload.
    pub start: Timestamp,
    /// Time of its last payload.
    pub end: Timestamp,
    /// New payload bytes in each direction.
    pub payload_bytes: PerDirection<u64>,
    /// Which direction spoke first.
    pub first: Direction,
}

impl Burst {
    pub(crate) fn starting(ts: Timestamp, direction: Direction, bytes: u64) -> Self {
        let mut burst =
            Self { start: ts, end: ts, payload_bytes: PerDirection::default(), first: direction };
        *burst.payload_bytes.of_mut(direction) = bytes;
        burst
    }

    /// Takes payload in, if it still belongs to this burst.
    pub(crate) fn extend(&mut self, ts: Timestamp, direction: Direction, bytes: u64) -> bool {
        if ts.saturating_since(self.end) >= BURST_SILENCE {
            return false;
        }
        self.end = self.end.max(ts);
        let sum = self.payload_bytes.of_mut(direction);
        *sum = sum.saturating_add(bytes);
        true
    }

    /// Whether the burst is over, or so long that a part of it should be handed on.
    pub(crate) fn due(&self, now: Timestamp) -> bool {
        now.saturating_since(self.end) >= BURST_SILENCE
            || now.saturating_since(self.start) >= PART_AFTER
    }
}
