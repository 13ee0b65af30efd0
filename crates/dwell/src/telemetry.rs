//! Endpoint telemetry as the command line names it: files beside a replay. Parses no line itself.

mod lines;
pub(crate) mod listen;
pub(crate) mod live;

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use dwell_attribution::telemetry::{
    FeedCounters, Give, Observation, TelemetryError, TelemetryFeed, TelemetryInput, TelemetryKind,
    TelemetryReader,
};
use dwell_packet::Timestamp;
use serde::{Deserialize, Serialize};

use lines::{Line, Lines};

/// Errors shown of one file; the rest is counted.
const MAX_SHOWN: u64 = 10;

/// One source of telemetry: `[KIND][@ADDRESS[,ADDRESS…]:]PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TelemetrySpec {
    /// Whose lines; told by content where `None`.
    pub(crate) kind: Option<TelemetryKind>,
    /// The only addresses that it may speak for, if it is bound to some.
    pub(crate) hosts: Option<Arc<[IpAddr]>>,
    /// The file, or for a listener the socket.
    pub(crate) path: PathBuf,
}

impl FromStr for TelemetrySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = || Self { kind: None, hosts: None, path: text.into() };
        // Of addresses with colons only the last one ends the head.
        for (at, _) in text.match_indices(':') {
            let (head, path) = (text.get(..at).unwrap_or_default(), text.get(at + 1..));
            let (kind, hosts) = head.split_once('@').unwrap_or((head, ""));
            let is_bound = kind.is_empty() && !hosts.is_empty();
            if TelemetryKind::from_str(kind).is_err() && !is_bound {
                return Ok(plain());
            }
            let addrs: Result<Vec<IpAddr>, _> = hosts.split(',').map(str::parse).collect();
            let hosts = match (hosts.is_empty(), addrs) {
                (true, _) => None,
                (false, Ok(addrs)) => Some(addrs.into()),
                // An IPv6 address goes on behind this colon.
                (false, Err(_)) => continue,
            };
            let path = path.filter(|path| !path.is_empty()).ok_or("a path is needed behind `:`")?;
            return Ok(Self { kind: kind.parse().ok(), hosts, path: path.into() });
        }
        if text.contains('@') && text.contains(':') {
            return Err("addresses are needed between `@` and `:`".to_owned());
        }
        Ok(plain())
    }
}

impl TryFrom<String> for TelemetrySpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TelemetrySpec> for String {
    fn from(spec: TelemetrySpec) -> Self {
        spec.to_string()
    }
}

impl fmt::Display for TelemetrySpec {
    /// As it may be typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind}")?;
        }
        for (number, host) in self.hosts.iter().flat_map(|hosts| hosts.iter()).enumerate() {
            write!(f, "{}{host}", if number == 0 { '@' } else { ',' })?;
        }
        if self.kind.is_some() || self.hosts.is_some() {
            f.write_str(":")?;
        }
        write!(f, "{}", self.path.display())
    }
}

/// The telemetry files of a replay, read as packet time reaches their lines.
#[derive(Debug, Default)]
pub(crate) struct TelemetryFiles {
    files: Vec<TelemetryFile>,
    /// When the next observation is due.
    due: Timestamp,
    scratch: Vec<Observation>,
}

#[derive(Debug)]
struct TelemetryFile {
    name: String,
    lines: Lines,
    reader: TelemetryReader,
    hosts: Option<Arc<[IpAddr]>>,
    feed: TelemetryFeed,
    /// There are no further lines.
    ended: bool,
}

impl TelemetryFiles {
    /// Opens the files.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(crate) fn open(specs: &[TelemetrySpec]) -> anyhow::Result<Self> {
        let files = specs.iter().map(TelemetryFile::open).collect::<anyhow::Result<_>>()?;
        Ok(Self { files, ..Self::default() })
    }
}

