//! Judges an exported event scenario and prints one JSON object for each judgement, for a scorer.
//!
//! usage: judge_scenario DIRECTORY >FINDINGS.jsonl
//!
//! The directory holds `flows.tsv` (one row a flow: id, host, app, process, sni, dst_ip, dst_port,
//! proto, start, end, dns) and `bursts.bin` (little-endian records of 25 bytes in order of time:
//! flow u32, start f64, seconds f32, bytes up f32, bytes down f32, first speaker u8). Fingerprints
//! are given as application labels, so that only the detector is measured. It knows no packets.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dwell_attribution::{
    Attribution, Category, Destination, EvidenceLevel, HostRef, NameSource, Outcome, Policy,
};
use dwell_detect::{
    Burst, DetectConfig, DetectEvent, Detector, FlowFacts, Level, Life, NameLookup, SessionSummary,
    Side, Visibility,
};
use dwell_packet::Timestamp;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: judge_scenario DIRECTORY")?;
    let flows = read_flows(&std::fs::read_to_string(format!("{directory}/flows.tsv"))?)?;
    let bursts = std::fs::read(format!("{directory}/bursts.bin"))?;
    let mut steps = steps(&flows, &bursts)?;
    steps.sort_by(|a, b| a.at.cmp(&b.at).then(a.order.cmp(&b.order)));
    let mut detector = Detector::new(DetectConfig::default(), Arc::new(Policy::without_opinion()));
    let labels = flows.iter().map(ScenarioFlow::label).collect();
    let mut writer = Writer { out: BufWriter::new(std::io::stdout().lock()), labels, alerts: 0 };
    let mut events = Vec::new();
    let mut now = Timestamp::ZERO;
    for step in steps {
        if step.at.saturating_since(now) >= Duration::from_secs(1) {
            now = step.at;
            detector.advance(now, &mut events);
            writer.write(&mut events)?;
        }
        match step.what {
            What::Open(facts) => {
                detector.flow_opened(step.at, &facts);
            }
            What::Burst(flow, burst) => detector.burst(flow, burst),
            What::Close(flow) => detector.flow_closed(flow, step.at),
        }
    }
    detector.finish(now, &mut events);
    writer.write(&mut events)?;
    writer.out.flush()?;
    eprintln!("{} findings opened, {:?}", writer.alerts, detector.counters());
    Ok(())
}

struct Step {
    at: Timestamp,
    /// Opens before bursts before closes.
    order: u8,
    what: What,
}

enum What {
    Open(Arc<FlowFacts>),
    Burst(u64, Burst),
    Close(u64),
}

struct ScenarioFlow {
    facts: Arc<FlowFacts>,
    /// The scenario's application label.
    app: String,
    end: Timestamp,
}

impl ScenarioFlow {
    fn label(&self) -> ([String; 3], String) {
        let FlowFacts { host, attribution, destination, .. } = &*self.facts;
        let application = attribution.application.to_string();
        ([host.label(), application, destination.group.to_string()], self.app.clone())
    }
}

fn read_flows(text: &str) -> Result<Vec<ScenarioFlow>, Box<dyn Error>> {
    let mut applications: HashMap<String, Arc<Attribution>> = HashMap::new();
    let mut flows = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, host, app, _, name, addr, port, _, start, end, dns] = fields.as_slice() else {
            return Err(format!("not a flow: {line}").into());
        };
        let attribution = applications
            .entry((*app).to_owned())
            .or_insert_with(|| Arc::new(attribution_of(app)))
            .clone();
        let opened = seconds(start.parse()?);
        let number: u32 = host.trim_start_matches("host-").parse()?;
        let host_addr = IpAddr::V4(Ipv4Addr::from(0x0a00_0000_u32.saturating_add(number)));
        let source = (!name.is_empty()).then_some((name.as_bytes(), NameSource::Sni));
        let facts = FlowFacts {
            flow_id: id.parse()?,
            host: HostRef { name: Some((*host).into()), ..HostRef::of_address(host_addr, opened) },
            attribution,
            destination: Destination::new(source, addr.parse()?, port.parse()?),
            opened,
            visibility: Visibility::default(),
            lookup: if *dns == "1" { NameLookup::Seen } else { NameLookup::Absent },
            continued: false,
        };
        let app = (*app).to_owned();
        flows.push(ScenarioFlow { facts: Arc::new(facts), app, end: seconds(end.parse()?) });
    }
    Ok(flows)
}

