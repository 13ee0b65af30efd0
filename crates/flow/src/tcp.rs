//! TCP state of one flow: phase, sequence space of each direction, what a segment brought.
//! Holds no payload.

use dwell_packet::{Direction, PerDirection, TcpFlags, TcpHeader};

/// How far ahead of the expected sequence number a segment may be and still count as this
/// connection's: more than any window that is used, far less than chance would give.
const WINDOW: u32 = 64 << 20;

/// Where a TCP connection stands (RFC 9293, section 3.3.2, as an observer can tell).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpPhase {
    /// A SYN without an answer.
    Opening,
    /// Data or a finished handshake was seen; also a connection picked up in the middle.
    Established,
    /// One side sent FIN.
    Closing,
    /// Both sides sent FIN.
    Closed,
    /// A RST was seen, and nothing since that contradicts it.
    Reset,
}

/// What one segment or datagram brought, apart from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// No payload, or payload outside the connection's window.
    Nothing,
    /// New payload in sequence: an arrival of the application's.
    New {
        /// How many bytes of it are new.
        bytes: u32,
    },
    /// New payload that fills a hole or runs ahead of one: delivered late or early by the network,
    /// so that its time says nothing of the application.
    Reordered {
        /// How many bytes of it are new.
        bytes: u32,
    },
    /// Payload that was seen before.
    Retransmission {
        /// How many bytes were repeated.
        bytes: u32,
    },
    /// A keep-alive probe (RFC 9293, section 3.8.4): at most one old byte.
    KeepAlive,
}

impl Arrival {
    /// How many bytes were new.
    #[must_use]
    pub const fn new_bytes(self) -> u32 {
        match self {
            Self::New { bytes } | Self::Reordered { bytes } => bytes,
            Self::Nothing | Self::Retransmission { .. } | Self::KeepAlive => 0,
        }
    }
}

/// The sequence space of one direction, put together from the flow's record for one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TcpSide {
    /// The sequence number after the highest byte seen; meaningful when `known`.
    next_seq: u32,
    /// The sequence number of the first byte, as the SYN or the peer's answer says.
    start: u32,
    bits: SideBits,
    trouble: SideTrouble,
}

/// What one direction did, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SideBits(u8);

impl SideBits {
    /// A segment was seen.
    const KNOWN: u8 = 1;
    /// A SYN was seen.
    const SYN: u8 = 2;
    /// Payload was seen.
    const FED: u8 = 4;
    /// A FIN was seen.
    const FIN: u8 = 8;
    /// A TCP timestamp was seen.
    const TIMESTAMP: u8 = 16;
    /// The SYN's checksum was wrong.
    const OFFLOADED: u8 = 32;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    const fn set(&mut self, bit: u8) {
        self.0 |= bit;
    }
}

/// What went wrong in the sequence space of one direction: most flows have none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SideTrouble {
    /// The latest hole below the highest byte seen.
    hole: Option<(u32, u32)>,
    /// Where a segment outside the window ended: a second one there means that we lost the place.
    stray_end: Option<u32>,
    /// Bytes that were skipped and not seen since.
    missing: u64,
    /// Payload bytes that were seen before.
    retransmitted: u64,
}

/// What went wrong in a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    sides: PerDirection<SideTrouble>,
    /// Bytes that a peer acknowledged and we never saw.
    acked_unseen: u64,
    /// A SYN inside a live connection: another connection's, or somebody's lie. The next segment
    /// tells.
    challenge: Option<(Direction, u32)>,
    /// Copies of packets, made by a mirror port.
    copies: u32,
}

impl Trouble {
    /// Copies of packets that were left out of the figures.
    pub(crate) const fn copies(&self) -> u32 {
        self.copies
    }

    pub(crate) const fn count_copy(&mut self) {
        self.copies = self.copies.saturating_add(1);
    }

    /// Bytes that were skipped in sequence and never seen, both directions together.
    pub(crate) const fn missing(&self) -> u64 {
        self.sides.forward.missing.saturating_add(self.sides.reverse.missing)
    }

    /// Bytes that a peer acknowledged and we never saw.
    pub(crate) const fn acked_unseen(&self) -> u64 {
        self.acked_unseen
    }

    /// Payload bytes of `direction` that were seen before.
    pub(crate) const fn retransmitted(&self, direction: Direction) -> u64 {
        self.sides.of(direction).retransmitted
    }
}

