//! What counting one payload arrival costs: gaps, logarithm, moments and histograms.
//!
//! Figure to hold against: the prototype counted a gap's logarithm and a histogram bin in about
//! 5 ns.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use dwell_benches::ThreadCpu;
use dwell_flow::{InterArrival, Timing};
use dwell_packet::{Direction, Timestamp};
use dwell_testkit::Random;

fn main() {
    let mut criterion = dwell_benches::criterion();
    arrivals(&mut criterion);
    criterion.final_summary();
}

fn arrivals(criterion: &mut Criterion<ThreadCpu>) {
    let mut random = Random::new(1);
    let gaps: Vec<Duration> = (0..4_096).map(|_| random.log_normal_seconds(0.05, 2.0)).collect();
    let turns: Vec<Direction> = (0..4_096)
        .map(|_| if random.chance(0.5) { Direction::Forward } else { Direction::Reverse })
        .collect();
    let mut group = criterion.benchmark_group("timing");
    group.throughput(Throughput::Elements(4_096));
    group.bench_function("one_way", |bencher| {
        let (mut timing, mut now) = (Timing::default(), START);
        bencher.iter(|| {
            for gap in &gaps {
                now = now.saturating_add(*gap);
                timing.payload(Direction::Forward, now);
            }
            black_box(&mut timing);
        });
    });
    group.bench_function("both_ways", |bencher| {
        let (mut timing, mut now) = (Timing::default(), START);
        bencher.iter(|| {
            for (gap, turn) in gaps.iter().zip(&turns) {
                now = now.saturating_add(*gap);
                timing.payload(*turn, now);
            }
            black_box(&mut timing);
        });
    });
    group.bench_function("gap", |bencher| {
        let mut arrivals = InterArrival::default();
        bencher.iter(|| {
            for gap in &gaps {
                arrivals.add(*gap);
            }
            black_box(&mut arrivals);
        });
    });
    group.finish();
}

const START: Timestamp = Timestamp::from_parts(1_795_510_800, 0);
