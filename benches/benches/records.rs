//! What everything behind the shards costs: from events of flows to records, and from records to
//! JSON lines, by kind of record.
//!
//! The records are those of 100 MB of the internet mix. A figure is of one flow or of one
//! line.

#![expect(clippy::expect_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::{Criterion, criterion_group, criterion_main};
use dwell_benches::ThreadCpu;
use dwell_engine::{Engine, EngineConfig, Lanes, Moment, Record};
use dwell_output::{EveContext, EveLines};
use dwell_packet::{Frame, LinkType, Processes, Timestamp};
use dwell_testkit::traffic::{Mix, Traffic};

/// Bytes of frames that make the events.
const BYTES: usize = 100_000_000;

/// Bytes of frames that go through the stages at once.
const CHUNK: usize = 1 << 20;

fn records(criterion: &mut Criterion<ThreadCpu>) {
    let chunks = chunks();
    let (_, records) = analyse(&chunks);
    let ends = |record: &&Record| kind(record) == Some("flow_end");
    let flows = u32::try_from(records.iter().filter(ends).count()).unwrap_or(1).max(1);
    let mut group = criterion.benchmark_group("records");
    group.sample_size(10);
    group.bench_function("analytics_flow", |bencher| {
        bencher.iter_custom(|rounds| {
            let spent: Duration = (0..rounds).map(|_| analyse(&chunks).0).sum();
            spent / flows
        });
    });
    for name in ["tls", "quic", "http", "flow_start", "flow_end", "session"] {
        let chosen: Vec<&Record> =
            records.iter().filter(|record| kind(record) == Some(name)).collect();
        let count = u32::try_from(chosen.len()).unwrap_or(1).max(1);
        let mut lines = Vec::with_capacity(1 << 17);
        let mut eve = EveLines::default();
        eprintln!("{name}: {count} lines of {} bytes", written(&chosen) / u64::from(count));
        group.bench_function(format!("{name}_line"), |bencher| {
            bencher.iter_custom(|rounds| {
                let start = ThreadTime::now();
                for _ in 0..rounds {
                    write(&mut eve, black_box(&mut lines), &chosen);
                }
                start.elapsed() / count
            });
        });
    }
    group.finish();
}

/// Appends lines to one buffer that starts again at 64 KiB, as a writer does.
fn write(eve: &mut EveLines, lines: &mut Vec<u8>, records: &[&Record]) {
    let context = context();
    for record in records {
        if lines.len() >= 1 << 16 {
            lines.clear();
        }
        eve.append(lines, &context, record).expect("a record has a line");
    }
}

/// How many bytes the lines have together.
fn written(records: &[&Record]) -> u64 {
    let context = context();
    let length = |record: &&Record| {
        let mut line = Vec::new();
        EveLines::default().append(&mut line, &context, record).expect("a record has a line");
        u64::try_from(line.len()).unwrap_or(0)
    };
    records.iter().map(length).sum()
}

fn context() -> EveContext {
    EveContext { pcap_filename: Some("internet.pcap".to_owned()), ..EveContext::default() }
}

fn kind(record: &Record) -> Option<&'static str> {
    Some(match record {
        Record::Handshake(handshake) => match handshake.hello.handshake {
            dwell_proto::Handshake::Quic => "quic",
            dwell_proto::Handshake::Tls | dwell_proto::Handshake::Dtls => "tls",
        },
        Record::Http(_) => "http",
        Record::Flow(flow) => match flow.moment {
            Moment::Start => "flow_start",
            Moment::Update | Moment::End(_) => "flow_end",
        },
        Record::Session(_) => "session",
        _ => return None,
    })
}

/// Runs the mix through all stages; gives the CPU time of the analytics alone, and the records.
fn analyse(chunks: &[Chunk]) -> (Duration, Vec<Record>) {
    let mut engine = Engine::new(EngineConfig::default());
    let mut batch = engine.new_batch();
    let mut records = Vec::new();
    let mut spent = Duration::ZERO;
    let Lanes { intake, shards, analytics } = engine.lanes();
    for chunk in chunks {
        intake.fill(&mut batch, chunk.frames(), &chunk.bytes);
        for (shard, part) in shards.iter_mut().zip(&mut batch.parts) {
            shard.run(part, &batch.shared, &chunk.bytes);
        }
        let start = ThreadTime::now();
        analytics.run(&mut batch);
        spent += start.elapsed();
        records.extend(analytics.take_records());
    }
    // The shards end their flows in this time too: a small part of it.
    let start = ThreadTime::now();
    engine.finish();
    spent += start.elapsed();
    records.extend(engine.take_records());
    (spent, records)
}

/// Some consecutive frames, one behind the other.
struct Chunk {
    bytes: Vec<u8>,
    /// Time, number and end of each frame.
    frames: Vec<(Timestamp, u64, usize)>,
}

impl Chunk {
    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut start = 0;
        self.frames.iter().map(move |&(ts, number, end)| {
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            Frame {
                ts,
                link_type: LinkType::ETHERNET,
                bytes,
                wire_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                number,
                processes: Processes::default(),
            }
        })
    }
}

fn chunks() -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut chunk = Chunk { bytes: Vec::new(), frames: Vec::new() };
    let mut bytes = 0;
    for (captured, number) in Traffic::new(Mix::Internet, 1).zip(1..) {
        bytes += captured.bytes.len();
        if bytes > BYTES {
            break;
        }
        chunk.bytes.extend_from_slice(&captured.bytes);
        chunk.frames.push((captured.ts, number, chunk.bytes.len()));
        if chunk.bytes.len() > CHUNK {
            let empty = Chunk { bytes: Vec::new(), frames: Vec::new() };
            chunks.push(std::mem::replace(&mut chunk, empty));
        }
    }
    chunks.push(chunk);
    chunks
}

criterion_group! {
    name = benches;
    config = dwell_benches::criterion();
    targets = records
}
criterion_main!(benches);
