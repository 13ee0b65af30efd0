//! A TCP connection as a sensor on the client's network sees it: handshake, segments of the right
//! size, acknowledgements, keep-alives, the end. Knows no protocol above TCP.

use std::time::Duration;

use dwell_packet::{Endpoint, FiveTuple, LinkAddresses, TcpFlags, Timestamp, Transport};

use crate::capture::Capture;
use crate::frame::{IpFields, Segment, header_len, tcp_frame};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that opened it.
    Client,
    /// The end that answered.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Where a connection goes, and over which path.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The client's address and port.
    pub client: Endpoint,
    /// The server's address and port.
    pub server: Endpoint,
    /// MAC addresses as the client's frames carry them.
    pub link: LinkAddresses,
    /// Time from the sensor to the server and back.
    pub round_trip: Duration,
    /// Where the client's sequence numbers start; the server's are derived from it.
    pub initial_seq: u32,
}

impl Route {
    /// The five-tuple of what `side` sends.
    #[must_use]
    pub const fn tuple(&self, side: Side) -> FiveTuple {
        let (src, dst) = match side {
            Side::Client => (self.client, self.server),
            Side::Server => (self.server, self.client),
        };
        FiveTuple { src, dst, transport: Transport::Tcp }
    }

    /// The MAC addresses on what `side` sends.
    #[must_use]
    pub const fn link(&self, side: Side) -> LinkAddresses {
        match side {
            Side::Client => self.link,
            Side::Server => LinkAddresses { src: self.link.dst, dst: self.link.src },
        }
    }
}

/// How much of each segment's payload the capture keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    Whole,
    /// This many bytes at its start, as a snap length does.
    First(usize),
}

/// An open TCP connection between a Mac and a Linux server.
///
/// The Mac's SYN is macOS's: window 65535, options MSS, NOP, window scale, NOP, NOP, timestamps,
/// SACK permitted, end of list. Times given are those at the sensor; it sits next to the client.
#[derive(Clone, Debug)]
pub struct Conversation {
    route: Route,
    client: End,
    server: End,
    segments_per_ack: u32,
}

/// What one end has sent, and what of the other's it has not acknowledged yet.
#[derive(Clone, Copy, Debug)]
struct End {
    next_seq: u32,
    next_id: u16,
    ip: IpFields,
    window: u16,
    /// Segments of the other end that await an acknowledgement.
    unacknowledged: u32,
    /// Each end's timestamp clock has an origin of its own (RFC 7323, section 5.4).
    clock_origin_ms: u32,
    last_clock_ms: u32,
}

impl Conversation {
    /// Opens a connection: SYN at `at`. The handshake ends at the time returned.
    pub fn open(at: Timestamp, route: Route, capture: &mut Capture) -> (Self, Timestamp) {
        let mut conversation = Self {
            route,
            client: End {
                next_seq: route.initial_seq,
                // macOS sends no identification with don't-fragment set.
                next_id: 0,
                ip: IpFields { ttl: 64, id: 0 },
                window: u16::MAX,
                unacknowledged: 0,
                clock_origin_ms: route.initial_seq.rotate_left(9),
                last_clock_ms: 0,
            },
            server: End {
                next_seq: route.initial_seq.wrapping_mul(2_654_435_761) ^ 0x5bd1_e995,
                next_id: u16::try_from(route.initial_seq & 0x7fff).unwrap_or_default(),
                ip: IpFields { ttl: SERVER_TTL, id: 0 },
                window: 64_240,
                unacknowledged: 0,
                clock_origin_ms: route.initial_seq.rotate_left(21),
                last_clock_ms: 0,
            },
            segments_per_ack: SEGMENTS_PER_ACK,
        };
        conversation.emit(at, Side::Client, (TcpFlags::SYN, Kind::Syn), capture);
        let answered = at.saturating_add(route.round_trip);
        let syn_ack = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
        conversation.emit(answered, Side::Server, (syn_ack, Kind::Syn), capture);
        // Windows are scaled from here on (RFC 7323, section 2.2).
        conversation.client.window = 2_048;
        conversation.server.window = 501;
        let open = answered.saturating_add(HOST_DELAY);
        conversation.emit(open, Side::Client, (TcpFlags::ACK, Kind::Empty), capture);
        (conversation, open.saturating_add(HOST_DELAY))
    }

