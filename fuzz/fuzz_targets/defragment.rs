//! Fragments: a datagram cut at any places and sent in any order, with others mixed in.
#![no_main]

use arbitrary::Arbitrary;
use dwell_packet::{DecodeConfig, Decoder, Frame, LinkType, Timestamp};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Piece<'a> {
    seconds: u8,
    id: u8,
    offset: u16,
    more: bool,
    payload: &'a [u8],
}

fuzz_target!(|pieces: Vec<Piece<'_>>| {
    let mut decoder = Decoder::new(DecodeConfig::default());
    let mut second = 1_000_000;
    for (number, piece) in (1..).zip(pieces.iter().take(256)) {
        second += u64::from(piece.seconds);
        let bytes = ipv4_fragment(piece);
        let frame = Frame {
            ts: Timestamp::from_parts(second, 0),
            link_type: LinkType::RAW,
            bytes: &bytes,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            number,
            processes: dwell_packet::Processes::default(),
        };
        if let Ok(pdu) = decoder.decode(frame) {
            assert!(pdu.payload.len() <= 65_535);
        }
    }
});

fn ipv4_fragment(piece: &Piece<'_>) -> Vec<u8> {
    let payload = &piece.payload[..piece.payload.len().min(1480)];
    let total = u16::try_from(20 + payload.len()).unwrap();
    let flags = u16::from(piece.more) << 13 | (piece.offset & 0x1fff);
    let mut bytes = vec![0x45, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend(u16::from(piece.id).to_be_bytes());
    bytes.extend(flags.to_be_bytes());
    bytes.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}
