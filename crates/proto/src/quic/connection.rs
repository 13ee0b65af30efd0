//! One QUIC connection attempt: its IDs, Initial keys and CRYPTO streams.
//!
//! Knows which packets it can open and that keys stay those of the client's first connection ID
//! when either side changes IDs or the version (RFC 9001, section 5.2; RFC 9369, section 4). It
//! knows no messages.

use std::ops::Range;

use super::header::{ConnectionId, LongPacket};
use super::protection::{Keys, Role};
use super::side::Side;
use super::version::Version;
use crate::facts::Sender;

/// A connection whose client's Initial was opened.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who opened it.
    pub(crate) client: Sender,
    pub(crate) ids: QuicConnectionIds,
    pub(crate) client_side: Side,
    pub(crate) server_side: Side,
    /// Whether a ClientHello was seen.
    pub(crate) has_hello: bool,
    /// Whether the final ServerHello was seen.
    pub(crate) answered: bool,
    /// Of the client, for the version of its first Initial.
    client_keys: Opener,
    /// Of the server, and of either for another version.
    more_keys: Vec<Opener>,
}

#[derive(Debug)]
struct Opener {
    version: Version,
    role: Role,
    keys: Keys,
}

/// The connection IDs that long headers showed (RFC 9000, section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicConnectionIds {
    /// What the client made up for its first Initial, after a Retry what the Retry gave.
    pub original: ConnectionId,
    /// What the client chose: destination of the server's packets.
    pub client: ConnectionId,
    /// What the server chose: destination of the client's packets, short headers included.
    pub server: Option<ConnectionId>,
}

impl Connection {
    /// The connection that `packet` opens, and where its frames lie in `scratch`.
    ///
    /// `None` unless the keys of its destination ID open it.
    pub(crate) fn begin(
        from: Sender,
        packet: &LongPacket<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<(Self, Range<usize>)> {
        let id = packet.destination;
        let mut keys = Keys::derive(packet.version, id.as_bytes(), Role::Client)?;
        let frames = keys.open(packet, scratch)?;
        let connection = Self {
            client: from,
            ids: QuicConnectionIds { original: id, client: packet.source, server: None },
            client_side: Side::default(),
            server_side: Side::default(),
            has_hello: false,
            answered: false,
            client_keys: Opener { version: packet.version, role: Role::Client, keys },
            more_keys: Vec::new(),
        };
        Some((connection, frames))
    }

    /// Opens `packet` and learns from its header; yields where its frames lie in `scratch`.
    pub(crate) fn open(
        &mut self,
        from: Sender,
        packet: &LongPacket<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let role = self.role(from);
        let frames = self.keys(packet.version, role)?.open(packet, scratch)?;
        let server_id = match role {
            Role::Client if packet.destination == self.ids.original => None,
            Role::Client => Some(packet.destination),
            Role::Server => Some(packet.source),
        };
        self.ids.server = self.ids.server.or(server_id);
        Some(frames)
    }

    /// Whether the connection IDs in `packet` are those of this connection.
    pub(crate) fn owns(&self, from: Sender, packet: &LongPacket<'_>) -> bool {
        match self.role(from) {
            Role::Client => {
                let id = packet.destination;
                id == self.ids.original || Some(id) == self.ids.server
            }
            Role::Server => packet.destination == self.ids.client,
        }
    }

    /// Whether `from` is the client or the server here.
    pub(crate) fn role(&self, from: Sender) -> Role {
        if from == self.client { Role::Client } else { Role::Server }
    }

    /// Whether nothing more is to be learnt.
    pub(crate) const fn is_settled(&self) -> bool {
        self.has_hello && self.answered && !self.client_side.is_partial()
    }

    /// Whether its keys are those that `packet`'s destination ID gives.
    pub(crate) fn has_keys_of(&self, packet: &LongPacket<'_>) -> bool {
        packet.destination == self.ids.original
            && (self.client_keys.version == packet.version
                || self.more_keys.iter().any(|opener| opener.version == packet.version))
    }

    /// Bytes of memory held.
    pub(crate) fn held_bytes(&self) -> usize {
        let openers = self.more_keys.capacity().saturating_mul(size_of::<Opener>());
        let streams = self.client_side.held_bytes().saturating_add(self.server_side.held_bytes());
        size_of::<Self>().saturating_add(openers).saturating_add(streams)
    }

    /// The keys of `role`, derived the first time they are needed.
    fn keys(&mut self, version: Version, role: Role) -> Option<&mut Keys> {
        let wanted = |opener: &Opener| opener.version == version && opener.role == role;
        if wanted(&self.client_keys) {
            return Some(&mut self.client_keys.keys);
        }
        let place = match self.more_keys.iter().position(wanted) {
            Some(place) => place,
            None if self.more_keys.len() < MAX_MORE_KEYS => {
                let keys = Keys::derive(version, self.ids.original.as_bytes(), role)?;
                self.more_keys.reserve_exact(1);
                self.more_keys.push(Opener { version, role, keys });
                self.more_keys.len().checked_sub(1)?
            }
            None => return None,
        };
        self.more_keys.get_mut(place).map(|opener| &mut opener.keys)
    }
}

/// The server's keys, and those of both after compatible negotiation (RFC 9368, section 2.3).
const MAX_MORE_KEYS: usize = 3;
