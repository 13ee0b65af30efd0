use std::io::Read;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn ts(seconds: f64) -> Timestamp {
    Timestamp::ZERO.saturating_add(Duration::from_secs_f64(seconds))
}

fn burst(start: f64, seconds: f64, up: u64, down: u64, first: Side) -> Burst {
    Burst { start: ts(start), end: ts(start + seconds), up_bytes: up, down_bytes: down, first }
}

fn statistics(bursts: &[Burst]) -> Statistics {
    let mut statistics = Statistics::new(&bursts[0]);
    bursts[1..].iter().for_each(|burst| statistics.add(burst));
    statistics.settle();
    statistics
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= f64::max(0.002, 0.002 * expected.abs())
}

/// What the definitions give on whole lists, written without any running sums.
struct Naive {
    gaps: Vec<f64>,
    merged: Vec<Burst>,
}

impl Naive {
    fn new(bursts: &[Burst]) -> Self {
        let mut merged: Vec<Burst> = Vec::new();
        let mut gaps = Vec::new();
        for burst in bursts {
            match merged.last_mut() {
                Some(last) if burst.start.saturating_since(last.end) < BURST_SILENCE => {
                    last.end = last.end.max(burst.end);
                    last.up_bytes += burst.up_bytes;
                    last.down_bytes += burst.down_bytes;
                }
                Some(last) => {
                    gaps.push(burst.start.saturating_since(last.end).as_secs_f64());
                    merged.push(*burst);
                }
                None => merged.push(*burst),
            }
        }
        Self { gaps, merged }
    }

    fn ln_gaps(&self) -> Vec<f64> {
        self.gaps.iter().map(|gap| gap.ln()).collect()
    }

