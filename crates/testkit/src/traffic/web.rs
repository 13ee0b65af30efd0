//! Requests and answers: over TLS with real hellos, over QUIC with real Initials, in the clear.
//! Knows nothing of the other flows.

use std::time::Duration;

use dwell_packet::Timestamp;

use crate::capture::Capture;
use crate::conversation::{Conversation, Keep, Route, Side};
use crate::frame::{IpFields, udp_frame};
use crate::quic::ConnectionIds;
use crate::random::Random;
use crate::tls_session::{Exchange, TlsSession};

use super::actor::Script;
use super::world::{Pair, World, datagram};

/// What a client does on one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pair: Pair,
    /// Requests that are still to come.
    requests: u64,
    /// Median bytes of a request.
    up: f64,
    /// Bytes of each answer.
    down: u32,
    /// Median pause after an answer, in seconds.
    pause_s: f64,
    /// What is missing of the answer that is being sent.
    pending: u32,
}

impl Visit {
    /// A few requests; the answers together have a heavy tail.
    pub(super) fn browsing(pair: Pair, random: &mut Random) -> Self {
        let requests = 1 + random.below(4).min(random.below(4));
        let total = random.pareto_bytes(LEAST_ANSWERS, MOST_ANSWERS);
        let down = total / u32::try_from(requests).unwrap_or(1);
        Self { pair, requests, up: 700.0, down, pause_s: 1.2, pending: 0 }
    }

    /// A connection that stays for as long as the capture, and says little and irregularly.
    pub(super) fn standing(random: &mut Random) -> Self {
        let pair = Pair::random(random);
        let pause_s = random.between(15.0, 120.0);
        Self { pair, requests: u64::MAX, up: 140.0, down: 300, pause_s, pending: 0 }
    }

    /// Short messages over TLS.
    pub(super) fn messages(pair: Pair, random: &mut Random) -> Self {
        let requests = 4 + random.below(20);
        Self { pair, requests, up: 90.0, down: 70, pause_s: 0.6, pending: 0 }
    }

    /// The next request and the beginning of its answer; `None` when all were made.
    fn request(&mut self, random: &mut Random) -> Option<(u32, u32)> {
        self.requests = self.requests.checked_sub(1)?;
        let up = random.log_normal_bytes(self.up, 0.5, 30_000);
        self.pending = self.down;
        Some((up, self.answer()))
    }

    /// The next part of the answer; zero when all of it was sent.
    fn answer(&mut self) -> u32 {
        let part = self.pending.min(STEP);
        self.pending -= part;
        part
    }

    /// When the next step is after one that ended at `at`.
    fn after(&self, at: Timestamp, random: &mut Random) -> Timestamp {
        if self.pending > 0 || self.requests == 0 {
            return at;
        }
        at.saturating_add(random.log_normal_seconds(self.pause_s, 1.0))
    }
}

/// How a connection ends: most by FIN, some by reset, some in silence.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Fin,
    Reset,
    Silence,
}

impl Ending {
    fn random(random: &mut Random) -> Self {
        match random.below(10) {
            0..6 => Self::Fin,
            6..8 => Self::Reset,
            _ => Self::Silence,
        }
    }
}

/// HTTPS over TCP.
#[derive(Debug)]
pub(super) struct Tls {
    visit: Visit,
    random: Random,
    session: Option<TlsSession>,
}

impl Tls {
    pub(super) const fn new(visit: Visit, random: Random) -> Self {
        Self { visit, random, session: None }
    }

    fn open(&mut self, at: Timestamp, world: &World, capture: &mut Capture) -> Option<Timestamp> {
        let pair = &self.visit.pair;
        let handshake = world.handshake(pair.host.wrapping_add(self.random.below(3)))?;
        let route = pair.route(443, &mut self.random);
        let own = Random::new(self.random.next_u64());
        let name = pair.name();
        let named = (handshake, name.as_str());
        let (mut session, ready) = TlsSession::open_whole(at, route, named, own, capture);
        session.acknowledge_every(MERGED);
        self.session = Some(session);
        Some(ready)
    }
}

