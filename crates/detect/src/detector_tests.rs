use std::net::IpAddr;

use dwell_attribution::{
    Attribution, Category, Contradiction, Destination, EvidenceLevel, HostId, HostRef, NameSource,
    Os, Outcome,
};
use proptest::prelude::*;

use super::*;
use crate::{Finding, Level, LevelThresholds, Life, NameLookup, Side, Visibility};

#[path = "outbound_tests.rs"]
mod outbound;

const HOUR: f64 = 3600.0;

/// Midnight of a day, so that ticks fall on quarters of an hour.
const START_S: u64 = 1_750_032_000;

fn ts(seconds: f64) -> Timestamp {
    Timestamp::from_parts(START_S, 0).saturating_add(Duration::from_secs_f64(seconds))
}

fn app(name: &str, category: Category) -> Arc<Attribution> {
    let outcome = match name {
        "unattributed" => return Arc::new(Attribution::unattributed()),
        _ if name.starts_with("unknown") => Outcome::Unknown,
        _ => Outcome::Application,
    };
    Arc::new(Attribution {
        outcome,
        application: name.into(),
        category,
        level: EvidenceLevel::Ja4,
        confidence: 0.6,
        rule: Some("test".into()),
        ..Attribution::unattributed()
    })
}

/// One flow of a simulated host, with its bursts.
#[derive(Clone)]
struct Flow {
    facts: Arc<FlowFacts>,
    bursts: Vec<Burst>,
    closed: Option<Timestamp>,
}

struct Office {
    flows: Vec<Flow>,
}

impl Office {
    fn new() -> Self {
        Self { flows: Vec::new() }
    }

    /// A flow that sends `sizes` at `times` and closes a second after the last.
    fn flow(
        &mut self,
        host: u8,
        attribution: &Arc<Attribution>,
        name: &str,
        (times, sizes): (&[f64], (u64, u64)),
    ) -> &mut Flow {
        let addr: IpAddr = [203, 0, 113, u8::try_from(name.len()).unwrap()].into();
        let opened = ts(times[0]);
        let facts = FlowFacts {
            flow_id: u64::try_from(self.flows.len()).unwrap() + 1,
            host: HostRef {
                id: HostId([10, 0, 0, host].into()),
                name: Some(format!("mac-{host:03}").into()),
                ..HostRef::of_address([10, 0, 0, host].into(), opened)
            },
            attribution: Arc::clone(attribution),
            destination: Destination::new(Some((name.as_bytes(), NameSource::Sni)), addr, 443),
            opened,
            visibility: Visibility::default(),
            lookup: NameLookup::Seen,
            continued: false,
        };
        let burst = |&at: &f64| Burst {
            start: ts(at),
            end: ts(at + 0.2),
            up_bytes: sizes.0,
            down_bytes: sizes.1,
            first: Side::Client,
        };
        let bursts: Vec<Burst> = times.iter().map(burst).collect();
        let closed = bursts.last().map(|last| last.end.saturating_add(Duration::from_secs(1)));
        self.flows.push(Flow { facts: Arc::new(facts), bursts, closed });
        self.flows.last_mut().unwrap()
    }

    /// Everything in order of time through a detector, with `advance` each minute of packet time.
    fn run(&self, config: DetectConfig, until: f64) -> (Vec<DetectEvent>, Detector) {
        enum Step<'f> {
            Open(&'f Arc<FlowFacts>),
            Burst(u64, Burst),
            Close(u64),
        }
        let mut steps = Vec::new();
        for flow in &self.flows {
            let id = flow.facts.flow_id;
            steps.push((flow.facts.opened, 0, Step::Open(&flow.facts)));
            for burst in &flow.bursts {
                steps.push((burst.end, 1, Step::Burst(id, *burst)));
            }
            steps.extend(flow.closed.map(|at| (at, 2, Step::Close(id))));
        }
        steps.sort_by_key(|(at, kind, _)| (*at, *kind));
        let mut detector = Detector::new(config, Arc::new(Policy::without_opinion()));
        let mut events = Vec::new();
        let mut next = ts(0.0);
        for (at, _, step) in steps {
            while next <= at {
                detector.advance(next, &mut events);
                next = next.saturating_add(Duration::from_secs(60));
            }
            match step {
                Step::Open(facts) => {
                    detector.flow_opened(at, facts);
                }
                Step::Burst(flow, burst) => detector.burst(flow, burst),
                Step::Close(flow) => detector.flow_closed(flow, at),
            }
        }
        detector.finish(ts(until), &mut events);
        (events, detector)
    }
}

