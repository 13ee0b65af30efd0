//! What needs to see several flows: hosts, names, applications, sessions, findings. One instance,
//! fed with the events of all shards in one order, so that results do not depend on workers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::telemetry::{
    FeedCounters, Observation, Telemetry, TelemetryConfig, TelemetryCounters, TelemetryInput,
};
use dwell_attribution::{
    AppRules, Attribution, Hosts, HostsConfig, MAX_NAME_BYTES, NameSource, OsSource, Outcome,
    Policy, Recall, SharedHosts, Subject, claimed_system, printable,
};
use dwell_detect::{
    Burst as SessionBurst, DetectConfig, DetectEvent, Detector, FlowFacts, NameLookup, Saved,
    SessionSummary, Side,
};
use dwell_flow::{Burst, CommunityId, EndReason};
use dwell_packet::{Direction, FiveTuple, MacAddress, Neighbour, Timestamp, Transport};
use dwell_proto::{Fact, Observed, Sender, dhcp};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::batch::Batch;
use crate::event::{Event, EventKind, FlowSnapshot, NotedProcess};
use crate::flow_state::{self, FlowState, Keeping, Recorded};
use crate::intake::Second;
use crate::keep::{Changes, Keeper};
use crate::losses::LossLog;
use crate::migration::Connections;
use crate::names::Names;
use crate::processes;
use crate::record::{FlowIdentity, FlowRecord, Moment, Record};
use crate::sessions::Sessions;
use crate::waiting::LastChance;

/// Everything that is known across flows: events of flows in, records out.
#[derive(Debug)]
pub struct Analytics {
    rules: AppRules,
    recall: Recall,
    /// The answer for a flow of which nothing was seen.
    unattributed: Arc<Attribution>,
    hosts: Hosts,
    telemetry: Telemetry,
    /// Whom to ask for telemetry, if anybody.
    input: Option<Box<dyn TelemetryInput>>,
    /// Processes of flows that had no payload yet: not more than there are open flows.
    named: HashMap<u64, Arc<NotedProcess>, FixedState>,
    /// Packet time.
    now: Timestamp,
    names: Names,
    connections: Connections,
    flows: HashMap<u64, Box<FlowState>, FixedState>,
    detector: Detector,
    losses: LossLog,
    sessions: Sessions,
    /// What a restart must know, where somebody stores it.
    keeper: Option<Keeper>,
    verdicts: Vec<DetectEvent>,
    records: Vec<Record>,
}

impl Analytics {
    pub(crate) fn new(
        (rules, policy): (AppRules, Arc<Policy>),
        config: DetectConfig,
        hosts: HostsConfig,
        telemetry: TelemetryConfig,
    ) -> Self {
        Self {
            rules,
            recall: Recall::default(),
            unattributed: Arc::new(Attribution::unattributed()),
            hosts: Hosts::new(hosts),
            telemetry: Telemetry::new(telemetry),
            input: None,
            named: HashMap::default(),
            now: Timestamp::ZERO,
            names: Names::default(),
            connections: Connections::default(),
            flows: HashMap::default(),
            detector: Detector::new(config, policy),
            losses: LossLog::default(),
            sessions: Sessions::default(),
            keeper: None,
            verdicts: Vec::new(),
            records: Vec::new(),
        }
    }

    pub(crate) fn reconfigure(
        &mut self,
        rules: AppRules,
        policy: Arc<Policy>,
        config: DetectConfig,
    ) {
        self.rules = rules;
        self.recall = Recall::default();
        self.detector.reconfigure(config, policy);
    }

    /// Applies what came of a batch: the events of each second that ended in it, then the second.
    pub fn run(&mut self, batch: &mut Batch) {
        for (place, second) in batch.shared.seconds.iter().enumerate() {
            let events = batch.parts.iter_mut().filter_map(|part| part.events.get_mut(place));
            self.end_second(second, events.map(std::mem::take));
        }
    }

    /// Ends a second of packet time with the events that each shard had in it.
    pub(crate) fn end_second(&mut self, second: &Second, shards: impl Iterator<Item = Vec<Event>>) {
        self.hear(second.now);
        self.claims(&second.neighbours);
        self.apply_all(shards);
        self.advance(second);
    }

