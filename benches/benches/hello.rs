//! What one TLS connection costs: the ClientHello walk, its fingerprints, and the stream around it.
//!
//! Figures to hold against, on the two-core reference machine (real hellos, mean 336 bytes): a hand
//! walk 53 ns, 105 to 136 ns for 1,760 bytes, without allocation; tls-parser 484 ns for record, hello
//! and extensions, 1,076 ns for 1,760 bytes. JA3 string 204 ns and its MD5 259; JA4 strings 225 and
//! two SHA-256 165: about 1.1 us a connection. Ours there, best of many runs, for a Chrome-like hello
//! of 1,760 bytes: walk 72 ns (tls-parser 570), the whole fact 1,580 with the raw form and a third
//! SHA-256 for the variant without resumption, an HTTP request 470.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dwell_proto::{Handshake, Sender, StreamInspector, StreamProtocol, client_hello, server_hello};

fn hello(criterion: &mut Criterion) {
    let small = body(&[]);
    let large = body(&[1216, 300]);
    let mut group = criterion.benchmark_group("hello");
    for (size, body) in [("small", &small), ("large", &large)] {
        group.bench_function(format!("walk_{size}"), |bencher| {
            bencher.iter(|| client_hello::walk(Handshake::Tls, black_box(body)));
        });
        group.bench_function(format!("tls_parser_{size}"), |bencher| {
            bencher.iter(|| {
                let (_, hello) =
                    tls_parser::parse_tls_handshake_client_hello(black_box(body)).ok()?;
                let list = hello.ext.unwrap_or_default();
                let (_, list) = tls_parser::parse_tls_client_hello_extensions(list).ok()?;
                Some((hello.ciphers.len(), list.len()))
            });
        });
        group.bench_function(format!("fact_{size}"), |bencher| {
            bencher.iter(|| client_hello::parse(Handshake::Tls, black_box(body), 1));
        });
    }
    let answer = answer();
    group.bench_function("server_fact", |bencher| {
        bencher.iter(|| server_hello::parse(Handshake::Tls, black_box(&answer), 1));
    });
    group.finish();
}

/// From a new inspector to both facts and its end.
fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    let responder = record(&message(2, &answer()));
    for (size, padding) in [("small", &[][..]), ("large", &[1216, 300])] {
        let originator = record(&message(1, &body(padding)));
        for (pieces, piece) in [("one_segment", usize::MAX), ("segments_of_16", 16)] {
            group.bench_function(format!("tls_{size}_{pieces}"), |bencher| {
                let mut facts = Vec::new();
                bencher.iter(|| {
                    facts.clear();
                    let mut inspector = StreamInspector::new(StreamProtocol::Detect);
                    for segment in black_box(&originator).chunks(piece) {
                        inspector.inspect(Sender::Originator, segment, &mut facts);
                    }
                    inspector.inspect(Sender::Responder, black_box(&responder), &mut facts);
                    (facts.len(), inspector.wants(Sender::Originator))
                });
            });
        }
    }
    let request = b"GET /a/path?with=query HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: \
        Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
        Version/18.4 Safari/605.1.15\r\nAccept: */*\r\nAccept-Language: en-GB\r\n\r\n";
    group.bench_function("http_request", |bencher| {
        let mut facts = Vec::new();
        bencher.iter(|| {
            facts.clear();
            let mut inspector = StreamInspector::new(StreamProtocol::Detect);
            inspector.inspect(Sender::Originator, black_box(request), &mut facts);
            facts.len()
        });
    });
    group.bench_function("unknown_1460", |bencher| {
        let mut facts = Vec::new();
        bencher.iter(|| {
            let mut inspector = StreamInspector::new(StreamProtocol::Detect);
            inspector.inspect(Sender::Originator, black_box(&[0xee; 1460]), &mut facts);
            inspector.wants(Sender::Originator)
        });
    });
    group.finish();
}

/// A hello like Chrome's with a key share and a padding of these lengths.
fn body(padding: &[usize]) -> Vec<u8> {
    let ciphers = [
        0x0a0a_u16, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ];
    let ciphers: Vec<u8> = ciphers.iter().flat_map(|code| code.to_be_bytes()).collect();
    let mut extensions: Vec<(u16, Vec<u8>)> = vec![
        (0x2a2a, vec![]),
        (0x0000, [&[0, 18, 0][..], &vector16(b"www.example.com")].concat()),
        (0x0017, vec![]),
        (0xff01, vec![0]),
        (0x000a, vec![0, 8, 0x4a, 0x4a, 0, 0x1d, 0, 0x17, 0, 0x18]),
        (0x000b, vec![1, 0]),
        (0x0023, vec![]),
        (0x0010, vector16(b"\x02h2\x08http/1.1")),
        (0x0005, vec![1, 0, 0, 0, 0]),
        (0x000d, vector16(&[4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1])),
        (0x0012, vec![]),
        (0x002d, vec![1, 1]),
        (0x002b, vec![6, 0x7a, 0x7a, 3, 4, 3, 3]),
        (0x001b, vec![2, 0, 2]),
        (0x0033, vec![0x42; 43]),
    ];
    for (kind, length) in [0x0033, 0x0015].into_iter().zip(padding) {
        extensions.retain(|(present, _)| *present != kind);
        extensions.push((kind, vec![0; *length]));
    }
    let list: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &vector16(body)].concat())
        .collect();
    [&[3, 3][..], &[0x5a; 32], &[32], &[0x11; 32], &vector16(&ciphers), &[1, 0], &vector16(&list)]
        .concat()
}

fn answer() -> Vec<u8> {
    let key_share = [&[0, 0x33, 0, 36, 0, 0x1d, 0, 0x20][..], &[9; 32]].concat();
    let list = [&key_share[..], &[0, 0x2b, 0, 2, 3, 4]].concat();
    [&[3, 3][..], &[7; 32], &[0, 0x13, 0x01, 0], &vector16(&list)].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0][..], &vector16(body)].concat()
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector16(payload)].concat()
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()[..], bytes].concat()
}

criterion_group!(benches, hello, stream);
criterion_main!(benches);
