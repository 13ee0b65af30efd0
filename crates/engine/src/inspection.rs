//! Reassembles and inspects one flow's bytes while somebody wants them. Keeps no flow table.

use dwell_flow::{Conflict, Delivery, Flow, OverlapPolicy, Reassembler, ReassemblyCounters};
use dwell_packet::{Direction, Pdu, PerDirection, TcpFlags, TcpHeader, TransportHeader};
use dwell_proto::{
    DatagramInspector, DatagramProtocol, Observed, QuicConnectionIds, Sender, StreamInspector,
    StreamProtocol,
};

use crate::trust::{Trust, checksum_intact, tcp_of, whole};

/// Packets of a flow that may pass before a hole is given up whose bytes were acknowledged: the
/// missing segment was either lost by the tap or is late on a mirror port that mixes directions.
const LATE_PACKETS: u32 = 32;

/// Packets that may pass before a hole is given up that nobody acknowledged.
const LOST_PACKETS: u32 = 512;

/// Doubtful segments or datagrams of one direction that wait to be believed: a hello of 64 kB.
const MAX_DOUBTFUL: usize = 64;

/// What inspects one flow.
#[derive(Debug)]
pub(crate) enum Inspection {
    /// A TCP connection's streams.
    Stream(Box<StreamInspection>),
    /// A UDP flow's datagrams.
    Datagrams(Box<DatagramInspection>),
}

impl Inspection {
    /// An inspection for the flow that `pdu` belongs to.
    pub(crate) fn new(pdu: &Pdu<'_>, overlap: OverlapPolicy) -> Self {
        let ports = [pdu.tuple.src.port, pdu.tuple.dst.port];
        match pdu.header {
            TransportHeader::Tcp(_) => {
                Self::Stream(Box::new(StreamInspection::new(ports, overlap)))
            }
            TransportHeader::Udp { .. } => {
                Self::Datagrams(Box::new(DatagramInspection::new(ports)))
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
        match self {
            Self::Stream(streams) => streams.segment(flow, (direction, trust), pdu, facts),
            Self::Datagrams(datagrams) => datagrams.datagram(flow, direction, pdu, facts),
        }
    }

    /// Believes what is still doubtful, since nothing better will come.
    pub(crate) fn finish<X>(&mut self, flow: &Flow<X>, facts: &mut Vec<Observed>) {
        for direction in Direction::BOTH {
            match self {
                Self::Stream(streams) => streams.believe(flow, direction, |_| true, facts),
                Self::Datagrams(datagrams) => datagrams.believe(flow, direction, facts),
            }
        }
        if let Self::Datagrams(datagrams) = self {
            datagrams.inspector.finish(facts);
        }
    }

    /// Takes the conflicting copies noticed since the last call, as evidence.
    pub(crate) fn take_conflicts(&mut self) -> Vec<Conflict> {
        let Self::Stream(streams) = self else { return Vec::new() };
        let mut conflicts = streams.order.forward.take_conflicts();
        conflicts.append(&mut streams.order.reverse.take_conflicts());
        conflicts
    }

    /// Whether bytes of either direction could still show something.
    pub(crate) fn wants_more(&self) -> bool {
        let wants = |from| match self {
            Self::Stream(streams) => streams.inspector.wants(from),
            Self::Datagrams(datagrams) => datagrams.inspector.wants(from),
        };
        wants(Sender::Originator) || wants(Sender::Responder)
    }

    /// Bytes held in all.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Stream(streams) => {
                let order = &streams.order;
                let held = order.forward.held_bytes() + order.reverse.held_bytes();
                held + streams.inspector.held_bytes() + doubtful_bytes(&streams.doubtful)
            }
            Self::Datagrams(datagrams) => {
                datagrams.inspector.held_bytes() + doubtful_bytes(&datagrams.doubtful)
            }
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
    pub(crate) fn quic_ids(&self) -> Option<QuicConnectionIds> {
        match self {
            Self::Stream(_) => None,
            Self::Datagrams(datagrams) => datagrams.inspector.connection_ids(),
        }
    }
}

/// A sequence number (zero for datagrams) and the payload at it.
type Doubtful = (u32, Vec<u8>);

fn doubtful_bytes(doubtful: &PerDirection<Vec<Doubtful>>) -> usize {
    let pieces = doubtful.forward.iter().chain(&doubtful.reverse);
    pieces.map(|(_, bytes)| bytes.len()).sum()
}

/// A TCP connection's streams, put in order.
#[derive(Debug)]
pub(crate) struct StreamInspection {
    inspector: StreamInspector,
    protocol: fn() -> StreamInspector,
    order: PerDirection<Reassembler>,
    stalled: PerDirection<u32>,
    doubtful: PerDirection<Vec<Doubtful>>,
}

impl StreamInspection {
    fn new(ports: [u16; 2], overlap: OverlapPolicy) -> Self {
        let protocol: fn() -> StreamInspector = if ports.contains(&53) {
            || StreamInspector::new(StreamProtocol::Dns)
        } else {
            || StreamInspector::new(StreamProtocol::Detect)
        };
        Self {
            inspector: protocol(),
            protocol,
            order: PerDirection::from_fn(|_| Reassembler::with_policy(overlap)),
            stalled: PerDirection::default(),
            doubtful: PerDirection::default(),
        }
    }