impl TcpSide {
    /// The sequence number expected next, once one segment was seen.
    fn expected(&self) -> Option<u32> {
        self.bits.has(SideBits::KNOWN).then_some(self.next_seq)
    }

    fn open(&mut self, isn: u32) {
        let start = isn.wrapping_add(1);
        let kept = self.bits.0 & (SideBits::TIMESTAMP | SideBits::OFFLOADED);
        let bits = SideBits(kept | SideBits::KNOWN | SideBits::SYN);
        let retransmitted = self.trouble.retransmitted;
        let trouble = SideTrouble { retransmitted, ..SideTrouble::default() };
        *self = Self { next_seq: start, start, bits, trouble };
    }

    /// Places `len` bytes at `seq`.
    fn place(&mut self, seq: u32, len: u32) -> Arrival {
        if len == 0 {
            return Arrival::Nothing;
        }
        let end = seq.wrapping_add(len);
        self.bits.set(SideBits::FED);
        if !self.bits.has(SideBits::KNOWN) {
            self.bits.set(SideBits::KNOWN);
            self.next_seq = end;
            return Arrival::New { bytes: len };
        }
        let ahead = seq.wrapping_sub(self.next_seq).cast_signed();
        if ahead.unsigned_abs() > WINDOW {
            return self.stray(seq, len);
        }
        self.trouble.stray_end = None;
        if ahead > 0 {
            let skipped = ahead.unsigned_abs();
            self.trouble.hole = Some((self.next_seq, seq));
            self.trouble.missing = self.trouble.missing.saturating_add(u64::from(skipped));
            self.next_seq = end;
            return Arrival::Reordered { bytes: len };
        }
        let new = end.wrapping_sub(self.next_seq).cast_signed();
        if new > 0 {
            self.next_seq = end;
            return Arrival::New { bytes: new.unsigned_abs().min(len) };
        }
        self.old(seq, end, len)
    }

    /// Places bytes below `next_seq`: a hole's filling, a keep-alive or a retransmission.
    fn old(&mut self, seq: u32, end: u32, len: u32) -> Arrival {
        if let Some((from, to)) = self.trouble.hole {
            let start = if seq.wrapping_sub(from).cast_signed() > 0 { seq } else { from };
            let stop = if end.wrapping_sub(to).cast_signed() < 0 { end } else { to };
            let filled = stop.wrapping_sub(start).cast_signed();
            if filled > 0 {
                let bytes = filled.unsigned_abs();
                self.trouble.missing = self.trouble.missing.saturating_sub(u64::from(bytes));
                self.trouble.hole = match (start == from, stop == to) {
                    (true, true) => None,
                    (true, false) => Some((stop, to)),
                    // A filling in the middle: what is left in front is remembered, the rest not.
                    (false, _) => Some((from, start)),
                };
                return Arrival::Reordered { bytes };
            }
        }
        if len == 1 && end == self.next_seq {
            return Arrival::KeepAlive;
        }
        self.trouble.retransmitted = self.trouble.retransmitted.saturating_add(u64::from(len));
        Arrival::Retransmission { bytes: len }
    }

    /// A segment outside the window: ignored, unless the next one continues it.
    fn stray(&mut self, seq: u32, len: u32) -> Arrival {
        let end = seq.wrapping_add(len);
        if self.trouble.stray_end != Some(seq) {
            self.trouble.stray_end = Some(end);
            return Arrival::Nothing;
        }
        let ahead = seq.wrapping_sub(self.next_seq).cast_signed();
        self.trouble.missing =
            self.trouble.missing.saturating_add(u64::from(ahead.max(0).unsigned_abs()));
        (self.next_seq, self.trouble.stray_end, self.trouble.hole) = (end, None, None);
        Arrival::New { bytes: len }
    }

