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

/// The sequence space of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpSide {
    /// The sequence number after the highest byte seen; meaningful when `known`.
    next_seq: u32,
    known: bool,
    /// The sequence number of the first byte, as the SYN or the peer's answer says.
    start: u32,
    /// Whether payload was seen.
    fed: bool,
    fin: bool,
    pub(crate) syn: bool,
    /// The latest hole below `next_seq`.
    hole: Option<(u32, u32)>,
    /// Where a segment outside the window ended: a second one there means that we lost the place.
    stray_end: Option<u32>,
    /// Bytes that were skipped and not seen since.
    pub(crate) missing: u64,
}

impl TcpSide {
    /// The sequence number expected next, once one segment was seen.
    pub(crate) fn expected(&self) -> Option<u32> {
        self.known.then_some(self.next_seq)
    }

    /// The sequence number of the first byte, if a SYN told it.
    pub(crate) fn start(&self) -> Option<u32> {
        self.syn.then_some(self.start)
    }

    fn open(&mut self, isn: u32) {
        let start = isn.wrapping_add(1);
        *self = Self { next_seq: start, known: true, start, syn: true, ..Self::default() };
    }

    /// Places `len` bytes at `seq`.
    fn place(&mut self, seq: u32, len: u32) -> Arrival {
        if len == 0 {
            return Arrival::Nothing;
        }
        let end = seq.wrapping_add(len);
        self.fed = true;
        if !self.known {
            (self.next_seq, self.known) = (end, true);
            return Arrival::New { bytes: len };
        }
        let ahead = seq.wrapping_sub(self.next_seq).cast_signed();
        if ahead.unsigned_abs() > WINDOW {
            return self.stray(seq, len);
        }
        self.stray_end = None;
        if ahead > 0 {
            let skipped = ahead.unsigned_abs();
            self.hole = Some((self.next_seq, seq));
            self.missing = self.missing.saturating_add(u64::from(skipped));
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
        if let Some((from, to)) = self.hole {
            let start = if seq.wrapping_sub(from).cast_signed() > 0 { seq } else { from };
            let stop = if end.wrapping_sub(to).cast_signed() < 0 { end } else { to };
            let filled = stop.wrapping_sub(start).cast_signed();
            if filled > 0 {
                let bytes = filled.unsigned_abs();
                self.missing = self.missing.saturating_sub(u64::from(bytes));
                self.hole = match (start == from, stop == to) {
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
        Arrival::Retransmission { bytes: len }
    }

    /// A segment outside the window: ignored, unless the next one continues it.
    fn stray(&mut self, seq: u32, len: u32) -> Arrival {
        let end = seq.wrapping_add(len);
        if self.stray_end != Some(seq) {
            self.stray_end = Some(end);
            return Arrival::Nothing;
        }
        let ahead = seq.wrapping_sub(self.next_seq).cast_signed();
        self.missing = self.missing.saturating_add(u64::from(ahead.max(0).unsigned_abs()));
        (self.next_seq, self.stray_end, self.hole) = (end, None, None);
        Arrival::New { bytes: len }
    }

    /// Takes the peer's acknowledgement; returns how many acknowledged bytes were never seen.
    fn acknowledged(&mut self, ack: u32) -> u32 {
        if self.syn && !self.fed && !self.fin {
            // Of several SYNs with different sequence numbers, the peer answers the real one. One
            // that is near acknowledges data that the mirror port delivers later.
            if ack.wrapping_sub(self.start).cast_signed().unsigned_abs() > WINDOW {
                (self.start, self.next_seq) = (ack, ack);
            }
            return 0;
        }
        let unseen = ack.wrapping_sub(self.next_seq).cast_signed();
        if !self.known || unseen <= 0 || unseen.unsigned_abs() > WINDOW {
            return 0;
        }
        // A FIN takes one sequence number without being payload.
        let bytes = unseen.unsigned_abs();
        if bytes == 1 && !self.fin {
            return 0;
        }
        self.next_seq = ack;
        self.missing = self.missing.saturating_add(u64::from(bytes));
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

/// TCP state of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpState {
    pub(crate) phase: TcpPhase,
    pub(crate) sides: PerDirection<TcpSide>,
    /// Bytes that a peer acknowledged and we never saw.
    pub(crate) acked_unseen: u64,
    /// Whether the latest segment acknowledged bytes that were not seen: those are late, lost, or
    /// the segment lies.
    pub(crate) acks_unseen: bool,
    /// A SYN inside a live connection: another connection's, or somebody's lie. The next segment
    /// tells.
    challenge: Option<(Direction, u32)>,
}

impl TcpState {
    pub(crate) fn new() -> Self {
        Self {
            phase: TcpPhase::Opening,
            sides: PerDirection::default(),
            acked_unseen: 0,
            acks_unseen: false,
            challenge: None,
        }
    }

    /// Takes one segment in.
    pub(crate) fn segment(
        &mut self,
        direction: Direction,
        tcp: &TcpHeader<'_>,
        len: u32,
    ) -> Verdict {
        if tcp.flags.contains(TcpFlags::SYN) {
            return self.syn(direction, tcp, len);
        }
        if self.challenge_met(direction, tcp) {
            return Verdict::Replaced;
        }
        let (own, peer) = self.sides.split_mut(direction);
        let expected = own.expected();
        let arrival = own.place(tcp.seq, len);
        self.acks_unseen = false;
        if tcp.flags.contains(TcpFlags::ACK) {
            let before = peer.expected();
            let unseen = peer.acknowledged(tcp.ack);
            self.acks_unseen = before.is_some_and(|next| {
                // A FIN that was not seen takes one sequence number.
                tcp.ack.wrapping_sub(next).cast_signed() > 1
            });
            self.acked_unseen = self.acked_unseen.saturating_add(u64::from(unseen));
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

    /// Moves the phase after a segment that is neither SYN nor RST.
    fn settle(&mut self, direction: Direction, tcp: &TcpHeader<'_>, arrival: Arrival) {
        if tcp.flags.contains(TcpFlags::FIN) {
            let own = self.sides.of_mut(direction);
            if !own.fin {
                own.fin = true;
                if own.known {
                    own.next_seq = own.next_seq.wrapping_add(1);
                }
            }
            let both = self.sides.of(direction.reversed()).fin;
            self.phase = if both { TcpPhase::Closed } else { TcpPhase::Closing };
            return;
        }
        let revived = self.phase == TcpPhase::Reset && arrival.new_bytes() > 0;
        let opened = self.phase == TcpPhase::Opening
            && (arrival.new_bytes() > 0 || self.both_known() || !self.sides.of(direction).syn);
        if revived || opened {
            self.phase = TcpPhase::Established;
        }
    }

    fn both_known(&self) -> bool {
        self.sides.forward.known && self.sides.reverse.known
    }

    /// Takes a SYN or SYN-ACK in.
    fn syn(&mut self, direction: Direction, tcp: &TcpHeader<'_>, len: u32) -> Verdict {
        let isn = tcp.seq;
        let own = *self.sides.of(direction);
        let repeats = own.syn && own.start == isn.wrapping_add(1);
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
                self.challenge = Some((direction, isn));
            }
            // The client's first data can overtake the server's SYN-ACK on a mirror port.
            if answer && !own.known {
                self.sides.of_mut(direction).open(isn);
            }
            return Verdict::Ours(Arrival::Nothing);
        }
        let (own, peer) = self.sides.split_mut(direction);
        if !repeats {
            own.open(isn);
        }
        if answer {
            peer.acknowledged(tcp.ack);
        }
        // Data in a SYN (RFC 7413) starts at the next sequence number.
        let arrival = self.sides.of_mut(direction).place(isn.wrapping_add(1), len);
        Verdict::Ours(arrival)
    }

    /// Whether this segment continues the connection that an unexpected SYN announced.
    fn challenge_met(&mut self, direction: Direction, tcp: &TcpHeader<'_>) -> bool {
        let Some((from, isn)) = self.challenge else { return false };
        let first = isn.wrapping_add(1);
        let met = if from == direction {
            tcp.seq == first
        } else {
            tcp.flags.contains(TcpFlags::ACK) && tcp.ack == first
        };
        let own = self.sides.of(direction).expected();
        // Old and new connection may meet in sequence space: then nothing is proved.
        let ambiguous = from == direction && own == Some(first);
        if own == Some(tcp.seq) && !met {
            self.challenge = None;
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

    fn established(isn: u32) -> TcpState {
        let mut tcp = TcpState::new();
        tcp.segment(Forward, &header(TcpFlags::SYN, isn, 0), 0);
        tcp.segment(Reverse, &header(SYN_ACK, 900, isn.wrapping_add(1)), 0);
        tcp.segment(Forward, &header(TcpFlags::ACK, isn.wrapping_add(1), 901), 0);
        assert_eq!(tcp.phase, TcpPhase::Established);
        tcp
    }

    fn arrival(tcp: &mut TcpState, seq: u32, len: u32) -> Arrival {
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
        assert_eq!(tcp.sides.forward.missing, 100);
        assert_eq!(arrival(&mut tcp, 1, 60), Arrival::Reordered { bytes: 60 });
        assert_eq!(arrival(&mut tcp, 41, 60), Arrival::Reordered { bytes: 40 });
        assert_eq!(tcp.sides.forward.missing, 0);
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
        assert_eq!(tcp.phase, TcpPhase::Reset);
        assert_eq!(arrival(&mut tcp, 1, 10), Arrival::New { bytes: 10 });
        assert_eq!(tcp.phase, TcpPhase::Established);
    }

    #[test]
    fn a_reset_outside_the_window_is_not_believed() {
        let mut tcp = established(0);
        tcp.segment(Reverse, &header(TcpFlags::RST, 0x7000_0000, 0), 0);
        assert_eq!(tcp.phase, TcpPhase::Established);
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
        assert_eq!(tcp.phase, TcpPhase::Closed);
        let again = header(TcpFlags::SYN, 0x4000_0000, 0);
        assert_eq!(tcp.segment(Forward, &again, 0), Verdict::Replaced);
    }

    #[test]
    fn acknowledged_bytes_that_were_never_seen_are_counted() {
        let mut tcp = established(0);
        arrival(&mut tcp, 1, 10);
        tcp.segment(Reverse, &header(TcpFlags::ACK, 901, 511), 0);
        assert_eq!(tcp.acked_unseen, 500);
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
        let mut tcp = TcpState::new();
        let syn = header(TcpFlags::SYN, 7, 0);
        assert_eq!(tcp.segment(Forward, &syn, 20), Verdict::Ours(Arrival::New { bytes: 20 }));
        let again = Verdict::Ours(Arrival::Retransmission { bytes: 20 });
        assert_eq!(tcp.segment(Forward, &syn, 20), again);
    }
}