    /// Takes the events of all shards in, up to some moment.
    pub(crate) fn apply_all(&mut self, shards: impl Iterator<Item = Vec<Event>>) {
        let mut events: Vec<Event> = shards.flatten().collect();
        // Packets have one place in the capture; what timers bring up at one moment is ordered by
        // flow, and the events of one packet by their own numbers.
        events.sort_unstable_by_key(|event| (event.ordinal, event.flow, event.sequence));
        for event in events {
            self.apply(event);
        }
    }

    pub(crate) fn note_drops(&mut self, now: Timestamp, packets: u64) {
        self.losses.note_drops(now, packets);
    }

    /// Takes one event in.
    fn apply(&mut self, event: Event) {
        let Event { ts, flow, kind, .. } = event;
        match kind {
            EventKind::Opened(snapshot) => self.opened(flow, snapshot),
            EventKind::Process(process) => self.name(ts, flow, process),
            EventKind::Fact { tuple, frame, observed } => {
                self.fact(ts, flow, (tuple, frame), observed);
            }
            EventKind::QuicIds(ids) => {
                if let (Some(state), Some(id)) = (self.flows.get(&flow), ids.server) {
                    self.connections.learn(state.tuple().dst, id.as_bytes(), flow);
                }
            }
            EventKind::Conflict(conflict) => {
                if let Some(state) = self.flows.get_mut(&flow) {
                    state.note_conflict(conflict);
                }
            }
            EventKind::Burst { burst, originator } => self.burst(flow, &burst, originator),
            EventKind::Updated(snapshot) => self.record(ts, flow, Moment::Update, snapshot),
            EventKind::Ended { snapshot, reason } => self.ended(ts, flow, snapshot, reason),
        }
    }

    /// Takes in what a host told of its processes, and looks again at the open flows that this may
    /// name.
    pub fn observe(&mut self, observation: Observation, hosts: Option<&Arc<[IpAddr]>>) {
        for flow in self.telemetry.observe(self.now, observation, hosts) {
            self.attribute_again(self.now, flow);
        }
    }

    pub(crate) fn listen_to(&mut self, input: Box<dyn TelemetryInput>) {
        self.input = Some(input);
    }

    /// Takes in the telemetry that is due at `now`: before the events up to then.
    pub(crate) fn hear(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let Some(mut input) = self.input.take() else { return };
        let until = now.saturating_add(self.telemetry.lead());
        input.take_due(now, until, &mut |observation, hosts| self.observe(observation, hosts));
        self.input = Some(input);
    }

    /// Takes in which machines said where they are.
    pub(crate) fn claims(&mut self, neighbours: &[Neighbour]) {
        for neighbour in neighbours {
            self.hosts.claim(neighbour.ts, neighbour.addr, neighbour.mac);
        }
    }

    pub(crate) fn hosts(&self) -> Arc<SharedHosts> {
        self.hosts.shared()
    }

    pub(crate) const fn telemetry_counters(&self) -> TelemetryCounters {
        self.telemetry.counters()
    }

    pub(crate) fn feed_counters(&self) -> FeedCounters {
        self.input.as_ref().map(|input| input.counters()).unwrap_or_default()
    }

    /// Keeps the process that the capture names: for the flow, or until it has payload.
    fn name(&mut self, ts: Timestamp, flow: u64, process: Arc<NotedProcess>) {
        match self.flows.get_mut(&flow) {
            Some(state) => {
                state.set_noted_process(process);
                self.attribute_again(ts, flow);
            }
            None => {
                self.named.insert(flow, process);
            }
        }
    }

    /// Moves packet time on: sessions are judged.
    pub(crate) fn advance(&mut self, second: &Second) {
        let now = second.now;
        self.losses.note_clock(now, second.clock_steps);
        self.hosts.age(now);
        self.detector.advance(now, &mut self.verdicts);
        self.collect_verdicts(now);
    }

    /// Judges what is left. Where state is kept, sessions and findings stay open: the next start
    /// goes on with them.
    pub fn finish(&mut self, now: Timestamp) {
        match self.keeper {
            None => self.detector.finish(now, &mut self.verdicts),
            Some(_) => self.detector.suspend(now, &mut self.verdicts),
        }
        self.collect_verdicts(now);
    }

    /// Goes on from what was stored, and keeps from here on what is to be stored.
    pub(crate) fn restore(&mut self, rows: &Saved) {
        self.detector.restore(rows);
        self.keeper = Some(Keeper::new(&rows.flows));
    }