    /// Takes the peer's acknowledgement; returns how many acknowledged bytes were never seen.
    fn acknowledged(&mut self, ack: u32) -> u32 {
        let bits = self.bits;
        if bits.has(SideBits::SYN) && !bits.has(SideBits::FED) && !bits.has(SideBits::FIN) {
            // Of several SYNs with different sequence numbers, the peer answers the real one. One
            // that is near acknowledges data that the mirror port delivers later.
            if ack.wrapping_sub(self.start).cast_signed().unsigned_abs() > WINDOW {
                (self.start, self.next_seq) = (ack, ack);
            }
            return 0;
        }
        let unseen = ack.wrapping_sub(self.next_seq).cast_signed();
        if !bits.has(SideBits::KNOWN) || unseen <= 0 || unseen.unsigned_abs() > WINDOW {
            return 0;
        }
        // A FIN takes one sequence number without being payload.
        let bytes = unseen.unsigned_abs();
        if bytes == 1 && !bits.has(SideBits::FIN) {
            return 0;
        }
        self.next_seq = ack;
        self.trouble.missing = self.trouble.missing.saturating_add(u64::from(bytes));
        bytes
    }
}

/// What a segment means for the flow as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It belongs to this connection.
    Ours(Arrival),
    /// It opens another connection on the same five-tuple.
    Replaced,
}

/// TCP state of both directions, 28 bytes: what goes wrong in few flows is kept apart, in
/// [`Trouble`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpState {
    next_seq: PerDirection<u32>,
    start: PerDirection<u32>,
    /// The latest TCP timestamp of each direction (RFC 7323, section 5).
    timestamp: PerDirection<u32>,
    bits: PerDirection<SideBits>,
    phase: TcpPhase,
    /// Whether the latest segment acknowledged bytes that were not seen: those are late, lost, or
    /// the segment lies.
    acks_unseen: bool,
}

impl TcpState {
    pub(crate) fn new() -> Self {
        Self {
            next_seq: PerDirection::default(),
            start: PerDirection::default(),
            timestamp: PerDirection::default(),
            bits: PerDirection::default(),
            phase: TcpPhase::Opening,
            acks_unseen: false,
        }
    }

    pub(crate) const fn phase(&self) -> TcpPhase {
        self.phase
    }

    pub(crate) const fn acks_unseen(&self) -> bool {
        self.acks_unseen
    }

    /// The sequence number of the first byte of `direction`, if a SYN told it.
    pub(crate) fn start(&self, direction: Direction) -> Option<u32> {
        self.has(direction, SideBits::SYN).then_some(*self.start.of(direction))
    }

    /// Whether no SYN was seen.
    pub(crate) const fn midstream(&self) -> bool {
        !self.has(Direction::Forward, SideBits::SYN) && !self.has(Direction::Reverse, SideBits::SYN)
    }

    /// The latest TCP timestamp of `direction`.
    pub(crate) fn timestamp(&self, direction: Direction) -> Option<u32> {
        self.has(direction, SideBits::TIMESTAMP).then_some(*self.timestamp.of(direction))
    }

    pub(crate) fn note_timestamp(&mut self, direction: Direction, value: u32) {
        self.bits.of_mut(direction).set(SideBits::TIMESTAMP);
        *self.timestamp.of_mut(direction) = value;
    }

    /// Whether the checksums of `direction` say nothing.
    pub(crate) const fn offloaded(&self, direction: Direction) -> bool {
        self.has(direction, SideBits::OFFLOADED)
    }

    pub(crate) const fn note_offloaded(&mut self, direction: Direction) {
        self.bits.of_mut(direction).set(SideBits::OFFLOADED);
    }

    /// Whether this segment may bring trouble, so that there must be a place to keep it.
    pub(crate) fn suspects(&self, direction: Direction, tcp: &TcpHeader<'_>) -> bool {
        let live = self.phase != TcpPhase::Opening;
        let peer = direction.reversed();
        let unseen = tcp.ack.wrapping_sub(*self.next_seq.of(peer)).cast_signed() > 0;
        live && tcp.flags.contains(TcpFlags::SYN)
            || unseen && self.has(peer, SideBits::KNOWN) && tcp.flags.contains(TcpFlags::ACK)
    }

    const fn has(&self, direction: Direction, bit: u8) -> bool {
        self.bits.of(direction).has(bit)
    }

    fn side(&self, direction: Direction, trouble: Option<&Trouble>) -> TcpSide {
        TcpSide {
            next_seq: *self.next_seq.of(direction),
            start: *self.start.of(direction),
            bits: *self.bits.of(direction),
            trouble: trouble.map(|trouble| *trouble.sides.of(direction)).unwrap_or_default(),
        }
    }

