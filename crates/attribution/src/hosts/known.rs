//! What is kept of one address and of one MAC address. Joins neither.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dwell_packet::{MacAddress, Timestamp};

use crate::host::{HostId, OsSource, Suspicion};
use crate::{Os, OsGuess};

/// The operating system by SYN and DHCP, which can tell iOS from macOS; else by a TLS stack that is
/// part of it; else what a `User-Agent` claims.
pub(super) fn system(
    known: &Known,
    first: &Known,
    machine: Option<&MacState>,
) -> (Option<OsGuess>, Option<OsSource>) {
    let syn = known.os.or(first.os);
    let dhcp = machine.and_then(|machine| machine.os);
    let native = known.native_os.or(first.native_os);
    let claimed = known.claimed_os.or(first.claimed_os);
    let weaker = match (native, claimed) {
        (Some(native), _) => Some((native, OsSource::TlsStack)),
        (None, Some(os)) => Some((OsGuess { os, or: None }, OsSource::UserAgent)),
        (None, None) => None,
    };
    match (syn, dhcp, weaker) {
        (Some(syn), Some(dhcp), _) if syn.allows(dhcp) => {
            (Some(OsGuess { os: dhcp, or: None }), Some(OsSource::SynAndDhcp))
        }
        (Some(syn), _, _) => (Some(syn), Some(OsSource::Syn)),
        (None, Some(os), _) => (Some(OsGuess { os, or: None }), Some(OsSource::Dhcp)),
        (None, None, Some((os, source))) => (Some(os), Some(source)),
        (None, None, None) => (None, None),
    }
}

/// Why the address may stand for several machines.
pub(super) fn suspicion(known: &Known, first: &Known) -> Option<Suspicion> {
    let one_sender = known.os.or(first.os).is_some();
    if known.several_systems || first.several_systems {
        Some(Suspicion::SeveralSystems)
    } else if known.several_stacks || first.several_stacks {
        Some(if one_sender { Suspicion::Proxy } else { Suspicion::SeveralSystems })
    } else {
        None
    }
}

/// Whether two guesses can be of one system.
pub(super) fn fit(one: OsGuess, other: OsGuess) -> bool {
    one.allows(other.os) || other.allows(one.os)
}

/// The link-local IPv6 address that a MAC address makes (RFC 4291, appendix A).
pub(super) fn link_local(MacAddress([a, b, c, d, e, f]): MacAddress) -> IpAddr {
    let pair = |high, low| u16::from_be_bytes([high, low]);
    IpAddr::V6(Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        pair(a ^ 2, b),
        pair(c, 0xff),
        pair(0xfe, d),
        pair(e, f),
    ))
}

/// Whether an address is that of one machine.
pub(super) fn names_a_machine(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    !addr.is_unspecified() && !addr.is_multicast() && !broadcast
}

/// One address.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: HostId,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) mac: Option<MacAddress>,
    /// The machine at `mac` says itself that it has this address.
    pub(super) own_mac: bool,
    pub(super) os: Option<OsGuess>,
    pub(super) os_published: bool,
    pub(super) claimed_os: Option<Os>,
    /// By a TLS stack.
    pub(super) native_os: Option<OsGuess>,
    /// SYNs of several systems came from here.
    pub(super) several_systems: bool,
    /// Hellos of stacks of several systems came from here.
    pub(super) several_stacks: bool,
    pub(super) name: Option<Arc<str>>,
}

impl Known {
    pub(super) const fn new(id: HostId, now: Timestamp, mac: Option<MacAddress>) -> Self {
        Self {
            id,
            first_seen: now,
            last_seen: now,
            mac,
            own_mac: false,
            os: None,
            os_published: false,
            claimed_os: None,
            native_os: None,
            several_systems: false,
            several_stacks: false,
            name: None,
        }
    }
}

/// One MAC address.
#[derive(Debug)]
pub(super) struct MacState {
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) router: bool,
    pub(super) host: Option<HostId>,
    pub(super) v4: Option<IpAddr>,
    pub(super) v4_seen: Option<Timestamp>,
    /// New addresses that the machine claimed for itself, since when.
    pub(super) claims: u8,
    pub(super) claims_since: Timestamp,
    /// By DHCP.
    pub(super) name: Option<Arc<str>>,
    pub(super) os: Option<Os>,
}

impl MacState {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            first_seen: now,
            last_seen: now,
            router: false,
            host: None,
            v4: None,
            v4_seen: None,
            claims: 0,
            claims_since: now,
            name: None,
            os: None,
        }
    }
}
