//! Finds, opens, expires and evicts flows. Knows what a flow holds, not what its owner does
//! with it.

use std::hash::BuildHasher;

use dwell_packet::{Direction, FlowKey, Pdu, Scope, Timestamp};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::burst::Burst;
use crate::config::FlowConfig;
use crate::record::{EndReason, Flow};
use crate::tcp::{Arrival, TcpPhase, Verdict};
use crate::wheel::TimerWheel;

/// How many flows an eviction looks at before it gives up: bounded work under a flood.
const EVICTION_SCAN: usize = 64;

/// A flow's place in its table; stale once the flow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

/// What one packet did to its flow.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The flow.
    pub id: FlowId,
    /// Which way the packet went.
    pub direction: Direction,
    /// Whether the packet opened the flow.
    pub opened: bool,
    /// What its payload was.
    pub arrival: Arrival,
    /// The burst that ended before this packet.
    pub burst: Option<Burst>,
}

/// A flow that ended, with the burst that was still open.
#[derive(Debug)]
pub struct Ended<X> {
    /// The flow as it was.
    pub flow: Flow<X>,
    /// Why it ended.
    pub reason: EndReason,
    /// Its last burst, if it had not been handed out.
    pub burst: Option<Burst>,
}

/// What a table counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Flows opened.
    pub opened: u64,
    /// Flows ended, evictions included.
    pub ended: u64,
    /// Flows evicted that never finished a handshake or had closed.
    pub evicted_unestablished: u64,
    /// Flows evicted that were established and young.
    pub evicted_short: u64,
    /// Packets refused because the table was full of flows worth more.
    pub refused: u64,
}

/// Every open flow of one shard.
#[derive(Debug)]
pub struct FlowTable<X> {
    config: FlowConfig,
    hasher: FixedState,
    index: HashTable<u32>,
    slab: Vec<Option<Flow<X>>>,
    free: Vec<u32>,
    generations: u32,
    wheel: TimerWheel,
    /// Flows with an open burst, each once.
    bursting: Vec<FlowId>,
    clock_hand: usize,
    ended: Vec<Ended<X>>,
    bursts: Vec<(FlowId, Burst)>,
    due: Vec<FlowId>,
    counters: FlowCounters,
}

impl<X: Default> FlowTable<X> {
    /// An empty table. `seed` keys the hash: random for live traffic, fixed for a replay.
    #[must_use]
    pub fn new(config: FlowConfig, seed: u64) -> Self {
        Self {
            config,
            hasher: FixedState::with_seed(seed),
            index: HashTable::new(),
            slab: Vec::new(),
            free: Vec::new(),
            generations: 0,
            wheel: TimerWheel::new(),
            bursting: Vec::new(),
            clock_hand: 0,
            ended: Vec::new(),
            bursts: Vec::new(),
            due: Vec::new(),
            counters: FlowCounters::default(),
        }
    }

    /// Counts one packet into its flow, opening, splitting or replacing the flow as needed.
    ///
    /// `ordinal` numbers the packets of the whole capture. `None` when the table is full of flows
    /// that are worth more than a new one. Flows that this ended are in [`FlowTable::take_ended`].
    pub fn update(&mut self, pdu: &Pdu<'_>, scope: Scope, ordinal: u64) -> Option<Update> {
        let (key, direction) = pdu.tuple.flow_key(scope);
        let found = self.find(&key);
        let id = match found {
            Some(id) if self.is_idle(id, pdu.ts) => {
                self.end(id, EndReason::Idle);
                None
            }
            found => found,
        };
        if let Some(id) = id {
            match self.get_mut(id)?.observe(pdu, direction) {
                Verdict::Ours(arrival) => {
                    return self.counted(id, pdu, (direction, arrival), false);
                }
                Verdict::Replaced => self.end(id, EndReason::Replaced),
            }
        }
        let id = self.open(pdu, key, direction, ordinal)?;
        match self.get_mut(id)?.observe(pdu, direction) {
            Verdict::Ours(arrival) => self.counted(id, pdu, (direction, arrival), true),
            Verdict::Replaced => None,
        }
    }

    /// The flow of `id`, if it is still open.
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&Flow<X>> {
        let flow = self.slab.get(usize::try_from(id.index).ok()?)?.as_ref()?;
        (flow.generation == id.generation).then_some(flow)
    }

