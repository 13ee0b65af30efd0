//! Finds, opens, expires and evicts flows. Knows what a flow holds, not what its owner does
//! with it.

use std::sync::Arc;

use dwell_packet::{Direction, Pdu, Timestamp};

use crate::burst::Burst;
use crate::config::FlowConfig;
use crate::index::Index;
use crate::lookup::{FlowHasher, Lookup};
use crate::path::{Path, Paths};
use crate::payload::Payload;
use crate::record::{EndReason, Flow, FlowView, NO_PAYLOAD};
use crate::slab::Slab;
use crate::tcp::{Arrival, TcpPhase, Verdict};
use crate::wheel::TimerWheel;

/// How many flows an eviction looks at before it gives up: bounded work under a flood.
const EVICTION_SCAN: u32 = 64;

/// A flow's place in its table; stale once the flow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    index: u32,
    /// The low half of the flow's ordinal.
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
    /// What payload brought, if there was any.
    pub payload: Option<Payload>,
    /// Why it ended.
    pub reason: EndReason,
    /// Its last burst, if it had not been handed out.
    pub burst: Option<Burst>,
    /// Its place while it was open.
    pub id: FlowId,
    path: Option<Arc<Path>>,
}

impl<X> Ended<X> {
    /// The flow with all that was kept of it.
    #[must_use]
    pub fn view(&self) -> FlowView<'_, X> {
        FlowView { flow: &self.flow, payload: self.payload.as_ref(), path: self.path.as_ref() }
    }
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
    /// Flows without MAC addresses, VLANs and tunnel, because too many of those were kept.
    pub paths_refused: u64,
}

/// Every open flow of one share.
#[derive(Debug)]
pub struct FlowTable<X> {
    config: FlowConfig,
    hasher: FlowHasher,
    index: Index,
    flows: Slab<Flow<X>>,
    payloads: Slab<Payload>,
    paths: Paths,
    wheel: TimerWheel<FlowId>,
    /// Flows with an open burst, each once.
    bursting: Vec<FlowId>,
    clock_hand: u32,
    ended: Vec<Ended<X>>,
    bursts: Vec<(FlowId, Burst)>,
    due: Vec<FlowId>,
    counters: FlowCounters,
}

impl<X: Default + Copy> FlowTable<X> {
    /// An empty table, for lookups made by `hasher`.
    #[must_use]
    pub fn new(config: FlowConfig, hasher: FlowHasher) -> Self {
        Self {
            config,
            hasher,
            index: Index::new(),
            flows: Slab::new(),
            payloads: Slab::new(),
            paths: Paths::new(),
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
    /// `ordinal` numbers the packets of the whole capture, from 1. `None` when the table is full of
    /// flows that are worth more than a new one. Flows that this ended are in
    /// [`FlowTable::take_ended`]. Never allocates for a flow that has as much payload as it had.
    #[inline]
    pub fn update(&mut self, pdu: &Pdu<'_>, lookup: &Lookup, ordinal: u64) -> Option<Update> {
        let direction = lookup.direction;
        if let Some(index) = self.find(lookup) {
            let flow = self.flows.get(index)?;
            let id = FlowId::of(index, flow);
            if pdu.ts.saturating_since(flow.last) > timeout(&self.config, flow) {
                self.end(id, EndReason::Idle);
            } else {
                match self.observe(index, pdu, direction)? {
                    Verdict::Ours(arrival) => {
                        return self.counted(id, pdu, (direction, arrival), false);
                    }
                    Verdict::Replaced => self.end(id, EndReason::Replaced),
                }
            }
        }
        let id = self.open(pdu, lookup, ordinal)?;
        match self.observe(id.index, pdu, direction)? {
            Verdict::Ours(arrival) => self.counted(id, pdu, (direction, arrival), true),
            Verdict::Replaced => None,
        }
    }

    /// Counts a copy of a packet, made by a mirror port, for its flow's quality.
    pub fn count_copy(&mut self, lookup: &Lookup) {
        let Some(flow) = self.find(lookup).and_then(|place| self.flows.get_mut(place)) else {
            return;
        };
        if flow.payload == NO_PAYLOAD {
            flow.payload = self.payloads.insert(Payload::default()).unwrap_or(NO_PAYLOAD);
        }
        if let Some(payload) = self.payloads.get_mut(flow.payload) {
            payload.trouble.get_or_insert_default().count_copy();
            flow.mark_troubled();
        }
    }

    /// Asks for the memory that a packet's flow will need, some packets ahead of
    /// [`FlowTable::update`]: at a million flows nearly every one is a cache miss.
    #[inline]
    pub fn prefetch(&self, lookup: &Lookup) {
        self.index.prefetch(lookup.hash);
    }

    /// As [`FlowTable::prefetch`], once what that asked for has come.
    #[inline]
    pub fn prefetch_flow(&self, lookup: &Lookup) {
        // The first flow with this hash is nearly always the one.
        if let Some(index) = self.index.find(lookup.hash, |_| true) {
            self.flows.prefetch(index);
        }
    }

    /// As [`FlowTable::prefetch_flow`], once what that asked for has come: for packets with
    /// payload.
    #[inline]
    pub fn prefetch_payload(&self, lookup: &Lookup) {
        if let Some(index) = self.index.find(lookup.hash, |_| true)
            && let Some(flow) = self.flows.get(index)
            && flow.payload != NO_PAYLOAD
        {
            self.payloads.prefetch(flow.payload);
        }
    }

    /// The flow of `id`, if it is still open.
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&Flow<X>> {
        self.flows.get(id.index).filter(|flow| id == FlowId::of(id.index, flow) && flow.is_open())
    }

    /// The flow of `id`, to change, if it is still open.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow<X>> {
        let flow = self.flows.get_mut(id.index)?;
        (id == FlowId::of(id.index, flow) && flow.is_open()).then_some(flow)
    }

    /// The flow of `id` with all that is kept of it, if it is still open.
    #[must_use]
    pub fn view(&self, id: FlowId) -> Option<FlowView<'_, X>> {
        let flow = self.get(id)?;
        let payload = self.payloads.get(flow.payload).filter(|_| flow.payload != NO_PAYLOAD);
        Some(FlowView { flow, payload, path: self.paths.get(flow.path) })
    }

