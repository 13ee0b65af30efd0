//! Real QUIC handshakes for other connections: the datagrams of a captured one with new connection
//! IDs and another server's name, Initial packets opened and sealed anew (RFC 9001, section 5).
//! Knows version 1 and nothing of what is in Handshake and 1-RTT packets.

mod initial;

use crate::capture::Capture;
use crate::client_hello::{ClientHello, Reader};
use crate::conversation::Side;
use crate::random::Random;
use initial::{TAG, is_sealable};

pub(crate) use initial::InitialKeys;

/// A connection ID of eight bytes, as Chromium and most servers choose them.
pub(crate) type ConnectionId = [u8; 8];

/// The datagrams of a handshake, taken apart.
#[derive(Debug)]
pub(crate) struct QuicHandshake {
    hello: ClientHello,
    datagrams: Vec<(Side, Vec<Packet>)>,
}

/// The identifiers of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionIds {
    /// What the client first sends to; the keys of Initial packets come from it.
    pub(crate) original: ConnectionId,
    /// What the server chose, and the client then sends to.
    pub(crate) server: ConnectionId,
}

impl ConnectionIds {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self { original: random.next_u64().to_be_bytes(), server: random.next_u64().to_be_bytes() }
    }
}

/// One long-header packet (RFC 9000, section 17.2) without a token.
#[derive(Debug)]
struct Packet {
    /// The first byte; of an Initial, without its protection.
    first: u8,
    destination: Vec<u8>,
    source: Vec<u8>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Initial {
        number: u32,
        frames: Vec<u8>,
    },
    /// Packet number and payload, still protected.
    Sealed(Vec<u8>),
}

impl QuicHandshake {
    /// The handshake in a pcap file with a single connection to port 443 over IPv4: its long-header
    /// datagrams. `None` when there is no whole ClientHello in them.
    pub(crate) fn in_capture(mut pcap: &[u8]) -> Option<Self> {
        let capture = Capture::read_pcap(&mut pcap).ok()?;
        let mut original = None;
        let mut datagrams = Vec::new();
        for frame in capture.frames() {
            let (from, payload) = udp_payload(&frame.bytes)?;
            if payload.first()? & LONG_HEADER == 0 {
                continue;
            }
            let original: &ConnectionId = match &mut original {
                Some(original) => original,
                unset => unset.insert(payload.get(6..14)?.try_into().ok()?),
            };
            datagrams.push((from, packets(payload, &InitialKeys::new(original, from))));
        }
        let hello = ClientHello::from_message(&client_stream(&datagrams)?)?;
        let mut handshake = Self { hello, datagrams };
        handshake.name_connection_ids(&original?);
        Some(handshake)
    }

    /// The datagrams of another connection to the server of that name.
    pub(crate) fn for_server(
        &self,
        name: &str,
        ids: &ConnectionIds,
        random: &mut Random,
    ) -> Vec<(Side, Vec<u8>)> {
        let mut hello = self.hello.clone().for_server(name);
        random.fill(&mut hello.random);
        let message = hello.message();
        let mut sent = 0;
        let keys = [Side::Client, Side::Server].map(|side| InitialKeys::new(&ids.original, side));
        let [client_keys, server_keys] = &keys;
        let mut datagrams = Vec::new();
        for (from, packets) in &self.datagrams {
            let keys = match from {
                Side::Client => client_keys,
                Side::Server => server_keys,
            };
            let mut datagram = Vec::new();
            for packet in packets {
                let rest = message.get(sent..).filter(|rest| !rest.is_empty());
                let hello = match (from, rest) {
                    (Side::Client, Some(rest)) => packet.hello_frames(sent, rest),
                    (Side::Client | Side::Server, _) => None,
                };
                sent += hello.as_ref().map_or(0, |(_, taken)| *taken);
                packet.write(&mut datagram, ids, keys, hello.map(|(frames, _)| frames));
            }
            datagrams.push((*from, datagram));
        }
        datagrams
    }

    /// Puts the placeholders of the two identifiers in the place of those captured.
    fn name_connection_ids(&mut self, original: &ConnectionId) {
        let packets = self.datagrams.iter_mut().flat_map(|(_, packets)| packets);
        for packet in packets {
            for id in [&mut packet.destination, &mut packet.source] {
                if !id.is_empty() {
                    let placeholder = if id == original { ORIGINAL } else { SERVER };
                    *id = vec![placeholder];
                }
            }
        }
    }
}