    /// What is to be stored since the last call; nothing unless [`Analytics::restore`] was called.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let Some(keeper) = &mut self.keeper else { return Changes::default() };
        let flows = &mut self.flows;
        let row = |flow| {
            let state = flows.get_mut(&flow)?;
            let row = state.row()?;
            state.keeping = Keeping::Stored;
            Some(row)
        };
        let mut changes = keeper.take((self.now, self.detector.take_ended()), row);
        let flows = std::mem::take(&mut changes.rows.flows);
        changes.rows = self.detector.take_changes();
        changes.rows.flows = flows;
        changes
    }

    /// Takes the records made since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Sessions and findings.
    #[must_use]
    pub const fn detector(&self) -> &Detector {
        &self.detector
    }

    pub(crate) fn detector_mut(&mut self) -> &mut Detector {
        &mut self.detector
    }

    fn opened(&mut self, flow: u64, snapshot: Box<FlowSnapshot>) {
        let (tuple, link, first) = (snapshot.tuple, snapshot.link, snapshot.first);
        self.hosts.note(first, tuple.src.addr, link.map(|link| link.src));
        self.hosts.note(first, tuple.dst.addr, link.map(|link| link.dst));
        if let Some(os) = snapshot.os {
            self.hosts.note_os(tuple.src.addr, os);
        }
        let midstream = snapshot.quality.midstream;
        let moved = snapshot.quic_short.and_then(|id| self.connections.lookup(tuple.dst, &id));
        let mut state = Box::new(FlowState::new(flow, snapshot));
        if let Some(process) = self.named.remove(&flow) {
            state.set_noted_process(process);
        }
        if let Some(earlier) = moved.and_then(|moved| self.flows.get(&moved)) {
            state.continue_from(earlier);
        }
        let before = tuple.transport == Transport::Udp || midstream;
        if let Some(keeper) = self.keeper.as_mut().filter(|_| before)
            && let Some(known) = keeper.recognise(&tuple)
        {
            state.resume(known);
        }
        self.flows.insert(flow, state);
    }

    fn fact(&mut self, ts: Timestamp, flow: u64, at: (FiveTuple, u64), observed: Observed) {
        if let Fact::Dns(message) = &observed.fact {
            self.learn_names(ts, &at.0, observed.from, message);
            return;
        }
        if let Fact::Dhcp(message) = &observed.fact {
            self.learn_lease(ts, message);
            return;
        }
        let Some(state) = self.flows.get_mut(&flow) else { return };
        if let Fact::HttpRequest(request) = &observed.fact
            && let Some(os) = request.user_agent.as_deref().and_then(claimed_system)
        {
            let sender = match observed.from {
                Sender::Originator => at.0.src.addr,
                Sender::Responder => at.0.dst.addr,
            };
            self.hosts.note_claimed_os(sender, os);
        }
        state.take(ts, at.1, observed);
        if state.is_settled() {
            self.attribute(ts, flow);
        }
    }

    /// Takes in what DHCP says: how a machine calls itself, and which address it gets.
    fn learn_lease(&mut self, now: Timestamp, message: &dhcp::Message) {
        let mac = MacAddress(message.client);
        match message.kind {
            dhcp::Kind::Discover | dhcp::Kind::Request | dhcp::Kind::Inform => {
                let name = message.host_name.as_deref();
                let name = name.map(|name| printable(name, MAX_NAME_BYTES).into());
                let class = message.vendor_class.as_deref();
                let os = dwell_attribution::os::from_dhcp(&message.parameters, class);
                self.hosts.note_dhcp(now, mac, name, os);
            }
            dhcp::Kind::Acknowledgement => {
                let given = [message.your_addr, message.client_addr];
                if let Some(addr) = given.into_iter().find(|addr| !addr.is_unspecified()) {
                    self.hosts.lease(now, addr.into(), mac);
                }
            }
            dhcp::Kind::Offer | dhcp::Kind::Release | dhcp::Kind::Other(_) => {}
        }
    }

    /// Takes a DNS answer in for the host that asked.
    fn learn_names(
        &mut self,
        now: Timestamp,
        tuple: &FiveTuple,
        from: Sender,
        message: &dwell_proto::dns::Message,
    ) {
        let host = match from {
            Sender::Originator => tuple.dst.addr,
            Sender::Responder => tuple.src.addr,
        };
        let multicast = tuple.dst.port == 5353 || tuple.src.port == 5353;
        for (name, addr, ttl_s) in message.addresses() {
            if multicast {
                // A host that tells its own name (RFC 6762, section 8.3).
                if message.response && [tuple.src.addr, tuple.dst.addr].contains(&addr) {
                    let name = name.trim_end_matches('.').trim_end_matches(".local");
                    self.hosts.note_name(addr, name.into());
                }
                continue;
            }
            let ttl = Duration::from_secs(u64::from(ttl_s));
            self.names.learn(now, (host, addr), name.as_bytes(), ttl);
        }
    }

    /// Takes a finished burst in. The first one settles who the flow is: by then the handshake is
    /// through, or the flow will have none.
    fn burst(&mut self, flow: u64, burst: &Burst, originator: Direction) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        state.bursts += 1;
        state.note_activity(burst.end);
        let settled = state.is_settled();
        if !settled {
            self.attribute(burst.start, flow);
        }
        let Some(state) = self.flows.get_mut(&flow) else { return };
        let host_sends =
            if state.host_is_originator() { originator } else { originator.reversed() };
        let session_burst = SessionBurst {
            start: burst.start,
            end: burst.end,
            up_bytes: *burst.payload_bytes.of(host_sends),
            down_bytes: *burst.payload_bytes.of(host_sends.reversed()),
            first: if burst.first == host_sends { Side::Client } else { Side::Server },
        };
        self.detector.burst(flow, session_burst);
        state.record_waiting(LastChance::No, &mut self.records);
        if !settled && let Some(snapshot) = state.first_snapshot() {
            self.record(burst.start, flow, Moment::Start, snapshot);
        }
    }

    /// Says who a flow is, with what is known now, and tells the detector.
    fn attribute(&mut self, now: Timestamp, flow: u64) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        let host_is_client = is_outward(&self.hosts, &state.tuple());
        state.face(host_is_client);
        let (own, peer) = state.ends();
        let mut host = self.hosts.host(state.opened(), own.addr);
        let dns = self.names.lookup(state.opened(), own.addr, peer.addr);
        let clue = state.known_clue();
        let name = match clue {
            Some(clue) => clue.name(dns.as_deref()),
            None => dns.as_deref().map(|name| (name, NameSource::Dns)),
        };
        let known = state.resumed().map(|known| flow_state::stored_answer(known, peer));
        let (stored, stored_destination) = known.unzip();
        let destination = stored_destination
            .unwrap_or_else(|| self.recall.destination(name, peer.addr, peer.port));
        let wire = match clue {
            _ if stored.is_some() => stored.unwrap_or_else(|| Arc::clone(&self.unattributed)),
            Some(clue) => {
                // What a program claims of its system is no evidence against the program.
                let by_syn = matches!(host.os_source, Some(OsSource::Syn | OsSource::SynAndDhcp));
                let os = host.os.filter(|_| by_syn);
                let evidence = clue.evidence(peer.port, os, state.opened());
                self.recall.attribute(&self.rules, &evidence)
            }
            None => Arc::clone(&self.unattributed),
        };
        if let Some(os) = wire.native_os {
            host = self.hosts.with_native_os(host, os);
        }
        let application = processes::attribute(&mut self.telemetry, flow, state, wire);
        let visibility = state.visibility(&host, &application);
        let lookup = match (dns, self.names.resolver_watched) {
            (Some(_), _) => NameLookup::Seen,
            (None, true) => NameLookup::Absent,
            (None, false) => NameLookup::Unknown,
        };
        // Name service and the like hold no session in AN0146's sense.
        let session = if state.may_be_web() {
            self.detector.flow_opened(
                now,
                &Arc::new(FlowFacts {
                    flow_id: flow,
                    host: host.clone(),
                    attribution: Arc::clone(&application),
                    destination: destination.clone(),
                    opened: state.began(),
                    visibility,
                    lookup,
                    continued: state.is_continued(),
                }),
            )
        } else {
            None
        };
        let identity = FlowIdentity {
            flow,
            tuple: state.tuple(),
            community: state.community(),
            host,
            application,
            destination,
            session,
            visibility,
        };
        let identity = Arc::new(identity);
        self.sessions.settle(state.session(), &identity);
        state.settle(identity);
        if let Some(keeper) = self.keeper.as_mut().filter(|_| session.is_some()) {
            keeper.settled(flow, state);
        }
    }

    /// Says anew who a settled flow is; one that is not settled yet will be asked anyway.
    fn attribute_again(&mut self, now: Timestamp, flow: u64) {
        if self.flows.get(&flow).is_some_and(|state| state.is_settled()) {
            self.attribute(now, flow);
        }
    }

    fn ended(&mut self, ts: Timestamp, flow: u64, snapshot: Box<FlowSnapshot>, reason: EndReason) {
        let moment = Moment::End(reason);
        let record = match self.flows.remove(&flow) {
            Some(mut state) => {
                state.record_waiting(LastChance::Yes, &mut self.records);
                self.telemetry.forget(flow);
                // Flows that the sensor's own end cuts go on, as far as anybody knows.
                if reason != EndReason::EndOfCapture
                    && let Some(keeper) = &mut self.keeper
                {
                    keeper.ended(&state);
                }
                self.detector.flow_closed(flow, snapshot.last);
                state.record(ts, moment, snapshot).map(|record| self.judged(record))
            }
            None => {
                self.named.remove(&flow);
                Some(self.bare_record(ts, flow, moment, snapshot))
            }
        };
        self.records.extend(record.map(Box::new).map(Record::Flow));
    }

    /// The only record of a flow that carried no payload: it has an end and no session.
    fn bare_record(
        &mut self,
        ts: Timestamp,
        flow: u64,
        moment: Moment,
        snapshot: Box<FlowSnapshot>,
    ) -> FlowRecord {
        let tuple = snapshot.tuple;
        let (own, peer) = if is_outward(&self.hosts, &tuple) {
            (tuple.src, tuple.dst)
        } else {
            (tuple.dst, tuple.src)
        };
        let host = self.hosts.host(snapshot.first, own.addr);
        let midstream = snapshot.quality.midstream;
        let identity = FlowIdentity {
            flow,
            tuple,
            community: CommunityId::of(&tuple),
            visibility: flow_state::visibility_of_nothing(midstream, &tuple, &host),
            host,
            application: Arc::clone(&self.unattributed),
            destination: self.recall.destination(None, peer.addr, peer.port),
            session: None,
        };
        let mut recorded = Recorded::nothing(snapshot.first);
        let (sequence, delta) = recorded.next(ts, &snapshot.sent, &snapshot.received);
        FlowRecord {
            ts,
            identity: Arc::new(identity),
            moment,
            sequence,
            delta,
            opening_seen: false,
            ech: false,
            migrated_from: None,
            conflicts: Vec::new(),
            judgement: None,
            losses: self.losses.since(snapshot.first),
            snapshot,
        }
    }

    /// The record with what the policy says of its flow, as far as that can be told, and with what
    /// the sensor lost meanwhile.
    fn judged(&self, mut record: FlowRecord) -> FlowRecord {
        record.losses = self.losses.since(record.snapshot.first);
        let identity = &*record.identity;
        if identity.application.outcome != Outcome::Unattributed {
            record.judgement = Some(self.detector.policy().judge(&Subject {
                host: &identity.host,
                attribution: &identity.application,
                destination: &identity.destination,
                at: record.ts,
            }));
        }
        record
    }

    fn record(&mut self, ts: Timestamp, flow: u64, moment: Moment, snapshot: Box<FlowSnapshot>) {
        let state = self.flows.get_mut(&flow);
        let record = state.and_then(|state| state.record(ts, moment, snapshot));
        let record = record.map(|record| self.judged(record));
        self.records.extend(record.map(Box::new).map(Record::Flow));
    }

    fn collect_verdicts(&mut self, now: Timestamp) {
        for event in self.verdicts.drain(..) {
            let record = match event {
                DetectEvent::Finding(mut finding) => {
                    mark(&self.losses, &mut finding.session);
                    Record::Finding(finding)
                }
                DetectEvent::SessionUpdated(mut summary) => {
                    mark(&self.losses, &mut summary);
                    Record::Session(Box::new(self.sessions.record(now, summary, None)))
                }
                DetectEvent::SessionEnded(mut summary, end) => {
                    mark(&self.losses, &mut summary);
                    Record::Session(Box::new(self.sessions.record(now, summary, Some(end))))
                }
                _ => continue,
            };
            self.records.push(record);
        }
    }
}

/// Says of a session that packets were dropped while it was open.
fn mark(losses: &LossLog, session: &mut SessionSummary) {
    session.visibility.capture_loss |= losses.since(session.first).dropped_packets > 0;
}

/// Whether a flow's originator is the site's host: unless only the responder is local.
fn is_outward(hosts: &Hosts, tuple: &FiveTuple) -> bool {
    hosts.is_local(tuple.src.addr) || !hosts.is_local(tuple.dst.addr)
}
