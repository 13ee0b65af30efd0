//! Single frames: Ethernet, IPv4 or IPv6, TCP or UDP, with right lengths and checksums. Knows no
//! conversation.

use std::net::IpAddr;

use dwell_packet::{FiveTuple, LinkAddresses, TcpFlags, Transport};

/// Fields of an IP header that a test may want to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpFields {
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4 identification; IPv6 has none.
    pub id: u16,
}

impl Default for IpFields {
    /// What macOS and Linux send first: 64 hops, no identification.
    fn default() -> Self {
        Self { ttl: 64, id: 0 }
    }
}

/// Fields of a TCP header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment<'a> {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Receive window, unscaled.
    pub window: u16,
    /// Option bytes; padded with end-of-list to four bytes, cut at forty.
    pub options: &'a [u8],
}

/// An Ethernet frame with one TCP segment.
///
/// IPv4 when both addresses are (don't-fragment set), else IPv6 with mapped addresses where
/// needed. A payload too long for the IP length field is declared as the longest that fits.
#[must_use]
pub fn tcp_frame(
    link: LinkAddresses,
    ip: IpFields,
    tuple: &FiveTuple,
    segment: &Segment<'_>,
    payload: &[u8],
) -> Vec<u8> {
    let header = tcp_header(tuple, segment, 0);
    let sum = transport_checksum(tuple, &header, payload);
    let mut pdu = tcp_header(tuple, segment, sum);
    pdu.extend_from_slice(payload);
    ip_frame(link, ip, tuple, &pdu)
}

/// An Ethernet frame with one UDP datagram, as [`tcp_frame`] has it.
#[must_use]
pub fn udp_frame(link: LinkAddresses, ip: IpFields, tuple: &FiveTuple, payload: &[u8]) -> Vec<u8> {
    let header = udp_header(tuple, payload.len(), 0);
    // A sum of zero is sent as all ones: zero means "none" (RFC 768).
    let sum = match transport_checksum(tuple, &header, payload) {
        0 => u16::MAX,
        sum => sum,
    };
    let mut pdu = udp_header(tuple, payload.len(), sum).to_vec();
    pdu.extend_from_slice(payload);
    ip_frame(link, ip, tuple, &pdu)
}

/// The Internet checksum of the parts, one after the other (RFC 1071). Only the last part may be
/// of odd length.
#[must_use]
pub fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let word = match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                [high] => u16::from_be_bytes([high, 0]),
                _ => 0,
            };
            sum += u64::from(word);
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn ip_frame(link: LinkAddresses, ip: IpFields, tuple: &FiveTuple, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_HEADER + IPV6_HEADER + pdu.len());
    frame.extend_from_slice(&link.dst.0);
    frame.extend_from_slice(&link.src.0);
    match (tuple.src.addr, tuple.dst.addr) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend_from_slice(&ETHERTYPE_IPV4);
            let header = |sum: u16| {
                let mut header = [0x45, 0].to_vec();
                header.extend_from_slice(&length_field(IPV4_HEADER + pdu.len()));
                header.extend_from_slice(&ip.id.to_be_bytes());
                header.extend_from_slice(&[DONT_FRAGMENT, 0, ip.ttl, tuple.transport.number()]);
                header.extend_from_slice(&sum.to_be_bytes());
                header.extend_from_slice(&src.octets());
                header.extend_from_slice(&dst.octets());
                header
            };
            frame.extend_from_slice(&header(internet_checksum(&[&header(0)])));
        }
        _ => {
            frame.extend_from_slice(&ETHERTYPE_IPV6);
            frame.extend_from_slice(&[0x60, 0, 0, 0]);
            frame.extend_from_slice(&length_field(pdu.len()));
            frame.extend_from_slice(&[tuple.transport.number(), ip.ttl]);
            frame.extend_from_slice(&v6_octets(tuple.src.addr));
            frame.extend_from_slice(&v6_octets(tuple.dst.addr));
        }
    }
    frame.extend_from_slice(pdu);
    frame
}

fn tcp_header(tuple: &FiveTuple, segment: &Segment<'_>, checksum: u16) -> Vec<u8> {
    let options = segment.options.get(..MAX_TCP_OPTIONS).unwrap_or(segment.options);
    let padding = options.len().next_multiple_of(4) - options.len();
    let words = (TCP_HEADER + options.len() + padding) / 4;
    let mut header = Vec::with_capacity(words * 4);
    header.extend_from_slice(&tuple.src.port.to_be_bytes());
    header.extend_from_slice(&tuple.dst.port.to_be_bytes());
    header.extend_from_slice(&segment.seq.to_be_bytes());
    header.extend_from_slice(&segment.ack.to_be_bytes());
    header.push(u8::try_from(words << 4).unwrap_or_default());
    header.push(segment.flags.0);
    header.extend_from_slice(&segment.window.to_be_bytes());
    header.extend_from_slice(&checksum.to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    header.extend_from_slice(options);
    header.extend(std::iter::repeat_n(0, padding));
    header
}

fn udp_header(tuple: &FiveTuple, payload_len: usize, checksum: u16) -> [u8; UDP_HEADER] {
    let [src_high, src_low] = tuple.src.port.to_be_bytes();
    let [dst_high, dst_low] = tuple.dst.port.to_be_bytes();
    let [len_high, len_low] = length_field(UDP_HEADER + payload_len);
    let [sum_high, sum_low] = checksum.to_be_bytes();
    [src_high, src_low, dst_high, dst_low, len_high, len_low, sum_high, sum_low]
}

/// The checksum over pseudo-header, header and payload (RFC 9293, section 3.1; RFC 8200,
/// section 8.1).
fn transport_checksum(tuple: &FiveTuple, header: &[u8], payload: &[u8]) -> u16 {
    let len = u32::try_from(header.len() + payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let protocol = [0, tuple.transport.number()];
    match (tuple.src.addr, tuple.dst.addr) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            internet_checksum(&[&src.octets(), &dst.octets(), &protocol, &len, header, payload])
        }
        (src, dst) => {
            internet_checksum(&[&v6_octets(src), &v6_octets(dst), &len, &protocol, header, payload])
        }
    }
}