fn findings(events: &[DetectEvent]) -> Vec<&Finding> {
    events
        .iter()
        .filter_map(|event| match event {
            DetectEvent::Finding(finding) => Some(&**finding),
            DetectEvent::SessionUpdated(_)
            | DetectEvent::SessionEnded(..)
            | DetectEvent::Judged(_) => None,
        })
        .collect()
}

fn ended(events: &[DetectEvent]) -> Vec<(&SessionSummary, SessionEnd)> {
    events
        .iter()
        .filter_map(|event| match event {
            DetectEvent::SessionEnded(summary, reason) => Some((&**summary, *reason)),
            DetectEvent::SessionUpdated(_) | DetectEvent::Finding(_) | DetectEvent::Judged(_) => {
                None
            }
        })
        .collect()
}

fn every(period: f64, from: f64, until: f64) -> Vec<f64> {
    let at = |n: u32| from + f64::from(n) * period;
    (0..).map(at).take_while(|at| *at < until).collect()
}

/// Times with gaps that an equidistributed sequence spreads by `spread` either way.
fn about(period: f64, spread: f64, from: f64, until: f64) -> Vec<f64> {
    let mut times = Vec::new();
    let (mut at, mut n) = (from, 0.0_f64);
    while at < until {
        times.push(at);
        n += 1.0;
        at += period * (1.0 + spread * (2.0 * (n * 0.618_034).fract() - 1.0));
    }
    times
}

/// Eight hours of an office: browsers, a chat client, an updater, a management agent, and on one
/// host a script that calls home every minute over short connections.
fn office() -> Office {
    let mut office = Office::new();
    let chromium = app("Chromium", Category::Browser);
    let chat = app("Slack", Category::Product);
    let agent = app("Jamf", Category::System);
    let updater = app("Google Update (Keystone)", Category::Product);
    for host in 1..=12_u8 {
        let shift = f64::from(host) * 37.0;
        office.flow(
            host,
            &chat,
            "wss-primary.slack.com",
            (&about(30.0, 0.3, shift, 8.0 * HOUR), (120, 200)),
        );
        for n in 0..16 {
            let from = shift + f64::from(n) * 1700.0;
            let site = format!("www.site{}.com", (u32::from(host) * 7 + n) % 40);
            office.flow(
                host,
                &chromium,
                &site,
                (&about(9.0, 0.9, from, from + 400.0), (1400, 60_000)),
            );
        }
        for at in about(900.0, 0.1, shift, 8.0 * HOUR) {
            office.flow(host, &agent, "corp.jamfcloud.com", (&[at], (3000, 6000)));
        }
        office.flow(host, &updater, "update.googleapis.com", (&[shift + 5000.0], (2000, 90_000)));
    }
    let live = about(25.0, 0.02, 600.0, 7.0 * HOUR);
    office.flow(5, &chromium, "live.niche77.io", (&live, (200, 2500)));
    let script = app("python-requests", Category::Library);
    for at in about(60.0, 0.2, 900.0, 7.6 * HOUR) {
        office.flow(7, &script, "cdn-54688.net", (&[at], (700, 900)));
    }
    for host in [3, 9] {
        let times = about(20.0, 0.5, 4000.0, 4700.0);
        office.flow(host, &script, "packages.example", (&times, (900, 40_000)));
    }
    office
}

#[test]
fn in_an_office_only_the_implant_is_found() {
    let (events, _) = office().run(DetectConfig::default(), 8.0 * HOUR);
    let found = findings(&events);
    assert!(!found.is_empty());
    for finding in &found {
        assert_eq!(&*finding.session.destination.group, "cdn-54688.net", "{finding:#?}");
        assert!(finding.provisional);
    }
    let [opened, ..] = found[..] else { panic!("{found:#?}") };
    assert_eq!(opened.life, Life::Opened);
    assert!(opened.opened_at < ts(5.0 * HOUR), "found late: {}", opened.opened_at);
}