    /// Moves packet time on: expires flows, closes bursts, finds updates that are due.
    ///
    /// Call once a second of packet time. The results are then in the `take_` methods.
    pub fn advance(&mut self, now: Timestamp) {
        self.flush_bursts(now);
        for id in self.wheel.advance(now) {
            let Some(flow) = self.get(id) else { continue };
            if now.saturating_since(flow.last) > timeout(&self.config, flow) {
                let reason = natural_end(flow);
                self.end(id, reason);
                continue;
            }
            if now >= next_update(&self.config, flow) {
                self.due.push(id);
                if let Some(flow) = self.get_mut(id) {
                    flow.updates = flow.updates.saturating_add(1);
                }
            }
            self.arm(id);
        }
    }

    /// Every open flow, with its ordinal, oldest first.
    #[must_use]
    pub fn open_flows(&self) -> Vec<(u64, FlowId)> {
        let mut open: Vec<(u64, FlowId)> = (0..self.flows.places())
            .filter_map(|index| Some((index, self.flows.get(index)?)))
            .filter(|(_, flow)| flow.is_open())
            .map(|(index, flow)| (flow.ordinal, FlowId::of(index, flow)))
            .collect();
        open.sort_unstable();
        open
    }

    /// Ends the flow of `id` for `reason`, if it is still open.
    pub fn end(&mut self, id: FlowId, reason: EndReason) {
        let Some(flow) = self.get(id) else { return };
        let phase = flow.tcp_phase();
        self.index.remove(self.hasher.hash(&flow.key), id.index);
        let Some(flow) = self.flows.remove(id.index) else { return };
        self.counters.ended += 1;
        let reason = match (reason, phase) {
            (EndReason::Replaced | EndReason::EndOfCapture, Some(TcpPhase::Closed)) => {
                EndReason::Fin
            }
            (EndReason::Replaced | EndReason::EndOfCapture, Some(TcpPhase::Reset)) => {
                EndReason::Rst
            }
            (reason, _) => reason,
        };
        let path = self.paths.get(flow.path).cloned();
        self.paths.release(flow.path);
        let mut payload = match flow.payload {
            NO_PAYLOAD => None,
            number => self.payloads.remove(number),
        };
        let burst = payload.as_mut().and_then(|payload| payload.burst.take());
        self.ended.push(Ended { flow, payload, reason, burst, id, path });
    }