impl Packet {
    /// The next bytes of a ClientHello in CRYPTO frames out of order, as Chromium sends them, padded
    /// to the length of this packet's own frames, and how many bytes they are; `None` if this is no
    /// Initial.
    fn hello_frames(&self, offset: usize, rest: &[u8]) -> Option<(Vec<u8>, usize)> {
        let Body::Initial { frames: own, .. } = &self.body else { return None };
        let room = own.len().checked_sub(2 * CRYPTO_HEADER + 1)?;
        let taken = rest.get(..room.min(rest.len()))?;
        let (first, second) = taken.split_at_checked(taken.len() / 2)?;
        let mut frames = Vec::with_capacity(own.len());
        push_crypto(&mut frames, offset + first.len(), second);
        frames.push(PING);
        push_crypto(&mut frames, offset, first);
        frames.resize(own.len(), PADDING);
        Some((frames, taken.len()))
    }

    fn write(
        &self,
        datagram: &mut Vec<u8>,
        ids: &ConnectionIds,
        keys: &InitialKeys,
        replaced: Option<Vec<u8>>,
    ) {
        let mut header = vec![self.first];
        header.extend_from_slice(&VERSION_1);
        for id in [&self.destination, &self.source] {
            let id: &[u8] = match id.as_slice() {
                [ORIGINAL] => &ids.original,
                [SERVER] => &ids.server,
                _ => &[],
            };
            header.push(u8::try_from(id.len()).unwrap_or_default());
            header.extend_from_slice(id);
        }
        match &self.body {
            Body::Initial { number, frames } => {
                let frames = replaced.as_ref().unwrap_or(frames);
                let number_len = usize::from(self.first & 3) + 1;
                header.push(NO_TOKEN);
                push_length(&mut header, number_len + frames.len() + TAG);
                let number_bytes = number.to_be_bytes();
                header.extend_from_slice(number_bytes.get(4 - number_len..).unwrap_or_default());
                datagram.append(&mut keys.seal(&header, number_len, *number, frames));
            }
            Body::Sealed(bytes) => {
                push_length(&mut header, bytes.len());
                datagram.append(&mut header);
                datagram.extend_from_slice(bytes);
            }
        }
    }
}

/// The long-header packets of a datagram; what cannot be opened is left out.
fn packets(datagram: &[u8], keys: &InitialKeys) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut rest = datagram;
    while rest.first().is_some_and(|first| first & LONG_HEADER != 0) {
        let Some((packet, after)) = packet(rest, keys) else { break };
        packets.push(packet);
        rest = after;
    }
    packets
}

fn packet<'a>(bytes: &'a [u8], keys: &InitialKeys) -> Option<(Packet, &'a [u8])> {
    let mut reader = Reader(bytes);
    let first = reader.u8()?;
    (reader.array()? == VERSION_1).then_some(())?;
    let destination = reader.vector8()?.to_vec();
    let source = reader.vector8()?.to_vec();
    let is_initial = is_sealable(first);
    if is_initial {
        (reader.u8()? == NO_TOKEN).then_some(())?;
    }
    let length = varint(&mut reader)?;
    let number_at = bytes.len() - reader.0.len();
    let sealed = reader.take(usize::try_from(length).ok()?)?;
    if !is_initial {
        let body = Body::Sealed(sealed.to_vec());
        return Some((Packet { first, destination, source, body }, reader.0));
    }
    let whole = bytes.get(..number_at + sealed.len())?;
    let opened = keys.open(whole, number_at)?;
    let body = Body::Initial { number: opened.number, frames: opened.frames };
    Some((Packet { first: opened.first, destination, source, body }, reader.0))
}

/// What the client's CRYPTO frames carry, if they leave no hole.
fn client_stream(datagrams: &[(Side, Vec<Packet>)]) -> Option<Vec<u8>> {
    let mut pieces = Vec::new();
    for (from, packets) in datagrams {
        for packet in packets {
            if let (Side::Client, Body::Initial { frames, .. }) = (from, &packet.body) {
                pieces.extend(crypto(frames));
            }
        }
    }
    pieces.sort_unstable();
    let mut stream = Vec::new();
    for (offset, bytes) in pieces {
        (usize::try_from(offset).ok()? == stream.len()).then_some(())?;
        stream.extend_from_slice(bytes);
    }
    Some(stream)
}

/// The CRYPTO frames among PADDING and PING; anything else ends the list.
fn crypto(frames: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    let mut reader = Reader(frames);
    while let Some(kind) = reader.u8() {
        match kind {
            PADDING | PING => {}
            CRYPTO => {
                let piece = varint(&mut reader).zip(varint(&mut reader));
                let Some((offset, length)) = piece else { break };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some(bytes) = reader.take(length) else { break };
                found.push((offset, bytes));
            }
            _ => break,
        }
    }
    found
}

fn push_crypto(frames: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    frames.push(CRYPTO);
    push_length(frames, offset);
    push_length(frames, bytes.len());
    frames.extend_from_slice(bytes);
}

