//! Looks after the interfaces once a second: what they are, what they lose, how traffic looks.
//! Asks the system; touches no packets.

use std::time::Duration;

use dwell_capture::{InterfaceState, NicCounters, interface_name, interface_state, nic_counters};
use dwell_output::{CaptureFigures, InterfaceChange, Metrics};

use super::oddities::{Hush, LONG, Share, Silence};
use super::shared::Shared;
use crate::log;

/// Ethernet header with four VLAN tags, and a check sequence that some mirrors deliver.
const HEADER_ALLOWANCE: u32 = 14 + 16 + 4;

/// Ended flows after which their directions are looked at, and the share of one-sided ones that is
/// worth a line.
const ONE_SIDED_SAMPLE: u64 = 200;
const ONE_SIDED_SHARE: f64 = 0.2;

/// Packets after which copies are looked at, and the share of them that is worth a line: a mirror of
/// both a port's directions twice over gives half.
const COPIES_SAMPLE: u64 = 10_000;
const COPIES_SHARE: f64 = 0.05;

/// What is known of the interfaces.
pub(super) struct Watch {
    interfaces: Vec<Watched>,
    one_sided: Share,
    copies: Share,
    /// Packets and copies that were noted.
    noted: (u64, u64),
}

struct Watched {
    /// The name in the configuration.
    name: String,
    /// The name that the interface has now.
    now_called: String,
    index: Option<u32>,
    up: bool,
    mtu: Option<u32>,
    nic: Option<NicCounters>,
    lost: u64,
    frames: u64,
    silence: Silence,
    oversized: u64,
    told_oversized: bool,
}

impl Watch {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>, shared: &Shared) -> Self {
        let interfaces: Vec<Watched> = names.map(|name| Watched::new(name, shared)).collect();
        Self {
            interfaces,
            one_sided: Share::new(ONE_SIDED_SAMPLE, ONE_SIDED_SHARE),
            copies: Share::new(COPIES_SAMPLE, COPIES_SHARE),
            noted: (0, 0),
        }
    }

    /// Looks once; call it once a second.
    pub(super) fn look(&mut self, shared: &Shared, metrics: &Metrics) {
        for interface in &mut self.interfaces {
            interface.look(shared, metrics);
        }
    }

    /// Adds what the watch knows to the figures of the packet thread, and says what is odd.
    pub(super) fn complete(&mut self, figures: &mut [CaptureFigures]) {
        for figures in figures {
            let known = self.interfaces.iter_mut().find(|known| known.name == figures.interface);
            if let Some(interface) = known {
                interface.complete(figures);
            }
        }
    }

    /// Takes note of flows that ended, and of those of them with traffic one way only.
    pub(super) fn note_ended(&mut self, ended: u64, one_sided: u64) {
        if let Some((of, share)) = self.one_sided.note(ended, one_sided) {
            log::warning(&format!(
                "{:.0} % of the last {of} flows have traffic one way only: does the mirror carry both directions?",
                share * 100.0,
            ));
        }
    }

    /// Takes note of how many packets there were so far, and how many of them were copies.
    pub(super) fn note_copies(&mut self, packets: u64, copies: u64) {
        let (packets_before, copies_before) = std::mem::replace(&mut self.noted, (packets, copies));
        let packets = packets.saturating_sub(packets_before);
        let copies = copies.saturating_sub(copies_before);
        if let Some((of, share)) = self.copies.note(packets, copies) {
            log::warning(&format!(
                "{:.0} % of the last {of} packets came twice: does the mirror take each at two places?",
                share * 100.0,
            ));
        }
    }
}

impl Watched {
    fn new(name: &str, shared: &Shared) -> Self {
        let state = interface_state(name);
        let mut new = Self {
            name: name.to_owned(),
            now_called: name.to_owned(),
            index: state.map(|state| state.index),
            up: state.is_some_and(|state| state.running),
            mtu: None,
            nic: nic_counters(name),
            lost: 0,
            frames: 0,
            silence: Silence::default(),
            oversized: 0,
            told_oversized: false,
        };
        if !new.up {
            log::warning(&format!("{name}: is down: nothing is captured until it is up"));
        }
        if let Some(offloads) = dwell_capture::offloads(name) {
            let on = [(offloads.gro, "GRO"), (offloads.lro, "LRO")];
            let on: Vec<&str> = on.iter().filter(|(on, _)| *on).map(|(_, what)| *what).collect();
            if !on.is_empty() && name != "lo" {
                log::warning(&format!(
                    "{name}: {} merges packets, which falsifies counts and times: ethtool -K {name} gro off lro off",
                    on.join(" and "),
                ));
            }
        }
        new.set_mtu(state.map(|state| state.mtu), shared);
        new
    }

