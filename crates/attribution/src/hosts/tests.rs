//! What makes a machine one host, and what does not.

use super::*;
use crate::OsSource;
use crate::host::Suspicion;

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

#[test]
fn a_lease_moves_a_machine_and_keeps_its_host() {
    let mut hosts = Hosts::new(HostsConfig::default());
    hosts.lease(at(0), addr("10.0.0.5"), LAPTOP);
    let before = hosts.observe(at(1), addr("10.0.0.5"), Some(LAPTOP));
    hosts.lease(at(100), addr("10.0.0.9"), LAPTOP);
    let after = hosts.observe(at(101), addr("10.0.0.9"), Some(LAPTOP));
    assert_eq!(after.id, before.id);
    assert_eq!(after.mac, Some(LAPTOP), "a new lease makes no router");
    // A last packet from the old address changes nothing.
    hosts.observe(at(102), addr("10.0.0.5"), Some(LAPTOP));
    assert_eq!(hosts.host(at(103), addr("10.0.0.9")).mac, Some(LAPTOP));
}

#[test]
fn an_address_leased_to_another_machine_is_another_host() {
    const PHONE: MacAddress = MacAddress([0x3c, 0x22, 0xfb, 0, 0, 7]);
    let mut hosts = Hosts::new(HostsConfig::default());
    let first = hosts.observe(at(0), addr("10.0.0.5"), Some(LAPTOP));
    hosts.note_name(addr("10.0.0.5"), Arc::from("laptop"));
    hosts.note_os(addr("10.0.0.5"), OsGuess { os: Os::Windows, or: None });
    hosts.lease(at(100), addr("10.0.0.5"), PHONE);
    let second = hosts.observe(at(101), addr("10.0.0.5"), Some(PHONE));
    assert_ne!(second.id, first.id);
    // RFC 4291, appendix A: the universal bit turned, ff:fe in the middle.
    assert_eq!(second.id, HostId(addr("fe80::3e22:fbff:fe00:7")));
    assert_eq!((second.name, second.os), (None, None));
}

#[test]
fn dhcp_names_a_machine_and_tells_ios_from_macos() {
    let mut hosts = Hosts::new(HostsConfig::default());
    hosts.note_dhcp(at(0), LAPTOP, Some("phone-3".into()), Some(Os::Ios));
    hosts.lease(at(0), addr("10.0.0.5"), LAPTOP);
    hosts.note_os(addr("10.0.0.5"), OsGuess { os: Os::Macos, or: Some(Os::Ios) });
    let host = hosts.observe(at(1), addr("10.0.0.5"), Some(LAPTOP));
    assert_eq!(host.label(), "phone-3");
    assert_eq!(host.os, Some(OsGuess { os: Os::Ios, or: None }));
    assert_eq!(host.os_source, Some(OsSource::SynAndDhcp));
    let shared = hosts.shared();
    assert_eq!(shared.get(&addr("10.0.0.5")).unwrap().name, host.name);
}

#[test]
fn one_address_with_several_systems_is_suspect() {
    let mut hosts = Hosts::new(HostsConfig::default());
    hosts.observe(at(0), addr("10.0.0.5"), None);
    hosts.note_os(addr("10.0.0.5"), OsGuess { os: Os::Macos, or: Some(Os::Ios) });
    hosts.note_os(addr("10.0.0.5"), OsGuess { os: Os::Ios, or: Some(Os::Macos) });
    assert_eq!(hosts.host(at(1), addr("10.0.0.5")).suspected, None);
    hosts.note_os(addr("10.0.0.5"), OsGuess { os: Os::Windows, or: None });
    let host = hosts.host(at(1), addr("10.0.0.5"));
    assert_eq!(host.suspected, Some(Suspicion::SeveralSystems));
    assert_eq!(host.os.map(|guess| guess.os), Some(Os::Macos));
}

#[test]
fn a_tls_stack_tells_the_system_until_the_syn_does() {
    let apple = OsGuess { os: Os::Macos, or: Some(Os::Ios) };
    let mut hosts = Hosts::new(HostsConfig::default());
    hosts.observe(at(0), addr("10.0.0.5"), None);
    hosts.note_claimed_os(addr("10.0.0.5"), Os::Windows);
    hosts.note_native_os(addr("10.0.0.5"), apple);
    let host = hosts.host(at(1), addr("10.0.0.5"));
    assert_eq!((host.os, host.os_source), (Some(apple), Some(OsSource::TlsStack)));
    let linux = OsGuess { os: Os::Linux, or: Some(Os::Android) };
    hosts.note_os(addr("10.0.0.5"), linux);
    let host = hosts.host(at(1), addr("10.0.0.5"));
    assert_eq!((host.os, host.os_source), (Some(linux), Some(OsSource::Syn)));
    assert_eq!(host.suspected, None, "a program that imitates a stack is no proxy");
}

