//! Hosts: which addresses are one machine. Knows no flows and no applications.

mod known;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dwell_packet::{MacAddress, Timestamp};
use hashbrown::HashMap;

use crate::host::{HostId, HostNameSource, HostRef};
use crate::{Inventory, LocalNetworks, Os, OsGuess};

use known::{Known, MacState, fit, link_local, names_a_machine, suspicion, system};

/// Bounds, local networks and inventory of [`Hosts`].
#[derive(Clone, Debug)]
pub struct HostsConfig {
    /// Which addresses can be hosts of the site.
    pub local: LocalNetworks,
    /// Most addresses kept; further ones are hosts without memory, and counted.
    pub max_addresses: usize,
    /// Addresses silent for longer are forgotten.
    pub max_silence: Duration,
    /// What the site says of its hosts.
    pub inventory: Arc<Inventory>,
}

impl Default for HostsConfig {
    fn default() -> Self {
        Self {
            local: LocalNetworks::default(),
            max_addresses: DEFAULT_MAX_ADDRESSES,
            max_silence: DEFAULT_MAX_SILENCE,
            inventory: Arc::default(),
        }
    }
}

/// Hosts by address, for any thread to read by key. One thread writes it, through [`Hosts`].
pub type SharedHosts = DashMap<IpAddr, HostRef>;

/// The hosts seen so far, by address and by MAC.
///
/// A MAC address stands for one machine until it shows a remote address, or a second IPv4 address
/// while the first is in use: then it is a router (or a bridge), and only addresses count. An
/// address joins the host of its MAC when DHCP leases it or the machine itself claims it (ARP,
/// neighbour discovery); an IPv6 address also once the MAC has been in use for a minute without
/// showing itself a router. Joined addresses stay joined until DHCP gives them to another machine.
#[derive(Debug)]
pub struct Hosts {
    config: HostsConfig,
    addresses: HashMap<IpAddr, Known, foldhash::fast::RandomState>,
    macs: HashMap<MacAddress, MacState, foldhash::fast::RandomState>,
    shared: Arc<SharedHosts>,
    refused: u64,
    aged: Timestamp,
}

impl Hosts {
    /// No hosts yet.
    #[must_use]
    pub fn new(config: HostsConfig) -> Self {
        Self {
            config,
            addresses: HashMap::default(),
            macs: HashMap::default(),
            shared: Arc::default(),
            refused: 0,
            aged: Timestamp::ZERO,
        }
    }

    /// The table for other threads to read.
    #[must_use]
    pub fn shared(&self) -> Arc<SharedHosts> {
        Arc::clone(&self.shared)
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
        self.note(now, addr, mac);
        self.host(now, addr)
    }

    /// The same as [`Hosts::observe`] for a caller that does not want the host now.
    pub fn note(&mut self, now: Timestamp, addr: IpAddr, mac: Option<MacAddress>) {
        let addr = addr.to_canonical();
        let local = self.is_local(addr);
        // A machine without an address yet (DHCP) says nothing of its MAC, least of all that it is
        // a router's.
        let mac = mac.filter(|mac| !mac.is_group() && names_a_machine(addr));
        let joined = mac.and_then(|mac| self.note_mac(now, mac, addr, local));
        let mut changed = false;
        if let Some(known) = self.addresses.get_mut(&addr) {
            known.last_seen = known.last_seen.max(now);
            if known.mac.is_none() && local {
                known.mac = mac;
                changed = mac.is_some();
            }
        } else if !local {
            // Remote addresses are not remembered.
            return;
        } else {
            changed = self.insert(addr, Known::new(joined.unwrap_or(HostId(addr)), now, mac));
        }
        if changed {
            self.publish(now, addr);
        }
    }

    /// Takes note that a machine itself says that `addr` is at `mac` (ARP, neighbour discovery).
    pub fn claim(&mut self, now: Timestamp, addr: IpAddr, mac: MacAddress) {
        let addr = addr.to_canonical();
        if mac.is_group() || !names_a_machine(addr) || !self.is_local(addr) {
            return;
        }
        if let Some(known) = self.addresses.get_mut(&addr) {
            let silent = now.saturating_since(known.last_seen);
            match known.mac {
                Some(other) if other != mac && silent < ADDRESS_IN_USE => return,
                Some(other) if other != mac => return self.lease(now, addr, mac),
                Some(_) if known.own_mac => {
                    known.last_seen = known.last_seen.max(now);
                    return;
                }
                Some(_) | None => {}
            }
        }
        let Some(state) = self.mac_state(now, mac) else { return };
        if now.saturating_since(state.claims_since) >= ADDRESS_IN_USE {
            (state.claims, state.claims_since) = (0, now);
        }
        state.claims = state.claims.saturating_add(1);
        if state.claims > MAX_CLAIMS {
            // Who answers for many is a router that answers for others.
            return;
        }
        if !state.router && addr.is_ipv4() {
            (state.v4, state.v4_seen) = (Some(addr), Some(now));
        }
        let id = state.host.filter(|_| !state.router).unwrap_or(HostId(addr));
        state.host.get_or_insert(id);
        match self.addresses.get_mut(&addr) {
            Some(known) => {
                known.last_seen = known.last_seen.max(now);
                (known.mac, known.own_mac) = (Some(mac), true);
            }
            None => {
                self.insert(addr, Known { own_mac: true, ..Known::new(id, now, Some(mac)) });
            }
        }
        self.publish(now, addr);
    }

