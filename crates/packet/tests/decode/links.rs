//! Link layers. Headers are written by hand from the specification that each names.

use dwell_packet::{Discard, Layer, LinkType, MacAddress, NotIp, OtherTransport, TunnelKind};

use crate::support::{
    ETHERNET, LINK, check_discard, check_inner, check_pdu, cut_frame, decoder, ethernet, frame,
    ipv4, ipv6, outer_ipv4, outer_ipv6, with_ether_type,
};

fn prefixed(header: &[u8], packet: &[u8]) -> Vec<u8> {
    [header, packet].concat()
}

#[test]
fn ethernet_gives_its_stations() {
    let bytes = ethernet();
    let mut decoder = decoder();
    let pdu = decoder.decode(frame(LinkType::ETHERNET, &bytes)).unwrap();
    check_pdu(&pdu);
    assert_eq!(pdu.link, Some(LINK));
    assert_eq!((pdu.ip.ttl, pdu.ip.id, pdu.ip.dont_fragment), (63, 7, true));
}

#[test]
fn vlan_tags_of_any_kind_and_depth_are_walked() {
    let mut tags = Vec::new();
    let mut expected = Vec::new();
    for (depth, kind) in [0x8100u16, 0x88a8, 0x9100, 0x9200, 0x9300, 0x8100].iter().enumerate() {
        let id = u16::try_from(depth + 100).unwrap();
        expected.push(id);
        tags.push((*kind, id));
        let mut payload = prefixed(&[0x08, 0x00], &ipv4());
        for (position, &(_, id)) in tags.iter().enumerate().rev() {
            payload = prefixed(&(id | 0xa000).to_be_bytes(), &payload);
            if position > 0 {
                payload = prefixed(&tags[position].0.to_be_bytes(), &payload);
            }
        }
        let bytes = with_ether_type(tags[0].0, &payload);
        let encapsulation = check_inner(LinkType::ETHERNET, &bytes);
        assert_eq!(encapsulation.vlans(), &expected[..expected.len().min(4)]);
    }
}

#[test]
fn a_priority_tag_names_no_vlan() {
    let bytes = with_ether_type(0x8100, &prefixed(&[0xe0, 0x00, 0x08, 0x00], &ipv4()));
    assert!(check_inner(LinkType::ETHERNET, &bytes).vlans().is_empty());
}

#[test]
fn padding_trailers_and_check_sequences_are_trimmed() {
    for trailer in [&[0u8; 1][..], &[0xde, 0xad, 0xbe, 0xef], &[0x55; 40]] {
        check_inner(LinkType::ETHERNET, &[ethernet(), trailer.to_vec()].concat());
        let v6 = [with_ether_type(0x86dd, &ipv6()), trailer.to_vec()].concat();
        check_inner(LinkType::ETHERNET, &v6);
    }
}

#[test]
fn logical_link_headers_lead_to_ip() {
    let snap = prefixed(&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00], &ipv4());
    let length = u16::try_from(snap.len()).unwrap();
    check_inner(LinkType::ETHERNET, &with_ether_type(length, &snap));
    check_inner(LinkType::ETHERNET, &with_ether_type(0x8870, &snap));
    // An LLC header of IP's own (IEEE 802.2, SAP 06).
    let own = prefixed(&[0x06, 0x06, 0x03], &ipv4());
    let length = u16::try_from(own.len()).unwrap();
    check_inner(LinkType::ETHERNET, &with_ether_type(length, &own));
    // A tag before the length.
    let tagged = prefixed(&[0x00, 0x05, length.to_be_bytes()[0], length.to_be_bytes()[1]], &own);
    assert_eq!(check_inner(LinkType::ETHERNET, &with_ether_type(0x8100, &tagged)).vlans(), &[5]);
}

