//! Who talks to whom: the five-tuple of one packet, and the direction-free key of its flow.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The transport protocols whose flows are tracked (IANA protocol numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP (6).
    Tcp,
    /// UDP (17).
    Udp,
}

impl Transport {
    /// The IANA protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IP address.
    pub addr: IpAddr,
    /// Transport port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            IpAddr::V4(addr) => write!(f, "{addr}:{}", self.port),
            IpAddr::V6(addr) => write!(f, "[{addr}]:{}", self.port),
        }
    }
}

/// Source, destination and transport as one packet carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// The packet's source.
    pub src: Endpoint,
    /// The packet's destination.
    pub dst: Endpoint,
    /// TCP or UDP.
    pub transport: Transport,
}

impl FiveTuple {
    /// The direction-free key of this packet's flow, and the direction in which it went.
    #[must_use]
    pub fn flow_key(&self, scope: Scope) -> (FlowKey, Direction) {
        let (src, dst) = (as_u128(self.src.addr), as_u128(self.dst.addr));
        let forward = (src, self.src.port) <= (dst, self.dst.port);
        let ((low, low_port), (high, high_port)) = if forward {
            ((src, self.src.port), (dst, self.dst.port))
        } else {
            ((dst, self.dst.port), (src, self.src.port))
        };
        let v4 = self.src.addr.is_ipv4() && self.dst.addr.is_ipv4();
        let meta = u64::from(low_port) << 48
            | u64::from(high_port) << 32
            | u64::from(self.transport.number()) << 24
            | u64::from(v4) << 23
            | u64::from(scope.0 & Scope::MAX);
        let direction = if forward { Direction::Forward } else { Direction::Reverse };
        (FlowKey { low: halves(low), high: halves(high), meta }, direction)
    }

    /// The same packet, seen from the other side.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self { src: self.dst, dst: self.src, transport: self.transport }
    }
}

/// What besides the five-tuple keeps two flows apart: a number for the encapsulation (VLAN, VNI)
/// where the configuration says that it is part of the key; zero otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope(u32);

impl Scope {
    /// The highest scope number: 23 bits of the key hold it.
    pub const MAX: u32 = (1 << 23) - 1;

    /// A scope by number; `None` above [`Scope::MAX`].
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number > Self::MAX { None } else { Some(Self(number)) }
    }
}

/// The direction-free identity of a flow, as integers (40 bytes).
///
/// Endpoints are ordered, so both directions of a five-tuple have one key by construction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// The lower endpoint's address, high half first: a u128 would be aligned to 16 bytes, and the
    /// key take 48.
    low: [u64; 2],
    /// The higher endpoint's address.
    high: [u64; 2],
    /// Low port, high port, protocol, IPv4 flag, scope.
    meta: u64,
}

impl std::hash::Hash for FlowKey {
    /// Five integer writes: byte-slice hashing of the same key measured four times slower.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [[a, b], [c, d]] = [self.low, self.high];
        for word in [a, b, c, d, self.meta] {
            state.write_u64(word);
        }
    }
}

impl FlowKey {
    /// The five-tuple of a packet that goes in `direction`.
    #[must_use]
    pub fn tuple(&self, direction: Direction) -> FiveTuple {
        let v4 = self.meta >> 23 & 1 == 1;
        let [low_hi, low_lo, high_hi, high_lo, protocol, ..] = self.meta.to_be_bytes();
        let low = Endpoint {
            addr: as_addr(whole(self.low), v4),
            port: u16::from_be_bytes([low_hi, low_lo]),
        };
        let high = Endpoint {
            addr: as_addr(whole(self.high), v4),
            port: u16::from_be_bytes([high_hi, high_lo]),
        };
        let transport =
            if protocol == Transport::Tcp.number() { Transport::Tcp } else { Transport::Udp };
        match direction {
            Direction::Forward => FiveTuple { src: low, dst: high, transport },
            Direction::Reverse => FiveTuple { src: high, dst: low, transport },
        }
    }

    /// A number spread evenly over flows, the same in every process: for shares of work, never for
    /// a hash table, since it has no key.
    #[must_use]
    pub fn spread(&self) -> u64 {
        let (low, high) = (whole(self.low), whole(self.high));
        let [a, b] = [low ^ high, low.wrapping_add(high)];
        let folded = a ^ (a >> 64) ^ b.rotate_left(32) ^ (b >> 64);
        // The high half of the product depends on all low bits, the low half on none of the high
        // ones: both together spread every bit.
        let product = u128::from(low_half(folded) ^ self.meta).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        low_half(product ^ (product >> 64))
    }

    /// TCP or UDP.
    #[must_use]
    pub fn transport(&self) -> Transport {
        let [_, _, _, _, protocol, ..] = self.meta.to_be_bytes();
        if protocol == Transport::Tcp.number() { Transport::Tcp } else { Transport::Udp }
    }
}

