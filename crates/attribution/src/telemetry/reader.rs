//! Lines of any telemetry in, observations out. Opens nothing: the caller has the lines.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::json::{Fault, at};
use super::lsof::Lsof;
use super::nettop::Nettop;
use super::notes::Notes;
use super::observation::{Observation, When};
use super::process::TelemetrySource;
use super::zeek_agent::{self, ZeekAgent};
use super::{eslogger, json, osquery, plain, santa, unified_log};
use crate::config::MappingError;

/// A line of telemetry that was refused: file, line and, where it can be told, the key.
pub type TelemetryError = MappingError;

/// Which tool's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TelemetryKind {
    /// Santa's JSON events.
    Santa,
    /// osquery results.
    Osquery,
    /// macOS unified log as ndjson.
    UnifiedLog,
    /// eslogger's JSON events.
    Eslogger,
    /// nettop's CSV.
    Nettop,
    /// `lsof -F` output.
    Lsof,
    /// Zeek Agent logs, tab-separated or JSON.
    ZeekAgent,
    /// dwell's own plain JSON.
    Json,
}

impl TelemetryKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Santa,
        Self::Osquery,
        Self::UnifiedLog,
        Self::Eslogger,
        Self::Nettop,
        Self::Lsof,
        Self::ZeekAgent,
        Self::Json,
    ];

    /// The name on the command line and in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Santa => "santa",
            Self::Osquery => "osquery",
            Self::UnifiedLog => "unified-log",
            Self::Eslogger => "eslogger",
            Self::Nettop => "nettop",
            Self::Lsof => "lsof",
            Self::ZeekAgent => "zeek-agent",
            Self::Json => "json",
        }
    }

    /// By the keys of a JSON line; `None` for what none of the tools writes.
    fn of_json(line: &Value) -> Option<Self> {
        let has = |key| at(line, key).is_some();
        if has("network_activity") || has("machine_id") {
            Some(Self::Santa)
        } else if has("columns") || has("snapshot") || has("diffResults") {
            Some(Self::Osquery)
        } else if has("processImagePath") || has("eventMessage") || has("finished") {
            Some(Self::UnifiedLog)
        } else if has("process.audit_token") || has("event.exec") {
            Some(Self::Eslogger)
        } else if has("local_addr") || has("hid") {
            Some(Self::ZeekAgent)
        } else if has("pid") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

impl fmt::Display for TelemetryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TelemetryKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown kind of telemetry, expected one of {names}")
        })
    }
}

/// What is remembered between lines of one file or stream. JSON lines stand alone and may be mixed.
#[derive(Debug)]
pub struct TelemetryReader {
    file: String,
    kind: Option<TelemetryKind>,
    line: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    None,
    Nettop(Nettop),
    Lsof(Lsof),
    Zeek(ZeekAgent),
}

impl TelemetryReader {
    /// A reader of lines that errors call `file`; their kind is told by content where `None`.
    #[must_use]
    pub fn new(file: impl Into<String>, kind: Option<TelemetryKind>) -> Self {
        let state = match kind {
            Some(TelemetryKind::Lsof) => State::Lsof(Lsof::default()),
            Some(TelemetryKind::ZeekAgent) => State::Zeek(ZeekAgent::default()),
            _ => State::None,
        };
        Self { file: file.into(), kind, line: 0, state }
    }

    /// Takes one line, without its end; observations are added to `out`.
    ///
    /// # Errors
    /// Why the line, or a part of it, was refused; what came before stands.
    pub fn read(&mut self, line: &[u8], out: &mut Vec<Observation>) -> Result<(), TelemetryError> {
        self.line = self.line.saturating_add(1);
        let mut notes =
            Notes { source: TelemetrySource::Json, machine: None, at: When::Unknown, out };
        self.read_line(line, &mut notes).map_err(|fault| self.error(fault))
    }

    /// Refuses a line that the caller could not take in, such as one beyond any bound.
    #[must_use]
    pub fn refuse(&mut self, message: &str) -> TelemetryError {
        self.line = self.line.saturating_add(1);
        self.error(Fault::line(message))
    }