#[test]
fn tags_of_switches_are_walked() {
    // Cisco metadata: version 1, one word, security group 7.
    let cmd = [0x01, 0x01, 0x00, 0x01, 0x00, 0x07, 0x08, 0x00];
    check_inner(LinkType::ETHERNET, &with_ether_type(0x8909, &prefixed(&cmd, &ipv4())));
    let vn_tag = [0x80, 0x01, 0x00, 0x02, 0x86, 0xdd];
    check_inner(LinkType::ETHERNET, &with_ether_type(0x8926, &prefixed(&vn_tag, &ipv6())));
    // 802.1ah: instance tag with service 0x010203, then the customer's frame.
    let pbb = with_ether_type(0x88e7, &prefixed(&[0x00, 0x01, 0x02, 0x03], &ethernet()));
    let tunnel = check_inner(LinkType::ETHERNET, &pbb).tunnel.unwrap();
    assert_eq!((tunnel.kind, tunnel.id, tunnel.outer), (TunnelKind::Pbb, 0x01_0203, None));
    // RFC 8300: type 1 with four context words, path 0x00abcd, index 255, next Ethernet.
    let nsh = [&[0x0f, 0xc6, 0x01, 0x03, 0x00, 0xab, 0xcd, 0xff][..], &[0; 16]].concat();
    let nsh = with_ether_type(0x894f, &prefixed(&nsh, &ethernet()));
    let tunnel = check_inner(LinkType::ETHERNET, &nsh).tunnel.unwrap();
    assert_eq!((tunnel.kind, tunnel.id), (TunnelKind::Nsh, 0xabcd));
}

#[test]
fn macsec_is_walked_where_it_only_authenticates() {
    let icv = [0x5a; 16];
    let clear = [&[0x00, 0x00, 0, 0, 0, 1, 0x08, 0x00], ipv4().as_slice(), &icv].concat();
    check_inner(LinkType::ETHERNET, &with_ether_type(0x88e5, &clear));
    let channel = [&[0x20, 0x00, 0, 0, 0, 1][..], &[7; 8], &[0x08, 0x00], &ipv4(), &icv].concat();
    check_inner(LinkType::ETHERNET, &with_ether_type(0x88e5, &channel));
    let secret = [&[0x2c, 0x00, 0, 0, 0, 1][..], &[7; 80]].concat();
    check_discard(LinkType::ETHERNET, &with_ether_type(0x88e5, &secret), Discard::Encrypted);
}

#[test]
fn loopback_headers_of_every_system_are_walked() {
    for family in [2u32, 10, 23, 24, 28, 30] {
        let packet = if family == 2 { ipv4() } else { ipv6() };
        for header in [family.to_le_bytes(), family.to_be_bytes()] {
            check_inner(LinkType::NULL, &prefixed(&header, &packet));
            check_inner(LinkType::LOOP, &prefixed(&header, &packet));
        }
    }
    check_discard(LinkType::NULL, &[7, 0, 0, 0, 1, 2, 3], Discard::NotIp(NotIp::Other));
}

#[test]
fn raw_ip_is_told_by_its_version() {
    for link_type in [LinkType::RAW, LinkType::RAW_BSD, LinkType::RAW_OPENBSD] {
        check_inner(link_type, &ipv4());
        check_inner(link_type, &ipv6());
        check_discard(link_type, &[0x50; 40], Discard::NotIp(NotIp::Other));
    }
    check_inner(LinkType::IPV4, &ipv4());
    check_inner(LinkType::IPV6, &ipv6());
    check_discard(LinkType::IPV4, &ipv6(), Discard::Malformed(Layer::Ipv4));
    check_discard(LinkType::IPV6, &ipv4(), Discard::Malformed(Layer::Ipv6));
}

#[test]
fn cooked_headers_are_walked() {
    let sll = |device: u16, kind: u16| {
        let [d0, d1] = device.to_be_bytes();
        let [k0, k1] = kind.to_be_bytes();
        vec![0, 0, d0, d1, 0, 6, 0x3c, 0x22, 0xfb, 0, 0, 1, 0, 0, k0, k1]
    };
    check_inner(LinkType::LINUX_SLL, &prefixed(&sll(1, 0x0800), &ipv4()));
    let tagged = prefixed(&[0x00, 0x2a, 0x86, 0xdd], &ipv6());
    let encapsulation = check_inner(LinkType::LINUX_SLL, &prefixed(&sll(1, 0x8100), &tagged));
    assert_eq!(encapsulation.vlans(), &[42]);
    let snap = prefixed(&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00], &ipv4());
    check_inner(LinkType::LINUX_SLL, &prefixed(&sll(1, 4), &snap));
    let netlink = prefixed(&sll(824, 0), &[0; 32]);
    check_discard(LinkType::LINUX_SLL, &netlink, Discard::NotIp(NotIp::Other));
    let sll2 = [0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 0x3c, 0x22, 0xfb, 0, 0, 1, 0, 0];
    check_inner(LinkType::LINUX_SLL2, &prefixed(&sll2, &ipv6()));
}

