//! The answer of `dwell replay` for people: findings with their reasons, the longest sessions,
//! what was seen and what was not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Color};
use dwell_detect::{Finding, Level, Life, SessionSummary};
use dwell_engine::{Record, StatsRecord};
use dwell_output::clipped;
use dwell_packet::{FiveTuple, Timestamp, Transport};

use crate::terminal;
use crate::units::{bytes, spoken};

/// Column heads of the session table.
const HEADER: [&str; 10] = [
    "HOST",
    "APPLICATION",
    "DESTINATION",
    "HELD",
    "CONNS",
    "OUT",
    "IN",
    "BURSTS",
    "BITS",
    "POLICY",
];

/// Widest application and destination shown, in characters.
const NAME_WIDTH: usize = 36;

/// What a replay came to.
pub(crate) struct Summary {
    findings: BTreeMap<String, Box<Finding>>,
    /// The longest sessions, at most `keep` of them.
    longest: Vec<SessionSummary>,
    keep: usize,
    sessions: u64,
    hosts: BTreeSet<IpAddr>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    unattributed: u64,
    colour: bool,
}

impl Summary {
    /// Nothing seen yet; `keep` sessions will be shown.
    pub(crate) const fn new(keep: usize, colour: bool) -> Self {
        Self {
            findings: BTreeMap::new(),
            longest: Vec::new(),
            keep,
            sessions: 0,
            hosts: BTreeSet::new(),
            first: None,
            last: None,
            unattributed: 0,
            colour,
        }
    }

    /// Takes one record in.
    pub(crate) fn take(&mut self, record: Record) {
        match record {
            Record::Finding(finding) => self.finding(finding),
            Record::Session(session) if session.end.is_some() => self.session(*session.summary),
            Record::Flow(flow) => {
                let snapshot = &flow.snapshot;
                self.first = Some(self.first.map_or(snapshot.first, |t| t.min(snapshot.first)));
                self.last = Some(self.last.map_or(snapshot.last, |t| t.max(snapshot.last)));
                let unseen = !flow.opening_seen
                    && snapshot.sent.payload_bytes > 0
                    && may_be_web(&flow.identity.tuple);
                if matches!(flow.moment, dwell_engine::Moment::End(_)) && unseen {
                    self.unattributed += 1;
                }
                self.hosts.insert(flow.identity.host.id.0);
            }
            _ => {}
        }
    }

    /// Keeps the latest state of each finding, at its highest level.
    fn finding(&mut self, finding: Box<Finding>) {
        let id = finding.id.to_string();
        match self.findings.get(&id) {
            Some(known)
                if finding.life == Life::Closed && known.score_bits > finding.score_bits => {}
            Some(_) | None => {
                self.findings.insert(id, finding);
            }
        }
    }

    fn session(&mut self, session: SessionSummary) {
        self.sessions += 1;
        let at = self.longest.partition_point(|known| weight(known) >= weight(&session));
        if at < self.keep {
            self.longest.insert(at, session);
            self.longest.truncate(self.keep);
        }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// What `out` fails with.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        files: &[PathBuf],
        stats: &StatsRecord,
    ) -> io::Result<()> {
        self.write_head(out, files, stats)?;
        let mut findings: Vec<&Finding> =
            self.findings.values().map(|finding| &**finding).collect();
        findings.sort_by(|a, b| b.score_bits.total_cmp(&a.score_bits).then(a.id.cmp(&b.id)));
        for finding in findings {
            self.write_finding(out, finding)?;
        }
        self.write_sessions(out)?;
        self.write_limits(out, stats)
    }

