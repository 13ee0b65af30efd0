//! Traffic that hurts: packets of a million flows in random order, connections opened and left.
//! Knows no protocol above TCP.

use std::net::Ipv4Addr;
use std::time::Duration;

use dwell_packet::{
    Endpoint, FiveTuple, LinkAddresses, MacAddress, TcpFlags, Timestamp, Transport,
};

use crate::capture::CapturedFrame;
use crate::frame::{IpFields, Segment, tcp_frame};
use crate::random::Random;

/// Established connections; each frame is of one drawn at random, and half of the frames carry six
/// bytes of payload.
#[derive(Debug)]
pub(super) struct RandomOrder {
    random: Random,
    now: Timestamp,
    /// Payload bytes that client and server of each flow have sent.
    sent: Vec<[u32; 2]>,
}

impl RandomOrder {
    pub(super) fn new(flows: u32, seed: u64) -> Self {
        let flows = usize::try_from(flows).unwrap_or_default();
        Self { random: Random::of_actor(seed, "order"), now: START, sent: vec![[0; 2]; flows] }
    }

    pub(super) fn next_frame(&mut self) -> Option<CapturedFrame> {
        let flows = u64::try_from(self.sent.len()).ok()?;
        let number = self.random.below(flows);
        let [client, server] = self.sent.get_mut(usize::try_from(number).ok()?)?;
        let number = u32::try_from(number).ok()?;
        let from_client = self.random.chance(0.5);
        let payload = self.random.next_u64().to_le_bytes();
        let length = if self.random.chance(0.5) { ROOM } else { 0 };
        let payload = payload.get(..length).unwrap_or_default();
        let tuple = established(number);
        let (own, peer, tuple) = if from_client {
            (client, *server, tuple)
        } else {
            (server, *client, tuple.reversed())
        };
        let segment = Segment {
            seq: isn(&tuple).wrapping_add(*own),
            ack: isn(&tuple.reversed()).wrapping_add(peer),
            flags: TcpFlags(TcpFlags::ACK.0 | if length > 0 { TcpFlags::PSH.0 } else { 0 }),
            window: 2_048,
            options: &[],
        };
        *own = own.wrapping_add(u32::try_from(length).unwrap_or_default());
        self.now = self.now.saturating_add(WORST_GAP);
        Some(shortest_frame(self.now, &tuple, &segment, payload))
    }
}

/// Connections that nobody finishes to open; every second SYN is answered.
#[derive(Debug)]
pub(super) struct SynFlood {
    random: Random,
    now: Timestamp,
    left: std::ops::Range<u32>,
    answer: Option<CapturedFrame>,
}

impl SynFlood {
    pub(super) fn new(flows: u32, seed: u64) -> Self {
        Self { random: Random::of_actor(seed, "flood"), now: START, left: 0..flows, answer: None }
    }

    pub(super) fn next_frame(&mut self) -> Option<CapturedFrame> {
        if let Some(answer) = self.answer.take() {
            return Some(answer);
        }
        let number = self.left.next()?;
        let tuple = self.half_open(number);
        let syn = Segment {
            seq: self.random.next_u32(),
            flags: TcpFlags::SYN,
            window: 1_024,
            options: &MSS,
            ..Segment::default()
        };
        self.now = self.now.saturating_add(FLOOD_GAP);
        if self.random.chance(0.5) {
            let flags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
            let (seq, ack) = (self.random.next_u32(), syn.seq.wrapping_add(1));
            let syn_ack = Segment { seq, ack, flags, window: 64_240, options: &MSS };
            let at = self.now.saturating_add(FLOOD_GAP / 2);
            self.answer = Some(shortest_frame(at, &tuple.reversed(), &syn_ack, &[]));
        }
        Some(shortest_frame(self.now, &tuple, &syn, &[]))
    }

    /// A source of its own for each connection: multiplication by an odd number permutes the 2^24
    /// addresses of a network.
    fn half_open(&mut self, number: u32) -> FiveTuple {
        let low = number.wrapping_mul(0x9e_3779) & 0xff_ffff;
        let network = SPOOFED.saturating_add(number >> 24);
        let src = Ipv4Addr::from_bits(network << 24 | low);
        let port = 1_024 | self.random.next_u16();
        FiveTuple {
            src: Endpoint { addr: src.into(), port },
            dst: Endpoint { addr: VICTIM.into(), port: 443 },
            transport: Transport::Tcp,
        }
    }
}

/// Connection by number, from client to server.
fn established(number: u32) -> FiveTuple {
    let client = CLIENTS.saturating_add(number >> 4);
    let port = u16::try_from(number & 15).unwrap_or_default().saturating_add(50_000);
    let server = SERVERS.saturating_add(number.wrapping_mul(2_654_435_761) >> 20);
    FiveTuple {
        src: Endpoint { addr: Ipv4Addr::from_bits(client).into(), port },
        dst: Endpoint { addr: Ipv4Addr::from_bits(server).into(), port: 443 },
        transport: Transport::Tcp,
    }
}

/// Where the sequence numbers of a sender start.
fn isn(tuple: &FiveTuple) -> u32 {
    u32::from(tuple.src.port).wrapping_mul(65_537) ^ 0x5bd1_e995
}

/// A frame padded to Ethernet's least length (IEEE 802.3, without the checksum).
fn shortest_frame(
    ts: Timestamp,
    tuple: &FiveTuple,
    segment: &Segment<'_>,
    payload: &[u8],
) -> CapturedFrame {
    let mut bytes = tcp_frame(LINK, IpFields::default(), tuple, segment, payload);
    bytes.resize(bytes.len().max(SHORTEST), 0);
    let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    CapturedFrame { ts, bytes, wire_len }
}

/// 24 November 2026, 09:00 UTC.
const START: Timestamp = Timestamp::from_parts(1_795_510_800, 0);
/// 13 million packets of 76 bytes in the file, a gigabyte, in ten minutes.
const WORST_GAP: Duration = Duration::from_micros(46);
/// 100,000 a second.
const FLOOD_GAP: Duration = Duration::from_micros(10);
const SHORTEST: usize = 60;
/// What fits behind the headers of Ethernet, IPv4 and TCP.
const ROOM: usize = SHORTEST - 54;
/// A maximum segment size of 1,460 (RFC 9293, section 3.2).
const MSS: [u8; 4] = [2, 4, 5, 180];
const LINK: LinkAddresses =
    LinkAddresses { src: MacAddress([2, 0, 0, 1, 0, 1]), dst: MacAddress([2, 0, 0x5e, 0, 0, 1]) };
/// 10.16.0.0: sixteen connections from each address.
const CLIENTS: u32 = 0x0a10_0000;
/// 198.18.0.0 (RFC 2544): 4,096 servers.
const SERVERS: u32 = 0xc612_0000;
/// First octet of invented sources.
const SPOOFED: u32 = 41;
const VICTIM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 80);