    /// Whether flows ended since they were last taken.
    #[must_use]
    #[inline]
    pub const fn has_ended(&self) -> bool {
        !self.ended.is_empty()
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
        self.index.len() == 0
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> FlowCounters {
        FlowCounters { paths_refused: self.paths.refused, ..self.counters }
    }

    #[inline]
    fn find(&self, lookup: &Lookup) -> Option<u32> {
        let same = |place: u32| self.flows.get(place).is_some_and(|flow| flow.key == lookup.key);
        self.index.find(lookup.hash, same)
    }

    /// Takes a packet into the flow at `index`, with a place for its payload if it needs one.
    #[inline]
    fn observe(&mut self, index: u32, pdu: &Pdu<'_>, direction: Direction) -> Option<Verdict> {
        let flow = self.flows.get_mut(index)?;
        let mut payload = None;
        if flow.needs_payload(pdu, direction) {
            if flow.payload == NO_PAYLOAD {
                flow.payload = self.payloads.insert(Payload::default()).unwrap_or(NO_PAYLOAD);
            }
            payload = self.payloads.get_mut(flow.payload);
        }
        let verdict = flow.observe(pdu, direction, payload.as_deref_mut());
        if let (Verdict::Ours(arrival), Some(payload)) = (verdict, payload)
            && arrival != Arrival::Nothing
        {
            payload.count(flow.first, pdu.ts, direction, arrival);
        }
        Some(verdict)
    }

    fn open(&mut self, pdu: &Pdu<'_>, lookup: &Lookup, ordinal: u64) -> Option<FlowId> {
        if self.index.len() >= self.config.max_flows && !self.evict(pdu.ts) {
            self.counters.refused += 1;
            return None;
        }
        let path = self.paths.take(pdu);
        let flow = Flow::open(pdu, (lookup.key, lookup.direction), path, ordinal);
        let Some(index) = self.flows.insert(flow) else {
            self.paths.release(path);
            self.counters.refused += 1;
            return None;
        };
        self.index.insert(lookup.hash, index);
        self.counters.opened += 1;
        let id = FlowId::of(index, &flow);
        self.arm(id);
        Some(id)
    }

    /// Feeds the burst and reports what the packet did.
    #[inline]
    fn counted(
        &mut self,
        id: FlowId,
        pdu: &Pdu<'_>,
        (direction, arrival): (Direction, Arrival),
        opened: bool,
    ) -> Option<Update> {
        let bytes = u64::from(arrival.new_bytes());
        let mut burst = None;
        if bytes > 0
            && let Some(payload) = self.payload_mut(id)
        {
            let (ended, begun) = payload.extend_burst(pdu.ts, direction, bytes);
            burst = ended;
            if begun {
                self.bursting.push(id);
            }
        }
        Some(Update { id, direction, opened, arrival, burst })
    }

    fn payload_mut(&mut self, id: FlowId) -> Option<&mut Payload> {
        match self.get(id)?.payload {
            NO_PAYLOAD => None,
            number => self.payloads.get_mut(number),
        }
    }

    fn flush_bursts(&mut self, now: Timestamp) {
        let mut bursting = std::mem::take(&mut self.bursting);
        bursting.retain(|&id| {
            let Some(payload) = self.payload_mut(id) else { return false };
            match payload.burst {
                Some(burst) if burst.due(now) => {
                    payload.burst = None;
                    self.bursts.push((id, burst));
                    false
                }
                Some(_) => true,
                None => false,
            }
        });
        self.bursting = bursting;
    }

    fn arm(&mut self, id: FlowId) {
        let Some(flow) = self.get(id) else { return };
        let idle = flow.last.saturating_add(timeout(&self.config, flow));
        let deadline = idle.min(next_update(&self.config, flow));
        self.wheel.arm(id, deadline);
    }

    /// Makes room by ending the cheapest of the next flows under the clock hand; false when all
    /// of them are worth more than a new flow.
    fn evict(&mut self, now: Timestamp) -> bool {
        let mut cheapest: Option<(u8, FlowId)> = None;
        for _ in 0..EVICTION_SCAN.min(self.flows.places()) {
            self.clock_hand = (self.clock_hand + 1) % self.flows.places();
            let Some(flow) = self.flows.get(self.clock_hand).filter(|flow| flow.is_open()) else {
                continue;
            };
            let id = FlowId::of(self.clock_hand, flow);
            let Some(worth) = self.view(id).and_then(|flow| worth(&self.config, &flow, now)) else {
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

impl FlowId {
    fn of<X>(index: u32, flow: &Flow<X>) -> Self {
        let [.., a, b, c, d] = flow.ordinal.to_be_bytes();
        Self { index, generation: u32::from_be_bytes([a, b, c, d]) }
    }

    /// The place, for tables beside this one; given out again once the flow has ended.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }
}

/// Why a flow that has been silent ends: its TCP phase says.
fn natural_end<X>(flow: &Flow<X>) -> EndReason {
    match flow.tcp_phase() {
        Some(TcpPhase::Closed | TcpPhase::Closing) => EndReason::Fin,
        Some(TcpPhase::Reset) => EndReason::Rst,
        Some(TcpPhase::Opening | TcpPhase::Established) | None => EndReason::Idle,
    }
}

const WORTH_UNESTABLISHED: u8 = 2;

/// What a flow is worth under memory pressure, least first; `None` for one under watch, which is
/// never evicted: else a cheap flood would erase exactly the evidence that matters.
fn worth<X>(config: &FlowConfig, view: &FlowView<'_, X>, now: Timestamp) -> Option<u8> {
    let flow = view.flow;
    let (sent, received) = view.sent();
    let silent = sent.payload_bytes + received.payload_bytes == 0;
    let old = now.saturating_since(flow.first) >= config.watch_after;
    match flow.tcp_phase() {
        Some(TcpPhase::Opening) => Some(0),
        Some(TcpPhase::Closed | TcpPhase::Reset) => Some(1),
        None if !flow.is_two_sided() => Some(2),
        Some(TcpPhase::Established | TcpPhase::Closing) if silent => Some(2),
        Some(TcpPhase::Established | TcpPhase::Closing) | None if !old => Some(3),
        Some(TcpPhase::Established | TcpPhase::Closing) | None => None,
    }
}

#[inline]
fn timeout<X>(config: &FlowConfig, flow: &Flow<X>) -> std::time::Duration {
    let timeouts = &config.timeouts;
    match flow.tcp_phase() {
        Some(TcpPhase::Opening) => timeouts.tcp_unestablished,
        Some(TcpPhase::Established | TcpPhase::Closing) => timeouts.tcp_established,
        Some(TcpPhase::Closed | TcpPhase::Reset) => timeouts.tcp_closed,
        None if flow.is_quic() => timeouts.quic,
        None => timeouts.udp,
    }
}

/// When a flow's next update record is due.
fn next_update<X>(config: &FlowConfig, flow: &Flow<X>) -> Timestamp {
    let updates = usize::from(flow.updates);
    let age = config.update_ages.get(updates).copied().unwrap_or_else(|| {
        let last = config.update_ages.last().copied().unwrap_or_default();
        let more = updates.saturating_sub(config.update_ages.len()).saturating_add(1);
        last + config.update_every * u32::try_from(more).unwrap_or(u32::MAX)
    });
    flow.first.saturating_add(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use dwell_packet::{
        Encapsulation, Endpoint, FiveTuple, IpFacts, Processes, Scope, TcpFlags, TcpHeader,
        Transport, TransportHeader,
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
        let lookup = FlowHasher::new(1).lookup(&pdu.tuple, Scope::default());
        table.update(&pdu, &lookup, ordinal)
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
        feed(
            table,
            u64::from(port),
            &Packet { second, client_port: port, from_client: true, header, len },
        )
    }

    fn run(table: &mut Table, from: u32, to: u32) {
        (from..=to).for_each(|second| table.advance(at(f64::from(second))));
    }

    fn finish(table: &mut Table) {
        for (_, id) in table.open_flows() {
            table.end(id, EndReason::EndOfCapture);
        }
    }

    fn table(config: FlowConfig) -> Table {
        let mut table = FlowTable::new(config, FlowHasher::new(1));
        table.advance(at(0.0));
        table
    }

    #[test]
    fn a_flow_without_payload_takes_two_cache_lines() {
        assert_eq!(size_of::<Flow<[u8; 3]>>(), 128);
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
        finish(&mut table);
        let ordinals: Vec<u64> = table.take_ended().iter().map(|e| e.flow.ordinal()).collect();
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
        finish(&mut table);
        let ended = table.take_ended();
        let view = ended[0].view();
        let timing = view.timing().unwrap();
        let gaps = timing.packets.of(view.flow.originator());
        assert_eq!(gaps.count(), 99);
        assert!((gaps.mean_s().unwrap() - 10.0).abs() < 1e-6);
        assert!(gaps.variation().unwrap() < 1e-3);
        assert_eq!(view.sent().0.retransmitted_bytes, 1000);
    }
}
