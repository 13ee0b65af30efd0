//! QUIC on one UDP flow: ClientHello and ServerHello out of Initial packets.
//!
//! Knows versions 1 and 2, drafts 22 to 34, mvfst, and Google QUIC. Several connection attempts on
//! one flow are told apart by their connection IDs. It opens nothing beyond Initial packets.

mod connection;
mod frames;
mod google;
mod header;
mod protection;
#[cfg(test)]
pub(crate) mod seal;
mod side;
mod stream;
#[cfg(test)]
pub(crate) mod vectors;
mod version;

use std::ops::Range;

pub use self::connection::QuicConnectionIds;
pub use self::header::ConnectionId;

use self::connection::Connection;
use self::frames::CryptoFrames;
use self::google::Chlo;
use self::header::{LongHeader, LongPacket, Packets, long_header};
use self::protection::Role;
use self::side::{Exchange, Side};
use self::version::{Dialect, PacketType, Version};
use crate::facts::{Anomaly, Fact, Handshake, Sender};
use crate::hellos::{Carrier, Hellos, Report};

/// What a flow's QUIC datagrams have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Quic {
    /// Oldest first.
    connections: Vec<Connection>,
    /// Initials that no key opened yet: the other side's, or the first one's, may still come.
    orphans: Vec<Orphan>,
    hellos: Hellos,
    google: Vec<Chlo>,
    /// Where packets are opened; freed once nothing is awaited.
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Orphan {
    from: Sender,
    packet: Box<[u8]>,
}

/// What a datagram was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// A hello that was not seen before.
    NewHello,
    /// A part of a handshake, or of what comes with it.
    Handshake,
    /// An Initial that did not open.
    Unopened,
    /// Protected packets after the handshake.
    Later,
}

/// Whether `datagram` begins like one of a QUIC version that is known here.
pub(crate) fn is_quic(datagram: &[u8]) -> bool {
    matches!(long_header(datagram), Some(LongHeader::Known(_)))
        || google::version(datagram).is_some()
}

/// Whether `datagram` could open a QUIC connection: its first packet is a client's Initial by its
/// looks. Costs a few nanoseconds.
pub(crate) fn looks_like_initial(datagram: &[u8]) -> bool {
    let Some(LongHeader::Known(version)) = long_header(datagram) else {
        return google::version(datagram).is_some();
    };
    let first = datagram.first().copied().unwrap_or_default();
    matches!(version.packet_type(first), PacketType::Initial | PacketType::ZeroRtt)
}

impl Quic {
    /// Reports what `datagram` adds.
    pub(crate) fn inspect(&mut self, datagram: &[u8], report: &mut Report<'_>) -> Worth {
        if let Some(version) = google::version(datagram) {
            return self.inspect_google(version, datagram, report);
        }
        let mut worth = Worth::Later;
        for packet in Packets::new(datagram) {
            worth = match packet.kind {
                PacketType::Initial => self.inspect_initial(&packet, report).better(worth),
                PacketType::ZeroRtt | PacketType::Handshake | PacketType::Retry => {
                    Worth::Handshake.better(worth)
                }
            };
        }
        if self.is_settled() {
            self.scratch = Vec::new();
        }
        worth
    }

    /// Reports what never came to an end, and keeps nothing but the connection IDs and keys.
    pub(crate) fn finish(&mut self, report: &mut Report<'_>) {
        for orphan in std::mem::take(&mut self.orphans) {
            report.anomaly_of(orphan.from, Anomaly::UndecryptableInitial);
        }
        // Attempts before the last one were given up by the client itself.
        if let Some(last) = self.connections.last() {
            if last.client_side.is_partial() {
                report.anomaly_of(last.client, Anomaly::IncompleteHandshake);
            }
            if last.server_side.is_partial() {
                report.anomaly_of(last.client.peer(), Anomaly::IncompleteHandshake);
            }
        }
        for connection in &mut self.connections {
            connection.client_side = Side::default();
            connection.server_side = Side::default();
        }
        self.hellos = Hellos::default();
        self.google = Vec::new();
        self.scratch = Vec::new();
    }

