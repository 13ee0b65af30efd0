//! What the engine hands out: records as plain values, in packet-time order. Formats nothing.

use std::sync::Arc;

use dwell_attribution::telemetry::{FeedCounters, TelemetryCounters};
use dwell_attribution::{Attribution, Destination, HostRef, Judgement};
use dwell_detect::{Finding, SessionEnd, SessionId, SessionSummary, Visibility};
use dwell_flow::{CommunityId, Conflict, EndReason, FlowCounters};
use dwell_packet::{DecodeCounters, FiveTuple, Timestamp};
use dwell_proto::{CertificateFacts, ClientHello, HttpRequest, HttpResponse, ServerHello};

use crate::event::FlowSnapshot;
use crate::losses::Losses;
use crate::shard::ShardCounters;

/// One record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Record {
    /// A TLS, QUIC or DTLS handshake.
    Handshake(Box<HandshakeRecord>),
    /// A cleartext HTTP/1 request.
    Http(Box<HttpRecord>),
    /// A flow began, is still open, or ended.
    Flow(Box<FlowRecord>),
    /// A session that has become long goes on, or a session ended.
    Session(Box<SessionRecord>),
    /// A finding opened, changed or closed.
    Finding(Box<Finding>),
    /// What was counted so far.
    Stats(Box<StatsRecord>),
}

/// What every record of a flow says of its identity; shared by them until more is known.
#[derive(Clone, Debug)]
pub struct FlowIdentity {
    /// The flow's first packet's number in the whole capture.
    pub flow: u64,
    /// Five-tuple, originator first.
    pub tuple: FiveTuple,
    /// Its Community ID.
    pub community: CommunityId,
    /// The site's host: the originator, or the responder where only that is local.
    pub host: HostRef,
    /// The application, as far as known.
    pub application: Arc<Attribution>,
    /// Where it goes.
    pub destination: Destination,
    /// The session that the flow belongs to, once it has one.
    pub session: Option<SessionId>,
    /// What could not be seen, apart from what the flow's figures say.
    pub visibility: Visibility,
}

/// A handshake as far as it was seen.
#[derive(Clone, Debug)]
pub struct HandshakeRecord {
    /// Time of the hello.
    pub ts: Timestamp,
    /// Frame that completed the hello, within its capture file.
    pub frame: u64,
    /// Whose it is.
    pub identity: Arc<FlowIdentity>,
    /// The first ClientHello: the connection's fingerprint.
    pub hello: Arc<ClientHello>,
    /// How many hellos the client sent.
    pub hellos: u32,
    /// The final ServerHello.
    pub answer: Option<Box<ServerHello>>,
    /// The server's certificate, if it was in the clear.
    pub certificate: Option<Box<CertificateFacts>>,
}

/// A cleartext HTTP/1 request with its response, if that followed.
#[derive(Clone, Debug)]
pub struct HttpRecord {
    /// Time of the request head.
    pub ts: Timestamp,
    /// Frame that completed the head, within its capture file.
    pub frame: u64,
    /// Whose it is.
    pub identity: Arc<FlowIdentity>,
    /// The request head.
    pub request: Box<HttpRequest>,
    /// The response head.
    pub response: Option<Box<HttpResponse>>,
}

/// Which record of a flow this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The first payload.
    Start,
    /// The flow is still open, maybe silent.
    Update,
    /// The flow is over.
    End(EndReason),
}

/// A flow at one moment: cumulative figures, and what came since the last record.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    /// Time of the record.
    pub ts: Timestamp,
    /// Whose it is.
    pub identity: Arc<FlowIdentity>,
    /// Start, update or end.
    pub moment: Moment,
    /// Number of the record among the flow's records, from 1.
    pub sequence: u32,
    /// Figures since the flow began.
    pub snapshot: Box<FlowSnapshot>,
    /// Figures since the last record of this flow.
    pub delta: Delta,
    /// Whether a ClientHello or an HTTP request was seen.
    pub opening_seen: bool,
    /// Whether the name may be a public one in front of another (ECH).
    pub ech: bool,
    /// The flow whose QUIC connection moved to this one.
    pub migrated_from: Option<u64>,
    /// Copies of the same TCP bytes that differ, the first few.
    pub conflicts: Vec<Conflict>,
    /// What the policy says of it; nothing of a flow whose application cannot be told at all.
    pub judgement: Option<Judgement>,
    /// What the capture as a whole lost since the flow began.
    pub losses: Losses,
}

impl FlowRecord {
    /// What could not be seen of the flow, with what its figures say.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        let quality = self.snapshot.quality;
        self.identity.visibility.or(Visibility {
            midstream: quality.midstream,
            one_sided: quality.one_sided,
            gaps: quality.gap_bytes > 0,
            capture_loss: self.losses.dropped_packets > 0,
            ..Visibility::default()
        })
    }
}

/// What a flow carried between two of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delta {
    /// Wire bytes that the originator sent.
    pub bytes_out: u64,
    /// Wire bytes that the responder sent.
    pub bytes_in: u64,
    /// Packets that the originator sent.
    pub packets_out: u64,
    /// Packets that the responder sent.
    pub packets_in: u64,
    /// Time between the two records.
    pub seconds: f64,
}

/// A session at one moment.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Time of the record.
    pub ts: Timestamp,
    /// The session as it stands.
    pub summary: Box<SessionSummary>,
    /// Why it ended, if it did.
    pub end: Option<SessionEnd>,
    /// Number of the record among the session's records, from 1.
    pub sequence: u32,
    /// Figures since the last record of this session.
    pub delta: SessionDelta,
    /// The flow that joined it last; its Community ID leads to the packets.
    pub latest: Option<Arc<FlowIdentity>>,
}

/// What a session carried between two of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SessionDelta {
    /// Payload bytes that the host sent.
    pub bytes_out: u64,
    /// Payload bytes that the host received.
    pub bytes_in: u64,
    /// Flows that joined.
    pub parts: u32,
    /// Time since the last record, or since the first payload.
    pub seconds: f64,
}

/// Counters of the whole engine.
#[derive(Clone, Debug)]
pub struct StatsRecord {
    /// Time of the record.
    pub ts: Timestamp,
    /// Frames, PDUs and discards.
    pub decode: DecodeCounters,
    /// What inspection and reassembly counted, over all shards.
    pub shards: ShardCounters,
    /// Flows, over all shards.
    pub flows: FlowStats,
    /// What endpoint telemetry told, and what came of it.
    pub telemetry: TelemetryCounters,
    /// What the lines of telemetry came to that the engine was given to read.
    pub feeds: FeedCounters,
    /// PDUs that were copies of others, made by a mirror port; they are in no flow's figures.
    pub duplicates: u64,
    /// Steps of the capture's clock by more than an hour.
    pub clock_steps: u64,
}

/// Counters of flows over all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// Opened since the start.
    pub opened: u64,
    /// Ended since the start.
    pub ended: u64,
    /// Evicted before a handshake or after closing.
    pub evicted_unestablished: u64,
    /// Evicted while established and young.
    pub evicted_short: u64,
    /// Packets refused for want of room.
    pub refused: u64,
    /// Open now.
    pub open: u64,
}

impl FlowStats {
    /// Adds one shard's counts.
    pub(crate) fn add(&mut self, counters: &FlowCounters, open: usize) {
        self.opened += counters.opened;
        self.ended += counters.ended;
        self.evicted_unestablished += counters.evicted_unestablished;
        self.evicted_short += counters.evicted_short;
        self.refused += counters.refused;
        self.open += u64::try_from(open).unwrap_or(u64::MAX);
    }
}