impl Script for Tls {
    fn act(&mut self, at: Timestamp, world: &World, capture: &mut Capture) -> Option<Timestamp> {
        let Some(session) = &mut self.session else { return self.open(at, world, capture) };
        let exchange = match self.visit.answer() {
            0 => match self.visit.request(&mut self.random) {
                Some((up, down)) => Exchange { at, first: Side::Client, up, down },
                None => {
                    let session = self.session.take()?;
                    match Ending::random(&mut self.random) {
                        Ending::Fin => session.close(at, Side::Client, capture),
                        Ending::Reset => session.reset(at, Side::Client, capture),
                        Ending::Silence => {}
                    }
                    return None;
                }
            },
            down => Exchange { at, first: Side::Server, up: 0, down },
        };
        let done = session.exchange(exchange, capture);
        Some(self.visit.after(done, &mut self.random))
    }

    fn retransmits(&self) -> bool {
        true
    }
}

/// HTTP/1.1 without TLS.
#[derive(Debug)]
pub(super) struct Clear {
    visit: Visit,
    random: Random,
    connection: Option<Conversation>,
}

impl Clear {
    pub(super) const fn new(visit: Visit, random: Random) -> Self {
        Self { visit, random, connection: None }
    }

    /// The request and the beginning of the answer.
    fn ask(&mut self, at: Timestamp, down: u32, capture: &mut Capture) -> Option<Timestamp> {
        let agent = USER_AGENTS.get(usize::try_from(self.visit.pair.host % 4).ok()?)?;
        let name = self.visit.pair.name();
        let path = self.random.next_u32();
        let request = format!(
            "GET /{path:08x} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: {agent}\r\n\
             Accept: */*\r\nConnection: keep-alive\r\n\r\n"
        );
        let length = self.visit.down;
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let answer = [head.into_bytes(), self.random.bytes(usize::try_from(down).ok()?)].concat();
        let connection = self.connection.as_mut()?;
        let sent = (request.as_bytes(), Keep::Whole);
        let asked = connection.send(at, Side::Client, sent, capture);
        let answered = asked.saturating_add(connection.route().round_trip + SERVER_WORK);
        let told = connection.send(answered, Side::Server, (&answer, Keep::Whole), capture);
        connection.settle(told, capture);
        Some(told.saturating_add(STEP_GAP))
    }
}

impl Script for Clear {
    fn act(&mut self, at: Timestamp, _: &World, capture: &mut Capture) -> Option<Timestamp> {
        let Some(connection) = &mut self.connection else {
            let route = self.visit.pair.route(80, &mut self.random);
            let (mut connection, ready) = Conversation::open(at, route, capture);
            connection.acknowledge_every(MERGED);
            self.connection = Some(connection);
            return Some(ready);
        };
        let done = match self.visit.answer() {
            0 => match self.visit.request(&mut self.random) {
                Some((_, down)) => self.ask(at, down, capture)?,
                None => {
                    let connection = self.connection.take()?;
                    match Ending::random(&mut self.random) {
                        Ending::Fin => connection.close(at, Side::Server, capture),
                        Ending::Reset => connection.reset(at, Side::Client, capture),
                        Ending::Silence => {}
                    }
                    return None;
                }
            },
            more => {
                let body = self.random.bytes(usize::try_from(more).ok()?);
                let told = connection.send(at, Side::Server, (&body, Keep::Whole), capture);
                connection.settle(told, capture);
                told.saturating_add(STEP_GAP + connection.route().round_trip)
            }
        };
        Some(self.visit.after(done, &mut self.random))
    }

    fn retransmits(&self) -> bool {
        true
    }
}

/// HTTP/3.
#[derive(Debug)]
pub(super) struct Quic {
    visit: Visit,
    random: Random,
    route: Option<Route>,
    ids: ConnectionIds,
}

