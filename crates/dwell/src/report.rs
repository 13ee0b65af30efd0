//! `dwell replay --report`: findings and sessions in one HTML file. The page is the console's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dwell_engine::Record;
use dwell_output::{EveContext, Format, encode};

/// Most sessions in a report: the longest.
const MAX_SESSIONS: usize = 5000;

/// The latest lines of findings and sessions.
pub(crate) struct Report {
    path: PathBuf,
    context: EveContext,
    findings: BTreeMap<String, Vec<u8>>,
    sessions: BTreeMap<u64, (u64, Vec<u8>)>,
}

impl Report {
    /// A report to be written to `path`.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            context: EveContext::default(),
            findings: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    /// Takes one record in.
    pub(crate) fn take(&mut self, record: &Record) {
        let line = || encode(Format::Eve, &self.context, record);
        match record {
            Record::Finding(finding) => {
                if let Some(line) = line() {
                    self.findings.insert(finding.id.to_string(), line);
                }
            }
            Record::Session(session) => {
                if let Some(line) = line() {
                    let seconds = session.summary.effective.as_secs();
                    self.sessions.insert(session.summary.id.0, (seconds, line));
                }
                if self.sessions.len() > 2 * MAX_SESSIONS {
                    self.trim();
                }
            }
            _ => {}
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(mut self, captures: &[PathBuf]) -> anyhow::Result<()> {
        self.trim();
        let names: Vec<String> = captures.iter().map(|path| path.display().to_string()).collect();
        let title = dwell_output::clipped(&format!("dwell: {}", names.join(" ")), 100);
        let sessions = self.sessions.values().map(|(_, line)| line.as_slice());
        let lines = self.findings.values().map(Vec::as_slice).chain(sessions);
        let html = dwell_console::report(&title, lines);
        std::fs::write(&self.path, html)
            .with_context(|| format!("{}: cannot write", self.path.display()))
    }

    /// Leaves the longest sessions.
    fn trim(&mut self) {
        if self.sessions.len() <= MAX_SESSIONS {
            return;
        }
        let mut lengths: Vec<u64> = self.sessions.values().map(|(seconds, _)| *seconds).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let least = lengths.get(MAX_SESSIONS).copied().unwrap_or(0);
        self.sessions.retain(|_, (seconds, _)| *seconds > least);
    }
}
