//! What the analytics remembers of one open flow. Sees one flow only.

use std::sync::Arc;

use dwell_attribution::telemetry::{FlowView, ProcessFacts};
use dwell_attribution::{
    Attribution, Destination, Evidence, EvidenceLevel, HostRef, NameSource, Opening, OsSource,
    Outcome,
};
use dwell_detect::{FlowFacts, NameLookup, SessionId, Visibility};
use dwell_flow::{CommunityId, Conflict};
use dwell_packet::{Endpoint, FiveTuple, Timestamp, Transport};
use dwell_proto::{
    CertificateFacts, ClientHello, Fact, HttpRequest, HttpResponse, Observed, Preamble, Sender,
    ServerHello,
};

use crate::event::{FlowSnapshot, NotedProcess};
use crate::record::{Delta, FlowIdentity, HandshakeRecord, HttpRecord, WireName};

/// HTTP requests of one flow that wait to be recorded; later ones of the same burst go without a
/// record.
const MAX_WAITING_REQUESTS: usize = 32;

/// Bursts after which a handshake is recorded although its answer has not been seen.
const PATIENCE_BURSTS: u32 = 2;

/// Handshakes of earlier connections that may wait for their record.
const MAX_EARLIER_HANDSHAKES: usize = 8;

/// DNS (RFC 7766).
const DNS_PORT: u16 = 53;

/// HTTPS, and QUIC where nobody says otherwise (RFC 9114, section 3.1).
const HTTPS_PORT: u16 = 443;

/// Conflicts kept of one flow.
const MAX_CONFLICTS: usize = 4;

/// Whether a flow will be asked again for its handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastChance {
    /// It ends now.
    Yes,
    /// It goes on.
    No,
}

/// One open flow.
#[derive(Debug)]
pub(crate) struct FlowState {
    flow: u64,
    /// Five-tuple, the side that opened the flow first.
    tuple: FiveTuple,
    community: CommunityId,
    /// Whether the tuple had to be turned: the TLS or HTTP client shows who opened the flow.
    turned: bool,
    first_snapshot: Option<Box<FlowSnapshot>>,
    opened: Timestamp,
    midstream: bool,
    pub(crate) bursts: u32,
    handshake: Handshake,
    /// Handshakes of earlier connections on the five-tuple, until they are recorded.
    earlier: Vec<Handshake>,
    requests: Vec<Exchange>,
    clue: Clue,
    host: Option<HostRef>,
    destination: Option<Destination>,
    /// The host's resolver answered with this address.
    looked_up: bool,
    resolver_watched: bool,
    application: Option<Arc<Attribution>>,
    /// The process that the capture names.
    noted: Option<Arc<NotedProcess>>,
    /// When the latest burst ended.
    last: Timestamp,
    migrated_from: Option<u64>,
    conflicts: Vec<Conflict>,
    settled: bool,
    session: Option<SessionId>,
    records: u32,
    recorded: Option<(Timestamp, Totals)>,
}

/// An HTTP request until it is recorded.
#[derive(Debug)]
struct Exchange {
    ts: Timestamp,
    frame: u64,
    request: Box<HttpRequest>,
    response: Option<Box<HttpResponse>>,
}

/// The handshake until it is recorded.
#[derive(Debug, Default)]
struct Handshake {
    random: Option<[u8; 32]>,
    hello: Option<(Timestamp, u64, Box<ClientHello>)>,
    hellos: u32,
    answer: Option<Box<ServerHello>>,
    certificate: Option<Box<CertificateFacts>>,
}

/// What names the application and the destination, kept while the flow is open.
#[derive(Clone, Debug, Default)]
struct Clue {
    opening: Opening,
    ja4: Option<String>,
    stable: Option<String>,
    ja3: Option<String>,
    alpn: Option<Vec<u8>>,
    server_name: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    proxied: Option<Vec<u8>>,
    http_host: Option<Vec<u8>>,
    certificate_name: Option<Vec<u8>>,
    ech: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    bytes_out: u64,
    bytes_in: u64,
    packets_out: u64,
    packets_in: u64,
}

impl FlowState {
    pub(crate) fn new(flow: u64, snapshot: &FlowSnapshot) -> Self {
        Self {
            flow,
            tuple: snapshot.tuple,
            community: CommunityId::of(&snapshot.tuple),
            turned: false,
            first_snapshot: Some(Box::new(snapshot.clone())),
            opened: snapshot.first,
            midstream: snapshot.quality.midstream,
            bursts: 0,
            handshake: Handshake::default(),
            earlier: Vec::new(),
            requests: Vec::new(),
            clue: Clue::default(),
            host: None,
            destination: None,
            looked_up: false,
            resolver_watched: false,
            application: None,
            noted: None,
            last: snapshot.last,
            migrated_from: None,
            conflicts: Vec::new(),
            settled: false,
            session: None,
            records: 0,
            recorded: None,
        }
    }

