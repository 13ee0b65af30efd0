//! Packets to put into things, and a look at what comes out.

use dwell_packet::{
    DecodeConfig, Decoder, Discard, Encapsulation, Endpoint, FiveTuple, Frame, LinkAddresses,
    LinkType, MacAddress, Pdu, TcpFlags, Timestamp, Transport,
};
use dwell_testkit::frame::{IpFields, Segment, internet_checksum, tcp_frame, udp_frame};

/// Payload of every packet here.
pub(crate) const PAYLOAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Stations of every Ethernet header here.
pub(crate) const LINK: LinkAddresses = LinkAddresses {
    src: MacAddress([0x3c, 0x22, 0xfb, 0, 0, 1]),
    dst: MacAddress([0x02, 0, 0, 0, 0, 1]),
};

pub(crate) const ETHERNET: usize = 14;
pub(crate) const IPV4: usize = 20;

/// A TCP or UDP five-tuple between two addresses of one family.
pub(crate) fn tuple(src: &str, dst: &str, transport: Transport) -> FiveTuple {
    let end = |addr: &str, port| Endpoint { addr: addr.parse().unwrap(), port };
    FiveTuple { src: end(src, 49_152), dst: end(dst, 443), transport }
}

/// Five-tuple of [`ipv4`].
pub(crate) fn tuple_v4() -> FiveTuple {
    tuple("10.1.2.3", "192.0.2.1", Transport::Tcp)
}

/// Five-tuple of [`ipv6`].
pub(crate) fn tuple_v6() -> FiveTuple {
    tuple("2001:db8::3", "2001:db8::1", Transport::Udp)
}

/// An Ethernet frame with an IPv4 packet with a TCP segment.
pub(crate) fn ethernet() -> Vec<u8> {
    let segment = Segment {
        seq: 1000,
        ack: 2000,
        flags: TcpFlags(0x18),
        window: 501,
        options: &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    };
    tcp_frame(LINK, IpFields { ttl: 63, id: 7 }, &tuple_v4(), &segment, PAYLOAD)
}

/// An IPv4 packet with a TCP segment.
pub(crate) fn ipv4() -> Vec<u8> {
    ethernet().split_off(ETHERNET)
}

/// An IPv6 packet with a UDP datagram.
pub(crate) fn ipv6() -> Vec<u8> {
    udp_frame(LINK, IpFields::default(), &tuple_v6(), PAYLOAD).split_off(ETHERNET)
}

/// An IPv4 packet of this protocol between two routers.
pub(crate) fn outer_ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(IPV4 + payload.len()).unwrap();
    let [len0, len1] = total.to_be_bytes();
    let mut header = vec![
        0x45, 0, len0, len1, 0, 1, 0x40, 0, 64, protocol, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2,
    ];
    let sum = internet_checksum(&[&header]).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    [header, payload.to_vec()].concat()
}

/// An IPv6 packet whose next header is this, with addresses of [`tuple_v6`].
pub(crate) fn outer_ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv6();
    packet.truncate(40);
    packet[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet[6] = next;
    [packet, payload.to_vec()].concat()
}

/// An IPv4 packet with a UDP datagram to this port, without a checksum.
pub(crate) fn outer_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let header = [40_000u16.to_be_bytes(), port.to_be_bytes(), len.to_be_bytes(), [0, 0]].concat();
    outer_ipv4(17, &[header, payload.to_vec()].concat())
}

/// An Ethernet frame with this type.
pub(crate) fn with_ether_type(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = ethernet()[..12].to_vec();
    [addresses, ether_type.to_be_bytes().to_vec(), payload.to_vec()].concat()
}

/// A whole frame.
pub(crate) fn frame(link_type: LinkType, bytes: &[u8]) -> Frame<'_> {
    cut_frame(link_type, bytes, bytes.len())
}

/// A frame of which the capture has the first bytes.
pub(crate) fn cut_frame(link_type: LinkType, bytes: &[u8], captured: usize) -> Frame<'_> {
    Frame {
        ts: Timestamp::from_parts(1_700_000_000, 0),
        link_type,
        bytes: &bytes[..captured],
        wire_len: u32::try_from(bytes.len()).unwrap(),
        number: 1,
        processes: dwell_packet::Processes::default(),
    }
}

/// A decoder with the default ports and limits.
pub(crate) fn decoder() -> Decoder {
    Decoder::new(DecodeConfig::default())
}

/// Checks that a frame holds the packet of [`ipv4`] or [`ipv6`], whole and with a right checksum;
/// gives what it was wrapped in.
#[track_caller]
pub(crate) fn check_inner(link_type: LinkType, bytes: &[u8]) -> Encapsulation {
    let mut decoder = decoder();
    let pdu = match decoder.decode(frame(link_type, bytes)) {
        Ok(pdu) => pdu,
        Err(discard) => panic!("{discard}: {bytes:02x?}"),
    };
    check_pdu(&pdu);
    assert_eq!(pdu.wire_len, u32::try_from(bytes.len()).unwrap());
    pdu.encapsulation
}

/// Checks that a PDU is that of [`ipv4`] or [`ipv6`].
#[track_caller]
pub(crate) fn check_pdu(pdu: &Pdu<'_>) {
    let expected = if pdu.tuple.src.addr.is_ipv4() { tuple_v4() } else { tuple_v6() };
    assert_eq!(pdu.tuple, expected);
    assert_eq!(pdu.payload, PAYLOAD);
    assert_eq!(pdu.payload_len, u32::try_from(PAYLOAD.len()).unwrap());
    assert_eq!(pdu.transport_checksum(), dwell_packet::Checksum::Valid);
    assert!(pdu.ip.checksum_ok);
}

/// Checks that a frame gives no PDU, and why.
#[track_caller]
pub(crate) fn check_discard(link_type: LinkType, bytes: &[u8], expected: Discard) {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(frame(link_type, bytes)).unwrap_err(), expected);
    assert_eq!(decoder.counters().discarded(expected), 1);
}