#[test]
fn a_finding_gives_three_parts_and_says_so_in_words() {
    let (events, _) = office().run(DetectConfig::default(), 8.0 * HOUR);
    let found = findings(&events);
    let finding = found.last().unwrap();
    let sum = finding.parts.unexpected + finding.parts.long_lived + finding.parts.irregular;
    assert!((finding.score_bits - sum).abs() < 1e-9);
    assert!(finding.parts.unexpected > 0.0);
    assert!(finding.parts.long_lived > 0.0);
    assert!(finding.parts.irregular > 0.0);
    let weights: f64 = finding.reasons.iter().map(|reason| reason.weight_bits).sum();
    assert!((finding.score_bits - weights).abs() < 1e-9, "every bit has its reason");
    for words in [
        "python-requests on mac-007 has held cdn-54688.net for 7 h",
        "any program can use",
        "the longest python-requests held any destination on 2 other hosts is 11 m",
        "ten-minute slots",
    ] {
        assert!(finding.sentence.contains(words), "{words:?} in {:?}", finding.sentence);
    }
    assert_eq!(
        (finding.analytic.id(), finding.analytic.strategy(), finding.analytic.technique()),
        ("AN0146", "DET0053", "T1001")
    );
}

#[test]
fn flows_that_come_and_go_are_one_session() {
    let mut office = Office::new();
    let script = app("python-requests", Category::Library);
    for at in every(3500.0, 0.0, 6.0 * HOUR) {
        office.flow(1, &script, "a.example-c2.net", (&[at], (700, 900)));
        office.flow(1, &script, "b.example-c2.net", (&[at + 40.0], (700, 900)));
    }
    let (events, _) = office.run(DetectConfig::default(), 6.0 * HOUR);
    let ended = ended(&events);
    assert_eq!(ended.len(), 1);
    let (session, reason) = ended[0];
    assert_eq!((session.flows, reason), (14, SessionEnd::EndOfCapture));
    assert_eq!(session.duration, Duration::from_secs_f64(6.0 * 3500.0 + 40.2));
}

#[test]
fn two_hours_of_silence_end_a_session_unless_a_connection_is_open() {
    let mut office = Office::new();
    let script = app("curl", Category::Library);
    office.flow(1, &script, "closed.net", (&[0.0, 100.0], (1, 1)));
    office.flow(1, &script, "closed.net", (&[100.0 + 2.5 * HOUR], (1, 1)));
    office.flow(1, &script, "open.net", (&[0.0, 100.0, 100.0 + 2.5 * HOUR], (1, 1)));
    let (events, _) = office.run(DetectConfig::default(), 3.0 * HOUR);
    let groups = |wanted: &str| {
        ended(&events).iter().filter(|(s, _)| &*s.destination.group == wanted).count()
    };
    assert_eq!((groups("closed.net"), groups("open.net")), (2, 1));
}

#[test]
fn two_visits_hours_apart_are_not_a_long_session() {
    let mut office = Office::new();
    let script = app("curl", Category::Library);
    office.flow(1, &script, "twice.net", (&every(5.0, 0.0, 60.0), (1, 1)));
    office.flow(1, &script, "twice.net", (&every(5.0, 1.9 * HOUR, 1.9 * HOUR + 60.0), (1, 1)));
    let (events, _) = office.run(DetectConfig::default(), 2.0 * HOUR);
    let (session, _) = ended(&events)[0];
    assert!(session.duration > Duration::from_secs(6800));
    assert_eq!(session.effective, Duration::from_secs(1200));
    assert_eq!(session.score_bits, None);
}

#[test]
fn an_open_connection_counts_up_to_now_while_it_is_silent() {
    let mut office = Office::new();
    let unknown = app("unknown t13d_x", Category::Unknown);
    let flow = office.flow(1, &unknown, "quiet.net", (&every(30.0, 0.0, 300.0), (100, 100)));
    flow.closed = None;
    let (events, _) = office.run(DetectConfig::default(), 5.0 * HOUR);
    let (session, _) = ended(&events)[0];
    assert_eq!(session.longest_connection, Duration::from_secs(5 * 3600));
    assert_eq!(session.open_flows, 1);
    let updates =
        events.iter().filter(|event| matches!(event, DetectEvent::SessionUpdated(_))).count();
    assert!((5..=8).contains(&updates), "told once an hour although silent: {updates}");
}

