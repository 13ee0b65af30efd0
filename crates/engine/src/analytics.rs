//! What needs to see several flows: hosts, names, applications, sessions, findings. One instance,
//! fed with the events of all shards in one order, so that results do not depend on workers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::telemetry::{
    FeedCounters, Observation, Telemetry, TelemetryConfig, TelemetryCounters, TelemetryInput,
};
use dwell_attribution::{
    AppRules, Attribution, Hosts, HostsConfig, MAX_NAME_BYTES, Outcome, Policy, SharedHosts,
    Subject, claimed_system, printable,
};
use dwell_detect::{Burst as SessionBurst, DetectConfig, DetectEvent, Detector, Side};
use dwell_flow::{Burst, EndReason};
use dwell_packet::{Direction, FiveTuple, MacAddress, Neighbour, Timestamp};
use dwell_proto::{Fact, Observed, Sender, dhcp};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::batch::Batch;
use crate::event::{Event, EventKind, FlowSnapshot, NotedProcess};
use crate::flow_state::{FlowState, LastChance};
use crate::intake::Second;
use crate::losses::LossLog;
use crate::migration::Connections;
use crate::names::Names;
use crate::processes;
use crate::record::{FlowRecord, Moment, Record, SessionRecord};

/// Everything that is known across flows.
#[derive(Debug)]
pub struct Analytics {
    rules: AppRules,
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
    flows: HashMap<u64, FlowState, FixedState>,
    detector: Detector,
    losses: LossLog,
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
        self.detector.reconfigure(config, policy);
    }

    /// Applies what came of a batch: the events of each second that ended in it, then the second.
    pub fn run(&mut self, batch: &mut Batch) {
        for (place, second) in batch.shared.seconds.iter().enumerate() {
            self.hear(second.now);
            self.claims(&second.neighbours);
            let events = batch.parts.iter_mut().filter_map(|part| part.events.get_mut(place));
            self.apply_all(events.flat_map(std::mem::take).collect());
            self.advance(second);
        }
    }

    /// Takes the events of all shards in, up to some moment.
    pub(crate) fn apply_all(&mut self, mut events: Vec<Event>) {
        // Packets have one place in the capture; what timers bring up at one moment is ordered by
        // flow. The sort is stable, so that events of one packet keep their order.
        events.sort_by_key(|event| (event.ordinal, event.flow));
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
            EventKind::Opened(snapshot) => self.opened(flow, &snapshot),
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

    /// Judges what is left.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        self.detector.finish(now, &mut self.verdicts);
        self.collect_verdicts(now);
    }

    /// Takes the records made since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    pub(crate) fn detector(&self) -> &Detector {
        &self.detector
    }

    fn opened(&mut self, flow: u64, snapshot: &FlowSnapshot) {
        let tuple = snapshot.tuple;
        let link = snapshot.link;
        self.hosts.observe(snapshot.first, tuple.src.addr, link.map(|link| link.src));
        self.hosts.observe(snapshot.first, tuple.dst.addr, link.map(|link| link.dst));
        if let Some(os) = snapshot.os {
            self.hosts.note_os(tuple.src.addr, os);
        }
        let mut state = FlowState::new(flow, snapshot);
        if let Some(process) = self.named.remove(&flow) {
            state.set_noted_process(process);
        }
        let moved = snapshot.quic_short.and_then(|id| self.connections.lookup(tuple.dst, &id));
        if let Some(earlier) = moved.and_then(|moved| self.flows.get(&moved)) {
            state.continue_from(earlier);
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
        let handshakes = state.handshake_records(LastChance::No);
        self.records.extend(handshakes.into_iter().map(Box::new).map(Record::Handshake));
        self.records.extend(state.http_records().into_iter().map(Box::new).map(Record::Http));
        if !settled && let Some(snapshot) = state.first_snapshot() {
            self.record(burst.start, flow, Moment::Start, snapshot);
        }
    }

    /// Says who a flow is, with what is known now, and tells the detector.
    fn attribute(&mut self, now: Timestamp, flow: u64) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        let host_addr = host_of(&self.hosts, &state.tuple());
        state.set_host(self.hosts.host(state.opened(), host_addr));
        let peer = state.peer();
        let dns = self.names.lookup(state.opened(), host_addr, peer.addr);
        state.set_destination(dns.as_deref(), self.names.resolver_watched);
        let wire = self.rules.attribute(&state.evidence());
        let attribution = processes::attribute(&mut self.telemetry, flow, state, wire);
        state.set_application(Arc::new(attribution));
        if !state.may_be_web() {
            // Name service and the like hold no session in AN0146's sense.
            state.settle(None);
            return;
        }
        if let Some(facts) = state.flow_facts() {
            state.settle(self.detector.flow_opened(now, &Arc::new(facts)));
        }
    }

    /// Says anew who a settled flow is; one that is not settled yet will be asked anyway.
    fn attribute_again(&mut self, now: Timestamp, flow: u64) {
        if self.flows.get(&flow).is_some_and(FlowState::is_settled) {
            self.attribute(now, flow);
        }
    }

    fn ended(&mut self, ts: Timestamp, flow: u64, snapshot: Box<FlowSnapshot>, reason: EndReason) {
        if let Some(state) = self.flows.get_mut(&flow) {
            let handshakes = state.handshake_records(LastChance::Yes);
            self.records.extend(handshakes.into_iter().map(Box::new).map(Record::Handshake));
            self.records.extend(state.http_records().into_iter().map(Box::new).map(Record::Http));
            self.telemetry.forget(flow);
            self.detector.flow_closed(flow, snapshot.last);
        } else {
            self.named.remove(&flow);
            // A flow without payload: it has an end and no session.
            let mut state = FlowState::new(flow, &snapshot);
            let addr = host_of(&self.hosts, &snapshot.tuple);
            state.set_host(self.hosts.host(snapshot.first, addr));
            state.set_destination(None, false);
            state.set_application(Arc::new(Attribution::unattributed()));
            self.flows.insert(flow, state);
        }
        self.record(ts, flow, Moment::End(reason), snapshot);
        self.flows.remove(&flow);
    }

    fn record(&mut self, ts: Timestamp, flow: u64, moment: Moment, snapshot: Box<FlowSnapshot>) {
        let Some(state) = self.flows.get_mut(&flow) else { return };
        let Some(identity) = state.identity() else { return };
        let (sequence, delta) = state.count_record(ts, &snapshot);
        let told = identity.application.outcome != Outcome::Unattributed;
        let judgement = told.then(|| {
            self.detector.policy().judge(&Subject {
                host: &identity.host,
                attribution: &identity.application,
                destination: &identity.destination,
                at: ts,
            })
        });
        self.records.push(Record::Flow(Box::new(FlowRecord {
            ts,
            identity,
            moment,
            sequence,
            delta,
            opening_seen: state.opening_seen(),
            ech: state.ech(),
            migrated_from: state.migrated_from(),
            conflicts: state.conflicts().to_vec(),
            judgement,
            losses: self.losses.since(snapshot.first),
            snapshot,
        })));
    }

    fn collect_verdicts(&mut self, now: Timestamp) {
        for event in self.verdicts.drain(..) {
            let record = match event {
                DetectEvent::Finding(finding) => Record::Finding(finding),
                DetectEvent::SessionUpdated(summary) => {
                    Record::Session(Box::new(SessionRecord { ts: now, summary, end: None }))
                }
                DetectEvent::SessionEnded(summary, end) => {
                    Record::Session(Box::new(SessionRecord { ts: now, summary, end: Some(end) }))
                }
                _ => continue,
            };
            self.records.push(record);
        }
    }
}

/// Which address of a flow is the site's host: the originator's, unless only the responder is
/// local.
fn host_of(hosts: &Hosts, tuple: &FiveTuple) -> IpAddr {
    let inward = !hosts.is_local(tuple.src.addr) && hosts.is_local(tuple.dst.addr);
    if inward { tuple.dst.addr } else { tuple.src.addr }
}