    fn segment<X>(
        &mut self,
        flow: &Flow<X>,
        (direction, trust): (Direction, Trust),
        pdu: &Pdu<'_>,
        facts: &mut Vec<Observed>,
    ) {
        let Some(tcp) = tcp_of(pdu) else { return };
        let syn = u32::from(tcp.flags.contains(TcpFlags::SYN));
        let seq = tcp.seq.wrapping_add(syn);
        match trust {
            Trust::Sound => {
                self.sound(flow, direction, &tcp, facts);
                if !pdu.payload.is_empty() {
                    self.put(flow, direction, (seq, pdu.payload), facts);
                }
            }
            Trust::Doubtful if !pdu.payload.is_empty() => {
                let waiting = self.doubtful.of_mut(direction);
                if waiting.len() < MAX_DOUBTFUL {
                    waiting.push((seq, pdu.payload.to_vec()));
                }
            }
            Trust::Doubtful => {}
        }
        self.give_up_holes(flow, direction, tcp.ack, facts);
    }

    /// Takes what a sound header proves of doubtful segments: the peer's are believed up to its
    /// acknowledgement, the sender's own up to where it goes on.
    fn sound<X>(
        &mut self,
        flow: &Flow<X>,
        direction: Direction,
        tcp: &TcpHeader<'_>,
        facts: &mut Vec<Observed>,
    ) {
        let covers = |end: u32, to: u32| to.wrapping_sub(end).cast_signed() >= 0;
        if tcp.flags.contains(TcpFlags::ACK) {
            self.believe(flow, direction.reversed(), |end| covers(end, tcp.ack), facts);
        }
        if !tcp.flags.contains(TcpFlags::RST) {
            self.believe(flow, direction, |end| covers(end, tcp.seq), facts);
        }
    }

    /// Takes the doubtful segments of `direction` that end where `proved` says so.
    fn believe<X>(
        &mut self,
        flow: &Flow<X>,
        direction: Direction,
        proved: impl Fn(u32) -> bool,
        facts: &mut Vec<Observed>,
    ) {
        if self.doubtful.of(direction).is_empty() {
            return;
        }
        let ends = |(seq, bytes): &mut Doubtful| {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            proved(seq.wrapping_add(len))
        };
        let believed: Vec<Doubtful> =
            self.doubtful.of_mut(direction).extract_if(.., ends).collect();
        for (seq, payload) in believed {
            self.put(flow, direction, (seq, &payload), facts);
        }
    }

