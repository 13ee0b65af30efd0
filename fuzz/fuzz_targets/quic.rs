//! QUIC: datagrams of both sides in any order.
#![no_main]

use arbitrary::Arbitrary;
use dwell_proto::{DatagramInspector, DatagramProtocol, Sender};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    datagrams: Vec<(bool, &'a [u8])>,
}

fuzz_target!(|input: Input<'_>| {
    let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
    let mut facts = Vec::new();
    for (originator, datagram) in input.datagrams.iter().take(64) {
        let from = if *originator { Sender::Originator } else { Sender::Responder };
        inspector.inspect(from, datagram, &mut facts);
    }
    assert!(inspector.held_bytes() <= 1 << 20, "bounded");
    let _ = inspector.connection_ids();
});