    /// Lines read so far.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.line
    }

    fn error(&self, fault: Fault) -> TelemetryError {
        let Fault { key, message } = fault;
        MappingError { file: self.file.clone(), line: self.line, key, message }
    }

    fn read_line(&mut self, line: &[u8], notes: &mut Notes<'_>) -> Result<(), Fault> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE {
            return Err(Fault::line(format!("longer than {MAX_LINE} bytes")));
        }
        if line.first() == Some(&b'{') && !matches!(self.state, State::Lsof(_) | State::Nettop(_)) {
            return self.read_json(line, notes);
        }
        let text = std::str::from_utf8(line)
            .map_err(|error| Fault::line(format!("no UTF-8 at byte {}", error.valid_up_to())))?;
        // What `log stream` says before its lines.
        if text.trim().is_empty() || text.starts_with("Filtering the log data") {
            return Ok(());
        }
        if matches!(self.state, State::None) {
            self.state = self.detect(text)?;
        }
        match &mut self.state {
            State::None => Ok(()),
            State::Nettop(nettop) => {
                notes.source = TelemetrySource::Nettop;
                nettop.read(text, notes)
            }
            State::Lsof(lsof) => {
                notes.source = TelemetrySource::Lsof;
                lsof.read(text, notes)
            }
            State::Zeek(zeek) => {
                notes.source = TelemetrySource::ZeekAgent;
                zeek.read(text, notes)
            }
        }
    }

    /// The state of lines that are no JSON, by the first of them.
    fn detect(&self, text: &str) -> Result<State, Fault> {
        let nettop = || Nettop::of_header(text).map(State::Nettop);
        let found = match self.kind {
            Some(TelemetryKind::Nettop) => nettop(),
            Some(_) => return Err(Fault::line("no JSON object")),
            None if text.starts_with('#') => Some(State::Zeek(ZeekAgent::default())),
            None if Lsof::recognises(text) => Some(State::Lsof(Lsof::default())),
            None => nettop(),
        };
        found.ok_or_else(|| Fault::line("no telemetry of a known kind"))
    }

    fn read_json(&self, line: &[u8], notes: &mut Notes<'_>) -> Result<(), Fault> {
        let line = json::parse(line)?;
        let kind = self.kind.or_else(|| TelemetryKind::of_json(&line));
        let (source, read): (_, fn(&Value, &mut Notes<'_>) -> _) = match kind {
            Some(TelemetryKind::Santa) => (TelemetrySource::Santa, santa::read),
            Some(TelemetryKind::Osquery) => (TelemetrySource::OpenSockets, osquery::read),
            Some(TelemetryKind::UnifiedLog) if at(&line, "finished").is_some() => return Ok(()),
            Some(TelemetryKind::UnifiedLog) => (TelemetrySource::UnifiedLog, unified_log::read),
            Some(TelemetryKind::Eslogger) => (TelemetrySource::Eslogger, eslogger::read),
            Some(TelemetryKind::ZeekAgent) => (TelemetrySource::ZeekAgent, zeek_agent::read_json),
            Some(TelemetryKind::Json) => (TelemetrySource::Json, plain::read),
            Some(TelemetryKind::Nettop | TelemetryKind::Lsof) | None => {
                return Err(Fault::line("no telemetry of a known kind"));
            }
        };
        notes.source = source;
        read(&line, notes)
    }
}