    fn look(&mut self, shared: &Shared, metrics: &Metrics) {
        let mut state = interface_state(&self.now_called);
        if state.map(|state| state.index) != self.index || state.is_none() {
            self.look_for(state, shared, metrics);
            state = interface_state(&self.now_called);
        }
        let up = state.is_some_and(|state| state.running);
        if up != self.up {
            self.up = up;
            let (change, word) =
                if up { (InterfaceChange::Up, "up") } else { (InterfaceChange::Down, "down") };
            metrics.note_interface(&self.name, change);
            log::warning(&format!("{}: went {word}", self.name));
        }
        let mtu = state.map(|state| state.mtu);
        if mtu.is_some() && mtu != self.mtu {
            if let (Some(before), Some(now)) = (self.mtu, mtu) {
                metrics.note_interface(&self.name, InterfaceChange::Mtu);
                log::warning(&format!("{}: MTU was {before}, is {now}", self.name));
            }
            self.set_mtu(mtu, shared);
        }
        self.count_losses(shared);
    }

    /// The interface is not where it was: it has another name, it is gone, or one of its name is
    /// there again.
    fn look_for(&mut self, state: Option<InterfaceState>, shared: &Shared, metrics: &Metrics) {
        let name = &self.name;
        let Some(state) = state else {
            if let Some(other) = self.index.and_then(interface_name) {
                log::warning(&format!("{name}: is called {other} now; capture goes on"));
                metrics.note_interface(name, InterfaceChange::Renamed);
                self.now_called = other;
                return;
            }
            if self.index.is_some() {
                log::warning(&format!("{name}: is gone; waiting for it to come back"));
                metrics.note_interface(name, InterfaceChange::Gone);
            }
            self.index = None;
            self.now_called.clone_from(name);
            if let Some(state) = interface_state(name) {
                self.take_up(state.index, shared);
            }
            return;
        };
        self.take_up(state.index, shared);
    }

    fn take_up(&mut self, index: u32, shared: &Shared) {
        self.index = Some(index);
        self.nic = nic_counters(&self.now_called);
        let name = self.name.clone();
        shared.order(|orders| orders.reattach.push(name));
    }

    fn set_mtu(&mut self, mtu: Option<u32>, shared: &Shared) {
        self.mtu = mtu;
        let Some(mtu) = mtu else { return };
        let limit = (self.name.clone(), mtu.saturating_add(HEADER_ALLOWANCE));
        shared.order(|orders| orders.limits.push(limit));
    }

    /// Adds up what the adapter lost since the last look; a driver that starts anew counts from 0.
    /// The packet thread is told: flows that are open now may lack packets.
    fn count_losses(&mut self, shared: &Shared) {
        let Some(now) = nic_counters(&self.now_called) else { return };
        let lost = self.nic.map_or(0, |before| now.dropped.saturating_sub(before.dropped));
        self.nic = Some(now);
        if lost > 0 {
            self.lost += lost;
            let drops = (self.name.clone(), self.lost);
            shared.order(|orders| orders.adapter_drops.push(drops));
        }
    }

    fn complete(&mut self, figures: &mut CaptureFigures) {
        figures.up = self.up;
        let moved = figures.frames != self.frames;
        self.frames = figures.frames;
        match self.silence.note(LOOK, moved, self.up) {
            Some(Hush::Long) => log::warning(&format!(
                "{}: no frame for {} s: is the mirror configured?",
                self.name,
                LONG.as_secs(),
            )),
            Some(Hush::Over) => log::notice(&format!("{}: frames come again", self.name)),
            None => {}
        }
        if figures.oversized > self.oversized && !self.told_oversized {
            self.told_oversized = true;
            log::warning(&format!(
                "{}: frames longer than its MTU: an offload merges packets",
                self.name,
            ));
        }
        self.oversized = figures.oversized;
    }
}

/// How often the watch looks.
pub(super) const LOOK: Duration = Duration::from_secs(1);
