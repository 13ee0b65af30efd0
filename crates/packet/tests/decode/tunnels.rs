//! Tunnels and IP options. Headers are written by hand from the specification that each names.

use std::net::IpAddr;

use dwell_packet::{
    Checksum, DecodeConfig, Decoder, Discard, Encapsulation, Layer, LinkType, NotIp, TunnelKind,
};

use crate::support::{
    IPV4, check_discard, check_inner, decoder, ethernet, frame, ipv4, ipv6, outer_ipv4, outer_ipv6,
    outer_udp, tuple_v4, with_ether_type,
};

/// Checks that an IPv4 packet between routers is such a tunnel around the inner packet.
#[track_caller]
fn check_tunnel(packet: &[u8], kind: TunnelKind, id: u32) -> Encapsulation {
    let encapsulation = check_inner(LinkType::RAW, packet);
    let tunnel = encapsulation.tunnel.unwrap();
    let routers: [IpAddr; 2] = [[198, 51, 100, 1].into(), [198, 51, 100, 2].into()];
    assert_eq!((tunnel.kind, tunnel.id), (kind, id));
    assert_eq!(tunnel.outer, Some((routers[0], routers[1])));
    assert_eq!(encapsulation.depth, 1);
    encapsulation
}

fn gre(header: &[u8], payload: &[u8]) -> Vec<u8> {
    outer_ipv4(47, &[header, payload].concat())
}

#[test]
fn ip_in_ip_in_all_pairs_of_versions() {
    check_tunnel(&outer_ipv4(4, &ipv4()), TunnelKind::IpInIp, 0);
    check_tunnel(&outer_ipv4(41, &ipv6()), TunnelKind::IpInIp, 0);
    check_tunnel(&outer_ipv4(94, &ipv4()), TunnelKind::IpInIp, 0);
    for packet in [outer_ipv6(4, &ipv4()), outer_ipv6(41, &ipv6())] {
        let encapsulation = check_inner(LinkType::RAW, &packet);
        assert!(encapsulation.tunnel.unwrap().outer.unwrap().0.is_ipv6());
    }
}

#[test]
fn gre_with_every_option() {
    check_tunnel(&gre(&[0, 0, 0x08, 0x00], &ipv4()), TunnelKind::Gre, 0);
    check_tunnel(&gre(&[0, 0, 0x86, 0xdd], &ipv6()), TunnelKind::Gre, 0);
    // Checksum, key and sequence number (RFC 2890).
    let all = [0xb0, 0, 0x08, 0x00, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7];
    check_tunnel(&gre(&all, &ipv4()), TunnelKind::Gre, 9);
    // Source routing (RFC 1701): one entry of four bytes, then the empty one.
    let routed = [0x40, 0, 0x08, 0x00, 0, 0, 0, 0, 0x08, 0x00, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0];
    check_tunnel(&gre(&routed, &ipv4()), TunnelKind::Gre, 0);
    // Transparent bridging, with NVGRE's key: subnet 0x123456, flow 0x78 (RFC 7637).
    let bridged = [0x20, 0, 0x65, 0x58, 0x12, 0x34, 0x56, 0x78];
    check_tunnel(&gre(&bridged, &ethernet()), TunnelKind::Gre, 0x1234_5678);
    // WCCP with a redirect header and without.
    check_tunnel(&gre(&[0, 0, 0x88, 0x3e], &ipv4()), TunnelKind::Gre, 0);
    check_tunnel(&gre(&[0, 0, 0x88, 0x3e, 1, 0, 0, 0], &ipv4()), TunnelKind::Gre, 0);
    let keep_alive = gre(&[0, 0, 0, 0], &[]);
    check_discard(LinkType::RAW, &keep_alive, Discard::NotIp(NotIp::Control));
    let version_5 = gre(&[0, 5, 0x08, 0x00], &ipv4());
    check_discard(LinkType::RAW, &version_5, Discard::Malformed(Layer::Tunnel));
}

