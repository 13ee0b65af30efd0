//! A scenario's events as its plain files hold them. Judges nothing.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dwell_attribution::{
    Attribution, Category, Destination, EvidenceLevel, HostId, HostRef, NameSource, Outcome,
};
use dwell_detect::{Burst, FlowFacts, NameLookup, Side, Visibility};
use dwell_packet::Timestamp;

/// Midnight at which scenarios begin: they tell seconds from there.
const START_S: u64 = 1_750_032_000;

/// A scenario in memory.
pub(crate) struct Scenario {
    pub(crate) flows: Vec<Flow>,
    /// Flow number and burst, by start.
    pub(crate) bursts: Vec<(u32, Burst)>,
}

/// One flow.
pub(crate) struct Flow {
    pub(crate) facts: Arc<FlowFacts>,
    /// The names of the file, for scoring.
    pub(crate) host: Arc<str>,
    pub(crate) app: Arc<str>,
    pub(crate) end: Timestamp,
}

impl Scenario {
    pub(crate) fn load(folder: &Path, process: bool) -> anyhow::Result<Self> {
        let path = folder.join("flows.tsv");
        let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let mut reader = Reader { process, ..Reader::default() };
        let flows: Vec<Flow> = text
            .lines()
            .skip(1)
            .enumerate()
            .map(|(number, line)| {
                reader.flow(line).with_context(|| format!("{}:{}", path.display(), number + 2))
            })
            .collect::<anyhow::Result<_>>()?;
        let path = folder.join("bursts.bin");
        let bytes = fs::read(&path).with_context(|| format!("{}", path.display()))?;
        let (records, rest) = bytes.as_chunks::<25>();
        anyhow::ensure!(rest.is_empty(), "{}: not whole records of 25 bytes", path.display());
        let bursts = records.iter().map(burst).collect::<Option<Vec<_>>>();
        let bursts = bursts.with_context(|| format!("{}: no burst", path.display()))?;
        let mut scenario = Self { flows, bursts };
        for (flow, burst) in &scenario.bursts {
            if let Some(flow) = scenario.flows.get_mut(usize::try_from(*flow)?) {
                flow.end = flow.end.max(burst.start);
            }
        }
        Ok(scenario)
    }
}

#[derive(Default)]
struct Reader {
    process: bool,
    hosts: HashMap<String, (Arc<str>, HostRef)>,
    apps: HashMap<String, (Arc<str>, Arc<Attribution>)>,
    destinations: HashMap<String, Destination>,
}

impl Reader {
    fn flow(&mut self, line: &str) -> anyhow::Result<Flow> {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[id, host, app, process, sni, ip, port, _proto, start, end, dns] = &fields[..] else {
            anyhow::bail!("{} fields, expected 11", fields.len());
        };
        let opened = ts(start.parse()?);
        let number = u32::try_from(self.hosts.len())?;
        let (host_name, host) = self
            .hosts
            .entry(host.to_owned())
            .or_insert_with(|| (host.into(), host_ref(host, number, opened)));
        let label = if self.process { process } else { app };
        let stack = self.process.then_some(app);
        let key = format!("{app}\t{label}");
        let (app_name, attribution) = self
            .apps
            .entry(key)
            .or_insert_with(|| (label.into(), Arc::new(attribution(label, stack))));
        let addr: IpAddr = ip.parse()?;
        let key = if sni.is_empty() { ip } else { sni };
        let destination = self.destinations.entry(key.to_owned()).or_insert_with(|| {
            let name = (!sni.is_empty()).then_some((sni.as_bytes(), NameSource::Sni));
            Destination::new(name, addr, 443)
        });
        let facts = FlowFacts {
            flow_id: id.parse()?,
            host: host.clone(),
            attribution: Arc::clone(attribution),
            destination: Destination { addr, port: port.parse()?, ..destination.clone() },
            opened,
            visibility: Visibility::default(),
            continued: false,
            lookup: if dns == "1" { NameLookup::Seen } else { NameLookup::Absent },
        };
        Ok(Flow {
            facts: Arc::new(facts),
            host: Arc::clone(host_name),
            app: Arc::clone(app_name),
            end: ts(end.parse()?),
        })
    }
}

fn host_ref(name: &str, number: u32, at: Timestamp) -> HostRef {
    let addr = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001_u32.saturating_add(number)));
    let id = HostId(addr);
    HostRef { id, name: Some(name.into()), ..HostRef::of_address(addr, at) }
}

/// What a fingerprint tells of the label: Safari and every program on the system's network stack
/// share one, Chrome and every Electron program another.
fn attribution(label: &str, stack: Option<&str>) -> Attribution {
    let by_fingerprint = stack.unwrap_or(label);
    let (name, category) = match by_fingerprint {
        "Safari" | "NSURLSession" => ("AppleNet", Category::Browser),
        "Chrome" | "Electron" => ("Chromium", Category::Browser),
        "Firefox" => ("Firefox", Category::Browser),
        "Go-net/http" | "python-requests" | "curl" | "okhttp" | "node" => {
            (by_fingerprint, Category::Library)
        }
        other => (other, Category::Product),
    };
    let unknown = ["ja4-", "niche", "implant", "script", "devtool"];
    let outcome = if unknown.iter().any(|prefix| name.starts_with(prefix)) {
        Outcome::Unknown
    } else {
        Outcome::Application
    };
    Attribution {
        outcome,
        application: if stack.is_some() { label.into() } else { name.into() },
        stack: Some(name.into()),
        category,
        level: EvidenceLevel::Ja4,
        ..Attribution::unattributed()
    }
}

fn burst(record: &[u8; 25]) -> Option<(u32, Burst)> {
    let (flow, rest) = record.split_first_chunk::<4>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (seconds, rest) = rest.split_first_chunk::<4>()?;
    let (up, rest) = rest.split_first_chunk::<4>()?;
    let (down, rest) = rest.split_first_chunk::<4>()?;
    let start = ts(f64::from_le_bytes(*at));
    let burst = Burst {
        start,
        end: start.saturating_add(Duration::from_secs_f32(f32::from_le_bytes(*seconds).max(0.0))),
        up_bytes: bytes(f32::from_le_bytes(*up)),
        down_bytes: bytes(f32::from_le_bytes(*down)),
        first: if *rest == [1] { Side::Server } else { Side::Client },
    };
    Some((u32::from_le_bytes(*flow), burst))
}

/// Bytes that a file holds as a fraction.
fn bytes(fraction: f32) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounding is meant, and the cast saturates"
    )]
    let whole = fraction.round().max(0.0) as u64;
    whole
}

/// A time of the scenario.
pub(crate) fn ts(seconds: f64) -> Timestamp {
    Timestamp::from_parts(START_S, 0).saturating_add(Duration::from_secs_f64(seconds.max(0.0)))
}

/// Seconds since the scenario began.
pub(crate) fn seconds(at: Timestamp) -> f64 {
    at.saturating_since(Timestamp::from_parts(START_S, 0)).as_secs_f64()
}