    /// The flow of `id`, to change, if it is still open.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow<X>> {
        let flow = self.slab.get_mut(usize::try_from(id.index).ok()?)?.as_mut()?;
        (flow.generation == id.generation).then_some(flow)
    }

    /// Moves packet time on: expires flows, closes bursts, finds updates that are due.
    ///
    /// Call once a second of packet time. The results are then in the `take_` methods.
    pub fn advance(&mut self, now: Timestamp) {
        self.flush_bursts(now);
        for index in self.wheel.advance(now) {
            let Some(id) = self.id_at(index) else { continue };
            if self.is_idle(id, now) {
                let reason = self.natural_end(id);
                self.end(id, reason);
                continue;
            }
            if self.update_due(id, now) {
                self.due.push(id);
                if let Some(flow) = self.get_mut(id) {
                    flow.updates += 1;
                }
            }
            self.arm(id);
        }
    }

    /// Ends every flow, oldest first.
    pub fn finish(&mut self, reason: EndReason) {
        let mut open: Vec<(u64, FlowId)> = (0..u32::try_from(self.slab.len()).unwrap_or(u32::MAX))
            .filter_map(|index| self.id_at(index))
            .filter_map(|id| Some((self.get(id)?.ordinal, id)))
            .collect();
        open.sort_unstable();
        for (_, id) in open {
            self.end(id, reason);
        }
    }

    /// Takes the flows that ended since the last call, in the order of their end.
    pub fn take_ended(&mut self) -> Vec<Ended<X>> {
        std::mem::take(&mut self.ended)
    }

    /// Takes the bursts that [`FlowTable::advance`] closed.
    pub fn take_bursts(&mut self) -> Vec<(FlowId, Burst)> {
        std::mem::take(&mut self.bursts)
    }

    /// Takes the flows whose update is due.
    pub fn take_due(&mut self) -> Vec<FlowId> {
        std::mem::take(&mut self.due)
    }

    /// How many flows are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no flow is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> FlowCounters {
        self.counters
    }

    fn find(&self, key: &FlowKey) -> Option<FlowId> {
        let slab = &self.slab;
        let same = |&index: &u32| flow_at(slab, index).is_some_and(|flow| flow.key == *key);
        let index = *self.index.find(self.hash(key), same)?;
        self.id_at(index)
    }

    fn id_at(&self, index: u32) -> Option<FlowId> {
        flow_at(&self.slab, index).map(|flow| FlowId { index, generation: flow.generation })
    }

    fn hash(&self, key: &FlowKey) -> u64 {
        hash_with(&self.hasher, key)
    }

    fn open(
        &mut self,
        pdu: &Pdu<'_>,
        key: FlowKey,
        dir: Direction,
        ordinal: u64,
    ) -> Option<FlowId> {
        if self.index.len() >= self.config.max_flows && !self.evict(pdu.ts) {
            self.counters.refused += 1;
            return None;
        }
        let mut flow = Flow::open(pdu, key, dir, ordinal);
        self.generations = self.generations.wrapping_add(1);
        flow.generation = self.generations;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slab.push(None);
                u32::try_from(self.slab.len() - 1).ok()?
            }
        };
        *self.slab.get_mut(usize::try_from(index).ok()?)? = Some(flow);
        let (hash, hasher, slab) = (self.hash(&key), &self.hasher, &self.slab);
        let rehash =
            |&index: &u32| flow_at(slab, index).map_or(0, |flow| hash_with(hasher, &flow.key));
        self.index.insert_unique(hash, index, rehash);
        self.counters.opened += 1;
        let id = FlowId { index, generation: self.generations };
        self.arm(id);
        Some(id)
    }

    /// Feeds the burst and reports what the packet did.
    fn counted(
        &mut self,
        id: FlowId,
        pdu: &Pdu<'_>,
        (direction, arrival): (Direction, Arrival),
        opened: bool,
    ) -> Option<Update> {
        let bytes = u64::from(arrival.new_bytes());
        let mut burst = None;
        if bytes > 0 {
            let flow = self.get_mut(id)?;
            let extended =
                flow.burst.as_mut().is_some_and(|open| open.extend(pdu.ts, direction, bytes));
            if !extended {
                burst = flow.burst.replace(Burst::starting(pdu.ts, direction, bytes));
                if burst.is_none() {
                    self.bursting.push(id);
                }
            }
        }
        Some(Update { id, direction, opened, arrival, burst })
    }

    fn flush_bursts(&mut self, now: Timestamp) {
        let bursting = std::mem::take(&mut self.bursting);
        let mut still = Vec::with_capacity(bursting.len());
        for id in bursting {
            let Some(flow) = self.get_mut(id) else { continue };
            match flow.burst {
                Some(burst) if burst.due(now) => {
                    flow.burst = None;
                    self.bursts.push((id, burst));
                }
                Some(_) => still.push(id),
                None => {}
            }
        }
        self.bursting = still;
    }

    fn is_idle(&self, id: FlowId, now: Timestamp) -> bool {
        self.get(id)
            .is_some_and(|flow| now.saturating_since(flow.last) > timeout(&self.config, flow))
    }

    /// Why a flow that has been silent ends: its TCP phase says.
    fn natural_end(&self, id: FlowId) -> EndReason {
        match self.get(id).and_then(Flow::tcp_phase) {
            Some(TcpPhase::Closed | TcpPhase::Closing) => EndReason::Fin,
            Some(TcpPhase::Reset) => EndReason::Rst,
            Some(TcpPhase::Opening | TcpPhase::Established) | None => EndReason::Idle,
        }
    }

    fn update_due(&self, id: FlowId, now: Timestamp) -> bool {
        self.get(id).is_some_and(|flow| now >= next_update(&self.config, flow))
    }

    fn arm(&mut self, id: FlowId) {
        let Some(flow) = self.get(id) else { return };
        let idle = flow.last.saturating_add(timeout(&self.config, flow));
        let deadline = idle.min(next_update(&self.config, flow));
        self.wheel.arm(id.index, deadline);
    }

    fn end(&mut self, id: FlowId, reason: EndReason) {
        let Ok(slot) = usize::try_from(id.index) else { return };
        if self.get(id).is_none() {
            return;
        }
        let Some(mut flow) = self.slab.get_mut(slot).and_then(Option::take) else { return };
        let same = |&index: &u32| index == id.index;
        if let Ok(entry) = self.index.find_entry(hash_with(&self.hasher, &flow.key), same) {
            entry.remove();
        }
        self.free.push(id.index);
        self.counters.ended += 1;
        let reason = match (reason, flow.tcp_phase()) {
            (EndReason::Replaced | EndReason::EndOfCapture, Some(TcpPhase::Closed)) => {
                EndReason::Fin
            }
            (EndReason::Replaced | EndReason::EndOfCapture, Some(TcpPhase::Reset)) => {
                EndReason::Rst
            }
            (reason, _) => reason,
        };
        let burst = flow.burst.take();
        self.ended.push(Ended { flow, reason, burst });
    }

    /// Makes room by ending the cheapest of the next flows under the clock hand; false when all
    /// of them are worth more than a new flow.
    fn evict(&mut self, now: Timestamp) -> bool {
        let mut cheapest: Option<(u8, FlowId)> = None;
        for _ in 0..EVICTION_SCAN.min(self.slab.len()) {
            self.clock_hand = (self.clock_hand + 1) % self.slab.len();
            let Ok(index) = u32::try_from(self.clock_hand) else { break };
            let Some(id) = self.id_at(index) else { continue };
            let Some(worth) = self.get(id).and_then(|flow| worth(&self.config, flow, now)) else {
                continue;
            };
            if cheapest.is_none_or(|(least, _)| worth < least) {
                cheapest = Some((worth, id));
            }
            if worth == 0 {
                break;
            }
        }
        let Some((worth, id)) = cheapest else { return false };
        if worth <= WORTH_UNESTABLISHED {
            self.counters.evicted_unestablished += 1;
        } else {
            self.counters.evicted_short += 1;
        }
        self.end(id, EndReason::Evicted);
        true
    }
}