    /// Sends `payload` from one side in segments of at most [`SEGMENT_PAYLOAD`] bytes, of which
    /// the other side acknowledges every second, or as [`Self::acknowledge_every`] says. The time returned is that of the last segment.
    pub fn send(
        &mut self,
        at: Timestamp,
        from: Side,
        (payload, keep): (&[u8], Keep),
        capture: &mut Capture,
    ) -> Timestamp {
        let mut now = at;
        let mut last = at;
        let segments = payload.len().div_ceil(SEGMENT_PAYLOAD);
        for (segment, number) in payload.chunks(SEGMENT_PAYLOAD).zip(1..) {
            let push = if number == segments { TcpFlags::PSH.0 } else { 0 };
            let flags = TcpFlags(TcpFlags::ACK.0 | push);
            self.emit(now, from, (flags, Kind::Payload(segment, keep)), capture);
            last = now;
            let receiver = self.end(from.other());
            if receiver.unacknowledged >= self.segments_per_ack && number < segments {
                let answered = now.saturating_add(self.delay_to(from.other()));
                self.emit(answered, from.other(), (TcpFlags::ACK, Kind::Empty), capture);
            }
            now = now.saturating_add(SEGMENT_SPACING);
        }
        last
    }

    /// Lets receivers acknowledge only every so many segments, as those do whose card or kernel
    /// merges segments before TCP sees them.
    pub const fn acknowledge_every(&mut self, segments: u32) {
        self.segments_per_ack = segments;
    }

    /// Acknowledges what is outstanding in either direction, once the exchange of `at` is over.
    pub fn settle(&mut self, at: Timestamp, capture: &mut Capture) {
        for side in [Side::Client, Side::Server] {
            if self.end(side).unacknowledged > 0 {
                let answered = at.saturating_add(self.delay_to(side));
                self.emit(answered, side, (TcpFlags::ACK, Kind::Empty), capture);
            }
        }
    }

    /// A keep-alive from one side and its answer: an acknowledgement of the byte before the next
    /// (RFC 9293, section 3.8.4), and one in reply.
    pub fn keep_alive(&mut self, at: Timestamp, from: Side, capture: &mut Capture) {
        self.emit(at, from, (TcpFlags::ACK, Kind::KeepAlive), capture);
        let answered = at.saturating_add(self.delay_to(from.other()));
        self.emit(answered, from.other(), (TcpFlags::ACK, Kind::Empty), capture);
    }