/// A number below 2^14 in two bytes (RFC 9000, section 16).
fn push_length(out: &mut Vec<u8>, length: usize) {
    let length = u16::try_from(length).unwrap_or_default() & 0x3fff;
    out.extend_from_slice(&(length | 0x4000).to_be_bytes());
}

/// RFC 9000, section 16.
fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let mut value = u64::from(first & 0x3f);
    for _ in 1..1_u8.checked_shl(u32::from(first >> 6))? {
        value = value << 8 | u64::from(reader.u8()?);
    }
    Some(value)
}

/// Who sent a UDP datagram over IPv4, and what it carries.
fn udp_payload(frame: &[u8]) -> Option<(Side, &[u8])> {
    let mut reader = Reader(frame);
    reader.take(UDP_AT)?;
    let [src_port, _, length, _] = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let from = if src_port == HTTPS { Side::Server } else { Side::Client };
    let length = usize::from(length).checked_sub(UDP_HEADER)?;
    Some((from, reader.take(length)?))
}

/// Ethernet and IPv4 without options.
const UDP_AT: usize = 34;
const UDP_HEADER: usize = 8;
const HTTPS: u16 = 443;
const LONG_HEADER: u8 = 0x80;
const VERSION_1: [u8; 4] = [0, 0, 0, 1];
const NO_TOKEN: u8 = 0;
/// Stand for the identifiers of a connection in a packet that was taken apart.
const ORIGINAL: u8 = 0;
const SERVER: u8 = 1;
/// Frame types (RFC 9000, section 19).
const PADDING: u8 = 0;
const PING: u8 = 1;
const CRYPTO: u8 = 6;
/// Type, and offset and length in two bytes each.
const CRYPTO_HEADER: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: ConnectionIds = ConnectionIds { original: [0xa1; 8], server: [0xb2; 8] };

    fn captured() -> QuicHandshake {
        let pcap = include_bytes!("../../../pcaps/chromium-quic.pcap");
        QuicHandshake::in_capture(pcap).unwrap()
    }

    #[test]
    fn the_captured_hello_is_whole_and_chromiums() {
        let handshake = captured();
        assert_eq!(handshake.hello.server_name(), Some("www.example.test"));
        let sides: Vec<Side> = handshake.datagrams.iter().map(|(from, _)| *from).collect();
        assert_eq!(sides[..3], [Side::Client, Side::Client, Side::Server]);
        assert!(handshake.datagrams.iter().all(|(_, packets)| !packets.is_empty()));
    }

    #[test]
    fn another_connection_names_its_server_under_its_own_identifiers() {
        let handshake = captured();
        let datagrams = handshake.for_server("b.example", &IDS, &mut Random::new(1));
        let keys = InitialKeys::new(&IDS.original, Side::Client);
        let opened: Vec<(Side, Vec<Packet>)> = datagrams
            .iter()
            .filter(|(from, _)| *from == Side::Client)
            .map(|(from, datagram)| (*from, packets(datagram, &keys)))
            .collect();
        let hello = ClientHello::from_message(&client_stream(&opened).unwrap()).unwrap();
        assert_eq!(hello.server_name(), Some("b.example"));
        assert_ne!(hello.random, handshake.hello.random);
        assert_eq!(hello.cipher_suites, handshake.hello.cipher_suites);
        assert_eq!(opened[0].1[0].destination, IDS.original);
        assert_eq!(opened[2].1[0].destination, IDS.server);
        assert_eq!(datagrams[0].1.len(), 1_250);
        assert_eq!(datagrams[1].1.len(), 1_250);
    }

    #[test]
    fn the_servers_initials_open_with_the_servers_keys() {
        let datagrams = captured().for_server("b.example", &IDS, &mut Random::new(1));
        let keys = InitialKeys::new(&IDS.original, Side::Server);
        let (_, answer) = datagrams.iter().rfind(|(from, _)| *from == Side::Server).unwrap();
        let packets = packets(answer, &keys);
        assert_eq!(packets[0].source, IDS.server);
        let Body::Initial { frames, .. } = &packets[0].body else { panic!("no Initial") };
        // An ACK frame, then the ServerHello.
        assert_eq!(frames[0], 2);
        assert!(frames.windows(2).any(|pair| pair == [2, 0]));
    }

    #[test]
    fn a_name_of_any_length_fits() {
        let handshake = captured();
        for name in ["a.example".to_owned(), format!("{}.example", "x".repeat(63))] {
            let datagrams = handshake.for_server(&name, &IDS, &mut Random::new(1));
            assert!(datagrams.iter().all(|(_, datagram)| datagram.len() <= 1_252), "{name}");
        }
    }
}
