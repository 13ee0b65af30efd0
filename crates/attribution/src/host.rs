//! A host as flows, sessions and records refer to it. Knows no flows and no applications.

use std::net::IpAddr;
use std::sync::Arc;

use dwell_packet::{MacAddress, Timestamp};

use crate::OsGuess;

/// A host's identity: the first address it was seen with, or, where that was another machine's
/// before, the link-local address of its MAC address.
///
/// It never changes while the sensor runs, so that sessions can be keyed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub IpAddr);

/// A host as a flow refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRef {
    /// Its identity.
    pub id: HostId,
    /// The address that the flow uses.
    pub addr: IpAddr,
    /// Its MAC address, if it is on a watched segment.
    pub mac: Option<MacAddress>,
    /// Its operating system.
    pub os: Option<OsGuess>,
    /// How that is known.
    pub os_source: Option<OsSource>,
    /// Its name, if one is known. Printable.
    pub name: Option<Arc<str>>,
    /// Where the name is from.
    pub name_source: Option<HostNameSource>,
    /// Who uses it, by the inventory. Printable.
    pub user: Option<Arc<str>>,
    /// Words for policies, by the inventory. Printable.
    pub tags: Arc<[Arc<str>]>,
    /// Why the address may stand for several machines.
    pub suspected: Option<Suspicion>,
    /// When it was first seen.
    pub first_seen: Timestamp,
}

impl HostRef {
    /// A host of which only the address is known.
    #[must_use]
    pub fn of_address(addr: IpAddr, first_seen: Timestamp) -> Self {
        Self {
            id: HostId(addr.to_canonical()),
            addr,
            mac: None,
            os: None,
            os_source: None,
            name: None,
            name_source: None,
            user: None,
            tags: Arc::default(),
            suspected: None,
            first_seen,
        }
    }

    /// What a person is shown: the name, else the first address.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.as_ref().map_or_else(|| self.id.0.to_string(), |name| name.to_string())
    }
}

/// How a host's operating system is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OsSource {
    /// By the shape of its SYN.
    Syn,
    /// By the options that its DHCP client asks for.
    Dhcp,
    /// By both, which go together.
    SynAndDhcp,
    /// By a TLS stack that is part of one system alone.
    TlsStack,
    /// By an HTTP `User-Agent`, which any program can send.
    UserAgent,
}

impl OsSource {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Dhcp => "dhcp",
            Self::SynAndDhcp => "syn+dhcp",
            Self::TlsStack => "tls_stack",
            Self::UserAgent => "user_agent",
        }
    }
}

/// Where a host's name is from, the most believed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostNameSource {
    /// The site's inventory.
    Inventory,
    /// The host's own DHCP request.
    Dhcp,
    /// The host's own mDNS answer.
    Mdns,
}

impl HostNameSource {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Dhcp => "dhcp",
            Self::Mdns => "mdns",
        }
    }
}

/// Why an address may stand for several machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// SYNs of several operating systems come from it: a NAT, a proxy, or virtual machines.
    SeveralSystems,
    /// TLS stacks of several operating systems speak from behind the SYNs of one: a proxy.
    Proxy,
}

impl Suspicion {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SeveralSystems => "several_systems",
            Self::Proxy => "proxy",
        }
    }
}
