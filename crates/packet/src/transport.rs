//! TCP and UDP headers. Knows fields, not connections.

use etherparse::{TcpHeaderSlice, UdpHeader, UdpHeaderSlice};

use crate::discard::{Discard, Layer};
use crate::span::Span;
use crate::walk::{Context, Found, Step, Walk};
use crate::{Endpoint, FiveTuple, Pdu, TcpFlags, TcpHeader, Transport, TransportHeader, tunnel};

/// TCP header length without options, in bytes.
const TCP_HEADER: usize = 20;

/// A TCP segment (RFC 9293, section 3.1). One whose options were cut off is a segment still.
pub(crate) fn tcp<'a>(walk: &mut Walk<'a, '_>) -> Result<Step<'a>, Discard> {
    let segment = walk.rest;
    let Some(fixed) = segment.peek::<TCP_HEADER>() else {
        return Err(segment.missing(TCP_HEADER, Layer::Tcp));
    };
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len < TCP_HEADER || header_len > segment.wire_len() {
        return Err(Discard::Malformed(Layer::Tcp));
    }
    let (ports, header) = match TcpHeaderSlice::from_slice(segment.bytes()) {
        Ok(whole) => (
            (whole.source_port(), whole.destination_port()),
            TcpHeader {
                seq: whole.sequence_number(),
                ack: whole.acknowledgment_number(),
                flags: TcpFlags(fixed[13]),
                window: whole.window_size(),
                checksum: whole.checksum(),
                options: segment.bytes().get(TCP_HEADER..header_len).unwrap_or_default(),
            },
        ),
        Err(_) => cut_tcp_header(fixed, segment),
    };
    let payload = segment.bytes().get(header_len..).unwrap_or_default();
    let lengths = Lengths { payload, payload_len: segment.wire_len() - header_len };
    let pdu = pdu(walk.context, segment, ports, TransportHeader::Tcp(header), lengths)?;
    Ok(Step::Found(Found::Pdu(pdu)))
}

/// A UDP datagram (RFC 768).
pub(crate) fn udp<'a>(walk: &mut Walk<'a, '_>) -> Result<Step<'a>, Discard> {
    let mut segment = walk.rest;
    let header = UdpHeaderSlice::from_slice(segment.bytes())
        .map_err(|error| segment.missing(error.required_len, Layer::Udp))?;
    // Zero is a jumbogram's, or a super-frame's of segmentation offload (RFC 2675, section 4).
    if header.length() != 0 {
        let len = usize::from(header.length());
        if len < UdpHeader::LEN {
            return Err(Discard::Malformed(Layer::Udp));
        }
        let overlong = segment.declare(len);
        if let Some(ip) = &mut walk.context.ip {
            ip.facts.overlong |= overlong;
        }
    }
    let mut rest = segment;
    rest.take(UdpHeader::LEN, Layer::Udp)?;
    let ports = (header.source_port(), header.destination_port());
    let lengths = Lengths { payload: rest.bytes(), payload_len: rest.wire_len() };
    let transport = TransportHeader::Udp { checksum: header.checksum() };
    let pdu = pdu(walk.context, segment, ports, transport, lengths)?;
    if let Some(tunnel) = walk.tunnels.find(ports.0, ports.1) {
        walk.rest = rest;
        if let Ok(next) = tunnel::over_udp(walk, tunnel) {
            walk.fallback = Some(pdu);
            return Ok(Step::Next(next));
        }
    }
    Ok(Step::Found(Found::Pdu(pdu)))
}

/// A payload as captured, and as long as the headers say.
struct Lengths<'a> {
    payload: &'a [u8],
    payload_len: usize,
}

fn pdu<'a>(
    context: Context,
    segment: Span<'a>,
    ports: (u16, u16),
    header: TransportHeader<'a>,
    lengths: Lengths<'a>,
) -> Result<Pdu<'a>, Discard> {
    let Some(ip) = context.ip else { return Err(Discard::Malformed(Layer::Link)) };
    let transport = match header {
        TransportHeader::Tcp(_) => Transport::Tcp,
        TransportHeader::Udp { .. } => Transport::Udp,
    };
    let src = Endpoint { addr: ip.src, port: ports.0 };
    let dst = Endpoint { addr: ip.dst, port: ports.1 };
    Ok(Pdu {
        ts: context.ts,
        frame: context.frame,
        tuple: FiveTuple { src, dst, transport },
        header,
        segment: segment.bytes(),
        payload: lengths.payload,
        payload_len: u32::try_from(lengths.payload_len).unwrap_or(u32::MAX),
        wire_len: context.wire_len,
        ip: ip.facts,
        link: context.link,
        encapsulation: context.encapsulation,
    })
}

/// The fixed part of a header whose options were cut off.
fn cut_tcp_header<'a>(fixed: &[u8; TCP_HEADER], segment: Span<'a>) -> ((u16, u16), TcpHeader<'a>) {
    let [sp0, sp1, dp0, dp1, s0, s1, s2, s3, a0, a1, a2, a3, _, flags, w0, w1, c0, c1, ..] = *fixed;
    let header = TcpHeader {
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags: TcpFlags(flags),
        window: u16::from_be_bytes([w0, w1]),
        checksum: u16::from_be_bytes([c0, c1]),
        options: segment.bytes().get(TCP_HEADER..).unwrap_or_default(),
    };
    ((u16::from_be_bytes([sp0, sp1]), u16::from_be_bytes([dp0, dp1])), header)
}