#[test]
fn an_unattributed_session_raises_nothing() {
    let mut office = Office::new();
    let unattributed = app("unattributed", Category::Unknown);
    office.flow(1, &unattributed, "beacon.net", (&about(60.0, 0.1, 0.0, 9.0 * HOUR), (700, 900)));
    let (events, _) = office.run(DetectConfig::default(), 9.0 * HOUR);
    assert!(findings(&events).is_empty());
    assert_eq!(ended(&events)[0].0.score_bits, None);
}

#[test]
fn a_contradiction_makes_a_browser_unexpected() {
    let mut office = Office::new();
    let mut guise = (*app("Safari/NSURLSession", Category::Browser)).clone();
    let beacon = about(60.0, 0.1, 0.0, 8.5 * HOUR);
    office.flow(1, &Arc::new(guise.clone()), "plain.net", (&beacon, (700, 900)));
    guise.contradictions =
        vec![Contradiction::StackOs { stack: "Apple networking".into(), os: Os::Linux }];
    office.flow(2, &Arc::new(guise), "guise.net", (&beacon, (700, 900)));
    let (events, _) = office.run(DetectConfig::default(), 9.0 * HOUR);
    let found = findings(&events);
    assert!(found.iter().all(|finding| &*finding.session.destination.group == "guise.net"));
    let finding = found.last().unwrap();
    let reason = finding.reasons.iter().find(|reason| reason.feature == "policy").unwrap();
    assert!(reason.text.contains("Apple networking behind a SYN of Linux"), "{}", reason.text);
}

#[test]
fn a_finding_is_opened_once_a_day_and_escalates() {
    let mut office = Office::new();
    let unknown = app("unknown t13d_x", Category::Unknown);
    let beacon = about(60.0, 0.05, 0.0, 4.0 * HOUR);
    office.flow(1, &unknown, "beacon.net", (&beacon, (700, 900)));
    let again = about(60.0, 0.05, 10.0 * HOUR, 13.0 * HOUR);
    office.flow(1, &unknown, "beacon.net", (&again, (700, 900)));
    let levels = LevelThresholds { watch: 6.0, alert: 7.6, high: 9.0 };
    let config = DetectConfig { provisional_levels: levels, ..DetectConfig::default() };
    let (events, detector) = office.run(config, 14.0 * HOUR);
    let lives: Vec<Life> = findings(&events).iter().map(|finding| finding.life).collect();
    assert_eq!(lives, [Life::Opened, Life::Escalated, Life::Closed, Life::Updated]);
    assert_eq!(detector.counters().findings_opened, 1);
    assert_eq!(detector.counters().findings_repeated, 1);
    let ids: Vec<&str> = findings(&events).iter().map(|finding| finding.id.as_str()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]) && ids[0].len() == 32);
}

#[test]
fn a_flow_that_turns_out_otherwise_moves_to_its_session() {
    let mut detector = Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
    let mut office = Office::new();
    let flow = office
        .flow(
            1,
            &app("unattributed", Category::Unknown),
            "x.net",
            (&every(30.0, 0.0, 300.0), (1, 1)),
        )
        .clone();
    detector.flow_opened(ts(0.0), &flow.facts);
    flow.bursts[..5].iter().for_each(|burst| detector.burst(1, *burst));
    let mut events = Vec::new();
    detector.advance(ts(200.0), &mut events);
    let known = FlowFacts { attribution: app("curl", Category::Library), ..(*flow.facts).clone() };
    detector.flow_opened(ts(200.0), &Arc::new(known));
    flow.bursts[5..].iter().for_each(|burst| detector.burst(1, *burst));
    detector.finish(ts(400.0), &mut events);
    let ended = ended(&events);
    assert_eq!(ended.len(), 1);
    assert_eq!(&*ended[0].0.attribution.application, "curl");
    assert_eq!(ended[0].0.shape.bursts, 10);
}

