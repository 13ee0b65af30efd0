//! What the analytics remembers of one open flow. Sees one flow only.

use std::sync::Arc;

use dwell_attribution::telemetry::{FlowView, ProcessFacts};
use dwell_attribution::{
    Attribution, Destination, EvidenceLevel, HostRef, NameSource, Opening, Outcome,
};
use dwell_detect::{SavedFlow, SessionId, Visibility};
use dwell_flow::{CommunityId, Conflict, DirectionCounters};
use dwell_packet::{Endpoint, FiveTuple, Timestamp, Transport};
use dwell_proto::{ClientHello, Fact, HttpRequest, Observed, Preamble, Sender};

use crate::clue::Clue;
use crate::event::{FlowSnapshot, NotedProcess};
use crate::losses::Losses;
use crate::record::{Delta, FlowIdentity, FlowRecord, Moment, Record};
use crate::waiting::{LastChance, Waiting};

/// DNS (RFC 7766).
const DNS_PORT: u16 = 53;

/// HTTPS, and QUIC where nobody says otherwise (RFC 9114, section 3.1).
const HTTPS_PORT: u16 = 443;

/// Conflicts kept of one flow.
const MAX_CONFLICTS: usize = 4;

/// One open flow that carried payload. What most flows lack is kept apart.
#[derive(Debug)]
pub(crate) struct FlowState {
    flow: u64,
    /// Five-tuple, the side that opened the flow first.
    tuple: FiveTuple,
    opened: Timestamp,
    /// Whether the tuple had to be turned: the TLS or HTTP client shows who opened the flow.
    turned: bool,
    midstream: bool,
    host_is_client: bool,
    /// Whether it was decided who the flow is.
    settled: bool,
    pub(crate) keeping: Keeping,
    pub(crate) bursts: u32,
    /// Figures at the first payload, until the start record takes them.
    start: Option<Box<FlowSnapshot>>,
    identity: Option<Arc<FlowIdentity>>,
    clue: Option<Box<Clue>>,
    waiting: Option<Box<Waiting>>,
    /// The process that the capture names.
    noted: Option<Arc<NotedProcess>>,
    /// When the latest burst ended.
    last: Timestamp,
    oddities: Option<Box<Oddities>>,
    recorded: Recorded,
}

/// What few flows have.
#[derive(Debug, Default)]
struct Oddities {
    migrated_from: Option<u64>,
    /// Who it was before the sensor was started again.
    known: Option<Box<SavedFlow>>,
    conflicts: Vec<Conflict>,
}

/// Whether a restart would know the flow again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Nobody asked.
    #[default]
    No,
    /// It waits to be stored, for the first time.
    New,
    /// It is stored.
    Stored,
    /// It is stored, and waits to be stored again.
    Changed,
}

/// What the last record of a flow said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    records: u32,
    at: Timestamp,
    totals: Delta,
}

impl Recorded {
    /// Nothing yet of a flow that opened at `opened`.
    pub(crate) fn nothing(opened: Timestamp) -> Self {
        Self { records: 0, at: opened, totals: Delta::default() }
    }

    /// Numbers the next record, of these totals, and says what came since the last.
    pub(crate) fn next(
        &mut self,
        ts: Timestamp,
        sent: &DirectionCounters,
        received: &DirectionCounters,
    ) -> (u32, Delta) {
        let totals = Delta {
            bytes_out: sent.wire_bytes,
            bytes_in: received.wire_bytes,
            packets_out: sent.packets,
            packets_in: received.packets,
            seconds: 0.0,
        };
        let delta = Delta {
            bytes_out: totals.bytes_out.saturating_sub(self.totals.bytes_out),
            bytes_in: totals.bytes_in.saturating_sub(self.totals.bytes_in),
            packets_out: totals.packets_out.saturating_sub(self.totals.packets_out),
            packets_in: totals.packets_in.saturating_sub(self.totals.packets_in),
            seconds: ts.saturating_since(self.at).as_secs_f64(),
        };
        *self = Self { records: self.records.saturating_add(1), at: ts, totals };
        (self.records, delta)
    }
}