    /// Takes note that DHCP gave `addr` to the machine at `mac`: its host, whatever it was before.
    pub fn lease(&mut self, now: Timestamp, addr: IpAddr, mac: MacAddress) {
        let addr = addr.to_canonical();
        if mac.is_group() || !names_a_machine(addr) {
            return;
        }
        let taken = self.addresses.get(&addr).map(|known| (known.id, known.mac));
        let Some(state) = self.mac_state(now, mac) else { return };
        (state.v4, state.v4_seen) = (Some(addr), Some(now));
        let own = state.host;
        let id = match (own, taken) {
            (Some(id), _) => id,
            // The address is what another machine is known by.
            (None, Some((_, Some(other)))) if other != mac => HostId(link_local(mac)),
            (None, Some((id, _))) => id,
            (None, None) => HostId(addr),
        };
        state.host = Some(id);
        let same = taken.is_some_and(|(known, _)| known == id);
        match self.addresses.get_mut(&addr) {
            Some(known) if same => {
                known.last_seen = known.last_seen.max(now);
                (known.mac, known.own_mac) = (Some(mac), true);
            }
            Some(known) => {
                *known = Known { own_mac: true, ..Known::new(id, now, Some(mac)) };
            }
            None => {
                self.insert(addr, Known { own_mac: true, ..Known::new(id, now, Some(mac)) });
            }
        }
        self.publish(now, addr);
    }

    /// Takes note of what a machine's DHCP client says of itself; the name must be printable.
    pub fn note_dhcp(
        &mut self,
        now: Timestamp,
        mac: MacAddress,
        name: Option<Arc<str>>,
        os: Option<Os>,
    ) {
        let Some(state) = self.mac_state(now, mac) else { return };
        let changed = name.is_some() && state.name != name || os.is_some() && state.os != os;
        state.name = name.or(state.name.take());
        state.os = os.or(state.os);
        if let Some(addr) = state.v4.filter(|_| changed) {
            self.publish(now, addr);
        }
    }

    /// The host of `addr` as known now.
    #[must_use]
    pub fn host(&self, now: Timestamp, addr: IpAddr) -> HostRef {
        let addr = addr.to_canonical();
        let inventory = &self.config.inventory;
        let Some(known) = self.addresses.get(&addr) else {
            let mut host = HostRef::of_address(addr, now);
            if let Some(entry) = inventory.get(addr, None) {
                host.describe(entry);
            }
            return host;
        };
        let root = self.addresses.get(&known.id.0);
        let first = root.filter(|root| root.id == known.id).unwrap_or(known);
        let router = |mac| self.macs.get(&mac).is_some_and(|state: &MacState| state.router);
        let mac = known.mac.filter(|&mac| known.own_mac || !router(mac));
        let machine = mac.and_then(|mac| self.macs.get(&mac));
        let (os, os_source) = system(known, first, machine);
        let mdns = first.name.clone().or_else(|| known.name.clone());
        let dhcp = machine.and_then(|machine| machine.name.clone());
        let name_source = match (&dhcp, &mdns) {
            (Some(_), _) => Some(HostNameSource::Dhcp),
            (None, Some(_)) => Some(HostNameSource::Mdns),
            (None, None) => None,
        };
        let mut host = HostRef {
            id: known.id,
            mac,
            os,
            os_source,
            name: dhcp.or(mdns),
            name_source,
            suspected: suspicion(known, first),
            first_seen: first.first_seen.min(known.first_seen),
            ..HostRef::of_address(addr, now)
        };
        if let Some(entry) = inventory.get(addr, mac) {
            host.describe(entry);
        }
        host
    }

    /// Takes note of the operating system that `addr`'s SYN shows. The first guess stays; another
    /// one that does not go with it makes the address suspect.
    pub fn note_os(&mut self, addr: IpAddr, os: OsGuess) {
        let addr = addr.to_canonical();
        let Some(known) = self.addresses.get_mut(&addr) else { return };
        let first = *known.os.get_or_insert(os);
        let fits = fit(first, os);
        if first == os && known.os_published || known.several_systems {
            return;
        }
        known.os_published = true;
        known.several_systems |= !fits;
        let now = known.last_seen;
        self.publish(now, addr);
    }

    /// Takes note of the operating system that the TLS stack of a program at `addr` is part of.
    /// Stacks of systems that do not go together make the address suspect; a stack that does not go
    /// with the SYNs is a contradiction of its flow, because any program can imitate one.
    pub fn note_native_os(&mut self, addr: IpAddr, os: OsGuess) {
        let addr = addr.to_canonical();
        let Some(known) = self.addresses.get_mut(&addr) else { return };
        match known.native_os {
            // Nearly every hello of a host says what those before it said.
            Some(first) if known.several_stacks || fit(first, os) => return,
            Some(_) => known.several_stacks = true,
            None => known.native_os = Some(os),
        }
        let now = known.last_seen;
        self.publish(now, addr);
    }

