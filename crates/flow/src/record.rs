//! What is kept of one flow. Says nothing of how flows are found or expire.

use std::time::Duration;

use dwell_packet::{
    Direction, Encapsulation, FiveTuple, FlowKey, LinkAddresses, Pdu, PerDirection, TcpFlags,
    Timestamp, TransportHeader,
};

use crate::burst::Burst;
use crate::tcp::{Arrival, TcpPhase, TcpState, Verdict};
use crate::timing::Timing;

/// What one direction of a flow carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes of frames on the wire.
    pub wire_bytes: u64,
    /// New payload bytes.
    pub payload_bytes: u64,
    /// Payload bytes that were seen before.
    pub retransmitted_bytes: u64,
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndReason {
    /// Both sides closed.
    Fin,
    /// A side reset the connection.
    Rst,
    /// Silent for longer than its time-out.
    Idle,
    /// Removed to make room.
    Evicted,
    /// Another connection took the five-tuple.
    Replaced,
    /// The capture, or the sensor, stopped.
    EndOfCapture,
}

impl EndReason {
    /// The name in records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Replaced => "replaced",
            Self::EndOfCapture => "end_of_capture",
        }
    }
}

/// What limits the trust in a flow's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// The flow was already open when it was first seen.
    pub midstream: bool,
    /// Only one direction was seen.
    pub one_sided: bool,
    /// Bytes that were skipped in sequence and never seen.
    pub gap_bytes: u64,
    /// Bytes that a peer acknowledged and that were never seen.
    pub acked_unseen_bytes: u64,
}

/// One flow: identity, counters, state and timing, with the owner's `X` beside it.
#[derive(Debug)]
pub struct Flow<X> {
    /// Direction-free identity.
    pub key: FlowKey,
    /// Number of the flow's first packet: unique, and the same for any number of workers.
    pub ordinal: u64,
    /// Which direction the side that opened the flow sends in.
    pub originator: Direction,
    /// Time of the first packet.
    pub first: Timestamp,
    /// Time of the latest packet.
    pub last: Timestamp,
    /// What each direction carried.
    pub counters: PerDirection<DirectionCounters>,
    /// MAC addresses of the first packet that had any, as the originator's packets carry them.
    pub link: Option<LinkAddresses>,
    /// What the first packet was wrapped in.
    pub encapsulation: Encapsulation,
    /// Inter-arrival times; kept from the first payload on.
    pub timing: Option<Box<Timing>>,
    /// The owner's.
    pub context: X,
    pub(crate) tcp: Option<TcpState>,
    pub(crate) burst: Option<Burst>,
    pub(crate) updates: usize,
    pub(crate) quic: bool,
    pub(crate) generation: u32,
}

impl<X: Default> Flow<X> {
    pub(crate) fn open(pdu: &Pdu<'_>, key: FlowKey, direction: Direction, ordinal: u64) -> Self {
        let tcp = match pdu.header {
            TransportHeader::Tcp(_) => Some(TcpState::new()),
            TransportHeader::Udp { .. } => None,
        };
        let originator = originator(pdu, direction);
        let link = pdu.link.map(|link| {
            if originator == direction {
                link
            } else {
                LinkAddresses { src: link.dst, dst: link.src }
            }
        });
        Self {
            key,
            ordinal,
            originator,
            first: pdu.ts,
            last: pdu.ts,
            counters: PerDirection::default(),
            link,
            encapsulation: pdu.encapsulation,
            timing: None,
            context: X::default(),
            tcp,
            burst: None,
            updates: 0,
            quic: false,
            generation: 0,
        }
    }
}

impl<X> Flow<X> {
    /// The five-tuple from the originator to the responder.
    #[must_use]
    pub fn tuple(&self) -> FiveTuple {
        self.key.tuple(self.originator)
    }

