//! What a UDP flow's datagrams show: QUIC, Google QUIC, DTLS, or none of these.
//!
//! Knows how long to look: each datagram costs fuel by its kind, and a flow that shows nothing soon
//! has none left. It knows neither ports nor time.

use crate::dhcp;
use crate::dns;
use crate::dtls::{self, Dtls};
use crate::facts::{Fact, Observed, Sender};
use crate::hellos::{Report, Told};
use crate::quic::{self, Quic, QuicConnectionIds};

/// What the caller believes to run on a UDP flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatagramProtocol {
    /// Find out: QUIC, Google QUIC or DTLS.
    Detect,
    /// DNS or mDNS in every datagram, as long as the flow lasts; what is none is looked into as
    /// under `Detect`, so that a port hides nothing.
    Dns,
    /// DHCP in every datagram, as long as the flow lasts; what is none is looked into as under
    /// `Detect`.
    Dhcp,
}

/// Facts out of the datagrams of one UDP flow, both directions, in the order of the wire.
///
/// Datagrams may be lost, repeated and out of order. Nothing is allocated until a datagram looks
/// like a known protocol; after that memory is bounded by some 400 KiB however hostile the flow,
/// and is 1 to 6 KiB for real ones.
#[derive(Debug)]
pub struct DatagramInspector {
    protocol: DatagramProtocol,
    quic: Option<Box<Quic>>,
    dtls: Option<Box<Dtls>>,
    told: Told,
    originator_fuel: u16,
    responder_fuel: u16,
}

impl DatagramInspector {
    /// An inspector for a flow of which no datagram was seen.
    #[must_use]
    pub const fn new(protocol: DatagramProtocol) -> Self {
        Self {
            protocol,
            quic: None,
            dtls: None,
            told: Told::new(),
            originator_fuel: FUEL,
            responder_fuel: FUEL,
        }
    }

    /// Appends to `facts` what `datagram`, the payload of one UDP datagram, shows.
    ///
    /// A datagram that starts no handshake costs a few nanoseconds and allocates nothing.
    pub fn inspect(&mut self, from: Sender, datagram: &[u8], facts: &mut Vec<Observed>) {
        if self.protocol == DatagramProtocol::Dns
            && let Some(fact) = dns_fact(datagram)
        {
            facts.push(Observed { from, fact });
            return;
        }
        if self.protocol == DatagramProtocol::Dhcp
            && let Some(message) = dhcp::parse(datagram)
        {
            facts.push(Observed { from, fact: Fact::Dhcp(Box::new(message)) });
            return;
        }
        if *self.fuel(from) == 0 {
            return;
        }
        let mut told = std::mem::take(&mut self.told);
        let mut report = Report { from, facts, told: &mut told };
        let cost = self.look(datagram, &mut report);
        self.told = told;
        match cost {
            Cost::Refill => {
                self.originator_fuel = FUEL;
                self.responder_fuel = FUEL;
            }
            Cost::Fuel(cost) => {
                let fuel = self.fuel(from);
                *fuel = fuel.saturating_sub(cost);
            }
        }
        if self.is_settled() {
            self.originator_fuel = self.originator_fuel.min(FUEL_WHEN_SETTLED);
            self.responder_fuel = self.responder_fuel.min(FUEL_WHEN_SETTLED);
        }
        if self.originator_fuel == 0 && self.responder_fuel == 0 {
            self.finish(facts);
        }
    }

    /// Whether a datagram of `from` could still show something.
    #[must_use]
    pub const fn wants(&self, from: Sender) -> bool {
        match (self.protocol, from) {
            (DatagramProtocol::Dns | DatagramProtocol::Dhcp, _) => true,
            (DatagramProtocol::Detect, Sender::Originator) => self.originator_fuel > 0,
            (DatagramProtocol::Detect, Sender::Responder) => self.responder_fuel > 0,
        }
    }

    /// Appends to `facts` what never came to an end, and lets go of all memory but the connection
    /// IDs. Call it when the flow ends or nobody wants its datagrams; more calls add nothing.
    pub fn finish(&mut self, facts: &mut Vec<Observed>) {
        let mut report = Report { from: Sender::Originator, facts, told: &mut self.told };
        if let Some(quic) = &mut self.quic {
            quic.finish(&mut report);
        }
        if let Some(mut dtls) = self.dtls.take() {
            dtls.finish(&mut report);
        }
        self.originator_fuel = 0;
        self.responder_fuel = 0;
    }