    fn pearson(&self) -> f64 {
        let ln = self.ln_gaps();
        let (x, y) = (&ln[..ln.len() - 1], &ln[1..]);
        let (mean_x, mean_y) = (mean(x), mean(y));
        let product =
            x.iter().zip(y).map(|(a, b)| (a - mean_x) * (b - mean_y)).sum::<f64>() / x.len() as f64;
        if sd(x) < 1e-4 || sd(y) < 1e-4 { 0.0 } else { product / (sd(x) * sd(y)) }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn sd(values: &[f64]) -> f64 {
    let middle = mean(values);
    mean(&values.iter().map(|value| (value - middle).powi(2)).collect::<Vec<_>>()).sqrt()
}

/// The reference fixtures stand beside the repository, not in it.
#[test]
fn published_sessions_give_the_published_statistics() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/spec/detection-reference/fixture_sessions.json.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: no reference fixtures at {}", path.display());
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let sessions: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(sessions.len() >= 20);
    sessions.iter().enumerate().for_each(|(number, session)| check_published(number, session));
}

fn check_published(number: usize, session: &Value) {
    let bursts: Vec<Burst> = session["bursts_in"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fields| {
            let field = |index: usize| fields[index].as_f64().unwrap();
            let first = if field(4) == 1.0 { Side::Server } else { Side::Client };
            let bytes = |index| format!("{:.0}", field(index)).parse().unwrap();
            burst(field(0), field(1), bytes(2), bytes(3), first)
        })
        .collect();
    let kept = statistics(&bursts);
    let duration = kept.last().saturating_since(kept.first());
    let shape = kept.shape(duration);
    let expect = &session["expect"];
    let pairs = [
        ("n", f64::from(shape.bursts)),
        ("dwell", duration.as_secs_f64()),
        ("mean_ln_gap", shape.mean_ln_gap),
        ("sd_ln_gap", shape.sd_ln_gap),
        ("cv", shape.gap_variation),
        ("burstiness_kim_jo", shape.burstiness),
        ("memory", shape.memory),
        ("reverse_share", f64::from(shape.reversed_bursts) / f64::from(shape.bursts)),
        ("reverse_bytes", shape.reversed_bytes_share),
        ("up_share", shape.up_share),
        ("mean_ln_up", shape.mean_ln_up),
        ("mean_ln_dn", shape.mean_ln_down),
        ("server_first", shape.server_first_share),
    ];
    for (name, found) in pairs {
        let expected = expect[name].as_f64().unwrap();
        assert!(close(found, expected), "session {number}, {name}: {found}, expected {expected}");
    }
    let histogram: Vec<u16> = serde_json::from_value(expect["gap_hist"].clone()).unwrap();
    assert_eq!(kept.gap_histogram()[..], histogram[..], "session {number}");
}

/// Worked by hand: gaps of 1, e, e^2, e and 1 s after bursts of no length.
#[test]
fn a_worked_example_gives_its_figures() {
    let e = std::f64::consts::E;
    let mut at = 0.0;
    let mut bursts = vec![burst(at, 0.0, 100, 200, Side::Client)];
    for gap in [1.0, e, e * e, e, 1.0] {
        at += gap;
        bursts.push(burst(at, 0.0, 100, 200, Side::Client));
    }
    let shape = statistics(&bursts).shape(Duration::from_secs_f64(at));
    assert_eq!((shape.bursts, shape.gaps), (6, 5));
    assert!(close(shape.mean_ln_gap, 0.8));
    assert!(close(shape.sd_ln_gap, 0.56_f64.sqrt()), "{}", shape.sd_ln_gap);
    // ln gaps 0, 1, 2, 1 against 1, 2, 1, 0: covariance 0 over variance .5.
    assert!(close(shape.memory, 0.0), "{}", shape.memory);
    assert!(close(shape.up_share, 600.0 / 1801.0));
}

#[test]
fn a_timer_is_regular_and_a_poisson_process_is_not() {
    let timer: Vec<Burst> =
        (0..200).map(|n| burst(f64::from(n) * 60.0, 0.1, 500, 900, Side::Client)).collect();
    let shape = statistics(&timer).shape(Duration::from_secs(12_000));
    assert!(shape.sd_ln_gap < 0.01 && shape.burstiness < -0.9 && shape.memory == 0.0);
    assert!(close(shape.coverage, 20.0 / 21.0), "{}", shape.coverage);

    // Exponential gaps of mean 60 s by inversion over an equidistributed sequence.
    let mut at = 0.0;
    let mut random = vec![burst(0.0, 0.0, 1, 1, Side::Client)];
    for n in 1..5000 {
        let uniform = (f64::from(n) * 0.618_033_988_749_895).fract();
        at += (-uniform.ln() * 60.0).max(1.0);
        random.push(burst(at, 0.0, 1, 1, Side::Client));
    }
    let shape = statistics(&random).shape(Duration::from_secs_f64(at));
    assert!((shape.sd_ln_gap - 1.2).abs() < 0.1, "{}", shape.sd_ln_gap);
}

#[test]
fn answers_of_the_host_that_outweigh_their_question_are_reversed() {
    let shape = statistics(&[
        burst(0.0, 0.0, 100, 100, Side::Client),
        burst(10.0, 0.0, 9000, 300, Side::Server),
        burst(20.0, 0.0, 399, 10, Side::Server),
        burst(30.0, 0.0, 9000, 300, Side::Client),
    ])
    .shape(Duration::from_secs(30));
    assert_eq!(shape.reversed_bursts, 1);
    assert!(close(shape.server_first_share, 0.5));
    assert!(close(shape.reversed_bytes_share, 9000.0 / 18_500.0));
}

#[test]
fn commands_couple_with_their_results() {
    let mut bursts = Vec::new();
    for n in 0..60_u32 {
        let (up, down) = match n % 10 {
            8 => (500, 40_000),
            9 => (80_000, 900),
            _ => (500, 900),
        };
        bursts.push(burst(f64::from(n) * 30.0, 0.1, up, down, Side::Client));
    }
    let coupled = statistics(&bursts).shape(Duration::from_secs(1800)).coupling_bits;
    assert!(coupled > 4.0, "{coupled}");
    bursts.iter_mut().for_each(|burst| burst.down_bytes = 900);
    let uncoupled = statistics(&bursts).shape(Duration::from_secs(1800)).coupling_bits;
    assert!(uncoupled == 0.0, "{uncoupled}");
}

#[test]
fn full_bins_are_halved_and_shares_stay() {
    let mut bins = [0_u16; 6];
    for _ in 0..u32::from(u16::MAX) + 10 {
        count_in(&mut bins, 2);
        count_in(&mut bins, 4);
    }
    assert!(bins[2].abs_diff(bins[4]) <= 1 && bins[2] > 30_000);
}

#[test]
fn the_state_of_a_session_is_small() {
    assert!(size_of::<Statistics>() <= 256, "{}", size_of::<Statistics>());
}

#[test]
fn seventeen_addresses_count_as_sixteen() {
    let mut kept = Statistics::new(&burst(0.0, 0.0, 1, 1, Side::Client));
    for n in 0..17_u16 {
        kept.note_address(n);
        kept.note_address(n);
    }
    assert_eq!(kept.addresses(), 16);
}

fn any_bursts() -> impl Strategy<Value = Vec<Burst>> {
    let one = (0.0_f64..40.0, 0.0..5.0, 0_u64..100_000, 0_u64..100_000, any::<bool>());
    prop::collection::vec(one, 6..200).prop_map(|steps| {
        let mut at = 1000.0;
        steps
            .into_iter()
            .map(|(step, seconds, up, down, server)| {
                at += step * step / 10.0;
                let first = if server { Side::Server } else { Side::Client };
                burst(at, seconds, up, down, first)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn running_sums_agree_with_whole_lists(bursts in any_bursts()) {
        let naive = Naive::new(&bursts);
        prop_assume!(naive.gaps.len() > 4);
        let shape = statistics(&bursts).shape(Duration::from_secs(100_000));
        prop_assert_eq!(usize::try_from(shape.bursts).unwrap(), naive.merged.len());
        let ln = naive.ln_gaps();
        let up: Vec<f64> = naive.merged.iter().map(|b| (b.up_bytes as f64 + 64.0).ln()).collect();
        for (found, expected) in [
            (shape.mean_ln_gap, mean(&ln)),
            (shape.sd_ln_gap, sd(&ln)),
            (shape.gap_variation, sd(&naive.gaps) / mean(&naive.gaps)),
            (shape.memory, naive.pearson()),
            (shape.mean_ln_up, mean(&up)),
            (shape.sd_ln_up, sd(&up)),
            (shape.longest_gap_s, naive.gaps.iter().copied().fold(0.0, f64::max)),
        ] {
            prop_assert!(close(found, expected), "{} {}", found, expected);
        }
    }

    #[test]
    fn statistics_survive_being_stored(bursts in any_bursts(), addresses in 0_u16..20) {
        let mut kept = statistics(&bursts);
        (0..addresses).for_each(|mark| kept.note_address(mark));
        let bytes = kept.to_bytes();
        let back = Statistics::from_bytes(&bytes).unwrap();
        prop_assert_eq!(format!("{kept:?}"), format!("{back:?}"));
        prop_assert!(Statistics::from_bytes(&bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn any_stored_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Statistics::from_bytes(&bytes);
    }

    #[test]
    fn a_burst_in_touching_parts_counts_once(
        bursts in any_bursts(), at in 0.01_f64..0.99,
    ) {
        let parts: Vec<Burst> = bursts
            .iter()
            .flat_map(|whole| {
                let length = whole.end.saturating_since(whole.start).mul_f64(at);
                let middle = whole.start.saturating_add(length);
                let first = Burst { end: middle, up_bytes: whole.up_bytes / 2, ..*whole };
                let up_bytes = whole.up_bytes - whole.up_bytes / 2;
                [first, Burst { start: middle, up_bytes, down_bytes: 0, ..*whole }]
            })
            .collect();
        let (mut in_order, mut split) = (bursts, parts);
        in_order.sort_by_key(|burst| burst.start);
        split.sort_by_key(|burst| burst.start);
        let (whole, split) = (statistics(&in_order), statistics(&split));
        prop_assert_eq!(whole.gap_histogram(), split.gap_histogram());
        prop_assert_eq!(whole.bytes(), split.bytes());
    }
}
