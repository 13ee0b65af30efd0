//! TLS and whatever precedes it: any bytes of both sides, split anywhere, give the same facts.
#![no_main]

use arbitrary::Arbitrary;
use dwell_proto::{Observed, Sender, StreamInspector, StreamProtocol};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    turns: Vec<(bool, &'a [u8])>,
    step: u8,
}

fuzz_target!(|input: Input<'_>| {
    let whole = facts(&input.turns, usize::MAX);
    let split = facts(&input.turns, usize::from(input.step).max(1));
    assert_eq!(whole, split);
});

fn facts(turns: &[(bool, &[u8])], step: usize) -> Vec<Observed> {
    let mut inspector = StreamInspector::new(StreamProtocol::Detect);
    let mut facts = Vec::new();
    for (originator, bytes) in turns.iter().take(64) {
        let from = if *originator { Sender::Originator } else { Sender::Responder };
        for piece in bytes.chunks(step.min(bytes.len().max(1))) {
            if inspector.wants(from) {
                inspector.inspect(from, piece, &mut facts);
            }
        }
    }
    assert!(inspector.held_bytes() <= 512 << 10, "bounded");
    facts
}