#[test]
fn pptp_carries_ppp() {
    let len = u16::try_from(4 + ipv4().len()).unwrap().to_be_bytes();
    let header = [0x30, 0x81, 0x88, 0x0b, len[0], len[1], 0, 9, 0, 0, 0, 1, 0, 0, 0, 2];
    let payload = [&[0xff, 0x03, 0x00, 0x21][..], &ipv4()].concat();
    check_tunnel(&gre(&header, &payload), TunnelKind::Gre, 9);
    let acknowledgment = gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 9, 0, 0, 0, 2], &[]);
    check_discard(LinkType::RAW, &acknowledgment, Discard::NotIp(NotIp::Control));
}

#[test]
fn erspan_of_every_type() {
    check_tunnel(&gre(&[0, 0, 0x88, 0xbe], &ethernet()), TunnelKind::Erspan, 0);
    let two = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0x64, 0x00, 0x2a, 0, 0, 0, 5];
    check_tunnel(&gre(&two, &ethernet()), TunnelKind::Erspan, 0x2a);
    let three = [&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0x64, 0x00, 0x2a][..], &[0; 8]].concat();
    check_tunnel(&gre(&three, &ethernet()), TunnelKind::Erspan, 0x2a);
    // Type III with a platform subheader, and one that carries IP (frame type 2).
    let mut with_subheader = [&three[..], &[7; 8]].concat();
    with_subheader[19] = 0x01;
    check_tunnel(&gre(&with_subheader, &ethernet()), TunnelKind::Erspan, 0x2a);
    let mut with_ip = three.clone();
    with_ip[18] = 2 << 2;
    check_tunnel(&gre(&with_ip, &ipv4()), TunnelKind::Erspan, 0x2a);
}

#[test]
fn mpls_payloads_are_told_apart() {
    let check = |labels: &[u8], payload: &[u8], id| {
        let bytes = with_ether_type(0x8847, &[labels, payload].concat());
        let tunnel = check_inner(LinkType::ETHERNET, &bytes).tunnel.unwrap();
        assert_eq!((tunnel.kind, tunnel.id), (TunnelKind::Mpls, id));
    };
    let one = [0x00, 0x01, 0x01, 0x40];
    check(&one, &ipv4(), 16);
    check(&one, &ipv6(), 16);
    check(&[0x00, 0x01, 0x00, 0x40, 0x00, 0x02, 0x00, 0x40, 0x00, 0x03, 0x01, 0x40], &ipv4(), 48);
    // Pseudowires: with control word, and without, for stations that start with 0, 4, 6 and d.
    for first in [0x00, 0x02, 0x45, 0x60, 0xdc] {
        let mut inner = ethernet();
        inner[0] = first;
        check(&one, &inner, 16);
        check(&one, &[&[0, 0, 0, 9], inner.as_slice()].concat(), 16);
    }
    check_tunnel(&outer_ipv4(137, &[&one[..], &ipv4()].concat()), TunnelKind::Mpls, 16);
    let channel = with_ether_type(0x8847, &[&one[..], &[0x10, 0, 0, 7, 1, 2, 3, 4]].concat());
    check_discard(LinkType::ETHERNET, &channel, Discard::NotIp(NotIp::Control));
}

#[test]
fn vxlan_and_its_kin() {
    let vxlan = [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0];
    let frame = [&vxlan[..], &ethernet()].concat();
    for port in [4789, 8472, 4790] {
        check_tunnel(&outer_udp(port, &frame), TunnelKind::Vxlan, 0x12_3456);
    }
    // Group policy bit; generic protocol extension with each next protocol.
    let policy = [&[0x88, 0, 0, 9, 0x12, 0x34, 0x56, 0][..], &ethernet()].concat();
    check_tunnel(&outer_udp(4789, &policy), TunnelKind::Vxlan, 0x12_3456);
    for (next, payload) in [(1, ipv4()), (2, ipv6()), (3, ethernet())] {
        let gpe = [&[0x0c, 0, 0, next, 0, 0, 1, 0][..], &payload].concat();
        check_tunnel(&outer_udp(4790, &gpe), TunnelKind::Vxlan, 1);
    }
    let tagged =
        [&vxlan[..], &with_ether_type(0x8100, &[&[0, 7, 8, 0], ipv4().as_slice()].concat())];
    let encapsulation =
        check_tunnel(&outer_udp(4789, &tagged.concat()), TunnelKind::Vxlan, 0x12_3456);
    assert_eq!(encapsulation.vlans(), &[7]);
}

