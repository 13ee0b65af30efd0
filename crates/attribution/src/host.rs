//! Hosts: which addresses are one machine. Knows no flows and no applications.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dwell_packet::{MacAddress, Timestamp};
use hashbrown::HashMap;

use crate::{LocalNetworks, OsGuess};

/// A host's identity: the first address it was seen with.
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
    /// Its operating system by its SYN.
    pub os: Option<OsGuess>,
    /// Its name, if one is known. Printable.
    pub name: Option<Arc<str>>,
    /// When it was first seen.
    pub first_seen: Timestamp,
}

impl HostRef {
    /// A host of which only the address is known.
    #[must_use]
    pub fn of_address(addr: IpAddr, first_seen: Timestamp) -> Self {
        let id = HostId(addr.to_canonical());
        Self { id, addr, mac: None, os: None, name: None, first_seen }
    }

    /// What a person is shown: the name, else the first address.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.as_ref().map_or_else(|| self.id.0.to_string(), |name| name.to_string())
    }
}

/// Bounds and local networks of [`Hosts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsConfig {
    /// Which addresses can be hosts of the site.
    pub local: LocalNetworks,
    /// Most addresses kept; further ones are hosts without memory, and counted.
    pub max_addresses: usize,
}

impl Default for HostsConfig {
    fn default() -> Self {
        Self { local: LocalNetworks::default(), max_addresses: DEFAULT_MAX_ADDRESSES }
    }
}

/// The hosts seen so far, by address and by MAC.
///
/// A MAC address stands for one machine until it shows a remote address, or a second IPv4 address
/// while the first is in use: then it is a router (or a bridge), and only addresses count. An IPv6
/// address joins the host of its MAC once the MAC has been in use for a minute without showing
/// itself a router. Joined addresses stay joined.
#[derive(Debug)]
pub struct Hosts {
    config: HostsConfig,
    addresses: HashMap<IpAddr, Known, foldhash::fast::RandomState>,
    macs: HashMap<MacAddress, MacState, foldhash::fast::RandomState>,
    refused: u64,
}

impl Hosts {
    /// No hosts yet.
    #[must_use]
    pub fn new(config: HostsConfig) -> Self {
        Self { config, addresses: HashMap::default(), macs: HashMap::default(), refused: 0 }
    }