#[test]
fn ppp_and_its_framings_are_walked() {
    check_inner(LinkType::PPP, &prefixed(&[0xff, 0x03, 0x00, 0x21], &ipv4()));
    check_inner(LinkType::PPP, &prefixed(&[0x00, 0x57], &ipv6()));
    // Protocol field compression (RFC 1661, section 6.5).
    check_inner(LinkType::PPP, &prefixed(&[0x21], &ipv4()));
    check_inner(LinkType::PPP_HDLC, &prefixed(&[0xff, 0x03, 0x00, 0x21], &ipv4()));
    check_inner(LinkType::PPP_HDLC, &prefixed(&[0x0f, 0x00, 0x08, 0x00], &ipv4()));
    check_inner(LinkType::PPP_WITH_DIR, &prefixed(&[0x01, 0xff, 0x03, 0x00, 0x57], &ipv6()));
    check_inner(LinkType::C_HDLC, &prefixed(&[0x8f, 0x00, 0x86, 0xdd], &ipv6()));
    // A whole packet in a multilink fragment (RFC 1990), and a bridged frame (RFC 3518).
    let multilink = [0xff, 0x03, 0x00, 0x3d, 0xc0, 0, 0, 9, 0x00, 0x21];
    check_inner(LinkType::PPP, &prefixed(&multilink, &ipv4()));
    check_inner(LinkType::PPP, &prefixed(&[0x00, 0x31, 0x00, 0x01], &ethernet()));
    let lcp = [0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4];
    check_discard(LinkType::PPP, &lcp, Discard::NotIp(NotIp::Control));
    check_discard(LinkType::PPP, &[0x00, 0xfd, 1, 2, 3], Discard::Encrypted);
    let slarp = [0x8f, 0x00, 0x80, 0x35, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    check_discard(LinkType::C_HDLC, &slarp, Discard::NotIp(NotIp::Control));
}

#[test]
fn pppoe_gives_its_session() {
    let len = u16::try_from(2 + ipv4().len()).unwrap().to_be_bytes();
    let header = [0x11, 0x00, 0x12, 0x34, len[0], len[1], 0x00, 0x21];
    // A short frame is padded to what Ethernet asks for.
    let bytes = [&header[..], &ipv4(), &[0; 6]].concat();
    for encapsulation in [
        check_inner(LinkType::ETHERNET, &with_ether_type(0x8864, &bytes)),
        check_inner(LinkType::PPP_ETHER, &bytes),
    ] {
        let tunnel = encapsulation.tunnel.unwrap();
        assert_eq!((tunnel.kind, tunnel.id, tunnel.outer), (TunnelKind::Pppoe, 0x1234, None));
        assert_eq!(encapsulation.depth, 0);
    }
    let discovery = with_ether_type(0x8863, &[0x11, 0x09, 0, 0, 0, 0]);
    check_discard(LinkType::ETHERNET, &discovery, Discard::NotIp(NotIp::Control));
}

/// An 802.11 data frame with these frame control bytes; addresses end in their number.
fn wireless(kind: u8, flags: u8, more: &[u8], payload: &[u8]) -> Vec<u8> {
    let address = |number| [0x02, 0, 0, 0, 0, number];
    let mut bytes = vec![kind, flags, 0, 0];
    bytes.extend([address(1), address(2), address(3)].concat());
    bytes.extend([0, 0]);
    if flags & 3 == 3 {
        bytes.extend(address(4));
    }
    bytes.extend_from_slice(more);
    bytes.extend_from_slice(payload);
    bytes
}

fn snap_ipv4() -> Vec<u8> {
    prefixed(&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00], &ipv4())
}