    /// Closes the connection by FIN from one side, then from the other.
    pub fn close(mut self, at: Timestamp, by: Side, capture: &mut Capture) {
        let fin = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);
        self.emit(at, by, (fin, Kind::Fin), capture);
        let answered = at.saturating_add(self.delay_to(by.other()));
        self.emit(answered, by.other(), (fin, Kind::Fin), capture);
        let done = answered.saturating_add(self.delay_to(by));
        self.emit(done, by, (TcpFlags::ACK, Kind::Empty), capture);
    }

    /// Ends the connection by a reset from one side.
    pub fn reset(mut self, at: Timestamp, by: Side, capture: &mut Capture) {
        let flags = TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0);
        self.emit(at, by, (flags, Kind::Empty), capture);
    }

    /// Where it goes.
    #[must_use]
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// How long after a segment of the other side the sensor sees what `side` answers.
    const fn delay_to(&self, side: Side) -> Duration {
        match side {
            Side::Client => HOST_DELAY,
            Side::Server => self.route.round_trip,
        }
    }

    const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn emit(
        &mut self,
        at: Timestamp,
        from: Side,
        (flags, kind): (TcpFlags, Kind<'_>),
        capture: &mut Capture,
    ) {
        let tuple = self.route.tuple(from);
        let link = self.route.link(from);
        let peer = *self.end(from.other());
        let sender = self.end_mut(from);
        let clock_ms = u32::try_from((at.as_nanos() / 1_000_000) & 0xffff_ffff).unwrap_or_default();
        sender.last_clock_ms = clock_ms.wrapping_add(sender.clock_origin_ms);
        let echo = if kind.is_opening(flags) { 0 } else { peer.last_clock_ms };
        let options = match kind {
            Kind::Syn => syn_options(from, sender.last_clock_ms, echo),
            _ => timestamp_options(sender.last_clock_ms, echo).to_vec(),
        };
        let (payload, keep) = match kind {
            Kind::Payload(payload, keep) => (payload, keep),
            Kind::Syn | Kind::Fin | Kind::KeepAlive | Kind::Empty => (&[][..], Keep::Whole),
        };
        let behind = u32::from(matches!(kind, Kind::KeepAlive));
        let segment = Segment {
            seq: sender.next_seq.wrapping_sub(behind),
            ack: if flags.contains(TcpFlags::ACK) { peer.next_seq } else { 0 },
            flags,
            window: sender.window,
            options: &options,
        };
        let ip = IpFields { id: sender.next_id, ..sender.ip };
        if matches!(from, Side::Server) {
            sender.next_id = sender.next_id.wrapping_add(1);
        }
        let consumed = u32::try_from(payload.len()).unwrap_or_default();
        let virtual_byte = u32::from(matches!(kind, Kind::Syn | Kind::Fin));
        sender.next_seq = sender.next_seq.wrapping_add(consumed).wrapping_add(virtual_byte);
        sender.unacknowledged = 0;
        if consumed + virtual_byte > 0 {
            self.end_mut(from.other()).unacknowledged += 1;
        }
        let snap_len = match keep {
            Keep::Whole => usize::MAX,
            Keep::First(bytes) => header_len(&tuple, options.len()).saturating_add(bytes),
        };
        capture.push_cut(at, tcp_frame(link, ip, &tuple, &segment, payload), snap_len);
    }
}

/// What a segment carries besides its flags.
#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Syn,
    Fin,
    Empty,
    KeepAlive,
    Payload(&'a [u8], Keep),
}

impl Kind<'_> {
    /// Whether it is the very first segment, which has no timestamp to echo.
    const fn is_opening(self, flags: TcpFlags) -> bool {
        matches!(self, Self::Syn) && !flags.contains(TcpFlags::ACK)
    }
}

fn syn_options(from: Side, clock_ms: u32, echo: u32) -> Vec<u8> {
    let timestamps = [&[8, 10][..], &clock_ms.to_be_bytes(), &echo.to_be_bytes()].concat();
    match from {
        // mss, nop, ws, nop, nop, ts, sok, eol, eol: macOS.
        Side::Client => {
            [&[2, 4, 5, 180, 1, 3, 3, 6, 1, 1][..], &timestamps, &[4, 2, 0, 0]].concat()
        }
        // mss, sok, ts, nop, ws: Linux.
        Side::Server => [&[2, 4, 5, 180, 4, 2][..], &timestamps, &[1, 3, 3, 7]].concat(),
    }
}

fn timestamp_options(clock_ms: u32, echo: u32) -> [u8; 12] {
    let [a, b, c, d] = clock_ms.to_be_bytes();
    let [e, f, g, h] = echo.to_be_bytes();
    [1, 1, 8, 10, a, b, c, d, e, f, g, h]
}

