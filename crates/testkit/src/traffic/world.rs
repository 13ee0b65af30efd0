//! Who talks to whom: hosts and destinations by number, and the handshakes that they use. Every
//! name is under `.example` (RFC 2606); addresses are private, for documentation or for benchmarks
//! (RFC 1918, RFC 3849, RFC 2544). Knows no timing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use dwell_packet::{Endpoint, FiveTuple, LinkAddresses, MacAddress, Transport};

use crate::conversation::{Route, Side};
use crate::quic::QuicHandshake;
use crate::random::Random;
use crate::templates::{Client, Handshake};

/// What all flows share.
#[derive(Debug)]
pub(super) struct World {
    handshakes: Vec<Handshake>,
    quic: Option<QuicHandshake>,
}

impl World {
    pub(super) fn new() -> Self {
        let handshakes = Client::ALL.into_iter().flat_map(Client::templates).collect();
        let pcap = include_bytes!("../../../../pcaps/chromium-quic.pcap");
        Self { handshakes, quic: QuicHandshake::in_capture(pcap) }
    }

    /// Chromium's handshake over QUIC.
    pub(super) const fn quic_handshake(&self) -> Option<&QuicHandshake> {
        self.quic.as_ref()
    }

    /// A handshake by any number: the same number gives the same.
    pub(super) fn handshake(&self, number: u64) -> Option<&Handshake> {
        let count = u64::try_from(self.handshakes.len()).ok()?;
        self.handshakes.get(usize::try_from(number.checked_rem(count)?).ok()?)
    }
}

/// One host and one destination of its.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) host: u64,
    pub(super) destination: u64,
    v6: bool,
    client_port: u16,
}

impl Pair {
    /// Hosts are alike; destinations are not: half of all flows go to an eighth of them.
    pub(super) fn random(random: &mut Random) -> Self {
        let skewed = random.below(DESTINATIONS).min(random.below(DESTINATIONS));
        let destination = skewed.min(random.below(DESTINATIONS));
        let port = random.below(u64::from(u16::MAX - FIRST_PORT));
        Self {
            host: random.below(HOSTS),
            destination,
            v6: random.chance(V6_SHARE),
            client_port: FIRST_PORT.saturating_add(u16::try_from(port).unwrap_or_default()),
        }
    }

    /// The destination's name.
    pub(super) fn name(&self) -> String {
        let kind = ["www", "api", "cdn", "img", "static", "sync", "mail", "video"];
        let at = usize::try_from(self.destination % 8).unwrap_or_default();
        let kind = kind.get(at).copied().unwrap_or_default();
        format!("{kind}.site-{}.example", self.destination / 8)
    }

    /// The way to the destination's `port`.
    pub(super) fn route(&self, port: u16, random: &mut Random) -> Route {
        Route {
            client: Endpoint { addr: self.host_address(), port: self.client_port },
            server: Endpoint { addr: self.destination_address(), port },
            link: self.link(),
            round_trip: random.log_normal_seconds(0.022, 0.7).max(Duration::from_micros(400)),
            initial_seq: random.next_u32(),
        }
    }

    /// The way to the resolver.
    pub(super) fn resolver_route(&self, random: &mut Random) -> Route {
        let addr = if self.v6 { RESOLVER_V6.into() } else { RESOLVER.into() };
        let server = Endpoint { addr, port: 53 };
        Route { server, ..self.route(53, random) }
    }

    /// The destination's address, as a resolver tells it.
    pub(super) fn destination_address(&self) -> IpAddr {
        let number = u32::try_from(self.destination).unwrap_or_default();
        if self.v6 {
            Ipv6Addr::from_bits(DESTINATIONS_V6 | u128::from(number)).into()
        } else {
            Ipv4Addr::from_bits(DESTINATIONS_V4 | number).into()
        }
    }

    fn host_address(&self) -> IpAddr {
        let number = u32::try_from(self.host).unwrap_or_default();
        if self.v6 {
            Ipv6Addr::from_bits(HOSTS_V6 | u128::from(number)).into()
        } else {
            Ipv4Addr::from_bits(HOSTS_V4 | number).into()
        }
    }

    fn link(&self) -> LinkAddresses {
        let [.., high, low] = self.host.to_be_bytes();
        LinkAddresses { src: MacAddress([2, 0, 0, 1, high, low]), dst: GATEWAY }
    }
}

/// The five-tuple and the MAC addresses of a datagram from one side.
pub(super) const fn datagram(route: &Route, from: Side) -> (FiveTuple, LinkAddresses) {
    let tuple = FiveTuple { transport: Transport::Udp, ..route.tuple(from) };
    (tuple, route.link(from))
}

const HOSTS: u64 = 2_000;
const DESTINATIONS: u64 = 16_000;
const V6_SHARE: f64 = 0.25;
/// Ephemeral ports (RFC 6335, section 6).
const FIRST_PORT: u16 = 49_152;
const GATEWAY: MacAddress = MacAddress([2, 0, 0x5e, 0, 0, 1]);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);
const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
/// 10.1.0.0.
const HOSTS_V4: u32 = 0x0a01_0000;
/// 198.18.0.0, of /15.
const DESTINATIONS_V4: u32 = 0xc612_0000;
/// 2001:db8:1::.
const HOSTS_V6: u128 = 0x2001_0db8_0001 << 80;
/// 2001:db8:2::.
const DESTINATIONS_V6: u128 = 0x2001_0db8_0002 << 80;
