//! What is kept of one flow. Says nothing of how flows are found or expire.

use std::sync::Arc;
use std::time::Duration;

use dwell_packet::{
    Direction, FiveTuple, FlowKey, Pdu, PerDirection, TcpFlags, Timestamp, Transport,
    TransportHeader,
};

use crate::path::{Path, PathId};
use crate::payload::Payload;
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
    /// Copies of its packets, made by a mirror port and left out of the figures.
    pub duplicates: u32,
}

/// One flow: identity, counters and TCP state, with the owner's `X` beside it.
///
/// This is what every packet of a flow touches, and all that is kept of one without payload: 128
/// bytes, two neighbouring cache lines, with an `X` of three bytes.
#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
pub struct Flow<X> {
    pub(crate) key: FlowKey,
    pub(crate) ordinal: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    tally: PerDirection<Tally>,
    tcp: TcpState,
    /// The number of its [`Payload`], or [`NO_PAYLOAD`].
    pub(crate) payload: u32,
    pub(crate) path: PathId,
    /// How many updates there were.
    pub(crate) updates: u16,
    traits: Traits,
    /// The owner's.
    pub context: X,
}

/// Stands for no [`Payload`].
pub(crate) const NO_PAYLOAD: u32 = u32::MAX;

/// Packets and wire bytes of one direction, each in 48 bits: a year of a terabit a second.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    packets_low: u32,
    bytes_low: u32,
    packets_high: u16,
    bytes_high: u16,
}

impl Tally {
    #[inline]
    fn count(&mut self, wire_len: u32) {
        let (packets, carry) = self.packets_low.overflowing_add(1);
        self.packets_low = packets;
        self.packets_high = self.packets_high.saturating_add(u16::from(carry));
        let (bytes, carry) = self.bytes_low.overflowing_add(wire_len);
        self.bytes_low = bytes;
        self.bytes_high = self.bytes_high.saturating_add(u16::from(carry));
    }

    fn packets(self) -> u64 {
        u64::from(self.packets_high) << 32 | u64::from(self.packets_low)
    }

    fn wire_bytes(self) -> u64 {
        u64::from(self.bytes_high) << 32 | u64::from(self.bytes_low)
    }

    const fn is_empty(self) -> bool {
        self.packets_low == 0 && self.packets_high == 0
    }
}

/// What a flow is, one bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Traits(u8);

impl Traits {
    /// The side that opened the flow sends in the reverse direction.
    const REVERSED: u8 = 1;
    /// The first packet went in the reverse direction.
    const FIRST_REVERSED: u8 = 2;
    /// QUIC was seen.
    const QUIC: u8 = 4;
    /// There is trouble beside the payload.
    const TROUBLED: u8 = 8;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    const fn direction(self, bit: u8) -> Direction {
        if self.has(bit) { Direction::Reverse } else { Direction::Forward }
    }

    const fn put(&mut self, bit: u8, direction: Direction) {
        match direction {
            Direction::Forward => self.0 &= !bit,
            Direction::Reverse => self.0 |= bit,
        }
    }
}

impl<X: Default> Default for Flow<X> {
    /// A place without a flow.
    fn default() -> Self {
        Self {
            key: FlowKey::default(),
            ordinal: 0,
            first: Timestamp::ZERO,
            last: Timestamp::ZERO,
            tally: PerDirection::default(),
            tcp: TcpState::new(),
            payload: NO_PAYLOAD,
            path: PathId::default(),
            updates: 0,
            traits: Traits::default(),
            context: X::default(),
        }
    }
}

impl<X: Default> Flow<X> {
    pub(crate) fn open(
        pdu: &Pdu<'_>,
        (key, direction): (FlowKey, Direction),
        path: PathId,
        ordinal: u64,
    ) -> Self {
        let mut traits = Traits::default();
        traits.put(Traits::REVERSED, originator(pdu, direction));
        traits.put(Traits::FIRST_REVERSED, direction);
        Self { key, ordinal, first: pdu.ts, last: pdu.ts, path, traits, ..Self::default() }
    }
}

impl<X> Flow<X> {
    /// Whether there is a flow in this place.
    pub(crate) const fn is_open(&self) -> bool {
        self.ordinal > 0
    }

    /// Number of the flow's first packet: unique, and the same for any number of workers.
    #[must_use]
    pub const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Which direction the side that opened the flow sends in.
    #[must_use]
    pub const fn originator(&self) -> Direction {
        self.traits.direction(Traits::REVERSED)
    }

    /// The five-tuple from the originator to the responder.
    #[must_use]
    pub fn tuple(&self) -> FiveTuple {
        self.key.tuple(self.originator())
    }