    fn write_head(
        &self,
        out: &mut impl Write,
        files: &[PathBuf],
        stats: &StatsRecord,
    ) -> io::Result<()> {
        let names: Vec<String> = files
            .iter()
            .map(|path| dwell_output::printable(path.to_string_lossy().as_bytes()))
            .collect();
        let span = match (self.first, self.last) {
            (Some(first), Some(last)) => last.saturating_since(first),
            _ => Duration::ZERO,
        };
        writeln!(
            out,
            "{}: {}, {} frames, {} hosts, {} flows, {} sessions",
            clipped(&names.join(" "), 60),
            spoken(span),
            stats.decode.frames,
            self.hosts.len(),
            stats.flows.opened,
            self.sessions,
        )?;
        match self.findings.len() {
            0 => writeln!(out, "{}", self.bold("no findings")),
            1 => writeln!(out, "{}", self.bold("1 finding")),
            n => writeln!(out, "{}", self.bold(&format!("{n} findings"))),
        }
    }

    fn write_finding(&self, out: &mut impl Write, finding: &Finding) -> io::Result<()> {
        let level = finding.level.name().to_uppercase();
        let provisional = if finding.provisional { ", provisional" } else { "" };
        writeln!(out)?;
        writeln!(
            out,
            "{}  {:.1} bits{provisional}  {} ({}, {})  {}",
            self.coloured(&level, finding.level),
            finding.score_bits,
            finding.analytic.id(),
            finding.analytic.strategy(),
            finding.analytic.technique(),
            finding.id,
        )?;
        for line in wrapped(&finding.sentence, 98) {
            writeln!(out, "  {line}")?;
        }
        for &part in finding.analytic.parts() {
            let (name, weight) = (part.name().replace('_', "-"), finding.parts.of(part));
            writeln!(out, "  {name:<12}{weight:+5.1}")?;
            for reason in finding.reasons.iter().filter(|reason| reason.part == part) {
                let weight = if reason.weight_bits == 0.0 {
                    "     ".to_owned()
                } else {
                    format!("{:+5.1}", reason.weight_bits)
                };
                let mut lines = wrapped(&reason.text, 78).into_iter();
                let first = lines.next().unwrap_or_default();
                writeln!(out, "      {weight}  {first}")?;
                for line in lines {
                    writeln!(out, "             {line}")?;
                }
            }
        }
        let session = &finding.session;
        writeln!(out, "  evidence    {}", sparkline(&session.slots))?;
        let dest = &session.destination;
        writeln!(
            out,
            "              {} connections to {}:{}, {} out, {} in, {} bursts",
            session.flows,
            dest.addr,
            dest.port,
            bytes(session.up_bytes),
            bytes(session.down_bytes),
            session.shape.bursts,
        )
    }

    fn write_sessions(&self, out: &mut impl Write) -> io::Result<()> {
        if self.longest.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        let title = format!("the {} longest of {} sessions", self.longest.len(), self.sessions);
        writeln!(out, "{}", self.bold(&title))?;
        let mut table = terminal::table(&HEADER, self.colour);
        for column in [3, 4, 5, 6, 7, 8] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for session in &self.longest {
            table.add_row(self.row(session));
        }
        writeln!(out, "{}", table.trim_fmt())
    }