const WORTH_UNESTABLISHED: u8 = 2;

/// What a flow is worth under memory pressure, least first; `None` for one under watch, which is
/// never evicted: else a cheap flood would erase exactly the evidence that matters.
fn worth<X>(config: &FlowConfig, flow: &Flow<X>, now: Timestamp) -> Option<u8> {
    let payload = flow.counters.forward.payload_bytes + flow.counters.reverse.payload_bytes;
    let both = flow.counters.forward.packets > 0 && flow.counters.reverse.packets > 0;
    let old = now.saturating_since(flow.first) >= config.watch_after;
    match flow.tcp_phase() {
        Some(TcpPhase::Opening) => Some(0),
        Some(TcpPhase::Closed | TcpPhase::Reset) => Some(1),
        None if !both => Some(2),
        Some(TcpPhase::Established | TcpPhase::Closing) if payload == 0 => Some(2),
        Some(TcpPhase::Established | TcpPhase::Closing) | None if !old => Some(3),
        Some(TcpPhase::Established | TcpPhase::Closing) | None => None,
    }
}

fn timeout<X>(config: &FlowConfig, flow: &Flow<X>) -> std::time::Duration {
    let timeouts = &config.timeouts;
    match flow.tcp_phase() {
        Some(TcpPhase::Opening) => timeouts.tcp_unestablished,
        Some(TcpPhase::Established | TcpPhase::Closing) => timeouts.tcp_established,
        Some(TcpPhase::Closed | TcpPhase::Reset) => timeouts.tcp_closed,
        None if flow.quic => timeouts.quic,
        None => timeouts.udp,
    }
}