/// 1,460 bytes of MSS less 12 of timestamps.
pub const SEGMENT_PAYLOAD: usize = 1_448;
/// A receiver acknowledges at least every second full segment (RFC 9293, section 3.8.6.3).
const SEGMENTS_PER_ACK: u32 = 2;
/// How fast the client's host answers.
const HOST_DELAY: Duration = Duration::from_micros(180);
/// About 1,514 bytes at 100 Mbit/s.
const SEGMENT_SPACING: Duration = Duration::from_micros(125);
/// 64 less some routers.
const SERVER_TTL: u8 = 53;

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::MacAddress;

    fn route() -> Route {
        Route {
            client: Endpoint { addr: "10.20.1.2".parse().unwrap(), port: 50_000 },
            server: Endpoint { addr: "198.51.100.7".parse().unwrap(), port: 443 },
            link: LinkAddresses { src: MacAddress([1; 6]), dst: MacAddress([2; 6]) },
            round_trip: Duration::from_millis(20),
            initial_seq: u32::MAX - 3,
        }
    }

    fn start() -> Timestamp {
        Timestamp::from_parts(1_000, 0)
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn the_syn_is_that_of_macos() {
        let mut capture = Capture::new();
        Conversation::open(start(), route(), &mut capture);
        let syn = &capture.frames()[0].bytes;
        // Window and option kinds as in the passive signature of macOS.
        assert_eq!(syn[48..50], [0xff, 0xff]);
        assert_eq!(syn[54..64], [2, 4, 5, 180, 1, 3, 3, 6, 1, 1]);
        assert_eq!(syn[64..66], [8, 10]);
        assert_eq!(syn[74..], [4, 2, 0, 0]);
    }

    #[test]
    fn both_sides_account_for_every_byte() {
        let mut capture = Capture::new();
        let (mut tcp, open) = Conversation::open(start(), route(), &mut capture);
        let asked = tcp.send(open, Side::Client, (&[1; 4_000], Keep::Whole), &mut capture);
        let answered = asked.saturating_add(Duration::from_millis(20));
        let told = tcp.send(answered, Side::Server, (&[2; 100], Keep::First(30)), &mut capture);
        tcp.settle(told, &mut capture);
        tcp.close(told.saturating_add(Duration::from_secs(1)), Side::Client, &mut capture);
        capture.sort();
        let fin_of = |src_port: u16| {
            let from = |b: &&crate::CapturedFrame| b.bytes[34..36] == src_port.to_be_bytes();
            let fins = capture.frames().iter().filter(from).filter(|f| f.bytes[47] & 1 == 1);
            fins.map(|frame| (u32_at(&frame.bytes, 38), u32_at(&frame.bytes, 42))).next().unwrap()
        };
        let client_isn = u32::MAX - 3;
        let server_isn = u32_at(&capture.frames()[1].bytes, 38);
        let client_end = client_isn.wrapping_add(1 + 4_000);
        let server_end = server_isn.wrapping_add(1 + 100);
        assert_eq!(fin_of(50_000), (client_end, server_end));
        assert_eq!(fin_of(443), (server_end, client_end.wrapping_add(1)));
    }

    #[test]
    fn a_cut_segment_keeps_its_true_length() {
        let mut capture = Capture::new();
        let (mut tcp, open) = Conversation::open(start(), route(), &mut capture);
        tcp.send(open, Side::Client, (&[1; 2_000], Keep::First(30)), &mut capture);
        let cut: Vec<(usize, u32)> =
            capture.frames()[3..].iter().map(|f| (f.bytes.len(), f.wire_len)).collect();
        assert_eq!(cut, [(66 + 30, 66 + 1_448), (66 + 30, 66 + 552)]);
    }

    #[test]
    fn every_second_segment_is_acknowledged() {
        let mut capture = Capture::new();
        let (mut tcp, open) = Conversation::open(start(), route(), &mut capture);
        let last = tcp.send(open, Side::Client, (&[1; 1_448 * 5], Keep::Whole), &mut capture);
        tcp.settle(last, &mut capture);
        let acks = capture.frames()[3..].iter().filter(|f| f.wire_len == 66).count();
        assert_eq!(acks, 3);
    }

    #[test]
    fn merged_segments_are_acknowledged_together() {
        let mut capture = Capture::new();
        let (mut tcp, open) = Conversation::open(start(), route(), &mut capture);
        tcp.acknowledge_every(4);
        let last = tcp.send(open, Side::Client, (&[1; 1_448 * 9], Keep::Whole), &mut capture);
        tcp.settle(last, &mut capture);
        let acks = capture.frames()[3..].iter().filter(|f| f.wire_len == 66).count();
        assert_eq!(acks, 3);
    }

    #[test]
    fn a_keep_alive_is_one_byte_behind() {
        let mut capture = Capture::new();
        let (mut tcp, open) = Conversation::open(start(), route(), &mut capture);
        tcp.keep_alive(open, Side::Server, &mut capture);
        let [probe, reply] = &capture.frames()[3..] else { panic!("two frames") };
        assert_eq!(u32_at(&probe.bytes, 38).wrapping_add(1), u32_at(&reply.bytes, 42));
    }
}
