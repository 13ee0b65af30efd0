//! What naming one flow's application costs, with 20,000 rules.
//!
//! Figure to hold against: at most 1 µs a fact.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench fails by panicking; places are small"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use dwell_attribution::{AppRules, Evidence, Learner, Observation, Opening, Origin};
use dwell_benches::ThreadCpu;
use dwell_packet::Timestamp;
use dwell_testkit::Random;

fn main() {
    let mut criterion = dwell_benches::criterion();
    lookups(&mut criterion);
    criterion.final_summary();
}

/// Lookups of flows of any kind alike, and of flows as uneven as traffic is: there a tenth of the
/// kinds carry nearly half of the flows.
fn lookups(criterion: &mut Criterion<ThreadCpu>) {
    let flows = fleet();
    let rules = rules(&flows);
    let even = facts(&flows, |random| random.unit());
    let uneven = facts(&flows, |random| random.unit().powi(3));
    let mut group = criterion.benchmark_group("attribution");
    group.throughput(Throughput::Elements(FACTS));
    let mut measure = |name: &str, rules: &AppRules, facts: &[Fact]| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (ja4, ja3, name) in facts {
                    black_box(rules.attribute(&evidence(ja4, ja3, name)));
                }
            });
        });
    };
    measure("20000 rules", &rules, &uneven);
    measure("20000 rules, all kinds alike", &rules, &even);
    measure("rules that ship", &AppRules::builtin(), &uneven);
    group.finish();
}

/// JA4, JA3 and name.
type Fact = (String, String, String);

/// Of ten flows seven are of a program and destination that rules know, two of a known fingerprint
/// towards a new destination, one of a program never seen.
fn facts(flows: &[Flow], place: impl Fn(&mut Random) -> f64) -> Vec<Fact> {
    let mut random = Random::new(2);
    let mut facts = Vec::new();
    for _ in 0..FACTS {
        let skipped = place(&mut random) * flows.len() as f64;
        let flow = flows.get(skipped as usize).unwrap();
        let (ja4, ja3, name) = (flow.ja4.clone(), flow.ja3.clone(), flow.name.clone());
        facts.push(match random.below(10) {
            0 => (ja4_of(&mut random), ja3_of(&mut random), format!("x.{name}")),
            1 | 2 => (ja4, ja3, format!("www.new{}.org", random.below(1_000_000))),
            _ => (ja4, ja3, format!("edge-7.{name}")),
        });
    }
    facts
}

fn evidence<'a>(ja4: &'a str, ja3: &'a str, name: &'a str) -> Evidence<'a> {
    Evidence {
        opening: Opening::Hello,
        ja4: Some(ja4),
        ja3: Some(ja3),
        server_name: Some(name.as_bytes()),
        port: 443,
        at: START,
        ..Evidence::default()
    }
}

/// One labelled kind of flow.
struct Flow {
    application: String,
    ja4: String,
    ja3: String,
    name: String,
    flows: u64,
}

/// Programs, fingerprints and destinations in the proportions of an enterprise's Macs: most
/// programs share few fingerprints, a few have hundreds of destinations.
fn fleet() -> Vec<Flow> {
    let mut random = Random::new(1);
    let prints: Vec<(String, String)> =
        (0..1_200).map(|_| (ja4_of(&mut random), ja3_of(&mut random))).collect();
    let mut flows = Vec::new();
    for application in 0..2_400 {
        let busy = application % 40 == 0;
        for _ in 0..(if busy { 12 } else { 3 }) {
            // Half of the prints of rare programs are a busy one's.
            let known = if random.chance(0.5) { prints.get(..60).unwrap() } else { &prints };
            let (ja4, ja3) = random.pick(known).unwrap();
            for _ in 0..(if busy { 160 } else { 8 }) {
                flows.push(Flow {
                    application: format!("application {application}"),
                    ja4: ja4.clone(),
                    ja3: ja3.clone(),
                    name: format!("d{}.com", random.below(if busy { 3_000 } else { 12_000 })),
                    flows: 1 + random.below(5_000),
                });
            }
        }
    }
    flows
}

/// 20,000 of the rules that are learned from the fleet, of all levels, through the text of a file.
fn rules(flows: &[Flow]) -> AppRules {
    let mut learner = Learner::default();
    for flow in flows {
        let observation = Observation {
            application: &flow.application,
            ja4: Some(&flow.ja4),
            ja3: Some(&flow.ja3),
            server_name: Some(&flow.name),
            flows: flow.flows,
            ..Observation::default()
        };
        learner.observe(&observation).unwrap();
    }
    let date = "2026-11-01".parse().unwrap();
    let origin = Origin { date, source: "bench", licence: None, prefix: "bench" };
    let learned = learner.learn(&origin, &AppRules::default());
    let mut text = Vec::new();
    for place in 0..RULES {
        let rule = learned.rules.get(place * learned.rules.len() / RULES).unwrap();
        rule.write(&mut text).unwrap();
    }
    let text = String::from_utf8(text).unwrap();
    let (rules, errors) = AppRules::from_texts([("bench.toml", text.as_str())]);
    assert_eq!((rules.len(), errors.len()), (RULES, 0), "of {}", learned.rules.len());
    rules
}

fn ja4_of(random: &mut Random) -> String {
    // Extension parts are shared by versions of a library, cipher parts by a library.
    let cipher = 0x8daa_0000_0000_u64 + random.below(400);
    let extensions = 0x0271_0000_0000_u64 + random.below(300);
    let count = 10 + random.below(20);
    format!("t13d{count}17h2_{cipher:012x}_{extensions:012x}")
}

fn ja3_of(random: &mut Random) -> String {
    format!("{:016x}{:016x}", random.next_u64(), random.next_u64())
}

const RULES: usize = 20_000;
const FACTS: u64 = 4_096;

const START: Timestamp = Timestamp::from_parts(1_795_510_800, 0);