    /// Takes a fact in.
    pub(crate) fn take(&mut self, ts: Timestamp, frame: u64, observed: Observed) {
        let Observed { from, fact } = observed;
        match fact {
            Fact::ClientHello(hello) => self.take_hello(ts, frame, from, hello),
            Fact::ServerHello(answer) => {
                let known = self.handshake.answer.take_if(|known| !known.retry_request);
                self.handshake.answer = Some(known.unwrap_or(answer));
            }
            Fact::Certificate(certificate) => {
                if self.clue.certificate_name.is_none() {
                    let name = certificate.names.first().map(|name| name.clone().into_bytes());
                    self.clue.certificate_name = name;
                }
                self.handshake.certificate = Some(certificate);
            }
            Fact::HttpRequest(request) => self.take_request(ts, frame, from, request),
            Fact::HttpResponse(response) => {
                let waiting = self.requests.iter_mut().find(|request| request.response.is_none());
                if let Some(request) = waiting {
                    request.response = Some(response);
                }
            }
            Fact::Preamble(Preamble::Connect { target } | Preamble::Socks { target, .. }) => {
                self.clue.proxied = Some(target);
            }
            Fact::GoogleQuicHello { server_name, user_agent, .. } => {
                self.clue.opening = Opening::Hello;
                self.clue.server_name = server_name;
                self.clue.user_agent = user_agent;
            }
            _ => {}
        }
    }

    fn take_hello(&mut self, ts: Timestamp, frame: u64, from: Sender, hello: Box<ClientHello>) {
        if self.is_another_connection(&hello) {
            // One five-tuple, another QUIC connection: its handshake is a record of its own.
            let last = std::mem::take(&mut self.handshake);
            self.earlier.push(last);
        }
        self.handshake.hellos += 1;
        if self.handshake.hellos > 1 {
            return;
        }
        self.turn_to(from);
        let clue = &mut self.clue;
        clue.opening = Opening::Hello;
        clue.ja4 = Some(hello.ja4.clone());
        clue.stable = Some(hello.stable.clone());
        clue.ja3 = Some(hello.ja3.clone());
        clue.alpn = hello.alpn.first().cloned();
        clue.server_name.clone_from(&hello.server_name);
        clue.ech = hello.ech;
        self.handshake.random = Some(hello.random);
        self.handshake.hello = Some((ts, frame, hello));
    }

    /// Whether a further hello is no second try of the first: QUIC, not asked for by a
    /// HelloRetryRequest, and with another random.
    fn is_another_connection(&self, hello: &ClientHello) -> bool {
        let handshake = &self.handshake;
        let asked = handshake.answer.as_ref().is_some_and(|answer| answer.retry_request);
        let first = handshake.random.is_some_and(|random| random != hello.random);
        first
            && !asked
            && hello.handshake == dwell_proto::Handshake::Quic
            && self.earlier.len() < MAX_EARLIER_HANDSHAKES
    }

    fn take_request(&mut self, ts: Timestamp, frame: u64, from: Sender, request: Box<HttpRequest>) {
        if self.clue.opening == Opening::Unseen {
            self.turn_to(from);
            self.clue.opening = Opening::HttpRequest;
        }
        if self.clue.user_agent.is_none() {
            self.clue.user_agent.clone_from(&request.user_agent);
        }
        if self.clue.http_host.is_none() {
            self.clue.http_host.clone_from(&request.host);
        }
        if self.requests.len() < MAX_WAITING_REQUESTS {
            self.requests.push(Exchange { ts, frame, request, response: None });
        }
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
        self.clue = earlier.clue.clone();
        self.migrated_from = Some(earlier.flow);
    }

    /// Keeps two differing copies of the same bytes as evidence.
    pub(crate) fn note_conflict(&mut self, conflict: Conflict) {
        if self.conflicts.len() < MAX_CONFLICTS {
            self.conflicts.push(conflict);
        }
    }

    pub(crate) const fn migrated_from(&self) -> Option<u64> {
        self.migrated_from
    }

    pub(crate) fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Five-tuple, client first.
    pub(crate) const fn tuple(&self) -> FiveTuple {
        self.tuple
    }