#[test]
fn wireless_frames_give_the_right_stations() {
    // IEEE 802.11, table 9-60: which address is whose, by the two distribution system bits.
    for (flags, src, dst) in [(0x00, 2, 1), (0x02, 3, 1), (0x01, 2, 3), (0x03, 4, 3)] {
        let bytes = wireless(0x08, flags, &[], &snap_ipv4());
        check_inner(LinkType::IEEE802_11, &bytes);
        let mut decoder = decoder();
        let pdu = decoder.decode(frame(LinkType::IEEE802_11, &bytes)).unwrap();
        let link = pdu.link.unwrap();
        assert_eq!(link.src, MacAddress([0x02, 0, 0, 0, 0, src]));
        assert_eq!(link.dst, MacAddress([0x02, 0, 0, 0, 0, dst]));
    }
}

#[test]
fn wireless_options_are_walked() {
    let plain = LinkType::IEEE802_11;
    check_inner(plain, &wireless(0x88, 0x01, &[0x00, 0x00], &snap_ipv4()));
    // Order bit of a QoS frame: four bytes of HT control follow.
    check_inner(plain, &wireless(0x88, 0x81, &[0, 0, 1, 2, 3, 4], &snap_ipv4()));
    // Protected bit kept after the card decrypted, without the CCMP header and with it.
    check_inner(plain, &wireless(0x08, 0x41, &[], &snap_ipv4()));
    check_inner(plain, &wireless(0x08, 0x41, &[1, 0, 0, 0x20, 0, 0, 0, 0], &snap_ipv4()));
    let secret = wireless(0x08, 0x41, &[], &[0x77; 60]);
    check_discard(plain, &secret, Discard::Encrypted);
    // An aggregate: the first frame in it.
    let len = u16::try_from(snap_ipv4().len()).unwrap().to_be_bytes();
    let inner = [&[2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9][..], &len, &snap_ipv4(), &[0; 50]].concat();
    check_inner(plain, &wireless(0x88, 0x01, &[0x80, 0x00], &inner));
    // Beacon, null data, acknowledgment.
    for kind in [0x80, 0x48, 0xd4] {
        let bytes = wireless(kind, 0, &[], &[0; 20]);
        check_discard(plain, &bytes, Discard::NotIp(NotIp::Control));
    }
}

#[test]
fn radio_headers_are_walked() {
    let inner = wireless(0x08, 0x01, &[], &snap_ipv4());
    // radiotap.org: version 0, eight bytes, no fields.
    check_inner(LinkType::IEEE802_11_RADIOTAP, &prefixed(&[0, 0, 8, 0, 0, 0, 0, 0], &inner));
    // Two presence words, a time stamp aligned to eight, flags with "padded to four bytes": a QoS
    // header of 26 bytes gets two more.
    let header =
        [&[0, 0, 25, 0, 0x03, 0, 0, 0x80, 0, 0, 0, 0][..], &[0; 4], &[9; 8], &[0x20]].concat();
    let padded = wireless(0x88, 0x01, &[0, 0, 0, 0], &snap_ipv4());
    check_inner(LinkType::IEEE802_11_RADIOTAP, &prefixed(&header, &padded));
    let prism = [&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136]].concat();
    check_inner(LinkType::IEEE802_11_PRISM, &prefixed(&prism, &inner));
    let avs = [&[0x80, 0x21, 0x10, 0x01, 0, 0, 0, 64][..], &[0; 56]].concat();
    check_inner(LinkType::IEEE802_11_PRISM, &prefixed(&avs, &inner));
    check_inner(LinkType::IEEE802_11_AVS, &prefixed(&avs, &inner));
}