impl Quic {
    pub(super) fn new(visit: Visit, mut random: Random) -> Self {
        let ids = ConnectionIds::random(&mut random);
        Self { visit, random, route: None, ids }
    }

    fn send(
        &mut self,
        at: Timestamp,
        (from, length): (Side, usize),
        capture: &mut Capture,
    ) -> Option<Timestamp> {
        let mut payload = self.random.bytes(length);
        *payload.first_mut()? = payload.first()? & 0x3f | SHORT_HEADER;
        // Chromium asks servers to leave its own identifier out.
        if from == Side::Client {
            payload.get_mut(1..9)?.copy_from_slice(&self.ids.server);
        }
        let (tuple, link) = datagram(self.route.as_ref()?, from);
        capture.push(at, udp_frame(link, IpFields::default(), &tuple, &payload));
        Some(at.saturating_add(STEP_GAP))
    }
}

impl Script for Quic {
    fn act(&mut self, at: Timestamp, world: &World, capture: &mut Capture) -> Option<Timestamp> {
        let Some(route) = self.route else {
            let route = self.visit.pair.route(443, &mut self.random);
            self.route = Some(route);
            let mut now = at;
            let name = self.visit.pair.name();
            let handshake = world.quic_handshake()?;
            for (from, payload) in handshake.for_server(&name, &self.ids, &mut self.random) {
                let (tuple, link) = datagram(&route, from);
                capture.push(now, udp_frame(link, IpFields::default(), &tuple, &payload));
                now = now.saturating_add(route.round_trip / 4);
            }
            return Some(now);
        };
        let (up, down) = match self.visit.answer() {
            0 => self.visit.request(&mut self.random)?,
            down => (0, down),
        };
        let mut now = at;
        for part in parts(up) {
            now = self.send(now, (Side::Client, part), capture)?;
        }
        now = now.saturating_add(route.round_trip);
        for (part, number) in parts(down).zip(1..) {
            now = self.send(now, (Side::Server, part), capture)?;
            if number % DATAGRAMS_PER_ACK == 0 {
                self.send(now, (Side::Client, QUIC_ACK), capture)?;
            }
        }
        self.send(now, (Side::Client, QUIC_ACK), capture)?;
        let done = now.saturating_add(STEP_GAP);
        Some(self.visit.after(done, &mut self.random))
    }

    fn retransmits(&self) -> bool {
        false
    }
}

/// `length` bytes in datagrams.
fn parts(length: u32) -> impl Iterator<Item = usize> {
    let length = usize::try_from(length).unwrap_or_default();
    let last = length % DATAGRAM;
    let full = std::iter::repeat_n(DATAGRAM, length / DATAGRAM);
    full.chain((last > 0).then_some(last.max(QUIC_ACK)))
}

/// Least and most bytes of a connection's answers together.
const LEAST_ANSWERS: u32 = 4_500;
const MOST_ANSWERS: u32 = 30 << 20;
/// How much of an answer is sent in one step: the window of a connection at its beginning is about
/// ten segments (RFC 6928).
const STEP: u32 = 16 << 10;
/// Segments that a receiver merges and acknowledges together.
const MERGED: u32 = 6;
const STEP_GAP: Duration = Duration::from_micros(200);
const SERVER_WORK: Duration = Duration::from_millis(3);
/// Fixed bit of a short header (RFC 9000, section 17.3.1).
const SHORT_HEADER: u8 = 0x40;
/// What Chromium and most servers send after path MTU discovery.
const DATAGRAM: usize = 1_350;
/// A short header with an identifier of 8 bytes, an ACK frame and the AEAD tag.
const QUIC_ACK: usize = 33;
const DATAGRAMS_PER_ACK: u32 = 4;
/// What four programs call themselves.
const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
    "curl/7.88.1",
    "CloudKit/2026 CFNetwork/3900.100.1 Darwin/26.0.0",
];
