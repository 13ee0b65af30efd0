//! One share of the flows: table, reassembly and inspection. Knows only its own flows; what needs
//! to see several of them is the analytics' business.

use std::sync::Arc;

use dwell_attribution::OsGuess;
use dwell_flow::{
    Arrival, EndReason, Ended, Flow, FlowConfig, FlowCounters, FlowHasher, FlowId, FlowTable,
    FlowView, Lookup, OverlapPolicy, ReassemblyCounters,
};
use dwell_packet::{Direction, FiveTuple, Pdu, TcpFlags, Timestamp, Transport, TransportHeader};
use dwell_proto::{Anomaly, Fact, Observed};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::batch::{Part, Shared};
use crate::event::{Event, EventKind, FlowSnapshot, NotedProcess};
use crate::inspection::Inspection;
use crate::trust::{self, Trust, tcp_of};

/// How many packets ahead the memory of a flow is asked for: its bucket, then the flow, then what
/// payload touches. Memory answers within a few packets' work.
const BUCKETS_AHEAD: usize = 24;
const FLOWS_AHEAD: usize = 16;
const PAYLOADS_AHEAD: usize = 8;

/// What the engine remembers of every flow beside its counters: three bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowContext {
    os: Option<OsGuess>,
    progress: Progress,
}

/// How far the engine got with a flow, one bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Progress(u8);

impl Progress {
    /// Inspection is over, or was never worth beginning.
    const DECIDED: u8 = 1;
    /// `Opened` was told.
    const ANNOUNCED: u8 = 2;
    /// There is a [`Watched`] entry.
    const WATCHED: u8 = 4;
    /// `Process` was told.
    const NAMED: u8 = 8;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// A flow under inspection.
#[derive(Debug)]
struct Watched {
    inspection: Inspection,
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
    watched: HashMap<FlowId, Watched, FixedState>,
    overlap: OverlapPolicy,
    max_held_bytes: usize,
    held_bytes: usize,
    events: Vec<Event>,
    facts: Vec<Observed>,
    counters: ShardCounters,
}

impl Shard {
    /// An empty shard, for lookups made by `hasher`.
    #[must_use]
    pub fn new(config: FlowConfig, hasher: FlowHasher) -> Self {
        let max_held_bytes = config.max_reassembly_bytes;
        Self {
            overlap: config.overlap,
            table: FlowTable::new(config, hasher),
            watched: HashMap::default(),
            max_held_bytes,
            held_bytes: 0,
            events: Vec::new(),
            facts: Vec::new(),
            counters: ShardCounters::default(),
        }
    }

    /// Takes its packets of a batch in, and moves packet time on at the end of each second; the
    /// events of seconds that are over are then in `part`.
    ///
    /// `chunk` is what the batch was filled from.
    pub fn run(&mut self, part: &mut Part, shared: &Shared, chunk: &[u8]) {
        for parcel in part.parcels.iter().take(BUCKETS_AHEAD) {
            self.table.prefetch(&parcel.lookup);
        }
        let mut next = 0;
        for (second, &cut) in shared.seconds.iter().zip(&part.cuts) {
            self.run_until(part, (next, cut), shared, chunk);
            self.advance(second.now, second.ordinal);
            part.events.push(self.take_events());
            next = cut;
        }
        self.run_until(part, (next, part.parcels.len()), shared, chunk);
    }

    fn run_until(
        &mut self,
        part: &Part,
        (from, to): (usize, usize),
        shared: &Shared,
        chunk: &[u8],
    ) {
        let parcels = &part.parcels;
        for place in from..to {
            if let Some(parcel) = parcels.get(place + BUCKETS_AHEAD) {
                self.table.prefetch(&parcel.lookup);
            }
            if let Some(parcel) = parcels.get(place + FLOWS_AHEAD) {
                self.table.prefetch_flow(&parcel.lookup);
            }
            if let Some(parcel) = parcels.get(place + PAYLOADS_AHEAD)
                && parcel.payload_len > 0
            {
                self.table.prefetch_payload(&parcel.lookup);
            }
            if let Some(parcel) = parcels.get(place) {
                if parcel.copy {
                    self.count_copy(&parcel.lookup);
                    continue;
                }
                let pdu = shared.pdu(parcel, chunk);
                self.handle(&pdu, &parcel.lookup, parcel.ordinal);
            }
        }
    }

    /// Takes one PDU in: flow table, then reassembly and inspection while somebody wants bytes.
    ///
    /// `ordinal` numbers the packets of the whole capture.
    #[inline]
    pub fn handle(&mut self, pdu: &Pdu<'_>, lookup: &Lookup, ordinal: u64) {
        self.counters.packets += 1;
        let update = self.table.update(pdu, lookup, ordinal);
        if self.table.has_ended() {
            self.collect_ended(pdu.ts, ordinal);
        }
        let Some(update) = update else { return };
        let Some(flow) = self.table.get_mut(update.id) else { return };
        let identity = flow.ordinal();
        if update.opened {
            flow.context.os = os_of_syn(pdu, flow, update.direction);
        }
        let progress = flow.context.progress;
        if let Some(burst) = update.burst {
            let kind = EventKind::Burst { burst, originator: flow.originator() };
            self.push(pdu.ts, ordinal, identity, kind);
        }
        if !pdu.processes.is_empty() && !progress.has(Progress::NAMED) {
            self.name(update.id, pdu, ordinal);
        }
        if update.arrival != Arrival::Nothing && !progress.has(Progress::ANNOUNCED) {
            self.announce(update.id, pdu, update.opened, ordinal);
        }
        if !progress.has(Progress::DECIDED) {
            self.inspect(update.id, update.direction, pdu, ordinal);
        }
    }

