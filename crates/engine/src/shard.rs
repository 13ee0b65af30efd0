//! One share of the flows: table, reassembly and inspection. Knows only its own flows; what needs
//! to see several of them is the analytics' business.

use dwell_attribution::OsGuess;
use dwell_flow::{
    Arrival, EndReason, Ended, Flow, FlowConfig, FlowCounters, FlowId, FlowTable, OverlapPolicy,
    ReassemblyCounters,
};
use dwell_packet::{Direction, FiveTuple, Pdu, TcpFlags, Timestamp, Transport, TransportHeader};
use dwell_proto::{Anomaly, Fact, Observed};

use crate::event::{Event, EventKind, FlowSnapshot};
use crate::inspection::Inspection;
use crate::scopes::Scopes;
use crate::trust::{Credentials, Trust, tcp_of};

/// What the engine remembers of a flow beside its counters.
#[derive(Debug, Default)]
pub(crate) struct FlowContext {
    inspection: Option<Inspection>,
    /// Inspection is over, or was never worth beginning.
    decided: bool,
    /// `Opened` was told.
    announced: bool,
    os: Option<OsGuess>,
    quic_short: Option<[u8; 20]>,
    credentials: Credentials,
    /// The latest frame that was inspected.
    frame: u64,
}

/// What a shard counted beside its flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// PDUs taken in.
    pub packets: u64,
    /// ClientHellos over TCP, QUIC and DTLS.
    pub client_hellos: u64,
    /// HTTP requests.
    pub http_requests: u64,
    /// Oddities of all kinds.
    pub anomalies: u64,
    /// ClientHellos whose structure breaks.
    pub malformed_hellos: u64,
    /// Segments of inspected flows that a receiver may drop: wrong checksum, old timestamp,
    /// impossible acknowledgement.
    pub doubtful: u64,
    /// Inspections given up for want of memory.
    pub abandoned: u64,
    /// What reassembly noticed.
    pub reassembly: ReassemblyCounters,
}

impl ShardCounters {
    /// Adds another shard's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.client_hellos += other.client_hellos;
        self.http_requests += other.http_requests;
        self.anomalies += other.anomalies;
        self.malformed_hellos += other.malformed_hellos;
        self.doubtful += other.doubtful;
        self.abandoned += other.abandoned;
        add_reassembly(&mut self.reassembly, other.reassembly);
    }
}

/// One share of the flows.
#[derive(Debug)]
pub struct Shard {
    table: FlowTable<FlowContext>,
    scopes: Scopes,
    overlap: OverlapPolicy,
    max_held_bytes: usize,
    held_bytes: usize,
    events: Vec<Event>,
    facts: Vec<Observed>,
    counters: ShardCounters,
}

impl Shard {
    /// An empty shard. `seed` keys the flow table's hash.
    #[must_use]
    pub fn new(config: FlowConfig, seed: u64) -> Self {
        let max_held_bytes = config.max_reassembly_bytes;
        Self {
            scopes: Scopes::new(config.scope),
            overlap: config.overlap,
            table: FlowTable::new(config, seed),
            max_held_bytes,
            held_bytes: 0,
            events: Vec::new(),
            facts: Vec::new(),
            counters: ShardCounters::default(),
        }
    }

    /// Takes one PDU in: flow table, then reassembly and inspection while somebody wants bytes.
    ///
    /// `ordinal` numbers the packets of the whole capture.
    pub fn handle(&mut self, pdu: &Pdu<'_>, ordinal: u64) {
        self.counters.packets += 1;
        let scope = self.scopes.of(&pdu.encapsulation);
        let Some(update) = self.table.update(pdu, scope, ordinal) else { return };
        self.collect_ended(pdu.ts, ordinal);
        if let Some(burst) = update.burst
            && let Some(flow) = self.table.get(update.id)
        {
            let kind = EventKind::Burst { burst, originator: flow.originator };
            let identity = flow.ordinal;
            self.push(pdu.ts, ordinal, identity, kind);
        }
        let Some(flow) = self.table.get_mut(update.id) else { return };
        if update.opened {
            flow.context.os = os_of_syn(pdu, flow, update.direction);
            flow.context.quic_short = quic_short(pdu);
        }
        if update.arrival != Arrival::Nothing && !flow.context.announced {
            flow.context.announced = true;
            let snapshot = snapshot(flow);
            let identity = flow.ordinal;
            self.push(pdu.ts, ordinal, identity, EventKind::Opened(Box::new(snapshot)));
        }
        self.inspect(update.id, update.direction, pdu, ordinal);
    }