    pub(crate) const fn opened(&self) -> Timestamp {
        self.opened
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    pub(crate) fn set_host(&mut self, host: HostRef) {
        self.host = Some(host);
    }

    pub(crate) fn set_application(&mut self, application: Arc<Attribution>) {
        self.application = Some(application);
    }

    /// Keeps the process that the capture names.
    pub(crate) fn set_noted_process(&mut self, process: Arc<NotedProcess>) {
        self.noted = Some(process);
    }

    /// The process that the capture names for the flow's host, not for the other end.
    pub(crate) fn noted_process(&self) -> Option<&ProcessFacts> {
        let noted = self.noted.as_deref()?;
        let host = self.host.as_ref()?.addr;
        let ours = noted.host.is_none_or(|addr| addr.to_canonical() == host.to_canonical());
        ours.then_some(&noted.facts)
    }

    /// Takes note that payload was seen up to `at`.
    pub(crate) fn note_activity(&mut self, at: Timestamp) {
        self.last = self.last.max(at);
    }

    /// The flow as endpoint telemetry looks for it, without its Community ID.
    pub(crate) fn view(&self) -> FlowView {
        let (local, remote) = if self.host_is_client() {
            (self.tuple.src, self.tuple.dst)
        } else {
            (self.tuple.dst, self.tuple.src)
        };
        let (first, last) = (self.opened, self.last);
        FlowView { local, remote, transport: self.tuple.transport, first, last, community_id: None }
    }

    /// Says which session the flow belongs to; `None` when there was no room for one.
    pub(crate) fn settle(&mut self, session: Option<SessionId>) {
        self.settled = true;
        self.session = session;
    }

    /// Whether the site's host is the table's originator (and not its responder).
    pub(crate) fn host_is_originator(&self) -> bool {
        self.host_is_client() != self.turned
    }

    fn host_is_client(&self) -> bool {
        self.host.as_ref().is_none_or(|host| host.addr == self.tuple.src.addr.to_canonical())
    }

    /// The other end than the host.
    pub(crate) fn peer(&self) -> Endpoint {
        if self.host_is_client() { self.tuple.dst } else { self.tuple.src }
    }

    /// Names the destination: by SNI, by what a proxy was asked for, by Host, by what the resolver
    /// told the host, by the certificate, else by address.
    pub(crate) fn set_destination(&mut self, dns: Option<&[u8]>, resolver_watched: bool) {
        let clue = &self.clue;
        let name: Option<WireName> = [
            (clue.server_name.as_deref(), NameSource::Sni),
            (clue.proxied.as_deref(), NameSource::Proxy),
            (clue.http_host.as_deref(), NameSource::HttpHost),
            (dns, NameSource::Dns),
            (clue.certificate_name.as_deref(), NameSource::Certificate),
        ]
        .into_iter()
        .find_map(|(name, source)| Some((name?.to_vec(), source)));
        let peer = self.peer();
        let named = name.as_ref().map(|(name, source)| (name.as_slice(), *source));
        self.destination = Some(Destination::new(named, peer.addr, peer.port));
        self.looked_up = dns.is_some();
        self.resolver_watched = resolver_watched;
    }

    /// What the rules may look at.
    pub(crate) fn evidence(&self) -> Evidence<'_> {
        let clue = &self.clue;
        Evidence {
            opening: clue.opening,
            ja4: clue.ja4.as_deref(),
            stable: clue.stable.as_deref(),
            ja3: clue.ja3.as_deref(),
            server_name: clue.server_name.as_deref().or(clue.http_host.as_deref()),
            user_agent: clue.user_agent.as_deref(),
            alpn: clue.alpn.as_deref(),
            port: self.peer().port,
            // What a program claims of its system is no evidence against the program.
            os: self
                .host
                .as_ref()
                .filter(|host| matches!(host.os_source, Some(OsSource::Syn | OsSource::SynAndDhcp)))
                .and_then(|host| host.os),
            at: self.opened,
        }
    }

    pub(crate) const fn opening_seen(&self) -> bool {
        !matches!(self.clue.opening, Opening::Unseen)
    }

    /// Whether the flow is, or could be, HTTP or TLS: its opening was seen, or it is TCP (but not
    /// to a resolver), or UDP to QUIC's port.
    pub(crate) fn may_be_web(&self) -> bool {
        let port = self.tuple.dst.port;
        self.opening_seen()
            || match self.tuple.transport {
                Transport::Tcp => port != DNS_PORT,
                Transport::Udp => port == HTTPS_PORT,
            }
    }

    pub(crate) const fn ech(&self) -> bool {
        self.clue.ech
    }

