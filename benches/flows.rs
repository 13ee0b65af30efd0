//! Established TCP connections and their next packets, by number. Knows no protocol above TCP.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use dwell_flow::{FlowConfig, FlowHasher, FlowTable, Lookup, Update};
use dwell_packet::{
    Encapsulation, Endpoint, FiveTuple, IpFacts, Pdu, Processes, Scope, TcpFlags, TcpHeader,
    Timestamp, Transport, TransportHeader,
};

/// A table of established connections, each having its next packet in random order, again and
/// again.
#[derive(Debug)]
pub struct Flows {
    table: FlowTable<[u8; 3]>,
    hasher: FlowHasher,
    /// The order of one round: every flow once.
    order: Vec<u32>,
    /// Where the flows of the next packets are.
    ahead: VecDeque<Lookup>,
    next: usize,
    round: u32,
    now: Timestamp,
    advanced: Timestamp,
    ordinal: u64,
}

/// What the next packet of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A bare acknowledgement.
    Acknowledgement,
    /// Payload in sequence.
    Payload,
}

impl Flows {
    /// `count` connections with a finished handshake.
    #[must_use]
    pub fn established(count: u32) -> Self {
        let max_flows = usize::try_from(count).unwrap_or(usize::MAX);
        let config = FlowConfig { max_flows, ..FlowConfig::default() };
        let hasher = FlowHasher::new(SEED);
        let mut flows = Self {
            table: FlowTable::new(config, hasher.clone()),
            hasher,
            ahead: VecDeque::new(),
            order: shuffled(count),
            next: 0,
            round: 0,
            now: START,
            advanced: START,
            ordinal: 0,
        };
        flows.table.advance(START);
        for number in 0..count {
            let ack = |flags: TcpFlags| TcpFlags(flags.0 | TcpFlags::ACK.0);
            let (client, server) = (CLIENT_ISN, SERVER_ISN);
            flows.feed(number, true, (client, 0), (TcpFlags::SYN, 0));
            flows.feed(number, false, (server, client + 1), (ack(TcpFlags::SYN), 0));
            flows.feed(number, true, (client + 1, server + 1), (TcpFlags::ACK, 0));
        }
        flows
    }

    /// Gives every connection its first payload in both directions, from which on its timing is
    /// kept.
    pub fn speak(&mut self) {
        for number in 0..u32::try_from(self.order.len()).unwrap_or(u32::MAX) {
            self.feed(number, true, (CLIENT_ISN + 1, SERVER_ISN + 1), (PSH_ACK, LENGTH));
            let (seq, ack) = (SERVER_ISN + 1, CLIENT_ISN + 1 + LENGTH);
            self.feed(number, false, (seq, ack), (PSH_ACK, LENGTH));
        }
        self.round = 1;
    }

    /// The next packet of the next connection, 10 us after the last; the table's clock goes on
    /// once a second. `None` would say that the table refused it.
    pub fn step(&mut self, step: Step) -> Option<Update> {
        let number = match self.order.get(self.next) {
            Some(number) => *number,
            None => {
                (self.next, self.round) = (0, self.round.wrapping_add(1));
                *self.order.first()?
            }
        };
        self.next += 1;
        let lookup = self.look_ahead()?;
        let sent = self.round.wrapping_mul(LENGTH);
        let seq = (CLIENT_ISN + 1).wrapping_add(sent);
        match step {
            Step::Payload => {
                self.put(number, &lookup, (seq, SERVER_ISN + 1 + LENGTH), (PSH_ACK, LENGTH))
            }
            Step::Acknowledgement => {
                self.put(number, &lookup, (CLIENT_ISN + 1, SERVER_ISN + 1), (TcpFlags::ACK, 0))
            }
        }
    }

    /// Where the next packet's flow is; asks for the flows of the packets to come, in three steps,
    /// as the engine does.
    fn look_ahead(&mut self) -> Option<Lookup> {
        while self.ahead.len() < BUCKETS_AHEAD {
            let place = (self.next - 1 + self.ahead.len()) % self.order.len();
            let lookup = self.hasher.lookup(&tuple(*self.order.get(place)?), Scope::default());
            self.table.prefetch(&lookup);
            self.ahead.push_back(lookup);
        }
        if let Some(lookup) = self.ahead.get(FLOWS_AHEAD) {
            self.table.prefetch_flow(lookup);
        }
        if let Some(lookup) = self.ahead.get(PAYLOADS_AHEAD) {
            self.table.prefetch_payload(lookup);
        }
        self.ahead.pop_front()
    }