    /// Time of the first packet.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        self.first
    }

    /// Time of the latest packet.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// Time from the first to the latest packet.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.last.saturating_since(self.first)
    }

    /// TCP phase; `None` for UDP.
    #[must_use]
    pub fn tcp_phase(&self) -> Option<TcpPhase> {
        match self.key.transport() {
            Transport::Tcp => Some(self.tcp.phase()),
            Transport::Udp => None,
        }
    }

    /// The sequence number of the first byte of `direction`, if its SYN was seen.
    #[must_use]
    pub fn stream_start(&self, direction: Direction) -> Option<u32> {
        self.tcp.start(direction)
    }

    /// Whether the latest segment acknowledged bytes that were not seen.
    #[must_use]
    pub const fn acks_unseen(&self) -> bool {
        self.tcp.acks_unseen()
    }

    /// The latest TCP timestamp of `direction` that was noted (RFC 7323, section 5).
    #[must_use]
    pub fn tcp_timestamp(&self, direction: Direction) -> Option<u32> {
        self.tcp.timestamp(direction)
    }

    /// Notes a TCP timestamp of `direction`.
    pub fn note_tcp_timestamp(&mut self, direction: Direction, value: u32) {
        self.tcp.note_timestamp(direction, value);
    }

    /// Whether it was noted that the sender's card fills in the checksums of `direction` after the
    /// capture point.
    #[must_use]
    pub const fn checksum_offloaded(&self, direction: Direction) -> bool {
        self.tcp.offloaded(direction)
    }

    /// Notes that the checksums of `direction` say nothing.
    pub const fn note_checksum_offloaded(&mut self, direction: Direction) {
        self.tcp.note_offloaded(direction);
    }

    /// Says that QUIC was seen on this flow, which lengthens its time-out.
    pub const fn mark_quic(&mut self) {
        self.traits.0 |= Traits::QUIC;
    }

    pub(crate) const fn is_quic(&self) -> bool {
        self.traits.has(Traits::QUIC)
    }

    pub(crate) const fn mark_troubled(&mut self) {
        self.traits.0 |= Traits::TROUBLED;
    }

    /// Whether packets of both directions were seen.
    #[must_use]
    pub const fn is_two_sided(&self) -> bool {
        !self.tally.forward.is_empty() && !self.tally.reverse.is_empty()
    }

    /// Whether taking this packet in needs the place for payload and trouble. A bare
    /// acknowledgement does not, and is spared the cache miss.
    #[inline]
    pub(crate) fn needs_payload(&self, pdu: &Pdu<'_>, direction: Direction) -> bool {
        pdu.payload_len > 0
            || self.traits.has(Traits::TROUBLED)
            || match &pdu.header {
                TransportHeader::Tcp(tcp) => self.tcp.suspects(direction, tcp),
                TransportHeader::Udp { .. } => false,
            }
    }

    /// Takes one packet's header in; `Replaced` leaves the flow as it was.
    ///
    /// `payload` is there if the packet needs it.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        pdu: &Pdu<'_>,
        direction: Direction,
        payload: Option<&mut Payload>,
    ) -> Verdict {
        let verdict = match &pdu.header {
            TransportHeader::Tcp(tcp) => {
                if let Some(originator) = known_originator(tcp.flags, direction) {
                    self.traits.put(Traits::REVERSED, originator);
                }
                let mut none = None;
                let trouble = match payload {
                    Some(payload) => &mut payload.trouble,
                    None => &mut none,
                };
                let verdict = self.tcp.segment(direction, tcp, pdu.payload_len, trouble);
                if trouble.is_some() {
                    self.traits.0 |= Traits::TROUBLED;
                }
                verdict
            }
            TransportHeader::Udp { .. } => {
                let bytes = pdu.payload_len;
                Verdict::Ours(if bytes == 0 { Arrival::Nothing } else { Arrival::New { bytes } })
            }
        };
        if let Verdict::Ours(_) = verdict {
            self.last = self.last.max(pdu.ts);
            self.tally.of_mut(direction).count(pdu.wire_len);
        }
        verdict
    }
}

/// A flow with all that is kept of it.
#[derive(Debug)]
pub struct FlowView<'t, X> {
    /// Identity, counters and TCP state.
    pub flow: &'t Flow<X>,
    /// What payload brought, once there was any.
    pub payload: Option<&'t Payload>,
    pub(crate) path: Option<&'t Arc<Path>>,
}

impl<X> FlowView<'_, X> {
    /// What the originator and the responder sent, in this order.
    #[must_use]
    pub fn sent(&self) -> (DirectionCounters, DirectionCounters) {
        let originator = self.flow.originator();
        (self.counters(originator), self.counters(originator.reversed()))
    }

    /// What went in `direction`.
    #[must_use]
    pub fn counters(&self, direction: Direction) -> DirectionCounters {
        let tally = self.flow.tally.of(direction);
        let trouble = self.payload.and_then(|payload| payload.trouble.as_ref());
        DirectionCounters {
            packets: tally.packets(),
            wire_bytes: tally.wire_bytes(),
            payload_bytes: self.payload.map_or(0, |payload| payload.bytes(direction)),
            retransmitted_bytes: trouble.map_or(0, |trouble| trouble.retransmitted(direction)),
        }
    }

    /// What limits the trust in the figures.
    #[must_use]
    pub fn quality(&self) -> Quality {
        let one_sided = !self.flow.is_two_sided();
        let trouble = self.payload.and_then(|payload| payload.trouble.as_ref());
        let duplicates = trouble.map_or(0, |trouble| trouble.copies());
        if self.flow.tcp_phase().is_none() {
            return Quality { one_sided, duplicates, ..Quality::default() };
        }
        Quality {
            duplicates,
            midstream: self.flow.tcp.midstream(),
            one_sided,
            gap_bytes: trouble.map_or(0, |trouble| trouble.missing()),
            acked_unseen_bytes: trouble.map_or(0, |trouble| trouble.acked_unseen()),
        }
    }

    /// Inter-arrival times, once there was payload.
    #[must_use]
    pub fn timing(&self) -> Option<Box<Timing>> {
        self.payload?.timing(self.flow.first)
    }

    /// MAC addresses and wrapping of the first packet, as the originator's packets carry them.
    #[must_use]
    pub fn path(&self) -> Path {
        let Some(path) = self.path else { return Path::default() };
        let first = self.flow.traits.direction(Traits::FIRST_REVERSED);
        if first == self.flow.originator() { Path::clone(path) } else { path.reversed() }
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
