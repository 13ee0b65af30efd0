//! Plans into packets: addresses, ports, DNS before a connection, and the connection itself. Knows
//! no application.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dwell_packet::{Endpoint, FiveTuple, LinkAddresses, MacAddress, Timestamp, Transport};

use super::cast::{DHCP_SERVER, GATEWAY, Mac, RESOLVER};
use super::plan::{Ending, Flow, Interval};
use crate::capture::Capture;
use crate::conversation::{Route, Side};
use crate::dhcp::Lease;
use crate::dns::{self, QueryType};
use crate::frame::{IpFields, header_len, udp_frame};
use crate::random::{Random, seconds};
use crate::templates::{Client, Handshake};
use crate::tls_session::TlsSession;

/// Servers and the handshakes that clients make with them.
pub(super) struct Outside {
    seed: u64,
    addresses: BTreeMap<String, Ipv4Addr>,
    templates: BTreeMap<Client, Vec<Handshake>>,
}

impl Outside {
    /// An outside in which no name has been asked for yet.
    pub(super) fn new(seed: u64) -> Self {
        let templates = Client::ALL.iter().map(|client| (*client, client.templates())).collect();
        Self { seed, addresses: BTreeMap::new(), templates }
    }

    /// The server of a name: a new one for each name, from 198.51.100.0/24 and then
    /// 203.0.113.0/24 (RFC 5737). Names beyond those share the last.
    pub(super) fn address(&mut self, name: &str) -> Ipv4Addr {
        let next = self.addresses.len();
        *self.addresses.entry(name.to_owned()).or_insert_with(|| {
            let low = u8::try_from(next % 250 + 1).unwrap_or(u8::MAX);
            if next < 250 {
                Ipv4Addr::new(198, 51, 100, low)
            } else if next < 500 {
                Ipv4Addr::new(203, 0, 113, low)
            } else {
                Ipv4Addr::new(203, 0, 113, 254)
            }
        })
    }

    /// The path to a server is as long as its name says: the same every time.
    fn round_trip(&self, name: &str) -> Duration {
        Random::of_actor(self.seed, &format!("path to {name}")).seconds_between(0.004, 0.060)
    }

    fn template(&self, client: Client, random: &mut Random) -> Option<&Handshake> {
        random.pick(self.templates.get(&client)?)
    }
}

/// One Mac's side of the wire.
pub(super) struct Player<'a> {
    mac: &'a Mac,
    random: Random,
    next_port: u16,
    asked: BTreeMap<String, Timestamp>,
}

impl<'a> Player<'a> {
    /// The player of `mac`.
    pub(super) fn new(seed: u64, mac: &'a Mac) -> Self {
        let random = Random::of_actor(seed, &format!("wire of {}", mac.name));
        Self { mac, random, next_port: FIRST_PORT, asked: BTreeMap::new() }
    }

    /// Plays the Mac's waking up: it asks for its old address, and says its name.
    pub(super) fn wake(&mut self, capture: &mut Capture) {
        let lease = Lease {
            mac: self.mac.mac,
            address: self.mac.address,
            host_name: &self.mac.name,
            server: DHCP_SERVER,
            transaction: self.random.next_u32(),
        };
        let at = self.mac.awake.from.saturating_sub(BEFORE_FIRST_FLOW);
        let end = |addr: Ipv4Addr, port| Endpoint { addr: addr.into(), port };
        let asked = FiveTuple {
            src: end(Ipv4Addr::UNSPECIFIED, 68),
            dst: end(Ipv4Addr::BROADCAST, 67),
            transport: Transport::Udp,
        };
        let everybody = LinkAddresses { src: self.mac.mac, dst: BROADCAST };
        let ip = IpFields { ttl: 255, id: 0 };
        capture.push(at, udp_frame(everybody, ip, &asked, &lease.request()));
        let answered =
            FiveTuple { src: end(DHCP_SERVER, 67), dst: end(self.mac.address, 68), ..asked };
        let ip = IpFields { ttl: 63, id: 0 };
        let frame = udp_frame(reversed(self.link()), ip, &answered, &lease.acknowledgement());
        capture.push(at.saturating_add(self.random.seconds_between(0.002, 0.030)), frame);
    }

    /// Plays one connection; flows must come in the order in which they open. The client's port
    /// is returned.
    pub(super) fn play(
        &mut self,
        flow: &Flow,
        outside: &mut Outside,
        capture: &mut Capture,
    ) -> Option<u16> {
        let server = outside.address(&flow.server_name);
        let resolved = self.resolve(flow.opens, &flow.server_name, server, capture);
        let port = self.port();
        let route = Route {
            client: Endpoint { addr: self.mac.address.into(), port },
            server: Endpoint { addr: server.into(), port: flow.port },
            link: self.link(),
            round_trip: outside.round_trip(&flow.server_name),
            initial_seq: self.random.next_u32(),
        };
        let template = outside.template(flow.application.client, &mut self.random)?;
        let own = Random::new(self.random.next_u64());
        let named = (template, flow.server_name.as_str());
        let (mut session, ready) = TlsSession::open(resolved, route, named, own, capture);
        let mut free_at = ready;
        for exchange in &flow.exchanges {
            self.keep_alive(flow, (free_at, exchange.at), &mut session, capture);
            let mut exchange = *exchange;
            exchange.at = exchange.at.max(free_at);
            free_at = session.exchange(exchange, capture).saturating_add(BREATH);
        }
        self.keep_alive(flow, (free_at, flow.ends), &mut session, capture);
        let ends = flow.ends.max(free_at);
        match flow.ending {
            Ending::Close(by) => session.close(ends, by, capture),
            Ending::Reset(by) => session.reset(ends, by, capture),
        }
        Some(port)
    }