    /// What records say of the flow's identity, once it is known.
    pub(crate) fn identity(&self) -> Option<FlowIdentity> {
        Some(FlowIdentity {
            flow: self.flow,
            tuple: self.tuple,
            community: self.community,
            host: self.host.clone()?,
            application: Arc::clone(self.application.as_ref()?),
            destination: self.destination.clone()?,
            session: self.session,
            visibility: self.visibility(),
        })
    }

    /// What could not be seen of the flow, apart from its figures.
    fn visibility(&self) -> Visibility {
        let clue = &self.clue;
        let application = self.application.as_deref();
        let shared = application.is_some_and(|application| {
            let stack =
                matches!(application.level, EvidenceLevel::Stack | EvidenceLevel::StackCipher);
            stack || application.outcome == Outcome::Ambiguous
        });
        Visibility {
            midstream: self.midstream,
            ech: clue.ech,
            proxied: clue.proxied.is_some(),
            no_hello: !self.opening_seen() && self.may_be_web(),
            no_sni: clue.opening == Opening::Hello && clue.server_name.is_none(),
            shared_fingerprint: shared,
            no_telemetry: application.is_none_or(|application| application.process.is_none()),
            several_systems: self.host.as_ref().is_some_and(|host| host.suspected.is_some()),
            ..Visibility::default()
        }
    }

    /// What the detector is told.
    pub(crate) fn flow_facts(&self) -> Option<FlowFacts> {
        let lookup = match &self.destination {
            Some(destination) if destination.source == NameSource::Dns => NameLookup::Seen,
            _ if self.looked_up => NameLookup::Seen,
            _ if self.resolver_watched => NameLookup::Absent,
            _ => NameLookup::Unknown,
        };
        Some(FlowFacts {
            flow_id: self.flow,
            host: self.host.clone()?,
            attribution: Arc::clone(self.application.as_ref()?),
            destination: self.destination.clone()?,
            opened: self.opened,
            visibility: self.visibility(),
            lookup,
        })
    }

    /// The figures at the flow's first payload, for its start record.
    pub(crate) fn first_snapshot(&mut self) -> Option<Box<FlowSnapshot>> {
        self.first_snapshot.take()
    }

    /// The handshakes that are complete, or long enough in coming, or at their `last_chance`; each
    /// once.
    pub(crate) fn handshake_records(&mut self, last_chance: LastChance) -> Vec<HandshakeRecord> {
        let Some(identity) = self.identity() else { return Vec::new() };
        let answer = self.handshake.answer.as_ref();
        let answered = answer.is_some_and(|answer| !answer.retry_request);
        let ripe = answered || self.bursts >= PATIENCE_BURSTS || last_chance == LastChance::Yes;
        let mut records = Vec::new();
        let current = ripe.then_some(&mut self.handshake);
        for handshake in self.earlier.iter_mut().chain(current) {
            let Some((ts, frame, hello)) = handshake.hello.take() else { continue };
            records.push(HandshakeRecord {
                ts,
                frame,
                identity: identity.clone(),
                hello,
                hellos: handshake.hellos,
                answer: handshake.answer.take(),
                certificate: handshake.certificate.take(),
            });
        }
        self.earlier.clear();
        records
    }

    /// The requests since the last call.
    pub(crate) fn http_records(&mut self) -> Vec<HttpRecord> {
        let Some(identity) = self.identity() else { return Vec::new() };
        let record = |exchange: Exchange| HttpRecord {
            ts: exchange.ts,
            frame: exchange.frame,
            identity: identity.clone(),
            request: exchange.request,
            response: exchange.response,
        };
        std::mem::take(&mut self.requests).into_iter().map(record).collect()
    }

    /// Numbers the next flow record and says what came since the last.
    pub(crate) fn count_record(&mut self, ts: Timestamp, snapshot: &FlowSnapshot) -> (u32, Delta) {
        let (sent, received) = if self.turned {
            (snapshot.received, snapshot.sent)
        } else {
            (snapshot.sent, snapshot.received)
        };
        let now = Totals {
            bytes_out: sent.wire_bytes,
            bytes_in: received.wire_bytes,
            packets_out: sent.packets,
            packets_in: received.packets,
        };
        let (since, before) = self.recorded.unwrap_or((self.opened, Totals::default()));
        self.recorded = Some((ts, now));
        self.records += 1;
        let delta = Delta {
            bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
            bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
            packets_out: now.packets_out.saturating_sub(before.packets_out),
            packets_in: now.packets_in.saturating_sub(before.packets_in),
            seconds: ts.saturating_since(since).as_secs_f64(),
        };
        (self.records, delta)
    }
}
