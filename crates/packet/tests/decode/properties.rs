//! What holds for any bytes.

use dwell_packet::{Frame, LinkType, Timestamp};
use proptest::prelude::*;

use crate::support::{
    cut_frame, decoder, ethernet, frame, ipv4, ipv6, outer_ipv4, outer_udp, with_ether_type,
};

/// Every link type that is decoded, and one that is not.
const LINK_TYPES: [u32; 24] = [
    0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 147, 149, 163, 192, 204, 228, 229,
    239, 258, 276,
];

/// Frames that lead into every part of the decoder.
fn samples() -> Vec<Vec<u8>> {
    let vxlan = outer_udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], ethernet().as_slice()].concat());
    let gre = outer_ipv4(47, &[&[0xb0, 0, 0x88, 0xbe], [0; 20].as_slice(), &ethernet()].concat());
    let mpls = with_ether_type(0x8847, &[&[0, 1, 1, 0x40], ipv4().as_slice()].concat());
    vec![
        ethernet(),
        with_ether_type(0x86dd, &ipv6()),
        with_ether_type(0x8100, &[&[0, 5, 0x08, 0], ipv4().as_slice()].concat()),
        with_ether_type(0x0800, &vxlan),
        with_ether_type(0x0800, &gre),
        with_ether_type(0x0800, &outer_ipv4(4, &ipv4())),
        mpls,
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (0..samples().len(), prop::collection::vec(change, 0..6)).prop_map(|(which, changes)| {
        let mut bytes = samples().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_of_any_link_type_decode_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        link_type in prop::sample::select(LINK_TYPES.as_slice()),
        more in 0u32..2000,
    ) {
        let mut decoder = decoder();
        let wire_len = u32::try_from(bytes.len()).unwrap() + more;
        let frame = Frame {
            ts: Timestamp::ZERO,
            link_type: LinkType(link_type),
            bytes: &bytes,
            wire_len,
            number: 1,
            processes: dwell_packet::Processes::default(),
        };
        if let Ok(pdu) = decoder.decode(frame) {
            let _ = pdu.transport_checksum();
            prop_assert!(pdu.segment.ends_with(pdu.payload));
        }
        let counters = decoder.counters();
        let pdus = counters.tcp_segments + counters.udp_datagrams;
        prop_assert_eq!(counters.frames, pdus + counters.discarded_frames());
    }

    #[test]
    fn the_short_way_agrees_with_the_walk(
        bytes in mutated(),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let captured = if whole { bytes.len() } else { cut.index(bytes.len()) };
        let frame = cut_frame(LinkType::ETHERNET, &bytes, captured);
        let (mut short, mut long) = (decoder(), decoder());
        let walked = long.decode_by_walk(frame);
        prop_assert_eq!(short.decode(frame), walked);
        prop_assert_eq!(short.counters(), long.counters());
    }
}

#[test]
fn any_prefix_of_any_frame_decodes_without_a_panic() {
    let mut decoder = decoder();
    for sample in samples() {
        for captured in 0..=sample.len() {
            let _ = decoder.decode(cut_frame(LinkType::ETHERNET, &sample, captured));
            // The same, but as if there never was more.
            let _ = decoder.decode(frame(LinkType::ETHERNET, &sample[..captured]));
        }
    }
    assert!(decoder.counters().frames > 1_000);
}
