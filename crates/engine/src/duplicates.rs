//! Copies of one packet: a mirror port that spans both directions, or both sides of a router, sends
//! each twice. Knows the packets of the last moments, no flows.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use dwell_flow::Lookup;
use dwell_packet::{Direction, Pdu, Timestamp, TransportHeader};
use foldhash::fast::FixedState;

/// Places for packets that may still be copied: at a million packets a second, four milliseconds'.
/// A copy that finds its place taken by another packet is not noticed, and counts as a packet.
const PLACES: usize = 4096;

/// Bytes of payload that are compared: where a card fills checksums in later, two datagrams of one
/// length have the same header, but not the same packet number or nonce.
const PAYLOAD: usize = 16;

/// How far apart copies of a packet may be that cannot be told from the next one: without payload
/// and IP identification, two acknowledgements that say the same are the same.
const INDISTINCT: Duration = Duration::from_micros(100);

/// Notices copies of packets.
#[derive(Debug)]
pub(crate) struct Duplicates {
    window: Duration,
    hasher: FixedState,
    /// Hash and time of a packet, by hash.
    recent: Vec<(u64, Timestamp)>,
    /// Copies that were noticed.
    pub(crate) count: u64,
}

impl Duplicates {
    /// Copies come within `window`; zero leaves all packets alone. `seed` keys the hash, so that
    /// nobody can have another's packet taken for a copy.
    pub(crate) fn new(window: Duration, seed: u64) -> Self {
        let places = if window.is_zero() { 0 } else { PLACES };
        Self {
            window,
            hasher: FixedState::with_seed(seed),
            recent: vec![(0, Timestamp::ZERO); places],
            count: 0,
        }
    }

    /// Whether `pdu` is a copy of a packet that came a moment ago. Never allocates.
    ///
    /// What routers leave alone is compared: addresses, IP identification, transport header with
    /// checksum but for options, and the first bytes of payload. A retransmission has another
    /// identification, or comes later than any copy.
    #[inline]
    pub(crate) fn is_copy(&mut self, pdu: &Pdu<'_>, lookup: &Lookup) -> bool {
        if self.recent.is_empty() || pdu.ip.reassembled {
            return false;
        }
        let hash = self.hash(pdu, lookup);
        let [.., high, low] = hash.to_be_bytes();
        let place = usize::from(u16::from_be_bytes([high, low])) % PLACES;
        let Some((known, ts)) = self.recent.get_mut(place) else { return false };
        let indistinct = pdu.payload_len == 0 && pdu.ip.id == 0;
        let window = if indistinct { self.window.min(INDISTINCT) } else { self.window };
        let apart = pdu.ts.saturating_since(*ts).max(ts.saturating_since(pdu.ts));
        let copy = *known == hash && apart <= window;
        (*known, *ts) = (hash, pdu.ts);
        self.count += u64::from(copy);
        copy
    }

    #[inline]
    fn hash(&self, pdu: &Pdu<'_>, lookup: &Lookup) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(lookup.keyed());
        let (first, second) = match pdu.header {
            TransportHeader::Tcp(tcp) => {
                let numbers = u64::from(tcp.seq) << 32 | u64::from(tcp.ack);
                let rest = u64::from(tcp.checksum) << 32
                    | u64::from(tcp.window) << 16
                    | u64::from(tcp.flags.0);
                (numbers, rest)
            }
            TransportHeader::Udp { checksum } => (0, u64::from(checksum)),
        };
        hasher.write_u64(first);
        hasher.write_u64(second);
        let reverse = u64::from(lookup.direction == Direction::Reverse);
        hasher.write_u64(u64::from(pdu.payload_len) << 32 | u64::from(pdu.ip.id) << 8 | reverse);
        if let Some(start) = pdu.payload.first_chunk::<PAYLOAD>() {
            let (words, _) = start.as_chunks::<8>();
            words.iter().for_each(|word| hasher.write_u64(u64::from_le_bytes(*word)));
        } else {
            hasher.write(pdu.payload);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_flow::FlowHasher;
    use dwell_packet::{DecodeConfig, Decoder, Frame, LinkType, Processes, Scope};
    use dwell_packet::{Endpoint, FiveTuple, LinkAddresses, MacAddress, TcpFlags, Transport};
    use dwell_testkit::frame::{IpFields, Segment, tcp_frame, udp_frame};

    fn link(last: u8) -> LinkAddresses {
        LinkAddresses { src: MacAddress([2, 0, 0, 0, 0, last]), dst: MacAddress([2; 6]) }
    }

    fn tuple(transport: Transport) -> FiveTuple {
        let src = Endpoint { addr: [10, 0, 0, 1].into(), port: 50_000 };
        let dst = Endpoint { addr: [192, 0, 2, 1].into(), port: 443 };
        FiveTuple { src, dst, transport }
    }

    fn segment(link_last: u8, ip: IpFields, payload: &[u8]) -> Vec<u8> {
        let header = Segment { seq: 7, ack: 9, flags: TcpFlags::ACK, window: 500, options: &[] };
        tcp_frame(link(link_last), ip, &tuple(Transport::Tcp), &header, payload)
    }

    fn check(packets: &[(u64, Vec<u8>)], expected: &[bool]) {
        let mut decoder = Decoder::new(DecodeConfig::default());
        let mut duplicates = Duplicates::new(Duration::from_millis(2), 1);
        let mut told = Vec::new();
        for (micros, bytes) in packets {
            let frame = Frame {
                ts: Timestamp::from_parts(1000, micros * 1000),
                link_type: LinkType::ETHERNET,
                bytes,
                wire_len: u32::try_from(bytes.len()).unwrap(),
                number: 1,
                processes: Processes::default(),
            };
            let pdu = decoder.decode(frame).unwrap();
            let lookup = FlowHasher::new(1).lookup(&pdu.tuple, Scope::default());
            told.push(duplicates.is_copy(&pdu, &lookup));
        }
        assert_eq!(told, expected);
    }

    #[test]
    fn the_other_side_of_a_router_shows_a_copy() {
        let (before, after) = (IpFields { ttl: 64, id: 77 }, IpFields { ttl: 63, id: 77 });
        check(
            &[(0, segment(1, before, b"hello")), (300, segment(2, after, b"hello"))],
            &[false, true],
        );
    }

    #[test]
    fn a_retransmission_is_no_copy() {
        let (first, again) = (IpFields { ttl: 64, id: 77 }, IpFields { ttl: 64, id: 78 });
        check(
            &[(0, segment(1, first, b"hello")), (1500, segment(1, again, b"hello"))],
            &[false, false],
        );
        // Without identification only its time tells.
        let nameless = segment(1, IpFields::default(), b"hello");
        check(&[(0, nameless.clone()), (200_000, nameless)], &[false, false]);
    }

    #[test]
    fn repeated_acknowledgements_are_no_copies() {
        let ack = segment(1, IpFields::default(), b"");
        check(&[(0, ack.clone()), (500, ack.clone()), (505, ack)], &[false, false, true]);
    }

    #[test]
    fn datagrams_of_one_length_are_told_by_their_payload() {
        let datagram = |first: u8| {
            let mut frame =
                udp_frame(link(1), IpFields::default(), &tuple(Transport::Udp), &[first; 100]);
            // No checksum (RFC 768).
            frame[40..42].fill(0);
            frame
        };
        check(&[(0, datagram(1)), (10, datagram(2)), (20, datagram(2))], &[false, false, true]);
    }
}
