//! One side of a QUIC connection: its CRYPTO stream, and a second one that contradicts it.
//!
//! Knows how the messages of the streams become facts. It opens no packet.

use super::frames::CryptoFrames;
use super::protection::Role;
use super::stream::{CryptoStream, Oversized};
use crate::assembly::Inserted;
use crate::facts::Anomaly;
use crate::hellos::{Carrier, Hellos, MessageType, Report};

/// What one side sent in CRYPTO frames.
///
/// A packet that contradicts what came before is forged, or what came before was: only the peer
/// knows. Its frames, and all that follow, make up a second stream, so that a forged hello never
/// hides the true one; of each byte in a stream the first copy counts.
#[derive(Debug, Default)]
pub(crate) struct Side {
    stream: CryptoStream,
    contradicting: Option<Box<CryptoStream>>,
}

/// How the messages of a side are to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) carrier: Carrier,
    pub(crate) role: Role,
}

/// What the messages read at once were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub(crate) client_hello: bool,
    pub(crate) new_client_hello: bool,
    pub(crate) final_server_hello: bool,
}

impl Side {
    /// Takes in the frames of one packet, at most `room` bytes of them.
    pub(crate) fn insert(
        &mut self,
        frames: &CryptoFrames<'_>,
        room: usize,
        report: &mut Report<'_>,
    ) {
        let contradicts = !self.stream.is_empty()
            && frames.clone().any(|frame| self.stream.disagrees(frame.offset, frame.bytes));
        if contradicts {
            report.anomaly(Anomaly::ConflictingHandshakeBytes);
            insert(self.contradicting.get_or_insert_default(), frames, room, report);
            return;
        }
        insert(&mut self.stream, frames, room, report);
        if let Some(contradicting) = &mut self.contradicting {
            insert(contradicting, frames, room, report);
        }
    }

    /// Reports the messages that are whole by now.
    pub(crate) fn read_messages(
        &mut self,
        exchange: Exchange,
        hellos: &mut Hellos,
        report: &mut Report<'_>,
    ) -> Read {
        let mut read = Read::default();
        exchange.read_messages(&mut self.stream, hellos, report, &mut read);
        if let Some(stream) = self.contradicting.as_deref_mut() {
            exchange.read_messages(stream, hellos, report, &mut read);
        }
        read
    }

    /// The stream itself, the first that came.
    pub(crate) const fn stream(&mut self) -> &mut CryptoStream {
        &mut self.stream
    }

    /// Whether a message has begun and not ended.
    pub(crate) const fn is_partial(&self) -> bool {
        self.stream.is_partial()
    }

    /// Bytes of memory held.
    pub(crate) fn held_bytes(&self) -> usize {
        let contradicting = self.contradicting.as_ref().map_or(0, |stream| stream.held_bytes());
        self.stream.held_bytes().saturating_add(contradicting)
    }
}

impl Exchange {
    fn read_messages(
        self,
        stream: &mut CryptoStream,
        hellos: &mut Hellos,
        report: &mut Report<'_>,
        read: &mut Read,
    ) {
        loop {
            let message = match stream.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(Oversized) => {
                    report.anomaly(Anomaly::OversizedHandshake);
                    return;
                }
            };
            match (self.role, MessageType(message.kind)) {
                (Role::Client, MessageType::CLIENT_HELLO) => {
                    read.client_hello = true;
                    read.new_client_hello |= hellos.client(self.carrier, &message.body, report);
                }
                (Role::Server, MessageType::SERVER_HELLO) => {
                    read.final_server_hello |= hellos.server(self.carrier, &message.body, report);
                }
                (Role::Client | Role::Server, _) => {}
            }
        }
    }
}

/// Puts the frames into `stream`, at most `room` bytes of them.
fn insert(
    stream: &mut CryptoStream,
    frames: &CryptoFrames<'_>,
    mut room: usize,
    report: &mut Report<'_>,
) {
    for frame in frames.clone() {
        let inserted = match room.checked_sub(frame.bytes.len()) {
            Some(left) => {
                room = left;
                stream.insert(frame.offset, frame.bytes)
            }
            None => Inserted { refused: true, ..Inserted::default() },
        };
        if inserted.conflict {
            report.anomaly(Anomaly::ConflictingHandshakeBytes);
        }
        if inserted.refused {
            report.anomaly(Anomaly::OversizedHandshake);
        }
    }
}
