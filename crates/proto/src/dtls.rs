//! DTLS on one UDP flow: ClientHello, ServerHello and certificate out of its records.
//!
//! Knows DTLS 1.0, 1.2 and 1.3 as far as they are in the clear (RFC 6347; RFC 9147), and the
//! fragments of their messages in any order. It opens nothing encrypted.

mod carrier;
mod record;

use self::record::{Fragment, Fragments, Records};
use crate::assembly::{Assembly, MAX_BYTES};
use crate::certificate;
use crate::facts::{Anomaly, Fact, Handshake, Sender};
use crate::hellos::{Carrier, Hellos, MessageType, Report};

pub(crate) use self::carrier::{is_stun, payload};
pub(crate) use self::record::{is_dtls, is_protected};

/// What a flow's DTLS datagrams have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Dtls {
    /// Messages of which a part came, oldest first.
    partial: Vec<Partial>,
    /// The last messages that were whole: a repeated fragment of one is not a message begun.
    whole: [Option<Name>; MAX_PARTIAL],
    hellos: Hellos,
    /// Who answers, once a hello told.
    server: Option<Sender>,
    answered: bool,
    has_certificate: bool,
}

/// A message in the making.
#[derive(Debug)]
struct Partial {
    name: Name,
    assembly: Assembly,
}

/// What tells messages apart. The length is part of it, so that one lying fragment cannot spoil the
/// message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    from: Sender,
    kind: MessageType,
    sequence: u16,
    length: usize,
}

/// What a datagram was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// A hello that was not seen before.
    NewHello,
    /// A handshake record in the clear.
    Handshake,
    /// Protected records, or none that is of use.
    Later,
}

impl Dtls {
    /// Reports what `datagram` adds.
    pub(crate) fn inspect(&mut self, datagram: &[u8], report: &mut Report<'_>) -> Worth {
        let mut worth = Worth::Later;
        for record in Records::new(datagram).filter(record::Record::is_plain_handshake) {
            if worth == Worth::Later {
                worth = Worth::Handshake;
            }
            for fragment in Fragments::new(record.body) {
                if self.read_fragment(&fragment, report) {
                    worth = Worth::NewHello;
                }
            }
        }
        worth
    }

    /// Reports what never came to an end.
    pub(crate) fn finish(&mut self, report: &mut Report<'_>) {
        for partial in std::mem::take(&mut self.partial) {
            if !self.whole.contains(&Some(partial.name)) {
                report.anomaly_of(partial.name.from, Anomaly::IncompleteHandshake);
            }
        }
    }

    /// Whether a final ServerHello was seen.
    pub(crate) const fn is_settled(&self) -> bool {
        self.answered
    }

    /// Bytes of memory held.
    pub(crate) fn held_bytes(&self) -> usize {
        let partial: usize = self.partial.iter().map(Partial::held_bytes).sum();
        size_of::<Self>().saturating_add(partial).saturating_add(self.hellos.held_bytes())
    }

    /// Whether the fragment completes a ClientHello that was not seen before.
    fn read_fragment(&mut self, fragment: &Fragment<'_>, report: &mut Report<'_>) -> bool {
        if !self.awaits(fragment.kind, report.from) {
            return false;
        }
        if fragment.length > MAX_BYTES {
            report.anomaly(Anomaly::OversizedHandshake);
            return false;
        }
        let Fragment { kind, sequence, length, .. } = *fragment;
        let name = Name { from: report.from, kind, sequence, length };
        let (fits, contradicts) = self.fit(name, fragment);
        if contradicts {
            report.anomaly(Anomaly::ConflictingHandshakeBytes);
        }
        if !fits && fragment.is_whole() {
            return self.read_message(name, fragment.bytes, report);
        }
        if fragment.bytes.is_empty() {
            return false;
        }
        if !fits {
            self.begin(name);
        }
        let mut is_new = false;
        for body in self.insert(name, fragment, report) {
            is_new |= self.read_message(name, &body, report);
        }
        is_new
    }

    /// Whether `fragment` fits a message in the making, and whether it contradicts one.
    ///
    /// Of fragments that contradict each other only the peer knows which is forged, so a second
    /// message of the same name is begun and none hides the other.
    fn fit(&self, name: Name, fragment: &Fragment<'_>) -> (bool, bool) {
        let same = self.partial.iter().filter(|partial| partial.name == name);
        same.fold((false, false), |(fits, contradicts), partial| {
            let disagrees = partial.assembly.disagrees(fragment.offset, fragment.bytes);
            (fits | !disagrees, contradicts | disagrees)
        })
    }

    /// Adds `fragment` to each message in the making that it fits; yields those made whole by it.
    fn insert(
        &mut self,
        name: Name,
        fragment: &Fragment<'_>,
        report: &mut Report<'_>,
    ) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        self.partial.retain_mut(|partial| {
            let assembly = &mut partial.assembly;
            if partial.name != name || assembly.disagrees(fragment.offset, fragment.bytes) {
                return true;
            }
            if assembly.insert(fragment.offset, fragment.bytes).refused {
                report.anomaly(Anomaly::OversizedHandshake);
            }
            if assembly.contiguous() < name.length {
                return true;
            }
            bodies.extend(assembly.read(0, name.length).map(|body| body.into_owned()));
            false
        });
        bodies
    }

    /// Whether a message of that kind is of use. Certificates are, once for each hello, from the
    /// server; in DTLS 1.3 they are encrypted.
    fn awaits(&self, kind: MessageType, from: Sender) -> bool {
        match kind {
            MessageType::CLIENT_HELLO | MessageType::SERVER_HELLO => true,
            MessageType::CERTIFICATE => !self.has_certificate && self.server == Some(from),
            MessageType(_) => false,
        }
    }

    fn read_message(&mut self, name: Name, body: &[u8], report: &mut Report<'_>) -> bool {
        let carrier = Carrier { handshake: Handshake::Dtls, quic_version: None };
        self.whole.rotate_right(1);
        if let Some(newest) = self.whole.first_mut() {
            *newest = Some(name);
        }
        match name.kind {
            MessageType::CLIENT_HELLO => {
                let is_new = self.hellos.client(carrier, body, report);
                if is_new {
                    self.server = Some(report.from.peer());
                    self.answered = false;
                    self.has_certificate = false;
                }
                return is_new;
            }
            MessageType::SERVER_HELLO => {
                self.server = Some(report.from);
                self.answered = self.hellos.server(carrier, body, report);
            }
            MessageType::CERTIFICATE => {
                self.has_certificate = true;
                match certificate::leaf(body) {
                    Ok(Some(leaf)) => report.fact(Fact::Certificate(Box::new(leaf))),
                    Ok(None) => {}
                    Err(_) => report.anomaly(Anomaly::MalformedCertificate),
                }
            }
            MessageType(_) => {}
        }
        false
    }

    /// Begins a message; the oldest gives way.
    fn begin(&mut self, name: Name) {
        let held: usize = self.partial.iter().map(Partial::held_bytes).sum();
        if self.partial.len() >= MAX_PARTIAL || held > MAX_BYTES {
            self.partial.remove(0);
        }
        self.partial.push(Partial { name, assembly: Assembly::default() });
    }
}

impl Partial {
    const fn held_bytes(&self) -> usize {
        size_of::<Self>().saturating_add(self.assembly.held_bytes())
    }
}

/// Messages in the making at once: a hello and its copy with a cookie, for each side.
const MAX_PARTIAL: usize = 4;