    /// Whether `addr` belongs to the site.
    #[must_use]
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.config.local.contains(addr)
    }

    /// Takes note that `addr` sent a frame from `mac`, and gives the host that it is.
    ///
    /// Call it once a flow, in packet order, for the sender of a flow's first packet and for the
    /// sender of its first answer: the latter is how routers show.
    pub fn observe(&mut self, now: Timestamp, addr: IpAddr, mac: Option<MacAddress>) -> HostRef {
        let addr = addr.to_canonical();
        let local = self.is_local(addr);
        // A machine without an address yet (DHCP) says nothing of its MAC, least of all that it is
        // a router's.
        let mac = mac.filter(|mac| !mac.is_group() && names_a_machine(addr));
        let joined = mac.and_then(|mac| self.note_mac(now, mac, addr, local));
        if let Some(known) = self.addresses.get_mut(&addr) {
            known.last_seen = known.last_seen.max(now);
            if known.mac.is_none() && local {
                known.mac = mac;
            }
        } else if !local {
            return HostRef::of_address(addr, now);
        } else if self.addresses.len() < self.config.max_addresses {
            let id = joined.unwrap_or(HostId(addr));
            self.addresses.insert(addr, Known::new(id, now, mac));
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        self.host(now, addr)
    }

    /// The host of `addr` as known now.
    #[must_use]
    pub fn host(&self, now: Timestamp, addr: IpAddr) -> HostRef {
        let addr = addr.to_canonical();
        let Some(known) = self.addresses.get(&addr) else {
            return HostRef::of_address(addr, now);
        };
        let first = self.addresses.get(&known.id.0).unwrap_or(known);
        HostRef {
            id: known.id,
            addr,
            mac: known.mac.filter(|mac| self.macs.get(mac).is_some_and(|state| !state.router)),
            os: known.os.or(first.os),
            name: first.name.clone().or_else(|| known.name.clone()),
            first_seen: first.first_seen.min(known.first_seen),
        }
    }

    /// Takes note of the operating system that `addr`'s SYN shows. The first guess stays.
    pub fn note_os(&mut self, addr: IpAddr, os: OsGuess) {
        if let Some(known) = self.addresses.get_mut(&addr.to_canonical()) {
            known.os.get_or_insert(os);
        }
    }

    /// Takes note of a name for `addr` (DHCP, mDNS, inventory); it must be printable already.
    pub fn note_name(&mut self, addr: IpAddr, name: Arc<str>) {
        if let Some(known) = self.addresses.get_mut(&addr.to_canonical()) {
            known.name = Some(name);
        }
    }

    /// How many addresses are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether no address is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// How many observations found the table full.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Learns from a frame's sender; gives the host that a new address of it joins.
    fn note_mac(
        &mut self,
        now: Timestamp,
        mac: MacAddress,
        addr: IpAddr,
        local: bool,
    ) -> Option<HostId> {
        let full = self.macs.len() >= self.config.max_addresses;
        let state = match self.macs.get_mut(&mac) {
            Some(state) => state,
            None if full => return None,
            None => self.macs.entry(mac).or_insert(MacState::new(now)),
        };
        if !local {
            state.router = true;
        }
        if state.router {
            return None;
        }
        if addr.is_ipv4() {
            let in_use =
                state.v4_seen.is_some_and(|seen| now.saturating_since(seen) < ADDRESS_IN_USE);
            if state.v4.is_some_and(|known| known != addr) && in_use {
                state.router = true;
                return None;
            }
            state.v4 = Some(addr);
            state.v4_seen = Some(now);
        }
        let host = *state.host.get_or_insert(HostId(addr));
        let proven = now.saturating_since(state.first_seen) >= ROUTER_SHOWS_WITHIN;
        (addr.is_ipv6() && proven || host.0 == addr).then_some(host)
    }
}

/// Whether an address is that of one machine.
fn names_a_machine(addr: IpAddr) -> bool {
    let broadcast = matches!(addr, IpAddr::V4(v4) if v4.is_broadcast());
    !addr.is_unspecified() && !addr.is_multicast() && !broadcast
}

#[derive(Debug)]
struct Known {
    id: HostId,
    first_seen: Timestamp,
    last_seen: Timestamp,
    mac: Option<MacAddress>,
    os: Option<OsGuess>,
    name: Option<Arc<str>>,
}

impl Known {
    const fn new(id: HostId, now: Timestamp, mac: Option<MacAddress>) -> Self {
        Self { id, first_seen: now, last_seen: now, mac, os: None, name: None }
    }
}

#[derive(Debug)]
struct MacState {
    first_seen: Timestamp,
    router: bool,
    host: Option<HostId>,
    v4: Option<IpAddr>,
    v4_seen: Option<Timestamp>,
}

impl MacState {
    const fn new(now: Timestamp) -> Self {
        Self { first_seen: now, router: false, host: None, v4: None, v4_seen: None }
    }
}

/// Addresses of a site of 100,000 machines with both families: about 30 MB.
const DEFAULT_MAX_ADDRESSES: usize = 262_144;

/// An IPv4 address silent for longer may have been exchanged for another by DHCP.
const ADDRESS_IN_USE: Duration = Duration::from_secs(3600);

