//! What a packet of an established flow costs in the flow table, by number of flows, and how much
//! memory a flow takes.
//!
//! Figures to hold against, of the prototype on the two-core reference machine: 25, 40 and 53 ns at
//! 100,000, a million and four million flows with batches and huge pages; 77, 183 and 225 ns without
//! (a presized table of indices beside a slab); DashMap 86, 171 and 269 ns. The goal is 80 ns at a
//! million flows, and at most 160 bytes a flow, 288 with a hello.

use std::hint::black_box;
use std::process::Command;

use criterion::{BenchmarkId, Criterion, Throughput};
use dwell_benches::{Flows, Step, ThreadCpu, resident_bytes};
use mimalloc::MiMalloc;

/// As the sensor's: huge pages where the kernel grants them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, option, count] = arguments.as_slice()
        && option == MEMORY
    {
        print_memory(count.parse().unwrap_or_default());
        return;
    }
    if let Some(program) = arguments.first() {
        memory(program);
    }
    let mut criterion = dwell_benches::criterion();
    update(&mut criterion);
    criterion.final_summary();
}

fn update(criterion: &mut Criterion<ThreadCpu>) {
    let mut group = criterion.benchmark_group("flow_table");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for count in COUNTS {
        let mut flows = None;
        for (name, step) in [("acknowledgement", Step::Acknowledgement), ("payload", Step::Payload)]
        {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                let flows = flows.get_or_insert_with(|| {
                    let mut flows = Flows::established(count);
                    flows.speak();
                    flows
                });
                bencher.iter(|| black_box(flows.step(step)));
            });
        }
    }
    group.finish();
}

/// Memory of each size in a process of its own, so that none inherits freed pages.
fn memory(program: &str) {
    for count in COUNTS {
        let told = Command::new(program).args([MEMORY, &count.to_string()]).status();
        if let Err(error) = told {
            println!("flow_table/memory/{count}: {error}");
        }
    }
}

fn print_memory(count: u32) {
    let before = resident_bytes();
    let mut flows = Flows::established(count);
    let bare = resident_bytes() - before;
    flows.speak();
    let spoken = resident_bytes() - before;
    // The order in which flows are visited is the bench's own.
    let own = u64::from(count) * 4;
    let each = |bytes: u64| bytes.saturating_sub(own) / u64::from(count.max(1));
    println!(
        "flow_table/memory/{}: {} bytes a flow, {} with timing",
        flows.len(),
        each(bare),
        each(spoken)
    );
}

const COUNTS: [u32; 4] = [10_000, 100_000, 1_000_000, 4_000_000];
const MEMORY: &str = "--memory";
