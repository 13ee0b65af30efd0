//! Small packets: names asked for, calls, messages over plain TCP. Knows nothing of the other
//! flows.

use std::time::Duration;

use dwell_packet::Timestamp;

use crate::capture::Capture;
use crate::conversation::{Conversation, Keep, Route, Side};
use crate::dns::{self, QueryType};
use crate::frame::{IpFields, udp_frame};
use crate::random::Random;

use super::actor::Script;
use super::world::{Pair, World, datagram};

/// A question to the resolver and its answer.
#[derive(Debug)]
pub(super) struct Lookup {
    pair: Pair,
    random: Random,
}

impl Lookup {
    pub(super) const fn new(pair: Pair, random: Random) -> Self {
        Self { pair, random }
    }
}

impl Script for Lookup {
    fn act(&mut self, at: Timestamp, _: &World, capture: &mut Capture) -> Option<Timestamp> {
        let route = self.pair.resolver_route(&mut self.random);
        let (id, name) = (self.random.next_u16(), self.pair.name());
        let address = self.pair.destination_address();
        let kind = if address.is_ipv4() { QueryType::A } else { QueryType::Aaaa };
        let answered = at.saturating_add(self.random.log_normal_seconds(0.006, 0.9));
        for (at, from, payload) in [
            (at, Side::Client, dns::query(id, &name, kind)),
            (answered, Side::Server, dns::answer(id, &name, kind, &[address], 300)),
        ] {
            let (tuple, link) = datagram(&route, from);
            capture.push(at, udp_frame(link, IpFields::default(), &tuple, &payload));
        }
        None
    }

    fn retransmits(&self) -> bool {
        false
    }
}

/// Datagrams both ways at a steady pace, as calls and games send.
#[derive(Debug)]
pub(super) struct Calls {
    pair: Pair,
    random: Random,
    route: Option<Route>,
    /// Datagrams still to come from each side.
    left: u64,
    every: Duration,
    /// Least and most payload bytes.
    size: (u64, u64),
    sequence: u16,
}

impl Calls {
    /// Up to a minute and a half of video.
    pub(super) fn video(pair: Pair, mut random: Random) -> Self {
        let left = 40 + random.below(120);
        let size = (500, 1_200);
        let every = Duration::from_millis(30);
        Self { pair, random, route: None, left, every, size, sequence: 0 }
    }

    /// Some seconds of speech, or of a game.
    pub(super) fn voice(pair: Pair, mut random: Random) -> Self {
        let left = 5 + random.below(40);
        let size = (20, 160);
        let every = Duration::from_millis(20 + random.below(40));
        Self { pair, random, route: None, left, every, size, sequence: 0 }
    }
}

impl Script for Calls {
    fn act(&mut self, at: Timestamp, _: &World, capture: &mut Capture) -> Option<Timestamp> {
        let random = &mut self.random;
        let route = *self.route.get_or_insert_with(|| self.pair.route(CALL_PORT, random));
        self.left = self.left.checked_sub(1)?;
        self.sequence = self.sequence.wrapping_add(1);
        for (after, from) in [(Duration::ZERO, Side::Client), (self.every / 3, Side::Server)] {
            let (least, most) = self.size;
            let length = usize::try_from(least + random.below(most - least)).unwrap_or_default();
            let mut payload = RTP.to_vec();
            payload.extend_from_slice(&self.sequence.to_be_bytes());
            payload.append(&mut random.bytes(length.saturating_sub(payload.len())));
            let (tuple, link) = datagram(&route, from);
            let frame = udp_frame(link, IpFields::default(), &tuple, &payload);
            capture.push(at.saturating_add(after), frame);
        }
        Some(at.saturating_add(self.every.mul_f64(random.between(0.8, 1.2))))
    }

    fn retransmits(&self) -> bool {
        false
    }
}

/// Short messages over TCP, from either side.
#[derive(Debug)]
pub(super) struct Chat {
    pair: Pair,
    random: Random,
    connection: Option<Conversation>,
    left: u64,
}

impl Chat {
    pub(super) fn new(pair: Pair, mut random: Random) -> Self {
        let left = 2 + random.below(28);
        Self { pair, random, connection: None, left }
    }
}

impl Script for Chat {
    fn act(&mut self, at: Timestamp, _: &World, capture: &mut Capture) -> Option<Timestamp> {
        let random = &mut self.random;
        let Some(connection) = &mut self.connection else {
            let route = self.pair.route(CHAT_PORT, random);
            let (connection, ready) = Conversation::open(at, route, capture);
            self.connection = Some(connection);
            return Some(ready);
        };
        if self.left == 0 {
            let by = if random.chance(0.5) { Side::Client } else { Side::Server };
            self.connection.take()?.close(at, by, capture);
            return None;
        }
        self.left -= 1;
        let from = if random.chance(0.5) { Side::Client } else { Side::Server };
        let length = usize::try_from(1 + random.below(140)).unwrap_or_default();
        let message = random.bytes(length);
        let last = connection.send(at, from, (&message, Keep::Whole), capture);
        connection.settle(last, capture);
        let pause = connection.route().round_trip + random.log_normal_seconds(0.4, 1.0);
        Some(last.saturating_add(pause))
    }

    fn retransmits(&self) -> bool {
        true
    }
}

/// RTP version 2, payload type 111 (RFC 3550, section 5.1).
const RTP: [u8; 2] = [0x80, 111];
const CALL_PORT: u16 = 3_478;
/// XMPP without TLS.
const CHAT_PORT: u16 = 5_222;
