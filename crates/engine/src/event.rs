//! What a shard tells the analytics: plain values, ordered by time and place in the capture.

use std::net::IpAddr;
use std::sync::Arc;

use dwell_attribution::telemetry::ProcessFacts;
use dwell_flow::{
    Burst, Conflict, DirectionCounters, EndReason, FlowView, Quality, TcpPhase, Timing,
};
use dwell_packet::{Direction, Encapsulation, FiveTuple, Heading, LinkAddresses, Pdu, Timestamp};
use dwell_proto::{Observed, QuicConnectionIds};

/// One thing that happened to one flow.
#[derive(Clone, Debug)]
pub struct Event {
    /// Packet time of what happened.
    pub ts: Timestamp,
    /// Number of the packet that showed it, in the whole capture; with `ts` and `sequence` it
    /// orders events whatever shard they came from.
    pub ordinal: u64,
    /// Order among the events of one packet.
    pub sequence: u32,
    /// The flow's first packet's number: its identity.
    pub flow: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a flow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The first payload came.
    Opened(Box<FlowSnapshot>),
    /// The capture named the process behind it, maybe before the first payload; once.
    Process(Arc<NotedProcess>),
    /// Its bytes showed something, completed by frame `frame`.
    Fact {
        /// The flow's five-tuple, originator first.
        tuple: FiveTuple,
        /// Number of the frame within its capture file, from 1.
        frame: u64,
        /// What was seen.
        observed: Observed,
    },
    /// A QUIC connection's IDs, once its handshake was inspected: later flows may carry them.
    QuicIds(Box<QuicConnectionIds>),
    /// Two copies of the same TCP bytes differ.
    Conflict(Conflict),
    /// A burst of payload is over (or a part of a long one).
    Burst {
        /// The burst.
        burst: Burst,
        /// Which of its directions is the originator's.
        originator: Direction,
    },
    /// The flow reached an age at which an update is due.
    Updated(Box<FlowSnapshot>),
    /// The flow is over.
    Ended {
        /// Its last state.
        snapshot: Box<FlowSnapshot>,
        /// Why.
        reason: EndReason,
    },
}

/// A flow's figures at one moment.
#[derive(Clone, Debug)]
pub struct FlowSnapshot {
    /// Five-tuple, originator first.
    pub tuple: FiveTuple,
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the latest packet.
    pub last: Timestamp,
    /// What the originator sent.
    pub sent: DirectionCounters,
    /// What the responder sent.
    pub received: DirectionCounters,
    /// TCP phase; `None` for UDP.
    pub tcp_phase: Option<TcpPhase>,
    /// What limits the trust in the figures.
    pub quality: Quality,
    /// MAC addresses, originator's first.
    pub link: Option<LinkAddresses>,
    /// What the first packet was wrapped in.
    pub encapsulation: Encapsulation,
    /// The originator's operating system, as its SYN tells.
    pub os: Option<dwell_attribution::OsGuess>,
    /// Inter-arrival times, once there was payload.
    pub timing: Option<Box<Timing>>,
    /// Which direction of `timing` is the originator's.
    pub originator: Direction,
    /// What follows the first byte of a QUIC short header, if the flow began with one: a
    /// connection that migrated here begins with its ID.
    pub quic_short: Option<[u8; 20]>,
}

/// A process that the capture itself names behind a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedProcess {
    /// The process.
    pub facts: ProcessFacts,
    /// The address of its host, where the capture tells which way the frame went.
    pub host: Option<IpAddr>,
}

impl NotedProcess {
    /// Of the first frame of a flow that names a process.
    pub(crate) fn of(pdu: &Pdu<'_>) -> Option<Self> {
        let facts = ProcessFacts::of_capture(pdu.processes)?;
        let host = pdu.processes.heading.map(|heading| match heading {
            Heading::Inbound => pdu.tuple.dst.addr,
            Heading::Outbound => pdu.tuple.src.addr,
        });
        Some(Self { facts, host })
    }
}

impl FlowSnapshot {
    pub(crate) fn of<X>(view: &FlowView<'_, X>) -> Self {
        let (sent, received) = view.sent();
        let flow = view.flow;
        let path = view.path();
        Self {
            tuple: flow.tuple(),
            first: flow.first(),
            last: flow.last(),
            sent,
            received,
            tcp_phase: flow.tcp_phase(),
            quality: view.quality(),
            link: path.link,
            encapsulation: path.encapsulation,
            os: None,
            timing: view.timing(),
            originator: flow.originator(),
            quic_short: None,
        }
    }
}