#[test]
fn geneve_with_options() {
    let bare = [&[0, 0, 0x65, 0x58, 0, 0, 5, 0][..], &ethernet()].concat();
    check_tunnel(&outer_udp(6081, &bare), TunnelKind::Geneve, 5);
    let options = [&[0x03, 0x40, 0x86, 0xdd, 0, 0, 5, 0][..], &[1; 12], &ipv6()].concat();
    check_tunnel(&outer_udp(6081, &options), TunnelKind::Geneve, 5);
}

#[test]
fn gtp_with_extension_headers() {
    let message = |flags: u8, options: &[u8], payload: &[u8]| {
        let [len0, len1] = u16::try_from(options.len() + payload.len()).unwrap().to_be_bytes();
        let header = [flags, 255, len0, len1, 0, 0, 0x10, 0x01];
        outer_udp(2152, &[&header[..], options, payload].concat())
    };
    check_tunnel(&message(0x30, &[], &ipv4()), TunnelKind::GtpU, 0x1001);
    check_tunnel(&message(0x32, &[0, 1, 0, 0], &ipv6()), TunnelKind::GtpU, 0x1001);
    // PDU session container (0x85), then a long one, then none (TS 29.281, section 5.2).
    let chain = [0, 0, 0, 0x85, 1, 0, 0, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0];
    check_tunnel(&message(0x34, &chain, &ipv4()), TunnelKind::GtpU, 0x1001);
    check_tunnel(&message(0x30, &[], &ethernet()), TunnelKind::GtpU, 0x1001);
}

#[test]
fn l2tp_of_both_versions() {
    let framed = [&[0xff, 0x03, 0x00, 0x21][..], &ipv4()].concat();
    let version_2 = [&[0x00, 0x02, 0, 1, 0, 2][..], &framed].concat();
    check_tunnel(&outer_udp(1701, &version_2), TunnelKind::L2tp, 2);
    // Length, sequence numbers and an offset of three bytes (RFC 2661, section 3.1).
    let len = u16::try_from(17 + framed.len()).unwrap().to_be_bytes();
    let all = [0x4a, 0x02, len[0], len[1], 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 9, 9, 9];
    check_tunnel(&outer_udp(1701, &[&all[..], &framed].concat()), TunnelKind::L2tp, 2);
    let session = [0x00, 0x00, 0x01, 0x02];
    for cookie in [&[][..], &[8; 4], &[8; 8]] {
        for sublayer in [&[][..], &[0x40, 0, 0, 1]] {
            let payload = [&session, cookie, sublayer, &ethernet()].concat();
            check_tunnel(&outer_ipv4(115, &payload), TunnelKind::L2tp, 0x0102);
            let over_udp = [&[0x00, 0x03, 0, 0][..], &payload].concat();
            check_tunnel(&outer_udp(1701, &over_udp), TunnelKind::L2tp, 0x0102);
        }
    }
    let control = outer_ipv4(115, &[0, 0, 0, 0, 0xc8, 0x03, 0, 12]);
    check_discard(LinkType::RAW, &control, Discard::NotIp(NotIp::Control));
}