fn v6_octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn length_field(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// How many bytes of headers come before the payload in a frame of [`tcp_frame`] or
/// [`udp_frame`] with `options` bytes of TCP options.
#[must_use]
pub fn header_len(tuple: &FiveTuple, options: usize) -> usize {
    let v4 = tuple.src.addr.is_ipv4() && tuple.dst.addr.is_ipv4();
    let ip = if v4 { IPV4_HEADER } else { IPV6_HEADER };
    let transport = match tuple.transport {
        Transport::Tcp => TCP_HEADER + options.min(MAX_TCP_OPTIONS).next_multiple_of(4),
        Transport::Udp => UDP_HEADER,
    };
    ETHERNET_HEADER + ip + transport
}

const ETHERNET_HEADER: usize = 14;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// The DF bit in the upper byte of flags and fragment offset.
const DONT_FRAGMENT: u8 = 0x40;
/// A data offset of 15 words leaves room for forty bytes (RFC 9293, section 3.1).
const MAX_TCP_OPTIONS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::{Endpoint, MacAddress};

    const LINK: LinkAddresses = LinkAddresses {
        src: MacAddress([0x3c, 0x22, 0xfb, 0, 0, 1]),
        dst: MacAddress([2, 0, 0, 0, 0, 1]),
    };

    fn tuple(src: &str, dst: &str, transport: Transport) -> FiveTuple {
        let end = |addr: &str, port| Endpoint { addr: addr.parse().unwrap(), port };
        FiveTuple { src: end(src, 49_152), dst: end(dst, 443), transport }
    }

    /// The one's complement sum over everything, checksum included, of a sound PDU is all ones.
    fn check_sums(frame: &[u8], tuple: &FiveTuple) {
        let v4 = tuple.src.addr.is_ipv4() && tuple.dst.addr.is_ipv4();
        let at = if v4 { 34 } else { 54 };
        if v4 {
            assert_eq!(internet_checksum(&[&frame[14..34]]), 0);
        }
        assert_eq!(transport_checksum(tuple, &frame[at..], &[]), 0);
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        // RFC 1071, section 3: the bytes 00 01 f2 03 f4 f5 f6 f7 sum to ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet_checksum(&[&bytes]), !0xddf2);
        assert_eq!(internet_checksum(&[&bytes[..2], &bytes[2..]]), !0xddf2);
    }

    #[test]
    fn checksums_are_right_in_both_ip_versions() {
        for (src, dst) in [
            ("10.20.0.2", "192.0.2.1"),
            ("2001:db8::2", "2001:db8::1"),
            ("10.20.0.2", "2001:db8::1"),
        ] {
            let tcp = tuple(src, dst, Transport::Tcp);
            let segment =
                Segment { seq: 7, window: 65_535, options: &[2, 4, 5, 180], ..Segment::default() };
            check_sums(&tcp_frame(LINK, IpFields::default(), &tcp, &segment, b"odd"), &tcp);
            let udp = tuple(src, dst, Transport::Udp);
            check_sums(&udp_frame(LINK, IpFields::default(), &udp, b"even"), &udp);
        }
    }

    #[test]
    fn options_are_padded_and_bounded() {
        let tcp = tuple("10.20.0.2", "192.0.2.1", Transport::Tcp);
        for options in [0, 1, 4, 12, 40, 41, 60] {
            let bytes = vec![1; options];
            let segment = Segment { options: &bytes, ..Segment::default() };
            let frame = tcp_frame(LINK, IpFields::default(), &tcp, &segment, b"x");
            assert_eq!(frame.len(), header_len(&tcp, options) + 1);
            assert_eq!(usize::from(frame[46] >> 4) * 4, header_len(&tcp, options) - 34);
        }
    }

    #[test]
    fn a_payload_beyond_the_length_field_does_not_panic() {
        let udp = tuple("10.20.0.2", "192.0.2.1", Transport::Udp);
        let frame = udp_frame(LINK, IpFields::default(), &udp, &[0; 70_000]);
        assert_eq!(frame[16..18], [0xff, 0xff]);
    }
}
