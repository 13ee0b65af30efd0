//! DTLS on one UDP flow: ClientHello, ServerHello and certificate out of its records.
//!
//! Knows DTLS 1.0, 1.2 and 1.3 as far as they are in the clear (RFC 6347; RFC 9147), and the
//! fragments of their messages in any order. It opens nothing encrypted.

mod carrier;
mod record;

use self::record::{Fragment, Fragments, Records};
use crate::assembly::{Assembly, MAX_BYTES};
use crate::facts::{Anomaly, Handshake, Sender};
use crate::hellos::{Carrier, Hellos, MessageType, Report};

pub(crate) use self::carrier::{is_stun, payload};
pub(crate) use self::record::{is_dtls, is_protected};

/// What a flow's DTLS datagrams have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Dtls {
    /// Messages of which a part came, oldest first.
    partial: Vec<Partial>,
    hellos: Hellos,
    answered: bool,
}

/// A message in the making. Its length is part of its name, so that one lying fragment cannot spoil
/// the message.
#[derive(Debug)]
struct Partial {
    from: Sender,
    kind: MessageType,
    sequence: u16,
    length: usize,
    assembly: Assembly,
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
            report.anomaly_of(partial.from, Anomaly::IncompleteHandshake);
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
        if !matches!(fragment.kind, MessageType::CLIENT_HELLO | MessageType::SERVER_HELLO) {
            return false;
        }
        if fragment.length > MAX_BYTES {
            report.anomaly(Anomaly::OversizedHandshake);
            return false;
        }
        if fragment.is_whole() {
            return self.read_message(fragment.kind, fragment.bytes, report);
        }
        let place = self.partial_of(fragment, report.from);
        let Some(partial) = self.partial.get_mut(place) else { return false };
        let inserted = partial.assembly.insert(fragment.offset, fragment.bytes);
        if inserted.conflict {
            report.anomaly(Anomaly::ConflictingHandshakeBytes);
        }
        if inserted.refused {
            report.anomaly(Anomaly::OversizedHandshake);
        }
        if partial.assembly.contiguous() < partial.length {
            return false;
        }
        let whole = self.partial.remove(place);
        let body = whole.assembly.read(0, whole.length).unwrap_or_default();
        self.read_message(whole.kind, &body, report)
    }

    fn read_message(&mut self, kind: MessageType, body: &[u8], report: &mut Report<'_>) -> bool {
        let carrier = Carrier { handshake: Handshake::Dtls, quic_version: None };
        if kind == MessageType::CLIENT_HELLO {
            let is_new = self.hellos.client(carrier, body, report);
            self.answered &= !is_new;
            return is_new;
        }
        self.answered = self.hellos.server(carrier, body, report);
        false
    }

    /// The place of the message that `fragment` belongs to, begun if need be.
    fn partial_of(&mut self, fragment: &Fragment<'_>, from: Sender) -> usize {
        let known = self.partial.iter().position(|partial| partial.is_of(fragment, from));
        known.unwrap_or_else(|| {
            let held: usize = self.partial.iter().map(Partial::held_bytes).sum();
            if self.partial.len() >= MAX_PARTIAL || held > MAX_BYTES {
                self.partial.remove(0);
            }
            self.partial.push(Partial {
                from,
                kind: fragment.kind,
                sequence: fragment.sequence,
                length: fragment.length,
                assembly: Assembly::default(),
            });
            self.partial.len().saturating_sub(1)
        })
    }
}

impl Partial {
    fn is_of(&self, fragment: &Fragment<'_>, from: Sender) -> bool {
        (self.from, self.kind, self.sequence, self.length)
            == (from, fragment.kind, fragment.sequence, fragment.length)
    }

    const fn held_bytes(&self) -> usize {
        size_of::<Self>().saturating_add(self.assembly.held_bytes())
    }
}

/// Messages in the making at once: a hello and its copy with a cookie, for each side.
const MAX_PARTIAL: usize = 4;
