//! Handshakes and requests of one flow that wait for their answers before they are recorded.

use std::sync::Arc;

use dwell_packet::Timestamp;
use dwell_proto::{CertificateFacts, ClientHello, HttpRequest, HttpResponse, ServerHello};

use crate::record::{FlowIdentity, HandshakeRecord, HttpRecord, Record};

/// HTTP requests of one flow that wait to be recorded; later ones of the same burst go without a
/// record.
const MAX_WAITING_REQUESTS: usize = 32;

/// Bursts after which a handshake is recorded although its answer has not been seen.
const PATIENCE_BURSTS: u32 = 2;

/// Handshakes of earlier connections that may wait for their record.
const MAX_EARLIER_HANDSHAKES: usize = 8;

/// Whether a flow will be asked again for its handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastChance {
    /// It ends now.
    Yes,
    /// It goes on.
    No,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    handshake: Handshake,
    /// Handshakes of earlier connections on the five-tuple, until they are recorded.
    earlier: Vec<Handshake>,
    requests: Vec<Exchange>,
}

/// The handshake until it is recorded.
#[derive(Debug, Default)]
struct Handshake {
    random: Option<[u8; 32]>,
    hello: Option<(Timestamp, u64, Arc<ClientHello>)>,
    hellos: u32,
    answer: Option<Box<ServerHello>>,
    certificate: Option<Box<CertificateFacts>>,
}

/// An HTTP request until it is recorded.
#[derive(Debug)]
struct Exchange {
    ts: Timestamp,
    frame: u64,
    request: Box<HttpRequest>,
    response: Option<Box<HttpResponse>>,
}

impl Waiting {
    /// Takes a hello in that frame `frame` completed; gives it back shared, if it is the first of
    /// its connection.
    pub(crate) fn take_hello(
        &mut self,
        ts: Timestamp,
        frame: u64,
        hello: Box<ClientHello>,
    ) -> Option<Arc<ClientHello>> {
        if self.is_another_connection(&hello) {
            // One five-tuple, another QUIC connection: its handshake is a record of its own.
            let last = std::mem::take(&mut self.handshake);
            self.earlier.push(last);
        }
        self.handshake.hellos += 1;
        if self.handshake.hellos > 1 {
            return None;
        }
        let hello = Arc::<ClientHello>::from(hello);
        self.handshake.random = Some(hello.random);
        self.handshake.hello = Some((ts, frame, Arc::clone(&hello)));
        Some(hello)
    }

    /// Takes a ServerHello in; the final one replaces a HelloRetryRequest.
    pub(crate) fn take_answer(&mut self, answer: Box<ServerHello>) {
        let known = self.handshake.answer.take_if(|known| !known.retry_request);
        self.handshake.answer = Some(known.unwrap_or(answer));
    }

    /// Takes a certificate in.
    pub(crate) fn take_certificate(&mut self, certificate: Box<CertificateFacts>) {
        self.handshake.certificate = Some(certificate);
    }

    /// Takes a request in that frame `frame` completed.
    pub(crate) fn take_request(&mut self, ts: Timestamp, frame: u64, request: Box<HttpRequest>) {
        if self.requests.len() < MAX_WAITING_REQUESTS {
            self.requests.push(Exchange { ts, frame, request, response: None });
        }
    }

    /// Gives the first request without a response this one.
    pub(crate) fn take_response(&mut self, response: Box<HttpResponse>) {
        let waiting = self.requests.iter_mut().find(|request| request.response.is_none());
        if let Some(request) = waiting {
            request.response = Some(response);
        }
    }

    /// Records the handshakes that are complete, or long enough in coming after `bursts`, or at
    /// their last chance, and all requests; each once.
    pub(crate) fn record(
        &mut self,
        identity: &Arc<FlowIdentity>,
        bursts: u32,
        last_chance: LastChance,
        records: &mut Vec<Record>,
    ) {
        let answer = self.handshake.answer.as_ref();
        let answered = answer.is_some_and(|answer| !answer.retry_request);
        let ripe = answered || bursts >= PATIENCE_BURSTS || last_chance == LastChance::Yes;
        let current = ripe.then_some(&mut self.handshake);
        for handshake in self.earlier.iter_mut().chain(current) {
            let Some((ts, frame, hello)) = handshake.hello.take() else { continue };
            records.push(Record::Handshake(Box::new(HandshakeRecord {
                ts,
                frame,
                identity: Arc::clone(identity),
                hello,
                hellos: handshake.hellos,
                answer: handshake.answer.take(),
                certificate: handshake.certificate.take(),
            })));
        }
        self.earlier.clear();
        records.extend(self.requests.drain(..).map(|exchange| {
            Record::Http(Box::new(HttpRecord {
                ts: exchange.ts,
                frame: exchange.frame,
                identity: Arc::clone(identity),
                request: exchange.request,
                response: exchange.response,
            }))
        }));
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
}