#[test]
fn full_tables_refuse_and_count_and_keep_long_sessions() {
    let mut office = Office::new();
    let script = app("curl", Category::Library);
    office.flow(1, &script, "long.net", (&every(60.0, 0.0, 2.0 * HOUR), (700, 900)));
    for n in 0..200_u32 {
        let name = format!("flood{n}.net");
        office.flow(2, &script, &name, (&[HOUR + f64::from(n)], (1, 1))).closed = None;
    }
    let config = DetectConfig { max_sessions: 16, max_flows: 64, ..DetectConfig::default() };
    let (events, detector) = office.run(config, 2.0 * HOUR);
    let counters = detector.counters();
    assert!(counters.flows_refused > 0 && counters.sessions_evicted > 0, "{counters:?}");
    let long: Vec<_> =
        ended(&events).into_iter().filter(|(s, _)| &*s.destination.group == "long.net").collect();
    assert_eq!(long.len(), 1);
    assert_eq!(long[0].0.shape.bursts, 120);
}

#[test]
fn a_leap_of_packet_time_does_not_cost_a_million_ticks() {
    let mut detector = Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
    let mut office = Office::new();
    let script = app("curl", Category::Library);
    let flow = office.flow(1, &script, "x.net", (&every(30.0, 0.0, 300.0), (1, 1))).clone();
    detector.flow_opened(ts(0.0), &flow.facts);
    flow.bursts.iter().for_each(|burst| detector.burst(1, *burst));
    let mut events = Vec::new();
    detector.advance(Timestamp::MAX, &mut events);
    assert!(detector.counters().ticks_skipped > 1_000_000);
    assert!(events.len() < 10, "{}", events.len());
}

#[test]
fn orphans_are_counted() {
    let mut detector = Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
    detector.flow_closed(9, ts(0.0));
    let mut events = Vec::new();
    detector.finish(ts(1.0), &mut events);
    assert_eq!(detector.counters().orphans, 1);
    assert!(events.is_empty());
}

#[test]
fn watch_findings_are_opened_only_when_asked_for() {
    let config = DetectConfig { open_from: Level::Watch, ..DetectConfig::default() };
    let (events, _) = office().run(config, 8.0 * HOUR);
    let first = findings(&events)[0].clone();
    assert_eq!((first.life, first.level), (Life::Opened, Level::Watch));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bursts of different flows may come in any order within the window.
    #[test]
    fn the_order_of_arrival_within_the_window_changes_nothing(seed in any::<u64>()) {
        let mut office = Office::new();
        let script = app("python-requests", Category::Library);
        for n in 0..6_u32 {
            let times = about(7.0, 0.9, f64::from(n), 2500.0);
            office.flow(1, &script, "cdn-54688.net", (&times, (700, 900)));
        }
        let expected = replay(&office, |at, _| at);
        let shuffled = replay(&office, |at, arrival| {
            let delay = (seed.rotate_left(arrival % 64) ^ u64::from(arrival)) % 20;
            at.saturating_add(Duration::from_secs(delay))
        });
        prop_assert_eq!(expected, shuffled);
    }

    /// Whatever times and sizes come in, nothing panics and every session ends once.
    #[test]
    fn any_bursts_are_survived(
        steps in prop::collection::vec((0_u64..4, 0_u64..u64::MAX, any::<u64>(), 0_u8..4), 0..80),
    ) {
        let mut office = Office::new();
        let script = app("curl", Category::Library);
        for n in 0..4_u8 {
            office.flow(n, &script, "x.net", (&[f64::from(n)], (1, 1)));
        }
        let mut detector =
            Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
        let mut events = Vec::new();
        for (flow, at, bytes, kind) in steps {
            let at = Timestamp::from_nanos(at);
            let known = office.flows.iter().find(|known| known.facts.flow_id == flow);
            match (kind, known) {
                (0, Some(known)) => {
                    let facts = FlowFacts { opened: at, ..(*known.facts).clone() };
                    detector.flow_opened(at, &Arc::new(facts));
                }
                (1, _) => detector.flow_closed(flow, at),
                (2, _) => detector.advance(at, &mut events),
                _ => detector.burst(flow, Burst {
                    start: at, end: at, up_bytes: bytes, down_bytes: bytes, first: Side::Server,
                }),
            }
        }
        detector.finish(Timestamp::MAX, &mut events);
        let mut ids: Vec<_> = ended(&events).iter().map(|(summary, _)| summary.id).collect();
        prop_assert_eq!(detector.len().0, 0);
        ids.sort_unstable();
        prop_assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}

/// The events of a run in which each burst arrives when `arrival` says.
fn replay(office: &Office, arrival: impl Fn(Timestamp, u32) -> Timestamp) -> Vec<DetectEvent> {
    let mut detector = Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
    let mut arrivals = Vec::new();
    for flow in &office.flows {
        detector.flow_opened(flow.facts.opened, &flow.facts);
        for burst in &flow.bursts {
            let number = u32::try_from(arrivals.len()).unwrap();
            arrivals.push((arrival(burst.start, number), flow.facts.flow_id, *burst));
        }
    }
    arrivals.sort_by_key(|&(at, ..)| at);
    let mut events = Vec::new();
    for (at, flow, burst) in arrivals {
        detector.advance(at, &mut events);
        detector.burst(flow, burst);
    }
    detector.finish(ts(2600.0), &mut events);
    events
}

/// Feeds the flows of an office between two times, a minute at a time.
fn feed(detector: &mut Detector, office: &Office, hours: (f64, f64)) -> Vec<DetectEvent> {
    let (from, until) = (ts(hours.0 * HOUR), ts(hours.1 * HOUR));
    let mut steps: Vec<(Timestamp, &Flow, Option<Burst>)> = Vec::new();
    for flow in &office.flows {
        steps.extend(flow.bursts.iter().map(|burst| (burst.start, flow, Some(*burst))));
        steps.extend(flow.closed.map(|at| (at, flow, None)));
    }
    steps.retain(|(at, ..)| (from..until).contains(at));
    steps.sort_by_key(|(at, flow, burst)| (*at, burst.is_none(), flow.facts.flow_id));
    let mut events = Vec::new();
    let mut next = from;
    for (at, flow, burst) in steps {
        while next <= at {
            detector.advance(next, &mut events);
            next = next.saturating_add(Duration::from_secs(60));
        }
        let id = flow.facts.flow_id;
        match burst {
            Some(burst) => {
                if detector.session_of(id).is_none() {
                    detector.flow_opened(at, &flow.facts);
                }
                detector.burst(id, burst);
            }
            None => detector.flow_closed(id, at),
        }
    }
    detector.advance(until.saturating_add(Duration::from_secs(60)), &mut events);
    events
}

fn detector() -> Detector {
    Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()))
}