    fn put_side(
        &mut self,
        direction: Direction,
        side: &TcpSide,
        trouble: &mut Option<Box<Trouble>>,
    ) {
        *self.next_seq.of_mut(direction) = side.next_seq;
        *self.start.of_mut(direction) = side.start;
        *self.bits.of_mut(direction) = side.bits;
        let kept = trouble.as_ref().map(|trouble| *trouble.sides.of(direction));
        if side.trouble != kept.unwrap_or_default() {
            *trouble.get_or_insert_default().sides.of_mut(direction) = side.trouble;
        }
    }

    /// Takes one segment in.
    pub(crate) fn segment(
        &mut self,
        direction: Direction,
        tcp: &TcpHeader<'_>,
        len: u32,
        trouble: &mut Option<Box<Trouble>>,
    ) -> Verdict {
        if tcp.flags.contains(TcpFlags::SYN) {
            return self.syn(direction, tcp, len, trouble);
        }
        if self.challenge_met(direction, tcp, trouble) {
            return Verdict::Replaced;
        }
        let mut own = self.side(direction, trouble.as_deref());
        let expected = own.expected();
        let arrival = own.place(tcp.seq, len);
        self.put_side(direction, &own, trouble);
        self.acks_unseen = false;
        if tcp.flags.contains(TcpFlags::ACK) {
            self.acknowledge(direction.reversed(), tcp.ack, trouble);
        }
        if tcp.flags.contains(TcpFlags::RST) {
            let near =
                |next: u32| tcp.seq.wrapping_sub(next).cast_signed().unsigned_abs() <= WINDOW;
            if expected.is_none_or(near) {
                self.phase = TcpPhase::Reset;
            }
            return Verdict::Ours(arrival);
        }
        self.settle(direction, tcp, arrival);
        Verdict::Ours(arrival)
    }

    /// Takes an acknowledgement of what `peer` sent.
    fn acknowledge(&mut self, peer: Direction, ack: u32, trouble: &mut Option<Box<Trouble>>) {
        let mut side = self.side(peer, trouble.as_deref());
        // A FIN that was not seen takes one sequence number.
        let beyond = |next: u32| ack.wrapping_sub(next).cast_signed() > 1;
        self.acks_unseen = side.expected().is_some_and(beyond);
        let unseen = side.acknowledged(ack);
        self.put_side(peer, &side, trouble);
        if unseen > 0 {
            let trouble = trouble.get_or_insert_default();
            trouble.acked_unseen = trouble.acked_unseen.saturating_add(u64::from(unseen));
        }
    }

    /// Moves the phase after a segment that is neither SYN nor RST.
    fn settle(&mut self, direction: Direction, tcp: &TcpHeader<'_>, arrival: Arrival) {
        if tcp.flags.contains(TcpFlags::FIN) {
            let bits = self.bits.of_mut(direction);
            if !bits.has(SideBits::FIN) {
                bits.set(SideBits::FIN);
                if bits.has(SideBits::KNOWN) {
                    let next_seq = self.next_seq.of_mut(direction);
                    *next_seq = next_seq.wrapping_add(1);
                }
            }
            let both = self.has(direction.reversed(), SideBits::FIN);
            self.phase = if both { TcpPhase::Closed } else { TcpPhase::Closing };
            return;
        }
        let revived = self.phase == TcpPhase::Reset && arrival.new_bytes() > 0;
        let opened = self.phase == TcpPhase::Opening
            && (arrival.new_bytes() > 0
                || self.both_known()
                || !self.has(direction, SideBits::SYN));
        if revived || opened {
            self.phase = TcpPhase::Established;
        }
    }

    const fn both_known(&self) -> bool {
        self.has(Direction::Forward, SideBits::KNOWN)
            && self.has(Direction::Reverse, SideBits::KNOWN)
    }