    /// Whether every connection seen has got its final ServerHello.
    pub(crate) fn is_settled(&self) -> bool {
        !self.connections.is_empty() && self.connections.iter().all(Connection::is_settled)
    }

    /// The connection IDs of the newest connection.
    pub(crate) fn connection_ids(&self) -> Option<QuicConnectionIds> {
        self.connections.last().map(|connection| connection.ids)
    }

    /// Bytes of memory held.
    pub(crate) fn held_bytes(&self) -> usize {
        let connections: usize = self.connections.iter().map(Connection::held_bytes).sum();
        let orphans: usize = self.orphans.iter().map(|orphan| orphan.packet.len()).sum();
        size_of::<Self>()
            .saturating_add(connections)
            .saturating_add(orphans)
            .saturating_add(self.hellos.held_bytes())
            .saturating_add(self.scratch.capacity())
    }

    fn inspect_initial(&mut self, packet: &LongPacket<'_>, report: &mut Report<'_>) -> Worth {
        let mut scratch = std::mem::take(&mut self.scratch);
        let known = self.connections.len();
        let worth = match self.open(report.from, packet, &mut scratch) {
            Opened::Nothing => Worth::Handshake,
            Opened::Frames(place, frames) => {
                let frames = scratch.get(frames).unwrap_or_default();
                self.read_frames(place, packet.version, frames, report)
            }
            Opened::Failed => {
                self.keep_orphan(packet, report);
                Worth::Unopened
            }
        };
        if self.connections.len() > known && !self.orphans.is_empty() {
            self.retry_orphans(&mut scratch, report);
        }
        self.scratch = scratch;
        worth
    }

    /// Finds the keys that open `packet`: at most one derivation, and one try for each connection.
    fn open(&mut self, from: Sender, packet: &LongPacket<'_>, scratch: &mut Vec<u8>) -> Opened {
        let is_server = self.connections.iter().any(|known| known.client != from);
        for (place, known) in self.connections.iter_mut().enumerate().rev() {
            if known.owns(from, packet) {
                if known.is_settled() {
                    return Opened::Nothing;
                }
                if let Some(frames) = known.open(from, packet, scratch) {
                    return Opened::Frames(place, frames);
                }
            }
        }
        // A client that changes its destination ID either begins anew, with new keys, or follows
        // an ID that the server chose in packets we did not see, with the keys of before.
        if !is_server && let Some(opened) = self.begin(from, packet, scratch) {
            return opened;
        }
        if let Some(opened) = self.open_strange(from, packet, scratch) {
            return opened;
        }
        let begun = if is_server { self.begin(from, packet, scratch) } else { None };
        begun.unwrap_or(Opened::Failed)
    }

