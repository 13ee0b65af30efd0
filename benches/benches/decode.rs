//! What decoding one frame costs: the short way for common stacks, the full walk, a tunnel, and
//! etherparse's lax slices beside them.
//!
//! `spec/performance.md`, section 3.2, measured 4–5 ns for a header peek by hand and 33 ns for
//! etherparse's slices, L2-hot.

use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{Criterion, criterion_group, criterion_main};
use dwell_packet::{
    DecodeConfig, Decoder, Endpoint, FiveTuple, Frame, LinkAddresses, LinkType, MacAddress,
    Timestamp, Transport,
};
use dwell_testkit::frame::{IpFields, Segment, tcp_frame, udp_frame};
use etherparse::LaxSlicedPacket;

fn decode(criterion: &mut Criterion) {
    let plain = tcp();
    let tunnelled = vxlan(&plain);
    let mut decoder = Decoder::new(DecodeConfig::default());
    let mut group = criterion.benchmark_group("decode");
    group.bench_function("short_way", |bencher| {
        bencher.iter(|| decoder.decode(frame(black_box(&plain))).is_ok());
    });
    group.bench_function("full_walk", |bencher| {
        bencher.iter(|| decoder.decode_by_walk(frame(black_box(&plain))).is_ok());
    });
    group.bench_function("vxlan", |bencher| {
        bencher.iter(|| decoder.decode(frame(black_box(&tunnelled))).is_ok());
    });
    group.bench_function("etherparse_lax_slices", |bencher| {
        bencher.iter(|| LaxSlicedPacket::from_ethernet(black_box(&plain)).is_ok());
    });
    group.finish();
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts: Timestamp::from_parts(1, 0),
        link_type: LinkType::ETHERNET,
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        number: 1,
        processes: dwell_packet::Processes::default(),
    }
}

fn link() -> LinkAddresses {
    LinkAddresses { src: MacAddress([2; 6]), dst: MacAddress([4; 6]) }
}

fn tuple(transport: Transport, dst_port: u16) -> FiveTuple {
    let end = |last, port| Endpoint { addr: Ipv4Addr::new(10, 0, 0, last).into(), port };
    FiveTuple { src: end(1, 40_000), dst: end(2, dst_port), transport }
}

fn tcp() -> Vec<u8> {
    let segment = Segment {
        seq: 1,
        ack: 1,
        flags: dwell_packet::TcpFlags::ACK,
        window: 1000,
        options: &[1; 12],
    };
    tcp_frame(link(), ip(), &tuple(Transport::Tcp, 443), &segment, &[0x5a; 800])
}

fn vxlan(inner: &[u8]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, 42, 0][..], inner].concat();
    udp_frame(link(), ip(), &tuple(Transport::Udp, 4789), &payload)
}

fn ip() -> IpFields {
    IpFields { ttl: 64, id: 1 }
}

criterion_group!(benches, decode);
criterion_main!(benches);
