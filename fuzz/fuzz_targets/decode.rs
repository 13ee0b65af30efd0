//! Frames: any bytes under any link type. What a PDU borrows lies within the frame.
#![no_main]

use arbitrary::Arbitrary;
use dwell_packet::{DecodeConfig, Decoder, Frame, LinkType, Timestamp};
use libfuzzer_sys::fuzz_target;

/// Link types that the decoder knows, and one that it does not.
const LINK_TYPES: [u32; 25] = [
    0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 147, 149, 163, 192, 204, 228, 229,
    239, 258, 276, 0x1000_0001,
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    link: u8,
    wire_len: Option<u32>,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let link = LINK_TYPES[usize::from(input.link) % LINK_TYPES.len()];
    let len = u32::try_from(input.bytes.len()).unwrap();
    let frame = Frame {
        ts: Timestamp::from_parts(1, 0),
        link_type: LinkType(link),
        bytes: input.bytes,
        wire_len: input.wire_len.unwrap_or(len),
        number: 1,
        processes: dwell_packet::Processes::default(),
    };
    let mut decoder = Decoder::new(DecodeConfig::default());
    if let Ok(pdu) = decoder.decode(frame) {
        assert!(pdu.payload.len() <= input.bytes.len());
        let _ = pdu.transport_checksum();
    }
});
