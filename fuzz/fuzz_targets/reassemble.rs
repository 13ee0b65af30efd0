//! TCP reassembly against a naive model: first copy of each byte wins, nothing comes twice.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use dwell_flow::{Delivery, MAX_HELD_BYTES, Reassembler};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    start: u32,
    segments: Vec<(u16, &'a [u8])>,
}

fuzz_target!(|input: Input<'_>| {
    let mut reassembler = Reassembler::new();
    reassembler.anchor(input.start);
    let mut model: BTreeMap<u32, u8> = BTreeMap::new();
    let mut out = Vec::new();
    for (offset, payload) in input.segments.iter().take(512) {
        let offset = u32::from(*offset);
        for (at, &byte) in (offset..).zip(payload.iter()) {
            model.entry(at).or_insert(byte);
        }
        let seq = input.start.wrapping_add(offset);
        out.extend_from_slice(reassembler.push(seq, payload).unwrap_or_default());
        while let Some(delivery) = reassembler.pop() {
            match delivery {
                Delivery::Bytes(bytes) => out.extend(bytes),
                Delivery::Gap(_) | Delivery::Restart => unreachable!("not with a known start"),
            }
        }
    }
    if reassembler.counters().refused_bytes == 0 {
        let expected: Vec<u8> =
            (0..).map_while(|at| model.get(&at).copied()).collect();
        assert_eq!(out, expected);
    }
    assert!(reassembler.held_bytes() <= 2 * MAX_HELD_BYTES);
});