    /// Takes a SYN or SYN-ACK in.
    fn syn(
        &mut self,
        direction: Direction,
        tcp: &TcpHeader<'_>,
        len: u32,
        trouble: &mut Option<Box<Trouble>>,
    ) -> Verdict {
        let isn = tcp.seq;
        let mut own = self.side(direction, trouble.as_deref());
        let repeats = own.bits.has(SideBits::SYN) && own.start == isn.wrapping_add(1);
        let answer = tcp.flags.contains(TcpFlags::ACK);
        let live = match self.phase {
            TcpPhase::Opening => false,
            TcpPhase::Established | TcpPhase::Closing => true,
            TcpPhase::Closed | TcpPhase::Reset => {
                if !repeats && !answer {
                    return Verdict::Replaced;
                }
                true
            }
        };
        if live {
            if !repeats && !answer {
                trouble.get_or_insert_default().challenge = Some((direction, isn));
            }
            // The client's first data can overtake the server's SYN-ACK on a mirror port.
            if answer && !own.bits.has(SideBits::KNOWN) {
                own.open(isn);
                self.put_side(direction, &own, trouble);
            }
            return Verdict::Ours(Arrival::Nothing);
        }
        if !repeats {
            own.open(isn);
        }
        if answer {
            let peer = direction.reversed();
            let mut side = self.side(peer, trouble.as_deref());
            side.acknowledged(tcp.ack);
            self.put_side(peer, &side, trouble);
        }
        // Data in a SYN (RFC 7413) starts at the next sequence number.
        let arrival = own.place(isn.wrapping_add(1), len);
        self.put_side(direction, &own, trouble);
        Verdict::Ours(arrival)
    }