/// Which way a packet goes, relative to its [`FlowKey`]: forward is from the lower endpoint.
///
/// Who opened the flow is another matter, and may become known later; a flow keeps that as a
/// `Direction` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the key's lower endpoint to the higher.
    Forward,
    /// From the key's higher endpoint to the lower.
    Reverse,
}

impl Direction {
    /// Both directions, for loops.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Reverse];

    /// The opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// One `T` for each direction of a flow, so that no path can update one side and forget the
/// other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerDirection<T> {
    /// State of [`Direction::Forward`].
    pub forward: T,
    /// State of [`Direction::Reverse`].
    pub reverse: T,
}

impl<T> PerDirection<T> {
    /// A pair made by calling `make` for each direction.
    pub fn from_fn(mut make: impl FnMut(Direction) -> T) -> Self {
        Self { forward: make(Direction::Forward), reverse: make(Direction::Reverse) }
    }

    /// The state of `direction`.
    #[must_use]
    pub const fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        }
    }

    /// The state of `direction`, to change.
    pub const fn of_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// The state of `direction` and that of the opposite one, both to change.
    pub const fn split_mut(&mut self, direction: Direction) -> (&mut T, &mut T) {
        match direction {
            Direction::Forward => (&mut self.forward, &mut self.reverse),
            Direction::Reverse => (&mut self.reverse, &mut self.forward),
        }
    }

    /// The same pair through `change`.
    pub fn map<U>(&self, mut change: impl FnMut(&T) -> U) -> PerDirection<U> {
        PerDirection { forward: change(&self.forward), reverse: change(&self.reverse) }
    }
}

/// The low 64 bits.
const fn low_half(bits: u128) -> u64 {
    let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h] = bits.to_be_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The high and the low half.
const fn halves(bits: u128) -> [u64; 2] {
    [low_half(bits >> 64), low_half(bits)]
}

/// The number of these halves, high one first.
fn whole([high, low]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

fn as_u128(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn as_addr(bits: u128, v4: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if v4 => IpAddr::V4(bits.into()),
        _ => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        (any::<IpAddr>(), any::<u16>()).prop_map(|(addr, port)| Endpoint { addr, port })
    }

    fn tuple() -> impl Strategy<Value = FiveTuple> {
        let family = prop_oneof![
            (any::<[u8; 4]>(), any::<[u8; 4]>())
                .prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
            (any::<[u8; 16]>(), any::<[u8; 16]>())
                .prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        ];
        let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
        (family, any::<(u16, u16)>(), transport).prop_map(|((a, b), (p, q), transport)| FiveTuple {
            src: Endpoint { addr: a, port: p },
            dst: Endpoint { addr: b, port: q },
            transport,
        })
    }

    proptest! {
        #[test]
        fn both_directions_share_a_key(tuple in tuple(), scope in 0..=Scope::MAX) {
            let scope = Scope::new(scope).unwrap();
            let (key, direction) = tuple.flow_key(scope);
            let (other, back) = tuple.reversed().flow_key(scope);
            prop_assert_eq!(key, other);
            if tuple.src != tuple.dst {
                prop_assert_eq!(direction.reversed(), back);
            }
        }

        #[test]
        fn the_key_gives_the_tuple_back(tuple in tuple()) {
            let (key, direction) = tuple.flow_key(Scope::default());
            prop_assert_eq!(key.tuple(direction), tuple);
        }

        #[test]
        fn the_spread_is_the_same_both_ways(tuple in tuple()) {
            let spread = |tuple: FiveTuple| tuple.flow_key(Scope::default()).0.spread();
            prop_assert_eq!(spread(tuple), spread(tuple.reversed()));
        }

        #[test]
        fn scopes_keep_flows_apart(tuple in tuple(), a in 0..=Scope::MAX, b in 0..=Scope::MAX) {
            let key = |number| tuple.flow_key(Scope::new(number).unwrap()).0;
            prop_assert_eq!(key(a) == key(b), a == b);
        }

        #[test]
        fn endpoints_print_as_urls_write_them(endpoint in endpoint()) {
            let text = endpoint.to_string();
            prop_assert!(text.parse::<std::net::SocketAddr>().is_ok(), "{}", text);
        }
    }

    #[test]
    fn the_spread_is_even_over_neighbouring_ports() {
        let mut shares = [0u32; 16];
        for port in 0..16_000u16 {
            let src = Endpoint { addr: [10, 0, 0, 1].into(), port: 40_000 + port };
            let dst = Endpoint { addr: [192, 0, 2, 1].into(), port: 443 };
            let tuple = FiveTuple { src, dst, transport: Transport::Tcp };
            let spread = tuple.flow_key(Scope::default()).0.spread();
            shares[usize::try_from(spread % 16).unwrap()] += 1;
        }
        assert!(shares.iter().all(|&share| (800..1200).contains(&share)), "{shares:?}");
    }

    #[test]
    fn scope_numbers_above_the_key_field_are_refused() {
        assert!(Scope::new(Scope::MAX).is_some());
        assert!(Scope::new(Scope::MAX + 1).is_none());
    }
}