    /// Bytes of heap memory held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let quic = self.quic.as_ref().map_or(0, |quic| quic.held_bytes());
        let dtls = self.dtls.as_ref().map_or(0, |dtls| dtls.held_bytes());
        quic.saturating_add(dtls)
    }

    /// The connection IDs of the newest QUIC connection, once a client's Initial was opened.
    #[must_use]
    pub fn connection_ids(&self) -> Option<QuicConnectionIds> {
        self.quic.as_ref().and_then(|quic| quic.connection_ids())
    }

    /// Whether `datagram` could open a new QUIC connection on a flow that nobody inspects any more.
    /// A few nanoseconds, no state.
    #[must_use]
    pub fn opens_connection(datagram: &[u8]) -> bool {
        quic::looks_like_initial(datagram)
    }

    fn look(&mut self, datagram: &[u8], report: &mut Report<'_>) -> Cost {
        if quic::is_quic(datagram) {
            let quic = self.quic.get_or_insert_default();
            return match quic.inspect(datagram, report) {
                quic::Worth::NewHello => Cost::Refill,
                quic::Worth::Handshake => Cost::Fuel(HANDSHAKE),
                quic::Worth::Unopened => Cost::Fuel(UNOPENED),
                quic::Worth::Later => Cost::Fuel(LATER),
            };
        }
        if dtls::is_dtls(datagram) {
            return self.look_into_dtls(datagram, report);
        }
        let inner = dtls::payload(datagram).filter(|inner| dtls::is_dtls(inner));
        if let Some(inner) = inner {
            return self.look_into_dtls(inner, report);
        }
        let is_later = self.quic.is_some()
            || self.dtls.is_some() && dtls::is_protected(datagram)
            || datagram.is_empty();
        Cost::Fuel(match is_later {
            true => LATER,
            false if dtls::is_stun(datagram) => BEFORE_DTLS,
            false => STRANGE,
        })
    }

    fn look_into_dtls(&mut self, datagram: &[u8], report: &mut Report<'_>) -> Cost {
        match self.dtls.get_or_insert_default().inspect(datagram, report) {
            dtls::Worth::NewHello => Cost::Refill,
            dtls::Worth::Handshake => Cost::Fuel(HANDSHAKE),
            dtls::Worth::Later => Cost::Fuel(LATER),
        }
    }

    fn is_settled(&self) -> bool {
        let quic = self.quic.as_ref().map(|quic| quic.is_settled());
        let dtls = self.dtls.as_ref().map(|dtls| dtls.is_settled());
        match (quic, dtls) {
            (None, None) => false,
            (Some(settled), None) | (None, Some(settled)) => settled,
            (Some(quic), Some(dtls)) => quic && dtls,
        }
    }

    const fn fuel(&mut self, from: Sender) -> &mut u16 {
        match from {
            Sender::Originator => &mut self.originator_fuel,
            Sender::Responder => &mut self.responder_fuel,
        }
    }
}

/// The DNS message that `datagram` is. Anything passes for a DNS header, so QUIC is ruled out first
/// and something must follow the header.
fn dns_fact(datagram: &[u8]) -> Option<Fact> {
    if quic::is_quic(datagram) {
        return None;
    }
    let message = dns::parse(datagram).ok()?;
    let says_something = message.whole || !message.questions.is_empty();
    says_something.then(|| Fact::Dns(Box::new(message)))
}

/// What looking at a datagram takes from its sender's fuel.
#[derive(Clone, Copy, Debug)]
enum Cost {
    /// A new hello: both sides get all fuel back. Hellos of one flow are bounded.
    Refill,
    Fuel(u16),
}

/// Fuel of each side: a hello of 64 KiB takes some sixty datagrams, and each may come four times.
const FUEL: u16 = 256;
/// Fuel left once every hello is answered: a new connection on the same five-tuple that starts
/// within as many datagrams is still seen.
const FUEL_WHEN_SETTLED: u16 = 32;
/// A handshake packet or record.
const HANDSHAKE: u16 = 1;
/// An Initial that does not open costs microseconds; 64 of them may come before the true one.
const UNOPENED: u16 = 4;
/// A protected packet after the handshake: 32 of them say that nothing else will come.
const LATER: u16 = 8;
/// STUN checks before DTLS: calls make some dozens of them.
const BEFORE_DTLS: u16 = 2;
/// A datagram of no known protocol: 16 of them, so that junk first hides nothing.
const STRANGE: u16 = 16;

#[cfg(test)]
mod tests;