    /// Tells of the process that the capture names behind a flow.
    #[cold]
    fn name(&mut self, id: FlowId, pdu: &Pdu<'_>, ordinal: u64) {
        let (Some(process), Some(flow)) = (NotedProcess::of(pdu), self.table.get_mut(id)) else {
            return;
        };
        flow.context.progress.0 |= Progress::NAMED;
        let identity = flow.ordinal();
        self.push(pdu.ts, ordinal, identity, EventKind::Process(Arc::new(process)));
    }

    /// Counts a copy of a packet of its flow, and nothing else: its bytes were looked at.
    pub fn count_copy(&mut self, lookup: &Lookup) {
        self.table.count_copy(lookup);
    }

    /// Tells of a flow that has its first payload.
    fn announce(&mut self, id: FlowId, pdu: &Pdu<'_>, opened: bool, ordinal: u64) {
        let Some(flow) = self.table.get_mut(id) else { return };
        flow.context.progress.0 |= Progress::ANNOUNCED;
        let identity = flow.ordinal();
        let Some(view) = self.table.view(id) else { return };
        let mut snapshot = snapshot(&view);
        snapshot.quic_short = if opened { quic_short(pdu) } else { None };
        self.push(pdu.ts, ordinal, identity, EventKind::Opened(Box::new(snapshot)));
    }

    /// Moves packet time on. Call once a second of packet time; events follow from `take_events`.
    pub fn advance(&mut self, now: Timestamp, ordinal: u64) {
        self.table.advance(now);
        for (id, burst) in self.table.take_bursts() {
            let Some(flow) = self.table.get(id) else { continue };
            let kind = EventKind::Burst { burst, originator: flow.originator() };
            let identity = flow.ordinal();
            self.push(now, ordinal, identity, kind);
        }
        self.collect_ended(now, ordinal);
        for id in self.table.take_due() {
            let Some(view) = self.table.view(id) else { continue };
            let kind = EventKind::Updated(Box::new(snapshot(&view)));
            let identity = view.flow.ordinal();
            self.push(now, ordinal, identity, kind);
        }
    }

    /// Every open flow, with its ordinal, oldest first.
    #[must_use]
    pub fn open_flows(&self) -> Vec<(u64, FlowId)> {
        self.table.open_flows()
    }

    /// Ends one flow because the capture does.
    pub fn end(&mut self, id: FlowId, now: Timestamp, ordinal: u64) {
        self.table.end(id, EndReason::EndOfCapture);
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
    pub fn open_count(&self) -> usize {
        self.table.len()
    }

    fn inspect(&mut self, id: FlowId, direction: Direction, pdu: &Pdu<'_>, ordinal: u64) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let trust = match tcp_of(pdu) {
            Some(tcp) => trust::of_segment(flow, direction, pdu, &tcp),
            None => Trust::Sound,
        };
        self.counters.doubtful += u64::from(trust == Trust::Doubtful);
        let watched = flow.context.progress.has(Progress::WATCHED);
        if pdu.payload.is_empty() && !watched {
            return;
        }
        flow.context.progress.0 |= Progress::WATCHED;
        let overlap = self.overlap;
        let entry = self.watched.entry(id).or_insert_with(|| Watched {
            inspection: Inspection::new(pdu, overlap),
            frame: pdu.frame,
        });
        entry.frame = pdu.frame;
        let inspection = &mut entry.inspection;
        let before = if watched { inspection.held_bytes() } else { 0 };
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
        self.held_bytes = over;
        let of = (flow.ordinal(), flow.tuple(), pdu.frame);
        let mut found = None;
        if !inspection.wants_more() || abandoned {
            flow.context.progress.0 |= Progress::DECIDED;
            found = quic_ids;
            self.held_bytes = over.saturating_sub(held);
            add_reassembly(&mut self.counters.reassembly, inspection.reassembly());
            self.watched.remove(&id);
        }
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
            let Ended { flow, reason, burst, id, .. } = &ended;
            if flow.context.progress.has(Progress::WATCHED)
                && let Some(Watched { mut inspection, frame }) = self.watched.remove(id)
            {
                inspection.finish(flow, &mut self.facts);
                let of = (flow.ordinal(), flow.tuple(), frame);
                self.push_facts(now, ordinal, of);
                self.held_bytes = self.held_bytes.saturating_sub(inspection.held_bytes());
                add_reassembly(&mut self.counters.reassembly, inspection.reassembly());
            }
            if let Some(burst) = *burst {
                let kind = EventKind::Burst { burst, originator: flow.originator() };
                self.push(now, ordinal, flow.ordinal(), kind);
            }
            let snapshot = Box::new(snapshot(&ended.view()));
            let kind = EventKind::Ended { snapshot, reason: *reason };
            self.push(now, ordinal, flow.ordinal(), kind);
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

fn snapshot(view: &FlowView<'_, FlowContext>) -> FlowSnapshot {
    let mut snapshot = FlowSnapshot::of(view);
    snapshot.os = view.flow.context.os;
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
    if !opens || flow.originator() != direction {
        return None;
    }
    dwell_attribution::os::from_syn(tcp.flags, tcp.window, pdu.ip.ttl, tcp.options)
}

fn add_reassembly(sum: &mut ReassemblyCounters, more: ReassemblyCounters) {
    sum.refused_bytes = sum.refused_bytes.saturating_add(more.refused_bytes);
    sum.conflicting_bytes = sum.conflicting_bytes.saturating_add(more.conflicting_bytes);
    sum.gaps = sum.gaps.saturating_add(more.gaps);
}
