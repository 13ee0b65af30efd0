//! A session as records and tables show it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{Attribution, Destination, HostRef, Verdict};
use dwell_packet::Timestamp;

use crate::{Finding, FlowFacts, Level, NameLookup, Shape, Visibility};

/// A session's identity: the same for the same host, application, destination and opening time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One session as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// Which session.
    pub id: SessionId,
    /// Which host.
    pub host: HostRef,
    /// Which application.
    pub attribution: Arc<Attribution>,
    /// Where to; name, address and port are those of its latest flow.
    pub destination: Destination,
    /// Whether it stands for all rare destinations of its application together; `destination` is
    /// then the latest of them, and `addresses` counts destinations.
    pub together: bool,
    /// Time of its first payload.
    pub first: Timestamp,
    /// Time of its last payload.
    pub last: Timestamp,
    /// First to last payload, or to now while a connection is open.
    pub duration: Duration,
    /// What counts as long: the longest connection, or the ten-minute slots with payload, whichever
    /// is more.
    pub effective: Duration,
    /// The longest connection so far; an open one counts up to now.
    pub longest_connection: Duration,
    /// Time since its last payload.
    pub idle: Duration,
    /// Flows it has had.
    pub flows: u32,
    /// Flows that are open.
    pub open_flows: u32,
    /// Payload bytes from the host.
    pub up_bytes: u64,
    /// Payload bytes to the host.
    pub down_bytes: u64,
    /// Addresses it went to; 16 stands for 16 or more.
    pub addresses: u32,
    /// Its pattern in time and bytes.
    pub shape: Shape,
    /// Ten-minute slots with payload, the oldest first; the last 24 hours at most.
    pub slots: Vec<bool>,
    /// Gaps between bursts by half octaves, from 1 s.
    pub gap_histogram: [u16; 36],
    /// What limits the trust in it.
    pub visibility: Visibility,
    /// Whether its address was looked up.
    pub lookup: NameLookup,
    /// What the policy says of it; `None` before it was judged.
    pub verdict: Option<Verdict>,
    /// Its score in bits; `None` while it is too short to be judged.
    pub score_bits: Option<f64>,
    /// The level of that score, if it reaches one.
    pub level: Option<Level>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// No bytes and no open connection for long enough.
    Idle,
    /// Its flows turned out to belong to another session.
    Rekeyed,
    /// Removed to make room.
    Evicted,
    /// The capture, or the sensor, stopped.
    EndOfCapture,
}

impl SessionEnd {
    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Rekeyed => "rekeyed",
            Self::Evicted => "evicted",
            Self::EndOfCapture => "end_of_capture",
        }
    }
}

/// A judgement as it was made, whatever it came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// When.
    pub at: Timestamp,
    /// Which session.
    pub session: SessionId,
    /// Whose flow the session has had last.
    pub facts: Arc<FlowFacts>,
    /// Whether it stands for all rare destinations of its application together.
    pub together: bool,
    /// Score in bits.
    pub score_bits: f64,
    /// Whether it was judged without a baseline.
    pub provisional: bool,
    /// Whether a finding is open for it, and it would open one now.
    pub opened: bool,
    /// Its terms: name, measurement, bits.
    pub terms: Vec<(&'static str, f64, f64)>,
}

/// What the detector reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DetectEvent {
    /// A long session runs on: on each tick from `SessionDuration` on, silent or not.
    SessionUpdated(Box<SessionSummary>),
    /// A session ended.
    SessionEnded(Box<SessionSummary>, SessionEnd),
    /// A finding was opened, updated, escalated or closed.
    Finding(Box<Finding>),
    /// A session was judged; only with [`crate::DetectConfig::trace`].
    Judged(Box<Judged>),
}