    /// Puts payload in its place and inspects what that makes ready.
    fn put<X>(
        &mut self,
        flow: &Flow<X>,
        direction: Direction,
        (seq, payload): (u32, &[u8]),
        facts: &mut Vec<Observed>,
    ) {
        let from = sender(flow, direction);
        if !self.inspector.wants(from) {
            return;
        }
        if let Some(start) = flow.stream_start(direction) {
            self.order.of_mut(direction).anchor(start);
        }
        if let Some(bytes) = self.order.of_mut(direction).push(seq, payload) {
            self.inspector.inspect(from, bytes, facts);
        }
        self.drain(direction, from, facts);
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
        for side in Direction::BOTH {
            let waiting = self.order.of(side).held_pieces() > 0;
            let stalled = self.stalled.of_mut(side);
            if !waiting {
                *stalled = 0;
                continue;
            }
            let seen_by_peer =
                side == direction.reversed() && self.order.of(side).hole_acknowledged(ack);
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

/// A UDP flow's datagrams.
#[derive(Debug)]
pub(crate) struct DatagramInspection {
    inspector: DatagramInspector,
    checksums: PerDirection<Checksums>,
    doubtful: PerDirection<Vec<Doubtful>>,
}

/// What a direction's checksums have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Checksums {
    /// Nothing yet, or one wrong one.
    #[default]
    Untold,
    /// They are right, so that a wrong one is a decoy.
    Kept,
    /// They are wrong as a rule: the sender's card fills them in.
    Offloaded,
}

impl DatagramInspection {
    fn new(ports: [u16; 2]) -> Self {
        let dns = ports.iter().any(|port| matches!(port, 53 | 5353 | 5355));
        let dhcp = ports.iter().any(|port| matches!(port, 67 | 68));
        let protocol = match (dns, dhcp) {
            (true, _) => DatagramProtocol::Dns,
            (false, true) => DatagramProtocol::Dhcp,
            (false, false) => DatagramProtocol::Detect,
        };
        Self {
            inspector: DatagramInspector::new(protocol),
            checksums: PerDirection::default(),
            doubtful: PerDirection::default(),
        }
    }

    fn datagram<X>(
        &mut self,
        flow: &Flow<X>,
        direction: Direction,
        pdu: &Pdu<'_>,
        facts: &mut Vec<Observed>,
    ) {
        // An answer proves that the other side took what it got.
        self.believe(flow, direction.reversed(), facts);
        let intact = checksum_intact(pdu);
        let known = self.checksums.of_mut(direction);
        let waiting = self.doubtful.of_mut(direction);
        *known = match (*known, intact) {
            (Checksums::Untold, true) => Checksums::Kept,
            (Checksums::Untold, false) if !waiting.is_empty() => Checksums::Offloaded,
            (known, _) => known,
        };
        let take = match (*known, intact) {
            (Checksums::Kept, true) => {
                waiting.clear();
                true
            }
            (Checksums::Offloaded, _) => true,
            (Checksums::Kept, false) => false,
            (Checksums::Untold, _) => {
                if whole(pdu) {
                    waiting.push((0, pdu.payload.to_vec()));
                }
                false
            }
        };
        if !take {
            return;
        }
        self.believe(flow, direction, facts);
        let from = sender(flow, direction);
        if self.inspector.wants(from) && whole(pdu) {
            self.inspector.inspect(from, pdu.payload, facts);
        }
    }

    /// Takes the doubtful datagrams of `direction`.
    fn believe<X>(&mut self, flow: &Flow<X>, direction: Direction, facts: &mut Vec<Observed>) {
        let from = sender(flow, direction);
        for (_, datagram) in std::mem::take(self.doubtful.of_mut(direction)) {
            *self.checksums.of_mut(direction) = Checksums::Offloaded;
            if self.inspector.wants(from) {
                self.inspector.inspect(from, &datagram, facts);
            }
        }
    }
}

/// Who sends in `direction`.
fn sender<X>(flow: &Flow<X>, direction: Direction) -> Sender {
    if flow.originator() == direction { Sender::Originator } else { Sender::Responder }
}
