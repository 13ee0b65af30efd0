//! Whether a receiver would take a packet. Somebody who can inject packets that the sensor sees and
//! the receiver drops could otherwise give any flow any name.

use dwell_flow::Flow;
use dwell_packet::{Checksum, Direction, Pdu, TcpFlags, TcpHeader, TransportHeader};

/// A longer frame was put together by the network card or the kernel from several segments (LRO,
/// GRO, TSO), whose checksum is nobody's: Ethernet's 1518 bytes with tags and tunnels to spare.
const MAX_ORDINARY_FRAME: u32 = 1600;

/// TCP option kinds (RFC 9293, section 3.2; RFC 7323, section 3).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const TIMESTAMPS: u8 = 8;

/// What can be said of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The receiver takes it.
    Sound,
    /// The receiver may drop it: what it carries is believed once the receiver acknowledges it, or
    /// the sender goes on behind it, and no sound copy came.
    Doubtful,
}

/// Judges a TCP segment by what the flow's earlier packets told, and notes what this one tells.
pub(crate) fn of_segment<X>(
    flow: &mut Flow<X>,
    direction: Direction,
    pdu: &Pdu<'_>,
    tcp: &TcpHeader<'_>,
) -> Trust {
    let syn = tcp.flags.contains(TcpFlags::SYN);
    let intact = checksum_intact(pdu);
    if syn && !intact {
        // The sender's card fills checksums in after the capture point: this direction's say
        // nothing.
        flow.note_checksum_offloaded(direction);
    }
    let intact = intact || flow.checksum_offloaded(direction);
    let current = timestamp_current(flow, direction, tcp, intact);
    // A SYN's data may be refused (RFC 7413, section 4.2); data without ACK is dropped
    // (RFC 9293, section 3.10.7.4), and so is data that acknowledges what was never sent.
    let proper = !syn && tcp.flags.contains(TcpFlags::ACK) && !flow.acks_unseen();
    if intact && current && (proper || pdu.payload.is_empty()) {
        Trust::Sound
    } else {
        Trust::Doubtful
    }
}

/// Whether the segment's TCP timestamp is not older than the latest of its direction (RFC 7323,
/// section 5: older ones are dropped).
fn timestamp_current<X>(
    flow: &mut Flow<X>,
    direction: Direction,
    tcp: &TcpHeader<'_>,
    intact: bool,
) -> bool {
    let Some(value) = timestamp(tcp.options) else { return true };
    let latest = flow.tcp_timestamp(direction);
    let current = latest.is_none_or(|latest| value.wrapping_sub(latest).cast_signed() >= 0);
    if current && intact {
        flow.note_tcp_timestamp(direction, value);
    }
    current
}

/// Whether the checksums of IP and transport are right, or cannot be told.
pub(crate) fn checksum_intact(pdu: &Pdu<'_>) -> bool {
    if pdu.wire_len > MAX_ORDINARY_FRAME {
        return true;
    }
    pdu.ip.checksum_ok && pdu.transport_checksum() != Checksum::Invalid
}

/// The TSval of a segment's timestamps option.
fn timestamp(mut options: &[u8]) -> Option<u32> {
    loop {
        match *options {
            [TIMESTAMPS, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([a, b, c, d])),
            [END_OF_OPTIONS, ..] | [] => return None,
            [NO_OPERATION, ref rest @ ..] => options = rest,
            [_, len, ..] if len >= 2 => options = options.get(usize::from(len)..)?,
            [..] => return None,
        }
    }
}

/// Whether a datagram's payload was captured whole: half a datagram shows nothing to be trusted.
pub(crate) fn whole(pdu: &Pdu<'_>) -> bool {
    u32::try_from(pdu.payload.len()).is_ok_and(|len| len == pdu.payload_len)
}

/// The TCP header of a segment.
pub(crate) fn tcp_of<'p>(pdu: &Pdu<'p>) -> Option<TcpHeader<'p>> {
    match pdu.header {
        TransportHeader::Tcp(tcp) => Some(tcp),
        TransportHeader::Udp { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_timestamp_is_found_among_options() {
        let options = [2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 0, 0, 4, 2, 0, 0];
        assert_eq!(timestamp(&options), Some(0x102));
        assert_eq!(timestamp(&[1, 1, 0, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(timestamp(&[8, 0]), None);
    }

    proptest! {
        #[test]
        fn any_options_end(options: Vec<u8>) {
            let _ = timestamp(&options);
        }
    }
}
