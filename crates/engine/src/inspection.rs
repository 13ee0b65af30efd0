//! Reassembles and inspects one flow's bytes while somebody wants them. Keeps no flow table.

use dwell_flow::{Delivery, Flow, Reassembler, ReassemblyCounters};
use dwell_packet::{Direction, Pdu, PerDirection, TcpFlags, TransportHeader};
use dwell_proto::{
    DatagramInspector, DatagramProtocol, Observed, Sender, StreamInspector, StreamProtocol,
};

/// Packets of a flow that may pass before a hole is given up whose bytes were acknowledged: the
/// missing segment was either lost by the tap or is late on a mirror port that mixes directions.
const LATE_PACKETS: u32 = 32;

/// Packets that may pass before a hole is given up that nobody acknowledged.
const LOST_PACKETS: u32 = 512;

/// Segments with a wrong checksum that wait for the receiver to acknowledge them.
const MAX_DOUBTFUL: usize = 64;

/// What a packet's checksum says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The receiver takes the packet.
    Sound,
    /// The checksum is wrong: a decoy that the receiver drops, or a packet whose checksum the
    /// network card makes after, or checks before, the capture point.
    Doubtful,
}

/// What inspects one flow.
#[derive(Debug)]
pub(crate) enum Inspection {
    /// A TCP connection's streams.
    Stream(Box<StreamInspection>),
    /// A UDP flow's datagrams.
    Datagrams(Box<DatagramInspector>),
}

/// A TCP connection's streams, put in order.
#[derive(Debug)]
pub(crate) struct StreamInspection {
    inspector: StreamInspector,
    protocol: fn() -> StreamInspector,
    order: PerDirection<Reassembler>,
    stalled: PerDirection<u32>,
    /// Doubtful segments: believed once the peer acknowledges their bytes and no sound copy came.
    doubtful: PerDirection<Vec<(u32, Vec<u8>)>>,
}

impl Inspection {
    /// An inspection for the flow that `pdu` belongs to.
    pub(crate) fn new(pdu: &Pdu<'_>) -> Self {
        let ports = [pdu.tuple.src.port, pdu.tuple.dst.port];
        let dns = ports.iter().any(|port| matches!(port, 53 | 5353 | 5355));
        match pdu.header {
            TransportHeader::Tcp(_) => {
                let protocol: fn() -> StreamInspector = if ports.contains(&53) {
                    || StreamInspector::new(StreamProtocol::Dns)
                } else {
                    || StreamInspector::new(StreamProtocol::Detect)
                };
                Self::Stream(Box::new(StreamInspection {
                    inspector: protocol(),
                    protocol,
                    order: PerDirection::from_fn(|_| Reassembler::new()),
                    stalled: PerDirection::default(),
                    doubtful: PerDirection::default(),
                }))
            }
            TransportHeader::Udp { .. } => {
                let protocol = if dns { DatagramProtocol::Dns } else { DatagramProtocol::Detect };
                Self::Datagrams(Box::new(DatagramInspector::new(protocol)))
            }
        }
    }

    /// Shows one packet's payload to the inspector; facts are added to `facts`.
    pub(crate) fn inspect<X>(
        &mut self,
        flow: &Flow<X>,
        (direction, trust): (Direction, Trust),
        pdu: &Pdu<'_>,
        facts: &mut Vec<Observed>,
    ) {
        let from = sender(flow, direction);
        match self {
            Self::Stream(streams) => streams.segment(flow, (direction, trust), pdu, facts),
            Self::Datagrams(inspector) => {
                if inspector.wants(from) && whole(pdu) && trust == Trust::Sound {
                    inspector.inspect(from, pdu.payload, facts);
                }
            }
        }
    }

    /// Whether bytes of either direction could still show something.
    pub(crate) fn wants_more(&self) -> bool {
        let wants = |from| match self {
            Self::Stream(streams) => streams.inspector.wants(from),
            Self::Datagrams(inspector) => inspector.wants(from),
        };
        wants(Sender::Originator) || wants(Sender::Responder)
    }

    /// Bytes held in all.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Stream(streams) => {
                let order = &streams.order;
                let held = order.forward.held_bytes() + order.reverse.held_bytes();
                let doubtful = [&streams.doubtful.forward, &streams.doubtful.reverse];
                let doubtful = doubtful.into_iter().flatten().map(|(_, bytes)| bytes.len());
                held + streams.inspector.held_bytes() + doubtful.sum::<usize>()
            }
            Self::Datagrams(inspector) => inspector.held_bytes(),
        }
    }

    /// What reassembly noticed, both directions together.
    pub(crate) fn reassembly(&self) -> ReassemblyCounters {
        let Self::Stream(streams) = self else { return ReassemblyCounters::default() };
        let (a, b) = (streams.order.forward.counters(), streams.order.reverse.counters());
        ReassemblyCounters {
            refused_bytes: a.refused_bytes + b.refused_bytes,
            conflicting_bytes: a.conflicting_bytes + b.conflicting_bytes,
            gaps: a.gaps + b.gaps,
        }
    }

    /// QUIC connection IDs seen.
    pub(crate) fn quic_ids(&self) -> Option<dwell_proto::QuicConnectionIds> {
        match self {
            Self::Stream(_) => None,
            Self::Datagrams(inspector) => inspector.connection_ids(),
        }
    }
}

