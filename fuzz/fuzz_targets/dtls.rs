//! DTLS: handshake records with any fragments, behind a record header that looks right.
#![no_main]

use arbitrary::Arbitrary;
use dwell_proto::{DatagramInspector, DatagramProtocol, Sender};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    records: Vec<(bool, u8, &'a [u8])>,
}

fuzz_target!(|input: Input<'_>| {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    for (originator, sequence, body) in input.records.iter().take(64) {
        let from = if *originator { Sender::Originator } else { Sender::Responder };
        let Ok(len) = u16::try_from(body.len()) else { continue };
        let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, *sequence];
        datagram.extend(len.to_be_bytes());
        datagram.extend(*body);
        inspector.inspect(from, &datagram, &mut facts);
    }
    assert!(inspector.held_bytes() <= 1 << 20, "bounded");
});