/// Longest line taken: a Santa message with thousands of flows.
pub(crate) const MAX_LINE: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::{Seen, SocketName};

    fn read(lines: &[&str]) -> (Vec<Observation>, Vec<String>) {
        let mut reader = TelemetryReader::new("t.log", None);
        let mut out = Vec::new();
        let errors = lines
            .iter()
            .filter_map(|line| reader.read(line.as_bytes(), &mut out).err())
            .map(|error| error.to_string())
            .collect();
        (out, errors)
    }

    fn ports(out: &[Observation]) -> Vec<(u32, u16)> {
        out.iter()
            .filter_map(|observation| match &observation.seen {
                Seen::Socket(socket) => match socket.socket {
                    SocketName::Endpoints { local, .. } => Some((socket.process.pid, local.port)),
                    _ => None,
                },
                Seen::Process(_) => None,
            })
            .collect()
    }

    #[test]
    fn a_malformed_line_is_named_with_its_key_and_the_rest_is_kept() {
        let good = r#"{"columns":{"pid":"7","local_address":"10.0.0.2","local_port":"5000","remote_address":"10.0.0.1","remote_port":"443"}}"#;
        let bad = r#"{"columns":{"pid":"seven","local_address":"10.0.0.2","local_port":"5000","remote_address":"10.0.0.1","remote_port":"443"}}"#;
        let (out, errors) = read(&[good, bad, "{", good]);
        assert_eq!(ports(&out), [(7, 5000), (7, 5000)]);
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0], "t.log:2: `pid`: a whole number is needed");
        assert!(errors[1].starts_with("t.log:3: no JSON"), "{}", errors[1]);
    }

    #[test]
    fn our_own_shape_refuses_unknown_keys() {
        let (out, errors) = read(&[
            r#"{"community_id":"1:l5ygyWVF0YcbmZXey31pYs2ygN4=","pid":7,"name":"x"}"#,
            r#"{"community_id":"1:l5ygyWVF0YcbmZXey31pYs2ygN4=","pid":7,"nmae":"x"}"#,
            r#"{"community_id":"2:short","pid":7}"#,
        ]);
        assert_eq!(out.len(), 2, "a socket and its process");
        assert_eq!(errors[0], "t.log:2: `nmae`: unknown key");
        assert!(errors[1].contains("`community_id`"), "{}", errors[1]);
    }

    /// Batch and snapshot results as osquery's documentation of its logger plugins has them.
    #[test]
    fn batches_and_snapshots_of_osquery_are_rows() {
        let row = |port: u16| {
            format!(
                r#"{{"pid":"7","local_address":"10.0.0.2","local_port":"{port}","remote_address":"10.0.0.1","remote_port":"443"}}"#
            )
        };
        let snapshot = format!(r#"{{"snapshot":[{},{}],"action":"snapshot"}}"#, row(1), row(2));
        let batch = format!(r#"{{"diffResults":{{"removed":[{}],"added":[{}]}}}}"#, row(3), row(4));
        let removed = format!(r#"{{"columns":{},"action":"removed"}}"#, row(5));
        let (out, errors) = read(&[&snapshot, &batch, &removed]);
        assert_eq!(errors, [""; 0]);
        assert_eq!(ports(&out), [(7, 1), (7, 2), (7, 4)]);
    }

    #[test]
    fn fields_of_lsof_may_end_with_nul() {
        let (out, errors) = read(&[
            "p7\0ccurl\0",
            "f5\0tIPv4\0PTCP\0n10.0.0.2:5000->10.0.0.1:443\0TST=ESTABLISHED\0",
        ]);
        assert_eq!(errors, [""; 0]);
        assert_eq!(ports(&out), [(7, 5000)]);
    }

    #[test]
    fn a_socket_of_nettop_without_process_is_refused() {
        let (out, errors) = read(&[
            "time,,interface,state,bytes_in,bytes_out,",
            "20:03:59.941035,tcp4 10.0.0.2:5000<->10.0.0.1:443,en0,Established,1,2,",
            "20:03:59.941035,a b.c.7,,,1,2,",
            "20:03:59.941035,tcp4 10.0.0.2:5001<->10.0.0.1:443,en0,Established,1,2,",
            "20:03:59.941035,udp4 *:5353<->*:*,en0,,1,2,",
        ]);
        assert_eq!(ports(&out), [(7, 5001)]);
        assert_eq!(errors, ["t.log:2: a socket before any process"]);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(lines: Vec<Vec<u8>>, kind in 0..9usize) {
            let kind = TelemetryKind::ALL.get(kind).copied();
            let mut reader = TelemetryReader::new("t.log", kind);
            let mut out = Vec::new();
            for line in &lines {
                let _ = reader.read(line, &mut out);
            }
        }

        #[test]
        fn any_value_under_a_known_key_never_panics(
            key in "(network_activity|columns|eventMessage|event|pid|hid)",
            value in "(1|-1|\"\"|\\[\\]|\\{\\}|null|1e99|\\[1,\\{\\}\\]|\\{\"processes\":\\[1\\]\\})",
        ) {
            let mut reader = TelemetryReader::new("t.log", None);
            let line = format!("{{\"{key}\":{value},\"pid\":7,\"subsystem\":\"com.apple.network\"}}");
            let _ = reader.read(line.as_bytes(), &mut Vec::new());
        }
    }
}
