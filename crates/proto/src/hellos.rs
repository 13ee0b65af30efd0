//! The hellos of one UDP flow: told apart, numbered and reported once each.
//!
//! Knows when two hellos are the same and which one a ServerHello answers. It knows neither QUIC
//! nor DTLS: it is handed whole messages.

use crate::assembly::MAX_BYTES;
use crate::facts::{Anomaly, Fact, Handshake, Observed, Sender};
use crate::{client_hello, server_hello};

/// Which hellos a flow has shown.
#[derive(Debug, Default)]
pub(crate) struct Hellos {
    /// The hellos reported, as their sender's type and body, oldest first.
    seen: Vec<(MessageType, Vec<u8>)>,
    seen_bytes: usize,
    reported: u32,
    /// Number of the last ClientHello.
    last: u32,
    /// Whether a final ServerHello answered it.
    answered: bool,
}

/// Handshake message types (RFC 8446, section 4), unknown ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageType(pub(crate) u8);

impl MessageType {
    pub(crate) const CLIENT_HELLO: Self = Self(1);
    pub(crate) const SERVER_HELLO: Self = Self(2);
    pub(crate) const CERTIFICATE: Self = Self(11);
}

impl Hellos {
    /// Reports the ClientHello in `body` unless it was seen before; whether it is new.
    ///
    /// The number restarts at 1 once the hello before was answered for good: that is a new
    /// connection on the same five-tuple. After a Retry, a Version Negotiation, a
    /// HelloVerifyRequest or a HelloRetryRequest it goes on.
    pub(crate) fn client(
        &mut self,
        carrier: Carrier,
        body: &[u8],
        report: &mut Report<'_>,
    ) -> bool {
        if !self.admit(MessageType::CLIENT_HELLO, body) {
            return false;
        }
        self.last = if self.answered { 1 } else { self.last.saturating_add(1) };
        self.answered = false;
        match client_hello::parse(carrier.handshake, body, self.last) {
            Ok(mut hello) => {
                hello.quic_version = carrier.quic_version;
                client_hello::report(report.from, hello, report.facts);
            }
            Err(_) => report.anomaly(Anomaly::MalformedClientHello),
        }
        true
    }

    /// Reports the ServerHello in `body` unless it was seen before; whether it is the final one.
    pub(crate) fn server(
        &mut self,
        carrier: Carrier,
        body: &[u8],
        report: &mut Report<'_>,
    ) -> bool {
        if !self.admit(MessageType::SERVER_HELLO, body) {
            return self.answered;
        }
        match server_hello::parse(carrier.handshake, body, self.last) {
            Ok(hello) => {
                self.answered = !hello.retry_request;
                server_hello::report(report.from, hello, report.facts);
            }
            Err(_) => report.anomaly(Anomaly::MalformedServerHello),
        }
        self.answered
    }

    /// Bytes of memory held.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.seen_bytes
    }

    fn admit(&mut self, kind: MessageType, body: &[u8]) -> bool {
        let known = self.seen.iter().any(|(sender, seen)| *sender == kind && seen == body);
        if known || self.reported >= MAX_HELLOS {
            return false;
        }
        self.reported = self.reported.saturating_add(1);
        self.seen_bytes = self.seen_bytes.saturating_add(body.len());
        while self.seen_bytes > MAX_BYTES && !self.seen.is_empty() {
            let (_, oldest) = self.seen.remove(0);
            self.seen_bytes = self.seen_bytes.saturating_sub(oldest.len());
        }
        self.seen.push((kind, body.to_vec()));
        true
    }
}

/// What carried a hello.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carrier {
    pub(crate) handshake: Handshake,
    pub(crate) quic_version: Option<u32>,
}

/// Where facts about one datagram go.
#[derive(Debug)]
pub(crate) struct Report<'f> {
    pub(crate) from: Sender,
    pub(crate) facts: &'f mut Vec<Observed>,
    pub(crate) told: &'f mut Told,
}

impl Report<'_> {
    pub(crate) fn fact(&mut self, fact: Fact) {
        self.facts.push(Observed { from: self.from, fact });
    }

    /// Reports `anomaly`, once a flow and sender.
    pub(crate) fn anomaly(&mut self, anomaly: Anomaly) {
        self.anomaly_of(self.from, anomaly);
    }

    /// Reports `anomaly` in what `from` sent, once a flow and sender.
    pub(crate) fn anomaly_of(&mut self, from: Sender, anomaly: Anomaly) {
        if !self.told.0.contains(&(from, anomaly)) {
            self.told.0.push((from, anomaly));
            self.facts.push(Observed { from, fact: Fact::Anomaly(anomaly) });
        }
    }
}

/// The anomalies reported already; as many as there are kinds, for each side.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<(Sender, Anomaly)>);

impl Told {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }
}

/// Most hellos reported of one flow, both sides together: an attempt, a Retry, a version change and
/// a HelloRetryRequest make five.
const MAX_HELLOS: u32 = 16;