    fn row(&self, session: &SessionSummary) -> Vec<Cell> {
        let dest = &session.destination;
        let name = dest.name.as_deref().unwrap_or(&dest.group);
        let score = session.score_bits.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.1}"));
        let cells = [
            session.host.label(),
            clipped(&session.attribution.application, NAME_WIDTH),
            clipped(name, NAME_WIDTH),
            spoken(session.effective),
            session.flows.to_string(),
            bytes(session.up_bytes),
            bytes(session.down_bytes),
            session.shape.bursts.to_string(),
            score,
            session.verdict.map_or("-", dwell_attribution::Verdict::name).to_owned(),
        ];
        let cells = cells.into_iter().map(Cell::new);
        match session.level {
            Some(level) if self.colour => cells.map(|cell| cell.fg(colour_of(level))).collect(),
            Some(_) | None => cells.collect(),
        }
    }

    /// What limits the answer.
    fn write_limits(&self, out: &mut impl Write, stats: &StatsRecord) -> io::Result<()> {
        writeln!(out)?;
        writeln!(out, "{}", self.bold("what was not seen"))?;
        let discarded = stats.decode.discarded_frames();
        writeln!(
            out,
            "  {} flows with payload whose opening was not seen: unattributed, never judged",
            self.unattributed
        )?;
        writeln!(out, "  {discarded} of {} frames gave no TCP or UDP packet", stats.decode.frames)?;
        let reassembly = stats.shards.reassembly;
        for (count, text) in [
            (reassembly.gaps, "holes in streams that were being inspected"),
            (reassembly.conflicting_bytes, "bytes that came twice with different content"),
            (stats.shards.malformed_hellos, "ClientHellos whose structure breaks"),
            (
                stats.shards.doubtful,
                "segments that a receiver may drop, believed only once acknowledged",
            ),
            (stats.flows.refused, "packets refused because the flow table was full"),
            (stats.flows.evicted_short, "flows evicted while established"),
            (stats.clock_steps, "steps of the clock by more than an hour"),
        ] {
            if count > 0 {
                writeln!(out, "  {count} {text}")?;
            }
        }
        Ok(())
    }

    /// What hosts told of their processes, if they were asked or the capture itself names any.
    ///
    /// # Errors
    /// What `out` fails with.
    pub(crate) fn write_telemetry(
        &self,
        out: &mut impl Write,
        stats: &StatsRecord,
    ) -> io::Result<()> {
        let feeds = stats.feeds;
        if feeds.lines == 0 {
            return Ok(());
        }
        let told = stats.telemetry;
        writeln!(out)?;
        writeln!(out, "{}", self.bold("endpoint telemetry"))?;
        writeln!(
            out,
            "  {} lines, {} observations, {} flows joined with a process",
            feeds.lines, told.observations, told.joined
        )?;
        for (count, text) in [
            (feeds.malformed, "lines refused"),
            (told.disagreements, "answers where process and fingerprint do not go together"),
            (told.conflicts, "times two sources named different processes for a flow"),
            (told.absurd, "sightings with a time far from the capture's"),
            (told.foreign, "sightings of an address that another machine speaks for"),
            (told.ambiguous, "sightings without address that several flows could be"),
            (told.refused, "sightings refused for want of room"),
        ] {
            if count > 0 {
                writeln!(out, "  {count} {text}")?;
            }
        }
        Ok(())
    }

    fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn coloured(&self, text: &str, level: Level) -> String {
        let code = match level {
            Level::High => "1;31",
            Level::Alert => "1;33",
            Level::Watch => "1;36",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether a flow could be HTTP or TLS: TCP, or UDP to QUIC's port. Name service and the like have
/// no opening to miss.
fn may_be_web(tuple: &FiveTuple) -> bool {
    match tuple.transport {
        Transport::Tcp => true,
        Transport::Udp => tuple.dst.port == 443,
    }
}

/// Longest first; of equals the one with more bytes.
fn weight(session: &SessionSummary) -> (Duration, u64) {
    (session.effective, session.up_bytes.saturating_add(session.down_bytes))
}

fn colour_of(level: Level) -> Color {
    match level {
        Level::High => Color::Red,
        Level::Alert => Color::Yellow,
        Level::Watch => Color::Cyan,
    }
}

/// Ten-minute slots as a line: a bar where there was payload, a dot where there was none.
fn sparkline(slots: &[bool]) -> String {
    let marks: String = slots.iter().map(|&active| if active { '|' } else { '.' }).collect();
    format!(
        "{marks}  ({} of {} ten-minute slots active)",
        slots.iter().filter(|&&s| s).count(),
        slots.len()
    )
}

/// `text` in lines of at most `width` characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_at_spaces_and_loses_nothing() {
        let text = "one two three four";
        assert_eq!(wrapped(text, 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("unbreakable-word x", 4), ["unbreakable-word", "x"]);
    }

    #[test]
    fn slots_read_as_a_line() {
        assert!(sparkline(&[true, false, true]).starts_with("|.|  (2 of 3"));
    }
}
