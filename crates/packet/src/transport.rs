//! TCP and UDP headers. Knows fields, not connections.

use etherparse::{TcpHeaderSlice, UdpHeader, UdpHeaderSlice};

use crate::discard::{Discard, Layer};
use crate::span::Span;
use crate::walk::{End, IpHeader, Step, Walk};
use crate::{
    Endpoint, FiveTuple, Pdu, Processes, TcpFlags, TcpHeader, Transport, TransportHeader, tunnel,
};

/// TCP header length without options, in bytes.
const TCP_HEADER: usize = 20;

/// A transport header that was found sound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    transport: Transport,
    /// Length that the header has on the wire, in bytes.
    header_len: usize,
}

impl Segment {
    /// A UDP datagram's.
    pub(crate) const UDP: Self = Self { transport: Transport::Udp, header_len: UdpHeader::LEN };
}

/// A TCP segment (RFC 9293, section 3.1). One whose options were cut off is a segment still.
pub(crate) fn tcp(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let Some(fixed) = walk.rest.peek::<TCP_HEADER>() else {
        return Err(walk.rest.missing(TCP_HEADER, Layer::Tcp));
    };
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len < TCP_HEADER || header_len > walk.rest.wire_len() {
        return Err(Discard::Malformed(Layer::Tcp));
    }
    Ok(Step::End(End::Segment(Segment { transport: Transport::Tcp, header_len })))
}

/// A UDP datagram (RFC 768).
pub(crate) fn udp(walk: &mut Walk<'_, '_>) -> Result<Step, Discard> {
    let header = UdpHeaderSlice::from_slice(walk.rest.bytes())
        .map_err(|error| walk.rest.missing(error.required_len, Layer::Udp))?;
    // Zero is a jumbogram's, or a super-frame's of segmentation offload (RFC 2675, section 4).
    if header.length() != 0 {
        let len = usize::from(header.length());
        if len < UdpHeader::LEN {
            return Err(Discard::Malformed(Layer::Udp));
        }
        let overlong = walk.rest.declare(len);
        if let Some(ip) = &mut walk.context.ip {
            ip.facts.overlong |= overlong;
        }
    }
    let (src, dst) = (header.source_port(), header.destination_port());
    if walk.tunnels.may_carry(src, dst)
        && let Some(tunnel) = walk.tunnels.find(src, dst)
    {
        let mut payload = walk.rest;
        payload.take(UdpHeader::LEN, Layer::Udp)?;
        if let Some(next) = walk.try_tunnel(payload, |walk| tunnel::over_udp(walk, tunnel)) {
            return Ok(Step::Next(next));
        }
    }
    Ok(Step::End(End::Segment(Segment::UDP)))
}

impl<'a> Walk<'a, '_> {
    /// The PDU that the walk ended at.
    ///
    /// # Errors
    /// `Malformed` if there was no IP header on the way: no walk ends so.
    pub(crate) fn pdu(&self, segment: Segment) -> Result<Pdu<'a>, Discard> {
        let Some(IpHeader { src, dst, facts }) = self.context.ip else {
            return Err(Discard::Malformed(Layer::Link));
        };
        let bytes = self.rest.bytes();
        let (ports, header) = match segment.transport {
            Transport::Tcp => tcp_header(self.rest, segment.header_len)?,
            Transport::Udp => udp_header(self.rest)?,
        };
        let payload_len = self.rest.wire_len().saturating_sub(segment.header_len);
        Ok(Pdu {
            ts: self.context.ts,
            frame: self.context.frame,
            tuple: FiveTuple {
                src: Endpoint { addr: src, port: ports.0 },
                dst: Endpoint { addr: dst, port: ports.1 },
                transport: segment.transport,
            },
            header,
            segment: bytes,
            payload: bytes.get(segment.header_len..).unwrap_or_default(),
            payload_len: u32::try_from(payload_len).unwrap_or(u32::MAX),
            wire_len: self.context.wire_len,
            ip: facts,
            link: self.context.link,
            encapsulation: self.context.encapsulation,
            processes: Processes::default(),
        })
    }
}

/// Source and destination port, and the other fields.
type Header<'a> = ((u16, u16), TransportHeader<'a>);

fn tcp_header(segment: Span<'_>, header_len: usize) -> Result<Header<'_>, Discard> {
    let bytes = segment.bytes();
    let Some(fixed) = segment.peek::<TCP_HEADER>() else {
        return Err(segment.missing(TCP_HEADER, Layer::Tcp));
    };
    // The fixed part of a header whose options were cut off is read as one that has none.
    let mut alone = *fixed;
    alone[12] = 0x50;
    let read = if bytes.len() < header_len { &alone[..] } else { bytes };
    let header = TcpHeaderSlice::from_slice(read).map_err(|_| Discard::Malformed(Layer::Tcp))?;
    let fields = TcpHeader {
        seq: header.sequence_number(),
        ack: header.acknowledgment_number(),
        flags: TcpFlags(fixed[13]),
        window: header.window_size(),
        checksum: header.checksum(),
        options: bytes.get(TCP_HEADER..header_len.min(bytes.len())).unwrap_or_default(),
    };
    let ports = (header.source_port(), header.destination_port());
    Ok((ports, TransportHeader::Tcp(fields)))
}

fn udp_header(segment: Span<'_>) -> Result<Header<'_>, Discard> {
    let header = UdpHeaderSlice::from_slice(segment.bytes())
        .map_err(|error| segment.missing(error.required_len, Layer::Udp))?;
    let ports = (header.source_port(), header.destination_port());
    Ok((ports, TransportHeader::Udp { checksum: header.checksum() }))
}