impl TelemetryInput for TelemetryFiles {
    fn take_due(&mut self, now: Timestamp, until: Timestamp, give: &mut Give<'_>) {
        if now == Timestamp::ZERO || until < self.due {
            return;
        }
        self.due = Timestamp::MAX;
        for file in &mut self.files {
            file.fill(now, &mut self.scratch);
            while let Some(observation) = file.feed.pop(until) {
                give(observation, file.hosts.as_ref());
                file.fill(now, &mut self.scratch);
            }
            self.due = self.due.min(file.feed.next_at().unwrap_or(Timestamp::MAX));
        }
    }

    fn counters(&self) -> FeedCounters {
        let mut sum = FeedCounters::default();
        for file in &self.files {
            sum.add(file.feed.counters());
        }
        sum
    }
}

impl Drop for TelemetryFile {
    /// Says how many lines were refused beyond those that were shown.
    fn drop(&mut self) {
        let more = self.feed.counters().malformed.saturating_sub(MAX_SHOWN);
        if more > 0 {
            eprintln!("dwell: {}: {more} further lines refused", self.name);
        }
    }
}

impl TelemetryFile {
    fn open(spec: &TelemetrySpec) -> anyhow::Result<Self> {
        let name = shown(&spec.path);
        let file = File::open(&spec.path).with_context(|| format!("telemetry {name}"))?;
        Ok(Self {
            lines: Lines::new(Box::new(file)),
            reader: TelemetryReader::new(name.clone(), spec.kind),
            name,
            hosts: spec.hosts.clone(),
            feed: TelemetryFeed::default(),
            ended: false,
        })
    }

    /// Reads lines while the feed has room. A file that cannot be read on has ended, with a message.
    fn fill(&mut self, now: Timestamp, scratch: &mut Vec<Observation>) {
        while !self.ended && self.feed.wants_more() {
            match self.lines.next_line() {
                Ok(Some(line)) => {
                    let outcome = take_line(&mut self.reader, line, scratch);
                    count(&mut self.feed, outcome);
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    eprintln!("dwell: telemetry {}: {error}", self.name);
                    self.ended = true;
                }
            }
            for observation in scratch.drain(..) {
                self.feed.push(now, observation);
            }
        }
    }
}

/// Reads one line into observations.
fn take_line(
    reader: &mut TelemetryReader,
    line: Line<'_>,
    out: &mut Vec<Observation>,
) -> Result<(), TelemetryError> {
    match line {
        Line::Whole(bytes) => reader.read(bytes, out),
        Line::TooLong => Err(reader.refuse("line too long")),
    }
}

/// Counts a line, and shows the first errors.
fn count(feed: &mut TelemetryFeed, outcome: Result<(), TelemetryError>) {
    let counters = feed.counters_mut();
    counters.lines += 1;
    if let Err(error) = outcome {
        counters.malformed += 1;
        if counters.malformed <= MAX_SHOWN {
            eprintln!("dwell: {error}");
        }
    }
}

fn shown(path: &Path) -> String {
    dwell_output::printable(path.to_string_lossy().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: Option<TelemetryKind>, hosts: &[&str], path: &str) {
        let hosts: Vec<IpAddr> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let hosts = (!hosts.is_empty()).then(|| hosts.into());
        let spec = TelemetrySpec { kind, hosts, path: path.into() };
        assert_eq!(spec.to_string(), text);
        assert_eq!(text.parse(), Ok(spec), "{text}");
    }

    #[test]
    fn a_source_is_a_path_with_or_without_kind_and_addresses() {
        check("a/b.ndjson", None, &[], "a/b.ndjson");
        check("./odd:name", None, &[], "./odd:name");
        check("santa:a.json", Some(TelemetryKind::Santa), &[], "a.json");
        check("santa@10.0.0.5:a.json", Some(TelemetryKind::Santa), &["10.0.0.5"], "a.json");
        check("@10.0.0.5,fd00::5:a:b", None, &["10.0.0.5", "fd00::5"], "a:b");
        assert!("santa@nowhere:a".parse::<TelemetrySpec>().is_err());
        assert!("santa:".parse::<TelemetrySpec>().is_err());
    }
}
