//! Which MAC address answers for which IP address on the segment: ARP (RFC 826) and IPv6 neighbour
//! discovery (RFC 4861). Keeps no table.

use std::net::{IpAddr, Ipv4Addr};

use crate::{MacAddress, Timestamp};

/// A machine that says which of its addresses is at which MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// When.
    pub ts: Timestamp,
    /// The IP address.
    pub addr: IpAddr,
    /// The MAC address that it is at.
    pub mac: MacAddress,
}

/// The sender of an ARP message for Ethernet and IPv4; `None` for probes, which claim nothing yet.
pub(crate) fn of_arp(ts: Timestamp, message: &[u8]) -> Option<Neighbour> {
    let (head, rest) = message.split_first_chunk::<8>()?;
    // Ethernet, IPv4, address lengths, then request or reply.
    let [0, 1, 8, 0, 6, 4, 0, 1 | 2] = *head else { return None };
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let addr = Ipv4Addr::from(*rest.first_chunk::<4>()?);
    of(ts, addr.into(), MacAddress(*mac))
}

/// The sender of a neighbour solicitation, or the target of an advertisement, with its link-layer
/// address option.
pub(crate) fn of_icmpv6(ts: Timestamp, src: IpAddr, message: &[u8]) -> Option<Neighbour> {
    let (kind, wanted) = match message.first()? {
        135 => (src, SOURCE_ADDRESS),
        136 => {
            let target = message.get(8..)?.first_chunk::<16>()?;
            (IpAddr::from(*target), TARGET_ADDRESS)
        }
        _ => return None,
    };
    let mut options = message.get(24..)?;
    // Options are counted in eight bytes; a length of zero ends the message.
    while let [code, len, body @ ..] = options {
        if *code == wanted && *len == 1 {
            return of(ts, kind, MacAddress(*body.first_chunk::<6>()?));
        }
        let len = usize::from(*len).saturating_mul(8);
        options = options.get(len..).filter(|_| len > 0)?;
    }
    None
}

fn of(ts: Timestamp, addr: IpAddr, mac: MacAddress) -> Option<Neighbour> {
    let none = addr.is_unspecified() || addr.is_multicast() || mac.is_group() || mac.0 == [0; 6];
    (!none).then_some(Neighbour { ts, addr, mac })
}

const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x3c, 0x22, 0xfb, 0, 0, 1];

    fn arp(operation: u8, addr: [u8; 4]) -> Option<Neighbour> {
        let message =
            [&[0, 1, 8, 0, 6, 4, 0, operation][..], &MAC, &addr, &[0; 6], &[10, 0, 0, 1]].concat();
        of_arp(Timestamp::ZERO, &message)
    }

    #[test]
    fn an_arp_message_names_its_sender_and_a_probe_nobody() {
        assert_eq!(arp(1, [10, 0, 0, 5]).unwrap().addr, IpAddr::from([10, 0, 0, 5]));
        assert_eq!(arp(2, [10, 0, 0, 5]).unwrap().mac, MacAddress(MAC));
        assert_eq!(arp(1, [0; 4]), None);
        assert_eq!(arp(3, [10, 0, 0, 5]), None);
    }

    #[test]
    fn an_advertisement_names_its_target() {
        let target = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        let mut message = vec![136, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&target);
        message.extend_from_slice(&[9, 1, 0, 0, 0, 0, 0, 0, 2, 1]);
        message.extend_from_slice(&MAC);
        let src = "fe80::9".parse().unwrap();
        let found = of_icmpv6(Timestamp::ZERO, src, &message).unwrap();
        assert_eq!((found.addr, found.mac), (IpAddr::from(target), MacAddress(MAC)));
        // An option of no length leads nowhere.
        message[25] = 0;
        assert_eq!(of_icmpv6(Timestamp::ZERO, src, &message), None);
    }
}