#[test]
fn the_other_tunnels() {
    check_tunnel(
        &outer_ipv4(97, &[&[0x30, 0x00], ethernet().as_slice()].concat()),
        TunnelKind::EtherIp,
        0,
    );
    check_tunnel(&outer_ipv4(143, &ethernet()), TunnelKind::EtherIp, 0);
    let tags = [1, 0, 0, 1, 0x0a, 1, 0xc4, 0, 0, 1];
    check_tunnel(&outer_udp(37008, &[&tags[..], &ethernet()].concat()), TunnelKind::Tzsp, 0);
    check_tunnel(&outer_udp(3544, &ipv6()), TunnelKind::Teredo, 0);
    // RFC 4380, section 5.1.1: authentication (no identifier, no value), then origin.
    let headers = [&[0, 1, 0, 0][..], &[3; 9], &[0, 0, 1, 2, 3, 4, 5, 6], &ipv6()].concat();
    check_tunnel(&outer_udp(3544, &headers), TunnelKind::Teredo, 0);
    // Authentication header in transport and tunnel mode: next header, length in words less two.
    let segment = &ipv4()[IPV4..];
    let [len0, len1] = u16::try_from(IPV4 + 24 + segment.len()).unwrap().to_be_bytes();
    let mut transport = ipv4()[..IPV4].to_vec();
    (transport[2], transport[3], transport[9]) = (len0, len1, 51);
    (transport[10], transport[11]) = (0, 0);
    let sum = dwell_testkit::frame::internet_checksum(&[&transport]).to_be_bytes();
    transport[10..12].copy_from_slice(&sum);
    let ah = |next| [&[next, 4, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1][..], &[0; 12]].concat();
    let packet = [&transport[..], &ah(6), segment].concat();
    let encapsulation = check_inner(LinkType::RAW, &packet);
    assert_eq!(encapsulation.tunnel.unwrap().kind, TunnelKind::Ah);
    assert_eq!(encapsulation.depth, 0);
    check_tunnel(&outer_ipv4(51, &[ah(4), ipv4()].concat()), TunnelKind::IpInIp, 0);
}

#[test]
fn a_datagram_on_a_tunnel_port_that_holds_no_tunnel_is_itself_the_pdu() {
    for port in [4789, 6081, 2152, 1701, 3544, 37008] {
        for payload in [&b""[..], b"x", b"\xc3\x00\x00\x00\x01 a QUIC packet", &[8; 60], &[0; 60]] {
            let packet = outer_udp(port, payload);
            let mut decoder = decoder();
            let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
            assert_eq!((pdu.tuple.dst.port, pdu.payload), (port, payload));
            assert_eq!(pdu.encapsulation, Encapsulation::default());
        }
    }
    // A tunnel whose inner segment contradicts itself.
    let mut inner = ethernet();
    inner[46] = 0x10;
    let packet = outer_udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat());
    let mut decoder = decoder();
    let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
    assert_eq!((pdu.tuple.dst.port, pdu.encapsulation.tunnel), (4789, None));
}

#[test]
fn tunnel_ports_can_be_configured() {
    let packet = outer_udp(14_789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet()].concat());
    let config = DecodeConfig { vxlan_ports: vec![14_789], ..DecodeConfig::default() };
    let mut decoder = Decoder::new(config);
    assert_eq!(decoder.decode(frame(LinkType::RAW, &packet)).unwrap().tuple, tuple_v4());
    let tunnels: Vec<_> = decoder.counters().tunnels().filter(|(_, count)| *count > 0).collect();
    assert_eq!(tunnels, [(TunnelKind::Vxlan, 1)]);
}

#[test]
fn extension_headers_are_walked() {
    let segment = ipv6()[40..].to_vec();
    let options = |next, kind: u8, len: u8| {
        [&[next, len, kind, 4][..], &vec![0; 4 + usize::from(len) * 8]].concat()
    };
    // Hop-by-hop, routing (none left), destination, mobility, HIP, shim6 in a row.
    let chain = [
        options(43, 1, 0),
        options(60, 4, 1),
        options(135, 1, 2),
        options(139, 0, 0),
        options(140, 0, 0),
        options(17, 0, 0),
        segment.clone(),
    ];
    let mut packet = outer_ipv6(0, &chain.concat());
    // Segments left of the routing header.
    packet[40 + 8 + 3] = 0;
    check_inner(LinkType::RAW, &packet);
    let bomb: Vec<u8> = std::iter::repeat_n(options(60, 1, 0), 170).flatten().collect();
    let last = [options(17, 1, 0), segment].concat();
    check_inner(LinkType::RAW, &outer_ipv6(60, &[bomb, last].concat()));
}

#[test]
fn a_routing_header_with_segments_left_leaves_the_checksum_open() {
    let routing = [&[17, 2, 4, 1, 0, 0, 0, 0][..], &[0x20; 16]].concat();
    let packet = outer_ipv6(43, &[routing, ipv6()[40..].to_vec()].concat());
    let mut decoder = decoder();
    let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
    assert!(pdu.ip.source_routed);
    assert_eq!(pdu.transport_checksum(), Checksum::Unverifiable);
}