/// When a flow's next update record is due.
fn next_update<X>(config: &FlowConfig, flow: &Flow<X>) -> Timestamp {
    let age = config.update_ages.get(flow.updates).copied().unwrap_or_else(|| {
        let last = config.update_ages.last().copied().unwrap_or_default();
        let more = flow.updates.saturating_sub(config.update_ages.len()).saturating_add(1);
        last + config.update_every * u32::try_from(more).unwrap_or(u32::MAX)
    });
    flow.first.saturating_add(age)
}

fn flow_at<X>(slab: &[Option<Flow<X>>], index: u32) -> Option<&Flow<X>> {
    slab.get(usize::try_from(index).ok()?)?.as_ref()
}

fn hash_with(hasher: &FixedState, key: &FlowKey) -> u64 {
    hasher.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use dwell_packet::{
        Encapsulation, Endpoint, FiveTuple, IpFacts, Processes, TcpFlags, TcpHeader, Transport,
        TransportHeader,
    };

    type Table = FlowTable<()>;

    struct Packet {
        second: f64,
        client_port: u16,
        from_client: bool,
        header: TransportHeader<'static>,
        len: u32,
    }

    fn tcp(flags: TcpFlags, seq: u32, ack: u32) -> TransportHeader<'static> {
        TransportHeader::Tcp(TcpHeader { seq, ack, flags, window: 1, checksum: 0, options: &[] })
    }

    fn feed(table: &mut Table, ordinal: u64, packet: &Packet) -> Option<Update> {
        let client = Endpoint { addr: [10, 0, 0, 1].into(), port: packet.client_port };
        let server = Endpoint { addr: [192, 0, 2, 1].into(), port: 443 };
        let transport = match packet.header {
            TransportHeader::Tcp(_) => Transport::Tcp,
            TransportHeader::Udp { .. } => Transport::Udp,
        };
        let tuple = FiveTuple { src: client, dst: server, transport };
        let pdu = Pdu {
            ts: at(packet.second),
            frame: ordinal,
            tuple: if packet.from_client { tuple } else { tuple.reversed() },
            header: packet.header,
            segment: &[],
            payload: &[],
            payload_len: packet.len,
            wire_len: packet.len + 54,
            ip: IpFacts::default(),
            link: None,
            encapsulation: Encapsulation::default(),
            processes: Processes::default(),
        };
        table.update(&pdu, Scope::default(), ordinal)
    }

    fn at(second: f64) -> Timestamp {
        Timestamp::ZERO.saturating_add(Duration::from_secs_f64(1_000_000.0 + second))
    }

    fn handshake(table: &mut Table, port: u16, second: f64) {
        let syn_ack = TcpFlags(0x12);
        for (from_client, header) in [
            (true, tcp(TcpFlags::SYN, 100, 0)),
            (false, tcp(syn_ack, 500, 101)),
            (true, tcp(TcpFlags::ACK, 101, 501)),
        ] {
            let packet = Packet { second, client_port: port, from_client, header, len: 0 };
            feed(table, u64::from(port), &packet);
        }
    }

    fn send(table: &mut Table, port: u16, second: f64, seq: u32, len: u32) -> Option<Update> {
        let header = tcp(TcpFlags::ACK, seq, 501);
        feed(table, 0, &Packet { second, client_port: port, from_client: true, header, len })
    }

    fn run(table: &mut Table, from: u32, to: u32) {
        (from..=to).for_each(|second| table.advance(at(f64::from(second))));
    }

    fn table(config: FlowConfig) -> Table {
        let mut table = FlowTable::new(config, 1);
        table.advance(at(0.0));
        table
    }

    #[test]
    fn an_established_connection_outlives_hours_of_silence() {
        let mut table = table(FlowConfig::default());
        handshake(&mut table, 4000, 0.0);
        send(&mut table, 4000, 1.0, 101, 10);
        run(&mut table, 1, 23 * 3600);
        assert_eq!(table.len(), 1);
        send(&mut table, 4000, 23.0 * 3600.0, 111, 10);
        assert!(table.take_ended().is_empty());
        run(&mut table, 23 * 3600, 48 * 3600);
        let ended = table.take_ended();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].reason, EndReason::Idle);
        assert_eq!(ended[0].flow.duration(), Duration::from_secs(23 * 3600));
    }

    #[test]
    fn an_unanswered_syn_is_gone_after_its_time_out() {
        let mut table = table(FlowConfig::default());
        let header = tcp(TcpFlags::SYN, 1, 0);
        let syn = Packet { second: 0.0, client_port: 1, from_client: true, header, len: 0 };
        feed(&mut table, 1, &syn);
        run(&mut table, 1, 30);
        assert_eq!(table.len(), 1);
        run(&mut table, 31, 33);
        assert!(table.is_empty());
    }

    #[test]
    fn updates_are_due_at_their_ages_even_in_silence() {
        let mut table = table(FlowConfig::default());
        handshake(&mut table, 4000, 0.0);
        let mut due = Vec::new();
        for second in 1..4 * 3600 {
            table.advance(at(f64::from(second)));
            due.extend(table.take_due().iter().map(|_| second));
        }
        assert_eq!(due, [300, 900, 3600, 7200, 10800]);
    }

    #[test]
    fn a_pause_of_a_second_ends_a_burst_and_less_does_not() {
        let mut table = table(FlowConfig::default());
        handshake(&mut table, 4000, 0.0);
        assert_eq!(send(&mut table, 4000, 1.0, 101, 10).unwrap().burst, None);
        assert_eq!(send(&mut table, 4000, 1.9, 111, 10).unwrap().burst, None);
        let burst = send(&mut table, 4000, 3.0, 121, 5).unwrap().burst.unwrap();
        assert_eq!((burst.start, burst.end), (at(1.0), at(1.9)));
        assert_eq!(burst.payload_bytes.forward + burst.payload_bytes.reverse, 20);
        run(&mut table, 3, 4);
        let bursts = table.take_bursts();
        assert_eq!(bursts.len(), 1);
        assert_eq!(bursts[0].1.start, at(3.0));
        run(&mut table, 5, 9);
        assert!(table.take_bursts().is_empty());
    }

    #[test]
    fn a_flood_of_syns_evicts_syns_and_never_a_watched_session() {
        let mut table = table(FlowConfig { max_flows: 50, ..FlowConfig::default() });
        handshake(&mut table, 1, 0.0);
        send(&mut table, 1, 1.0, 101, 10);
        for port in 2..2000u16 {
            let header = tcp(TcpFlags::SYN, 1, 0);
            let syn =
                Packet { second: 400.0, client_port: port, from_client: true, header, len: 0 };
            assert!(feed(&mut table, u64::from(port), &syn).is_some());
            assert!(table.len() <= 50);
        }
        let update = send(&mut table, 1, 401.0, 111, 10).unwrap();
        assert!(!update.opened);
        assert_eq!(table.counters().evicted_unestablished, 1949);
        assert_eq!(table.counters().evicted_short, 0);
    }

    #[test]
    fn when_every_flow_is_worth_more_the_new_one_is_refused_and_counted() {
        let mut table = table(FlowConfig { max_flows: 3, ..FlowConfig::default() });
        for port in 1..=3 {
            handshake(&mut table, port, 0.0);
            send(&mut table, port, 1.0, 101, 10);
        }
        assert!(send(&mut table, 9, 400.0, 1, 10).is_none());
        assert_eq!(table.counters().refused, 1);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn every_flow_ends_once_and_oldest_first() {
        let mut table = table(FlowConfig::default());
        for port in [7, 3, 5] {
            handshake(&mut table, port, 0.0);
        }
        table.finish(EndReason::EndOfCapture);
        let ordinals: Vec<u64> = table.take_ended().iter().map(|e| e.flow.ordinal).collect();
        assert_eq!(ordinals, [3, 5, 7]);
        assert_eq!(table.counters().opened, table.counters().ended);
    }

    #[test]
    fn a_metronome_with_retransmissions_and_keep_alives_stays_a_metronome() {
        let mut table = table(FlowConfig::default());
        handshake(&mut table, 4000, 0.0);
        for i in 0..100u32 {
            let second = f64::from(i) * 10.0;
            let seq = 101 + i * 10;
            send(&mut table, 4000, second, seq, 10);
            send(&mut table, 4000, second + 3.0, seq, 10);
            send(&mut table, 4000, second + 7.0, seq + 9, 1);
        }
        table.finish(EndReason::EndOfCapture);
        let ended = table.take_ended();
        let timing = ended[0].flow.timing.as_ref().unwrap();
        let gaps = timing.packets.of(ended[0].flow.originator);
        assert_eq!(gaps.count(), 99);
        assert!((gaps.mean_s().unwrap() - 10.0).abs() < 1e-6);
        assert!(gaps.variation().unwrap() < 1e-3);
        assert_eq!(ended[0].flow.sent().0.retransmitted_bytes, 1000);
    }
}