    /// Whether this segment continues the connection that an unexpected SYN announced.
    fn challenge_met(
        &self,
        direction: Direction,
        tcp: &TcpHeader<'_>,
        trouble: &mut Option<Box<Trouble>>,
    ) -> bool {
        let Some(trouble) = trouble else { return false };
        let Some((from, isn)) = trouble.challenge else { return false };
        let first = isn.wrapping_add(1);
        let met = if from == direction {
            tcp.seq == first
        } else {
            tcp.flags.contains(TcpFlags::ACK) && tcp.ack == first
        };
        let known = self.has(direction, SideBits::KNOWN);
        let own = known.then_some(*self.next_seq.of(direction));
        // Old and new connection may meet in sequence space: then nothing is proved.
        let ambiguous = from == direction && own == Some(first);
        if own == Some(tcp.seq) && !met {
            trouble.challenge = None;
        }
        met && !ambiguous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: TcpFlags, seq: u32, ack: u32) -> TcpHeader<'static> {
        TcpHeader { seq, ack, flags, window: 65535, checksum: 0, options: &[] }
    }

    fn both(a: TcpFlags, b: TcpFlags) -> TcpFlags {
        TcpFlags(a.0 | b.0)
    }

    const SYN_ACK: TcpFlags = TcpFlags(0x12);
    use Direction::{Forward, Reverse};

    /// A connection with a place for its trouble.
    struct Connection {
        state: TcpState,
        trouble: Option<Box<Trouble>>,
    }

    impl Connection {
        fn new() -> Self {
            Self { state: TcpState::new(), trouble: None }
        }

        fn segment(&mut self, direction: Direction, tcp: &TcpHeader<'_>, len: u32) -> Verdict {
            self.state.segment(direction, tcp, len, &mut self.trouble)
        }

        fn missing(&self) -> u64 {
            self.trouble.as_ref().map_or(0, |trouble| trouble.missing())
        }

        fn acked_unseen(&self) -> u64 {
            self.trouble.as_ref().map_or(0, |trouble| trouble.acked_unseen())
        }
    }

    fn established(isn: u32) -> Connection {
        let mut tcp = Connection::new();
        tcp.segment(Forward, &header(TcpFlags::SYN, isn, 0), 0);
        tcp.segment(Reverse, &header(SYN_ACK, 900, isn.wrapping_add(1)), 0);
        tcp.segment(Forward, &header(TcpFlags::ACK, isn.wrapping_add(1), 901), 0);
        assert_eq!(tcp.state.phase, TcpPhase::Established);
        tcp
    }

    fn arrival(tcp: &mut Connection, seq: u32, len: u32) -> Arrival {
        match tcp.segment(Forward, &header(TcpFlags::ACK, seq, 901), len) {
            Verdict::Ours(arrival) => arrival,
            Verdict::Replaced => panic!("replaced"),
        }
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        let mut tcp = established(u32::MAX - 10);
        assert_eq!(arrival(&mut tcp, u32::MAX - 9, 100), Arrival::New { bytes: 100 });
        assert_eq!(arrival(&mut tcp, 90, 10), Arrival::New { bytes: 10 });
        assert_eq!(arrival(&mut tcp, u32::MAX - 9, 100), Arrival::Retransmission { bytes: 100 });
    }

    #[test]
    fn a_hole_is_missing_until_it_is_filled() {
        let mut tcp = established(0);
        assert_eq!(arrival(&mut tcp, 101, 50), Arrival::Reordered { bytes: 50 });
        assert_eq!(tcp.missing(), 100);
        assert_eq!(arrival(&mut tcp, 1, 60), Arrival::Reordered { bytes: 60 });
        assert_eq!(arrival(&mut tcp, 41, 60), Arrival::Reordered { bytes: 40 });
        assert_eq!(tcp.missing(), 0);
    }

    #[test]
    fn a_keep_alive_is_not_a_retransmission() {
        let mut tcp = established(0);
        arrival(&mut tcp, 1, 10);
        assert_eq!(arrival(&mut tcp, 10, 1), Arrival::KeepAlive);
        assert_eq!(arrival(&mut tcp, 1, 10), Arrival::Retransmission { bytes: 10 });
    }

    #[test]
    fn a_reset_that_the_peers_ignore_does_not_end_the_flow() {
        let mut tcp = established(0);
        tcp.segment(Reverse, &header(TcpFlags::RST, 901, 0), 0);
        assert_eq!(tcp.state.phase, TcpPhase::Reset);
        assert_eq!(arrival(&mut tcp, 1, 10), Arrival::New { bytes: 10 });
        assert_eq!(tcp.state.phase, TcpPhase::Established);
    }

    #[test]
    fn a_reset_outside_the_window_is_not_believed() {
        let mut tcp = established(0);
        tcp.segment(Reverse, &header(TcpFlags::RST, 0x7000_0000, 0), 0);
        assert_eq!(tcp.state.phase, TcpPhase::Established);
    }

    #[test]
    fn an_inserted_syn_changes_nothing() {
        let mut tcp = established(0);
        tcp.segment(Forward, &header(TcpFlags::SYN, 0x4000_0000, 0), 0);
        assert_eq!(arrival(&mut tcp, 1, 10), Arrival::New { bytes: 10 });
        assert_eq!(arrival(&mut tcp, 11, 10), Arrival::New { bytes: 10 });
    }

    #[test]
    fn port_reuse_is_another_connection() {
        let mut tcp = established(0);
        tcp.segment(Forward, &header(TcpFlags::SYN, 0x4000_0000, 0), 0);
        let answer = header(SYN_ACK, 5, 0x4000_0001);
        tcp.segment(Reverse, &answer, 0);
        let first = header(TcpFlags::ACK, 0x4000_0001, 6);
        assert_eq!(tcp.segment(Forward, &first, 5), Verdict::Replaced);

        let mut tcp = established(0);
        tcp.segment(Forward, &header(both(TcpFlags::FIN, TcpFlags::ACK), 1, 901), 0);
        tcp.segment(Reverse, &header(both(TcpFlags::FIN, TcpFlags::ACK), 901, 2), 0);
        assert_eq!(tcp.state.phase, TcpPhase::Closed);
        let again = header(TcpFlags::SYN, 0x4000_0000, 0);
        assert_eq!(tcp.segment(Forward, &again, 0), Verdict::Replaced);
    }

    #[test]
    fn acknowledged_bytes_that_were_never_seen_are_counted() {
        let mut tcp = established(0);
        arrival(&mut tcp, 1, 10);
        tcp.segment(Reverse, &header(TcpFlags::ACK, 901, 511), 0);
        assert_eq!(tcp.acked_unseen(), 500);
        assert_eq!(arrival(&mut tcp, 511, 10), Arrival::New { bytes: 10 });
    }

    #[test]
    fn a_lost_place_is_found_again() {
        let mut tcp = established(0);
        arrival(&mut tcp, 1, 10);
        assert_eq!(arrival(&mut tcp, 0x3000_0000, 10), Arrival::Nothing);
        assert_eq!(arrival(&mut tcp, 0x3000_000a, 10), Arrival::New { bytes: 10 });
    }

    #[test]
    fn data_in_a_syn_counts_once() {
        let mut tcp = Connection::new();
        let syn = header(TcpFlags::SYN, 7, 0);
        assert_eq!(tcp.segment(Forward, &syn, 20), Verdict::Ours(Arrival::New { bytes: 20 }));
        let again = Verdict::Ours(Arrival::Retransmission { bytes: 20 });
        assert_eq!(tcp.segment(Forward, &syn, 20), again);
    }
}
