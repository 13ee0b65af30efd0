//! What one QUIC connection costs: from datagrams to hellos with their fingerprints.
//!
//! The datagrams are the published ones of RFC 9001, appendix A. `client_initial` is a connection of
//! which only the client's first datagram is seen, inspector and its memory included;
//! `not_an_initial` is a datagram after the handshake, which most are.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dwell_proto::{DatagramInspector, DatagramProtocol, Sender};

fn quic(criterion: &mut Criterion) {
    let client = bytes(include_str!("../../crates/proto/vectors/rfc9001-client-initial.hex"));
    let server = bytes(include_str!("../../crates/proto/vectors/rfc9001-server-initial.hex"));
    let later = [&[0x41][..], &[0x5a; 1200]].concat();
    let mut group = criterion.benchmark_group("quic");
    let mut facts = Vec::new();
    group.bench_function("client_initial", |bencher| {
        bencher.iter(|| {
            facts.clear();
            let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
            inspector.inspect(Sender::Originator, black_box(&client), &mut facts);
            facts.len()
        });
    });
    group.bench_function("both_initials", |bencher| {
        bencher.iter(|| {
            facts.clear();
            let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
            inspector.inspect(Sender::Originator, black_box(&client), &mut facts);
            inspector.inspect(Sender::Responder, black_box(&server), &mut facts);
            facts.len()
        });
    });
    group.bench_function("decoy_initial", |bencher| {
        let mut decoy = client.clone();
        if let Some(last) = decoy.last_mut() {
            *last ^= 1;
        }
        bencher.iter(|| {
            facts.clear();
            let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
            inspector.inspect(Sender::Originator, black_box(&decoy), &mut facts);
            facts.len()
        });
    });
    group.bench_function("not_an_initial", |bencher| {
        bencher.iter(|| {
            facts.clear();
            let mut inspector = DatagramInspector::new(DatagramProtocol::Detect);
            inspector.inspect(Sender::Originator, black_box(&later), &mut facts);
            inspector.wants(Sender::Originator)
        });
    });
    group.finish();
}

/// The bytes written in hex in `text`; white space does not count.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

criterion_group!(benches, quic);
criterion_main!(benches);