/// A router passes traffic of two machines within this time, or hardly passes any.
const ROUTER_SHOWS_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Os;

    const LAPTOP: MacAddress = MacAddress([0x3c, 0x22, 0xfb, 0, 0, 1]);
    const ROUTER: MacAddress = MacAddress([0x00, 0x1b, 0x21, 0, 0, 9]);

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn a_machine_on_the_segment_has_its_mac_and_both_families() {
        let mut hosts = Hosts::new(HostsConfig::default());
        let v4 = hosts.observe(at(0), addr("10.0.0.5"), Some(LAPTOP));
        let v6 = hosts.observe(at(100), addr("fd00::5"), Some(LAPTOP));
        assert_eq!(v4.mac, Some(LAPTOP));
        assert_eq!(v6.id, v4.id);
        assert_eq!(v6.id, HostId(addr("10.0.0.5")));
    }

    #[test]
    fn asking_for_an_address_makes_no_router() {
        let mut hosts = Hosts::new(HostsConfig::default());
        hosts.observe(at(0), addr("0.0.0.0"), Some(LAPTOP));
        hosts.observe(at(0), addr("255.255.255.255"), Some(MacAddress([0xff; 6])));
        let host = hosts.observe(at(1), addr("10.0.0.5"), Some(LAPTOP));
        assert_eq!(host.mac, Some(LAPTOP));
    }

    #[test]
    fn a_router_lends_its_mac_to_nobody() {
        let mut hosts = Hosts::new(HostsConfig::default());
        hosts.observe(at(0), addr("10.0.0.5"), Some(ROUTER));
        hosts.observe(at(1), addr("198.51.100.1"), Some(ROUTER));
        let other = hosts.observe(at(200), addr("fd00::7"), Some(ROUTER));
        assert_eq!(other.id, HostId(addr("fd00::7")));
        assert_eq!(other.mac, None);
        assert_eq!(hosts.host(at(300), addr("10.0.0.5")).mac, None);
    }

    #[test]
    fn two_addresses_in_use_behind_one_mac_are_two_hosts() {
        let mut hosts = Hosts::new(HostsConfig::default());
        let a = hosts.observe(at(0), addr("10.0.0.5"), Some(ROUTER));
        let b = hosts.observe(at(5), addr("10.0.0.6"), Some(ROUTER));
        assert_ne!(a.id, b.id);
        assert_eq!(b.mac, None);
    }

    #[test]
    fn a_lease_exchanged_after_hours_leaves_the_mac_a_machine() {
        let mut hosts = Hosts::new(HostsConfig::default());
        hosts.observe(at(0), addr("10.0.0.5"), Some(LAPTOP));
        let b = hosts.observe(at(90_000), addr("10.0.0.6"), Some(LAPTOP));
        assert_eq!(b.mac, Some(LAPTOP));
    }

    #[test]
    fn remote_addresses_are_not_remembered_and_a_full_table_counts() {
        let config = HostsConfig { max_addresses: 1, ..HostsConfig::default() };
        let mut hosts = Hosts::new(config);
        hosts.observe(at(0), addr("203.0.113.1"), None);
        assert!(hosts.is_empty());
        hosts.observe(at(0), addr("10.0.0.1"), None);
        let second = hosts.observe(at(0), addr("10.0.0.2"), None);
        assert_eq!(second.id, HostId(addr("10.0.0.2")));
        assert_eq!((hosts.len(), hosts.refused()), (1, 1));
    }

    #[test]
    fn system_and_name_are_found_by_any_address_of_the_host() {
        let mut hosts = Hosts::new(HostsConfig::default());
        hosts.observe(at(0), addr("10.0.0.5"), Some(LAPTOP));
        hosts.observe(at(100), addr("fd00::5"), Some(LAPTOP));
        hosts.note_os(addr("10.0.0.5"), OsGuess { os: Os::Macos, or: None });
        hosts.note_name(addr("10.0.0.5"), Arc::from("mac-017"));
        let host = hosts.host(at(200), addr("fd00::5"));
        assert_eq!(host.os.map(|guess| guess.os), Some(Os::Macos));
        assert_eq!(host.label(), "mac-017");
        assert_eq!(host.first_seen, at(0));
    }
}
