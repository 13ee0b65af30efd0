//! What putting a stream in order costs: 16 KiB, as much as is read of a direction, in segments that
//! come in order, reversed, and a byte at a time.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use dwell_benches::ThreadCpu;
use dwell_flow::{Delivery, Reassembler};

fn main() {
    let mut criterion = dwell_benches::criterion();
    reassembly(&mut criterion);
    criterion.final_summary();
}

fn reassembly(criterion: &mut Criterion<ThreadCpu>) {
    let stream = vec![0x5a; STREAM];
    let mut group = criterion.benchmark_group("reassembly");
    group.throughput(Throughput::Bytes(16 << 10));
    for (size, length) in [("full_segments", 1_448), ("single_bytes", 1)] {
        let in_order = segments(&stream, length);
        let reversed: Vec<(u32, &[u8])> = in_order.iter().rev().copied().collect();
        for (order, segments) in [("in_order", &in_order), ("reversed", &reversed)] {
            group.bench_function(format!("{order}/{size}"), |bencher| {
                bencher.iter(|| {
                    let delivered = deliver(black_box(segments));
                    assert_eq!(delivered, STREAM, "bytes were lost");
                });
            });
        }
    }
    group.finish();
}

/// How many bytes of a stream come out.
fn deliver(segments: &[(u32, &[u8])]) -> usize {
    let mut reassembler = Reassembler::new();
    reassembler.anchor(START);
    let mut delivered = 0;
    for (seq, payload) in segments {
        delivered += black_box(reassembler.push(*seq, payload)).map_or(0, <[u8]>::len);
        while let Some(delivery) = reassembler.pop() {
            if let Delivery::Bytes(bytes) = black_box(delivery) {
                delivered += bytes.len();
            }
        }
    }
    delivered
}

fn segments(stream: &[u8], length: usize) -> Vec<(u32, &[u8])> {
    let mut seq = START;
    let mut segments = Vec::new();
    for payload in stream.chunks(length) {
        segments.push((seq, payload));
        seq = seq.wrapping_add(u32::try_from(payload.len()).unwrap_or_default());
    }
    segments
}

const STREAM: usize = 16 << 10;
/// The sequence number after the SYN: it wraps on the way.
const START: u32 = u32::MAX - 5_000;