    /// Plays the media of a call: datagrams both ways, far fewer than a real call has.
    pub(super) fn play_media(
        &mut self,
        during: Interval,
        outside: &mut Outside,
        capture: &mut Capture,
    ) {
        let server = outside.address("relay.hallway.example");
        self.resolve(during.from, "relay.hallway.example", server, capture);
        let tuple = FiveTuple {
            src: Endpoint { addr: self.mac.address.into(), port: self.port() },
            dst: Endpoint { addr: server.into(), port: 3_478 },
            transport: Transport::Udp,
        };
        let sources = [self.random.next_u32(), self.random.next_u32()];
        let times = during.times(|| self.random.seconds_between(4.8, 5.2));
        for (at, sequence) in times.into_iter().zip(0_u16..) {
            for ((side, later), source) in
                [(Side::Client, 0.0), (Side::Server, 0.021)].into_iter().zip(sources)
            {
                let mut payload = rtp_header(sequence, at, source);
                let length = usize::try_from(self.random.below(400) + 600).unwrap_or_default();
                payload.append(&mut self.random.bytes(length));
                let at = at.saturating_add(seconds(later));
                self.push_datagram(at, (side, &tuple), (&payload, MEDIA_KEPT), capture);
            }
        }
    }

    /// Asks for a name unless the answer is still fresh; the time at which it is known.
    fn resolve(
        &mut self,
        at: Timestamp,
        name: &str,
        server: Ipv4Addr,
        capture: &mut Capture,
    ) -> Timestamp {
        if let Some(asked) = self.asked.get(name)
            && at.saturating_since(*asked) < seconds(f64::from(DNS_TTL_S))
        {
            return at;
        }
        self.asked.insert(name.to_owned(), at);
        let mut known = at;
        for (query_type, addresses) in
            [(QueryType::Https, &[][..]), (QueryType::A, &[IpAddr::V4(server)][..])]
        {
            let id = self.random.next_u16();
            let tuple = FiveTuple {
                src: Endpoint { addr: self.mac.address.into(), port: self.port() },
                dst: Endpoint { addr: RESOLVER.into(), port: 53 },
                transport: Transport::Udp,
            };
            let query = dns::query(id, name, query_type);
            self.push_datagram(at, (Side::Client, &tuple), (&query, usize::MAX), capture);
            known = at.saturating_add(self.random.seconds_between(0.001, 0.018));
            let answer = dns::answer(id, name, query_type, addresses, DNS_TTL_S);
            self.push_datagram(known, (Side::Server, &tuple), (&answer, usize::MAX), capture);
        }
        known.saturating_add(BREATH)
    }

    /// Probes for as long as the connection is silent, from the end of one exchange to the start
    /// of the next.
    fn keep_alive(
        &mut self,
        flow: &Flow,
        (from, to): (Timestamp, Timestamp),
        session: &mut TlsSession,
        capture: &mut Capture,
    ) {
        let Some(silence) = flow.keep_alive else { return };
        let silent = Interval { from, to: to.saturating_sub(BEFORE_NEXT) };
        for probe in silent.times(|| silence) {
            session.keep_alive(probe, Side::Client, capture);
        }
    }

    fn push_datagram(
        &self,
        at: Timestamp,
        (side, tuple): (Side, &FiveTuple),
        (payload, kept): (&[u8], usize),
        capture: &mut Capture,
    ) {
        let (tuple, link, ttl) = match side {
            Side::Client => (*tuple, self.link(), 64),
            Side::Server => (tuple.reversed(), reversed(self.link()), 62),
        };
        let frame = udp_frame(link, IpFields { ttl, id: 0 }, &tuple, payload);
        capture.push_cut(at, frame, header_len(&tuple, 0).saturating_add(kept));
    }

    fn link(&self) -> LinkAddresses {
        LinkAddresses { src: self.mac.mac, dst: GATEWAY }
    }

    /// The next ephemeral port, as macOS counts them up.
    fn port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }
}

/// An RTP header (RFC 3550, section 5.1): version 2, dynamic payload type 111, 48 kHz clock.
fn rtp_header(sequence: u16, at: Timestamp, source: u32) -> Vec<u8> {
    let clock = u32::try_from((at.as_nanos() / 20_833) & 0xffff_ffff).unwrap_or_default();
    let mut header = vec![0x80, 111];
    header.extend_from_slice(&sequence.to_be_bytes());
    header.extend_from_slice(&clock.to_be_bytes());
    header.extend_from_slice(&source.to_be_bytes());
    header
}

fn reversed(link: LinkAddresses) -> LinkAddresses {
    LinkAddresses { src: link.dst, dst: link.src }
}

const BROADCAST: MacAddress = MacAddress([0xff; 6]);
/// The lease is confirmed before anything else happens.
const BEFORE_FIRST_FLOW: Duration = Duration::from_millis(2_500);
/// macOS's ephemeral ports (RFC 6335, section 6).
const FIRST_PORT: u16 = 49_152;
const DNS_TTL_S: u32 = 1_800;
/// A host does nothing for this long between two steps.
const BREATH: Duration = Duration::from_micros(400);
/// No keep-alive this close to the next exchange.
const BEFORE_NEXT: Duration = Duration::from_millis(500);
/// Of a media datagram: its RTP header.
const MEDIA_KEPT: usize = 12;