    /// Moves packet time on. Call once a second of packet time; events follow from `take_events`.
    pub fn advance(&mut self, now: Timestamp, ordinal: u64) {
        self.table.advance(now);
        for (id, burst) in self.table.take_bursts() {
            let Some(flow) = self.table.get(id) else { continue };
            let kind = EventKind::Burst { burst, originator: flow.originator };
            let identity = flow.ordinal;
            self.push(now, ordinal, identity, kind);
        }
        self.collect_ended(now, ordinal);
        for id in self.table.take_due() {
            let Some(flow) = self.table.get(id) else { continue };
            let kind = EventKind::Updated(Box::new(snapshot(flow)));
            let identity = flow.ordinal;
            self.push(now, ordinal, identity, kind);
        }
    }

    /// Ends every flow.
    pub fn finish(&mut self, now: Timestamp, ordinal: u64) {
        self.table.finish(EndReason::EndOfCapture);
        self.collect_ended(now, ordinal);
    }

    /// Takes the events since the last call, in the order in which they happened.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What the shard counted.
    #[must_use]
    pub const fn counters(&self) -> ShardCounters {
        self.counters
    }

    /// What its flow table counted.
    #[must_use]
    pub const fn flow_counters(&self) -> FlowCounters {
        self.table.counters()
    }

    /// How many flows are open.
    #[must_use]
    pub fn open_flows(&self) -> usize {
        self.table.len()
    }

    fn inspect(&mut self, id: FlowId, direction: Direction, pdu: &Pdu<'_>, ordinal: u64) {
        let Some(flow) = self.table.get_mut(id) else { return };
        if flow.context.decided {
            return;
        }
        let mut credentials = flow.context.credentials;
        let trust = match tcp_of(pdu) {
            Some(tcp) => credentials.segment(flow, direction, pdu, &tcp),
            None => Trust::Sound,
        };
        flow.context.credentials = credentials;
        flow.context.frame = pdu.frame;
        self.counters.doubtful += u64::from(trust == Trust::Doubtful);
        if pdu.payload.is_empty() && flow.context.inspection.is_none() {
            return;
        }
        let overlap = self.overlap;
        let fresh = || Inspection::new(pdu, overlap);
        let mut inspection = flow.context.inspection.take().unwrap_or_else(fresh);
        let before = inspection.held_bytes();
        inspection.inspect(flow, (direction, trust), pdu, &mut self.facts);
        let held = inspection.held_bytes();
        let quic_ids = inspection.quic_ids();
        if quic_ids.is_some() {
            flow.mark_quic();
        }
        let conflicts = inspection.take_conflicts();
        let over = (self.held_bytes - before.min(self.held_bytes)).saturating_add(held);
        let abandoned = over > self.max_held_bytes && held > 0;
        self.counters.abandoned += u64::from(abandoned);
        let mut found = None;
        if inspection.wants_more() && !abandoned {
            flow.context.inspection = Some(inspection);
            self.held_bytes = over;
        } else {
            flow.context.decided = true;
            found = quic_ids;
            self.held_bytes = over.saturating_sub(held);
            add_reassembly(&mut self.counters.reassembly, inspection.reassembly());
        }
        let of = (flow.ordinal, flow.tuple(), pdu.frame);
        let more = conflicts.into_iter().map(EventKind::Conflict);
        let more = more.chain(found.map(|ids| EventKind::QuicIds(Box::new(ids))));
        self.push_facts(pdu.ts, ordinal, of);
        for kind in more {
            self.push(pdu.ts, ordinal, of.0, kind);
        }
    }