impl StreamInspection {
    fn segment<X>(
        &mut self,
        flow: &Flow<X>,
        (direction, trust): (Direction, Trust),
        pdu: &Pdu<'_>,
        facts: &mut Vec<Observed>,
    ) {
        let TransportHeader::Tcp(tcp) = pdu.header else { return };
        let from = sender(flow, direction);
        if !pdu.payload.is_empty() && self.inspector.wants(from) {
            if let Some(start) = flow.stream_start(direction) {
                self.order.of_mut(direction).anchor(start);
            }
            let syn = u32::from(tcp.flags.contains(TcpFlags::SYN));
            let seq = tcp.seq.wrapping_add(syn);
            match trust {
                Trust::Sound => {
                    if let Some(bytes) = self.order.of_mut(direction).push(seq, pdu.payload) {
                        self.inspector.inspect(from, bytes, facts);
                    }
                    self.drain(direction, from, facts);
                }
                Trust::Doubtful => {
                    let waiting = self.doubtful.of_mut(direction);
                    if waiting.len() < MAX_DOUBTFUL {
                        waiting.push((seq, pdu.payload.to_vec()));
                    }
                }
            }
        }
        if tcp.flags.contains(TcpFlags::ACK) && trust == Trust::Sound {
            self.believe_acknowledged(flow, direction.reversed(), tcp.ack, facts);
        }
        self.give_up_holes(flow, direction, tcp.ack, facts);
    }

    /// Takes the doubtful segments of `direction` whose bytes the receiver acknowledged: it got
    /// them from somewhere, and no sound copy was seen.
    fn believe_acknowledged<X>(
        &mut self,
        flow: &Flow<X>,
        direction: Direction,
        ack: u32,
        facts: &mut Vec<Observed>,
    ) {
        if self.doubtful.of(direction).is_empty() {
            return;
        }
        let from = sender(flow, direction);
        let acknowledged = |(seq, bytes): &mut (u32, Vec<u8>)| {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            ack.wrapping_sub(seq.wrapping_add(len)).cast_signed() >= 0
        };
        let believed: Vec<_> =
            self.doubtful.of_mut(direction).extract_if(.., acknowledged).collect();
        for (seq, payload) in believed {
            if let Some(bytes) = self.order.of_mut(direction).push(seq, &payload) {
                self.inspector.inspect(from, bytes, facts);
            }
            self.drain(direction, from, facts);
        }
    }

    fn drain(&mut self, direction: Direction, from: Sender, facts: &mut Vec<Observed>) {
        while let Some(delivery) = self.order.of_mut(direction).pop() {
            match delivery {
                Delivery::Bytes(bytes) => self.inspector.inspect(from, &bytes, facts),
                Delivery::Gap(_) => self.inspector.gap(from),
                // What this direction showed so far was shown from its middle: begin again.
                Delivery::Restart => self.inspector = (self.protocol)(),
            }
        }
    }

    /// Skips a hole in the stream of either direction once it is plain that it stays one.
    fn give_up_holes<X>(
        &mut self,
        flow: &Flow<X>,
        direction: Direction,
        ack: u32,
        facts: &mut Vec<Observed>,
    ) {
        let acknowledged = direction.reversed();
        for side in Direction::BOTH {
            let waiting = self.order.of(side).held_pieces() > 0;
            let stalled = self.stalled.of_mut(side);
            if !waiting {
                *stalled = 0;
                continue;
            }
            let seen_by_peer = side == acknowledged && self.order.of(side).hole_acknowledged(ack);
            let step = if seen_by_peer { LOST_PACKETS / LATE_PACKETS } else { 1 };
            *stalled = stalled.saturating_add(step);
            if *stalled < LOST_PACKETS {
                continue;
            }
            *stalled = 0;
            let from = sender(flow, side);
            if let Some(Delivery::Gap(_)) = self.order.of_mut(side).skip_hole() {
                self.inspector.gap(from);
                self.drain(side, from, facts);
            }
        }
    }
}

/// Who sends in `direction`.
fn sender<X>(flow: &Flow<X>, direction: Direction) -> Sender {
    if flow.originator == direction { Sender::Originator } else { Sender::Responder }
}

/// Whether the whole payload was captured: half a datagram shows nothing that can be trusted.
fn whole(pdu: &Pdu<'_>) -> bool {
    u32::try_from(pdu.payload.len()).is_ok_and(|len| len == pdu.payload_len)
}
