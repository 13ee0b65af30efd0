//! Numbers for encapsulations, where the configuration makes them part of the flow key. Knows no
//! flows.

use dwell_flow::FlowScope;
use dwell_packet::{Encapsulation, MAX_VLANS, Scope, TunnelKind};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The most encapsulations told apart; further ones share one number, and are counted.
const MAX_SCOPES: u32 = 1 << 16;

/// What of an encapsulation counts.
type Key = ([u16; MAX_VLANS], u8, Option<(TunnelKind, u32)>);

/// Numbers given so far, in the order of their appearance.
#[derive(Debug)]
pub(crate) struct Scopes {
    scope: FlowScope,
    numbers: HashMap<Key, u32, FixedState>,
    /// Packets of encapsulations that found no number of their own.
    pub(crate) overflow: u64,
}

impl Scopes {
    pub(crate) fn new(scope: FlowScope) -> Self {
        Self { scope, numbers: HashMap::default(), overflow: 0 }
    }

    /// The scope of a packet's flow.
    pub(crate) fn of(&mut self, encapsulation: &Encapsulation) -> Scope {
        let tunnel = match self.scope {
            FlowScope::Plain => return Scope::default(),
            FlowScope::Vlan => None,
            FlowScope::Encapsulation => encapsulation.tunnel.map(|tunnel| (tunnel.kind, tunnel.id)),
        };
        let key = (encapsulation.vlans, encapsulation.vlan_count, tunnel);
        let next = u32::try_from(self.numbers.len()).unwrap_or(MAX_SCOPES) + 1;
        let number = match self.numbers.get(&key) {
            Some(&number) => number,
            None if next < MAX_SCOPES => *self.numbers.entry(key).or_insert(next),
            None => {
                self.overflow += 1;
                MAX_SCOPES
            }
        };
        Scope::new(number).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_packet::Tunnel;

    fn vlan(id: u16) -> Encapsulation {
        let mut encapsulation = Encapsulation::default();
        encapsulation.vlans[0] = id;
        encapsulation.vlan_count = 1;
        encapsulation
    }

    fn vxlan(vni: u32) -> Encapsulation {
        let tunnel = Tunnel { kind: TunnelKind::Vxlan, id: vni, outer: None };
        Encapsulation { tunnel: Some(tunnel), ..Encapsulation::default() }
    }

    fn apart(scope: FlowScope, a: Encapsulation, b: Encapsulation) -> bool {
        let mut scopes = Scopes::new(scope);
        scopes.of(&a) != scopes.of(&b)
    }

    #[test]
    fn the_setting_says_what_keeps_flows_apart() {
        assert!(!apart(FlowScope::Plain, vlan(1), vlan(2)));
        assert!(apart(FlowScope::Vlan, vlan(1), vlan(2)));
        assert!(!apart(FlowScope::Vlan, vxlan(1), vxlan(2)));
        assert!(apart(FlowScope::Encapsulation, vxlan(1), vxlan(2)));
        assert!(!apart(FlowScope::Encapsulation, vxlan(7), vxlan(7)));
    }

    #[test]
    fn a_flood_of_tags_is_bounded_and_counted() {
        let mut scopes = Scopes::new(FlowScope::Encapsulation);
        for vni in 0..MAX_SCOPES + 10 {
            scopes.of(&vxlan(vni));
        }
        assert_eq!(scopes.overflow, 11);
    }
}