#[test]
fn stacks_of_several_systems_behind_one_sender_are_a_proxy() {
    let windows = OsGuess { os: Os::Windows, or: None };
    let suspected = |syn: Option<OsGuess>| {
        let mut hosts = Hosts::new(HostsConfig::default());
        hosts.observe(at(0), addr("10.0.0.5"), None);
        if let Some(os) = syn {
            hosts.note_os(addr("10.0.0.5"), os);
        }
        hosts.note_native_os(addr("10.0.0.5"), OsGuess { os: Os::Macos, or: Some(Os::Ios) });
        hosts.note_native_os(addr("10.0.0.5"), OsGuess { os: Os::Ios, or: None });
        assert_eq!(hosts.host(at(1), addr("10.0.0.5")).suspected, None);
        hosts.note_native_os(addr("10.0.0.5"), windows);
        hosts.note_native_os(addr("10.0.0.5"), OsGuess { os: Os::Macos, or: None });
        let shared = hosts.shared();
        let suspected = shared.get(&addr("10.0.0.5")).unwrap().suspected;
        assert_eq!(suspected, hosts.host(at(1), addr("10.0.0.5")).suspected);
        suspected
    };
    let linux = OsGuess { os: Os::Linux, or: Some(Os::Android) };
    assert_eq!(suspected(Some(linux)), Some(Suspicion::Proxy));
    assert_eq!(suspected(None), Some(Suspicion::SeveralSystems));
}

#[test]
fn a_router_keeps_the_address_that_it_claims_itself() {
    let mut hosts = Hosts::new(HostsConfig::default());
    hosts.claim(at(0), addr("10.0.0.1"), ROUTER);
    hosts.observe(at(1), addr("198.51.100.1"), Some(ROUTER));
    hosts.observe(at(2), addr("10.0.0.5"), Some(ROUTER));
    assert_eq!(hosts.host(at(3), addr("10.0.0.1")).mac, Some(ROUTER));
    assert_eq!(hosts.host(at(3), addr("10.0.0.5")).mac, None);
}

#[test]
fn who_answers_for_many_addresses_has_none_of_them() {
    let mut hosts = Hosts::new(HostsConfig::default());
    for last in 1..=60 {
        hosts.claim(at(0), addr(&format!("10.0.0.{last}")), ROUTER);
    }
    let host = hosts.observe(at(1), addr("10.0.0.60"), None);
    assert_eq!(host.id, HostId(addr("10.0.0.60")));
}

#[test]
fn the_inventory_counts_before_what_a_host_says() {
    let (inventory, _) =
        Inventory::from_text("i", "mac,name,user,tags\n3c:22:fb:00:00:01,mac-9,eva,dev\n");
    let config = HostsConfig { inventory: Arc::new(inventory), ..HostsConfig::default() };
    let mut hosts = Hosts::new(config);
    hosts.note_dhcp(at(0), LAPTOP, Some("liar".into()), None);
    hosts.lease(at(0), addr("10.0.0.5"), LAPTOP);
    let host = hosts.host(at(1), addr("10.0.0.5"));
    assert_eq!(host.label(), "mac-9");
    assert_eq!(host.user.as_deref(), Some("eva"));
    assert_eq!(host.tags.len(), 1);
    assert_eq!(host.name_source, Some(HostNameSource::Inventory));
}

#[test]
fn what_was_silent_for_a_month_is_forgotten() {
    let mut hosts = Hosts::new(HostsConfig::default());
    hosts.observe(at(0), addr("10.0.0.5"), Some(LAPTOP));
    hosts.age(at(86_400));
    assert_eq!(hosts.len(), 1);
    hosts.observe(at(31 * 86_400), addr("10.0.0.6"), None);
    hosts.age(at(31 * 86_400));
    assert_eq!((hosts.len(), hosts.shared().len()), (1, 1));
    assert!(hosts.macs.is_empty());
}