    /// The host after [`Hosts::note_native_os`] of its address.
    #[must_use]
    pub fn with_native_os(&mut self, host: HostRef, os: OsGuess) -> HostRef {
        self.note_native_os(host.addr, os);
        match host.os {
            Some(_) => host,
            None => self.host(host.first_seen, host.addr),
        }
    }

    /// Takes note of the operating system that a `User-Agent` from `addr` claims: what is believed
    /// where nothing else is known.
    pub fn note_claimed_os(&mut self, addr: IpAddr, os: Os) {
        if let Some(known) = self.addresses.get_mut(&addr.to_canonical()) {
            known.claimed_os.get_or_insert(os);
        }
    }

    /// Takes note of a name that `addr` gives itself by mDNS; it must be printable already.
    pub fn note_name(&mut self, addr: IpAddr, name: Arc<str>) {
        let addr = addr.to_canonical();
        let Some(known) = self.addresses.get_mut(&addr) else { return };
        if known.name.as_ref() != Some(&name) {
            known.name = Some(name);
            let now = known.last_seen;
            self.publish(now, addr);
        }
    }

    /// Forgets addresses and machines that were silent for too long. Cheap to call every second:
    /// it looks once an hour.
    pub fn age(&mut self, now: Timestamp) {
        if now.saturating_since(self.aged) < AGE_EVERY {
            return;
        }
        self.aged = now;
        let oldest = now.saturating_sub(self.config.max_silence);
        let shared = &self.shared;
        self.addresses.retain(|addr, known| {
            let stays = known.last_seen >= oldest;
            if !stays {
                shared.remove(addr);
            }
            stays
        });
        self.macs.retain(|_, state| state.last_seen >= oldest);
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

    /// Puts an address in; false if there is no room.
    fn insert(&mut self, addr: IpAddr, known: Known) -> bool {
        if self.addresses.len() >= self.config.max_addresses {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        self.addresses.insert(addr, known);
        true
    }

    /// Tells other threads what became known of `addr`.
    fn publish(&self, now: Timestamp, addr: IpAddr) {
        if self.addresses.contains_key(&addr) {
            self.shared.insert(addr, self.host(now, addr));
        }
    }

    fn mac_state(&mut self, now: Timestamp, mac: MacAddress) -> Option<&mut MacState> {
        let full = self.macs.len() >= self.config.max_addresses;
        if full && !self.macs.contains_key(&mac) {
            self.refused = self.refused.saturating_add(1);
            return None;
        }
        let state = self.macs.entry(mac).or_insert_with(|| MacState::new(now));
        state.last_seen = state.last_seen.max(now);
        Some(state)
    }

    /// Learns from a frame's sender; gives the host that a new address of it joins.
    fn note_mac(
        &mut self,
        now: Timestamp,
        mac: MacAddress,
        addr: IpAddr,
        local: bool,
    ) -> Option<HostId> {
        let of_address = self.addresses.get(&addr).map(|known| known.id);
        let state = self.mac_state(now, mac)?;
        if !local {
            state.router = true;
        }
        if state.router {
            return None;
        }
        let own = state.host.is_some() && of_address == state.host;
        if addr.is_ipv4() && !own {
            let in_use =
                state.v4_seen.is_some_and(|seen| now.saturating_since(seen) < ADDRESS_IN_USE);
            if state.v4.is_some_and(|known| known != addr) && in_use {
                state.router = true;
                return None;
            }
        }
        if addr.is_ipv4() {
            (state.v4, state.v4_seen) = (Some(addr), Some(now));
        }
        let host = *state.host.get_or_insert(HostId(addr));
        let proven = now.saturating_since(state.first_seen) >= ROUTER_SHOWS_WITHIN;
        (addr.is_ipv6() && proven || host.0 == addr).then_some(host)
    }
}

impl HostRef {
    /// Takes over what the site says, which counts before what was seen.
    fn describe(&mut self, entry: &crate::InventoryEntry) {
        if entry.name.is_some() {
            self.name.clone_from(&entry.name);
            self.name_source = Some(HostNameSource::Inventory);
        }
        self.user.clone_from(&entry.user);
        self.tags = Arc::clone(&entry.tags);
    }
}

/// Addresses of a site of 100,000 machines with both families: about 60 MB.
const DEFAULT_MAX_ADDRESSES: usize = 262_144;

/// A machine that was away for a fortnight's holiday is the same when it comes back.
const DEFAULT_MAX_SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// How often silent addresses are looked for.
const AGE_EVERY: Duration = Duration::from_secs(3600);

/// An IPv4 address silent for longer may have been exchanged for another by DHCP.
const ADDRESS_IN_USE: Duration = Duration::from_secs(3600);

/// A router passes traffic of two machines within this time, or hardly passes any.
const ROUTER_SHOWS_WITHIN: Duration = Duration::from_secs(60);

/// New addresses that one machine claims for itself within an hour; beyond, it answers for others.
const MAX_CLAIMS: u8 = 8;
