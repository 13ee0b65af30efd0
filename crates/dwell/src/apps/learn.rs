//! `dwell apps learn`: labelled captures and flow records in, a mapping file out. Learns nothing
//! itself.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use dwell_attribution::{AppRules, Date, Learned, Learner, Observation, Origin, read_flow_line};
use dwell_engine::{HelloRow, Hellos};
use dwell_packet::Timestamp;

use crate::Exit;
use crate::apps::args::LearnArgs;
use crate::inputs::Inputs;

/// What was read so far.
#[derive(Default)]
struct Lesson {
    learner: Learner,
    newest: Timestamp,
    hellos: u64,
    lines: u64,
    unlabelled: u64,
    refused: u64,
}

/// Runs the command.
///
/// # Errors
/// When there is nothing to learn from, or output cannot be written.
pub(crate) fn run(args: &LearnArgs) -> anyhow::Result<Exit> {
    if args.captures.is_empty() && args.flows.is_empty() {
        bail!("nothing to learn from: name captures, or records with --flows");
    }
    let mut inputs = Inputs::new(true)?;
    let mut lesson = Lesson::default();
    for capture in &args.captures {
        if inputs.is_interrupted() {
            return Ok(Exit::Interrupted);
        }
        let (application, path) = label_of(capture)?;
        lesson.capture(&mut inputs, &application, &path)?;
    }
    for path in &args.flows {
        lesson.lines(path)?;
    }
    let packets = (lesson.newest > Timestamp::from_nanos(0)).then(|| Date::of(lesson.newest));
    let date = args.date.or(packets).unwrap_or_else(super::today);
    let origin = Origin { date, source: "learned on site", licence: None, prefix: &args.prefix };
    let learned = lesson.learner.learn(&origin, &AppRules::builtin());
    let mut out = super::output(args.out.as_deref())?;
    learned.write(&mut out)?;
    out.flush()?;
    lesson.tell(&learned);
    let refused = if lesson.refused == 0 { Exit::Success } else { Exit::Damaged };
    Ok(inputs.exit().max(refused))
}

impl Lesson {
    /// Takes every hello of a capture in as `application`'s.
    fn capture(
        &mut self,
        inputs: &mut Inputs,
        application: &str,
        path: &Path,
    ) -> anyhow::Result<()> {
        let Some(mut source) = inputs.open(path) else { return Ok(()) };
        let before = self.hellos;
        let mut hellos = Hellos::new();
        inputs.read(path, &mut source, |frame| {
            self.newest = self.newest.max(frame.ts);
            hellos.handle(frame);
            while let Some(row) = hellos.next_row() {
                self.hello(application, &row);
            }
            Ok(())
        })?;
        for row in hellos.finish() {
            self.hello(application, &row);
        }
        if self.hellos == before {
            eprintln!("dwell: {}: no ClientHello to learn {application} from", path.display());
        }
        Ok(())
    }

    /// The first hello of a connection counts: a second one only answers a HelloRetryRequest.
    fn hello(&mut self, application: &str, row: &HelloRow) {
        if row.hello.number != 1 {
            return;
        }
        let name = row.hello.server_name.as_deref().map(String::from_utf8_lossy);
        let observation = Observation {
            application,
            ja4: Some(&row.hello.ja4),
            stable: Some(&row.hello.stable),
            ja3: Some(&row.hello.ja3),
            server_name: name.as_deref(),
            flows: 1,
        };
        match self.learner.observe(&observation) {
            Ok(()) => self.hellos += 1,
            Err(error) => {
                self.refused += 1;
                eprintln!("dwell: frame {}: {error}", row.frame);
            }
        }
    }

    /// Takes the labelled flows of JSON lines in; a bad line is told and left out.
    fn lines(&mut self, path: &Path) -> anyhow::Result<()> {
        let context = || format!("cannot read {}", path.display());
        let mut reader = BufReader::new(File::open(path).with_context(context)?);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let mut limited = (&mut reader).take(MAX_LINE_BYTES);
            if limited.read_until(b'\n', &mut line).with_context(context)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            if text.trim().is_empty() {
                continue;
            }
            self.lines += 1;
            let error = match read_flow_line(text.trim()) {
                Ok(None) => {
                    self.unlabelled += 1;
                    continue;
                }
                Ok(Some(flow)) => match self.learner.observe(&flow.observation()) {
                    Ok(()) => continue,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            self.refused += 1;
            if self.refused <= MAX_TOLD {
                eprintln!("dwell: {}:{number}: {error}", path.display());
            }
        }
        Ok(())
    }

    fn tell(&self, learned: &Learned) {
        eprintln!(
            "dwell: {} rules from {} hellos and {} records ({} without a process, {} refused)",
            learned.rules.len(),
            self.hellos,
            self.lines,
            self.unlabelled,
            self.refused,
        );
        for conflict in learned.conflicts.iter().take(MAX_CONFLICTS) {
            let applications: Vec<String> = conflict
                .applications
                .iter()
                .map(|(application, flows)| format!("{application} ({flows})"))
                .collect();
            let (part, key) = (conflict.part, &conflict.key);
            eprintln!("dwell: {part} {key} is shared by {}", applications.join(", "));
        }
        let more = learned.conflicts.len().saturating_sub(MAX_CONFLICTS);
        if more > 0 {
            eprintln!("dwell: {more} further fingerprints are shared");
        }
    }
}

/// `NAME=FILE`, or a file named for its application.
fn label_of(capture: &str) -> anyhow::Result<(String, PathBuf)> {
    if let Some((name, path)) = capture.split_once('=') {
        return Ok((name.to_owned(), path.into()));
    }
    let path = PathBuf::from(capture);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default();
    if name.is_empty() {
        bail!("{capture}: say which application it is of: NAME=FILE");
    }
    Ok((name.to_owned(), path))
}

/// Most of a line that is read: more is refused as one.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Most refused lines told one by one.
const MAX_TOLD: u64 = 100;

/// Most shared fingerprints told one by one.
const MAX_CONFLICTS: usize = 20;