#[test]
fn a_restart_keeps_sessions_and_tells_no_finding_twice() {
    let office = office();
    let mut first = detector();
    let told: Vec<DetectEvent> = feed(&mut first, &office, (0.0, 6.0));
    let before = findings(&told).first().map(|finding| finding.id.clone()).unwrap();
    let rows = first.snapshot();
    assert!(!rows.sessions.is_empty() && !rows.findings.is_empty());
    let mut second = detector();
    second.restore(&rows);
    assert_eq!(second.len().0, first.len().0);
    let told = feed(&mut second, &office, (6.0, 8.0));
    let again: Vec<_> = findings(&told);
    assert!(again.iter().all(|finding| finding.life != Life::Opened), "{again:#?}");
    assert!(again.iter().all(|finding| finding.id == before), "{again:#?}");
    let script = |session: &SessionSummary| &*session.destination.group == "cdn-54688.net";
    let session = second.sessions().into_iter().find(script).unwrap();
    assert!(session.effective > Duration::from_secs(7 * 3600), "{:?}", session.effective);
}

/// What waits to be put in order is stored as if it had been taken in.
#[test]
fn a_checkpoint_lacks_nothing_that_waits() {
    let office = office();
    let (mut waits, mut taken) = (detector(), detector());
    waits.restore(&crate::Saved::default());
    taken.restore(&crate::Saved::default());
    let mut events = Vec::new();
    for flow in &office.flows {
        for detector in [&mut waits, &mut taken] {
            detector.flow_opened(flow.facts.opened, &flow.facts);
            for burst in flow.bursts.iter().filter(|burst| burst.start < ts(600.0)) {
                detector.burst(flow.facts.flow_id, *burst);
            }
        }
    }
    taken.advance(ts(700.0), &mut events);
    let sum = |rows: &crate::Saved| {
        let of = |session: &crate::SavedSession| {
            (session.bytes.0 + session.bytes.1, session.flows, session.last_activity)
        };
        let mut rows: Vec<_> =
            rows.sessions.iter().filter(|row| !row.together).map(|row| (row.id, of(row))).collect();
        rows.sort_unstable();
        rows
    };
    let (waiting, done) = (sum(&waits.take_changes()), sum(&taken.take_changes()));
    assert!(done.len() > 3, "{done:?}");
    assert_eq!(waiting, done);
}