/// What could not be seen of a flow of which nothing is known but that it was.
pub(crate) fn visibility_of_nothing(
    midstream: bool,
    tuple: &FiveTuple,
    host: &HostRef,
) -> Visibility {
    Visibility {
        midstream,
        no_hello: is_web_by_port(tuple),
        no_telemetry: true,
        several_systems: host.suspected.is_some(),
        ..Visibility::default()
    }
}

/// Whether a flow could be HTTP or TLS: it is TCP (but not to a resolver), or UDP to QUIC's port.
const fn is_web_by_port(tuple: &FiveTuple) -> bool {
    match tuple.transport {
        Transport::Tcp => tuple.dst.port != DNS_PORT,
        Transport::Udp => tuple.dst.port == HTTPS_PORT,
    }
}

impl FlowState {
    pub(crate) fn new(flow: u64, snapshot: Box<FlowSnapshot>) -> Self {
        Self {
            flow,
            tuple: snapshot.tuple,
            opened: snapshot.first,
            turned: false,
            midstream: snapshot.quality.midstream,
            host_is_client: true,
            settled: false,
            keeping: Keeping::No,
            bursts: 0,
            recorded: Recorded::nothing(snapshot.first),
            last: snapshot.last,
            start: Some(snapshot),
            identity: None,
            clue: None,
            waiting: None,
            noted: None,
            oddities: None,
        }
    }

    /// Takes a fact in.
    pub(crate) fn take(&mut self, ts: Timestamp, frame: u64, observed: Observed) {
        let Observed { from, fact } = observed;
        match fact {
            Fact::ClientHello(hello) => self.take_hello(ts, frame, from, hello),
            Fact::ServerHello(answer) => self.waiting().take_answer(answer),
            Fact::Certificate(certificate) => {
                self.clue().take_certificate(&certificate);
                self.waiting().take_certificate(certificate);
            }
            Fact::HttpRequest(request) => self.take_request(ts, frame, from, request),
            Fact::HttpResponse(response) => self.waiting().take_response(response),
            Fact::Preamble(Preamble::Connect { target } | Preamble::Socks { target, .. }) => {
                self.clue().take_proxied(target);
            }
            Fact::GoogleQuicHello { server_name, user_agent, .. } => {
                self.clue().take_google_hello(server_name, user_agent);
            }
            _ => {}
        }
    }

    fn take_hello(&mut self, ts: Timestamp, frame: u64, from: Sender, hello: Box<ClientHello>) {
        if let Some(hello) = self.waiting().take_hello(ts, frame, hello) {
            self.turn_to(from);
            self.clue().take_hello(&hello);
        }
    }

    fn take_request(&mut self, ts: Timestamp, frame: u64, from: Sender, request: Box<HttpRequest>) {
        if !self.opening_seen() {
            self.turn_to(from);
        }
        self.clue().take_request(&request);
        self.waiting().take_request(ts, frame, request);
    }

