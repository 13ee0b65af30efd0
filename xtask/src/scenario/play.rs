//! Plays a scenario to the detector in the order of time. Scores nothing.

use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::Policy;
use dwell_detect::{Analytic, DetectConfig, DetectEvent, Detector, Finding, Judged, Life};
use dwell_packet::Timestamp;
use serde_json::{Value, json};

use super::events::{Scenario, seconds};

/// What came of it.
pub(crate) struct Played {
    pub(crate) rows: Vec<Row>,
    /// Findings that AN0144 and AN0145 opened.
    pub(crate) siblings: Vec<Sibling>,
    /// CPU time that the detector took, in seconds.
    pub(crate) seconds: f64,
}

/// A finding of AN0144 or AN0145.
pub(crate) struct Sibling {
    pub(crate) t: f64,
    pub(crate) analytic: Analytic,
    pub(crate) host: String,
    pub(crate) destination: Arc<str>,
}

/// One judgement.
pub(crate) struct Row {
    pub(crate) t: f64,
    pub(crate) host: Arc<str>,
    pub(crate) app: Arc<str>,
    pub(crate) destination: Arc<str>,
    pub(crate) judged: Judged,
}

impl Row {
    /// A line of the findings file.
    pub(crate) fn json(&self, terms: bool) -> Value {
        let mut row = json!({
            "t": self.t,
            "host": &*self.host,
            "app": &*self.app,
            "destination": &*self.destination,
            "score": self.judged.score_bits,
            "opened": self.judged.opened,
            "together": self.judged.together,
        });
        if terms && let Some(fields) = row.as_object_mut() {
            let of =
                |&(name, value, bits): &(&str, f64, f64)| (name.to_owned(), json!([value, bits]));
            fields.insert(
                "terms".to_owned(),
                Value::Object(self.judged.terms.iter().map(of).collect()),
            );
        }
        row
    }
}

/// Plays all of it.
pub(crate) fn play(scenario: &Scenario) -> Played {
    let config = DetectConfig { trace: true, ..DetectConfig::default() };
    let mut detector = Detector::new(config, Arc::new(Policy::without_opinion()));
    let mut opens: Vec<&super::events::Flow> = scenario.flows.iter().collect();
    opens.sort_by_key(|flow| (flow.facts.opened, flow.facts.flow_id));
    let mut closes = opens.clone();
    closes.sort_by_key(|flow| (flow.end, flow.facts.flow_id));
    let last = scenario.bursts.last().map_or(Timestamp::ZERO, |(_, burst)| burst.start);
    let (mut opens, mut closes) = (opens.into_iter().peekable(), closes.into_iter().peekable());
    let mut events = Vec::new();
    let (mut judged, mut siblings) = (Vec::new(), Vec::new());
    let mut next = Timestamp::ZERO;
    let began = cpu_time();
    for (flow, burst) in &scenario.bursts {
        let now = burst.start;
        while let Some(flow) = opens.next_if(|flow| flow.facts.opened <= now) {
            detector.flow_opened(flow.facts.opened, &flow.facts);
        }
        if now >= next {
            while let Some(flow) = closes.next_if(|flow| flow.end < now) {
                detector.flow_closed(flow.facts.flow_id, flow.end);
            }
            detector.advance(now, &mut events);
            keep(&mut events, &mut judged, &mut siblings);
            next = now.saturating_add(Duration::from_secs(1));
        }
        detector.burst(u64::from(*flow), *burst);
    }
    detector.advance(last.saturating_add(Duration::from_secs(60)), &mut events);
    keep(&mut events, &mut judged, &mut siblings);
    let seconds = cpu_time() - began;
    Played {
        siblings,
        rows: judged.into_iter().filter_map(|judged| row(scenario, judged)).collect(),
        seconds,
    }
}

fn keep(events: &mut Vec<DetectEvent>, judged: &mut Vec<Judged>, siblings: &mut Vec<Sibling>) {
    for event in events.drain(..) {
        match event {
            DetectEvent::Judged(one) => judged.push(*one),
            DetectEvent::Finding(finding) => siblings.extend(sibling(&finding)),
            _ => {}
        }
    }
}

fn sibling(finding: &Finding) -> Option<Sibling> {
    (finding.analytic != Analytic::An0146 && finding.life == Life::Opened).then(|| Sibling {
        t: seconds(finding.at),
        analytic: finding.analytic,
        host: finding.session.host.label(),
        destination: Arc::clone(&finding.session.destination.group),
    })
}

fn row(scenario: &Scenario, judged: Judged) -> Option<Row> {
    let flow = scenario.flows.get(usize::try_from(judged.facts.flow_id).ok()?)?;
    Some(Row {
        t: seconds(judged.at),
        host: Arc::clone(&flow.host),
        app: Arc::clone(&flow.app),
        destination: Arc::clone(&judged.facts.destination.group),
        judged,
    })
}

/// CPU time of this process so far, in seconds, by the kernel's accounting.
fn cpu_time() -> f64 {
    cpu_time::ProcessTime::now().as_duration().as_secs_f64()
}