/// The rows of a snapshot in one order.
fn sorted(rows: &crate::Saved) -> Vec<String> {
    let mut lines: Vec<String> = rows.contacts.iter().map(|row| format!("{row:?}")).collect();
    lines.extend(rows.hosts.iter().map(|row| format!("{row:?}")));
    lines.extend(rows.days.iter().map(|row| format!("{row:?}")));
    lines.extend(rows.votes.iter().map(|row| format!("{row:?}")));
    lines.extend(rows.shapes.iter().map(|row| format!("{row:?}")));
    lines.sort();
    lines
}

/// Two days of the office: the second has votes, because the hosts are known by then.
fn two_days() -> Office {
    let mut office = office();
    let tomorrow = office.flows.clone().into_iter().map(|flow| {
        let later = |at: Timestamp| at.saturating_add(Duration::from_secs(86_400));
        let facts = FlowFacts {
            flow_id: flow.facts.flow_id + 100_000,
            opened: later(flow.facts.opened),
            ..(*flow.facts).clone()
        };
        let bursts = flow.bursts.iter();
        Flow {
            facts: Arc::new(facts),
            bursts: bursts
                .map(|b| Burst { start: later(b.start), end: later(b.end), ..*b })
                .collect(),
            closed: flow.closed.map(later),
        }
    });
    office.flows.extend(tomorrow.collect::<Vec<_>>());
    office
}

#[test]
fn changes_stored_one_by_one_make_the_whole() {
    let office = two_days();
    let (mut first, mut second) = (detector(), detector());
    for (from, until) in [(0.0, 3.0), (3.0, 30.0), (30.0, 36.0)] {
        feed(&mut first, &office, (from, until));
        let mut changes = first.take_changes();
        changes.sessions.clear();
        second.restore(&changes);
    }
    let (whole, pieces) = (sorted(&first.snapshot()), sorted(&second.snapshot()));
    assert!(!first.snapshot().votes.is_empty() && !first.snapshot().shapes.is_empty());
    assert_eq!(whole, pieces);
}

#[test]
fn hosts_with_new_addresses_open_no_findings_by_themselves() {
    let mut office = two_days();
    // The second day's hosts all have an address that nobody had on the first.
    for flow in office.flows.iter_mut().filter(|flow| flow.facts.flow_id > 100_000) {
        let mut facts = (*flow.facts).clone();
        let [a, b, c, d] = match facts.host.id.0 {
            IpAddr::V4(addr) => addr.octets(),
            IpAddr::V6(addr) => panic!("{addr}"),
        };
        facts.host.id = HostId([a, b, c + 1, d].into());
        facts.host.addr = facts.host.id.0;
        flow.facts = Arc::new(facts);
    }
    let told = feed(&mut detector(), &office, (0.0, 36.0));
    for finding in findings(&told) {
        assert_eq!(&*finding.session.destination.group, "cdn-54688.net", "{finding:#?}");
    }
}

#[test]
fn a_gap_in_the_capture_opens_no_findings_by_itself() {
    let mut office = two_days();
    // Nothing is seen for two hours, and the clock then leaps by three more.
    for flow in &mut office.flows {
        let step = |at: Timestamp| {
            if at > ts(27.0 * HOUR) { at.saturating_add(Duration::from_secs(3 * 3600)) } else { at }
        };
        flow.bursts.retain(|b| b.start < ts(25.0 * HOUR) || b.start > ts(27.0 * HOUR));
        for burst in &mut flow.bursts {
            (burst.start, burst.end) = (step(burst.start), step(burst.end));
        }
        flow.closed = flow.closed.map(step);
    }
    office.flows.retain(|flow| !flow.bursts.is_empty());
    let told = feed(&mut detector(), &office, (0.0, 40.0));
    for finding in findings(&told) {
        assert_eq!(&*finding.session.destination.group, "cdn-54688.net", "{finding:#?}");
    }
}