    fn feed(
        &mut self,
        number: u32,
        from_client: bool,
        seq_ack: (u32, u32),
        flags_len: (TcpFlags, u32),
    ) -> Option<Update> {
        let tuple = if from_client { tuple(number) } else { tuple(number).reversed() };
        let lookup = self.hasher.lookup(&tuple, Scope::default());
        self.put(number, &lookup, seq_ack, flags_len)
    }

    fn put(
        &mut self,
        number: u32,
        lookup: &Lookup,
        (seq, ack): (u32, u32),
        (flags, payload_len): (TcpFlags, u32),
    ) -> Option<Update> {
        self.now = self.now.saturating_add(GAP);
        self.ordinal += 1;
        if self.now.saturating_since(self.advanced) >= SECOND {
            self.advanced = self.now;
            self.table.advance(self.now);
            self.table.take_bursts();
            self.table.take_due();
        }
        let header = TcpHeader { seq, ack, flags, window: 2_048, checksum: 0, options: &[] };
        let pdu = Pdu {
            ts: self.now,
            frame: self.ordinal,
            tuple: tuple(number),
            header: TransportHeader::Tcp(header),
            segment: &[],
            payload: &[],
            payload_len,
            wire_len: payload_len + 54,
            ip: IpFacts::default(),
            link: None,
            encapsulation: Encapsulation::default(),
            processes: Processes::default(),
        };
        self.table.update(&pdu, lookup, self.ordinal)
    }

    /// How many flows the table holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the table holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn tuple(number: u32) -> FiveTuple {
    let client = Ipv4Addr::from_bits(CLIENTS | number >> 6);
    let port = u16::try_from(number & 63).unwrap_or_default();
    let server = Ipv4Addr::from_bits(SERVERS | number.wrapping_mul(2_654_435_761) >> 18);
    FiveTuple {
        src: Endpoint { addr: client.into(), port: 50_000 + port },
        dst: Endpoint { addr: server.into(), port: 443 },
        transport: Transport::Tcp,
    }
}

/// The numbers below `count` in an order that no prefetcher guesses (Fisher-Yates; the generator
/// is Knuth's MMIX).
fn shuffled(count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state: u64 = SEED;
    for last in (1..order.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bound = u128::from(u64::try_from(last).unwrap_or(u64::MAX)) + 1;
        let other = usize::try_from((u128::from(state) * bound) >> 64).unwrap_or_default();
        order.swap(last, other);
    }
    order
}

/// How many packets ahead buckets are asked for, then flows, then what payload touches.
const BUCKETS_AHEAD: usize = 24;
const FLOWS_AHEAD: usize = 16;
const PAYLOADS_AHEAD: usize = 8;
const SEED: u64 = 0x00c0_ffee;
const START: Timestamp = Timestamp::from_parts(1_795_510_800, 0);
/// 100,000 packets a second.
const GAP: Duration = Duration::from_micros(10);
const SECOND: Duration = Duration::from_secs(1);
const LENGTH: u32 = 100;
const CLIENT_ISN: u32 = 1_000;
const SERVER_ISN: u32 = 500_000;
const PSH_ACK: TcpFlags = TcpFlags(TcpFlags::PSH.0 | TcpFlags::ACK.0);
/// 10.0.0.0: 64 connections from each address.
const CLIENTS: u32 = 0x0a00_0000;
/// 198.18.0.0 (RFC 2544): 16,384 servers.
const SERVERS: u32 = 0xc612_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_flow::Arrival;

    #[test]
    fn every_flow_is_established_and_every_step_is_an_arrival() {
        let mut flows = Flows::established(500);
        assert_eq!(flows.len(), 500);
        flows.speak();
        for _ in 0..5_000 {
            let update = flows.step(Step::Payload).unwrap();
            assert!(!update.opened);
            assert_eq!(update.arrival, Arrival::New { bytes: LENGTH });
        }
        assert_eq!(flows.step(Step::Acknowledgement).unwrap().arrival, Arrival::Nothing);
        assert_eq!(flows.len(), 500);
    }

    #[test]
    fn a_round_visits_every_flow_once() {
        let mut order = shuffled(1_000);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1_000));
    }
}