    /// Time from the first to the latest packet.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.last.saturating_since(self.first)
    }

    /// TCP phase; `None` for UDP.
    #[must_use]
    pub fn tcp_phase(&self) -> Option<TcpPhase> {
        self.tcp.as_ref().map(|tcp| tcp.phase)
    }

    /// The sequence number of the first byte of `direction`, if its SYN was seen.
    #[must_use]
    pub fn stream_start(&self, direction: Direction) -> Option<u32> {
        self.tcp.as_ref().and_then(|tcp| tcp.sides.of(direction).start())
    }

    /// Whether the latest segment acknowledged bytes that were not seen.
    #[must_use]
    pub fn acks_unseen(&self) -> bool {
        self.tcp.as_ref().is_some_and(|tcp| tcp.acks_unseen)
    }

    /// What limits the trust in the figures.
    #[must_use]
    pub fn quality(&self) -> Quality {
        let one_sided = self.counters.forward.packets == 0 || self.counters.reverse.packets == 0;
        let Some(tcp) = &self.tcp else { return Quality { one_sided, ..Quality::default() } };
        Quality {
            midstream: !tcp.sides.forward.syn && !tcp.sides.reverse.syn,
            one_sided,
            gap_bytes: tcp.sides.forward.missing.saturating_add(tcp.sides.reverse.missing),
            acked_unseen_bytes: tcp.acked_unseen,
        }
    }

    /// What the originator and the responder sent, in this order.
    #[must_use]
    pub fn sent(&self) -> (DirectionCounters, DirectionCounters) {
        (*self.counters.of(self.originator), *self.counters.of(self.originator.reversed()))
    }

    /// Says that QUIC was seen on this flow, which lengthens its time-out.
    pub fn mark_quic(&mut self) {
        self.quic = true;
    }

    /// Takes one packet's header in; `Replaced` leaves the flow as it was.
    pub(crate) fn observe(&mut self, pdu: &Pdu<'_>, direction: Direction) -> Verdict {
        let verdict = match (&pdu.header, &mut self.tcp) {
            (TransportHeader::Tcp(tcp), Some(state)) => {
                self.originator = known_originator(tcp.flags, direction).unwrap_or(self.originator);
                state.segment(direction, tcp, pdu.payload_len)
            }
            (TransportHeader::Tcp(_) | TransportHeader::Udp { .. }, _) => {
                let bytes = pdu.payload_len;
                Verdict::Ours(if bytes == 0 { Arrival::Nothing } else { Arrival::New { bytes } })
            }
        };
        let Verdict::Ours(arrival) = verdict else { return verdict };
        self.last = self.last.max(pdu.ts);
        let counters = self.counters.of_mut(direction);
        counters.packets += 1;
        counters.wire_bytes += u64::from(pdu.wire_len);
        counters.payload_bytes += u64::from(arrival.new_bytes());
        if let Arrival::Retransmission { bytes } = arrival {
            counters.retransmitted_bytes += u64::from(bytes);
        }
        if let Arrival::New { .. } = arrival {
            self.timing.get_or_insert_default().payload(direction, pdu.ts);
        }
        verdict
    }
}

/// Who opened the connection, where the flags tell.
fn known_originator(flags: TcpFlags, direction: Direction) -> Option<Direction> {
    if !flags.contains(TcpFlags::SYN) {
        return None;
    }
    Some(if flags.contains(TcpFlags::ACK) { direction.reversed() } else { direction })
}

/// Who probably opened a flow, from its first packet: by SYN, else the side with a private
/// address, else the side with the higher port when the other's is a service's.
fn originator(pdu: &Pdu<'_>, direction: Direction) -> Direction {
    if let TransportHeader::Tcp(tcp) = pdu.header
        && let Some(known) = known_originator(tcp.flags, direction)
    {
        return known;
    }
    let tuple = &pdu.tuple;
    let service = |port: u16| port < 1024;
    match (service(tuple.src.port), service(tuple.dst.port)) {
        (true, false) => return direction.reversed(),
        (false, true) => return direction,
        (true, true) | (false, false) => {}
    }
    match (is_private(tuple.src.addr), is_private(tuple.dst.addr)) {
        (false, true) if pdu_is_tcp(pdu) => direction.reversed(),
        _ => direction,
    }
}

fn pdu_is_tcp(pdu: &Pdu<'_>) -> bool {
    matches!(pdu.header, TransportHeader::Tcp(_))
}

/// RFC 1918, link-local and unique local addresses (RFC 4193).
fn is_private(addr: std::net::IpAddr) -> bool {
    match addr {
        std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