    fn clue(&mut self) -> &mut Clue {
        self.clue.get_or_insert_default()
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// The side that sent a hello or a request is the client, whatever the ports suggested.
    fn turn_to(&mut self, from: Sender) {
        if from == Sender::Responder && !self.turned {
            self.turned = true;
            self.tuple = self.tuple.reversed();
        }
    }

    /// Takes over what is known of a QUIC connection that moved here from another flow.
    pub(crate) fn continue_from(&mut self, earlier: &Self) {
        self.clue.clone_from(&earlier.clue);
        self.oddities.get_or_insert_default().migrated_from = Some(earlier.flow);
    }

    /// Takes over who the flow was before the sensor was started again. What it shows from here on
    /// counts before that.
    pub(crate) fn resume(&mut self, known: Box<SavedFlow>) {
        if known.tuple != self.tuple && !self.turned {
            self.turned = true;
            self.tuple = self.tuple.reversed();
        }
        self.keeping = Keeping::Stored;
        self.oddities.get_or_insert_default().known = Some(known);
    }

    /// Who the flow was before the sensor was started again, while it has not shown it anew.
    pub(crate) fn resumed(&self) -> Option<&SavedFlow> {
        if self.opening_seen() {
            return None;
        }
        self.oddities.as_deref()?.known.as_deref()
    }

    /// When it opened, before the sensor was started again if that is known.
    pub(crate) fn began(&self) -> Timestamp {
        let known = self.oddities.as_deref().and_then(|oddities| oddities.known.as_deref());
        known.map_or(self.opened, |known| known.opened.min(self.opened))
    }

    /// Whether its session counted it before the sensor was started again.
    pub(crate) fn is_continued(&self) -> bool {
        self.resumed().is_some()
    }

    /// As it is stored; `None` while it belongs to no session.
    pub(crate) fn row(&self) -> Option<SavedFlow> {
        let identity = self.identity.as_deref()?;
        Some(SavedFlow {
            tuple: self.tuple,
            session: identity.session?.0,
            opened: self.began(),
            application: Arc::clone(&identity.application.application),
            outcome: identity.application.outcome,
            category: identity.application.category,
            destination: Arc::clone(&identity.destination.group),
            name: identity.destination.name.clone(),
            visibility: identity.visibility,
        })
    }

    /// Keeps two differing copies of the same bytes as evidence.
    pub(crate) fn note_conflict(&mut self, conflict: Conflict) {
        let conflicts = &mut self.oddities.get_or_insert_default().conflicts;
        if conflicts.len() < MAX_CONFLICTS {
            conflicts.push(conflict);
        }
    }

    /// Five-tuple, client first.
    pub(crate) const fn tuple(&self) -> FiveTuple {
        self.tuple
    }

    pub(crate) const fn opened(&self) -> Timestamp {
        self.opened
    }

    /// What names application and destination, if anything was seen that does.
    pub(crate) fn known_clue(&self) -> Option<&Clue> {
        self.clue.as_deref()
    }

    /// Its Community ID. Worked out once, with the first identity.
    pub(crate) fn community(&self) -> CommunityId {
        let known = self.identity.as_ref().map(|identity| identity.community);
        known.unwrap_or_else(|| CommunityId::of(&self.tuple))
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// The session that it belongs to, as far as known.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.identity.as_ref()?.session
    }

    /// Says whether the site's host is the client.
    pub(crate) const fn face(&mut self, host_is_client: bool) {
        self.host_is_client = host_is_client;
    }

    /// Says who it is.
    pub(crate) fn settle(&mut self, identity: Arc<FlowIdentity>) {
        self.settled = true;
        self.identity = Some(identity);
    }

    /// Whether the site's host is the table's originator (and not its responder).
    pub(crate) const fn host_is_originator(&self) -> bool {
        self.host_is_client != self.turned
    }

    /// The site's host and its peer.
    pub(crate) const fn ends(&self) -> (Endpoint, Endpoint) {
        if self.host_is_client {
            (self.tuple.src, self.tuple.dst)
        } else {
            (self.tuple.dst, self.tuple.src)
        }
    }

    /// Keeps the process that the capture names.
    pub(crate) fn set_noted_process(&mut self, process: Arc<NotedProcess>) {
        self.noted = Some(process);
    }

    /// The process that the capture names for the flow's host, not for the other end.
    pub(crate) fn noted_process(&self) -> Option<&ProcessFacts> {
        let noted = self.noted.as_deref()?;
        let host = self.ends().0.addr.to_canonical();
        noted.host.is_none_or(|addr| addr.to_canonical() == host).then_some(&noted.facts)
    }

    /// Takes note that payload was seen up to `at`.
    pub(crate) fn note_activity(&mut self, at: Timestamp) {
        self.last = self.last.max(at);
    }

    /// The flow as endpoint telemetry looks for it, without its Community ID.
    pub(crate) fn view(&self) -> FlowView {
        let (local, remote) = self.ends();
        let (first, last) = (self.opened, self.last);
        FlowView { local, remote, transport: self.tuple.transport, first, last, community_id: None }
    }

    fn opening_seen(&self) -> bool {
        self.clue.as_ref().is_some_and(|clue| clue.opening() != Opening::Unseen)
    }

    /// Whether the flow is, or could be, HTTP or TLS.
    pub(crate) fn may_be_web(&self) -> bool {
        self.opening_seen() || is_web_by_port(&self.tuple)
    }

    /// What could not be seen of the flow, apart from its figures.
    pub(crate) fn visibility(&self, host: &HostRef, application: &Attribution) -> Visibility {
        if let Some(known) = self.resumed() {
            return known.visibility;
        }
        let clue = self.clue.as_deref();
        let stack = matches!(application.level, EvidenceLevel::Stack | EvidenceLevel::StackCipher);
        Visibility {
            no_hello: !self.opening_seen() && self.may_be_web(),
            ech: clue.is_some_and(Clue::ech),
            proxied: clue.is_some_and(Clue::is_proxied),
            no_sni: clue.is_some_and(Clue::is_hello_without_name),
            shared_fingerprint: stack || application.outcome == Outcome::Ambiguous,
            no_telemetry: application.process.is_none(),
            ..visibility_of_nothing(self.midstream, &self.tuple, host)
        }
    }

    /// The figures at the flow's first payload, for its start record.
    pub(crate) fn first_snapshot(&mut self) -> Option<Box<FlowSnapshot>> {
        self.start.take()
    }

    /// Records the handshakes and requests that are ready, each once.
    pub(crate) fn record_waiting(&mut self, last_chance: LastChance, records: &mut Vec<Record>) {
        if let (Some(waiting), Some(identity)) = (&mut self.waiting, &self.identity) {
            waiting.record(identity, self.bursts, last_chance, records);
        }
    }

    /// Its next record; `None` before it is known who it is. Judgement and losses are not the
    /// flow's to know.
    pub(crate) fn record(
        &mut self,
        ts: Timestamp,
        moment: Moment,
        snapshot: Box<FlowSnapshot>,
    ) -> Option<FlowRecord> {
        let identity = Arc::clone(self.identity.as_ref()?);
        let (sent, received) = if self.turned {
            (&snapshot.received, &snapshot.sent)
        } else {
            (&snapshot.sent, &snapshot.received)
        };
        let (sequence, delta) = self.recorded.next(ts, sent, received);
        let oddities = self.oddities.as_deref();
        Some(FlowRecord {
            ts,
            identity,
            moment,
            sequence,
            delta,
            opening_seen: self.opening_seen(),
            ech: self.clue.as_ref().is_some_and(|clue| clue.ech()),
            migrated_from: oddities.and_then(|oddities| oddities.migrated_from),
            judgement: None,
            losses: Losses::default(),
            conflicts: oddities.map(|oddities| oddities.conflicts.clone()).unwrap_or_default(),
            snapshot,
        })
    }
}

/// Application and destination of a flow as they were stored.
pub(crate) fn stored_answer(known: &SavedFlow, peer: Endpoint) -> (Arc<Attribution>, Destination) {
    let attribution = Attribution {
        outcome: known.outcome,
        application: Arc::clone(&known.application),
        category: known.category,
        ..Attribution::unattributed()
    };
    let destination = Destination {
        group: Arc::clone(&known.destination),
        name: known.name.clone(),
        addr: peer.addr.to_canonical(),
        port: peer.port,
        source: if known.name.is_some() { NameSource::Sni } else { NameSource::None },
    };
    (Arc::new(attribution), destination)
}