#[test]
fn ipv4_options_are_skipped_and_source_routes_noted() {
    for (options, source_routed) in [
        (&[1, 1, 1, 0][..], false),
        (&[7, 7, 4, 0, 0, 0, 0, 0], false),
        // Loose source route with one address: to be visited, and visited.
        (&[131, 7, 4, 10, 0, 0, 1, 0], true),
        (&[1, 131, 7, 8, 10, 0, 0, 1], false),
    ] {
        let plain = ipv4();
        let mut packet = [&plain[..IPV4], options, &plain[IPV4..]].concat();
        packet[0] = 0x45 + u8::try_from(options.len() / 4).unwrap();
        let total = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        let mut decoder = decoder();
        let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
        assert_eq!((pdu.tuple, pdu.ip.source_routed), (tuple_v4(), source_routed), "{options:?}");
    }
}

#[test]
fn nesting_is_walked_to_eight_ip_headers() {
    let mut packet = ipv4();
    for depth in 1..8 {
        packet = outer_ipv4(4, &packet);
        assert_eq!(check_inner(LinkType::RAW, &packet).depth, depth);
    }
    check_discard(LinkType::RAW, &outer_ipv4(4, &packet), Discard::TooDeep);
    let mut tagged = ethernet();
    for _ in 0..80 {
        tagged = [&[0x30, 0x00][..], &tagged].concat();
        tagged = with_ether_type(0x0800, &outer_ipv4(97, &tagged));
    }
    check_discard(LinkType::ETHERNET, &tagged, Discard::TooDeep);
}

#[test]
fn a_length_of_zero_is_a_super_frame() {
    for mut packet in [ipv4(), ipv6()] {
        let length = if packet[0] >> 4 == 4 { 2..4 } else { 4..6 };
        packet[length].fill(0);
        let mut decoder = decoder();
        let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
        assert_eq!((pdu.payload_len, pdu.ip.offloaded), (18, true));
        assert_eq!(pdu.transport_checksum(), Checksum::Unverifiable);
    }
}

#[test]
fn a_length_beyond_the_frame_is_noted() {
    for mut packet in [ipv4(), ipv6()] {
        let low = if packet[0] >> 4 == 4 { 3 } else { 5 };
        packet[low] += 1;
        let mut decoder = decoder();
        let pdu = decoder.decode(frame(LinkType::RAW, &packet)).unwrap();
        assert!(pdu.ip.overlong);
        assert_eq!(pdu.payload.len(), 18);
        assert_eq!(pdu.transport_checksum(), Checksum::Invalid);
    }
    let mut datagram = ipv6();
    datagram[45] += 1;
    let mut decoder = decoder();
    let pdu = decoder.decode(frame(LinkType::RAW, &datagram)).unwrap();
    assert_eq!((pdu.payload_len, pdu.ip.overlong), (19, true));
}

#[test]
fn checksums_are_judged() {
    let outcome = |packet: &[u8]| {
        let mut decoder = decoder();
        let pdu = decoder.decode(frame(LinkType::RAW, packet)).unwrap();
        (pdu.ip.checksum_ok, pdu.transport_checksum())
    };
    assert_eq!(outcome(&ipv4()), (true, Checksum::Valid));
    for at in [IPV4 + 4, IPV4 + 13, ipv4().len() - 1] {
        let mut packet = ipv4();
        packet[at] ^= 0x10;
        assert_eq!(outcome(&packet), (true, Checksum::Invalid), "byte {at}");
    }
    let mut packet = ipv4();
    packet[8] -= 1;
    assert_eq!(outcome(&packet), (false, Checksum::Valid));
    // None is allowed over IPv4 (RFC 768), not over IPv6 (RFC 8200, section 8.1).
    assert_eq!(outcome(&outer_udp(443, b"x")), (true, Checksum::Unverifiable));
    let mut packet = ipv6();
    packet[46..48].fill(0);
    assert_eq!(outcome(&packet), (true, Checksum::Invalid));
}