/// What a fingerprint can tell of a label: Safari and every NSURLSession program are one, Chrome
/// and every Electron program are one.
fn attribution_of(label: &str) -> Attribution {
    let (application, category) = match label {
        "Safari" | "NSURLSession" => ("Safari/NSURLSession", Category::Browser),
        "Chrome" | "Electron" => ("Chromium", Category::Browser),
        "Firefox" => ("Firefox", Category::Browser),
        "Go-net/http" | "python-requests" | "curl" | "okhttp" | "node" => {
            (label, Category::Library)
        }
        _ if label.starts_with("ja4-") => (label, Category::Unknown),
        _ => (label, Category::Product),
    };
    let unknown = category == Category::Unknown;
    Attribution {
        outcome: if unknown { Outcome::Unknown } else { Outcome::Application },
        application: application.into(),
        category,
        level: EvidenceLevel::Ja4,
        confidence: 0.6,
        ..Attribution::unattributed()
    }
}

fn steps(flows: &[ScenarioFlow], bursts: &[u8]) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut steps = Vec::new();
    for flow in flows {
        let facts = &flow.facts;
        steps.push(Step { at: facts.opened, order: 0, what: What::Open(Arc::clone(facts)) });
        steps.push(Step { at: flow.end, order: 2, what: What::Close(facts.flow_id) });
    }
    let (records, rest) = bursts.as_chunks::<25>();
    if !rest.is_empty() {
        return Err("bursts.bin ends within a record".into());
    }
    for record in records {
        let (flow, burst) = read_burst(record);
        steps.push(Step { at: burst.end, order: 1, what: What::Burst(flow, burst) });
    }
    Ok(steps)
}

fn read_burst(record: &[u8; 25]) -> (u64, Burst) {
    let [a, b, c, d, time @ .., e0, e1, e2, e3, u0, u1, u2, u3, d0, d1, d2, d3, first] = *record;
    let start = seconds(f64::from_le_bytes(time));
    let length = f32::from_le_bytes([e0, e1, e2, e3]);
    let bytes =
        |value: [u8; 4]| Duration::from_secs_f32(f32::from_le_bytes(value).max(0.0)).as_secs();
    let burst = Burst {
        start,
        end: start.saturating_add(Duration::from_secs_f32(length.max(0.0))),
        up_bytes: bytes([u0, u1, u2, u3]),
        down_bytes: bytes([d0, d1, d2, d3]),
        first: if first == 1 { Side::Server } else { Side::Client },
    };
    (u64::from(u32::from_le_bytes([a, b, c, d])), burst)
}

fn seconds(seconds: f64) -> Timestamp {
    Timestamp::ZERO.saturating_add(Duration::from_secs_f64(seconds.max(0.0)))
}

struct Writer<W: Write> {
    out: W,
    /// The scenario's own application label by host, application and destination.
    labels: HashMap<[String; 3], String>,
    alerts: u64,
}

impl<W: Write> Writer<W> {
    /// Writes every judged session with its score, and every finding.
    fn write(&mut self, events: &mut Vec<DetectEvent>) -> std::io::Result<()> {
        for event in events.drain(..) {
            match event {
                DetectEvent::SessionUpdated(session) | DetectEvent::SessionEnded(session, _) => {
                    self.line(&session, session.last.saturating_add(session.idle), false)?;
                }
                DetectEvent::Finding(finding) if finding.level >= Level::Alert => {
                    if finding.life == Life::Opened {
                        self.alerts = self.alerts.saturating_add(1);
                        eprintln!("{:.2} {}", finding.score_bits, finding.sentence);
                    }
                    self.line(&finding.session, finding.at, true)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn line(
        &mut self,
        session: &SessionSummary,
        at: Timestamp,
        opened: bool,
    ) -> std::io::Result<()> {
        let Some(score) = session.score_bits else { return Ok(()) };
        let host = session.host.label();
        let destination = &session.destination.group;
        let key = [host, session.attribution.application.to_string(), destination.to_string()];
        let app = self.labels.get(&key).map_or("", String::as_str);
        let [host, ..] = &key;
        writeln!(
            self.out,
            "{{\"t\": {:.3}, \"host\": \"{host}\", \"app\": \"{app}\", \
             \"destination\": \"{destination}\", \"score\": {score:.4}, \"opened\": {opened}}}",
            at.as_secs_f64()
        )
    }
}