#[test]
fn capture_headers_lead_to_the_inner_frame() {
    // NFLOG: a prefix of five bytes, padded, then the packet; both byte orders.
    let len = u16::try_from(4 + ipv4().len()).unwrap();
    let little = [
        &[2, 0, 0, 0, 9, 0, 10, 0, b'f', b'w', b'd', b':', 0, 0, 0, 0][..],
        &len.to_le_bytes(),
        &[9, 0],
        &ipv4(),
    ];
    check_inner(LinkType::NFLOG, &little.concat());
    let big = [&[2, 0, 0, 0, 0, 9, 0, 10, 1, 2, 3, 4, 0, 0, 0, 0][..], &len.to_be_bytes(), &[0, 9]];
    check_inner(LinkType::NFLOG, &[big.concat(), ipv4()].concat());
    // PPI: twelve bytes of which four are a field, then Ethernet.
    let ppi = [0, 0, 12, 0, 1, 0, 0, 0, 9, 9, 0, 0];
    check_inner(LinkType::PPI, &prefixed(&ppi, &ethernet()));
    for link_type in [LinkType::PKTAP, LinkType::USER2] {
        check_inner(link_type, &prefixed(&pktap_v1(1), &ethernet()));
        check_inner(link_type, &prefixed(&pktap_v1(12), &ipv6()));
        check_inner(link_type, &prefixed(&pktap_v2(1), &ethernet()));
    }
}

/// PKTAP version 1 (bsd/net/pktap.h): 108 bytes, type "packet", link type.
fn pktap_v1(link_type: u8) -> Vec<u8> {
    let mut header = vec![0; 108];
    (header[0], header[4], header[8]) = (108, 1, link_type);
    header
}

/// PKTAP version 2: 52 bytes with names behind the fixed part, link type, flag 0x80000.
fn pktap_v2(link_type: u8) -> Vec<u8> {
    let mut header = vec![0; 52];
    (header[0], header[6], header[38]) = (52, link_type, 0x08);
    header
}

#[test]
fn what_is_not_ip_says_what_it_is() {
    for (ether_type, expected) in [
        (0x0806, NotIp::Arp),
        (0x8035, NotIp::Arp),
        (0x88cc, NotIp::Lldp),
        (0x8809, NotIp::Control),
        (0x888e, NotIp::Control),
        (0x8137, NotIp::Other),
        (0x05ff, NotIp::Other),
    ] {
        let bytes = with_ether_type(ether_type, &[0; 46]);
        check_discard(LinkType::ETHERNET, &bytes, Discard::NotIp(expected));
    }
    let bpdu = with_ether_type(38, &[0x42, 0x42, 0x03, 0, 0, 0]);
    check_discard(LinkType::ETHERNET, &bpdu, Discard::NotIp(NotIp::Stp));
    let cdp = with_ether_type(38, &[0xaa, 0xaa, 0x03, 0, 0, 0x0c, 0x20, 0x00]);
    check_discard(LinkType::ETHERNET, &cdp, Discard::NotIp(NotIp::Control));
    check_discard(LinkType(147), &ethernet(), Discard::UnknownLinkType);
    assert!(!LinkType(147).is_supported());
}

#[test]
fn other_transports_say_which() {
    for (protocol, expected) in [
        (1, OtherTransport::Icmp),
        (2, OtherTransport::Igmp),
        (50, OtherTransport::Esp),
        (89, OtherTransport::Routing),
        (132, OtherTransport::Sctp),
        (255, OtherTransport::Other),
        // An IPv6 extension header means nothing in IPv4.
        (60, OtherTransport::Other),
    ] {
        let bytes = outer_ipv4(protocol, &[0; 40]);
        check_discard(LinkType::RAW, &bytes, Discard::OtherTransport(expected));
    }
    let nothing = outer_ipv6(59, &[]);
    check_discard(LinkType::RAW, &nothing, Discard::OtherTransport(OtherTransport::Nothing));
}

#[test]
fn a_cut_frame_says_where_it_was_cut() {
    let bytes = ethernet();
    for captured in 0..bytes.len() {
        let mut decoder = decoder();
        let outcome = decoder.decode(cut_frame(LinkType::ETHERNET, &bytes, captured));
        match captured {
            0..ETHERNET => assert_eq!(outcome.unwrap_err(), Discard::Truncated(Layer::Link)),
            ETHERNET..34 => assert_eq!(outcome.unwrap_err(), Discard::Truncated(Layer::Ipv4)),
            34..54 => assert_eq!(outcome.unwrap_err(), Discard::Truncated(Layer::Tcp)),
            _ => {
                let pdu = outcome.unwrap();
                assert_eq!(pdu.payload_len, 18);
                assert_eq!(pdu.payload.len(), captured.saturating_sub(66));
                assert!(!pdu.ip.overlong);
            }
        }
    }
}