    fn begin(
        &mut self,
        from: Sender,
        packet: &LongPacket<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Opened> {
        let mut clients = self.connections.iter().filter(|known| known.client == from);
        if clients.any(|known| known.has_keys_of(packet)) {
            return None;
        }
        let (connection, frames) = Connection::begin(from, packet, scratch)?;
        if self.connections.len() >= MAX_CONNECTIONS {
            self.connections.remove(0);
        }
        // One is the rule, and each is large.
        self.connections.reserve_exact(1);
        self.connections.push(connection);
        Some(Opened::Frames(self.connections.len().checked_sub(1)?, frames))
    }

    /// Tries the connections whose IDs are others than `packet`'s, newest first.
    fn open_strange(
        &mut self,
        from: Sender,
        packet: &LongPacket<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Opened> {
        let connections = self.connections.iter_mut().enumerate().rev();
        connections.filter(|(_, known)| !known.owns(from, packet)).find_map(|(place, known)| {
            known.open(from, packet, scratch).map(|frames| Opened::Frames(place, frames))
        })
    }

    /// Takes in the CRYPTO frames and reports the messages that they complete.
    fn read_frames(
        &mut self,
        place: usize,
        version: Version,
        frames: &[u8],
        report: &mut Report<'_>,
    ) -> Worth {
        let room = MAX_HELD.saturating_sub(self.held_bytes());
        let Some(connection) = self.connections.get_mut(place) else {
            return Worth::Handshake;
        };
        let role = connection.role(report.from);
        let side = match role {
            Role::Client => &mut connection.client_side,
            Role::Server => &mut connection.server_side,
        };
        let dialect = version.dialect();
        side.insert(&CryptoFrames::new(dialect, frames), room, report);
        if dialect == Dialect::GoogleCrypto {
            let chlo = google::parse(&side.stream().start());
            if chlo.is_some() {
                side.stream().end();
            }
            return self.report_google(version.0.to_be_bytes(), chlo, report);
        }
        let carrier = Carrier { handshake: Handshake::Quic, quic_version: Some(version.0) };
        let read = side.read_messages(Exchange { carrier, role }, &mut self.hellos, report);
        connection.has_hello |= read.client_hello;
        connection.answered |= read.final_server_hello;
        if read.new_client_hello { Worth::NewHello } else { Worth::Handshake }
    }

    fn keep_orphan(&mut self, packet: &LongPacket<'_>, report: &mut Report<'_>) {
        if packet.bytes.len() > MAX_ORPHAN || self.orphans.len() >= MAX_ORPHANS {
            report.anomaly(Anomaly::UndecryptableInitial);
            return;
        }
        self.orphans.push(Orphan { from: report.from, packet: packet.bytes.into() });
    }

    /// Tries the Initials that came too early on the connections known by now.
    fn retry_orphans(&mut self, scratch: &mut Vec<u8>, report: &mut Report<'_>) {
        for orphan in std::mem::take(&mut self.orphans) {
            let mut report = Report { from: orphan.from, facts: report.facts, told: report.told };
            let Some(packet) = Packets::new(&orphan.packet).next() else { continue };
            let opened =
                self.connections.iter_mut().enumerate().rev().find_map(|(place, known)| {
                    known.open(orphan.from, &packet, scratch).map(|frames| (place, frames))
                });
            match opened {
                Some((place, frames)) => {
                    let frames = scratch.get(frames).unwrap_or_default();
                    self.read_frames(place, packet.version, frames, &mut report);
                }
                None => report.anomaly(Anomaly::UndecryptableInitial),
            }
        }
    }

    fn inspect_google(
        &mut self,
        version: [u8; 4],
        datagram: &[u8],
        report: &mut Report<'_>,
    ) -> Worth {
        self.report_google(version, google::find(datagram), report)
    }

    /// Reports a CHLO, once for each name and user agent: the full one repeats the inchoate one.
    fn report_google(
        &mut self,
        version: [u8; 4],
        chlo: Option<Chlo>,
        report: &mut Report<'_>,
    ) -> Worth {
        let Some(chlo) = chlo else { return Worth::Handshake };
        if self.google.contains(&chlo) || self.google.len() >= MAX_GOOGLE_HELLOS {
            return Worth::Handshake;
        }
        self.google.push(chlo.clone());
        let Chlo { server_name, user_agent } = chlo;
        let fact = Fact::GoogleQuicHello { server_name, user_agent, version };
        report.fact(fact);
        Worth::NewHello
    }
}

/// What trying the known keys and new ones gave.
enum Opened {
    /// The frames lie there in the scratch, for the connection at that place.
    Frames(usize, Range<usize>),
    /// It belongs to a connection of which all is known; it was not opened.
    Nothing,
    /// No key opens it.
    Failed,
}

impl Worth {
    /// The better of two.
    fn better(self, other: Self) -> Self {
        let rank = |worth: Self| match worth {
            Self::NewHello => 0,
            Self::Unopened => 1,
            Self::Handshake => 2,
            Self::Later => 3,
        };
        if rank(self) <= rank(other) { self } else { other }
    }
}

/// Connection attempts told apart on one flow: the first, after a Version Negotiation, after a
/// Retry, and one more.
const MAX_CONNECTIONS: usize = 4;
/// Initials kept until their keys show: a server's first flight, or the halves of a hello.
const MAX_ORPHANS: usize = 4;
/// Longest Initial kept so: an Ethernet frame's worth, jumbo frames left out.
const MAX_ORPHAN: usize = 2048;
/// Most bytes held for one flow: two hellos as large as are kept at all.
const MAX_HELD: usize = 2 * crate::assembly::MAX_BYTES;
/// Distinct CHLOs reported of one flow.
const MAX_GOOGLE_HELLOS: usize = 4;