    /// Hands out the facts that an inspection gave, for the flow, five-tuple and frame in `of`.
    fn push_facts(&mut self, ts: Timestamp, ordinal: u64, of: (u64, FiveTuple, u64)) {
        let (flow, tuple, frame) = of;
        for observed in std::mem::take(&mut self.facts) {
            self.count(&observed.fact);
            let kind = EventKind::Fact { tuple, frame, observed };
            self.push(ts, ordinal, flow, kind);
        }
    }

    fn count(&mut self, fact: &Fact) {
        let counters = &mut self.counters;
        match fact {
            Fact::ClientHello(_) => counters.client_hellos += 1,
            Fact::HttpRequest(_) => counters.http_requests += 1,
            Fact::Anomaly(anomaly) => {
                counters.anomalies += 1;
                counters.malformed_hellos += u64::from(*anomaly == Anomaly::MalformedClientHello);
            }
            _ => {}
        }
    }

    fn collect_ended(&mut self, now: Timestamp, ordinal: u64) {
        for ended in self.table.take_ended() {
            let Ended { mut flow, reason, burst } = ended;
            if let Some(mut inspection) = flow.context.inspection.take() {
                inspection.finish(&flow, &mut self.facts);
                let of = (flow.ordinal, flow.tuple(), flow.context.frame);
                self.push_facts(now, ordinal, of);
                self.held_bytes = self.held_bytes.saturating_sub(inspection.held_bytes());
                add_reassembly(&mut self.counters.reassembly, inspection.reassembly());
            }
            if let Some(burst) = burst {
                let kind = EventKind::Burst { burst, originator: flow.originator };
                self.push(now, ordinal, flow.ordinal, kind);
            }
            let snapshot = Box::new(snapshot(&flow));
            self.push(now, ordinal, flow.ordinal, EventKind::Ended { snapshot, reason });
        }
    }

    fn push(&mut self, ts: Timestamp, ordinal: u64, flow: u64, kind: EventKind) {
        let sequence = match self.events.last() {
            Some(last) if last.ordinal == ordinal => last.sequence.saturating_add(1),
            Some(_) | None => 0,
        };
        self.events.push(Event { ts, ordinal, sequence, flow, kind });
    }
}

fn snapshot(flow: &Flow<FlowContext>) -> FlowSnapshot {
    let mut snapshot = FlowSnapshot::of(flow);
    snapshot.os = flow.context.os;
    snapshot.quic_short = flow.context.quic_short;
    snapshot
}

/// What follows the first byte of a QUIC short header (RFC 9000, section 17.3.1), if `pdu` looks
/// like one.
fn quic_short(pdu: &Pdu<'_>) -> Option<[u8; 20]> {
    let [first, rest @ ..] = pdu.payload else { return None };
    let short = pdu.tuple.transport == Transport::Udp && first & 0xc0 == 0x40;
    if short { rest.first_chunk().copied() } else { None }
}

/// The originator's operating system, if this packet is its SYN.
fn os_of_syn<X>(pdu: &Pdu<'_>, flow: &Flow<X>, direction: Direction) -> Option<OsGuess> {
    let TransportHeader::Tcp(tcp) = pdu.header else { return None };
    let opens = tcp.flags.contains(TcpFlags::SYN) && !tcp.flags.contains(TcpFlags::ACK);
    if !opens || flow.originator != direction {
        return None;
    }
    dwell_attribution::os::from_syn(tcp.window, pdu.ip.ttl, tcp.options)
}

fn add_reassembly(sum: &mut ReassemblyCounters, more: ReassemblyCounters) {
    sum.refused_bytes = sum.refused_bytes.saturating_add(more.refused_bytes);
    sum.conflicting_bytes = sum.conflicting_bytes.saturating_add(more.conflicting_bytes);
    sum.gaps = sum.gaps.saturating_add(more.gaps);
}
